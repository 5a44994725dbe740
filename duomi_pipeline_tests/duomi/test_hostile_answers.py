"""Answers with a value of the wrong kind in each field, and with text that is out to do harm."""

import json
from typing import Any

import pytest

from duomi_pipeline.duomi.answers import Empty, Pictures, Task, Waiting, parse_json, parse_submission, parse_task
from duomi_pipeline.duomi.errors import DuomiError, NotKnown, NotUnderstood

DEEP = "[" * 500 + "]" * 500  # deep, and yet parsed whatever stands on the stack already
WRONG = ["true", "false", "null", "NaN", "-1e999", "1.5", "[]", "{}", '""', '"\\u0000"', '"\\ud83d"', "9" * 4_000, f'"{"x" * 100_000}"', DEEP]  # fmt: skip
FIELDS = ["code", "error", "message", "msg", "detail", "state", "status", "id", "task_id", "data", "images", "seed", "created", "timings"]  # fmt: skip

SHAPES = [
    '{{"{}": {}}}',
    '{{"data": {{"{}": {}}}}}',
    '{{"error": {{"{}": {}}}}}',
    '{{"data": [{{"url": "/a", "{}": {}}}]}}',
]


def submitted(text: str, status: int = 200) -> Pictures | Task:
    return parse_submission(parse_json(status, text), has_tasks=True)


def polled(text: str) -> Pictures | Waiting | Empty:
    return parse_task(parse_json(200, text, of_task=True))


def shown(error: DuomiError) -> str:
    """An error's text, checked to be fit for every log, terminal and database."""
    text = f"{error} {error.code}"
    assert text.isprintable()
    assert text.encode()
    assert len(text) < 1_000
    return text


@pytest.mark.parametrize("value", WRONG, ids=[value[:12] for value in WRONG])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_value_in_any_field_is_an_answer_or_a_named_error(shape: str, value: str) -> None:
    for field in FIELDS:
        text = shape.format(field, value)
        for read in (submitted, polled, lambda text: submitted(text, 400)):
            try:
                answer = read(text)
            except DuomiError as error:
                shown(error)
            else:
                assert repr(answer).encode()


@pytest.mark.parametrize("code", ["true", "[]", "{}", "200.0", "0.0", '" Success "', DEEP])
def test_a_code_that_is_none_does_not_hide_pictures(code: str) -> None:
    assert isinstance(submitted(f'{{"code": {code}, "images": ["/a.png"]}}'), Pictures)


@pytest.mark.parametrize(
    "text", ["\x1b]0;title\x07", "\x9b31m", "\u202egnp", "a\nb\r\n", "\x00", "\ud83d", "x" * 5_000]
)
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_the_words_of_the_service_are_one_line_that_can_be_printed(text: str, status: int) -> None:
    for body in ({"code": f"c{text}", "message": text}, {"error": {"code": text, "message": f"m{text}"}}, text):
        with pytest.raises(DuomiError) as caught:
            submitted(json.dumps(body), status)
        shown(caught.value)
    with pytest.raises(DuomiError) as caught:
        submitted(f"<html><body>{text}".encode("utf-8", "replace").decode(), status)
    shown(caught.value)


@pytest.mark.parametrize("task_id", [True, "\ud83d", "a\0b", "a\nb", "..", ".", "x" * 501, "\x1b[31m", [], {}])
def test_an_id_that_can_be_neither_kept_nor_asked_for_is_no_task(task_id: Any) -> None:
    for body in ({"id": task_id}, {"data": {"task_id": task_id}}):
        with pytest.raises(NotUnderstood):
            submitted(json.dumps(body))


@pytest.mark.parametrize("url", ["http://a/\ud83d", "http://a/\x00", "http://a/\nb", "/" + "x" * 20_001, "\u202e/a"])
def test_an_address_that_cannot_be_written_down_is_kept_with_its_reason(url: str) -> None:
    for body in ({"images": [url]}, {"data": [{"url": url}]}, {"images": [{"url": url}]}):
        answer = submitted(json.dumps(body))
        assert isinstance(answer, Pictures)
        (image,) = answer.images
        assert (image.url, image.data, image.problem) == (None, None, "the picture's address is invalid")
        assert image.raw == url.strip().encode("utf-8", "replace")


def test_an_address_with_blanks_around_it_is_one() -> None:
    answer = submitted('{"images": [" https://files.example/a.png\\n"]}')
    assert isinstance(answer, Pictures)
    assert [image.url for image in answer.images] == ["https://files.example/a.png"]


def test_an_answer_with_very_many_pictures_is_cut() -> None:
    answer = submitted(json.dumps({"images": ["/a.png"] * 100_000}))
    assert isinstance(answer, Pictures)
    assert len(answer.images) == 16


def test_a_name_that_the_service_gives_a_file_is_not_even_read() -> None:
    answer = submitted('{"images": [{"url": "/a.png", "file_name": "../../.bashrc"}]}')
    assert "bashrc" not in repr(answer)


@pytest.mark.parametrize("text", [DEEP * 500, "[" * 1_000_000, '{"a":' * 100_000, "9" * 5_000, "\ufeff{}", "{} {}"])
def test_json_that_cannot_be_read_is_no_answer(text: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        submitted(text)
    shown(caught.value)
    with pytest.raises(NotKnown) as refused:
        submitted(text, 404)
    shown(refused.value)
