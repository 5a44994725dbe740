"""Where this process runs, and who may change the files that it makes."""

import contextlib
import os
import uuid
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def kernel() -> str:
    """Which running operating system this is: containers share one, machines never do."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return f"{uuid.getnode():x}"


def protect_new_files() -> None:
    """Let nobody but owner and group change what this process creates from here on, whatever umask it was given."""
    os.umask(os.umask(0o077) | 0o002)
