"""`results.db`: types, joins, and readers that have it open."""

import sqlite3
from contextlib import closing

from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.manifest.harness import query, seed_database, table, write


def test_columns_hold_real_types(home: Home) -> None:
    seed_database(home, ["A boat"])
    home.run()
    db = write(home)["db"]

    kinds = query(
        db,
        "SELECT typeof(prompt), typeof(prompt_row_id), typeof(image_id), typeof(success), typeof(bytes), typeof(seed),"
        " typeof(cost), typeof(made_at), typeof(error) FROM results",
    )
    assert kinds == [("text", *["integer"] * 5, "real", "text", "null")]
    assert query(db, "SELECT typeof(position), typeof(bytes), typeof(path) FROM pictures") == [
        ("integer", "integer", "text")
    ]
    assert query(db, "SELECT abs(julianday('now') - julianday(made_at)) < 1 FROM pictures") == [(1,)]
    assert query(db, "SELECT json_extract(data, '$.images[0].path') = saved_path FROM results") == [(1,)]


def test_the_view_has_a_row_for_each_picture_that_is_there(home: Home) -> None:
    seed_database(home, ["A boat", "A lake"])
    home.write("fox", "A fox")
    home.run(batch_size=2)
    home.write("waiting", "A lantern")
    gone = next(path for path in home.files() if path.name.startswith("db_2"))
    gone.unlink()

    db = write(home, batch_size=2)["db"]

    found = query(
        db,
        "SELECT prompt_id, prompt_row_id, image_id, position, state FROM generated_images ORDER BY prompt_id, position",
    )
    assert found == [
        ("db_1", 1, 101, 0, "current"),
        ("db_1", 1, 101, 1, "current"),
        ("json_fox", None, None, 0, "current"),
        ("json_fox", None, None, 1, "current"),
    ]
    shown = {path for (path,) in query(db, "SELECT path FROM generated_images")}
    assert shown == {str(path) for path in home.files() if not path.name.startswith("db_2")}
    columns = query(db, "SELECT size, model, seed, host_kind, made_at FROM generated_images LIMIT 1")[0]
    assert columns[:4] == ("72x128", home.settings().model, 51515151, "local")


def test_joins_by_row_and_by_image_use_an_index(home: Home) -> None:
    db = write(home)["db"]

    for column in ("prompt_row_id", "image_id"):
        plan = query(db, f"EXPLAIN QUERY PLAN SELECT path FROM generated_images WHERE {column} = ?", 1)
        assert any(f"USING INDEX results_by_{column}" in step[-1] for step in plan)
        assert not any("SCAN" in step[-1] for step in plan)


def test_an_open_reader_reads_to_the_end_what_it_began(home: Home) -> None:
    home.write_many(3)
    db = write(home)["db"]
    with closing(sqlite3.connect(db)) as reader:
        begun = reader.execute("SELECT prompt_id FROM results ORDER BY prompt_id")
        first = begun.fetchone()
        home.write("z", "A new one")
        write(home)

        assert [first, *begun] == [("json_p00",), ("json_p01",), ("json_p02",)]
        assert reader.execute("SELECT count(*), (SELECT count(*) FROM pictures) FROM results").fetchone() == (3, 0)

    assert query(db, "SELECT count(*) FROM results") == [(4,)]
    assert query(db, "PRAGMA integrity_check") == [("ok",)]


def test_it_is_there_without_a_prompt(home: Home) -> None:
    db = write(home)["db"]

    assert query(db, "SELECT count(*) FROM generated_images") == [(0,)]
    assert len(query(db, "SELECT name FROM pragma_table_info('results')")) == len(table(home).columns)
