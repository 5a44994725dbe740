"""Prompt lint: what a model misreads in a prompt, and the text without it. Imports no other package of ours."""
