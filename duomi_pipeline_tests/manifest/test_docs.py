"""`docs/manifest.md` says what the code does, and its examples run."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.manifest import SCHEMA
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.manifest.harness import query, seed_database, write

DOCS = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The examples in a language."""
    return re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)


@pytest.fixture
def paths(home: Home, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The manifest of two rows of the table and a file, in the current folder."""
    seed_database(home, ["A boat", "A lake"])
    home.write("fox", "A fox")
    home.run()
    monkeypatch.chdir(home.path)
    return write(home)


def test_the_table_of_columns_is_the_codes() -> None:
    table = DOCS.partition("| column | type | meaning |")[2].partition("\n\n")[0]

    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", table, re.MULTILINE)
    assert rows == [(column.name, column.type, column.description) for column in SCHEMA]


def test_the_example_of_data_has_its_shape(paths: dict[str, Path]) -> None:
    (example,) = blocks("json")
    ((data,),) = query(paths["db"], "SELECT data FROM results WHERE prompt_id = 'db_1'")

    assert shape(example) == shape(data)


def shape(data: str) -> list[str]:
    """The names in a `data` object, without the fields of the request."""
    return re.findall(r'"(\w+)":', re.sub(r'("request":) *{.*?}', r"\1", data))


@pytest.mark.usefixtures("paths")
def test_the_example_in_sql_joins_with_the_users_database(home: Home) -> None:
    (example,) = blocks("sql")
    before = (home.path / "data/llm_video_batch.db").read_bytes()
    with closing(sqlite3.connect("data/llm_video_batch.db")) as db:
        attach, question = example.strip().split(";\n", 1)
        db.execute(attach)
        found = db.execute(question).fetchall()

    first, second = (str(path) for path in home.files() if path.name.startswith("db_"))
    assert found == [(1, "name 1", "pan 1", first), (2, "name 2", "pan 2", second)]
    assert (home.path / "data/llm_video_batch.db").read_bytes() == before


@pytest.mark.usefixtures("paths")
def test_the_example_of_a_script_prints_the_pictures_of_the_images(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(blocks("python")[1], {})

    lines = capsys.readouterr().out.splitlines()
    pictures = [str(path) for path in home.files() if path.name.startswith("db_")]
    assert [line.split()[:2] for line in lines] == [["1.jpg", pictures[0]], ["2.jpg", pictures[1]]]


@pytest.mark.usefixtures("paths")
def test_the_example_for_pandas_counts_the_states(capsys: pytest.CaptureFixture[str]) -> None:
    exec(blocks("python")[0], {})

    assert "current    3" in capsys.readouterr().out
