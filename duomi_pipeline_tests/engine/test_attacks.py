"""What a red team found: each of these once cost money, lost a picture, or drew a wrong conclusion."""

import base64
import json
from typing import Any

import pytest

from duomi_pipeline.engine import GENERATED_BY_ITSELF, State
from duomi_pipeline.engine.kept_answers import About
from duomi_pipeline.sandbox.plays import Play
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.engine.home import ASYNCHRONOUS, Home
from duomi_pipeline_tests.images.harness import encoded, gradient

BY_ITSELF = GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW}
PICTURE = encoded(gradient((72, 128)))


def answer_with(body: object, status: int = 200) -> Play:
    return Play(word="zzodd", status=status, billed=True, body=json.dumps(body, ensure_ascii=False))


# --- money --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"output": ["https://cdn.example/x.png"], "message": "generated; content safety check passed"},
        {"output": ["https://cdn.example/x.png"], "message": "图片审核通过"},
        {"images": [], "message": "done, your balance is 12.5"},
        {"code": 1, "msg": "生成成功", "result": [{"url": "https://cdn.example/x.png"}]},
        {"code": 1, "msg": "提交成功", "data": "task-8812"},
        {"images": [], "message": "rejected by content moderation"},
    ],
    ids=str,
)
def test_a_whole_answer_without_a_picture_may_be_billed_is_kept_and_not_repeated(home: Home, body: object) -> None:
    home.sandbox.change_faults(plays=(answer_with(body),))
    home.write("a", "zzodd a")
    for _ in range(3):
        home.run(BY_ITSELF)
    assert (home.posts, home.billed) == (1, 1)
    assert (home.money().billed, home.money().maybe_billed) == (0, 1)
    with home.session() as session:
        assert len(session.kept.all()) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (504, {"code": "50603"}),
        (502, {"error": {"code": "model_not_available"}}),
        (524, {"error": {"type": "content_filter_timeout"}}),
    ],
)
def test_a_code_makes_no_lost_answer_free(home: Home, status: int, body: object) -> None:
    home.sandbox.change_faults(plays=(answer_with(body, status),))
    home.write("a", "zzodd a")
    for _ in range(3):
        home.run(BY_ITSELF)
    assert (home.posts, home.billed, home.money().maybe_billed) == (2, 2, 2)


def test_a_free_answer_in_between_leaves_a_lost_one_its_idempotency_key(home: Home) -> None:
    header: dict[str, Any] = {"idempotency_header": "Idempotency-Key"}
    home.sandbox.change_faults(idempotency_header="Idempotency-Key", rate_reset_after=1)
    home.write("a", "a lighthouse")
    home.run(GENERATED_BY_ITSELF, ambiguous_retries=0, **header)
    home.sandbox.change_faults(rate_reset_after=0, rate_503=1)
    home.run(frozenset(State), max_attempts=1, **header)
    home.sandbox.change_faults(rate_503=0)
    assert home.run(frozenset(State), **header).counts["generated"] == 1
    assert home.billed == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, '{"message": "Access prohibited"}'),
        (400, '{"message": "content moderation"}'),
        (422, '{"detail": "unsafe"}'),
    ],
)
def test_no_word_of_a_poll_gives_a_paid_task_up(home: Home, status: int, body: str) -> None:
    home.sandbox.change_faults(deny_polls=("lighthouse",), deny_status=status, deny_body=body)
    home.write("a", "a lighthouse")
    home.run(GENERATED_BY_ITSELF, task_timeout=0.3, **ASYNCHRONOUS)
    home.sandbox.change_faults(deny_polls=())
    home.run(GENERATED_BY_ITSELF, **ASYNCHRONOUS)
    assert (home.posts, home.billed, len(home.infos())) == (1, 1, 1)


def test_what_is_on_the_wire_does_not_use_a_cap_up_for_good(home: Home) -> None:
    home.sandbox.change_faults(
        plays=(Play(word="zzodd", body='{"error": {"code": "moderation_blocked"}}'),), latency=0.2
    )
    home.write("first", "a lighthouse")
    home.run(GENERATED_BY_ITSELF)  # so that no canary goes first
    for name in "abc":
        home.write(name, f"zzodd {name}")
    home.write_many(6)
    run = home.run(GENERATED_BY_ITSELF, max_images=4)
    assert run.counts["generated"] == 4
    assert home.billed == 5


# --- loss ---------------------------------------------------------------------------------------------


def test_a_cap_that_stops_the_run_does_not_end_the_patience_with_a_paid_pictures_host(home: Home) -> None:
    home.sandbox.change_faults(download_busy_seconds=1.5)
    home.write_many(8)
    run = home.run(GENERATED_BY_ITSELF, max_images=4, download_patience=20)
    assert run.stop is not None
    assert run.stop.by == "cap"
    assert (home.billed, len(home.infos())) == (4, 4)


def test_a_busy_host_before_a_definite_no_is_not_two_of_them(home: Home) -> None:
    home.sandbox.change_faults(rate_download_busy=1)
    home.write("a", "a lighthouse")
    home.run(GENERATED_BY_ITSELF)
    home.sandbox.change_faults(rate_download_busy=0, deny_downloads=("lighthouse",), deny_download_status=404)
    home.run(BY_ITSELF)
    home.sandbox.change_faults(deny_downloads=())
    assert home.run(BY_ITSELF).counts["generated"] == 1
    assert home.posts == 1


def test_each_event_of_a_stream_may_hold_a_picture(home: Home) -> None:
    encoded_picture = base64.b64encode(PICTURE).decode()
    events = "".join(f'data: {{"data": [{{"b64_json": "{encoded_picture}"}}]}}\n\n' for _ in range(2))
    with ScriptedService(Answer(events + "data: [DONE]\n\n")) as service:
        home.write("a", "a lighthouse", generation={"batch_size": 2})
        run = home.run(GENERATED_BY_ITSELF, base_url=service.url)
    assert len(run.outcome("a").files) == 2


def test_the_broken_one_of_several_downloads_is_kept(home: Home) -> None:
    two = Answer(json.dumps({"images": [{"url": "/a.png"}, {"url": "/b.png"}]}))
    with ScriptedService(two, Answer(PICTURE), Answer(b"\x89PNG half")) as service:
        home.write("a", "a lighthouse", generation={"batch_size": 2})
        assert home.run(GENERATED_BY_ITSELF, base_url=service.url).counts["generated"] == 1
    with home.session() as session:
        (kept,) = session.kept.all()
        assert (kept.position, session.kept.data(kept)) == (1, b"\x89PNG half")


# --- conclusions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302])
def test_a_service_that_is_elsewhere_refuses_no_prompt_of_its_own_values(home: Home, status: int) -> None:
    for number in range(12):
        home.write(f"p{number}", f"boat {number}", generation={"seed": number})
    with ScriptedService(Answer("", status, {"Location": "/login"})) as service:
        run = home.run(GENERATED_BY_ITSELF, base_url=service.url)
    assert run.stop is not None
    assert (run.failures, len(run.remaining)) == ({}, 12)
    assert home.run(GENERATED_BY_ITSELF).counts["generated"] == 12


def test_a_key_that_cannot_be_sent_refuses_no_prompt_of_its_own_values(home: Home) -> None:
    for number in range(8):
        home.write(f"p{number}", f"boat {number}", generation={"seed": number})
    run = home.run(GENERATED_BY_ITSELF, api_key="sk-of-mine…")
    assert run.stop is not None
    assert "DUOMI_API_KEY" in run.stop.message
    assert run.failures == {}


@pytest.mark.parametrize(
    "words",
    [
        "Access prohibited from your region",
        "negative_prompt too long",
        "您的实名认证审核未通过",
        "Your IP has been flagged as unsafe",
        "this request is unsafe in some new way",
    ],
)
def test_words_that_all_prompts_meet_refuse_none_of_them(home: Home, words: str) -> None:
    home.sandbox.change_faults(plays=(Play(status=403, body=json.dumps({"message": words})),))
    home.write_many(30)
    run = home.run(GENERATED_BY_ITSELF)
    assert run.stop is not None
    assert (run.failures, len(run.remaining)) == ({}, 30)
    assert home.posts <= 11
    home.sandbox.change_faults(plays=())
    assert home.run(GENERATED_BY_ITSELF).counts["generated"] == 30


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Invalid prompt: zzodd a banker checks your balance on the phone"),
        (400, "prompt rejected: zzodd 一个人查看手机上的账户余额"),
        (400, "The model declined: depicting real people is not supported"),
        (422, "model output disabled for minors"),
        (404, "prompt not found in model vocabulary"),
        (500, "Your request was rejected as a result of our safety system"),
    ],
)
def test_words_that_one_prompt_meets_concern_that_prompt(home: Home, status: int, words: str) -> None:
    home.sandbox.change_faults(plays=(Play(word="zzodd", status=status, body=json.dumps({"message": words})),))
    home.write("a", words.partition(": ")[2] if "zzodd" in words else "zzodd a")
    home.write_many(9)
    run = home.run(GENERATED_BY_ITSELF)
    assert (run.stop, run.counts["generated"], list(run.failures)) == (None, 9, ["json_a"])
    assert home.state("a") is State.FAILED_FOR_GOOD


def test_many_bad_prompts_among_good_ones_do_not_stop_every_start(home: Home) -> None:
    body = json.dumps({"code": 20035, "message": "no"})
    home.sandbox.change_faults(plays=(Play(word="zzodd", body=body),))
    home.write_many(12)
    for number in range(6):
        home.write(f"z{number}", f"zzodd {number}")
    for _ in range(3):
        run = home.run(GENERATED_BY_ITSELF)
    assert run.stop is None
    assert home.plan().counts[State.FAILED_FOR_GOOD] == 6
    assert home.plan().counts[State.CURRENT] == 12


def test_a_gateways_page_is_never_the_last_word_about_a_prompt(home: Home) -> None:
    home.sandbox.change_faults(plays=(Play(status=404, body="<h1>Not Found</h1>", media_type="text/html"),))
    home.write("a", "a lighthouse")
    home.run(GENERATED_BY_ITSELF)
    assert home.state("a") is State.FAILED_FOR_NOW


def test_an_error_about_all_that_repeats_each_prompt_is_seen_to_be_the_same(home: Home) -> None:
    texts = {f"p{number}": f"A boat of the kind {chr(97 + number) * 9}" for number in range(12)}
    answers = (Play(word=t, body=json.dumps({"message": f"size not allowed for request: {t}"})) for t in texts.values())
    home.sandbox.change_faults(plays=tuple(answers))
    for name, text in texts.items():
        home.write(name, text)
    run = home.run(GENERATED_BY_ITSELF)
    assert run.stop is not None
    assert (run.failures, len(run.remaining), home.posts) == ({}, 12, 3)


def test_the_users_word_reaches_a_fallback_whose_answers_were_lost(home: Home) -> None:
    chain: dict[str, Any] = {"model": "m", "fallback_models": ("f",)}
    home.sandbox.change_faults(disabled_models=("m",), rate_reset_after=1)
    home.write("a", "a lighthouse")
    home.run(GENERATED_BY_ITSELF, **chain)
    home.sandbox.change_faults(rate_reset_after=0)
    assert home.run(frozenset(State), **chain).counts["generated"] == 1


# --- what others plant --------------------------------------------------------------------------------


def test_a_planted_record_leads_to_no_other_file_and_stops_nobody(home: Home) -> None:
    victim = home.path / "victim.png"
    victim.write_bytes(PICTURE)
    home.write("a", "a lighthouse")
    key = home.plan().by_id["json_a"].request.key
    with home.session() as session:
        about = About(request_key=key, prompt_id="json_a", purchase_id=1, kind="picture", reason="planted")
        session.kept.keep(b"\x89PNG", about)
        folder = session.kept.folder
    (record,) = folder.glob("*.about")
    planted: list[dict[str, Any]] = [{"file": "../../victim.png"}, {"position": "x"}, {"file": 5}, {"kept_at": "x"}]
    content: dict[str, Any] = json.loads(record.read_text())
    for number, changes in enumerate(planted):
        (folder / f"{key[:16]}_planted{number}.about").write_text(json.dumps({**content, **changes}))
    assert home.run(GENERATED_BY_ITSELF).counts["generated"] == 1
    assert victim.exists()
    assert home.posts == 1
