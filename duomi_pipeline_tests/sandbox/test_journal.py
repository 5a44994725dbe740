"""What the books say, in memory and from one service to the next."""

from pathlib import Path

import pytest

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.journal import Books
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.sandbox.client import SDXL, Client, opened


def test_every_picture_is_billed_once_with_what_it_shows(client: Client) -> None:
    client.set(price=0.25)
    client.siliconflow("a dog", seed=7, batch_size=2)
    billings = client.server.books.billings()
    assert [(b.prompt, b.seed, b.model, b.picture, b.amount) for b in billings] == [
        ("a dog", 7, SDXL, 0, 0.25),
        ("a dog", 7, SDXL, 1, 0.25),
    ]


def test_tasks_are_billed_at_submit(client: Client) -> None:
    client.set(task_seconds=1000)
    client.submitted()
    assert client.billed == 1


def test_polls_and_downloads_bill_nothing(client: Client) -> None:
    url = client.get(client.submitted()).json()["data"]["images"][0]["url"]
    client.get(url)
    client.get(url)
    shown = client.get("/sandbox/books").json()
    assert (shown["posts"], shown["billed"], shown["polls"], shown["downloads"]) == (1, 1, 1, 2)


def test_the_detail_names_each_request_and_its_answer(client: Client) -> None:
    client.siliconflow("a dog", seed=7)
    client.siliconflow("")
    shown = client.get("/sandbox/books?detail=1").json()
    assert [(r["prompt"], r["seed"], r["answered"], r["billed"]) for r in shown["requests"]] == [
        ("a dog", 7, "200", 1),
        ("", None, "400/20015", 0),
    ]
    assert shown["billings"][0]["token"] == shown["requests"][0]["token"]


def test_credits_end_and_can_be_topped_up(client: Client) -> None:
    client.set(credits=3)
    assert client.siliconflow(batch_size=2).status_code == 200
    too_many = client.siliconflow(batch_size=2)
    assert (too_many.status_code, too_many.json()["code"]) == (402, 30001)
    assert client.get("/sandbox/books").json()["credits"] == 1
    client.set(credits=4)
    assert client.siliconflow(batch_size=2).status_code == 200
    assert client.get("/sandbox/books").json()["credits"] == 0


def test_a_reset_begins_new_books_and_keeps_the_faults(client: Client) -> None:
    client.set(credits=1)
    url = client.bought()
    reset = client.post("/sandbox/reset", {}).json()
    assert (reset["posts"], reset["billed"], reset["credits"]) == (0, 0, 1)
    assert client.get(url).status_code == 404


@pytest.mark.parametrize("prompt", ["'; DROP TABLE posts; --", "nul \0 inside", "../../etc/passwd", "狐狸 🦊"])
def test_a_prompt_is_kept_as_it_came(client: Client, prompt: str) -> None:
    client.siliconflow(prompt)
    assert client.server.books.posts()[0].prompt == prompt


def test_tasks_and_pictures_outlive_the_service(tmp_path: Path) -> None:
    path = tmp_path / "sandbox" / "books.db"
    with SandboxServer(faults=Faults(picture="flat"), books_path=path) as first:
        client = Client(first)
        task, url = client.submitted(), client.bought()
    with SandboxServer(faults=Faults(picture="flat"), books_path=path) as second:
        client = Client(second)
        assert client.billed == 2
        picture = client.get(task).json()["data"]["images"][0]["url"]
        assert picture.startswith(second.url)
        assert opened(client.get(picture)).size == (720, 1280)
        assert client.get(url.removeprefix(first.url)).status_code == 200


def test_two_services_on_one_file_share_tasks_and_credits(tmp_path: Path) -> None:
    faults = Faults(picture="flat", credits=1)
    path = tmp_path / "books.db"
    with (
        SandboxServer(faults=faults, books_path=path) as a,
        SandboxServer(faults=faults, books_path=path) as b,
    ):
        task = Client(a).submitted()
        assert Client(b).get(task).status_code == 200
        assert Client(b).siliconflow().status_code == 402


def test_nothing_stays_of_a_transaction_that_fails() -> None:
    books = Books()
    with pytest.raises(KeyboardInterrupt), books.transaction():
        books.count_download("token", 0)
        raise KeyboardInterrupt
    assert books.totals().downloads == 0
    books.close()
