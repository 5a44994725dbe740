"""This process: its kernel, its memory, permissions of new files, delayed Ctrl-C. Which runs live: `ledger.leases`."""

import contextlib
import ctypes
import gc
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

EXIT_INTERRUPTED = 130  # of a process that Ctrl-C ended
_GLIBC = "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", ())
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of mallopt(3)
_LARGEST, _KEPT = 32 << 20, 64 << 20  # bytes: the most that glibc allows, and the size of the heap of a thread
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def kernel() -> str:
    """An id of the running kernel: containers on one machine share it, two machines never do."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return f"{uuid.getnode():x}"


def protect_new_files() -> None:
    """Set the umask so that only owner and group can write files that this process creates from now on."""
    os.umask(os.umask(0o077) | 0o002)


def look_seldom_for_garbage() -> None:
    """Let the garbage collector look after 10,000 new objects instead of 700: nearly all go without it."""
    gc.set_threshold(10_000)


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """A block that imports or reads what stays until the process ends: the garbage collector never looks at it.

    It would look at all of it several times while Dagster is imported or 100,000 prompts are planned, and again at the
    end of the process: more than a third of the time of these imports, a fifth of that until the first request.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def keep_freed_memory() -> None:
    """Let the C library keep the memory of a picture for the next one, where it is glibc.

    By default it returns megabytes to the system and takes them anew, page by page, for each picture: that takes half
    as long as to decode it. What it keeps it keeps for each of its arenas, and those of threads are never given back
    as a whole: threads that begin later share the one of the main thread, or such as earlier threads have got.
    """
    if _GLIBC:
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT)


def give_back_memory() -> None:
    """Return to the system what was kept for pictures, where the C library is glibc."""
    if _GLIBC:
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def interrupted_afterwards() -> Iterator[None]:
    """Delay a Ctrl-C inside the block until its end. For short blocks, in the main thread."""
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if seen:
            signal.raise_signal(signal.SIGINT)
