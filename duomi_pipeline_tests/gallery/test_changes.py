"""What is written again: cards that changed, and nothing where none did; the folder is as if all had been written."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.engine import State
from duomi_pipeline.engine.looking import Manner, look
from duomi_pipeline.gallery import GalleryError, GalleryReport, write_gallery
from duomi_pipeline.gallery.cards import Card
from duomi_pipeline.gallery.data import write_data
from duomi_pipeline.gallery.rows import Row, row_of
from duomi_pipeline.maintenance.choices import choose, keep
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.prompts.overrides import record_overrides
from duomi_pipeline_tests.conftest import on_both_databases
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.gallery.conftest import OTHER_MODEL, fill
from duomi_pipeline_tests.gallery.test_gallery import cards

_CARD = Card("", "", "A text", "missing", "json", "", "a/model", None, 0.0, None, (), {}, {}, (), ())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_both_databases(metafunc)


@pytest.fixture
def filled(home: Home) -> Home:
    """Prompts in many states, with several versions and failures; written once, and settled."""
    fill(home)
    write(home)
    return home


def write(home: Home, **changes: Any) -> GalleryReport:
    """Write the gallery from what changed, as the command does."""
    with home.session(**changes) as session:
        look(session.ledger, session.settings, Manner.MEANT)
        return write_gallery(session, session.plan_registered(), home.path / "out/gallery")


def rewritten(home: Home, **changes: Any) -> dict[str, dict[str, Any]]:
    """Write it, and all of it into an empty folder: both are the same, byte by byte. Returns the cards."""
    report = write(home, **changes)
    fresh = home.path / "out" / f"fresh{len(list(home.path.glob('out/fresh*')))}"
    with home.session(**changes) as session:
        whole = write_gallery(session, session.plan(read_sources(session.settings).prompts), fresh)
    assert contents(home.path / "out/gallery") == contents(fresh)
    assert (report.prompts, report.pictures) == (whole.prompts, whole.pictures)
    return cards(home)


def changed(home: Home, **changes: Any) -> set[str]:
    """Ids of the cards that are other ones after it was written again."""
    before = cards(home)
    after = rewritten(home, **changes)
    return {key for key in {*before, *after} if before.get(key) != after.get(key)}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stands(folder: Path) -> dict[str, tuple[int, int]]:
    """Which file each is, and when it was written."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_settled_prompts_have_the_cards_of_a_plan_of_all(filled: Home) -> None:
    with filled.session() as session:
        assert session.plan_registered().settled == {"db_2", "json_fox", "json_tower", "json_hostile"}

    assert changed(filled) == set()


def test_where_nothing_changed_no_file_is_touched(filled: Home) -> None:
    before = stands(filled.path / "out/gallery")

    assert not write(filled).is_new
    assert stands(filled.path / "out/gallery") == before


def test_new_pictures_edits_and_failures_are_seen(filled: Home) -> None:
    filled.run({State.MISSING})
    assert changed(filled) >= {"json_waiting"}  # its picture looks like the others: these may have another twin

    filled.write("fox", "A fox in the rain")
    assert changed(filled) == {"json_fox"}
    filled.run({State.CHANGED})
    assert "json_fox" in changed(filled)
    filled.write("fox", "A fox in the snow")  # the picture of that is still there
    filled.run({State.CHANGED})
    assert "json_fox" in changed(filled)

    filled.sandbox.change_faults(refuse=("dull",))
    filled.write("tower", "A dull tower")
    filled.run({State.CHANGED})
    assert "json_tower" in changed(filled)
    assert cards(filled)["json_tower"]["state"] == "failed_for_good"
    filled.run({State.FAILED_FOR_GOOD})
    assert "json_tower" in changed(filled)
    assert len(cards(filled)["json_tower"]["details"]["failures"]) == 4


def test_a_row_that_is_edited_and_its_new_name_are_seen(filled: Home) -> None:
    with closing(sqlite3.connect(filled.path / "data/llm_video_batch.db")) as table, table:
        table.execute("UPDATE images SET descriptive_name = 'golden_owl'")

    assert changed(filled) == {"db_2"}
    assert cards(filled)["db_2"]["title"] == "Golden owl"


def test_an_override_and_a_choice_are_seen(filled: Home) -> None:
    record_overrides(filled.settings().path(filled.settings().overrides_file), {"json_tower": {"seed": 7}})
    assert changed(filled) == {"json_tower"}
    filled.run({State.CHANGED})
    assert "json_tower" in changed(filled)

    with filled.session() as session:
        prompts = {prompt.id: prompt for prompt in read_sources(session.settings).prompts}
        keep(session, [choose(session, prompts["json_boat"], "2"), choose(session, prompts["json_tower"], "1")])
    assert changed(filled) >= {"json_boat", "json_tower"}
    versions = cards(filled)["json_tower"]["details"]["versions"]
    assert [version["current"] for version in versions] == [False, True]


def test_a_forced_picture_is_another_version(filled: Home) -> None:
    with filled.session() as session:
        plan = session.plan([p for p in read_sources(session.settings).prompts if p.id == "json_fox"])
        with session.generating(plan.entries, force=True) as batch:
            assert [outcome.failure for outcome in batch] == [None]

    assert "json_fox" in changed(filled)
    assert len(cards(filled)["json_fox"]["details"]["versions"]) == 2


def test_a_prompt_that_is_gone_and_comes_back_is_seen(filled: Home) -> None:
    file = filled.path / "out/prompt_json/fox.json"
    file.rename(filled.path / "fox.json")
    assert "json_fox" in changed(filled)
    assert cards(filled)["json_fox"]["state"] == "retired"

    (filled.path / "fox.json").rename(file)
    assert "json_fox" in changed(filled)
    assert cards(filled)["json_fox"]["state"] == "current"


def test_a_picture_that_is_deleted_and_put_back_is_seen(filled: Home) -> None:
    gone = next(path for path in filled.files() if path.name.startswith("fox_"))
    gone.rename(filled.path / "away.png")
    assert "json_fox" in changed(filled)
    assert not cards(filled)["json_fox"]["details"]["versions"]

    (filled.path / "away.png").rename(gone)
    assert changed(filled) == {"json_fox"}


def test_other_settings_models_and_prices_are_seen(filled: Home) -> None:
    assert changed(filled, model=OTHER_MODEL) >= {"json_boat", "json_fox", "json_waiting"}
    assert changed(filled, currency="USD") >= {"json_boat", "json_fox"}
    filled.sql("UPDATE posts SET price = 0.2 WHERE id = 1")
    assert len(changed(filled, currency="CNY")) >= 1

    filled.write("mine", "A text", model="our/model")
    (filled.path / "models.toml").write_text('["our/model"]\nprompt_tokens = 3\n')
    assert "json_mine" in changed(filled)


def test_fingerprints_that_are_recorded_later_give_other_flags(filled: Home) -> None:
    filled.sql("UPDATE pictures SET perceptual_hash = NULL")
    assert changed(filled) >= {"json_fox", "db_2"}

    filled.sql("UPDATE pictures SET contrast = 0 WHERE prompt_id = 'json_fox'")
    assert changed(filled) == {"json_fox"}
    assert cards(filled)["json_fox"]["flags"] == ["blank"]


@pytest.mark.parametrize("name", ["columns", "cards", "details", "index", ".written", "index.html", "webp"])
def test_a_file_that_somebody_removed_is_written_again(filled: Home, name: str) -> None:
    folder = filled.path / "out/gallery"
    for file in folder.rglob("*"):
        if file.is_file() and (file.name.startswith(name) or file.name.endswith(name)):
            file.unlink()

    assert changed_after(filled) == set()


def changed_after(home: Home) -> set[str]:
    """The files in order again; ids of prompts without a card."""
    with home.session() as session:
        return {prompt.id for prompt in read_sources(session.settings).prompts} ^ {*rewritten(home)}


@pytest.mark.parametrize("text", ["{", '{"about": 1}', '{"about": "", "parts": [{}]}', "[]"])
def test_a_note_that_nobody_can_read_is_no_reason_to_fail(filled: Home, text: str) -> None:
    (filled.path / "out/gallery/.written.json").write_text(text)

    assert changed(filled) == set()


def test_where_the_folder_of_pictures_cannot_be_listed_the_page_stays(filled: Home) -> None:
    before = contents(filled.path / "out/gallery")

    with pytest.raises(GalleryError, match="nobody knows which pictures there are"):
        write(filled, image_dir="too_long" * 100)
    assert contents(filled.path / "out/gallery") == before


def test_a_picture_that_cannot_be_looked_at_stays_on_the_page(filled: Home) -> None:
    before = cards(filled)["json_fox"]["details"]["versions"]
    thumbnails = contents(filled.path / "out/gallery/thumbnails")
    file = next(path for path in filled.files() if path.name.startswith("fox_"))
    file.unlink()
    file.touch()  # as a cloud drive leaves a placeholder

    write(filled)

    assert (cards(filled)["json_fox"]["state"], cards(filled)["json_fox"]["details"]["versions"]) == ("unknown", before)
    assert contents(filled.path / "out/gallery/thumbnails") == thumbnails


class Many:
    """A folder with many cards that were made up, written from what changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.texts = {f"json_{number:05}": "A text" for number in range(12_000)}
        self.made: list[str] = []

    def write(self, based_on: str = "") -> set[str]:
        """Write it. Returns names of files that were not there before; they are as those of a folder of their own."""
        before = {path.name for path in (self.folder / "data").glob("*-*.js")}
        marks = {key: f"{key} {text}" for key, text in sorted(self.texts.items())}
        self.made.clear()
        write_data(self.folder, marks, self._make, {}, based_on)
        write_data(fresh := self.folder.with_name("fresh"), marks, self._rows, {}, based_on)
        assert contents(self.folder) == contents(fresh)
        return {path.name for path in (self.folder / "data").glob("*-*.js")} - before

    def _make(self, ids: Iterable[str]) -> list[Row]:
        self.made += ids
        return self._rows(ids)

    def _rows(self, ids: Iterable[str]) -> list[Row]:
        return [row_of(replace(_CARD, id=key, text=self.texts[key])) for key in ids]


@pytest.fixture
def many(tmp_path: Path) -> Many:
    found = Many(tmp_path / "gallery")
    found.write()
    return found


def test_of_many_cards_those_that_changed_are_made_and_their_parts_written(many: Many) -> None:
    assert many.write() == set()
    assert many.made == []

    many.texts["json_03000"] = "Another text"
    assert {name.split("-")[0] for name in many.write()} == {"cards"}
    assert many.made == ["json_03000"]


def test_a_card_that_comes_or_goes_leaves_parts_behind_it_as_they_are(many: Many) -> None:
    many.texts["json_00000a"] = "A text"
    del many.texts["json_05000"]

    written = many.write()

    assert many.made == ["json_00000a"]
    assert len(written) <= 9
    assert len(contents(many.folder)) > 20


def test_nothing_is_taken_from_a_file_that_is_not_as_it_was_written(many: Many) -> None:
    for file in (many.folder / "data").glob("cards-*.js"):
        file.write_text(file.read_text(encoding="utf-8").replace("A text", "Damaged"), encoding="utf-8")
    for number in range(0, 12_000, 400):  # at least one card of each part
        many.texts[f"json_{number:05}"] = "Another text"

    many.write()

    assert len(many.made) == 12_000


def test_where_all_depends_on_something_else_all_are_made_again(many: Many) -> None:
    assert many.write("another version") == set()
    assert len(many.made) == 12_000
