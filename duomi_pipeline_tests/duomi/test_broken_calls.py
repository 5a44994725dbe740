"""What a call that broke means: never sent is free and names what to mend, sent and unanswered may be billed."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from duomi_pipeline.duomi.broken_calls import without_secrets
from duomi_pipeline.duomi.errors import Ambiguous, DuomiError, NotSent, ServiceBusy
from duomi_pipeline.duomi.reactions import Billed
from duomi_pipeline.duomi.transport import proxies_in_force
from duomi_pipeline_tests.duomi.raw import RawConversation, reset
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.duomi.test_client import KEY, client, request

ELSEWHERE = "http://service.invalid"  # RFC 6761: no resolver knows it


def failure(url: str, timeout: float = 2.0) -> DuomiError:
    with client(url, timeout=timeout) as opened, pytest.raises(DuomiError) as caught:
        opened.submit(request())
    assert KEY not in str(caught.value)
    return caught.value


@pytest.fixture
def closed() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that nobody but itself vouches for, with its key."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    wanted = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    made = ["-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([openssl, "req", "-x509", *made, *wanted], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem"


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


# --- never sent -----------------------------------------------------------------------------------------


def test_nobody_there_and_no_such_name_are_free_and_may_pass(closed: str) -> None:
    for url, words in ((f"http://{closed}", "cannot be reached"), (ELSEWHERE, "name is not known")):
        error = failure(url)
        assert type(error) is ServiceBusy
        assert words in error.message
        assert "DUOMI_BASE_URL" in error.message


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_not_there_is_named_by_its_variable(
    closed: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://me:very-secret@{closed}")
    error = failure(ELSEWHERE)
    assert type(error) is ServiceBusy
    assert f"{name}=http://***@{closed}" in error.message
    assert "very-secret" not in str(error)


@pytest.mark.parametrize("value", ["socks://127.0.0.1:7890/", "socks9://me:very-secret@127.0.0.1:7890", "foo://h:1", "http://h:port"])  # fmt: skip
def test_a_proxy_that_can_never_be_used_stops_the_run_and_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for variable, url in (("ALL_PROXY", ELSEWHERE), ("HTTPS_PROXY", "https://service.invalid")):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            error = failure(url)
        assert type(error) is NotSent
        assert error.message.endswith(f"check {variable}={without_secrets(value)}")
        assert "very-secret" not in str(error)


def test_an_address_that_no_proxy_is_asked_for_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks://127.0.0.1:7890/")
    monkeypatch.setenv("NO_PROXY", "other.example,.invalid")
    error = failure(ELSEWHERE)
    assert type(error) is ServiceBusy
    assert "name is not known" in error.message
    assert proxies_in_force(ELSEWHERE) == {}
    assert proxies_in_force("http://another.example") == {"HTTP_PROXY": "socks://127.0.0.1:7890/"}


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 502 No\r\n\r\n", b"", b"SSH-2.0\r\n"])  # fmt: skip
def test_a_proxy_that_opens_no_tunnel_has_let_nothing_through(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    def reply(connection: socket.socket, sent: bytes, number: int) -> bool:
        connection.sendall(answer)
        return False

    with RawConversation(reply) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = failure("https://service.invalid")
        assert all(sent.startswith(b"CONNECT service.invalid:443") for sent in proxy.requests)
        assert proxy.requests
    assert type(error) is ServiceBusy
    assert error.error_class.policy.billed is Billed.NO
    assert f"HTTPS_PROXY={proxy.url}" in error.message


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    error = failure("https://127.0.0.1:1")
    assert type(error) is NotSent
    assert f"{variable}=/nowhere/ca.pem" in error.message


def test_a_certificate_that_is_not_trusted_gets_no_key(tls: ssl.SSLContext) -> None:
    with RawConversation(lambda *_: False, tls) as service:
        error = failure(service.url)
        assert service.requests == []
    assert type(error) is NotSent
    assert "DUOMI_BASE_URL" in error.message


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://a b/", "http://" + "a" * 70, "http://127.0.0.1:99999", "foo://a"]
)
def test_an_address_that_is_none_was_never_asked(url: str) -> None:
    error = failure(url)
    assert error.error_class.policy.billed is Billed.NO
    assert "DUOMI_BASE_URL" in error.message
    assert isinstance(error, NotSent)


def test_a_secure_connection_that_never_stood_is_free() -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(10)
        reset(connection)

    def speak_plainly(connection: socket.socket) -> None:
        connection.recv(1_000)
        connection.sendall(b"HTTP/1.1 400 This is no secure port\r\n\r\n")

    def be_silent(connection: socket.socket) -> None:
        connection.recv(1_000)
        connection.recv(1_000)
        connection.recv(1_000)

    for behave in (hang_up, speak_plainly, be_silent):
        with _Accepts(behave) as url:
            error = failure(url, timeout=0.3)
        assert type(error) is ServiceBusy, (behave, error)
        assert error.error_class.policy.billed is Billed.NO


class _Accepts:
    """A server that does something with each connection, whatever is said on it."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        class Refusing(ssl.SSLContext):
            def wrap_socket(self, sock: socket.socket, *_: object, **__: object) -> ssl.SSLSocket:
                behave(sock)
                raise OSError

        self._server = RawConversation(lambda *_: False, Refusing(ssl.PROTOCOL_TLS_SERVER))

    def __enter__(self) -> str:
        return self._server.__enter__().url

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(None, None, None)


# --- sent -----------------------------------------------------------------------------------------------


def test_a_trusted_service_is_asked_securely(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"images": ["/a.png"]}'
    with (
        RawConversation(lambda connection, sent, number: connection.sendall(answer), tls) as service,
        client(service.url) as opened,
    ):
        assert opened.submit(request())
        assert opened.submit(request())
        assert service.connections == 1


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"]
)
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("crash", [False, True])
def test_a_connection_that_breaks_after_the_request_was_sent_is_a_lost_answer(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, secure: bool, crash: bool
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    def reply(connection: socket.socket, sent: bytes, number: int) -> bool:
        connection.sendall(first)
        if crash:
            reset(connection)
        return False

    with RawConversation(reply, tls if secure else None) as service:
        error = failure(service.url)
        assert len(service.requests) == 1
    assert type(error) is Ambiguous
    assert "broke" in error.message


def test_a_connection_that_was_used_before_and_breaks_has_sent_too() -> None:
    def reply(connection: socket.socket, sent: bytes, number: int) -> object:
        if number:
            reset(connection)
            return False
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"images": ["/a.png"]}')
        return True

    with RawConversation(reply) as service, client(service.url) as opened:
        opened.submit(request())
        with pytest.raises(Ambiguous):
            opened.submit(request())
        assert service.connections == 1
        assert opened.submit(request()), "a new connection, which answers its first request"


@pytest.mark.parametrize("body", [b'5\r\n{"ima', b'5\r\n{"ima\r\n', b"zz\r\n"])
def test_an_answer_in_chunks_that_is_cut_off_is_a_lost_answer(body: bytes) -> None:
    def reply(connection: socket.socket, sent: bytes, number: int) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        return False

    with RawConversation(reply) as service:
        assert type(failure(service.url)) is Ambiguous


def test_an_answer_that_is_packed_wrongly_may_have_been_billed() -> None:
    with ScriptedService(Answer('{"images": ["/a.png"]}', headers={"Content-Encoding": "gzip"})) as service:
        error = failure(service.url)
    assert error.error_class.policy.billed is Billed.MAYBE


# --- logins ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:1/", "http://host:1/"),
        ("host:1", "host:1"),
        ("http://me:secret@host:1/", "http://***@host:1/"),
        ("http://me@host", "http://***@host"),
        ("me:secret@host:1", "***@host:1"),
        ("http://me:s@cr/et@host:1", "http://***@host:1"),
        ("http://me:[secret@host", "http://***@host"),
    ],
)
def test_a_login_in_an_address_is_not_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    assert "secret" not in without_secrets(url)
