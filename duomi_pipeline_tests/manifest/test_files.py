"""The four files: what they hold, in which types, and that they are there whole or not at all."""

import json
import os
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from duomi_pipeline.manifest import COLUMNS, DESCRIPTIONS, write_manifest
from duomi_pipeline.prompts import read_sources
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.manifest.harness import query, seed_database, write

HOSTILE = {
    "html": "</script><img src=x onerror=alert(1)> & &amp; <!--",
    "quotes": "\"double\" 'single' `back` \\ \\\" ; -- ' OR 1=1; DROP TABLE results;",
    "emoji": "🦊👩‍👩‍👧‍👦 e\u0301 ﷽ \U0010ffff",
    "right_to_left": "\u202eevil\u202c שלום العربية \u200f",
    "formula": '=HYPERLINK("http://evil.example";"x")\n=1+1;@SUM(1)\t+2',
    "control": "a\x00b\x01\x1b[31m\x7f\x85\u2028\u2029\r\nc\rd\te",
    "null": "NA",
    "long": "长 and short 🦊 " * 4_000,
}


@pytest.fixture
def filled(home: Home) -> Home:
    """A row of the table, a file with pictures, one that was refused, one that waits; the manifest is written."""
    seed_database(home, ["A boat, 山水"])
    home.write("fox", 'A "quoted" fox\nin two lines')
    home.write("hare", "A hare")
    home.sandbox.change_faults(refuse=("hare",))
    home.run(batch_size=2)
    home.write("waiting", "A lantern")
    write(home, batch_size=2)
    return home


def test_parquet_json_csv_and_sqlite_tell_the_same(filled: Home) -> None:
    folder = filled.path / "out/manifest"
    exact = pd.read_parquet(folder / "results.parquet")
    types = {name: kind for name, kind in COLUMNS.items() if name != "made_at"}
    shown = pd.read_csv(
        folder / "results.csv", dtype=types, parse_dates=["made_at"], keep_default_na=False, na_values=[""]
    )
    told = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    asked = [dict(zip(COLUMNS, row, strict=True)) for row in query(folder / "results.db", "SELECT * FROM results")]

    endings = ("csv", "db", "json", "parquet")
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    assert files == ["left_out.json", *(f"results.{e}" for e in endings)]
    assert list(exact["state"]) == ["current", "current", "failed_for_good", "missing"]
    for row in told:
        row["data"] = json.dumps(row["data"], ensure_ascii=False) if row["data"] else None
    pd.testing.assert_frame_equal(frame(told), frame(exact.to_dict("records")))
    for rows in (shown.to_dict("records"), asked):
        read = [{**row, "saved_paths": json.loads(str(row["saved_paths"]))} for row in rows]
        pd.testing.assert_frame_equal(frame(read), frame(told))


def frame(rows: Sequence[Mapping[Any, Any]]) -> pd.DataFrame:
    """Rows of any format in the manifest's own types."""
    found = pd.DataFrame({name: pd.Series([row[name] for row in rows]) for name in COLUMNS})
    found["made_at"] = pd.to_datetime(found["made_at"], utc=True)
    found["saved_paths"] = [list(paths) for paths in found["saved_paths"]]
    return found.astype(COLUMNS)


def test_columns_have_real_types_and_descriptions_in_parquet_also_without_a_row(home: Home) -> None:
    schema = pq.read_schema(write(home)["parquet"])

    assert schema.names == list(COLUMNS)
    assert schema.field("made_at").type == pa.timestamp("ms", tz="UTC")
    assert schema.field("saved_paths").type == pa.list_(pa.string())
    assert (schema.field("cost").type, schema.field("seed").type) == (pa.float64(), pa.int64())
    described = {field.name: (field.metadata or {})[b"description"].decode() for field in schema}
    assert described == DESCRIPTIONS


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_prompt_is_exact_in_parquet_json_and_sqlite(home: Home, name: str) -> None:
    home.write(name, HOSTILE[name], negative_prompt=HOSTILE[name][:9_000])
    home.run()

    paths = write(home)

    (told,) = json.loads(paths["json"].read_text(encoding="utf-8"))
    assert told["prompt"] == HOSTILE[name]
    assert told["data"]["request"]["negative_prompt"] == HOSTILE[name][:9_000].strip()
    assert pd.read_parquet(paths["parquet"])["prompt"].tolist() == [HOSTILE[name]]
    ((prompt, data),) = query(paths["db"], "SELECT prompt, data FROM results")
    assert (prompt, json.loads(data)) == (HOSTILE[name], told["data"])
    assert query(paths["db"], "SELECT count(*) FROM pictures") == [(1,)]


def test_where_one_file_cannot_be_written_all_stay_as_they_were(filled: Home) -> None:
    folder = filled.path / "out/manifest"
    before = contents(folder)

    with filled.session() as session:  # of another batch size: its rows changed
        plan = session.plan(read_sources(session.settings).prompts)
        with room_for(60_000), pytest.raises(OSError, match=r"results\.db-\w+"):  # the largest
            write_manifest(session, plan, [], folder)

    assert contents(folder) == before


def test_what_gives_no_row_is_named_in_a_file_and_a_table_of_its_own(home: Home) -> None:
    home.write("fox", "A fox")
    for name in ("blank \x1b[31m", "=1+1"):
        home.write(name, " ")
        os.utime(home.path / f"out/prompt_json/{name}.json", (0, 0))
    paths = write(home)
    told = json.loads(paths["json"].with_name("left_out.json").read_text(encoding="utf-8"))
    assert told == [
        {"origin": "=1+1.json", "reason": '"image_prompt" is empty'},
        {"origin": "blank \x1b[31m.json", "reason": '"image_prompt" is empty'},
    ]
    assert query(paths["db"], "SELECT origin, reason FROM left_out") == [tuple(row.values()) for row in told]


def test_where_nothing_is_left_out_the_file_says_so(filled: Home) -> None:
    paths = write(filled)
    assert json.loads(paths["json"].with_name("left_out.json").read_text()) == []
    assert query(paths["db"], "SELECT * FROM left_out") == []


def test_drafts_of_killed_processes_are_removed_and_those_of_living_ones_are_not(home: Home) -> None:
    folder = home.path / "out/manifest"
    folder.mkdir(parents=True)
    old, fresh = folder / ".results.csv-0.draft", folder / ".results.csv-1.draft"
    for draft in (old, fresh):
        draft.touch()
    os.utime(old, (time.time() - 7200,) * 2)

    write(home)

    assert (old.exists(), fresh.exists()) == (False, True)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow over a size in bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
