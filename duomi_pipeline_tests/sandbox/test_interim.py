"""Interim statuses before an answer, read byte by byte from the connection."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from duomi_pipeline_tests.sandbox.client import SDXL, Client, opened


@contextmanager
def submitted(client: Client, prompt: str = "a cat") -> Iterator[BinaryIO]:
    """The bytes that come back for a submission."""
    body = json.dumps({"model": SDXL, "prompt": prompt, "image_size": "72x128"}).encode()
    host, _, port = client.server.url.removeprefix("http://").partition(":")
    head = f"POST /v1/images/generations HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection, connection.makefile("rb") as answer:
        connection.sendall(head.encode() + body)
        yield answer


def head(answer: BinaryIO) -> list[str]:
    """The next head: its status line and its headers."""
    return [line.decode().strip() for line in iter(answer.readline, b"\r\n")]


def final(answer: BinaryIO) -> str:
    """The status line and the body of an answer that is not interim."""
    status, *headers = head(answer)
    length = next(int(line.partition(":")[2]) for line in headers if line.lower().startswith("content-length:"))
    return status + "\n" + answer.read(length).decode()


def test_interim_statuses_come_while_the_answer_is_withheld(client: Client) -> None:
    client.set(interim=[103, 102], rate_interim=1, interim_seconds=0, interim_wait=1000)
    with submitted(client) as answer:
        assert head(answer) == ["HTTP/1.1 103 Early Hints"]
        assert head(answer) == ["HTTP/1.1 102 Processing"]


def test_the_answer_after_interim_statuses_is_billed_and_has_the_right_picture(client: Client) -> None:
    client.set(interim=[103], rate_interim=1, interim_seconds=0.01, interim_wait=0.02)
    with submitted(client, "a dog") as answer:
        assert head(answer) == ["HTTP/1.1 103 Early Hints"]
        status, _, body = final(answer).partition("\n")
    assert status == "HTTP/1.1 200 OK"
    billing = client.server.books.billings()[0]
    url = json.loads(body)["images"][0]["url"]
    assert (billing.prompt, billing.token in url) == ("a dog", True)
    assert opened(client.get(url)).size == (72, 128)


def test_interim_statuses_and_the_answer_come_not_before_their_times(client: Client) -> None:
    client.set(interim=[103], rate_interim=1, interim_seconds=0.1, interim_wait=0.2)
    began = time.monotonic()
    with submitted(client) as answer:
        head(answer)
        assert time.monotonic() - began >= 0.1
        final(answer)
        assert time.monotonic() - began >= 0.2


def test_the_dice_choose_who_gets_interim_statuses(client: Client) -> None:
    client.set(interim=[103], rate_interim=0.5, interim_seconds=0, interim_wait=0)
    first = set()
    for number in range(20):
        with submitted(client, f"cat {number}") as answer:
            first.add(head(answer)[0])
    assert first == {"HTTP/1.1 103 Early Hints", "HTTP/1.1 200 OK"}


def test_a_word_chooses_who_gets_interim_statuses_instead_of_the_dice(client: Client) -> None:
    client.set(interim=[103], rate_interim=1, interim_word="slow", interim_seconds=0, interim_wait=0)
    with submitted(client, "a Slow cat") as answer:
        assert head(answer) == ["HTTP/1.1 103 Early Hints"]
    with submitted(client, "a cat") as answer:
        assert head(answer)[0] == "HTTP/1.1 200 OK"


def test_nothing_more_may_come_after_an_interim_status(client: Client) -> None:
    client.set(interim=[103], rate_interim=1, interim_seconds=0, interim_wait=0.1, rate_reset_after=1)
    with submitted(client) as answer:
        assert head(answer) == ["HTTP/1.1 103 Early Hints"]
        with pytest.raises(ConnectionResetError):
            answer.read(1)
    assert client.billed == 1


def test_an_error_can_follow_an_interim_status(client: Client) -> None:
    client.set(interim=[102], rate_interim=1, interim_seconds=0, interim_wait=0, plays=[{"status": 403, "body": "no"}])
    with submitted(client) as answer:
        assert head(answer) == ["HTTP/1.1 102 Processing"]
        assert final(answer) == "HTTP/1.1 403 Forbidden\nno"
