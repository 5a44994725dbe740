"""Which answer belongs to which request: interim answers, late ones, and connections that are not used again."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from duomi_pipeline.duomi.answers import Pictures
from duomi_pipeline.duomi.errors import Ambiguous, DuomiError, ServiceBusy
from duomi_pipeline.duomi.transport import is_loopback
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.duomi.raw import RawConversation, RawService
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.duomi.test_client import client, downloaded, request

Reply = Callable[[socket.socket, bytes, int], object]


def whole(url: str, status: str = "200 OK", more: str = "") -> bytes:
    body = json.dumps({"images": [{"url": url}]})
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}".encode()


def prompt_of(sent: bytes) -> str:
    prompt: str = json.loads(sent.partition(b"\r\n\r\n")[2])["prompt"]
    return prompt


def own(sent: bytes) -> bytes:
    """The answer to this very request."""
    return whole(f"/{prompt_of(sent)}.png")


# --- 1xx ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statuses", [(102,), (103,), (100, 102, 103)])
def test_each_of_many_requests_gets_its_own_answer_after_its_interim_ones(statuses: tuple[int, ...]) -> None:
    interim = b"".join(b"HTTP/1.1 %d Interim\r\nLink: </a>\r\n\r\n" % status for status in statuses)

    def reply(connection: socket.socket, sent: bytes, number: int) -> None:
        if int(prompt_of(sent)) % 3 == 0:
            connection.sendall(interim)
            time.sleep(0.1)
        connection.sendall(own(sent))

    with RawConversation(reply) as service, client(service.url, pool_size=4) as opened, ThreadPoolExecutor(4) as pool:
        asked = [request(text=str(number)) for number in range(24)]
        answers = list(pool.map(opened.submit, asked))
    assert [answer.images[0].url for answer in answers if isinstance(answer, Pictures)] == [
        f"/{number}.png" for number in range(24)
    ]


def test_the_sandbox_sends_interim_answers_and_no_prompt_gets_another_ones_picture() -> None:
    faults = Faults(
        picture="flat", answer="url", interim=(102, 103), interim_word="slow", interim_seconds=0.05, interim_wait=0.3
    )
    prompts = [f"{'slow ' if number % 2 else ''}boat {number}" for number in range(8)]
    with SandboxServer(faults=faults) as sandbox, client(sandbox.url) as opened, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(opened.submit, [request(text=text) for text in prompts]))
        again = [opened.submit(request(text=text)) for text in prompts if "slow" not in text]
        assert sandbox.books.totals().posts == len(answers) + len(again)
    urls = [answer.images[0].url for answer in [*answers, *again] if isinstance(answer, Pictures)]
    assert len(set(urls)) == len(answers) + len(again)


@pytest.mark.parametrize("end", [True, False])
def test_an_interim_answer_and_then_nothing_is_a_lost_answer(end: bool) -> None:
    def reply(connection: socket.socket, sent: bytes, number: int) -> bool:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        return not end

    with RawConversation(reply) as service, client(service.url, timeout=0.2) as opened:
        with pytest.raises(Ambiguous):
            opened.submit(request())
        with pytest.raises(Ambiguous):
            opened.submit(request())
        assert service.connections == 2


def test_interim_answers_without_end_are_given_up() -> None:
    endless = RawService(then_for_ever=b"HTTP/1.1 102 Processing\r\n\r\n")
    with endless as service, client(service.url, timeout=30) as opened, pytest.raises(Ambiguous):
        opened.submit(request())
    assert service.sent < 20_000_000


# --- a connection is used again only after a usual answer -----------------------------------------------

UNFORESEEN: dict[str, bytes] = {
    "interim": b"HTTP/1.1 102 Processing\r\n\r\n" + whole("/a.png"),
    "client error": whole("/a.png", "400 Bad Request"),
    "pace": whole("/a.png", "429 Too Many Requests"),
    "server error": whole("/a.png", "503 Service Unavailable"),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "empty in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "not understood": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "more than announced": whole("/a.png") + b"HTTP/1.1 200 OK\r\nContent-Le",
}  # fmt: skip


@pytest.mark.parametrize("name", UNFORESEEN)
def test_an_answer_that_comes_late_is_not_the_next_prompts(name: str) -> None:
    asked_again = threading.Event()

    def reply(connection: socket.socket, sent: bytes, number: int) -> None:
        if prompt_of(sent) == "first":
            connection.sendall(UNFORESEEN[name])
            asked_again.wait(5)
            connection.sendall(b"" if name == "more than announced" else whole("/first.png"))
        else:
            asked_again.set()
            connection.sendall(own(sent))

    with RawConversation(reply) as service, client(service.url) as opened:
        try:
            opened.submit(request(text="first"))
        except DuomiError as error:
            assert error.message
        answer = opened.submit(request(text="second"))
        assert isinstance(answer, Pictures)
        assert answer.images[0].url == "/second.png"
        assert service.connections == 2


@pytest.mark.parametrize("name", ["empty", "empty in chunks", "not understood"])
def test_a_late_answer_to_a_look_is_not_the_next_submissions(name: str) -> None:
    def reply(connection: socket.socket, sent: bytes, number: int) -> None:
        connection.sendall(UNFORESEEN[name] if sent.startswith(b"GET") else own(sent))

    with RawConversation(reply) as service, client(service.url) as opened:
        for _ in range(2):
            with contextlib.suppress(ServiceBusy):
                opened.poll(request("duomi_async"), "t")
        assert opened.submit(request())
        assert service.connections == (3 if name != "not understood" else 1), "{} is an answer to a look"


def test_a_download_after_an_empty_one_has_its_own_connection() -> None:
    def reply(connection: socket.socket, sent: bytes, number: int) -> None:
        connection.sendall(UNFORESEEN["empty"])

    with RawConversation(reply) as service, client(service.url) as opened:
        assert downloaded(opened, "/a.png") == downloaded(opened, "/b.png") == b""
        assert service.connections == 2


@pytest.mark.parametrize("extra", [b"x", b"\r\n\r\n", whole("/late.png"), whole("/late.png") * 500])
def test_bytes_behind_a_whole_answer_never_reach_the_next_request(extra: bytes) -> None:
    def reply(connection: socket.socket, sent: bytes, number: int) -> None:
        connection.sendall(own(sent) + extra)

    with RawConversation(reply) as service, client(service.url) as opened:
        for text in ("first", "second", "third"):
            answer = opened.submit(request(text=text))
            assert isinstance(answer, Pictures)
            assert answer.images[0].url == f"/{text}.png"
        assert service.connections == 3


def test_a_usual_answer_in_chunks_keeps_its_connection() -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n" + b'{"images": ["/a.png"]}' + b"\r\n0\r\n\r\n"
    )
    with (
        RawConversation(lambda connection, sent, number: connection.sendall(chunked)) as service,
        client(service.url) as opened,
    ):
        for _ in range(3):
            assert opened.submit(request())
        assert service.connections == 1


# --- proxies and this machine ---------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "localhost.example", "128.0.0.1", "10.0.0.1", "0.0.0.0", "service"])
def test_another_machine_is_not_this_one(host: str | None) -> None:
    assert not is_loopback(host)


def test_a_service_on_this_machine_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with ScriptedService(Answer('{"images": ["/a.png"]}')) as service, client(service.url) as opened:
        assert opened.submit(request())


def test_a_service_elsewhere_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    with RawConversation(lambda connection, sent, number: connection.sendall(interim + own(sent))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with client("http://service.invalid") as opened:
            answer = opened.submit(request(text="boat"))
    assert isinstance(answer, Pictures)
    assert answer.images[0].url == "/boat.png"
    assert proxy.requests[0].startswith(b"POST http://service.invalid/v1/images/generations ")


# --- memory -------------------------------------------------------------------------------------------

_MEASURE = """
import sys
from pydantic import SecretStr
from duomi_pipeline.duomi.client import DuomiClient
from duomi_pipeline_tests.duomi.test_client import request
with DuomiClient(sys.argv[1], SecretStr("sk-a-long-key"), timeout=30) as client:
    (image,) = client.submit(request()).images
assert len(image.data) == 75_000_000, len(image.data)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux")
def test_a_hundred_megabytes_beside_an_emoji_take_less_than_six_hundred() -> None:
    head = b'HTTP/1.1 200 OK\r\n\r\n{"revised_prompt": "a boat \xf0\x9f\x9a\xa3", "data": [{"b64_json": "'
    with RawService(head, *[b"AAAA" * 250_000] * 100, b'"}]}') as service:
        peak = subprocess.check_output([sys.executable, "-c", _MEASURE, service.url], text=True, timeout=60)
    assert int(peak) < 600_000, "kB"
