"""What a hostile server does below the contract: every call ends soon, in a named error, in little memory."""

import base64
import gzip
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from pydantic import SecretStr

from duomi_pipeline.duomi import DuomiError
from duomi_pipeline.duomi.answers import Pictures
from duomi_pipeline.duomi.client import MAX_ANSWER_BYTES, MAX_IMAGE_BYTES, MAX_REDIRECTS, DuomiClient
from duomi_pipeline.duomi.errors import Ambiguous, BadImage, NotDownloaded, NotUnderstood, ServiceBusy
from duomi_pipeline.duomi.pictures import Image
from duomi_pipeline.duomi.transport import DEADLINE_FACTOR
from duomi_pipeline_tests.duomi.raw import RawService, one_by_one
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.duomi.test_client import KEY, downloaded, request

SILENCE = 0.05  # seconds
OK = b"HTTP/1.1 200 OK\r\n"
ENDLESS = OK + b"Content-Length: 900000000\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 900000000\r\n\r\n"
CALLS: dict[str, tuple[Callable[[DuomiClient], object], type[DuomiError]]] = {
    "submit": (lambda opened: opened.submit(request()), Ambiguous),
    "poll": (lambda opened: opened.poll(request("duomi_async"), "t"), ServiceBusy),
    "download": (lambda opened: downloaded(opened, "/a.png"), NotDownloaded),
    "check_key": (DuomiClient.check_key, ServiceBusy),
}


def failure(url: str, call: str, timeout: float = 5.0) -> DuomiError:
    """The error of a call, checked to tell neither key nor address, and to be of one line."""
    with DuomiClient(url, SecretStr(KEY), timeout=timeout) as opened, pytest.raises(DuomiError) as caught:
        CALLS[call][0](opened)
    assert KEY not in str(caught.value)
    assert url.rpartition(":")[2] not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


@cache
def bomb(wraps: int) -> bytes:
    """Zeros that are more than any answer may have, packed so many times."""
    packed = gzip.compress(bytes(MAX_ANSWER_BYTES + 1), 1)
    return packed if wraps == 1 else gzip.compress(packed)


# --- time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["submit", "download", "check_key"])
def test_headers_that_drip_end_with_the_deadline(call: str) -> None:
    drip = one_by_one(b"HTTP/1.1 200 OK\r\n") + one_by_one(b"X: y\r\n" * 90)
    with RawService(*drip, pause=SILENCE / 5) as service:
        start = time.monotonic()
        error = failure(service.url, call, SILENCE)
    assert isinstance(error, CALLS[call][1])
    assert "in time" in error.message
    assert DEADLINE_FACTOR * SILENCE * 0.9 < time.monotonic() - start < DEADLINE_FACTOR * SILENCE + 2


@pytest.mark.parametrize(("call", "head"), [("submit", ENDLESS), ("poll", OK + b"\r\n"), ("download", OK + b"\r\n")])
def test_a_body_that_drips_ends_with_the_deadline(call: str, head: bytes) -> None:
    with RawService(head, then_for_ever=b" ", pause=SILENCE / 5) as service:
        start = time.monotonic()
        error = failure(service.url, call, SILENCE)
    assert isinstance(error, CALLS[call][1])
    assert "in time" in error.message
    assert time.monotonic() - start < DEADLINE_FACTOR * SILENCE + 2


def test_a_body_that_is_slow_and_comes_to_its_end_in_time_is_read() -> None:
    body = b'{"images": ["/a.png"]}'
    head = OK + b"Content-Length: %d\r\n\r\n" % len(body)
    drip = RawService(head, *one_by_one(body), pause=SILENCE / 5)
    with drip as service, DuomiClient(service.url, None, timeout=SILENCE) as opened:
        assert opened.submit(request())


@pytest.mark.parametrize("call", ["submit", "download"])
def test_interim_answers_without_end_end_with_the_deadline(call: str) -> None:
    with RawService(then_for_ever=b"HTTP/1.1 100 Continue\r\n\r\n" * 100) as service:
        start = time.monotonic()
        error = failure(service.url, call, SILENCE)
    assert isinstance(error, CALLS[call][1])
    assert time.monotonic() - start < DEADLINE_FACTOR * SILENCE + 2


# --- size ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "kind", "limit"), [
    ("submit", NotUnderstood, MAX_ANSWER_BYTES), ("poll", ServiceBusy, MAX_ANSWER_BYTES), ("download", BadImage, MAX_IMAGE_BYTES),
])  # fmt: skip
def test_a_body_without_end_is_given_up_at_its_limit(call: str, kind: type[DuomiError], limit: int) -> None:
    with RawService(ENDLESS, then_for_ever=bytes(1_000_000)) as service:
        error = failure(service.url, call)
        assert type(error) is kind
        assert "larger than" in error.message
        assert service.sent < limit + 20_000_000


@pytest.mark.parametrize("call", CALLS)
def test_the_body_of_a_redirect_is_not_read(call: str) -> None:
    with RawService(MOVED, then_for_ever=bytes(1_000_000)) as service:
        failure(service.url, call)
        assert service.sent < (MAX_REDIRECTS + 1) * 20_000_000


def test_asking_about_the_key_reads_no_body() -> None:
    with RawService(ENDLESS, then_for_ever=bytes(1_000_000)) as service, DuomiClient(service.url, None) as opened:
        opened.check_key()
        assert service.sent < 20_000_000


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip"])
@pytest.mark.parametrize(("call", "kind"), [("submit", NotUnderstood), ("poll", ServiceBusy), ("download", BadImage)])
def test_a_body_that_unpacks_to_very_much_is_given_up(call: str, kind: type[DuomiError], encoding: str) -> None:
    packed = bomb(len(encoding.split()))
    assert len(packed) < 2_000_000
    with ScriptedService(Answer(packed, headers={"Content-Encoding": encoding})) as service:
        error = failure(service.url, call)
    assert type(error) is kind
    assert "larger than" in error.message


def test_a_packed_answer_of_usual_size_is_read() -> None:
    answer = Answer(gzip.compress(b'{"images": ["/a.png"]}'), headers={"Content-Encoding": "gzip"})
    with ScriptedService(answer) as service, DuomiClient(service.url, None) as opened:
        assert opened.submit(request())


# --- nonsense -----------------------------------------------------------------------------------------

NONSENSE = {
    "nothing": b"",
    "no http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "html without a head": b"<!DOCTYPE html><h1>502</h1>",
    "status zero": b"HTTP/1.1 000 No\r\n\r\n",
    "status word": b"HTTP/1.1 OK\r\n\r\n",
    "endless line": OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    "many headers": OK + b"X: y\r\n" * 5_000 + b"\r\n",
    "broken chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nbody",
    "negative chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nbody",
    "huge chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nbody",
    "too short": OK + b"Content-Length: 5000\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "not packed": OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "encodings": OK + b"Content-Encoding: " + b"gzip, " * 50 + b"gzip\r\n\r\n{}",
}  # fmt: skip


@pytest.mark.parametrize("name", NONSENSE)
@pytest.mark.parametrize("call", ["submit", "poll", "download"])
def test_what_is_no_answer_is_a_named_error(call: str, name: str) -> None:
    with RawService(NONSENSE[name]) as service:
        assert isinstance(failure(service.url, call), CALLS[call][1])


@pytest.mark.parametrize("location", [
    b"http://\xff\xfe/", b"http://[::1", b"//", b"http://a b/", b"javascript:alert(1)", b"file:///etc/hostname", b"data:image/png;base64,AAAA",
    b"ftp://127.0.0.1/a.png", b"http://" + b"a" * 70 + b"/", b"\x00", b"http://127.0.0.1:99999/", b"http://\xf0\x9f\x8c\x87.invalid:1/",
])  # fmt: skip
@pytest.mark.parametrize("call", CALLS)
def test_a_redirect_to_nowhere_is_a_named_error(call: str, location: bytes) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    with RawService(head) as service:
        failure(service.url, call, 1.0)


def test_a_redirect_chain_is_followed_up_to_its_limit() -> None:
    moved = [Answer("", 302, {"Location": f"/{number}"}) for number in range(MAX_REDIRECTS)]
    with ScriptedService(*moved, Answer(b"bytes")) as service, DuomiClient(service.url, None) as opened:
        assert downloaded(opened, "/a.png") == b"bytes"
    with ScriptedService(*moved, *moved) as service, DuomiClient(service.url, None) as opened:
        with pytest.raises(NotDownloaded, match="redirects more than"):
            downloaded(opened, "/a.png")
        assert len(service.asked) == MAX_REDIRECTS + 1


def test_broken_headers_bring_nothing_of_them_into_the_log(capfd: Any, caplog: pytest.LogCaptureFixture) -> None:
    head = OK + b"Content-Length: 5\r\nno header of the kind\r\nAuthorization " + KEY.encode() + b"\r\n\r\nbytes"
    with RawService(head) as service, DuomiClient(service.url, SecretStr(KEY)) as opened:
        downloaded(opened, "/a.png?signature=very-secret")
    said = caplog.text + "".join(capfd.readouterr())
    assert "very-secret" not in said
    assert KEY not in said


def test_a_mark_of_the_encoding_before_the_answer_is_no_matter() -> None:
    answer = Answer(b'\xef\xbb\xbf{"images": ["/a.png"]}')
    with ScriptedService(answer) as service, DuomiClient(service.url, None) as opened:
        assert isinstance(opened.submit(request()), Pictures)


# --- the key ------------------------------------------------------------------------------------------


def test_a_key_that_is_a_word_is_not_cut_out_of_pictures() -> None:
    body = '{"data": [{"b64_json": "anyanyan"}, {"url": "/company.png"}]}'
    with ScriptedService(Answer(body)) as service, DuomiClient(service.url, SecretStr("any")) as opened:
        answer = opened.submit(request())
    assert isinstance(answer, Pictures)
    assert answer.images == (Image(data=base64.b64decode("anyanyan")), Image(url="/company.png"))
