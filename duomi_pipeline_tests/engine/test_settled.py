"""Plans by what an earlier one noted: the states are those that a plan of everything finds, whatever has changed."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.engine import State
from duomi_pipeline.engine.looking import Manner, look, registered
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.statements import statements


def states(home: Home, **changes: Any) -> Mapping[str, State]:
    """What a look and a plan find; a plan of everything finds the same."""
    with home.session(**changes) as session:
        look(session.ledger, session.settings, Manner.MEANT)
        plan = session.plan_registered()
        whole = session.plan(registered(session.ledger).prompts)
        found = {entry.prompt.id: entry.state for entry in plan.entries}
        found |= dict.fromkeys(plan.settled, State.CURRENT)
        assert found == {entry.prompt.id: entry.state for entry in whole.entries}
        assert plan.counts == whole.counts
        assert plan.current == whole.current
    return found


@pytest.fixture
def drawn(home: Home) -> Home:
    """Prompts with their pictures, one without that is refused; planned until nothing new is noted."""
    for name in "abcde":
        home.write(name, f"A picture of {name}")
    home.write("f", "A hare")
    home.sandbox.change_faults(refuse=("hare",))
    home.run(timeout=30.0, download_patience=30.0)
    for path in (home.path / "out/prompt_json").iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    for _ in range(2):
        assert [*states(home).values()].count(State.CURRENT) == 5
    return home


def picture(home: Home, name: str) -> Path:
    """The file of a prompt's picture."""
    return next(path for path in home.files() if path.name.startswith(f"{name}_"))


def edited_with_the_same_size_and_time(home: Home) -> None:
    path = home.path / "out/prompt_json/a.json"
    status, text = path.stat(), path.read_text()
    path.write_text(text.replace("of a", "on a"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size


def overridden(home: Home) -> None:
    folder = home.path / "data"
    folder.mkdir(exist_ok=True)
    home.settings().path(home.settings().overrides_file).write_text('{"json_a": {"seed": 7}}')


def gone(home: Home) -> None:
    (home.path / "out/prompt_json/a.json").unlink()


def added(home: Home) -> None:
    home.write("g", "A picture of g")


def deleted(home: Home) -> None:
    picture(home, "a").unlink()


def cut(home: Home) -> None:
    with picture(home, "a").open("r+b") as file:
        file.truncate(100)


def emptied(home: Home) -> None:
    picture(home, "a").write_bytes(b"")


def renamed(home: Home) -> None:
    picture(home, "a").rename(home.images / "elsewhere.png")


def swapped(home: Home) -> None:
    """Two pictures have each other's name."""
    a, b = picture(home, "a"), picture(home, "b")
    a.rename(home.images / "away"), b.rename(a), (home.images / "away").rename(b)


def interrupted(home: Home) -> None:
    """An open purchase of a current prompt, as a killed run leaves it."""
    home.sql("UPDATE purchases SET state = 'submitted', task_id = 't' WHERE id = 1")


def retried(home: Home) -> None:
    home.sandbox.change_faults(refuse=())
    home.run({State.FAILED_FOR_GOOD})


def lost(home: Home) -> None:
    home.lose_ledger()


CHANGES = [
    edited_with_the_same_size_and_time, overridden, gone, added, deleted, cut, emptied, renamed, swapped, interrupted,
    retried, lost,
]  # fmt: skip
OTHER = {edited_with_the_same_size_and_time, overridden, gone, added, deleted, cut, emptied, retried, lost}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_at_once_and_its_end_too(drawn: Home, change: Callable[[Home], None]) -> None:
    before = states(drawn)

    change(drawn)

    after = states(drawn)
    assert (after != before) is (change in OTHER)
    assert states(drawn) == after
    drawn.run()
    assert states(drawn) == states(drawn)


def test_other_settings_are_seen_and_so_are_the_first_ones_again(drawn: Home) -> None:
    before = states(drawn)
    assert set(states(drawn, num_inference_steps=21).values()) >= {State.OUTDATED}
    assert states(drawn) == before
    assert set(states(drawn, model="stabilityai/stable-diffusion-3").values()) >= {State.OUTDATED}
    assert states(drawn, price_per_image=0.7) == before


def test_a_picture_that_was_put_back_is_current_again(drawn: Home) -> None:
    before, away = states(drawn), drawn.path / "away.png"
    name = picture(drawn, "a")
    name.rename(away)
    assert states(drawn)["json_a"] is State.MISSING
    away.rename(name)
    assert states(drawn) == before


def test_a_folder_that_cannot_be_listed_leaves_all_unknown(drawn: Home) -> None:
    drawn.images.rename(drawn.path / "away")
    assert State.CURRENT not in states(drawn).values()
    (drawn.path / "away").rename(drawn.images)
    assert [*states(drawn).values()].count(State.CURRENT) == 5


def test_where_nothing_changed_the_records_are_not_read(drawn: Home) -> None:
    drawn.write("e", "Another picture")
    with drawn.session() as session:
        for count in (4, 4):
            look(session.ledger, session.settings)
            with statements() as asked:
                assert session.plan_registered().counts[State.CURRENT] == count
        assert not [one for one in asked if one.endswith(("FROM pictures", "FROM prompts"))], asked
        assert all("settled_under" not in one for one in asked)


def test_the_plan_of_some_prompts_compares_folder_and_records_only_where_one_of_them_has_changed(drawn: Home) -> None:
    with drawn.session() as session:
        some = registered(session.ledger, ["json_a"]).prompts
        with statements() as asked:
            assert session.plan(some).adopted == 0
        assert not [one for one in asked if one.endswith("FROM pictures")], asked

        session.ledger.forget(session.ledger.pictures_of("json_b"))  # the folder is as it was
        assert session.plan(some).adopted == 1
        assert session.plan(some).adopted == 0

        session.ledger.forget(session.ledger.pictures_of("json_c"))
        picture(drawn, "c").rename(drawn.images / "c_20260101_000000_000.png")
        assert session.plan(some).adopted == 1
