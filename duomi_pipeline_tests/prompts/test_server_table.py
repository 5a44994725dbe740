"""The prompt table on a database server: as from a file, never written, its password never shown."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine, make_url

from duomi_pipeline.prompts import read_sources
from duomi_pipeline.prompts.sources import Sources, shown_database
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.postgres import own_database, postgres_database
from duomi_pipeline_tests.prompts.harness import prompt_database

TABLES = (
    "CREATE TABLE images (id INTEGER PRIMARY KEY, original_filename VARCHAR(200) NOT NULL, descriptive_name VARCHAR(200))",
    "CREATE TABLE prompts (id INTEGER PRIMARY KEY, image_id INTEGER NOT NULL, image_prompt TEXT, video_prompt TEXT)",
    "INSERT INTO images VALUES (1, '1.jpg', 'station')",
    "INSERT INTO prompts VALUES (2, 9, 'a fox', 'pan'), (1, 1, '夜市 🦊', NULL), (3, 1, NULL, NULL)",
)


@pytest.fixture(params=["postgresql", "mysql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of its own; for MySQL where `TEST_MYSQL_URL` names a server."""
    if request.param == "postgresql":
        with postgres_database() as url:
            yield url
        return
    server = os.environ.get("TEST_MYSQL_URL")
    if not server:
        pytest.skip("TEST_MYSQL_URL names no MySQL or MariaDB server")
    with own_database(server, create="CREATE DATABASE {} CHARACTER SET utf8mb4") as url:
        yield url


def fill(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(text(statement))
    engine.dispose()


def look(home: Path, url: str) -> Sources:
    return read_sources(Settings.load(home, database=url))


def test_its_rows_are_prompts_as_those_of_a_file(tmp_path: Path, url: str) -> None:
    fill(url)
    prompts = look(tmp_path, url).table.prompts
    assert [(p.id, p.text, p.image_id, p.name, p.origin) for p in prompts] == [
        ("db_1", "夜市 🦊", 1, "station", "prompts.id=1"),
        ("db_2", "a fox", 9, None, "prompts.id=2"),
    ]
    assert [str(problem) for problem in look(tmp_path, url).table.problems] == ["prompts.id=3: image_prompt is NULL"]


def test_a_database_of_no_encoding_gives_the_rows_that_are_utf8(tmp_path: Path) -> None:
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        pytest.skip("TEST_POSTGRES_URL names no PostgreSQL server")
    create = "CREATE DATABASE {} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with own_database(server, create) as url:
        engine = create_engine(url, client_encoding="utf8")
        with engine.begin() as connection:
            for statement in (*TABLES, "INSERT INTO prompts VALUES (4, 1, E'caf\\351', NULL)"):
                connection.exec_driver_sql(statement)
        engine.dispose()
        table = look(tmp_path, url).table
    assert [(p.id, p.text, p.name) for p in table.prompts] == [("db_1", "夜市 🦊", "station"), ("db_2", "a fox", None)]
    assert "prompts.id=4: image_prompt is not UTF-8 text; write it as UTF-8" in map(str, table.problems)


def test_numeric_ids_are_those_of_whole_numbers(tmp_path: Path, url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(text(statement.replace("INTEGER", "NUMERIC(20, 2)")))
    engine.dispose()
    assert [(p.id, p.image_id) for p in look(tmp_path, url).table.prompts] == [("db_1", 1), ("db_2", 9)]


def test_it_is_read_in_a_transaction_in_which_nothing_can_be_written(tmp_path: Path, url: str) -> None:
    fill(url)
    refused: list[str] = []

    def write(connection: object, cursor: object, statement: str, *_: object) -> None:
        if "FROM prompts" not in statement or refused:
            return
        with pytest.raises(Exception, match=re.compile("read.only transaction", re.IGNORECASE)) as error:
            cursor.execute("DELETE FROM prompts")  # type: ignore[attr-defined]
        refused.append(str(error.value))

    event.listen(Engine, "before_cursor_execute", write)
    try:
        look(tmp_path, url)
    finally:
        event.remove(Engine, "before_cursor_execute", write)

    assert refused
    assert len(look(tmp_path, url).table.prompts) == 2


def test_missing_tables_are_named(tmp_path: Path, url: str) -> None:
    reason = look(tmp_path, url).unreadable["db_"]
    assert "the tables prompts and images of the guide are needed" in reason
    assert reason.startswith(f"{make_url(url).get_backend_name()}://{make_url(url).host}")


def test_a_wrong_password_is_not_shown(tmp_path: Path, url: str) -> None:
    wrong = make_url(url).set(password="findmePASS").render_as_string(hide_password=False)
    reason = look(tmp_path, wrong).unreadable["db_"]
    assert "cannot be read" in reason
    assert "findmePASS" not in reason


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("oracle://u:findme@h/d", "oracle:// is not PostgreSQL, MySQL or SQLite"),
        ("nonsense://u:findme@h/d", "nonsense:// is not PostgreSQL, MySQL or SQLite"),
        ("postgresql://u:findme@h:port/d", "neither a path nor a SQLAlchemy URL"),
        ("postgresql://u:findme@127.0.0.1:1/d", "postgresql://127.0.0.1:1/d cannot be read"),
        ("mysql+mysqldb://u:findme@h/d", "pip install 'duomi-pipeline[mysql]'"),
        ("postgresql+asyncpg://u:findme@h/d", "pip install 'duomi-pipeline[postgres]'"),
    ],
)
def test_what_cannot_be_used_is_a_sentence_without_the_password(tmp_path: Path, url: str, words: str) -> None:
    settings = Settings.load(tmp_path, database=url)
    reason = read_sources(settings).unreadable["db_"]
    assert words in reason
    for shown in (reason, repr(settings), shown_database(settings)):
        assert "findme" not in shown


def test_an_sqlite_url_is_the_file_that_it_names(tmp_path: Path) -> None:
    prompt_database(tmp_path / "x.db", ["a train"])
    assert [prompt.text for prompt in look(tmp_path, "sqlite:///x.db").prompts] == ["a train"]
    assert "No database at" in look(tmp_path, f"sqlite:///{tmp_path}/none.db").unreadable["db_"]
    assert not (tmp_path / "none.db").exists()
