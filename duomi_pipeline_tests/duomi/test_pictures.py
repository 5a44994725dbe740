"""Pictures in answers: whatever frames them, in whatever form they stand, and however their neighbours are broken."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from duomi_pipeline.duomi.answers import Pictures, parse_json, parse_submission
from duomi_pipeline.duomi.errors import DuomiError, NotUnderstood, PromptRefused
from duomi_pipeline.duomi.framing import load_json
from duomi_pipeline.duomi.pictures import Image, has_pictures
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.duomi.test_client import PICTURE, client, request

URL = "https://files.example/a.png"
BODY = json.dumps({"images": [{"url": URL}]})
WHOLE = Pictures((Image(url=URL),))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(faults=Faults(picture="flat")) as server:
        yield server


def read(text: str) -> Pictures:
    answer = parse_submission(parse_json(200, text), has_tasks=True)
    assert isinstance(answer, Pictures)
    return answer


# --- frames -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["plain", "keep_alive", "blank", "sse"])
@pytest.mark.parametrize("success", [{}, {"code": 10000}, {"code": "Success"}, {"code": 1, "msg": "done"}])
def test_a_picture_counts_whatever_frames_it_and_whatever_code_stands_beside_it(
    sandbox: SandboxServer, framing: str, success: dict[str, object]
) -> None:
    sandbox.change_faults(framing=framing, success=success)
    with client(sandbox.url) as opened:
        answer = opened.submit(request())
    assert isinstance(answer, Pictures)
    assert answer.images[0].url


@pytest.mark.parametrize(
    "text",
    [
        f"\n\r\n  \n{BODY}",
        f": keep-alive\n\n: keep-alive\n\n{BODY}",
        f": keep-alive\r\n{BODY}\r\n",
        f"data: {BODY}\n\ndata: [DONE]\n\n",
        f"data:{BODY}\n\ndata:[DONE]",
        f"event: done\r\nid: 1\r\nretry: 5\r\ndata: {BODY}\r\n\r\ndata: [DONE]\r\n\r\n",
        f"\n\ndata: {BODY}",
        f'data: {{"progress": 50}}\n\ndata: {BODY}\n\ndata: {{"usage": 1}}\n\n',
        "data: " + json.dumps(json.loads(BODY), indent=1).replace("\n", "\ndata: ") + "\n\n",
        ": keep-alive\n" + json.dumps(json.loads(BODY), indent=1),
        f"data: {BODY[:-1]}, \"text\": \"one\u2028two\x85three\"}}\n\n",
    ],
)  # fmt: skip
def test_signs_of_life_and_events_are_only_a_frame(text: str) -> None:
    assert read(text) == WHOLE


def test_half_a_picture_before_the_whole_one_is_passed_over() -> None:
    def event(kind: str, data: bytes) -> str:
        body = {"type": f"image_generation.{kind}", "b64_json": base64.b64encode(data).decode()}
        return f"event: image_generation.{kind}\ndata: {json.dumps(body)}\n\n"

    halves = event("partial_image", b"half") + event("partial_image", b"nearly")
    assert read(halves + event("completed", b"whole") + "data: [DONE]\n\n") == Pictures((Image(data=b"whole"),))
    with pytest.raises(NotUnderstood):
        read(halves)
    with pytest.raises(PromptRefused):
        read(halves + 'event: error\ndata: {"error": {"code": "moderation_blocked"}}\n\n')


@pytest.mark.parametrize("text", ["data: [DONE]\n\n", ": keep-alive\n\n", "data: {\n\n", "event: error\n\n"])
def test_a_frame_around_nothing_is_not_understood(text: str) -> None:
    assert load_json(text) is None
    with pytest.raises(NotUnderstood):
        read(text)


def test_an_error_in_an_event_is_that_error() -> None:
    with pytest.raises(DuomiError, match="no luck"):
        read('data: {"error": {"message": "no luck"}}\n\ndata: [DONE]\n\n')


# --- forms --------------------------------------------------------------------------------------------


def forms(data: bytes) -> list[str]:
    plain, safe = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    lines = "\r\n".join(plain[at : at + 76] for at in range(0, len(plain), 76))
    prefixed = [f"data:image/png;base64,{text}" for text in (plain, safe.rstrip("="), lines)]
    return [plain, safe, plain.rstrip("="), safe.rstrip("="), f"\n{lines}\n", *prefixed]


@given(st.binary(min_size=1, max_size=300))
@example(b"\xff" * 58)
def test_base64_is_read_in_every_alphabet_with_or_without_padding_and_lines(data: bytes) -> None:
    for text in forms(data):
        assert read(json.dumps({"data": [{"b64_json": text}]})) == Pictures((Image(data=data),))


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF", b"GIF89a"])
def test_a_bare_text_that_is_a_picture_is_no_address(head: bytes) -> None:
    data = head + bytes(range(256))
    for text in forms(data):
        assert read(json.dumps({"images": [text.strip()]})) == Pictures((Image(data=data),))
        assert read(json.dumps({"data": [{"url": text}]})) == Pictures((Image(data=data),))


@pytest.mark.parametrize("style", ["b64", "b64_data_uri", "b64_urlsafe"])
def test_the_sandbox_gives_the_same_bytes_in_each_form(sandbox: SandboxServer, style: str) -> None:
    sandbox.change_faults(answer=style)
    with client(sandbox.url) as opened:
        answer = opened.submit(request())
    assert isinstance(answer, Pictures)
    assert (answer.images[0].data or b"").startswith(PICTURE[:8])


@pytest.mark.parametrize(
    "broken", [{"b64_json": "abcde"}, {"b64_json": "ab😀d"}, {"url": "http://a/\x00"}, "http://a/\n/b"]
)
def test_one_broken_entry_of_several_does_not_spoil_the_others(broken: Any) -> None:
    answer = read(json.dumps({"images": [{"url": URL}, broken, {"url": "/c.png"}]}))
    one, bad, other = answer.images
    assert (one, other) == (Image(url=URL), Image(url="/c.png"))
    assert (bad.url, bad.data) == (None, None)
    assert bad.problem
    text = broken if isinstance(broken, str) else next(iter(broken.values()))
    assert bad.raw == text.encode("utf-8", "replace")


def test_an_address_beside_broken_base64_is_still_an_address() -> None:
    answer = read(json.dumps({"data": [{"url": URL, "b64_json": "abcde"}]}))
    assert (answer.images[0].url, answer.images[0].data) == (URL, None)
    assert answer.images[0].raw == b"abcde"


@pytest.mark.parametrize("body", [{}, {"images": []}, {"data": {"images": [None, "", {}]}}, {"data": "x"}, None, 7, []])
def test_an_answer_that_tells_of_no_picture_has_none(body: Any) -> None:
    assert not has_pictures(body)
