"""Who may ask the served gallery, and what can be read through it."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from duomi_pipeline_tests.cli.harness import pictures
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.gallery_server.harness import Served, served

ASK = {"kind": "again", "pictures": {"json_fox": None}}
KEY = "sk-a-key-that-nobody-may-see"


@pytest.fixture
def gallery(home: Path) -> Iterator[Served]:
    duomi(home, "generate")
    with served(home, DUOMI_API_KEY=KEY) as opened:
        yield opened


def raw(gallery: Served, target: str, host: str | None = None) -> int:
    """The status of a GET whose path nobody tidies up."""
    port = int(gallery.origin.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {host or f'127.0.0.1:{port}'}\r\nConnection: close\r\n\r\n".encode()
        )
        return int(connection.makefile("rb").readline().split()[1])


def test_access(gallery: Served, home: Path) -> None:
    """One process for all of it: each start takes seconds."""
    _without_the_token_nothing_is_answered(gallery)
    _another_host_and_another_page_are_refused(gallery)
    _what_may_change_something_is_json(gallery)
    _no_path_leads_out_of_the_folders(gallery, home)
    _the_page_is_protected_and_holds_no_secret(gallery)
    _spending_is_a_page_beside_it_and_leads_back(gallery)
    assert (gallery.status()["progress"], gallery.process.poll()) == (None, None)
    assert KEY not in (home / "serve.log").read_text()


def _without_the_token_nothing_is_answered(gallery: Served) -> None:
    token = gallery.address.split("/")[3]
    assert len(token) >= 32
    for wrong in (
        "",
        "/",
        "/status",
        f"/{token[:-1]}/status",
        f"/{token}x/",
        "/%00/",
        f"/{token.swapcase()}/ask",
        "/ask",
    ):
        assert requests.get(gallery.origin + wrong, timeout=10).status_code == 403, wrong
        assert requests.post(gallery.origin + wrong, json=ASK, timeout=10).status_code == 403, wrong
    picture = pictures_of(gallery)[0]
    assert requests.get(f"{gallery.origin}/pictures/{picture}", timeout=10).status_code == 403
    assert gallery.get("status").status_code == 200


def _another_host_and_another_page_are_refused(gallery: Served) -> None:
    for host in ("evil.example", "evil.example:3030", "127.0.0.1.evil.example", "localhost.evil.example", ""):
        assert gallery.get("status", headers={"Host": host}).status_code in (400, 403), host
        assert gallery.post("ask", ASK, headers={"Host": host}).status_code in (400, 403), host
    port = gallery.origin.rpartition(":")[2]
    for origin in (
        "http://evil.example",
        "null",
        f"http://localhost:{port}",
        "http://127.0.0.1",
    ):
        assert gallery.post("ask", ASK, headers={"Origin": origin}).status_code == 403, origin
        assert gallery.get("status", headers={"Origin": origin}).status_code == 403, origin
    assert gallery.post("ask", ASK, headers={"Origin": gallery.origin}).status_code == 200


def _what_may_change_something_is_json(gallery: Served) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = requests.post(gallery.address + "ask", data=b"{}", headers={"Content-Type": kind}, timeout=10)
        assert answer.status_code == 415, kind
    asked: list[object] = [{}, [], {**ASK, "kind": "delete"}, {**ASK, "more": 1}, {"kind": "again", "pictures": {}}]
    for content in asked:
        assert gallery.post("ask", content).status_code == 400, content
    confirmed: list[object] = [{}, [], {"ticket": None}, {"ticket": "guessed"}]
    for content in confirmed:
        assert gallery.post("confirm", content).status_code in (400, 410), content
    for path in ("ask", "confirm"):  # deeper than Python reads
        answer = requests.post(
            gallery.address + path, data=b"[" * 100_000, headers={"Content-Type": "application/json"}, timeout=10
        )
        assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert gallery.get("ask").status_code in (404, 405)
    assert gallery.get("confirm").status_code in (404, 405)


def _no_path_leads_out_of_the_folders(gallery: Served, home: Path) -> None:
    token = gallery.address.split("/")[3]
    (home / "out/generated_images/note.txt").write_text("not a picture")
    (home / "out/generated_images/link.png").symlink_to(home / "duomi.toml")
    for folder in ("pictures", "data", "thumbnails", ""):
        for way in (
            "../ledger.db",
            "..%2fledger.db",
            "%2e%2e/ledger.db",
            "....//ledger.db",
            "..%5cledger.db",
            "%2fetc%2fpasswd",
            "//etc/passwd",
        ):
            assert raw(gallery, f"/{token}/{folder}/{way}") in (403, 404), (folder, way)
    for name in (".duomi-folder.json", "note.txt", "link.png", "nothing.png", ""):
        assert gallery.get(f"pictures/{name}").status_code == 404, name
    assert gallery.get(f"pictures/{pictures_of(gallery)[0]}").headers["content-type"] == "image/png"
    assert pictures_of(gallery) == [name for name in pictures(home) if name != "link.png"]


def pictures_of(gallery: Served) -> list[str]:
    index = gallery.get("data/index.js").text
    keys = re.findall(r'\[\d+,"\w+","(\w+)"', index)
    return sorted(set(re.findall(r"[\w-]+\.png", "".join(gallery.get(f"data/cards-{key}.js").text for key in keys))))


def _the_page_is_protected_and_holds_no_secret(gallery: Served) -> None:
    page = gallery.get("")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    token = gallery.address.split("/")[3]
    scripts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {"actions.js", "actions.css", "data/index.js"} <= set(scripts)
    for text in (page.text, *(gallery.get(name).text for name in scripts), gallery.get("status").text):
        assert token not in text
        assert KEY not in text


def _spending_is_a_page_beside_it_and_leads_back(gallery: Served) -> None:
    assert "<title>Spending</title>" in requests.get(f"{gallery.address}spending.html", timeout=10).text
    assert "actions.js" in requests.get(f"{gallery.address}index.html", timeout=10).text


def test_the_page_on_disk_has_no_buttons(home: Path) -> None:
    duomi(home, "gallery")
    page = (home / "out/gallery/index.html").read_text()
    assert "actions.js" not in page
    assert not (home / "out/gallery/actions.js").exists()


def test_opened_in_a_browser_the_address_is_in_no_list_of_processes(home: Path, tmp_path: Path) -> None:
    programs, opened = tmp_path / "bin", tmp_path / "opened"
    programs.mkdir()
    (programs / "xdg-open").write_text(
        f'#!/bin/sh\n{{ echo "$1"; stat -c %a "$1"; cat "$1"; }} > {opened}.new; mv {opened}.new {opened}\n'
    )
    (programs / "xdg-open").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    with served(home, "--open", PATH=path) as gallery:
        wait_until(opened.exists, "a browser")
        page, rights, *content = opened.read_text().splitlines()
        assert gallery.address.split("/")[3] not in page
        assert (rights, f"url={gallery.address}" in "".join(content)) == ("600", True)
    assert not Path(page).exists()


def test_wrong_usage_is_named(home: Path) -> None:
    assert duomi(home, "gallery", "--port", "0").returncode == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = duomi(home, "gallery", "--serve", "--port", str(taken.getsockname()[1]))
    assert run.returncode == 2
    assert "cannot be listened on" in run.stderr
