"""Purchases that are named by a header, and named again."""

import sqlite3
from pathlib import Path

import requests

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.sandbox.client import SDXL, Client

HEADER = "Idempotency-Key"


def buy(client: Client, value: str | None = "one", prompt: str = "a cat") -> requests.Response:
    headers = {} if value is None else {HEADER: value}
    body = {"model": SDXL, "prompt": prompt, "image_size": "72x128"}
    return client.post("/v1/images/generations", body, headers=headers)


def test_a_purchase_that_is_named_again_is_answered_again_and_not_billed_again(client: Client) -> None:
    client.set(idempotency_header=HEADER)
    first, again = buy(client).json(), buy(client).json()
    assert again["images"] == first["images"]
    assert client.billed == 1
    posts = client.server.books.posts()
    assert [(post.answered, post.billed) for post in posts] == [("200", 1), ("repeat", 0)]
    assert posts[0].token == posts[1].token


def test_another_name_or_none_is_another_purchase(client: Client) -> None:
    client.set(idempotency_header=HEADER)
    urls = {buy(client, value).json()["images"][0]["url"] for value in ("one", "two", None, None)}
    assert (len(urls), client.billed) == (4, 4)


def test_a_name_counts_only_where_the_header_is_set(client: Client) -> None:
    for other in (None, "X-Request-Id"):
        client.set(idempotency_header=other)
        buy(client)
        buy(client)
    assert client.billed == 4


def test_a_purchase_whose_answer_was_lost_is_answered_when_it_is_named_again(client: Client) -> None:
    client.set(idempotency_header=HEADER, plays=[{"status": 504, "billed": True}])
    assert buy(client).status_code == 504
    assert len(buy(client).json()["images"]) == 1
    assert client.billed == 1


def test_a_name_under_which_nothing_was_sold_can_still_buy(client: Client) -> None:
    client.set(idempotency_header=HEADER, rate_503=1)
    assert buy(client).status_code == 503
    client.set(idempotency_header=HEADER, plays=[{"status": 500}])
    assert buy(client).status_code == 500
    client.set(idempotency_header=HEADER)
    assert buy(client).status_code == 200
    assert client.billed == 1


def test_a_task_that_is_named_again_is_the_same_task(client: Client) -> None:
    client.set(idempotency_header=HEADER)
    client.session.headers[HEADER] = "one"
    assert client.submitted() == client.submitted()
    assert client.billed == 1


def test_a_reset_forgets_the_names(client: Client) -> None:
    client.set(idempotency_header=HEADER)
    buy(client)
    client.post("/sandbox/reset", {})
    assert buy(client).status_code == 200
    assert client.billed == 1


def test_names_outlive_the_service_and_older_books_can_take_them(tmp_path: Path) -> None:
    path, faults = tmp_path / "books.db", Faults(picture="flat", idempotency_header=HEADER)
    with SandboxServer(faults=Faults(picture="flat"), books_path=path) as server:
        buy(Client(server))
    with sqlite3.connect(path) as older:
        older.execute("DROP TABLE repeats")
    older.close()
    with SandboxServer(faults=faults, books_path=path) as server:
        buy(Client(server))
    with SandboxServer(faults=faults, books_path=path) as server:
        buy(Client(server))
        assert [post.answered for post in server.books.posts()] == ["200", "200", "repeat"]
