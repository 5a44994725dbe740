"""The manifest as JSON: an array, one row a line, readable for people and `grep`."""

import json
from collections.abc import Sequence
from typing import Any

from duomi_pipeline.manifest.text_file import Frame

JSON_FRAME = Frame(b"[", b",", b"\n]\n")


def json_row(names: Sequence[str], values: Sequence[Any]) -> bytes:
    """A row in UTF-8, with the line break before it."""
    record = dict(zip(names, values, strict=True))
    record["data"] = json.loads(record["data"]) if record["data"] else None
    return b"\n" + json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
