"""Where this process runs, who may change the files that it makes, and when Ctrl-C ends it."""

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator
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


@contextlib.contextmanager
def interrupted_afterwards() -> Iterator[None]:
    """Put off a Ctrl-C inside the block until its end. For short blocks, in the main thread."""
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if seen:
            signal.raise_signal(signal.SIGINT)
