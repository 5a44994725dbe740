"""The manifest as CSV that is safe to open in a spreadsheet: no text of it is ever run as a formula.

Rules: OWASP's page "CSV Injection". Exact texts are in the other formats.
"""

import codecs
import csv
import json
import re
from collections.abc import Sequence
from typing import Any

from duomi_pipeline.manifest.text_file import Frame

CELL_LIMIT = 32_767  # UTF-16 units that Excel keeps of a cell; what is more spills over into other cells
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# A formula's first sign, as Excel in Japan also takes it, behind blanks and quotes that a spreadsheet may skip.
_FORMULA = '[ "\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u3000\ufeff]*[=+\\-@＝＋－＠]'
_BEGINNING = re.compile(f"[\t\n]|{_FORMULA}")
# Excel splits at `;` in half of Europe: our quotes then no longer hold a text together, and a cell may begin here.
_INSIDE = re.compile(f"([;\t\n])(?={_FORMULA})")


class _Echo:
    """Gives a line back to who has it written."""

    def write(self, line: str) -> str:
        return line


_WRITER = csv.writer(_Echo(), quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")


def csv_frame(names: Sequence[str]) -> Frame:
    """What stands around the rows: the names; the mark before them (BOM) makes Excel read the file as UTF-8."""
    return Frame(codecs.BOM_UTF8 + csv_row(names), b"", b"")


def csv_row(values: Sequence[Any]) -> bytes:
    """A row in UTF-8, all texts in quotes."""
    line: str = _WRITER.writerow([_cell(value) for value in values])
    return line.encode()


def harmless(text: str) -> str:
    """A text as a cell shows it: an apostrophe before what could begin a formula, control characters made visible."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _INSIDE.sub(r"\1'", _CONTROL.sub(_visible, text))
    if _BEGINNING.match(text):
        text = f"'{text}"
    if len(text) <= CELL_LIMIT // 2:
        return text
    units = text.encode("utf-16-le")
    if len(units) <= CELL_LIMIT * 2:
        return text
    return units[: (CELL_LIMIT - 1) * 2].decode("utf-16-le", "ignore") + "…"


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = json.dumps(value, ensure_ascii=False)
    return harmless(value) if isinstance(value, str) else value


def _visible(sign: re.Match[str]) -> str:
    """The picture that Unicode has of a control character, `␀` of NUL; those above 127 have none."""
    code = ord(sign[0])
    return "␡" if code == 0x7F else "\ufffd" if code > 0x7F else chr(0x2400 + code)
