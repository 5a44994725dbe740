"""What is written again: rows that changed, and nothing where none did; the files are as if all had been written."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from duomi_pipeline.engine import State
from duomi_pipeline.engine.looking import Manner, look
from duomi_pipeline.manifest import planned_rows, write_manifest
from duomi_pipeline.manifest.edition import Edition, Kept, places_of
from duomi_pipeline.manifest.table import Table, plain
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.manifest.harness import query, seed_database, write

NAMES = ("results.parquet", "results.csv", "results.json", "results.db", "left_out.json")


@pytest.fixture
def mixed(home: Home) -> Home:
    """Rows and files in every state, with several pictures, copies, and a file that gives no prompt; written once."""
    seed_database(home, ["A boat", "A lake", "The same"])
    for name, text in {"b": "A fox", "d": "The same", "f": "A hare", "h": "An owl"}.items():
        home.write(name, text)
    home.write("k", "A moose", negative_prompt="antlers")
    home.sandbox.change_faults(refuse=("hare",))
    home.run(batch_size=2)
    home.write("b", "Another fox")
    home.write("empty", "  ")
    os.utime(home.path / "out/prompt_json/empty.json", (0, 0))
    next(path for path in home.files() if path.name.startswith("h_")).unlink()
    write(home, batch_size=2)
    return home


def stands(folder: Path) -> dict[str, tuple[int, int]]:
    """Which file each is, and when it was written."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def told(folder: Path) -> list[Any]:
    """All that the files say."""
    tables = ("results", "pictures", "left_out", "generated_images")
    return [
        *((folder / name).read_bytes() for name in ("results.csv", "results.json", "left_out.json")),
        pq.read_table(folder / "results.parquet").to_pylist(),
        *(query(folder / "results.db", f"SELECT * FROM {table}") for table in tables[:1]),
        *(sorted(query(folder / "results.db", f"SELECT * FROM {table}")) for table in tables[1:3]),
        query(folder / "results.db", "PRAGMA integrity_check"),
    ]


def updated(home: Home, **changes: Any) -> dict[str, dict[str, Any]]:
    """Write the manifest again, and into an empty folder: both say the same. Returns its rows by id."""
    settings = {"batch_size": 2, **changes}
    with home.session(**settings) as session:
        problems = look(session.ledger, session.settings, Manner.MEANT).problems
        plan = session.plan_registered()
        folder, fresh = home.path / "out/manifest", home.path / f"fresh{len(list(home.path.glob('fresh*')))}"
        for place in (folder, fresh):
            write_manifest(session, plan, problems, place)
    assert told(folder) == told(fresh)
    return rows(home)


def rows(home: Home) -> dict[str, dict[str, Any]]:
    found = json.loads((home.path / "out/manifest/results.json").read_text(encoding="utf-8"))
    return {row["prompt_id"]: row for row in found}


def changed(home: Home, **changes: Any) -> set[str]:
    """Ids of the rows that are other ones after the manifest was written again."""
    before = rows(home)
    after = updated(home, **changes)
    return {key for key in {*before, *after} if before.get(key) != after.get(key)}


def test_rows_made_in_bulk_are_those_of_the_plan(mixed: Home) -> None:
    with mixed.session(batch_size=2) as session:
        plan = session.plan(look(session.ledger, session.settings).completed(session.ledger).prompts)
        (bulk,) = Table(session, plan).rows([entry.prompt.id for entry in plan.entries])
        assert bulk == [plain(row) for row in planned_rows(session, plan.entries)]
    assert {entry.state for entry in plan.entries} == {
        State.CURRENT, State.CHANGED, State.FAILED_FOR_GOOD, State.MISSING
    }  # fmt: skip


def test_where_nothing_changed_no_file_is_touched(mixed: Home) -> None:
    folder = mixed.path / "out/manifest"
    before = stands(folder)

    updated(mixed)

    assert stands(folder) == before
    assert {*NAMES, ".written.json"} == before.keys()


def test_of_one_changed_prompt_the_row_alone_differs(mixed: Home) -> None:
    mixed.write("d", "Not the same")

    assert changed(mixed) == {"json_d"}


def test_a_new_picture_a_deleted_one_and_one_that_was_put_back_are_seen(mixed: Home) -> None:
    mixed.run({State.MISSING}, batch_size=2)
    assert changed(mixed) == {"json_h"}

    gone = next(path for path in mixed.files() if path.name.startswith("k_"))
    gone.rename(mixed.path / "away.png")
    assert changed(mixed) == {"json_k"}
    assert rows(mixed)["json_k"]["saved_path"] is None

    (mixed.path / "away.png").rename(gone)
    assert changed(mixed) == {"json_k"}


def test_a_renamed_picture_is_seen(mixed: Home) -> None:
    old = next(path for path in mixed.files() if path.name.startswith("k_"))
    new = old.rename(old.with_name("moose.png"))

    assert changed(mixed) == {"json_k"}
    assert str(new) in rows(mixed)["json_k"]["saved_paths"]


def test_rows_come_and_go_in_the_order_of_their_sources(mixed: Home) -> None:
    for name in ("a", "c", "z"):
        mixed.write(name, f"A picture of {name}")
    (mixed.path / "out/prompt_json/f.json").unlink()

    assert changed(mixed) == {"json_a", "json_c", "json_f", "json_z"}
    assert [*rows(mixed)] == ["db_1", "db_2", "db_3", *(f"json_{name}" for name in "abcdhkz")]


def test_where_no_place_is_left_between_two_rows_all_are_written(mixed: Home) -> None:
    note = mixed.path / "out/manifest/.written.json"
    imprint, rows_ = note.read_text().splitlines()
    written = json.loads(rows_)
    places = list(range(1, len(written["places"]) + 1))
    note.write_text(f"{imprint}\n{json.dumps({**written, 'places': places})}")
    mixed.write("c", "A cat")

    assert changed(mixed) == {"json_c"}


def test_places_leave_the_old_ones_as_they_are() -> None:
    old = Edition(places=[100, 200, 300])

    assert places_of(old, [["a"], Kept(0, 1), ["b", "c", "d"], Kept(1, 3)]) == [50, 100, 125, 150, 175, 200, 300]
    assert len(places_of(Edition(places=[1, 2]), [Kept(0, 1), ["a"], Kept(1, 2)])) < 3


def test_what_is_left_out_is_written_again_when_it_changes(mixed: Home) -> None:
    (mixed.path / "out/prompt_json/empty.json").unlink()

    assert changed(mixed) == set()
    assert json.loads((mixed.path / "out/manifest/left_out.json").read_text()) == []


def test_other_settings_give_other_rows(mixed: Home) -> None:
    assert changed(mixed, num_inference_steps=21) >= {"json_h", "json_k", "db_1"}
    assert rows(mixed)["json_k"]["state"] == State.OUTDATED

    mixed.images.rename(mixed.path / "elsewhere")
    moved = updated(mixed, num_inference_steps=21, image_dir="elsewhere")

    assert moved["json_k"]["saved_path"].startswith(str(mixed.path / "elsewhere"))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_somebody_else_wrote_or_removed_is_written_again(mixed: Home, name: str) -> None:
    file = mixed.path / "out/manifest" / name
    file.write_bytes(file.read_bytes()[::-1])
    assert changed_after(mixed) == set()

    file.unlink()
    assert changed_after(mixed) == set()


def changed_after(home: Home) -> set[str]:
    """The files in order again; ids of rows that the JSON does not have as before."""
    with home.session(batch_size=2) as session:
        plan = session.plan(look(session.ledger, session.settings).completed(session.ledger).prompts)
        expected = [plain(row)[0] for row in planned_rows(session, plan.entries)]
    return {*updated(home)} ^ {*expected}


def test_a_note_that_nobody_can_read_is_no_reason_to_fail(mixed: Home) -> None:
    (mixed.path / "out/manifest/.written.json").write_text('{"about": 1, "what": []}')

    assert changed(mixed) == set()


def test_a_death_between_two_renames_leaves_nothing_that_is_kept(mixed: Home) -> None:
    folder = mixed.path / "out/manifest"
    before = (folder / "results.json").read_bytes()
    mixed.write("d", "Not the same")
    updated(mixed)
    (folder / "results.json").write_bytes(before)  # the one that was not renamed any more
    (folder / ".results.json-0.draft").write_bytes(before[:100])

    updated(mixed)

    assert rows(mixed)["json_d"]["prompt"] == "Not the same"
