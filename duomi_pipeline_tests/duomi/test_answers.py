"""Every shape of answer seen in the wild becomes pictures, a task, waiting, or an error with the service's words."""

import base64
import json
from typing import Any

import pytest

from duomi_pipeline.duomi.answers import Empty, Pictures, Task, Waiting, parse_json, parse_submission, parse_task
from duomi_pipeline.duomi.errors import (
    AccountError,
    Ambiguous,
    BalanceUsedUp,
    DailyLimitReached,
    DuomiError,
    Forbidden,
    ModelNotServed,
    NotKnown,
    NotUnderstood,
    PromptRefused,
    RateLimited,
    ServiceBusy,
    TaskFailed,
)
from duomi_pipeline.duomi.pictures import Image
from duomi_pipeline.duomi.reactions import Billed

URL = "https://files.example/a.png?sign=1"
BYTES = b"\x89PNG bytes of a picture"
B64 = base64.b64encode(BYTES).decode()
BY_URL = Image(url=URL)
BY_DATA = Image(data=BYTES)
DONE = [
    "succeeded",
    "success",
    "completed",
    "complete",
    "finished",
    "done",
    "succeed",
    "3",
    3,
    "SUCCEEDED",
    " Done ",
]
FAILED = [
    "failed",
    "failure",
    "fail",
    "error",
    "cancelled",
    "canceled",
    "rejected",
    "aborted",
    "expired",
    "2",
    2,
    "FAILED",
]
WAITING = [
    "pending",
    "queued",
    "running",
    "processing",
    "in_progress",
    "submitted",
    "",
    "1",
    0,
    None,
    "who knows",
    True,
    {},
]
WORDS = "the words of the service"


def submitted(body: Any, status: int = 200) -> Pictures | Task:
    return parse_submission(parse_json(status, json.dumps(body)), has_tasks=True)


def polled(body: Any, status: int = 200) -> Pictures | Waiting | Empty:
    return parse_task(parse_json(status, json.dumps(body), of_task=True))


def error_of(body: Any, status: int = 400, retry_after: float | None = None) -> DuomiError:
    with pytest.raises(DuomiError) as caught:
        parse_json(status, body if isinstance(body, str) else json.dumps(body), retry_after)
    return caught.value


# --- answers to a POST -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "images"),
    [
        ({"images": [{"url": URL}], "timings": {"inference": 1.5}}, [BY_URL]),
        ({"images": [{"url": URL}, {"url": "/b.png"}]}, [BY_URL, Image(url="/b.png")]),
        ({"images": [URL]}, [BY_URL]),
        ({"created": 1, "data": [{"url": URL, "revised_prompt": "x"}]}, [BY_URL]),
        ({"created": 1, "data": [{"b64_json": B64}]}, [BY_DATA]),
        ({"data": [{"b64_json": f"data:image/png;base64,{B64}"}]}, [BY_DATA]),
        ({"data": [{"url": f"data:image/png;base64,{B64}"}]}, [BY_DATA]),
        ({"images": [f"data:image/webp;base64,{B64}"]}, [BY_DATA]),
        ({"data": [{"url": URL, "b64_json": B64}]}, [Image(URL, BYTES)]),
        ({"images": [{"url": URL}], "data": [{"b64_json": B64}]}, [Image(URL, BYTES)]),
        ({"data": [{"url": URL, "b64_json": ""}]}, [BY_URL]),
        ({"data": [{"url": URL, "b64_json": None}]}, [BY_URL]),
        ({"images": [{"url": URL}], "data": [{"url": URL}]}, [BY_URL]),
        ({"images": [], "data": [{"url": URL}]}, [BY_URL]),
        ({"images": None, "data": [{"url": URL}]}, [BY_URL]),
        ({"images": [None, {}, {"url": ""}, 7, {"url": URL}]}, [BY_URL]),
        ({"images": ["", URL]}, [BY_URL]),
        (
            {"id": "t", "state": "succeeded", "data": {"images": [{"url": URL, "file_name": "a.png"}]}},
            [BY_URL],
        ),
        ({"code": 200, "data": {"task_id": "t", "data": {"images": [URL]}}}, [BY_URL]),
        ({"code": 0, "images": [{"url": URL}]}, [BY_URL]),
        ({"code": "success", "images": [{"url": URL}]}, [BY_URL]),
        ({"code": None, "error": None, "images": [{"url": URL}]}, [BY_URL]),
        ({"code": "", "images": [{"url": URL}]}, [BY_URL]),
        *(({"code": code, "msg": "done", "images": [URL]}, [BY_URL]) for code in (1, 10000, "Success", "fail", 500)),
        ({"error": {"message": "a warning"}, "images": [URL]}, [BY_URL]),
    ],
)
def test_pictures_are_found_in_every_shape_of_a_submission(body: dict[str, Any], images: list[Image]) -> None:
    assert submitted(body) == Pictures(tuple(images))


@pytest.mark.parametrize(("seed", "kept"), [(51515151, 51515151), (0, 0), (None, None), ("7", None), (True, None)])
def test_the_seed_that_the_service_reports_is_kept_if_it_is_a_number(seed: object, kept: int | None) -> None:
    answer = submitted({"images": [{"url": URL}], "seed": seed})
    assert answer == Pictures((BY_URL,), kept)


@pytest.mark.parametrize(
    ("body", "task_id"),
    [
        ({"id": "task_1"}, "task_1"),
        ({"id": 17}, "17"),
        ({"task_id": "t"}, "t"),
        *(({"code": code, "msg": "queued", "data": {"task_id": "t"}}, "t") for code in (200, 1, 10000, "Success")),
        ({"code": 200, "msg": "success", "data": {"id": "t"}}, "t"),
        ({"id": "t", "state": "pending", "data": {"images": []}}, "t"),
        ({"id": "t", "state": "pending", "data": []}, "t"),
        ({"id": "t", "data": {"images": [""]}}, "t"),
    ],
)
def test_a_submission_without_pictures_gives_its_task(body: dict[str, Any], task_id: str) -> None:
    assert submitted(body) == Task(task_id)


@pytest.mark.parametrize(
    "body", [{}, {"id": ""}, {"id": " "}, {"id": None}, {"id": {}}, {"data": "x"}, {"created": 1, "data": []}]
)
def test_a_submission_with_neither_pictures_nor_task_is_not_understood(body: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood):
        submitted(body)


@pytest.mark.parametrize("error", [{"message": WORDS}, WORDS, {"message": WORDS, "code": None}])
def test_an_error_without_a_code_keeps_the_words_of_the_service(error: object) -> None:
    with pytest.raises(DuomiError, match=WORDS):
        submitted({"error": error})


# --- answers to a poll -------------------------------------------------------------------------------

TASK_SHAPES = ["flat state", "nested state", "nested status", "both"]


def task(shape: str, word: object, images: list[object], **more: object) -> dict[str, Any]:
    if shape == "flat state":
        return {
            "id": "t",
            "state": word,
            "progress": 0,
            "data": {"images": images, "description": "", **more},
        }
    states = {
        "nested state": {"state": word},
        "nested status": {"status": word},
        "both": {"state": word, "status": word},
    }
    return {
        "code": 200,
        "msg": "success",
        "data": {"task_id": "t", **states[shape], "data": {"images": images}, **more},
    }


@pytest.mark.parametrize("shape", TASK_SHAPES)
@pytest.mark.parametrize("word", DONE)
def test_a_task_that_is_done_gives_its_pictures(shape: str, word: object) -> None:
    assert polled(task(shape, word, [{"url": URL, "file_name": "a"}])) == Pictures((BY_URL,))
    assert polled(task(shape, word, [URL])) == Pictures((BY_URL,))


@pytest.mark.parametrize("shape", TASK_SHAPES)
@pytest.mark.parametrize("images", [[], [{}], [None], [""], [{"url": None}]])
def test_a_task_that_is_done_without_a_picture_is_empty_and_not_ended(shape: str, images: list[object]) -> None:
    assert isinstance(polled(task(shape, "succeeded", images)), Empty)


def test_an_empty_task_keeps_the_words_of_the_service() -> None:
    assert polled(task("flat state", "succeeded", [], msg="filtered")) == Empty("filtered")


@pytest.mark.parametrize("inner", ["running", "", "who knows"])
def test_success_of_the_envelope_is_not_that_of_the_task(inner: str) -> None:
    body = {"code": 200, "status": "success", "data": {"task_id": "t", "state": inner}}
    assert polled(body) == (Waiting() if inner else Empty(""))


@pytest.mark.parametrize("shape", TASK_SHAPES)
@pytest.mark.parametrize("word", WAITING)
def test_any_other_state_is_waited_for(shape: str, word: object) -> None:
    assert polled(task(shape, word, [])) == Waiting()


def test_an_answer_without_a_state_is_waited_for() -> None:
    assert polled({}) == polled({"code": 200, "data": None}) == polled({"data": []}) == Waiting()


@pytest.mark.parametrize("shape", TASK_SHAPES)
@pytest.mark.parametrize("word", FAILED)
def test_a_task_that_failed_says_why(shape: str, word: object) -> None:
    with pytest.raises(TaskFailed, match="upstream exploded"):
        polled(task(shape, word, [], msg="upstream exploded"))
    with pytest.raises(PromptRefused, match="sensitive"):
        polled(task(shape, word, [], description="the prompt is sensitive"))


def test_a_failure_inside_an_envelope_of_success_is_a_failure() -> None:
    with pytest.raises(TaskFailed):
        polled({"status": "success", "code": 200, "data": {"state": "failed", "msg": "no luck"}})


@pytest.mark.parametrize(
    "body",
    [
        {"id": "t", "state": "failed", "error": {"code": "generation_failed", "message": "no luck"}},
        {"id": "t", "state": "failed", "error": {"code": 1234, "message": "no luck"}},
        {"id": "t", "state": "failed", "error": {"message": "no luck"}},
        {"id": "t", "state": "failed", "error": "no luck"},
        {"id": "t", "state": "failed", "message": "no luck"},
    ],
)
def test_an_explicit_failure_ends_the_task_whatever_code_comes_with_it(body: dict[str, Any]) -> None:
    with pytest.raises(TaskFailed, match="no luck"):
        polled(body)


@pytest.mark.parametrize(
    "words",
    [
        "Your request was rejected by the safety system",
        "content policy violation",
        "NSFW",
        "内容违规",
        "包含敏感词",
        "moderation_blocked",
    ],
)
def test_a_task_that_failed_for_its_content_is_final_for_the_prompt(words: str) -> None:
    with pytest.raises(PromptRefused) as caught:
        polled({"id": "t", "state": "failed", "data": {"description": words}})
    assert caught.value.message == words


# --- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": WORDS}},
        {"error": WORDS},
        {"message": WORDS},
        {"msg": WORDS},
        {"detail": WORDS},
        {"data": {"description": WORDS}},
        {"data": {"msg": WORDS}},
        {"error": {"message": ""}, "message": None, "msg": f"  {WORDS} "},
        json.dumps(WORDS),
        WORDS,
        "<!DOCTYPE html><style>p {}</style><script>x()</script>\n<body><h1>the words</h1>\n<p>of the service",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 401, 429, 451, 500, 502])
def test_the_words_of_the_service_are_found_in_every_place(body: object, status: int) -> None:
    assert error_of(body, status).message.startswith(WORDS)


def test_words_in_a_place_nobody_knows_are_shown_as_they_stand() -> None:
    assert WORDS in error_of({"detail": [{"loc": ["body"], "msg": WORDS}]}, 422).message


@pytest.mark.parametrize("text", ["", " ", "{}", "null", "<html></html>"])
def test_an_error_without_words_still_says_something(text: str) -> None:
    error = error_of(text, 503)
    assert isinstance(error, ServiceBusy)
    assert error.message.strip()


def test_a_very_long_text_is_cut() -> None:
    assert len(error_of({"message": "x" * 100_000}, 500).message) <= 300
    assert len(error_of("<p>" + "x" * 100_000, 500).message) <= 300


CLASSES: list[tuple[int, str, type[DuomiError]]] = [
    *((status, "", NotKnown) for status in (400, 404, 405, 409, 415, 422)),
    *((400, code, NotKnown) for code in ("20015", "20025", "20026", "20028", "20034", "20035", "30004", "99999")),
    (403, "", Forbidden),
    *((status, code, ModelNotServed) for status in (400, 403, 404, 503) for code in ("20012", "30003")),
    (401, "", AccountError),
    (402, "", BalanceUsedUp),
    *((400, code, AccountError) for code in ("30002", "30011", "30012")),
    *((status, "30001", BalanceUsedUp) for status in (400, 403, 429)),
    (413, "", PromptRefused),
    (451, "", PromptRefused),
    *((status, "20021", PromptRefused) for status in (400, 403, 422)),
    (429, "", RateLimited),
    *((429, code, RateLimited) for code in ("50601", "50604", "50607")),
    *((429, code, DailyLimitReached) for code in ("50605", "50608")),
    *((status, "", ServiceBusy) for status in (500, 501, 503, 521, 522, 523, 525, 526, 529, 530)),
    *((status, "", Ambiguous) for status in (408, 499, 502, 504, 520, 524)),
    *((400, code, ServiceBusy) for code in ("50505", "50508", "50603")),
    (429, "50603", ServiceBusy),
]


@pytest.mark.parametrize(("status", "code", "kind"), CLASSES)
def test_status_and_code_decide_the_class(status: int, code: str, kind: type[DuomiError]) -> None:
    error = error_of({"code": int(code), "message": WORDS} if code else {"message": WORDS}, status)
    assert type(error) is kind
    assert error.message == WORDS
    assert error.code == (code or str(status))
    assert f"(code {error.code})" in str(error)


@pytest.mark.parametrize(("status", "code", "kind"), [row for row in CLASSES if row[1] and row[0] == 400])
def test_a_code_counts_wherever_it_stands_also_with_http_200(status: int, code: str, kind: type[DuomiError]) -> None:
    in_error = {"error": {"code": code, "message": WORDS}}
    for body in ({"code": int(code), "msg": WORDS}, {"code": code, "msg": WORDS}, in_error):
        error = error_of(body, 200)
        assert type(error) is kind
        assert (error.code, error.message) == (code, WORDS)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(status, ServiceBusy) for status in (500, 503, 521, 522, 523, 525, 526, 529, 530)]
    + [(status, Ambiguous) for status in (408, 499, 501, 502, 504, 505, 520, 524, 599)]
    + [(403, Forbidden), (400, NotKnown), (404, NotKnown), (429, RateLimited)],
)
def test_a_gateways_page_is_free_only_where_it_had_nobody_to_ask(status: int, kind: type[DuomiError]) -> None:
    assert type(error_of("<html><body>Gateway</body></html>", status)) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, NotKnown),
        (401, AccountError),
        (429, RateLimited),
        (451, PromptRefused),
        (500, ServiceBusy),
        (504, Ambiguous),
        ("fail", NotKnown),
    ],
)
def test_a_body_with_an_http_status_as_code_is_that_error(code: object, kind: type[DuomiError]) -> None:
    error = error_of({"code": code, "msg": "fail_to_submit_task"}, 200)
    assert type(error) is kind
    assert error.message == "fail_to_submit_task"


@pytest.mark.parametrize("code", [0, 200, "200", "success", "SUCCESS", "", None])
def test_a_fine_code_on_an_http_error_does_not_hide_the_error(code: object) -> None:
    error = error_of({"code": code, "msg": WORDS}, 401)
    assert type(error) is AccountError
    assert error.code == "401"


@pytest.mark.parametrize(
    ("code", "asked", "wait"),
    [("", None, None), ("", 7.0, 7.0), ("50601", None, 60), ("50604", 5.0, 5.0), ("50607", 90.0, 90)],
)
def test_how_long_to_wait_is_kept(code: str, asked: float | None, wait: float | None) -> None:
    error = error_of({"code": code or None, "message": "slow down"}, 429, asked)
    assert type(error) is RateLimited
    assert error.retry_after == wait


@pytest.mark.parametrize(
    "text",
    ["", "OK", '"OK"', "[]", "7", "null", "<html>Bad gateway</html>", '{"images": [', "9" * 5000, "[" * 100_000,
     '{"a":' * 100_000],
    ids=["empty", "word", "string", "list", "number", "null", "html", "half", "digits", "deep list", "deep object"],
)  # fmt: skip
def test_a_success_that_is_no_json_object_is_not_understood(text: str) -> None:
    error = error_of(text, 200)
    assert type(error) is NotUnderstood
    assert error.message


@pytest.mark.parametrize(
    ("body", "words", "kind", "billed"),
    [
        ({"success": False, "msg": "%s"}, "insufficient balance", BalanceUsedUp, Billed.NO),
        ({"success": False, "msg": "%s"}, "余额不足", BalanceUsedUp, Billed.NO),
        ({"success": False, "msg": "%s"}, "内容违规", PromptRefused, Billed.NO),
        ({"message": "%s"}, "内容违规", PromptRefused, Billed.MAYBE),
        ({"images": [], "message": "%s"}, "rejected by content moderation", PromptRefused, Billed.MAYBE),
        ("%s", "内容违规", PromptRefused, Billed.MAYBE),
        ({"images": [], "message": "%s"}, "done, your balance is 12.5", NotUnderstood, Billed.MAYBE),
        ({"output": ["https://a/x.png"], "message": "%s"}, "content safety check passed", NotUnderstood, Billed.MAYBE),
        ({"code": 1, "msg": "%s", "data": "task-8812"}, "提交成功", NotUnderstood, Billed.MAYBE),
        ({"code": 1, "msg": "%s", "result": [{"url": "https://a/x"}]}, "生成", NotUnderstood, Billed.MAYBE),
    ],
)
def test_a_success_without_a_picture_is_what_it_says_and_may_be_billed_unless_it_says_that_it_is_an_error(
    body: Any, words: str, kind: type[DuomiError], billed: Billed
) -> None:
    text = json.dumps(body, ensure_ascii=False) % words
    with pytest.raises(DuomiError) as caught:
        parse_submission(parse_json(200, text), has_tasks=True)
    assert (type(caught.value), caught.value.billed) == (kind, billed)
