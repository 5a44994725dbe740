"""Processes of this machine: which of them live, so that nobody's claims are known, and who may change our files."""

import os


def process_exists(pid: int) -> bool:
    """Whether a process of this machine lives; where that cannot be told, it does."""
    if os.name == "nt":
        return True  # os.kill would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def protect_new_files() -> None:
    """Let nobody but owner and group change what this process creates from here on, whatever umask it was given."""
    os.umask(os.umask(0o077) | 0o002)
