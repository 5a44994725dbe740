"""What is concluded from what the service says: whom an answer concerns, what it may have cost, what ends it."""

import json
from typing import Any

import pytest

from duomi_pipeline.engine import GENERATED_BY_ITSELF, State
from duomi_pipeline.sandbox.plays import Play
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, Home

WORKERS = 8  # as in home.QUICK
WITHOUT_FAILED = GENERATED_BY_ITSELF
MODERATION = json.dumps({"error": {"message": "Your request was rejected", "code": "moderation_blocked"}})
TOO_LONG = json.dumps(
    {
        "error": {
            "message": "Invalid 'prompt': string too long. Expected a string with maximum length 4000",
            "code": "string_above_max_length",
        }
    }
)
WRONG_FIELD = json.dumps({"code": 20015, "message": "field x is wrong", "data": None})
NO_CHANNEL = json.dumps({"error": {"message": "No available channel for model m", "code": "model_not_found"}})
QUOTA = json.dumps({"error": {"message": "You exceeded your current quota", "type": "insufficient_quota"}})


def agree(home: Home, **changes: Any) -> None:
    """Ledger, folder and the service's books say the same."""
    money, plan = home.money(), home.plan(**changes)
    assert money.billed + money.maybe_billed >= home.billed
    assert len(home.infos()) == plan.counts[State.CURRENT]


# --- whom it concerns ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 422, 451, 200])
def test_a_prompt_that_is_moderated_costs_one_prompt_also_as_the_first(home: Home, status: int) -> None:
    home.sandbox.change_faults(plays=(Play(word="zzforbidden", status=status, body=MODERATION),))
    home.write("a", "zzforbidden thing")  # the first, so the canary
    home.write_many(10)
    run = home.run(WITHOUT_FAILED)
    assert (run.stop, run.counts["generated"]) == (None, 10)
    assert run.outcome("a").failure is not None
    assert "Your request was rejected" in run.failures["json_a"]
    assert home.state("a") is State.FAILED_FOR_GOOD
    posts = home.posts
    assert home.run(WITHOUT_FAILED).outcomes == ()
    assert (home.posts, home.billed) == (posts, 10)
    agree(home)


def test_a_prompt_that_is_too_long_is_named_and_the_others_are_made(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(word="zzforbidden", body=TOO_LONG),))
    home.write("a", "zzforbidden " * 500)
    home.write_many(20)
    run = home.run(WITHOUT_FAILED)
    assert (run.stop, run.counts["generated"], list(run.failures)) == (None, 20, ["json_a"])
    agree(home)


def test_moderation_under_an_unknown_code_fails_its_prompts_alone(home: Home) -> None:
    body = json.dumps({"code": 20035, "message": "rejected by content moderation"})
    home.sandbox.change_faults(plays=(Play(word="zzforbidden", body=body),))
    home.write_many(28)
    for name in "xyz":
        home.write(name, f"zzforbidden {name}")
    run = home.run(WITHOUT_FAILED)
    assert (run.stop, run.counts["generated"]) == (None, 28)
    assert set(run.failures) == {"json_x", "json_y", "json_z"}


def test_three_prompts_with_the_same_unknown_answer_and_no_success_are_evidence_about_all(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(body=WRONG_FIELD),))
    home.write_many(40)
    run = home.run(WITHOUT_FAILED)
    assert run.stop is not None
    assert run.stop.by == "service"
    assert all(words in run.stop.message for words in ("3 different prompts (json_p", "field x is wrong", "20015"))
    assert home.posts == 3  # one after the other: each fails as a canary
    assert (run.failures, len(run.remaining), home.billed) == ({}, 40, 0)
    home.sandbox.change_faults(plays=())
    assert home.run(WITHOUT_FAILED).counts["generated"] == 40
    agree(home)


def test_an_unknown_answer_to_some_prompts_is_their_own_when_another_succeeds(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(word="zzodd", body=WRONG_FIELD),))
    for name in "ab":  # first in line
        home.write(name, f"zzodd {name}")
    home.write_many(10)
    home.write("z", "zzodd z")
    run = home.run(WITHOUT_FAILED)
    assert (run.stop, run.counts["generated"]) == (None, 10)
    assert set(run.failures) == {"json_a", "json_b", "json_z"}
    assert home.state("a") is State.FAILED_FOR_GOOD
    assert home.run(WITHOUT_FAILED).outcomes == ()


def test_more_bad_prompts_in_front_than_evidence_needs_delay_the_good_ones_by_a_start(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(word="zzodd", body=WRONG_FIELD),))
    for name in "abc":
        home.write(name, f"zzodd {name}")
    home.write_many(10)
    first = home.run(WITHOUT_FAILED, max_concurrency=1)
    assert first.stop is not None
    second = home.run(WITHOUT_FAILED)  # those that met it come last now
    assert (second.stop, second.counts["generated"], second.counts["failed"]) == (None, 10, 3)
    agree(home)


def test_bad_prompts_behind_the_good_ones_are_named_and_stop_nothing(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(word="zzodd", body=WRONG_FIELD),))
    home.write_many(5)
    for name in "xyz":
        home.write(name, f"zzodd {name}")
    run = home.run(WITHOUT_FAILED, max_concurrency=1)
    assert (run.stop, run.counts["generated"], run.counts["failed"]) == (None, 5, 3)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_prompts_for_evidence_fail_by_name(home: Home, count: int) -> None:
    home.sandbox.change_faults(plays=(Play(body=WRONG_FIELD),))
    home.write_many(count)
    run = home.run(WITHOUT_FAILED)
    assert (run.stop, len(run.failures)) == (None, count)
    assert all("field x is wrong" in words for words in run.failures.values())


def test_a_firewall_that_dislikes_one_prompt_does_not_speak_of_the_key(home: Home) -> None:
    page = "<html><title>Attention Required!</title>Sorry, you have been blocked</html>"
    home.sandbox.change_faults(plays=(Play(word="zzodd", status=403, body=page, media_type="text/html"),))
    home.write("a", "zzodd a")
    home.write_many(10)
    run = home.run(WITHOUT_FAILED)
    assert (run.stop, run.counts["generated"], list(run.failures)) == (None, 10, ["json_a"])


@pytest.mark.parametrize("prompts", [1, 20])
def test_a_403_for_every_prompt_stops_and_speaks_of_the_key(home: Home, prompts: int) -> None:
    home.sandbox.change_faults(plays=(Play(status=403, body='{"message": "zzforbidden"}'),))
    home.write_many(prompts)
    run = home.run(WITHOUT_FAILED)
    assert run.stop is not None
    assert "DUOMI_API_KEY" in run.stop.message
    assert (len(run.remaining), run.failures) == (prompts, {})
    assert home.posts <= 3


def test_a_403_for_the_only_prompt_left_is_a_failure_for_now_where_the_key_has_bought_before(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(word="zzodd", status=403, body="<h1>blocked</h1>", media_type="text/html"),))
    home.write_many(2)
    home.run(WITHOUT_FAILED)
    home.write("a", "zzodd a")
    run = home.run(WITHOUT_FAILED)
    assert (run.stop, list(run.failures)) == (None, ["json_a"])
    assert home.state("a") is State.FAILED_FOR_NOW


def test_a_key_or_model_error_of_one_answer_is_tried_on_another_prompt_by_the_next_start(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(word="zzodd", status=401, body='"Invalid token"'),))
    home.write("a", "zzodd a")
    home.write_many(10)
    first = home.run(WITHOUT_FAILED, max_concurrency=1)
    assert first.stop is not None
    home.run(WITHOUT_FAILED, max_concurrency=1)
    assert home.plan().counts[State.CURRENT] == home.billed == 10


def test_without_a_channel_for_the_model_the_run_stops_after_the_first_answer(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(models=("m",), status=503, body=NO_CHANNEL),))
    home.write_many(20)
    run = home.run(WITHOUT_FAILED, model="m")
    assert run.stop is not None
    assert "DUOMI_MODEL" in run.stop.message
    assert (home.posts, len(run.remaining)) == (1, 20)


def test_without_a_channel_for_the_model_fallback_models_stand_in(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(models=("m",), status=503, body=NO_CHANNEL),))
    home.write_many(8)
    run = home.run(WITHOUT_FAILED, model="m", fallback_models=("f",))
    assert (run.stop, run.counts["generated"], home.billed) == (None, 8, 8)


def test_a_quota_that_is_used_up_is_no_matter_of_pace(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(status=429, body=QUOTA, headers={"Retry-After": "1"}),))
    home.write_many(20)
    run = home.run(WITHOUT_FAILED)
    assert run.stop is not None
    assert "balance is used up" in run.stop.message
    assert home.posts == 1


def test_a_run_of_refusals_does_not_stop_the_others(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(word="zzforbidden", body=MODERATION),))
    for number in range(40):
        home.write(f"a{number:02}", f"zzforbidden {number}")
    home.write_many(5)
    run = home.run(WITHOUT_FAILED)
    assert (run.stop, run.counts["generated"], run.counts["failed"]) == (None, 5, 40)


# --- what was billed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [502, 504, 520, 524, 408, 499])
def test_a_gateway_that_lost_the_answer_may_have_let_it_be_billed(home: Home, status: int) -> None:
    home.sandbox.change_faults(
        plays=(Play(status=status, billed=True, body="<h1>timeout</h1>", media_type="text/html"),)
    )
    home.write_many(1)
    for _ in range(4):
        home.run(GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW})
    assert (home.posts, home.billed) == (2, 2)
    assert (home.money().billed, home.money().maybe_billed) == (0, 2)
    assert home.state("p00") is State.FAILED_FOR_GOOD


def test_bills_and_maybe_bills_together_never_pass_a_cap(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(status=524, billed=True),))
    home.write_many(10)
    for _ in range(3):
        run = home.run(WITHOUT_FAILED, max_spend_per_day=0.3)
    assert run.stop is not None
    assert run.stop.by == "cap"
    assert home.billed == home.money().maybe_billed == 3


def test_only_the_users_word_buys_once_more_what_was_lost_as_often_as_may_be(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(status=524, billed=True),))
    home.write_many(1)
    home.run(WITHOUT_FAILED)
    home.run(WITHOUT_FAILED)
    assert home.posts == 2
    home.run(frozenset(State))  # as --failed, or a backfill
    assert home.posts == 4
    home.run(WITHOUT_FAILED)
    assert home.posts == 4
    home.sandbox.change_faults(plays=())
    assert home.run(frozenset(State)).counts["generated"] == 1
    assert (home.posts, home.money().billed, home.money().maybe_billed) == (5, 1, 4)


@pytest.mark.parametrize("status", [500, 503, 521, 522, 523, 525, 526, 530])
def test_what_nobody_took_is_free_and_tried_again(home: Home, status: int) -> None:
    home.sandbox.change_faults(plays=(Play(status=status, times=1, body="<h1>down</h1>", media_type="text/html"),))
    home.write_many(1)
    assert home.run(WITHOUT_FAILED).counts["generated"] == 1
    assert (home.posts, home.money().billed, home.money().maybe_billed) == (2, 1, 0)


def test_at_most_once_is_a_setting(home: Home) -> None:
    home.sandbox.change_faults(rate_reset_after=1)
    home.write_many(1)
    for _ in range(3):
        home.run(GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW}, ambiguous_retries=0)
    assert home.posts == 1


def test_a_task_that_never_ends_is_not_bought_again_on_every_run(home: Home) -> None:
    home.sandbox.change_faults(task_endless=("lighthouse",))
    home.write("a", "a lighthouse")
    for _ in range(6):
        home.run(GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW}, task_timeout=0.1, **ASYNCHRONOUS)
    assert home.posts <= 2
    assert home.state("a", **ASYNCHRONOUS) is State.FAILED_FOR_GOOD


# --- answers that are pictures all the same, and what is kept -----------------------------------------


@pytest.mark.parametrize(
    "faults",
    [
        {"success": {"code": 10000, "msg": "Success"}},
        {"framing": "keep_alive"},
        {"framing": "blank"},
        {"framing": "sse"},
        {"answer": "b64_urlsafe"},
        {"picture_form": "bad_text_checksum"},
        {"picture_form": "grey16", "image_size": "90x160"},
        {"picture_form": "palette"},
        {"picture_form": "big_text"},
        {"image_format": "avif"},
    ],
    ids=str,
)
def test_a_picture_in_any_form_is_saved_and_paid_once(home: Home, faults: dict[str, Any]) -> None:
    home.sandbox.change_faults(**faults)
    home.write_many(1)
    run = home.run(WITHOUT_FAILED)
    assert run.failures == {}
    assert (run.counts["generated"], home.posts, home.billed) == (1, 1, 1)
    agree(home)


def test_an_answer_after_an_interim_one_is_not_taken_for_the_next_prompts(home: Home) -> None:
    home.sandbox.change_faults(interim=(103,), interim_word="slow", interim_seconds=0.1, interim_wait=0.6)
    for number in range(4):
        home.write(f"s{number}", f"slow boat {number}")
        home.write(f"q{number}", f"quick boat {number}")
    run = home.run(WITHOUT_FAILED, max_concurrency=2)
    assert run.counts["generated"] == 8
    assert (home.posts, home.billed) == (8, 8)
    seeds = {billing.prompt for billing in home.sandbox.books.billings()}
    assert {info.prompt for info in home.infos().values()} == seeds


def test_an_answer_that_is_not_understood_is_kept_and_not_asked_for_again_by_itself(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(word="zzodd", status=200, billed=True, body='{"artwork": "somewhere"}'),))
    home.write("a", "zzodd a")
    home.write_many(6)
    run = home.run(WITHOUT_FAILED)
    assert (run.stop, run.counts["generated"], list(run.failures)) == (None, 6, ["json_a"])
    with home.session() as session:
        (kept,) = session.kept.all()
        assert (kept.prompt_id, session.kept.data(kept)) == ("json_a", b'{"artwork": "somewhere"}')
    posts = home.posts
    again = home.run(WITHOUT_FAILED)
    assert list(again.failures) == ["json_a"]  # looked at again, and named
    assert home.posts == posts
    assert home.money().maybe_billed == 1


def test_a_kept_answer_that_can_be_read_by_now_becomes_the_picture_before_anything_is_bought(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.sandbox.change_faults(answer="b64")
    home.run(WITHOUT_FAILED)
    (good,) = home.files()
    good_bytes = good.read_bytes()
    good.unlink()
    home.sandbox.change_faults(plays=(Play(status=200, billed=True, body='{"artwork": "somewhere"}'),))
    home.run(WITHOUT_FAILED)
    with home.session() as session:
        (kept,) = session.kept.all()
        session.kept.drop([kept])
        about = {"kind": "picture", "reason": "once unreadable", "request_key": kept.request_key}
        session.kept.keep(
            good_bytes, type(kept).__bases__[0](prompt_id="json_a", purchase_id=kept.purchase_id, **about)
        )
    posts = home.posts
    run = home.run(WITHOUT_FAILED)
    assert (run.counts["generated"], home.posts) == (1, posts)
    assert home.state("a") is State.CURRENT
    assert (home.money().billed, home.money().maybe_billed) == (2, 0)
    with home.session() as session:
        assert session.kept.all() == []


def test_three_prompts_whose_answers_nobody_understands_stop_the_run(home: Home) -> None:
    home.sandbox.change_faults(rate_html_200=1)
    home.write_many(20)
    run = home.run(WITHOUT_FAILED)
    assert run.stop is not None
    assert (home.posts, len(run.failures)) == (3, 3)
    assert home.money().maybe_billed == 3


def test_broken_bytes_are_kept_with_their_reason(home: Home) -> None:
    with ScriptedService(Answer(json.dumps({"images": ["data:image/png;base64,aGVsbG8="]}))) as service:
        home.write("a", "a lighthouse")
        run = home.run(WITHOUT_FAILED, base_url=service.url)
    assert "not a picture" in run.failures["json_a"]
    with home.session() as session:
        (kept,) = session.kept.all()
        assert (session.kept.data(kept), kept.kind) == (b"hello", "picture")


# --- tasks --------------------------------------------------------------------------------------------


def test_a_task_that_is_done_without_a_picture_for_its_content_is_refused_with_its_words(home: Home) -> None:
    home.sandbox.change_faults(task_empty=("zzodd",), task_reason="IMAGE_SAFETY", done_word="succeeded")
    home.write("a", "zzodd a")
    for _ in range(6):
        run = home.run(GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW}, **ASYNCHRONOUS)
    assert home.posts == 1
    assert home.state("a", **ASYNCHRONOUS) is State.FAILED_FOR_GOOD
    assert run.outcomes == ()
    with home.session(**ASYNCHRONOUS) as session:
        (chain,) = session.ledger.purchases_of([home.plan(**ASYNCHRONOUS).by_id["json_a"].request.key])
    assert "IMAGE_SAFETY" in (chain.error_message or "")


def test_a_task_that_is_done_without_a_picture_and_a_word_counts_as_a_lost_answer(home: Home) -> None:
    home.sandbox.change_faults(task_empty=("zzodd",))
    home.write("a", "zzodd a")
    for _ in range(4):
        home.run(GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW}, **ASYNCHRONOUS)
    assert home.posts == 2
    assert home.state("a", **ASYNCHRONOUS) is State.FAILED_FOR_GOOD


@pytest.mark.parametrize("status", [401, 402, 403])
def test_one_task_that_the_service_does_not_show_concerns_that_task(home: Home, status: int) -> None:
    home.sandbox.change_faults(deny_polls=("zzodd",), deny_status=status)
    home.write("a", "zzodd a")
    home.write_many(12)
    run = home.run(WITHOUT_FAILED, **ASYNCHRONOUS)
    assert (run.stop, run.counts["generated"], list(run.failures)) == (None, 12, ["json_a"])
    home.write("n", "a new prompt")
    assert home.run(WITHOUT_FAILED, **ASYNCHRONOUS).counts["generated"] == 1
    assert home.billed == 14
    home.sandbox.change_faults(deny_polls=())
    assert home.run(WITHOUT_FAILED, **ASYNCHRONOUS).counts["generated"] == 1
    assert (home.posts, home.billed) == (14, 14)


def test_a_task_is_asked_for_only_where_it_was_made(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write("a", "a lighthouse")
    home.run(WITHOUT_FAILED, task_timeout=0.1, **ASYNCHRONOUS)
    with ScriptedService(Answer('{"state": "succeeded"}')) as other:
        run = home.run(WITHOUT_FAILED, base_url=other.url, **ASYNCHRONOUS)
        assert other.asked == []
    assert home.sandbox.url in run.failures["json_a"]
    home.sandbox.change_faults(task_seconds=0)
    assert home.run(WITHOUT_FAILED, **ASYNCHRONOUS).counts["generated"] == 1
    assert home.posts == 1


def test_a_task_of_another_service_is_bought_here_when_the_user_says_so(home: Home) -> None:
    home.sandbox.change_faults(task_seconds=3600)
    home.write("a", "a lighthouse")
    home.run(WITHOUT_FAILED, task_timeout=0.1, api_key="old-key-of-mine", **ASYNCHRONOUS)
    home.sandbox.change_faults(task_seconds=0)
    assert home.run(WITHOUT_FAILED, api_key="new-key-of-mine", **ASYNCHRONOUS).counts["failed"] == 1
    run = home.run(frozenset(State), force=True, api_key="new-key-of-mine", **ASYNCHRONOUS)
    assert run.counts["generated"] == 1
    assert home.posts == 2


# --- downloads ----------------------------------------------------------------------------------------


def test_a_busy_host_of_a_paid_picture_is_asked_again_within_the_run(home: Home) -> None:
    home.sandbox.change_faults(download_busy_seconds=1)
    home.write_many(3)
    run = home.run(WITHOUT_FAILED, download_patience=20)
    assert (run.counts["generated"], home.posts) == (3, 3)


def test_an_address_that_says_no_definitely_in_two_runs_is_dead_and_only_the_user_buys(home: Home) -> None:
    home.sandbox.change_faults(deny_downloads=("lighthouse",))
    home.write("a", "a lighthouse")
    for _ in range(3):
        run = home.run(GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW})
    assert run.outcomes == ()
    assert (home.posts, home.state("a")) == (1, State.FAILED_FOR_GOOD)
    home.sandbox.change_faults(deny_downloads=())
    assert home.run(frozenset(State)).counts["generated"] == 1
    assert home.posts == 2


# --- an idempotency key, nothing sent -----------------------------------------------------------------


def test_a_lost_answer_is_asked_for_under_the_same_idempotency_key_and_billed_once(home: Home) -> None:
    home.sandbox.change_faults(idempotency_header="Idempotency-Key", rate_reset_after=1)
    home.write_many(1)
    home.run(WITHOUT_FAILED, idempotency_header="Idempotency-Key", ambiguous_retries=0)
    home.sandbox.change_faults(rate_reset_after=0)
    run = home.run(frozenset(State), idempotency_header="Idempotency-Key")
    assert run.counts["generated"] == 1
    assert (home.posts, home.billed) == (2, 1)


def test_a_picture_asked_for_anew_has_an_idempotency_key_of_its_own(home: Home) -> None:
    home.sandbox.change_faults(idempotency_header="Idempotency-Key")
    home.write_many(1)
    home.run(WITHOUT_FAILED, idempotency_header="Idempotency-Key")
    home.run(frozenset(State), force=True, idempotency_header="Idempotency-Key")
    assert (home.posts, home.billed) == (2, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks://127.0.0.1:7890/"), ("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")],
)
def test_what_never_left_the_machine_stops_by_name_and_counts_as_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, value)
    home.write_many(8)
    run = home.run(WITHOUT_FAILED, base_url="https://images.invalid", api_key="sk-of-mine-1")
    assert run.stop is not None
    assert f"{name}={value}" in run.stop.message
    assert (len(run.remaining), run.failures) == (8, {})
    with home.session() as session:
        assert session.ledger.posts_of([chain.id for chain in session.ledger.latest_purchases().values()]) == {}


def test_the_sandbox_is_asked_without_a_proxy(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    home.write_many(2)
    assert home.run(WITHOUT_FAILED).counts["generated"] == 2


# --- the width ----------------------------------------------------------------------------------------


def test_some_push_backs_do_not_narrow_a_run_and_many_do() -> None:
    import random  # noqa: PLC0415
    import threading  # noqa: PLC0415

    from duomi_pipeline.engine.width import Throttle  # noqa: PLC0415

    def widths(share: float, seed: int) -> list[int]:
        dice, throttle, seen = random.Random(seed), Throttle(32, 1000, threading.Event(), trusted=False), []
        for _ in range(1000):
            (throttle.pushed_back if dice.random() < share else throttle.answered)()
            seen.append(throttle.width)
        return seen

    for seed in range(20):
        assert min(widths(0.15, seed)[100:]) >= 24
        assert max(widths(0.75, seed)[100:]) <= 4
