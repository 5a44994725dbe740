"""The register of prompts on both databases: a look is recorded whole, in its turn, and quickly read back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from duomi_pipeline.engine.looking import Manner, look, registered, why_unusable
from duomi_pipeline.ledger import Changes, Ledger, Look, RegisteredPrompt, Source, Standing
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.prompts.prompt import file_prompt_id
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.prompts.harness import prompt_database, prompt_file

A_LOOK = Look(Source.FILES, "/prompts", 1_000.0, "a-host")
TEXT = "nothing \0 and \\0, \\\\ and 夜市 🦊\n"


def entry(stem: str, **changes: object) -> RegisteredPrompt:
    made = RegisteredPrompt(
        f"json_{stem}", Source.FILES, Standing.ACTIVE, "v1", "json", f"{stem}.json", stem, None, None, "a text", "{}"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def said(*entries: RegisteredPrompt, **standings: Standing) -> Changes:
    return Changes(replace(A_LOOK, changes=len(entries) + len(standings)), entries, standings)


def by_id(ledger: Ledger) -> dict[str, RegisteredPrompt]:
    return {prompt.prompt_id: prompt for prompt in ledger.register.prompts()}


def test_what_was_said_is_read_back_as_it_was(ledger: Ledger) -> None:
    one = entry("a", text=TEXT, origin=TEXT, name=TEXT, overrides='{"seed": 7}', image_id=2**40)
    assert ledger.register.record([said(one, entry("b"))], after=0)
    assert by_id(ledger) == {"json_a": one, "json_b": entry("b")}
    assert ledger.register.prompts(["json_b", "json_none"]) == [entry("b")]


def test_ids_of_any_script_are_known_up_to_their_greatest_length(ledger: Ledger) -> None:
    longest = file_prompt_id("城" * 65)
    assert len(longest.encode()) == 200
    ids = [longest, file_prompt_id("é" * 95), file_prompt_id("𠮷" * 48)]
    ledger.register.record([said(*(entry(prompt_id.removeprefix("json_")) for prompt_id in ids))], after=0)
    assert ledger.known_ids([*ids, "json_other"]) == set(ids)
    assert set(by_id(ledger)) == set(ids)


def test_a_later_look_replaces_what_it_names_and_keeps_the_rest(ledger: Ledger) -> None:
    ledger.register.record([said(entry("a"), entry("b"), entry("c"))], None)
    edited = entry("b", text="another", version="v2")
    ledger.register.record([said(edited, json_c=Standing.RETIRED)], None)
    assert by_id(ledger) == {
        "json_a": entry("a"),
        "json_b": edited,
        "json_c": entry("c", standing=Standing.RETIRED),
    }


def test_a_look_that_another_one_overtook_is_not_recorded(opened: Callable[[], Ledger]) -> None:
    mine, other = opened(), opened()
    before = mine.register.holdings()
    assert other.register.record([said(entry("a", text="newer"))], before.last_look)

    assert not mine.register.record([said(entry("a", text="older"), entry("b"))], before.last_look)

    assert by_id(mine) == {"json_a": entry("a", text="newer")}


def test_a_look_is_overtaken_also_where_the_last_one_found_nothing_new(opened: Callable[[], Ledger]) -> None:
    mine, other = opened(), opened()
    for _ in range(2):
        assert mine.register.record([said(entry("a"))], mine.register.holdings().last_look)
    before = mine.register.holdings().last_look
    assert other.register.record([said(entry("a", text="newer"))], before)

    assert not mine.register.record([said(entry("a", text="older"))], before)

    assert by_id(mine) == {"json_a": entry("a", text="newer")}


def test_looks_of_two_hosts_at_once_are_both_whole(opened: Callable[[], Ledger]) -> None:
    ledgers = [opened() for _ in range(4)]
    entries = [entry(f"p{number}") for number in range(1_000)]
    recorded: list[bool] = []

    def record(ledger: Ledger, host: int) -> None:
        mine = [replace(one, text=f"of {host}") for one in entries]
        recorded.append(ledger.register.record([said(*mine)], None))

    threads = [Thread(target=record, args=(ledger, host)) for host, ledger in enumerate(ledgers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert recorded == [True] * 4
    assert len({prompt.text for prompt in by_id(ledgers[0]).values()}) == 1
    assert len(by_id(ledgers[0])) == 1_000


def test_looks_that_found_nothing_new_do_not_pile_up(ledger: Ledger) -> None:
    ledger.register.record([said(entry("a"))], None)
    for number in range(5):
        ledger.register.record([Changes(replace(A_LOOK, looked_at=2_000.0 + number, prompts=1))], None)
    for number in range(5):
        ledger.register.record([Changes(replace(A_LOOK, looked_at=3_000.0 + number, problem="not mounted"))], None)

    assert ledger.register.last_looks()[Source.FILES].looked_at == 3_004.0
    assert ledger.register.last_looks()[Source.FILES].problem == "not mounted"
    assert ledger.register.last_good_looks()[Source.FILES].looked_at == 2_004.0
    with ledger.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM looks").scalar() == 3


def test_what_was_left_out_is_kept_of_the_last_good_look(ledger: Ledger) -> None:
    problems = (("bad.json", "not valid JSON \0"),)
    ledger.register.record([Changes(replace(A_LOOK, left_out=1, problems=problems))], None)
    ledger.register.record([Changes(replace(A_LOOK, problem="not mounted"))], None)
    assert ledger.register.last_good_looks()[Source.FILES].problems == problems


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "out/prompt_json").mkdir(parents=True)
    return tmp_path


def write(home: Path, *names: str, text: str = "a text", folder: str = "out/prompt_json") -> None:
    (home / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        prompt_file(home / folder, f"{name}.json", {"image_prompt": text})


def ids(prompts: tuple[Prompt, ...]) -> list[str]:
    return [prompt.id for prompt in prompts]


def test_the_register_gives_the_prompts_in_the_order_of_their_sources(home: Path, ledger: Ledger) -> None:
    (home / "data").mkdir()
    prompt_database(home / "data/llm_video_batch.db", [f"row {number}" for number in range(1, 13)], names=["station"])
    write(home, "b", "A", "夜", "a")

    sources = look(ledger, Settings.load(home)).sources

    assert registered(ledger).prompts == sources.prompts
    assert registered(ledger, ["db_11", "json_A"]).prompts == (sources.prompts[10], sources.prompts[12])


def test_a_prompt_that_is_gone_is_kept_as_retired_and_comes_back(home: Path, ledger: Ledger) -> None:
    write(home, "a", "b")
    settings = Settings.load(home)
    look(ledger, settings)
    (home / "out/prompt_json/a.json").unlink()
    look(ledger, settings)
    assert ids(registered(ledger).prompts) == ["json_b"]
    assert "its row or file is gone" in why_unusable(ledger, ["json_a"])["json_a"]

    write(home, "a")
    look(ledger, settings)

    assert ids(registered(ledger).prompts) == ["json_a", "json_b"]


def test_a_prompt_that_comes_back_broken_stays_retired_until_it_can_be_read(home: Path, ledger: Ledger) -> None:
    write(home, "a", "b")
    settings, path = Settings.load(home), home / "out/prompt_json/a.json"
    look(ledger, settings)
    path.unlink()
    look(ledger, settings)
    path.write_bytes(b"{")
    look(ledger, settings)
    # It has no partition: counted as unusable, the sensor would compare all prompts with Dagster's on each tick.
    assert by_id(ledger)["json_a"].standing is Standing.RETIRED

    write(home, "a")
    look(ledger, settings)

    assert ids(registered(ledger).prompts) == ["json_a", "json_b"]


def test_commands_take_what_is_there_and_retire_none_where_many_are_gone(home: Path, ledger: Ledger) -> None:
    write(home, *(f"p{number:02}" for number in range(12)))
    settings = Settings.load(home)
    look(ledger, settings)
    for path in sorted((home / "out/prompt_json").iterdir())[1:]:
        path.unlink()
    write(home, "new")

    looked = look(ledger, settings, Manner.ATTENDED)

    assert ids(looked.sources.prompts) == ["json_new", "json_p00"]
    assert "11 of 12 prompts are gone at once" in str(looked.problems[0])

    assert len(registered(ledger).prompts) == 13


def test_prompts_of_a_folder_named_for_one_command_are_known_until_the_next_look(home: Path, ledger: Ledger) -> None:
    write(home, "own")
    write(home, *(f"v{number:02}" for number in range(30)), folder="other")
    look(ledger, Settings.load(home))

    look(ledger, Settings.load(home, prompt_dir="other"), Manner.VISITING)
    assert len(registered(ledger).prompts) == 31

    looked = look(ledger, Settings.load(home))
    assert looked.doubts == {}, "they were never in this folder: it has lost nothing"
    assert ids(registered(ledger).prompts) == ["json_own"]


def test_a_look_that_found_nothing_new_writes_no_prompt(home: Path, ledger: Ledger) -> None:
    write(home, "a", "b")
    look(ledger, Settings.load(home))
    look(ledger, Settings.load(home))
    (last,) = ledger.register.last_looks().values()
    assert (last.prompts, last.changes) == (2, 0)
