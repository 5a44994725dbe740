"""Dagster's history of a home with many prompts, in seconds: what it has of one drawn prompt is copied for all others.

Reporting an event takes about 1 ms, and there are three of each prompt: planned, materialized and observed.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from duomi_pipeline.prompts import Prompt

INDEX = "history/runs/index.db"  # of all runs, in `DAGSTER_HOME`
_AT_ONCE = 10_000  # prompts per transaction
_EVENTS = "id, run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition"
_TAGS = "event_id, asset_key, key, value, event_timestamp"


def copy_history(dagster_home: Path, drawn: Prompt, others: Sequence[Prompt]) -> None:
    """Give other prompts the events that Dagster has of a drawn one.

    Events go into the index of all runs only, which answers every question about partitions.

    Args:
        dagster_home: with the history on SQLite.
        drawn: a prompt whose picture was made by a run of Dagster.
        others: those that have none yet.
    """
    with closing(sqlite3.connect(dagster_home / INDEX)) as database:
        query = f"SELECT {_EVENTS} FROM event_logs WHERE partition = ?"
        events = database.execute(query, (drawn.id,)).fetchall()
        query = f"SELECT {_TAGS} FROM asset_event_tags WHERE event_id = ?"
        tags = [database.execute(query, event[:1]).fetchall() for event in events]
        (last,) = database.execute("SELECT max(id) FROM event_logs").fetchone()
        remaining = enumerate(others)
        while some := list(islice(remaining, _AT_ONCE)):
            with database:
                rows = _event_rows(events, drawn, some, last + 1)
                database.executemany(f"INSERT INTO event_logs ({_EVENTS}) VALUES ({_marks(8)})", rows)
                rows = _tag_rows(tags, drawn, some, last + 1)
                database.executemany(f"INSERT INTO asset_event_tags ({_TAGS}) VALUES ({_marks(5)})", rows)


def _event_rows(
    events: Sequence[Any], drawn: Prompt, others: Iterable[tuple[int, Prompt]], first: int
) -> Iterator[tuple[Any, ...]]:
    for place, prompt in others:
        for number, (_, run_id, event, *values, _) in enumerate(events):
            text = event.replace(json.dumps(drawn.id), json.dumps(prompt.id)).replace(drawn.version, prompt.version)
            yield first + place * len(events) + number, run_id, text, *values, prompt.id


def _tag_rows(
    tags: Sequence[Sequence[Any]], drawn: Prompt, others: Iterable[tuple[int, Prompt]], first: int
) -> Iterator[tuple[Any, ...]]:
    for place, prompt in others:
        for number, of_event in enumerate(tags):
            for _, asset_key, key, value, at in of_event:
                copied = prompt.version if value == drawn.version else value
                yield first + place * len(tags) + number, asset_key, key, copied, at


def _marks(count: int) -> str:
    return ", ".join("?" * count)
