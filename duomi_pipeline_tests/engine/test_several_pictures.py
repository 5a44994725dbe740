"""Several pictures of one request: fewer or more than asked, one of them bad, a kill between two of them."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.engine import State
from duomi_pipeline.gallery import write_gallery
from duomi_pipeline.images.metadata import read_info
from duomi_pipeline.maintenance.reconcile import repair, survey
from duomi_pipeline.manifest import planned_rows
from duomi_pipeline.prompts import read_sources
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.images.harness import encoded, gradient

BETWEEN_TWO_FILES = ("os.link", 2)
PICTURE = encoded(gradient((72, 128)))
THREE: dict[str, Any] = {"batch_size": 3}


def told(*pictures: bytes | str) -> Answer:
    """An answer that holds these bytes and tells of these addresses."""
    data = [{"url": p} if isinstance(p, str) else {"b64_json": base64.b64encode(p).decode()} for p in pictures]
    return Answer(json.dumps({"data": data}))


def positions(home: Home) -> list[int]:
    """Which of their request's pictures the files in the folder are."""
    found = (read_info(file.read_bytes()) for file in home.images.glob("*.png"))
    return sorted(info.index for info in found if info)


def prices(home: Home) -> float:
    """What the files in the folder say that they cost together."""
    found = (read_info(file.read_bytes()) for file in home.files())
    return sum(info.price or 0 for info in found if info)


# --- as many as were asked for ------------------------------------------------------------------------


def test_all_pictures_of_a_prompt_are_in_ledger_manifest_and_gallery(home: Home, tmp_path: Path) -> None:
    home.write("a", "a lighthouse")
    outcome = home.run(batch_size=2).outcome("a")
    assert (outcome.cost, home.billed, home.money().billed, home.money().spent) == (0.2, 2, 2, 0.2)
    with home.session(batch_size=2) as session:
        plan = session.plan(read_sources(session.settings).prompts)
        row = planned_rows(session, plan.entries)[0]
        write_gallery(session, plan, tmp_path / "gallery")
    assert (row["state"], row["files"], row["cost"]) == ("current", 2, 0.2)
    assert [Path(path).name for path in row["saved_paths"]] == [file.file for file in outcome.files]
    shown = "".join(file.read_text("utf-8") for file in (tmp_path / "gallery").rglob("*.js*"))
    assert all(file.file in shown for file in outcome.files)


def test_a_second_prompt_with_the_same_request_gets_copies_of_all(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.write("b", "a lighthouse")
    run = home.run(batch_size=2)
    assert (home.billed, len(home.files())) == (2, 4)
    assert [len(outcome.files) for outcome in run.outcomes] == [2, 2]
    assert home.run(frozenset(State), batch_size=2).counts["reused"] == 2


@pytest.mark.parametrize("protocol", ["duomi_async", "nano_banana"])
def test_a_protocol_that_makes_one_picture_is_not_asked_for_two(home: Home, protocol: str) -> None:
    home.write("a", "a lighthouse")
    with pytest.raises(ValueError, match=r"DUOMI_BATCH_SIZE=2: .* makes 1 per request"):
        home.run(protocol=protocol, batch_size=2)
    assert home.posts == 0


# --- fewer, more, broken ------------------------------------------------------------------------------


@pytest.mark.parametrize("came", [1, 2, 5])
def test_what_came_is_kept_and_current_and_what_was_asked_is_billed(home: Home, came: int) -> None:
    home.write("a", "a lighthouse")
    with ScriptedService(told(*[PICTURE] * came)) as service:
        outcome = home.run(base_url=service.url, **THREE).outcome("a")
        assert len(outcome.files) == came
        assert (outcome.cost, home.money().spent) == pytest.approx((0.3, 0.3))
        assert home.money().billed == 3
        assert prices(home) == pytest.approx(0.3), "a lost ledger is rebuilt with what was billed"
        assert home.state("a", base_url=service.url, **THREE) is State.CURRENT
        assert home.run(frozenset(State), base_url=service.url, **THREE).counts["reused"] == 1
        assert len(service.asked) == 1


def test_of_an_answer_without_end_no_more_is_taken_than_anybody_can_have_asked_for(home: Home) -> None:
    home.write("a", "a lighthouse")
    with ScriptedService(told(*[PICTURE] * 100)) as service:
        assert len(home.run(base_url=service.url).outcome("a").files) == 16


def test_a_ledger_rebuilt_from_fewer_pictures_than_asked_takes_them_for_current(home: Home) -> None:
    home.write("a", "a lighthouse")
    with ScriptedService(told(PICTURE, PICTURE)) as service:
        home.run(base_url=service.url, **THREE)
        home.lose_ledger()
        with home.session() as session:
            repair(session, survey(session))
        assert home.state("a", base_url=service.url, **THREE) is State.CURRENT
        assert home.money().spent == pytest.approx(0.3)


def test_of_several_pictures_the_broken_one_is_left_out(home: Home) -> None:
    home.write("a", "a lighthouse")
    with ScriptedService(told(PICTURE, b"no picture", PICTURE)) as service:
        outcome = home.run(base_url=service.url, **THREE).outcome("a")
        assert [file.file[-6:] for file in outcome.files] == ["_1.png", "_3.png"]
        assert home.state("a", base_url=service.url, **THREE) is State.CURRENT
        assert home.run(frozenset(State), base_url=service.url, **THREE).counts["reused"] == 1
    assert positions(home) == [0, 2]
    assert home.money().spent == pytest.approx(0.3)


def test_where_all_are_broken_the_prompt_fails_as_with_one(home: Home) -> None:
    home.write("a", "a lighthouse")
    with ScriptedService(told(b"none", b"none")) as service:
        failure = home.run(base_url=service.url, batch_size=2).outcome("a").failure
    assert failure is not None
    assert (failure.error_class, home.files()) == ("bad_image", [])


def test_one_that_cannot_be_downloaded_now_is_fetched_by_the_next_run_and_the_others_are_safe(home: Home) -> None:
    home.write("a", "a lighthouse")
    gone = Answer("try later", 503)
    with ScriptedService(told("/1.png", "/2.png"), Answer(PICTURE), gone) as service:
        failure = home.run(base_url=service.url, batch_size=2).outcome("a").failure
        assert failure is not None
        assert (failure.error_class, positions(home), home.purchase_states()) == ("not_downloaded", [0], ["ready"])
        service.answers = [Answer(PICTURE)]
        outcome = home.run(base_url=service.url, batch_size=2).outcome("a")
        assert [asked.method for asked in service.asked].count("POST") == 1
    assert [file.position for file in outcome.files] == [0, 1]
    assert (positions(home), len(home.files()), home.money().billed) == ([0, 1], 2, 2)


def test_one_whose_address_died_is_given_up_and_the_others_are_kept(home: Home) -> None:
    home.write("a", "a lighthouse")
    with ScriptedService(told("/1.png", "/2.png"), Answer(PICTURE), Answer("gone", 403)) as service:
        home.run(base_url=service.url, batch_size=2)
        home.age_ledger(4_000)
        outcome = home.run(base_url=service.url, batch_size=2).outcome("a")
        assert (outcome.status, len(outcome.files), home.purchase_states()) == ("generated", 1, ["saved"])
        assert [asked.method for asked in service.asked].count("POST") == 1
    assert home.money().spent == pytest.approx(0.2)


# --- killed between two files -------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["relative_url", "b64"])
def test_a_kill_between_two_files_loses_none_that_can_be_had_and_buys_none_again(home: Home, answer: str) -> None:
    home.sandbox.change_faults(answer=answer)
    home.write("a", "a lighthouse")
    home.worker(spec={"die_at": BETWEEN_TWO_FILES}, **THREE).process.wait()
    assert positions(home) == [0]
    outcome = home.run(**THREE).outcome("a")
    there = [0] if answer == "b64" else [0, 1, 2]  # bytes inside an answer are nowhere else
    assert ([file.position for file in outcome.files], positions(home)) == (there, there)
    assert (home.posts, home.billed, home.money().billed, home.money().maybe_billed) == (1, 3, 3, 0)
    assert home.state("a", **THREE) is State.CURRENT
    with home.session() as session:
        assert not survey(session).unrecorded


def test_a_kill_before_the_last_record_is_followed_by_no_request_and_no_download(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.worker(spec={"die_at": ("os.remove", 3)}, batch_size=2).process.wait()  # the first one is the folder's probe
    assert positions(home) == [0, 1]
    downloads = home.sandbox.books.totals().downloads
    assert len(home.run(batch_size=2).outcome("a").files) == 2
    assert (home.posts, home.sandbox.books.totals().downloads, positions(home)) == (1, downloads, [0, 1])


def test_a_file_of_an_earlier_purchase_is_not_taken_for_the_answer_that_was_lost(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    home.sandbox.change_faults(rate_reset_after=1)
    home.run(frozenset(State), force=True)
    assert (home.posts, home.purchase_states(), home.money().maybe_billed) == (3, ["saved", "failed"], 2)
