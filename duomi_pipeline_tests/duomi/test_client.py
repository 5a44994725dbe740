"""The client over real HTTP: the sandbox for the contract, a scripted server for what no good service does."""

import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from duomi_pipeline.duomi import DuomiError, ImageRequest, build_request
from duomi_pipeline.duomi.answers import Empty, Pictures, Task, Waiting
from duomi_pipeline.duomi.client import MAX_RETRY_AFTER, DuomiClient
from duomi_pipeline.duomi.errors import (
    AccountError,
    Ambiguous,
    BadImage,
    BalanceUsedUp,
    ConfigurationError,
    DailyLimitReached,
    ModelNotServed,
    NotDownloaded,
    NotSent,
    NotUnderstood,
    PromptRefused,
    RateLimited,
    Redirected,
    ServiceBusy,
    TaskDenied,
    TaskFailed,
)
from duomi_pipeline.images import NotAPictureError
from duomi_pipeline.images.png import to_png
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import Settings, Size
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.images.harness import encoded, gradient

KEY = "sk-very-secret"
PICTURE = encoded(gradient((72, 128)))
MODELS = {
    "siliconflow": "stabilityai/stable-diffusion-xl-base-1.0",
    "openai": "stabilityai/stable-diffusion-xl-base-1.0",
    "duomi_async": "gpt-image-2",
    "nano_banana": "gemini-2.5-flash-image",
}
SYNCHRONOUS, ASYNCHRONOUS = ["siliconflow", "openai"], ["duomi_async", "nano_banana"]


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(faults=Faults(picture="flat")) as server:
        yield server


def client(url: str, key: str | None = KEY, **options: Any) -> DuomiClient:
    return DuomiClient(url, SecretStr(key) if key else None, **{"timeout": 2.0, **options})


def request(protocol: str = "siliconflow", text: str = "a lighthouse") -> ImageRequest:
    values = {"model": MODELS[protocol], "protocol": protocol, "image_size": "72x128"}
    settings = Settings.load(Path("/nowhere"), **values)
    return build_request(settings, "json_a", text, settings.parameters)


def downloaded(opened: DuomiClient, url: str) -> bytes:
    file = io.BytesIO()
    opened.download(url, file)
    return file.getvalue()


def error_of(url: str, protocol: str = "siliconflow", text: str = "a lighthouse", **options: Any) -> DuomiError:
    """The error of a submission, checked to tell neither key nor address."""
    with client(url, **options) as opened, pytest.raises(DuomiError) as caught:
        opened.submit(request(protocol, text))
    assert KEY not in str(caught.value)
    assert "http://" not in str(caught.value)
    assert url.rpartition(":")[2] not in str(caught.value)
    return caught.value


# --- the contract -------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["url", "b64", "b64_data_uri", "both", "relative_url", "url_string"])
@pytest.mark.parametrize("protocol", SYNCHRONOUS)
def test_synchronous_protocols_give_pictures(sandbox: SandboxServer, protocol: str, style: str) -> None:
    sandbox.change_faults(answer=style)
    with client(sandbox.url) as opened:
        answer = opened.submit(request(protocol))
        assert isinstance(answer, Pictures)
        (image,) = answer.images
        data = image.data or downloaded(opened, image.url or "")
    assert to_png(data, Size(72, 128)).received_size == Size(72, 128)
    assert sandbox.books.posts()[0].protocol == protocol


@pytest.mark.parametrize("protocol", ASYNCHRONOUS)
def test_asynchronous_protocols_give_a_task_and_the_task_pictures(sandbox: SandboxServer, protocol: str) -> None:
    sandbox.change_faults(task_seconds=0.2)
    asked = request(protocol)
    with client(sandbox.url) as opened:
        task = opened.submit(asked)
        assert isinstance(task, Task)
        assert isinstance(opened.poll(asked, task.id), Waiting)
        sandbox.change_faults(task_seconds=0)
        found = opened.poll(asked, task.id)
        assert isinstance(found, Pictures)
        assert downloaded(opened, found.images[0].url or "").startswith(b"\x89PNG")
    assert [(p.protocol, p.billed) for p in sandbox.books.posts()] == [(protocol, 1)]


def test_an_asynchronous_submission_may_be_answered_at_once(sandbox: SandboxServer) -> None:
    sandbox.change_faults(answer_at_once=True)
    with client(sandbox.url) as opened:
        assert isinstance(opened.submit(request("duomi_async")), Pictures)


@pytest.mark.parametrize(
    ("protocol", "path"),
    [
        ("siliconflow", "/v1/images/generations"),
        ("openai", "/v1/images/generations"),
        ("duomi_async", "/v1/images/generations?async=true"),
        ("nano_banana", "/api/gemini/nano-banana"),
    ],
)
@pytest.mark.parametrize(("scheme", "sent"), [("raw", KEY), ("bearer", f"Bearer {KEY}")])
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_body_goes_to_the_protocols_path_with_the_key_in_its_scheme(
    protocol: str, path: str, scheme: str, sent: str, slash: str
) -> None:
    asked = request(protocol)
    with ScriptedService(Answer('{"id": "t", "images": ["/a.png"]}')) as service:
        with client(service.url + slash, auth_scheme=scheme) as opened:
            opened.submit(asked)
        (got,) = service.asked
    assert (got.method, got.path, got.headers["Authorization"]) == ("POST", path, sent)
    assert (json.loads(got.body), got.headers["Content-Type"]) == (asked.body, "application/json")


def test_an_id_is_a_task_only_where_the_route_has_tasks() -> None:
    with ScriptedService(Answer('{"id": "img-1", "images": []}')) as service, client(service.url) as opened:
        assert opened.submit(request("duomi_async")) == Task("img-1")
        with pytest.raises(NotUnderstood) as caught:
            opened.submit(request("siliconflow"))
        assert caught.value.body == b'{"id": "img-1", "images": []}'


def test_a_service_that_repeats_the_key_does_not_bring_it_into_the_error() -> None:
    answer = Answer(json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}), status=401)
    with ScriptedService(answer) as service, client(service.url) as opened:
        with pytest.raises(AccountError, match="Incorrect API key provided") as caught:
            opened.submit(request())
        assert KEY not in str(caught.value)


def test_without_a_key_none_is_sent() -> None:
    with ScriptedService(Answer('{"id": "t"}')) as service:
        with client(service.url, key=None) as opened:
            opened.submit(request("duomi_async"))
            opened.check_key()
        assert all("Authorization" not in got.headers for got in service.asked)


def test_one_connection_serves_many_requests() -> None:
    with ScriptedService(Answer('{"id": "t"}')) as service, client(service.url) as opened:
        for _ in range(5):
            opened.submit(request("duomi_async"))
        assert len(service.asked) == 5
        assert service.connections == 1


def test_a_login_of_the_users_netrc_replaces_neither_key_nor_its_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with ScriptedService(Answer('{"id": "t"}')) as service:
        with client(service.url) as opened:
            opened.submit(request("duomi_async"))
            opened.poll(request("duomi_async"), "t")
            opened.check_key()
            downloaded(opened, "/a.png")
        with client(service.url, key=None) as opened:
            opened.submit(request("duomi_async"))
        sent = [got.headers.get("Authorization") for got in service.asked]
    assert sent == [KEY, KEY, KEY, None, None]


@pytest.mark.parametrize(
    ("options", "key", "names"),
    [
        ({}, "k-1", {}),
        ({"user_agent": "studio/2"}, "k-1", {"User-Agent": "studio/2"}),
        ({"idempotency_header": "Idempotency-Key"}, "k-1", {"Idempotency-Key": "k-1"}),
        ({"idempotency_header": "Idempotency-Key"}, "", {}),
    ],
)
def test_the_user_agent_and_the_idempotency_key_are_sent_where_they_are_set(
    options: dict[str, str], key: str, names: dict[str, str]
) -> None:
    with ScriptedService(Answer('{"id": "t"}')) as service:
        with client(service.url, **options) as opened:
            opened.submit(request("duomi_async"), key)
            downloaded(opened, "/a.png")
        submission, download = (got.headers for got in service.asked)
    told = {"User-Agent": requests.utils.default_user_agent(), **names}
    assert {name: submission.get(name) for name in told} == told
    assert ("Idempotency-Key" in submission) is ("Idempotency-Key" in names)
    assert download["User-Agent"] == told["User-Agent"]
    assert "Idempotency-Key" not in download


@pytest.mark.parametrize(("status", "definite"), [(403, True), (404, True), (410, True), (401, False), (429, False), (500, False), (503, False)])  # fmt: skip
def test_a_definite_no_of_a_pictures_host_is_told_from_one_for_now(status: int, definite: bool) -> None:
    with ScriptedService(Answer("", status)) as service, client(service.url) as opened:
        with pytest.raises(NotDownloaded) as caught:
            downloaded(opened, "/a.png")
        assert caught.value.definite is definite


# --- errors of a submission ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "kind", "code", "words"),
    [
        ({"api_key": "another"}, AccountError, "401", "Invalid token"),
        ({"credits": 0}, BalanceUsedUp, "30001", "Sorry, your account balance is insufficient."),
        ({"disabled_models": tuple(MODELS.values())}, ModelNotServed, "30003", "Model disabled."),
        ({"known_models": ("m",)}, ModelNotServed, "20012", "Model does not exist."),
        ({"rate_429": 1}, RateLimited, "50604", "rejected due to rate limiting"),
        ({"rate_503": 1}, ServiceBusy, "50505", "Model service overloaded"),
        ({"rate_500_html": 1}, ServiceBusy, "500", "Bad Gateway"),
        ({"rate_html_200": 1}, NotUnderstood, "200", "Bad Gateway"),
        ({"rate_reset_before": 1}, Ambiguous, "", "connection broke"),
        ({"rate_reset_after": 1}, Ambiguous, "", "connection broke"),
        ({"rate_truncated_answer": 1}, Ambiguous, "", "connection broke"),
        ({"rate_hang": 1}, Ambiguous, "", "DUOMI_TIMEOUT"),
    ],
)
@pytest.mark.parametrize("protocol", list(MODELS))
def test_each_error_has_its_class_its_code_and_the_words_of_the_service(
    sandbox: SandboxServer, protocol: str, faults: dict[str, Any], kind: type[DuomiError], code: str, words: str
) -> None:
    sandbox.change_faults(**faults)
    error = error_of(sandbox.url, protocol, timeout=0.2 if "rate_hang" in faults else 2.0)
    assert (type(error), error.code) == (kind, code)
    assert words in error.message


@pytest.mark.parametrize("protocol", SYNCHRONOUS)
def test_a_refused_prompt_is_refused_with_the_words_of_the_service(sandbox: SandboxServer, protocol: str) -> None:
    sandbox.change_faults(refuse=("lighthouse",))
    error = error_of(sandbox.url, protocol)
    assert (type(error), error.code) == (PromptRefused, "20021")
    assert "unsafe content" in error.message


def test_the_services_daily_limit_stops_until_tomorrow(sandbox: SandboxServer) -> None:
    sandbox.change_faults(requests_per_day=1)
    with client(sandbox.url) as opened:
        opened.submit(request())
    assert type(error_of(sandbox.url)) is DailyLimitReached


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("100000", MAX_RETRY_AFTER),
        ("inf", MAX_RETRY_AFTER),
        ("1e400", MAX_RETRY_AFTER),
        ("-1e400", 0.0),
        ("9" * 5_000, MAX_RETRY_AFTER),
        ("Fri, 99999999999999999999 Dec 2020 00:00:00 GMT", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 21 Oct 2101 07:28:00 GMT", MAX_RETRY_AFTER),
    ],
)
def test_the_wait_that_the_service_asks_for_is_read_and_capped(header: str, seconds: float | None) -> None:
    answers = (Answer('{"message": "slow down"}', status, {"Retry-After": header}) for status in (429, 503))
    with ScriptedService(*answers) as service:
        for error in (error_of(service.url), error_of(service.url)):
            assert error.message == "slow down"
            assert error.retry_after == seconds


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirected_submission_is_not_followed_and_the_key_goes_nowhere(status: int) -> None:
    with ScriptedService() as elsewhere:
        with ScriptedService(Answer("", status, {"Location": elsewhere.url + "/v1/images/generations"})) as service:
            error = error_of(service.url)
        assert elsewhere.asked == []
    assert type(error) is Redirected
    assert "DUOMI_BASE_URL" in error.message


def test_a_service_that_is_not_there_was_surely_not_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = error_of(f"http://127.0.0.1:{port}")
    assert type(error) is ServiceBusy
    assert "cannot be reached" in error.message


@pytest.mark.parametrize("key", ["sk\nsecret-part", "“secret-part”", "密钥-secret-part"])
def test_a_key_that_cannot_be_sent_is_named_by_its_setting_and_not_shown(sandbox: SandboxServer, key: str) -> None:
    with client(sandbox.url, key=key) as opened:
        for call in (opened.check_key, lambda: opened.submit(request())):
            with pytest.raises((NotSent, AccountError), match="DUOMI_API_KEY") as caught:
                call()
            assert "secret-part" not in str(caught.value)


# --- polls --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [("refuse", PromptRefused, "content policy"), ("task_fails", TaskFailed, "Generation failed")],
)
@pytest.mark.parametrize("protocol", ASYNCHRONOUS)
def test_a_task_ends_by_the_word_of_the_service(
    sandbox: SandboxServer, protocol: str, fault: str, kind: type[DuomiError], words: str
) -> None:
    sandbox.change_faults(**{fault: ("lighthouse",)})
    asked = request(protocol)
    with client(sandbox.url) as opened:
        task = opened.submit(asked)
        assert isinstance(task, Task)
        with pytest.raises(kind, match=words):
            opened.poll(asked, task.id)


@pytest.mark.parametrize("protocol", ASYNCHRONOUS)
def test_a_task_that_says_nothing_yet_is_waited_for(sandbox: SandboxServer, protocol: str) -> None:
    sandbox.change_faults(task_seconds=60)
    asked = request(protocol)
    with client(sandbox.url) as opened:
        task = opened.submit(asked)
        assert isinstance(task, Task)
        assert isinstance(opened.poll(asked, task.id), Waiting)


@pytest.mark.parametrize(
    "answer",
    [
        Answer("no such task", 404),
        Answer('{"message": "Access prohibited"}', 403),
        Answer('{"message": "rejected by content moderation"}', 400),
        Answer('{"detail": "violates rate policy rules"}', 422),
        Answer('{"code": 403, "message": "access prohibited"}'),
    ],
)
def test_no_word_of_a_look_ends_a_task_but_its_own_state(answer: Answer) -> None:
    with (
        ScriptedService(answer) as service,
        client(service.url) as opened,
        pytest.raises((TaskDenied, ServiceBusy)),
    ):
        opened.poll(request("duomi_async"), "t")


@pytest.mark.parametrize("protocol", ASYNCHRONOUS)
def test_a_task_that_is_done_without_a_picture_is_empty(sandbox: SandboxServer, protocol: str) -> None:
    sandbox.change_faults(rate_empty_success=1)
    asked = request(protocol)
    with client(sandbox.url) as opened:
        task = opened.submit(asked)
        assert isinstance(task, Task)
        assert isinstance(opened.poll(asked, task.id), Empty)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer("{}", 500), ServiceBusy),
        *((Answer("<h1>Bad Gateway</h1>", status), ServiceBusy) for status in (408, 502, 504, 520, 524)),
        (Answer('{"message": "the answer took too long"}', 504), ServiceBusy),
        (Answer('{"code": 20012}', 503), ServiceBusy),
        (Answer('{"code": 50605}', 429), ServiceBusy),
        (Answer("<h1>Maintenance</h1>", 200), ServiceBusy),
        (Answer('{"message": "bad request"}', 400), ServiceBusy),
        (Answer("", 302, {"Location": "/login"}), ServiceBusy),
        (Answer('{"state": "succeeded"}', drop=5), ServiceBusy),
        (Answer("{}", 429, {"Retry-After": "3"}), RateLimited),
        (Answer('"Invalid token"', 401), TaskDenied),
        (Answer('{"code": 30001}', 402), TaskDenied),
        (Answer("<h1>Blocked</h1>", 403), TaskDenied),
    ],
)
def test_a_look_that_fails_says_nothing_about_its_task(answer: Answer, kind: type[DuomiError]) -> None:
    with ScriptedService(answer) as service, client(service.url) as opened, pytest.raises(DuomiError) as caught:
        opened.poll(request("duomi_async"), "t")
    assert type(caught.value) is kind


def test_a_task_id_cannot_lead_to_another_path() -> None:
    with ScriptedService(Answer('{"state": "running"}')) as service, client(service.url) as opened:
        assert isinstance(opened.poll(request("duomi_async"), "../../admin?x=1#y"), Waiting)
        assert service.asked[0].path == "/v1/tasks/..%2F..%2Fadmin%3Fx%3D1%23y"


def test_a_protocol_without_tasks_is_not_polled() -> None:
    with client("http://127.0.0.1:1") as opened, pytest.raises(ConfigurationError, match="DUOMI_PROTOCOL"):
        opened.poll(request("siliconflow"), "t")


# --- downloads ----------------------------------------------------------------------------------------


def test_the_key_is_not_sent_to_the_pictures_host_not_even_to_the_same_one() -> None:
    with ScriptedService(Answer(PICTURE)) as files, ScriptedService(Answer(PICTURE)) as service:
        with client(service.url) as opened:
            assert downloaded(opened, files.url + "/a.png?signature=s") == PICTURE
            assert downloaded(opened, "/b.png") == PICTURE
        assert (files.asked[0].path, service.asked[0].path) == ("/a.png?signature=s", "/b.png")
        assert all("Authorization" not in got.headers for got in [*files.asked, *service.asked])
        assert KEY not in str([files.asked, service.asked])


@pytest.mark.parametrize("url", ["/files/a.png", "files/a.png", "//{host}/files/a.png", "http://{host}/files/a.png"])
def test_addresses_are_relative_to_the_service(url: str) -> None:
    with ScriptedService(Answer(PICTURE)) as service, client(service.url) as opened:
        assert downloaded(opened, url.format(host=service.url.removeprefix("http://"))) == PICTURE
        assert service.asked[0].path == "/files/a.png"


def test_a_redirected_picture_is_followed_without_the_key() -> None:
    with ScriptedService(Answer(PICTURE)) as files:
        moved = Answer("", 302, {"Location": files.url + "/moved.png"})
        with ScriptedService(moved) as service, client(service.url) as opened:
            assert downloaded(opened, "/a.png") == PICTURE
        assert "Authorization" not in files.asked[0].headers


@pytest.mark.parametrize("kind", ["endless", "redirect_loop", "redirect_to_file"])
def test_a_hostile_download_is_refused(sandbox: SandboxServer, kind: str) -> None:
    with client(sandbox.url) as opened:
        answer = opened.submit(request())
        assert isinstance(answer, Pictures)
        sandbox.change_faults(hostile_download=kind)
        with pytest.raises(BadImage) as caught:
            downloaded(opened, answer.images[0].url or "")
    assert sandbox.url not in str(caught.value)
    assert "/etc/hostname" not in str(caught.value)


def test_a_picture_that_explodes_is_refused_before_it_is_decoded(sandbox: SandboxServer) -> None:
    with client(sandbox.url) as opened:
        answer = opened.submit(request())
        assert isinstance(answer, Pictures)
        sandbox.change_faults(hostile_download="bomb")
        data = downloaded(opened, answer.images[0].url or "")
    with pytest.raises(NotAPictureError, match="too large"):
        to_png(data, Size(72, 128))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer("Request has expired", 403), "403"),
        (Answer("no such file", 404), "404"),
        (Answer("", 500), "500"),
        (Answer(PICTURE, drop=50), ""),
    ],
)
def test_a_picture_that_did_not_arrive_may_be_fetched_later(answer: Answer, code: str) -> None:
    with ScriptedService(answer) as service, client(service.url) as opened, pytest.raises(NotDownloaded) as caught:
        downloaded(opened, "/a.png?signature=very-secret")
    assert caught.value.code == code
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/hostname",
        "ftp://host/a.png",
        "http://",
        "http://a b/",
        "http://[::1",
        "//[",
        "http://\udcff/",
        "http://" + "a" * 70 + "/",
    ],
)
def test_an_address_that_is_none_is_a_bad_image(url: str) -> None:
    with client("http://127.0.0.1:1") as opened, pytest.raises(BadImage):
        downloaded(opened, url)


def test_a_picture_that_hangs_is_given_up(sandbox: SandboxServer) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{silent.getsockname()[1]}/a.png"
    with silent, client(sandbox.url, timeout=0.2) as opened, pytest.raises(NotDownloaded, match="in time"):
        downloaded(opened, address)


# --- the key ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 404, 422])
def test_a_key_is_accepted_by_any_answer_that_is_not_a_refusal(status: int) -> None:
    with ScriptedService(Answer("{}", status)) as service, client(service.url) as opened:
        opened.check_key()
        assert [(got.method, got.path) for got in service.asked] == [("GET", "/v1/tasks/__probe__")]


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AccountError), (403, AccountError), (500, ServiceBusy), (302, ServiceBusy)]
)
def test_a_key_that_is_not_accepted_is_told_from_a_service_that_is_down(status: int, kind: type[DuomiError]) -> None:
    with ScriptedService(Answer("{}", status)) as service, client(service.url) as opened, pytest.raises(kind) as caught:
        opened.check_key()
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)


def test_checking_a_key_costs_nothing(sandbox: SandboxServer) -> None:
    sandbox.change_faults(api_key=KEY)
    with client(sandbox.url) as opened:
        opened.check_key()
    with client(sandbox.url, key="wrong") as opened, pytest.raises(AccountError, match="DUOMI_API_KEY"):
        opened.check_key()
    assert sandbox.books.totals().posts == 0
