"""Any answer: what is read of it is right, or an error with a name, fit for ledger, log and terminal."""

import json
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from duomi_pipeline.duomi import DuomiError
from duomi_pipeline.duomi.answers import Empty, Pictures, Task, Waiting, parse_json, parse_submission, parse_task
from duomi_pipeline.duomi.client import DuomiClient
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.duomi.raw import RawService
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.duomi.test_client import KEY, downloaded, request
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.fuzz import strategies as outside
from duomi_pipeline_tests.fuzz.harness import SECONDS, examples

statuses = st.one_of(st.just(200), st.sampled_from([0, 201, 204, 302, 400, 401, 404, 429, 451, 500, 503, 999]))


def check(error: DuomiError) -> None:
    """What every error must be."""
    text = f"{error} {error.code} {error.message}"
    assert text.isprintable()
    assert text.encode()
    assert len(text) < 15_000, "ten characters for one that is written out"
    assert KEY not in text


def check_answer(answer: Pictures | Task | Waiting | Empty) -> None:
    if isinstance(answer, Task):
        assert answer.id.isprintable()
        assert 0 < len(answer.id) <= 500
    if isinstance(answer, Pictures):
        assert 0 < len(answer.images) <= 16
        assert all(image.data is not None or image.url or image.problem for image in answer.images)
        assert all((image.url or "").encode() or image.data is not None or image.problem for image in answer.images)
        assert answer.seed is None or 0 <= answer.seed < 2**63


@given(statuses, st.one_of(outside.as_bytes(outside.answers), st.binary(max_size=200)), st.booleans())
@settings(max_examples=examples(4))
def test_any_body_is_an_answer_or_a_named_error(status: int, body: bytes, has_tasks: bool) -> None:
    text = body.decode("utf-8-sig", "replace")
    for read in (
        lambda: parse_submission(parse_json(status, text), has_tasks=has_tasks),
        lambda: parse_task(parse_json(status, text, of_task=True)),
    ):
        try:
            check_answer(read())
        except DuomiError as error:
            check(error)


_lines = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=30)
_heads = st.tuples(
    st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.0 302 Found", "HTTP/1.1 429 Slow", "HTTP/1.1 100 Continue", "HTTP/1.1 999", "ICY 200", ""]),
    st.dictionaries(
        st.one_of(st.sampled_from(["Content-Length", "Transfer-Encoding", "Content-Encoding", "Location", "Retry-After", "Set-Cookie", "Connection", "Content-Type"]), _lines),
        st.one_of(st.sampled_from(["0", "5", "-1", "1e9", "chunked", "gzip", "deflate, gzip", "close", "/b", "//", "http://", "nan", "inf", "Mon, 01 Jan 0001 00:00:00 GMT"]), _lines),
        max_size=4,
    ),
).map(lambda given: "\r\n".join([given[0], *(f"{k}: {v}" for k, v in given[1].items()), "", ""]).encode("latin-1"))  # fmt: skip


@given(st.one_of(_heads, st.binary(max_size=50)), st.one_of(outside.as_bytes(outside.answers), st.binary(max_size=80)))
def test_any_bytes_on_the_wire_are_an_answer_or_a_named_error(head: bytes, body: bytes) -> None:
    start = time.monotonic()
    with RawService(head, body) as service, DuomiClient(service.url, SecretStr(KEY), timeout=0.2) as client:
        for call in (
            lambda: client.submit(request("duomi_async")),
            lambda: client.poll(request("duomi_async"), "t"),
            lambda: downloaded(client, "/a.png"),
            client.check_key,
        ):
            try:
                call()
            except DuomiError as error:
                check(error)
    assert time.monotonic() - start < 4 * SECONDS


@given(outside.texts)
def test_any_address_is_refused_or_asked(url: str) -> None:
    with DuomiClient("http://127.0.0.1:1", SecretStr(KEY), timeout=0.2) as client, pytest.raises(DuomiError) as caught:
        downloaded(client, f"//127.0.0.1:1/{url}" if url[:1] not in (":", "/", "f", "d") else url)
    check(caught.value)


@given(answers=st.lists(outside.as_bytes(outside.answers), min_size=1, max_size=3), protocol=st.sampled_from(["siliconflow", "duomi_async"]))  # fmt: skip
@settings(max_examples=examples(0.2))
def test_a_run_ends_whatever_the_service_answers(answers: list[bytes], protocol: str) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        SandboxServer() as unused,
        ScriptedService(*(Answer(body) for body in answers)) as service,
    ):
        given = {"base_url": service.url, "protocol": protocol, "max_attempts": 1, "ambiguous_retries": 0}
        limits = {"task_timeout": 0.05, "poll_interval": 0.01, "timeout": 0.5, "max_concurrency": 2}
        (Path(name) / "home").mkdir()
        with closing(Home(Path(name) / "home", unused, **given, **limits)) as home:
            home.write("a", "a boat")
            home.write("b", "a fox")
            run = home.run()
            assert run.stop is None or run.stop.by == "service"
            assert all(str(outcome.failure).isprintable() for outcome in run.outcomes)
            assert json.dumps([entry.state.value for entry in home.plan().entries])
        assert [path.name for path in Path(name).iterdir()] == ["home"]
