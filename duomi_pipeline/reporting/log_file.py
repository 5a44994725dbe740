"""The log file of all runs: one line per record, appended by any number of processes. `run_log` writes the lines."""

import contextlib
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from duomi_pipeline.common.files import time_stamp
from duomi_pipeline.common.text import one_line

LOG_FILE = "duomi_image_generation.log"
OLD_LOG_PREFIX = "duomi_image_generation"  # of a log file that was full, before the time when that was
_LOGGER = logging.getLogger("duomi_pipeline")
_MAX_LINE = 2_000  # characters
_FULL = 10_000_000  # bytes after which the next run begins a new file


class LogFile:
    """The log file for one run; open only inside its `with` block.

    Args:
        folder: folder of the file; created if needed.
        run_id: id of the run; only its records are written.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self.folder = folder
        self._run_id = run_id
        self._handler: _Appender | None = None
        self._warned = False

    def __enter__(self) -> Self:
        try:
            self._set_aside_if_full()
            self._handler = _Appender(self.folder / LOG_FILE, self._run_id, self._lost)
        except OSError as error:
            self.warn_once(error)
            return self
        if _LOGGER.level == logging.NOTSET:
            _LOGGER.setLevel(logging.INFO)
        _LOGGER.addHandler(self._handler)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._handler is not None:
            self._drop(self._handler)

    def info(self, line: str) -> None:
        """Write a line at level INFO."""
        self.write(logging.INFO, line)

    def write(self, level: int, line: str) -> None:
        """Write a line at a level of `logging`."""
        if self._handler is not None:
            _LOGGER.log(level, "%s", line, extra={"run_id": self._run_id})

    def warn_once(self, error: BaseException) -> None:
        """Warn once, through `logging` (stderr by default), that this run cannot be written to the log."""
        if not self._warned:
            self._warned = True
            reason = (isinstance(error, OSError) and error.strerror) or error
            _LOGGER.warning("This run is not kept in %s: %s; see DUOMI_LOG_DIR", self.folder, reason)

    def _set_aside_if_full(self) -> None:
        """Rename a full file; runs that write to it go on in the new one, because each line opens the file."""
        path = self.folder / LOG_FILE
        with contextlib.suppress(FileNotFoundError):  # none yet, or another run has just set it aside
            if not path.is_symlink() and path.stat().st_size > _FULL:
                path.rename(path.with_name(f"{OLD_LOG_PREFIX}_{time_stamp(datetime.now(UTC))}.log"))

    def _lost(self, error: OSError) -> None:
        if self._handler is not None:
            self._drop(self._handler)
        self.warn_once(error)

    def _drop(self, handler: "_Appender") -> None:
        self._handler = None
        _LOGGER.removeHandler(handler)
        handler.close()


class _Appender(logging.Handler):
    """Writes each record of one run as one line in one call, so that lines of several processes do not mix."""

    def __init__(self, path: Path, run_id: str, lost: Callable[[OSError], None]) -> None:
        super().__init__()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._run_id = run_id
        self._lost = lost
        self.addFilter(lambda record: getattr(record, "run_id", None) == run_id)

    def format(self, record: logging.LogRecord) -> str:
        """One line: UTC time, level, start of the run id, message."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{at} {record.levelname} {self._run_id[:8]} {one_line(record.getMessage(), _MAX_LINE)}"

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line; after the first error no further line is written."""
        try:
            self._append(f"{self.format(record)}\n".encode())
        except OSError as error:
            self._lost(error)

    def _append(self, line: bytes) -> None:
        # Opened for each line, because `logging.config` of another library closes open files of handlers.
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, line)
        finally:
            os.close(file)
