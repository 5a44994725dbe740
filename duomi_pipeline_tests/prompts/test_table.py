"""The prompt table: read without touching it, patient with writers, plain about what is missing."""

import os
import re
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from duomi_pipeline.prompts import Reading, SourceError
from duomi_pipeline.prompts.table import fetch_rows, table_prompts
from duomi_pipeline_tests.prompts.harness import SCHEMA, prompt_database

_NOBODY = 65534  # a user without rights


def read(path: Path) -> Reading:
    return table_prompts(fetch_rows(path))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_rows_become_prompts_in_the_order_of_their_ids(tmp_path: Path) -> None:
    path = prompt_database(tmp_path / "x.db", ["a boat", "a train"], names=["harbour", "station"])
    first, second = read(path).prompts
    assert (first.id, first.text, first.source, first.origin) == (
        "db_1",
        "a boat",
        "database",
        "prompts.id=1",
    )
    assert (first.file_prefix, first.image_id) == ("db_1", 1)
    assert second.id == "db_2"


@pytest.mark.parametrize(
    "text",
    [
        "'); DROP TABLE prompts; --",
        " two\n\nlines\t",
        "霓虹灯下的雨夜 🌧",
        "<script>alert(1)</script>",
        "=cmd|'/c calc'!A1",
        "x" * 50_000,
        "a\x00b",
    ],
)
def test_a_text_is_taken_as_it_is(tmp_path: Path, text: str) -> None:
    path = prompt_database(tmp_path / "x.db", [text, "after"])
    assert [prompt.text for prompt in read(path).prompts] == [text, "after"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "NULL"), ("", "empty"), (" \n\t ", "empty"), (b"\xff\xd8", "not text but bytes")],
)
def test_a_row_without_a_prompt_is_reported_and_stops_nothing(tmp_path: Path, value: object, reason: str) -> None:
    reading = read(prompt_database(tmp_path / "x.db", ["before", value, "after"]))
    assert [prompt.id for prompt in reading.prompts] == ["db_1", "db_3"]
    (problem,) = reading.problems
    assert problem.origin == "prompts.id=2"
    assert reason in problem.reason


def test_a_row_whose_image_is_gone_is_still_a_prompt(tmp_path: Path) -> None:
    path = prompt_database(tmp_path / "x.db", ["a", "b"], names=["only the first"])
    described = table_prompts(fetch_rows(path), "descriptive").prompts
    assert [(prompt.image_id, prompt.file_prefix) for prompt in described] == [
        (1, "db_only the first"),
        (2, "db_2"),
    ]


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("sunset_harbour", "db_sunset_harbour"),
        ("日落", "db_日落"),
        ("../../etc/passwd", "db_.._.._etc_passwd"),
        ("", "db_1"),
        ("  ", "db_1"),
        (None, "db_1"),
        (b"\xff", "db_1"),
        ("n" * 400, "db_" + "n" * 197),
    ],
)
def test_pictures_can_be_named_by_the_descriptive_name(tmp_path: Path, name: object, prefix: str) -> None:
    path = prompt_database(tmp_path / "x.db", ["a"], names=[name])
    (prompt,) = table_prompts(fetch_rows(path), "descriptive").prompts
    assert (prompt.id, prompt.file_prefix) == ("db_1", prefix)


@pytest.mark.parametrize("encoding", ["gbk", "cp1252", "utf-16-le"])
def test_a_prompt_in_another_encoding_is_named_and_not_bought_garbled(tmp_path: Path, encoding: str) -> None:
    path = prompt_database(tmp_path / "x.db", ["雨中的灯塔", "Un café à l'aube"])
    written = {"gbk": ("雨中的灯塔", 1), "cp1252": ("Un café à l'aube", 2), "utf-16-le": ("雨中的灯塔", 1)}
    text, row = written[encoding]
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE prompts SET image_prompt = CAST(? AS TEXT) WHERE id = ?", (text.encode(encoding), row))
        db.commit()
    reading = read(path)
    assert len(reading.prompts) == 1
    (problem,) = reading.problems
    assert (problem.origin, "not UTF-8" in problem.reason) == (f"prompts.id={row}", True)


def test_a_name_in_another_encoding_is_no_matter(tmp_path: Path) -> None:
    path = prompt_database(tmp_path / "x.db", ["a"], names=["x"])
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE images SET descriptive_name = CAST(X'61FF62' AS TEXT)")
        db.commit()
    (prompt,) = read(path).prompts
    assert (prompt.text, prompt.name) == ("a", "a\N{REPLACEMENT CHARACTER}b")


def test_an_edited_video_prompt_changes_no_version(tmp_path: Path) -> None:
    path = prompt_database(tmp_path / "x.db", ["a"])
    before = read(path).prompts[0].version
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE prompts SET video_prompt = 'zoom'")
        db.commit()
        assert read(path).prompts[0].version == before
        db.execute("UPDATE prompts SET image_prompt = 'b'")
        db.commit()
    assert read(path).prompts[0].version != before


# --- the database belongs to others ------------------------------------------------------------------


def test_reading_leaves_database_and_folder_as_they_were(tmp_path: Path) -> None:
    path = prompt_database(tmp_path / "x.db", ["a"])
    before = snapshot(tmp_path)
    fetch_rows(path)
    assert snapshot(tmp_path) == before


def test_the_transaction_of_a_writer_that_died_is_not_rolled_back_by_reading(tmp_path: Path) -> None:
    path = prompt_database(tmp_path / "x.db", ["a" * 5000] * 50)
    copy = tmp_path / "copy"
    copy.mkdir()
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("UPDATE prompts SET image_prompt = image_prompt || 'b'")
        for left_behind in tmp_path.glob("x.db*"):
            shutil.copy(left_behind, copy)
    before = snapshot(copy)
    with pytest.raises(SourceError, match=r"x\.db-journal has what it would undo; open the database once with"):
        fetch_rows(copy / "x.db")
    assert "x.db-journal" in before
    assert snapshot(copy) == before


def test_rows_of_a_database_in_wal_mode_are_read_while_it_is_written(tmp_path: Path) -> None:
    path = prompt_database(tmp_path / "x.db", ["a"])
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("UPDATE prompts SET image_prompt = 'committed'")
        writer.commit()
        writer.execute("UPDATE prompts SET image_prompt = 'not yet'")
        assert [row[2] for row in fetch_rows(path, lock_wait=0.1)] == ["committed"]


def test_a_table_held_by_a_writer_is_read_when_the_writer_lets_go(tmp_path: Path) -> None:
    path = prompt_database(tmp_path / "x.db", ["old"])
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("UPDATE prompts SET image_prompt = 'new'")
        release = threading.Timer(0.3, writer.execute, ["COMMIT"])
        release.start()
        rows = fetch_rows(path, lock_wait=20)
        release.join()
    assert [row[2] for row in rows] == ["new"]


def test_a_lock_that_is_never_released_is_named(tmp_path: Path) -> None:
    path = prompt_database(tmp_path / "x.db", ["a"])
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceError, match=r"locked by another program for more than 0\.1 s"):
            fetch_rows(path, lock_wait=0.1)


@contextmanager
def shut(folder: Path) -> Iterator[None]:
    """A folder in which nobody can write, also where the tests run as root."""
    for path in (folder, *folder.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


@pytest.fixture
def medium() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def wal_copy(tmp_path: Path, medium: Path, endings: Sequence[str], *, is_open: bool) -> Path:
    """A copy of a database in WAL mode, taken while its writer has it open or after it has closed it."""
    path = prompt_database(tmp_path / "x.db", ["a"])
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("UPDATE prompts SET image_prompt = 'committed'")
        writer.commit()
        if not is_open:
            writer.close()
        for ending in endings:
            shutil.copy(f"{path}{ending}", medium)
    return medium / path.name


def test_a_database_in_wal_mode_is_read_where_nobody_can_write(tmp_path: Path, medium: Path) -> None:
    path = wal_copy(tmp_path, medium, [""], is_open=False)
    with shut(medium):
        assert [row[2] for row in fetch_rows(path)] == ["committed"]
    assert [left.name for left in medium.iterdir()] == ["x.db"]


def test_a_log_that_cannot_be_read_there_is_never_passed_over(tmp_path: Path, medium: Path) -> None:
    path = wal_copy(tmp_path, medium, ["", "-wal"], is_open=True)
    with shut(medium), pytest.raises(SourceError, match=r"x\.db-wal has changes .* copy both files to one that can"):
        fetch_rows(path)


def test_a_missing_column_is_named_there_too(tmp_path: Path, medium: Path) -> None:
    path = wal_copy(tmp_path, medium, [""], is_open=False)
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE prompts RENAME image_prompt TO text")
    with shut(medium), pytest.raises(SourceError, match=r"no such column: p\.image_prompt"):
        fetch_rows(path)


# --- tables as pandas and others make them -------------------------------------------------------------

PANDAS = """
CREATE TABLE images (id REAL, original_filename TEXT, descriptive_name TEXT);
CREATE TABLE prompts (id REAL, image_id REAL, image_prompt TEXT);
INSERT INTO images VALUES (1.0, '1.jpg', 'station'), (3.0, '3.jpg', 'harbour');
INSERT INTO prompts VALUES (1.0, 1.0, 'a boat'), (2.0, NULL, 'a train'), (3.0, 3.0, 'a fox');
"""


def made_by(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    return path


def test_ids_that_are_real_are_those_of_whole_numbers(tmp_path: Path) -> None:
    path = made_by(tmp_path / "x.db", PANDAS)
    prompts = read(path).prompts
    assert [(p.id, p.origin, p.file_prefix, p.image_id, p.name) for p in prompts] == [
        ("db_1", "prompts.id=1", "db_1", 1, "station"),
        ("db_2", "prompts.id=2", "db_2", None, None),
        ("db_3", "prompts.id=3", "db_3", 3, "harbour"),
    ]
    assert [str(note) for note in read(path).notes] == [
        "prompts.id=2: image_id is NULL: its picture is shown beside no image"
    ]


def test_a_row_without_a_usable_id_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    more = (
        "INSERT INTO prompts VALUES (NULL, 1, 'no id'), (1.5, 1, 'half an id'), (9e99, 1, 'not exact'), (1, 1, 'twin');"
    )
    reading = read(made_by(tmp_path / "x.db", PANDAS + more))
    assert [prompt.id for prompt in reading.prompts] == ["db_1", "db_2", "db_3"]
    assert sorted(map(str, reading.problems)) == [
        "prompts.id=1.5: its id is neither a whole number nor text but float",
        "prompts.id=1: an earlier row has the same id",
        "prompts.id=9e+99: its id is neither a whole number nor text but float",
        "prompts.id=None: its id is NULL; give the row one",
    ]


def test_prompts_and_images_may_be_views(tmp_path: Path) -> None:
    views = """
    ALTER TABLE prompts RENAME TO texts;
    ALTER TABLE images RENAME TO files;
    CREATE VIEW images AS SELECT * FROM files;
    CREATE VIEW prompts AS SELECT t.id, t.image_id, upper(t.image_prompt) AS image_prompt FROM texts t;
    """
    prompts = read(made_by(tmp_path / "x.db", PANDAS + views)).prompts
    assert [(prompt.id, prompt.text) for prompt in prompts] == [
        ("db_1", "A BOAT"),
        ("db_2", "A TRAIN"),
        ("db_3", "A FOX"),
    ]


# --- what is missing is named ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("DROP TABLE prompts", "no such table: prompts"),
        ("DROP TABLE images", "no such table: images"),
        ("ALTER TABLE prompts RENAME image_prompt TO text", "no such column: p.image_prompt"),
        ("ALTER TABLE images RENAME descriptive_name TO name", "no such column: i.descriptive_name"),
    ],
)
def test_a_missing_table_or_column_is_named(tmp_path: Path, change: str, missing: str) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"{SCHEMA}; {change};")
    with pytest.raises(SourceError, match=re.escape(missing)) as caught:
        fetch_rows(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"these are notes, not tables\n" * 99, "not a database"), (b"", "no such table")]
)
def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=reason) as caught:
        fetch_rows(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_missing_database_is_named_and_not_made(tmp_path: Path, is_folder: bool) -> None:
    path = tmp_path / "x.db"
    if is_folder:
        path.mkdir()
    with pytest.raises(SourceError, match="DUOMI_DATABASE") as caught:
        fetch_rows(path)
    assert str(path) in str(caught.value)
    assert path.is_dir() == is_folder
    assert not path.is_file()


@pytest.mark.parametrize("name", ["with space.db", "100%.db", "what?mode=rwc.db", "a#b.db", "库.db"])
def test_the_database_may_have_any_name(tmp_path: Path, name: str) -> None:
    assert [prompt.text for prompt in read(prompt_database(tmp_path / name, ["a"])).prompts] == ["a"]
