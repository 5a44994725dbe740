"""What the ledger promises: one open chain per request, every step on disk, caps that nobody passes."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError

from duomi_pipeline.ledger import (
    Held,
    Ledger,
    LedgerError,
    LimitReached,
    Limits,
    NotYet,
    Origin,
    PaidAnswer,
    PictureFile,
    Purchase,
    PurchaseState,
    Selection,
)
from duomi_pipeline_tests.ledger.conftest import Opener
from duomi_pipeline_tests.ledger.test_leases import sql

NO_LIMITS = Limits(price=0.5)
URLS = ["https://files.example/a.png"]


def claim(ledger: Ledger, key: str = "k", run: str = "r", replaces: int | None = None) -> Purchase:
    return ledger.claim(key, '{"prompt": "a lighthouse"}', run, replaces)


def selection(purchase: Purchase, prompt_id: str = "json_a", name: str = "a.png", count: int = 1) -> Selection:
    files = tuple(
        PictureFile(prompt_id, purchase.id, n, f"{n}{name}", 100, "72x128", "72x128", Origin.GENERATED, time.time())
        for n in range(count)
    )
    return Selection(prompt_id, purchase.id, purchase.request_key, "v1", "s1", time.time(), files)


def bought(ledger: Ledger, key: str = "k", prompt_id: str = "json_a", run: str = "r") -> Purchase:
    """A chain from claim to saved."""
    purchase = claim(ledger, key, run)
    post = ledger.send(purchase, run, 1, NO_LIMITS)
    ledger.answered(purchase, post, URLS, 7)
    ledger.saved(ledger.purchase(purchase.id), selection(purchase, prompt_id, f"{key}.png"))
    return ledger.purchase(purchase.id)


# --- the chain ----------------------------------------------------------------------------------------


def test_each_step_is_there_for_whoever_opens_the_ledger_next(ledger: Ledger, opened: Opener) -> None:
    other, purchase = opened(), claim(ledger)
    seen = [other.purchase(purchase.id)]
    post = ledger.send(purchase, "r", 1, NO_LIMITS)
    seen.append(other.purchase(purchase.id))
    ledger.accepted(purchase, post, "task-1")
    seen.append(other.purchase(purchase.id))
    ledger.answered(purchase, None, URLS, 7)
    seen.append(other.purchase(purchase.id))
    ledger.saved(ledger.purchase(purchase.id), selection(purchase))
    seen.append(other.purchase(purchase.id))
    assert [p.state for p in seen] == ["planned", "submitting", "submitted", "ready", "saved"]
    assert [p.task_id for p in seen] == [None, None, "task-1", "task-1", "task-1"]
    assert (seen[3].image_urls, seen[4].seed) == (tuple(URLS), 7)
    assert [file.file for file in other.selections()["json_a"].files] == ["0a.png"]
    assert other.latest_purchases()["k"] == seen[4]


@pytest.mark.parametrize("state", ["refused", "failed"])
def test_an_error_ends_a_chain_with_its_reason_and_the_next_claim_begins_a_new_one(ledger: Ledger, state: Any) -> None:
    purchase = claim(ledger)
    ledger.ended(purchase, state, "refused", "20021", "unsafe content", retry_at=5.0)
    ended = ledger.purchase(purchase.id)
    assert (ended.state, ended.error_class, ended.error_code) == (state, "refused", "20021")
    assert (ended.error_message, ended.retry_at) == ("unsafe content", 5.0)
    assert ledger.claim("k", purchase.request, "r", purchase.id).id != purchase.id


def test_a_task_that_timed_out_stays_open_with_its_id(ledger: Ledger) -> None:
    purchase = claim(ledger)
    ledger.accepted(purchase, ledger.send(purchase, "r", 1, NO_LIMITS), "task-1")
    ledger.ended(purchase, PurchaseState.SUBMITTED, "task_timeout", "", "not done")
    again = claim(ledger)
    assert (again.id, again.state, again.task_id) == (purchase.id, "submitted", "task-1")


def test_a_saved_chain_is_returned_unless_it_is_the_one_to_be_replaced(ledger: Ledger) -> None:
    saved = bought(ledger)
    assert claim(ledger) == saved
    assert claim(ledger, replaces=saved.id + 1) == saved
    anew = claim(ledger, replaces=saved.id)
    assert (anew.state, anew.id != saved.id) == ("planned", True)


def test_a_purchase_of_another_request_is_untouched(ledger: Ledger) -> None:
    first = bought(ledger, "k1", "json_a")
    bought(ledger, "k2", "json_b")
    assert ledger.purchase(first.id) == first
    assert set(ledger.selections()) == {"json_a", "json_b"}


def test_files_of_a_request_are_found_latest_purchase_first_for_every_prompt_that_has_them(ledger: Ledger) -> None:
    first = bought(ledger)
    ledger.saved(first, selection(first, "json_b", "copy.png"))
    second = claim(ledger, replaces=first.id)
    ledger.answered(second, ledger.send(second, "r", 2, NO_LIMITS), URLS, None)
    ledger.saved(second, selection(second, "json_a", "new.png", count=2))
    names = ["0new.png", "1new.png", "0k.png", "0copy.png"]
    assert [file.file for file in ledger.saved_files_of("k")] == names
    assert [file.file for file in ledger.saved_files()["k"]] == names
    assert [file.file for file in ledger.pictures_of("json_a")] == ["0k.png", "0new.png", "1new.png"]
    assert ledger.selections()["json_a"].purchase_id == second.id
    assert ledger.selections()["json_b"].purchase_id == first.id


def test_an_earlier_picture_is_selected_again(ledger: Ledger) -> None:
    first = bought(ledger, "k1")
    second = bought(ledger, "k2")
    assert ledger.selections()["json_a"].purchase_id == second.id
    ledger.select(selection(first, name="k1.png"))
    found = ledger.selections()["json_a"]
    assert (found.purchase_id, found.request_key) == (first.id, "k1")
    assert [file.file for file in found.files] == ["0k1.png"]


def test_a_prompts_lost_file_can_be_recorded_again_for_the_same_purchase(ledger: Ledger) -> None:
    purchase = bought(ledger)
    ledger.saved(purchase, selection(purchase, name="copied-again.png"))
    assert [file.file for file in ledger.selections()["json_a"].files] == ["0copied-again.png"]


@pytest.mark.parametrize("seed", [0, 9_999_999_999])
def test_seeds_of_the_whole_range_are_kept(ledger: Ledger, seed: int) -> None:
    purchase = claim(ledger)
    ledger.answered(purchase, ledger.send(purchase, "r", 1, NO_LIMITS), URLS, seed)
    assert ledger.purchase(purchase.id).seed == seed


def test_what_a_service_says_is_kept_whatever_its_length(ledger: Ledger) -> None:
    purchase = claim(ledger)
    ledger.ended(purchase, PurchaseState.FAILED, "task_failed", "a_code_of_" + "many_" * 20 + "words", "审核 " * 100)
    assert ledger.purchase(purchase.id).error_message == "审核 " * 100


# --- claims -------------------------------------------------------------------------------------------


def test_what_a_living_run_works_on_is_held_for_others_until_the_run_ends(ledger: Ledger, opened: Opener) -> None:
    other = opened()
    other.start_run("s", "sensor")
    mine = claim(ledger)
    with pytest.raises(Held):
        claim(other, run="s")
    assert claim(ledger).id == mine.id
    ledger.end_run("r", None, None, {})
    taken = claim(other, run="s")
    assert (taken.id, taken.run_id) == (mine.id, "s")


def test_a_run_that_was_taken_for_dead_writes_no_more_into_what_another_took_over(ledger: Ledger) -> None:
    ledger.start_run("s", "sensor")
    mine = claim(ledger)
    post = ledger.send(mine, "r", 1, NO_LIMITS)
    ledger.end_run("r", None, None, {})
    taken = claim(ledger, run="s")
    with pytest.raises(LedgerError, match="taken over this request"):
        ledger.not_taken(mine, post)
    with pytest.raises(LedgerError, match="taken over this request"):
        ledger.answered(mine, post, URLS, None)
    assert (ledger.purchase(taken.id).state, ledger.money().maybe_billed) == ("ambiguous", 1)


def test_of_many_runs_that_claim_at_once_one_gets_it(opened: Opener) -> None:
    ledgers = [opened(), opened()]
    names = [f"run-{number}" for number in range(16)]
    for name in names:
        ledgers[0].start_run(name, "cli")
    barrier = threading.Barrier(len(names))

    def attempt(number: int) -> str:
        barrier.wait()
        try:
            return claim(ledgers[number % 2], run=names[number]).state
        except Held:
            return "held"

    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(attempt, range(len(names))))
    assert sorted(results) == ["held"] * 15 + ["planned"]


def test_a_post_of_a_run_that_ended_meanwhile_may_have_been_billed(ledger: Ledger) -> None:
    purchase = claim(ledger)
    ledger.send(purchase, "r", 1, NO_LIMITS)
    ledger.end_run("r", None, None, {})
    ledger.start_run("s", "cli")
    taken = claim(ledger, run="s")
    assert (taken.id, taken.state, ledger.lost_answers(taken.request_key)) == (purchase.id, "ambiguous", 1)
    assert (ledger.money().maybe_billed, ledger.money().billed) == (1, 0)


@pytest.mark.parametrize("state", ["submitted", "ready"])
def test_what_is_paid_is_taken_over_as_it_is(ledger: Ledger, state: str) -> None:
    purchase = claim(ledger)
    post = ledger.send(purchase, "r", 1, NO_LIMITS)
    if state == "submitted":
        ledger.accepted(purchase, post, "task-1")
    else:
        ledger.answered(purchase, post, URLS, 7)
    ledger.end_run("r", None, None, {})
    ledger.start_run("s", "cli")
    taken = claim(ledger, run="s")
    assert (taken.state, taken.task_id, taken.image_urls) == (
        state,
        "task-1" if state == "submitted" else None,
        tuple(URLS) if state == "ready" else (),
    )
    assert ledger.lost_answers(taken.request_key) == 1  # billed, and no picture yet


# --- money --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "billed", "maybe", "reserved"),
    [
        (lambda ledger, p, post: None, 0, 0, 1),
        (lambda ledger, p, post: ledger.answer_lost(p, post, "ambiguous", "reset"), 0, 1, 0),
        (lambda ledger, p, post: ledger.not_taken(p, post), 0, 0, 0),
        (lambda ledger, p, post: ledger.accepted(p, post, "t"), 1, 0, 0),
        (lambda ledger, p, post: ledger.answered(p, post, URLS, None), 1, 0, 0),
        (lambda ledger, p, post: ledger.saved(p, selection(p)), 1, 0, 0),
    ],
    ids=["on the wire", "lost", "turned away", "task", "pictures", "saved"],
)
def test_money_counts_what_was_billed_and_what_may_have_been(
    ledger: Ledger, end: Callable[[Ledger, Purchase, int], object], billed: int, maybe: int, reserved: int
) -> None:
    purchase = claim(ledger)
    end(ledger, purchase, ledger.send(purchase, "r", 1, NO_LIMITS))
    money = ledger.money()
    assert (money.billed, money.maybe_billed, money.reserved) == (billed, maybe, reserved)
    assert (money.spent or 0, money.maybe_spent or 0) == (billed * 0.5, maybe * 0.5)


def test_a_lost_answer_stays_counted_when_the_repeat_succeeds_or_is_turned_away(ledger: Ledger) -> None:
    purchase, limits = claim(ledger), Limits(price=0.5, lost_answers=3)
    ledger.answer_lost(purchase, ledger.send(purchase, "r", 1, limits), "ambiguous", "reset")
    assert ledger.purchase(purchase.id).state == "ambiguous"
    ledger.not_taken(purchase, ledger.send(purchase, "r", 1, limits))
    ledger.answer_lost(purchase, ledger.send(purchase, "r", 1, limits), "ambiguous", "reset")
    assert ledger.lost_answers(purchase.request_key) == 2
    ledger.answered(purchase, ledger.send(purchase, "r", 1, limits), URLS, None)
    ledger.saved(purchase, selection(purchase))
    assert (ledger.money().billed, ledger.money().maybe_billed, ledger.lost_answers(purchase.request_key)) == (1, 2, 0)


def test_an_unknown_price_is_unknown_and_never_zero(ledger: Ledger) -> None:
    purchase = claim(ledger)
    ledger.answered(purchase, ledger.send(purchase, "r", 3, Limits()), URLS, None)
    assert (ledger.money().billed, ledger.money().spent) == (3, None)


def test_money_is_told_by_run_and_by_day(ledger: Ledger, url: str, tmp_path: Path) -> None:
    ledger.start_run("s", "cli")
    bought(ledger, "k1", "json_a", "r")
    sql(url, tmp_path, "UPDATE posts SET sent_at = sent_at - 86400")
    bought(ledger, "k2", "json_b", "s")
    today = time.time() // 86_400 * 86_400
    assert ledger.money(run_id="r").billed == ledger.money(run_id="s").billed == ledger.money(today).billed == 1
    assert (ledger.money().billed, ledger.money().spent) == (2, 1.0)


def test_the_posts_of_a_chain_tell_when_and_for_how_much(ledger: Ledger) -> None:
    purchase = claim(ledger)
    ledger.not_taken(purchase, ledger.send(purchase, "r", 2, NO_LIMITS))
    ledger.send(purchase, "r", 2, NO_LIMITS)
    first, second = ledger.posts_of([purchase.id])[purchase.id]
    assert [(p.billing, p.price, p.pictures) for p in (first, second)] == [("free", 1.0, 2), ("sent", 1.0, 2)]
    assert (first.answered_at is None, second.answered_at) == (False, None)
    assert ledger.sent_at(purchase.id) == second.sent_at


# --- caps and pace ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        (Limits(images_per_run=10), 10),
        (Limits(spend_per_run=1.0, price=0.1), 10),
        (Limits(spend_per_day=1.0, price=0.1), 10),
        (Limits(requests_per_day=10), 10),
        (Limits(requests_per_minute=10), 10),
        (Limits(spend_per_run=1.0, spend_per_day=0.3, images_per_run=7, price=0.1), 3),
    ],
)
def test_threads_over_two_ledgers_never_pass_a_cap(opened: Opener, limits: Limits, allowed: int) -> None:
    ledgers = [opened(), opened()]
    ledgers[0].start_run("r", "cli")

    def attempt(number: int) -> bool:
        ledger = ledgers[number % 2]
        try:
            ledger.send(claim(ledger, f"k{number}"), "r", 1, limits)
        except (LimitReached, NotYet):
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(30)))
    assert sum(results) == allowed
    assert ledgers[0].money().reserved == allowed


@pytest.mark.parametrize(
    ("limits", "shared"),
    [
        (Limits(images_per_run=1), False),
        (Limits(spend_per_run=0.1, price=0.1), False),
        (Limits(spend_per_day=0.1, price=0.1), True),
        (Limits(requests_per_day=1), True),
        (Limits(requests_per_minute=1), True),
    ],
)
def test_caps_of_a_run_are_its_own_and_those_of_time_are_shared(ledger: Ledger, limits: Limits, shared: bool) -> None:
    ledger.start_run("s", "cli")
    ledger.send(claim(ledger, "k1", "r"), "r", 1, limits)
    other = claim(ledger, "k2", "s")
    if shared:
        with pytest.raises((LimitReached, NotYet)):
            ledger.send(other, "s", 1, limits)
        assert ledger.purchase(other.id).state == "planned"
    else:
        ledger.send(other, "s", 1, limits)


def test_what_was_turned_away_frees_the_cap_but_not_the_pace(ledger: Ledger) -> None:
    for number in range(3):
        purchase = claim(ledger, f"k{number}")
        ledger.not_taken(purchase, ledger.send(purchase, "r", 1, Limits(images_per_run=1, price=0.1)))
    with pytest.raises(LimitReached, match=r"continues after .* UTC"):
        ledger.send(claim(ledger), "r", 1, Limits(requests_per_day=3))
    with pytest.raises(NotYet) as waiting:
        ledger.send(claim(ledger), "r", 1, Limits(requests_per_minute=3))
    assert 55 < waiting.value.seconds <= 60


def test_a_lost_answer_counts_against_the_caps(ledger: Ledger) -> None:
    purchase = claim(ledger)
    limits = Limits(spend_per_run=0.1, price=0.1)
    ledger.answer_lost(purchase, ledger.send(purchase, "r", 1, limits), "ambiguous", "reset")
    with pytest.raises(LimitReached, match=r"DUOMI_MAX_SPEND_PER_RUN=0.1 is reached \(0.1 CNY used\)"):
        ledger.send(purchase, "r", 1, limits)


def test_a_request_for_several_pictures_is_not_begun_where_only_some_are_allowed(ledger: Ledger) -> None:
    with pytest.raises(LimitReached):
        ledger.send(claim(ledger), "r", 4, Limits(images_per_run=3))
    assert ledger.money().reserved == 0


# --- runs and opening ---------------------------------------------------------------------------------


def test_a_run_tells_how_it_began_and_ended_and_adds_up_its_steps(ledger: Ledger) -> None:
    ledger.end_run("r", "cap", "the cap", {"generated": 2, "failed": 1})
    ledger.start_run("r", "cli")
    ledger.end_run("r", None, None, {"generated": 3})
    run = ledger.run("r")
    assert run is not None
    assert run == ledger.last_run()
    assert (run.trigger, run.counts, run.stopped_by) == ("cli", {"generated": 5, "failed": 1}, None)
    assert run.ended_at is not None
    assert run.ended_at >= run.started_at
    assert ledger.run("unknown") is None


def test_a_new_ledger_is_empty(opened: Opener) -> None:
    ledger = opened()
    assert (ledger.last_run(), ledger.selections(), ledger.latest_purchases()) == (None, {}, {})
    assert (ledger.money().billed, ledger.money().maybe_billed) == (0, 0)


@pytest.mark.parametrize("kind", ["not a database", "a folder", "below a file", "bad url", "no driver", "no server"])
def test_a_ledger_that_cannot_be_opened_says_so_without_the_password(tmp_path: Path, kind: str) -> None:
    (tmp_path / "text.db").write_text("this is a text file, and longer than any header" * 20)
    (tmp_path / "folder.db").mkdir()
    url = {
        "not a database": "sqlite:///text.db",
        "a folder": "sqlite:///folder.db",
        "below a file": "sqlite:///text.db/ledger.db",
        "bad url": "not a url with pass-word",
        "no driver": "oracle://me:pass-word@localhost/x",
        "no server": "mysql+nothing://me:pass-word@127.0.0.1:1/x",
    }[kind]
    with pytest.raises(LedgerError, match="DUOMI_LEDGER_URL") as caught:
        Ledger(url, tmp_path)
    assert "pass-word" not in str(caught.value)


def test_a_sum_in_which_one_price_is_unknown_is_unknown(ledger: Ledger) -> None:
    for number, price in enumerate([0.1, None]):
        purchase = claim(ledger, f"k{number}")
        ledger.answered(purchase, ledger.send(purchase, "r", 1, Limits(price=price)), URLS, None)
    assert (ledger.money().billed, ledger.money().spent) == (2, None)


def test_an_error_of_the_database_shows_no_prompt(ledger: Ledger) -> None:
    with pytest.raises(SQLAlchemyError) as caught:
        ledger.claim("k", "a secret prompt", "a run that never started")  # breaks a foreign key
    assert "secret" not in str(caught.value)


def test_the_requests_of_more_purchases_than_a_database_takes_at_once_are_told(ledger: Ledger) -> None:
    purchase = bought(ledger)
    for bulk in (range(300_000), [purchase.id]):
        found = ledger.posts_of(bulk)
        assert [(post.purchase_id, post.billing) for post in found[purchase.id]] == [(purchase.id, "billed")]


# --- answers that were kept elsewhere -----------------------------------------------------------------


def paid(purchase: Purchase, **changes: Any) -> PaidAnswer:
    values = {"pictures": 2, "price": 1.0, "currency": "CNY", "service": "https://a.example 1a2b"}
    times = {"sent_at": purchase.updated_at, "kept_at": time.time()}
    return PaidAnswer(**{"request_key": purchase.request_key, **values, **times, **changes})


def test_a_task_that_was_kept_settles_its_post_which_goes_with_the_purchase_that_has_the_task(ledger: Ledger) -> None:
    lost = claim(ledger)
    post = ledger.send(lost, "r", 2, NO_LIMITS)
    kept = paid(lost)
    ledger.answer_lost(lost, post, "ambiguous", "lost")
    ledger.ended(lost, PurchaseState.FAILED, "ambiguous", "", "lost")
    new = claim(ledger, replaces=lost.id)
    found = ledger.read_back(new, kept, "task-1")
    assert (found.id, found.state, found.task_id, found.service) == (new.id, "submitted", "task-1", kept.service)
    assert (ledger.money().billed, ledger.money().maybe_billed, ledger.lost_answers("k")) == (2, 0, 1)
    assert [one.billing for one in ledger.posts_of([new.id])[new.id]] == ["billed"]


def test_an_answer_whose_post_the_ledger_does_not_know_is_booked_once(ledger: Ledger) -> None:
    purchase = claim(ledger)
    kept = paid(purchase)
    for _ in range(3):
        purchase = ledger.read_back(purchase, kept, image_urls=URLS, seed=7)
        ledger.billed(purchase, kept)
    assert (purchase.state, purchase.image_urls, purchase.seed) == ("ready", tuple(URLS), 7)
    assert (ledger.money().billed, ledger.money().spent) == (2, 1.0)


def test_a_kept_answer_that_the_ledger_has_taken_after_all_begins_nothing_anew(ledger: Ledger) -> None:
    first = bought(ledger)
    kept = paid(first, sent_at=first.created_at)
    again = claim(ledger, replaces=first.id)
    assert ledger.read_back(again, kept, image_urls=URLS) == again
    assert ledger.money().billed == 1
