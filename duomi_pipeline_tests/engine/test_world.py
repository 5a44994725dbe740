"""Ledger and folder disagree, or cannot be read: what is there is never paid again, what is unknown never bought."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from upath import UPath

from duomi_pipeline.engine import GENERATED_BY_ITSELF, NOT_CURRENT, State
from duomi_pipeline.engine.looking import look
from duomi_pipeline.images import ImageStore, Listing
from duomi_pipeline.images.metadata import read_info, with_info
from duomi_pipeline.maintenance.quality import damaged
from duomi_pipeline.maintenance.reconcile import repair, survey
from duomi_pipeline.prompts import read_sources
from duomi_pipeline_tests.engine.home import BETWEEN_FILE_AND_RECORD, MARK, Home
from duomi_pipeline_tests.images.harness import rate

LEDGER = "out/ledger.db"


def lose_ledger(home: Home) -> None:
    home.lose_ledger()


def copy_ledger(home: Home, to: Path) -> None:
    """A backup as SQLite makes it."""
    source, target = sqlite3.connect(home.path / LEDGER), sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()


@pytest.fixture
def made(home: Home) -> Home:
    """Fifteen prompts with their pictures."""
    home.write_many(15)
    home.run()
    assert home.posts == 15
    return home


def unmount(home: Home) -> Path:
    """Put an empty folder where the pictures were, as an unmounted disk leaves one."""
    away = home.path / "away"
    home.images.rename(away)
    home.images.mkdir()
    return away


# --- the folder ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 15])
def test_a_folder_that_is_not_mounted_is_not_bought_again(home: Home, count: int) -> None:
    home.write_many(count)
    home.run()
    away = unmount(home)

    run = home.run()

    assert run.stop is not None
    assert (run.stop.by, home.posts) == ("lost", count)
    assert f"{count} of {count} recorded pictures are not in" in run.stop.message
    assert f"would cost {count / 10:.2f} CNY" in run.stop.message
    assert "--regenerate-lost" in run.stop.advice
    home.images.rmdir()
    away.rename(home.images)
    assert home.run().stop is None
    assert (home.posts, home.plan().counts[State.CURRENT]) == (count, count)


def test_a_folder_that_is_gone_altogether_is_not_bought_again(made: Home) -> None:
    shutil.rmtree(made.images)
    run = made.run()
    assert run.stop is not None
    assert (run.stop.by, made.posts) == ("lost", 15)


def test_another_folder_is_not_filled_with_what_is_paid_already(made: Home) -> None:
    run = made.run(image_dir="out/other")
    assert run.stop is not None
    assert "it is not the folder that the ledger knows" in run.stop.message
    assert made.posts == 15


def test_new_prompts_wait_too_until_the_folder_is_back(made: Home) -> None:
    away = unmount(made)
    made.write("new", "a new lighthouse")
    assert made.run().counts["generated"] == 0
    made.images.rmdir()
    away.rename(made.images)
    assert made.run().counts["generated"] == 1
    assert made.posts == 16


def test_a_few_pictures_deleted_by_hand_are_made_again(made: Home) -> None:
    for file in made.files()[:2]:
        file.unlink()
    assert made.plan().counts[State.MISSING] == 2
    run = made.run()
    assert (run.stop, run.counts["generated"], made.posts) == (None, 2, 17)


def test_many_pictures_gone_from_the_right_folder_are_not_made_again_unasked(made: Home) -> None:
    for file in made.files()[:11]:
        file.unlink()
    run = made.run()
    assert run.stop is not None
    assert "11 of 15 recorded pictures are not in" in run.stop.message
    assert made.posts == 15


def test_a_run_of_few_prompts_sees_that_many_pictures_are_gone(made: Home) -> None:
    for file in made.files()[:11]:
        file.unlink()
    with made.session() as session:
        plan = session.plan(read_sources(session.settings).prompts[:2])
    assert plan.stop is not None
    assert "11 of 15 recorded pictures" in plan.stop.message


def test_what_is_lost_is_made_again_once_the_user_says_so_and_the_new_folder_is_known(made: Home) -> None:
    unmount(made)
    with made.session() as session:
        plan = session.plan(read_sources(session.settings).prompts)
        with session.generating(plan.wanted(NOT_CURRENT), regenerate_lost=True) as batch:
            assert len(list(batch)) == 15
    assert (batch.stop_reason, made.posts) == (None, 30)
    assert made.run().stop is None
    assert made.posts == 30


def test_a_picture_in_the_right_folder_brings_back_a_lost_mark(made: Home) -> None:
    (made.images / MARK).unlink()
    made.write("new", "a new lighthouse")
    assert made.run().stop is None
    assert (made.images / MARK).is_file()
    assert made.posts == 16


def test_a_repair_does_not_forget_what_only_is_not_mounted(made: Home) -> None:
    away = unmount(made)
    with made.session() as session:
        repair(session, survey(session))
    assert made.run().stop is not None
    made.images.rmdir()
    away.rename(made.images)
    assert (made.plan().counts[State.CURRENT], made.posts) == (15, 15)


# --- what cannot be read --------------------------------------------------------------------------


def test_a_folder_that_cannot_be_listed_stops_with_its_words_and_buys_nothing(made: Home) -> None:
    away = made.path / "away"
    made.images.rename(away)
    made.images.symlink_to(made.images)  # a loop
    made.write("new", "a new lighthouse")

    run = made.run()

    assert run.stop is not None
    assert "cannot be read" in run.stop.message
    with made.session() as session:
        plan = session.plan(read_sources(session.settings).prompts)
        with session.generating(plan.wanted(frozenset(State)), force=True, regenerate_lost=True) as batch:
            assert list(batch) == [], "nobody can say that they are lost"
    assert made.posts == 15
    assert made.plan().counts[State.UNKNOWN] == 15


@pytest.mark.parametrize("what", ["placeholder", "dangling link", "loop"])
def test_a_file_that_nobody_can_tell_of_concerns_itself_alone_and_is_not_bought(made: Home, what: str) -> None:
    file = made.files()[4]
    away = file.rename(made.path / "kept.png")
    if what == "placeholder":
        file.touch()
    else:
        file.symlink_to(file if what == "loop" else made.path / "not mounted" / "a.png")
    made.write("new", "a new lighthouse")

    run = made.run(GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW})

    assert (run.stop, run.counts["generated"], made.posts) == (None, 1, 16)
    plan = made.plan()
    assert (plan.counts[State.UNKNOWN], plan.counts[State.CURRENT]) == (1, 15)
    (doubted,) = (entry for entry in plan.entries if entry.state is State.UNKNOWN)
    assert doubted.doubt
    file.unlink()
    away.rename(file)
    assert made.plan().counts[State.CURRENT] == 16


def test_a_file_that_moves_away_while_the_folder_is_listed_takes_no_other_with_it(
    made: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, listdir = made.files()[3], os.listdir

    def moving(folder: int) -> list[str]:
        """The names in the folder, of which one goes before anybody asks for its size."""
        names = listdir(folder)
        victim.unlink()
        return names

    with monkeypatch.context() as patched:
        patched.setattr("os.listdir", moving)
        listing = ImageStore(UPath(made.images)).listing()

    assert len(listing.sizes) == 14
    assert list(listing.unknown) == [victim.name]


def test_an_object_store_that_fails_is_unknown_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ImageStore(UPath("memory://bucket/pictures"))
    store.save("a.png", b"a picture")

    def fails(*_: object, **__: object) -> None:
        raise ConnectionError("the bucket does not answer")

    monkeypatch.setattr(type(store.base.fs), "ls", fails)
    assert "the bucket does not answer" in store.listing().problem


# --- the ledger ----------------------------------------------------------------------------------------


@pytest.mark.sqlite_files
def test_yesterdays_ledger_costs_nothing(home: Home) -> None:
    home.write_many(10)
    home.run()
    copy_ledger(home, home.path / "yesterday.db")
    for number in range(10):
        home.write(f"today{number}", f"A harbour, number {number}")
    home.run()
    lose_ledger(home)
    shutil.copy(home.path / "yesterday.db", home.path / LEDGER)

    run = home.run()

    assert (run.counts["generated"], home.posts) == (0, 20)
    assert home.plan().counts[State.CURRENT] == 20
    assert home.money().billed == home.billed == 20


def test_a_lost_ledger_heals_at_the_next_start_with_what_everything_cost(made: Home) -> None:
    lose_ledger(made)
    plan = made.plan()
    assert (plan.adopted, plan.counts[State.CURRENT], plan.stop) == (15, 15, None)
    made.run()
    assert made.posts == made.money().billed == 15
    assert made.money().spent == pytest.approx(1.5)


@pytest.mark.sqlite_files
def test_a_ledger_copied_in_the_midst_of_a_run_buys_nothing_that_is_there(home: Home) -> None:
    home.write("a", "a lighthouse")
    with home.session() as session:
        request = session.plan(read_sources(session.settings).prompts).entries[0].request
        session.ledger.start_run(session.run_id, session.trigger)
        session.ledger.claim(request.key, request.canonical, session.run_id)
        session.ledger.end_run(session.run_id, None, None, {})
    copy_ledger(home, home.path / "midst.db")
    home.run()
    lose_ledger(home)
    shutil.copy(home.path / "midst.db", home.path / LEDGER)
    home.run()
    assert (home.posts, home.state("a"), home.money().billed) == (1, State.CURRENT, 1)


def test_a_first_run_killed_between_file_and_record_goes_on(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.worker(spec={"die_at": BETWEEN_FILE_AND_RECORD}).process.wait(timeout=30)
    assert (len(list(home.images.glob("*.png"))), home.posts) == (1, 1)
    home.write("b", "a harbour")
    run = home.run()
    assert (run.stop, home.posts, home.money().billed) == (None, 2, 2)
    assert home.plan().counts[State.CURRENT] == 2


# --- the files -----------------------------------------------------------------------------------------


def optimise(file: Path) -> None:
    """What a PNG optimiser does: the pixels as they were, and nothing else."""
    with Image.open(file) as picture:
        picture.save(file, optimize=True)


@pytest.mark.parametrize("change", [rate, optimise])
def test_a_rating_or_an_optimiser_costs_nothing(home: Home, change: Callable[[Path], None]) -> None:
    home.write_many(5)
    home.run()
    sizes = {file: file.stat().st_size for file in home.files()}
    for file in home.files():
        change(file)
    assert all(file.stat().st_size != size for file, size in sizes.items())

    run = home.run()

    assert (run.counts["generated"], home.posts, home.plan().counts[State.CURRENT]) == (0, 5, 5)
    assert home.money().billed == 5


def test_a_renamed_picture_keeps_its_record_and_its_price(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    (file,) = home.files()
    file.rename(file.with_name("favourite.png"))
    home.run()
    assert (home.posts, home.state("a")) == (1, State.CURRENT)
    assert home.money().spent == pytest.approx(0.1)


def test_pictures_that_changed_their_names_with_each_other_stay_their_prompts_own(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.write("b", "a harbour with many boats")
    home.run()
    first, second = home.files()
    between = first.rename(home.path / "between.png")
    second.rename(first)
    between.rename(second)
    home.run()
    assert home.posts == 2
    with home.session() as session:
        selected = session.ledger.selections()
        for prompt_id, selection in selected.items():
            info = read_info(session.store.read(selection.files[0].file))
            assert info is not None
            assert info.prompt_id == prompt_id


def test_pictures_of_the_very_same_size_that_changed_their_names_are_found_by_the_check(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.write("b", "a harbour with many boats")
    home.run()
    sizes = [file.stat().st_size for file in home.files()]
    for file in home.files():  # behind the end of a PNG nothing is read
        file.write_bytes(file.read_bytes() + bytes(max(sizes) - file.stat().st_size))
    home.run()
    first, second = home.files()
    between = first.rename(home.path / "between.png")
    second.rename(first)
    between.rename(second)
    with home.session() as session:
        files = [file for selection in session.ledger.selections().values() for file in selection.files]
        assert len(damaged(session, files)) == 2
    assert home.posts == 2


def test_a_picture_over_which_another_ones_was_copied_is_made_again_and_no_other(made: Home) -> None:
    first, second = made.files()[:2]
    shutil.copy(first, second)
    run = made.run()
    assert (run.counts["generated"], made.posts) == (1, 16)
    assert made.plan().counts[State.CURRENT] == 15
    assert len(made.infos()) == 15


def test_foreign_files_are_opened_once(made: Home) -> None:
    (made.images / "holiday.png").write_bytes(b"not ours")
    made.plan()
    with made.session() as session:
        assert session.ledger.foreign_files() == {"holiday.png": 8}
    (made.images / "holiday.png").chmod(0)
    assert made.plan().adopted == 0


def test_a_truncated_picture_is_made_again_and_named_as_nobody_elses(made: Home) -> None:
    file = made.files()[0]
    file.write_bytes(file.read_bytes()[:-50])
    assert made.plan().counts[State.MISSING] == 1
    made.run()
    assert (made.posts, made.plan().counts[State.CURRENT]) == (16, 15)


# --- found by an attack --------------------------------------------------------------------------------


def run_of(home: Home, *names: str) -> str:
    """A run that concerns these prompts alone, as a partition's is. Returns who stopped it."""
    with home.session() as session:
        mine = [p for p in read_sources(session.settings).prompts if p.id in {f"json_{name}" for name in names}]
        with session.generating(session.plan(mine).wanted(NOT_CURRENT)) as batch:
            list(batch)
        return batch.stop_reason.by if batch.stop_reason else ""


def test_a_new_prompt_alone_does_not_make_an_unmounted_folder_the_known_one(home: Home) -> None:
    home.write_many(5)
    home.run()
    unmount(home)
    home.write("new", "a new lighthouse")
    assert run_of(home, "new") == "lost"
    home.run()
    assert home.posts == 5


def test_a_run_of_one_prompt_sees_that_the_others_are_gone_too(made: Home) -> None:
    for file in made.files():
        file.unlink()
    assert run_of(made, "p00") == "lost"
    assert made.posts == 15


def test_a_copy_whose_original_goes_later_is_the_picture(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    (file,) = home.files()
    shutil.copy(file, file.with_name("a copy.png"))
    assert home.state("a") is State.CURRENT
    file.unlink()
    home.run()
    assert (home.posts, home.state("a")) == (1, State.CURRENT)


def test_a_healed_ledger_knows_its_folder(home: Home) -> None:
    home.write_many(3)
    home.run()
    lose_ledger(home)
    home.plan()
    away = unmount(home)
    (home.images / MARK).write_text('{"id": "of another home"}')
    (home.images / "other.png").write_bytes((away / MARK).read_bytes())
    run = home.run()
    assert run.stop is not None
    assert (run.stop.by, home.posts) == ("lost", 3)


def test_a_name_that_is_no_text_concerns_nobody(made: Home) -> None:
    try:
        Path(os.fsdecode(os.fsencode(made.images) + b"/\xff.png")).write_bytes(b"not ours")
    except OSError:
        pytest.skip("this file system takes only text as a name")
    assert made.plan().counts[State.CURRENT] == 15


def test_a_folder_that_is_unmounted_during_a_run_is_not_filled_in_its_place(home: Home) -> None:
    home.write_many(5)
    home.run()
    home.write("new", "a new lighthouse")
    with home.session() as session:
        plan = session.plan(read_sources(session.settings).prompts)
        with session.generating(plan.wanted(NOT_CURRENT)) as batch:
            away = unmount(home)
            list(batch)
    assert batch.stop_reason is not None
    assert not list(home.images.glob("*.png"))
    home.images.rmdir()
    away.rename(home.images)
    home.run()
    assert (home.posts, home.plan().counts[State.CURRENT]) == (6, 6)


def test_placeholders_are_not_bought_again_where_the_ledger_is_lost_too(home: Home) -> None:
    home.write_many(3)
    home.run()
    lose_ledger(home)
    for file in home.files():
        file.write_bytes(b"")
    home.write("new", "a new lighthouse")
    home.run()
    assert (home.posts, home.plan().counts[State.UNKNOWN]) == (4, 3)


# --- files from outside --------------------------------------------------------------------------------


def planted(home: Home, name: str, **changes: object) -> None:
    """A copy of the first picture that says other things of itself."""
    data = home.files()[0].read_bytes()
    info = read_info(data)
    assert info is not None
    (home.images / name).write_bytes(with_info(data, info.model_copy(update=changes)))


def test_a_picture_that_claims_a_request_which_it_was_not_made_for_is_not_adopted(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    home.write("b", "a harbour")
    (wanted,) = (entry.request.key for entry in home.plan().entries if entry.prompt.id == "json_b")
    planted(home, "b_20260101_000000_000.png", prompt_id="json_b", request_key=wanted)
    assert home.state("b") is State.MISSING
    home.run()
    assert (home.posts, home.state("b")) == (2, State.CURRENT)


def test_a_picture_from_the_future_counts_for_no_later_day(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    planted(home, "planted.png", created_at=datetime(2900, 1, 1, tzinfo=UTC), price=5.0)
    assert home.plan().adopted == 1
    with home.session() as session:
        assert session.ledger.money(time.time() + 86_400).billed == 0


def test_a_file_that_no_picture_can_be_is_not_read(made: Home) -> None:
    file = made.images / "video.png"
    file.touch()
    os.truncate(file, 1 << 40)  # sparse, and larger than any memory
    assert made.plan().counts[State.CURRENT] == 15
    with made.session() as session:
        assert session.ledger.foreign_files() == {"video.png": 1 << 40}


def test_a_mark_that_is_a_folder_is_named_with_what_to_do(made: Home) -> None:
    (made.images / MARK).unlink()
    (made.images / MARK).mkdir()
    made.write("new", "a new lighthouse")
    run = made.run()
    assert run.stop is not None
    assert f"{made.images / MARK} is no file: remove it" in run.stop.message
    assert made.posts == 15


@pytest.mark.parametrize("again", [False, True], ids=["its first picture", "another picture"])
def test_a_picture_that_another_run_saves_while_this_one_looks_is_not_bought_again(home: Home, again: bool) -> None:
    home.write("a", "a lighthouse")
    if again:
        home.run()
        home.write("a", "a harbour")
    with home.session() as session:
        look = session.store.listing

        def slow_look() -> Listing:
            found = look()
            session.store.listing = look  # type: ignore[method-assign]
            home.run()
            return found

        session.store.listing = slow_look  # type: ignore[method-assign]
        plan = session.plan(read_sources(session.settings).prompts)
        with session.generating(plan.wanted(NOT_CURRENT)) as batch:
            (outcome,) = list(batch)
    assert (outcome.status, home.posts, len(home.files())) == ("reused", 1 + again, 1 + again)


def test_pictures_of_retired_prompts_that_were_deleted_stop_nobody(home: Home) -> None:
    home.write_many(30)
    with home.session() as session:
        look(session.ledger, session.settings)
    home.run()
    files = sorted((home.path / "out" / "prompt_json").glob("*.json"))
    for some in (files[:6], files[6:12]):  # more at once would look like a lost folder
        for file in some:
            file.unlink()
            next(home.images.glob(f"{file.stem}_*.png")).unlink()
        with home.session() as session:
            look(session.ledger, session.settings)
    next(home.images.glob("p20_*.png")).unlink()
    plan = home.plan()
    assert (plan.stop, plan.counts[State.MISSING]) == (None, 1)
