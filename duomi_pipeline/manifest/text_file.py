"""A file with a text for each row: what stays is copied from the last one, byte by byte."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from duomi_pipeline.manifest.edition import Kept

_AT_ONCE = 4_000_000  # bytes


@dataclass(frozen=True)
class Frame:
    """What stands before, between and behind the rows."""

    before: bytes
    between: bytes
    behind: bytes


class TextFile:
    """Written from front to back.

    Args:
        draft: the file to write.
        last: the one before.
        lengths: of its rows, in bytes; none where there is no file before.
        frame: of both.
        encode: makes a row's text.

    Attributes:
        lengths: of the rows written so far, in bytes.
    """

    def __init__(
        self, draft: Path, last: Path, lengths: Sequence[int], frame: Frame, encode: Callable[[Sequence[Any]], bytes]
    ) -> None:
        self.lengths: list[int] = []
        self._file = draft.open("wb")
        self._last = last.open("rb") if lengths else io.BytesIO()
        self._frame = frame
        self._encode = encode
        self._before = lengths
        between = len(frame.between)
        self._begins = list(accumulate((length + between for length in lengths), initial=len(frame.before)))
        self._file.write(frame.before)

    def keep(self, part: Kept) -> None:
        """Copy rows of the last file."""
        self._separate()
        left = self._begins[part.stop] - len(self._frame.between) - self._begins[part.start]
        self._last.seek(self._begins[part.start])
        while left and (data := self._last.read(min(left, _AT_ONCE))):
            left -= self._file.write(data)
        self.lengths += self._before[part.start : part.stop]

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows."""
        for row in rows:
            text = self._encode(row)
            self._separate()
            self._file.write(text)
            self.lengths.append(len(text))

    def close(self) -> None:
        """Write the end."""
        with self._last, self._file:
            self._file.write(self._frame.behind)

    def _separate(self) -> None:
        if self.lengths:
            self._file.write(self._frame.between)
