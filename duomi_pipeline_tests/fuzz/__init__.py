"""Properties that hold for anything from outside: a named error or a right result, never a crash, a hang or a stray file."""
