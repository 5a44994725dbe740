"""The manifest as an SQLite file, for scripts that join it with the user's own database."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import (
    REAL,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    insert,
    text,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine

from duomi_pipeline.manifest.columns import SCHEMA, Type
from duomi_pipeline.prompts import Problem

# SQLite has no times and no lists: ISO 8601, which its date functions read, and JSON, which its JSON functions read.
_TYPES: Mapping[Type, TypeEngine[Any]] = {
    "text": Text(),
    "integer": Integer(),
    "number": REAL(),
    "boolean": Boolean(),
    "time": Text(),
    "list of text": Text(),
    "JSON": Text(),
}
_KEY = "prompt_id"
_metadata = MetaData()
_results = Table(
    "results",
    _metadata,
    *(Column(column.name, _TYPES[column.type], primary_key=column.name == _KEY) for column in SCHEMA),
)
Index("results_by_prompt_row_id", _results.c.prompt_row_id)
Index("results_by_image_id", _results.c.image_id)
_pictures = Table(
    "pictures",
    _metadata,
    Column(_KEY, Text, ForeignKey(_results.c.prompt_id), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("path", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("size", Text, nullable=False),
    Column("received_size", Text, nullable=False),
    Column("how", Text, nullable=False),
    Column("made_at", Text, nullable=False),
)
_left_out = Table("left_out", _metadata, Column("origin", Text, nullable=False), Column("reason", Text, nullable=False))
_VIEW = """
CREATE VIEW generated_images AS
SELECT r.prompt_id, r.prompt_row_id, r.image_id, p.position, p.path, p.bytes, p.size, p.made_at,
       r.model, r.seed, r.host_kind, r.state
FROM pictures p JOIN results r ON r.prompt_id = p.prompt_id
"""


def write_database(
    names: Sequence[str], rows: Sequence[Sequence[Any]], left_out: Sequence[Problem], path: Path
) -> None:
    """Write a new SQLite file: tables `results`, `pictures` and `left_out`, view `generated_images`.

    Raises:
        OSError: the file cannot be written, or the disk is full.
    """
    results = [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in rows]
    pictures = [picture for row in results for picture in _pictures_of(row)]
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool, hide_parameters=True)
    try:
        with engine.begin() as connection:
            _fill(
                connection,
                {_results: results, _pictures: pictures, _left_out: [asdict(problem) for problem in left_out]},
            )
    except OperationalError as error:
        raise OSError(f"{path}: {error.orig}") from error


def _fill(connection: Connection, content: Mapping[Table, Sequence[Any]]) -> None:
    connection.exec_driver_sql("PRAGMA journal_mode=OFF")  # a new file that nobody knows needs no way back
    connection.exec_driver_sql("PRAGMA page_size=16384")  # of 4096, a row with a long prompt would waste half
    _metadata.create_all(connection)
    connection.execute(text(_VIEW))
    for table, rows in content.items():
        if rows:
            connection.execute(insert(table), rows)


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _pictures_of(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    images = json.loads(row["data"])["images"] if row["data"] else []
    for position, image in enumerate(images):
        yield {_KEY: row[_KEY], "position": position, **image}
