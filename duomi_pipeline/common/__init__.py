"""Helpers for all packages: safe text, atomic file writes, process and SQLite basics. Imports none of them."""
