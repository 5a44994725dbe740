"""Homes with pictures in every state, and galleries of them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from duomi_pipeline.engine import State
from duomi_pipeline.gallery import GalleryReport, write_gallery
from duomi_pipeline.gallery.cards import Card
from duomi_pipeline.maintenance.quality import Flag
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.engine.conftest import home, sandbox
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.gallery.browser import Page, start_chromium
from duomi_pipeline_tests.gallery.made_up import write_cards
from duomi_pipeline_tests.prompts.harness import prompt_database

__all__ = ["home", "sandbox"]
HOSTILE = (
    "שלום \u202e</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>\n=HYPERLINK(1)  +1 -1 @SUM"
    " \"q\" 'a' `b` &amp; {{c}} ${d} \u2028 🦊👩‍👧 مرحبا\t%3Cb%3E"
)
ALL = ("Silver owl", "Boat", "Fox", "Tower", "Hostile", "Refused", "Waiting")
OTHER_MODEL = "black-forest-labs/FLUX.1-dev"


def write(home: Home, **changes: Any) -> GalleryReport:
    """Write the home's gallery as it is now."""
    with home.session(**changes) as session:
        plan = session.plan(read_sources(session.settings).prompts)
        return write_gallery(session, plan, home.path / "out" / "gallery")


def fill(home: Home) -> None:
    """Three prompts with pictures (one with versions of two models), a hostile, a refused and a missing one.

    And a row of the table. The flat pictures are all flagged, as they look the same.
    """
    (home.path / "data").mkdir()
    prompt_database(home.path / "data" / "llm_video_batch.db", ["", "An owl of silver"], ["none", "silver_owl"])
    home.write("boat", "A red boat on a silver lake, Café light")
    home.write("fox", "A fox in the snow")
    home.write("tower", "A tower of glass")
    home.write("hostile", HOSTILE, negative_prompt=HOSTILE)
    home.run()
    with home.session(model=OTHER_MODEL) as session:
        plan = session.plan([p for p in read_sources(session.settings).prompts if p.id == "json_boat"])
        with session.generating(plan.wanted({State.OUTDATED})) as batch:
            assert [outcome.failure for outcome in batch] == [None]
    home.sandbox.change_faults(refuse=("forbidden",))
    home.write("refused", "Something forbidden & <b>bold</b>")
    home.run({State.MISSING})
    home.sandbox.change_faults(refuse=())
    home.write("waiting", "A lantern that waits")


def write_large(folder: Path, count: int, made_at: float = 1_700_000_000.0) -> Path:
    """A gallery of many prompts without pictures, to be quick to make; the page does the same work for them.

    Every hundredth is flagged with a kind that nobody knows yet.
    """
    words = [
        "amber",
        "boat",
        "crystal",
        "dragon",
        "ember",
        "forest",
        "glass",
        "harbour",
        "island",
        "jungle",
        "kite",
        "lantern",
        "moon",
        "neon",
        "ocean",
    ]
    card = Card("", "", "", "current", "json", "", "a/model", None, 1.0, "a.png", (), {}, {}, (), ())
    cards = [
        replace(
            card,
            id=f"json_{number}",
            title=f"Card {number}",
            text=" ".join(words[(number * step) % len(words)] for step in range(1, 100)) + f" number{number}",
            made_at=made_at + number,
            flags=(Flag("out_of_tune", "it hums"),) if number % 100 == 0 else (),
        )
        for number in range(count)
    ]
    write_cards(folder, cards, {"pictures": "../generated_images/", "currency": "CNY"})
    return folder / "index.html"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = start_chromium(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("gallery") / "a home # 1"
    path.mkdir()
    with (
        SandboxServer(faults=Faults(picture="flat"), books_path=path / "books.db") as server,
        closing(Home(path, server)) as home,
    ):
        fill(home)
        yield Path(str(write(home).index))


@pytest.fixture
def page(driver: Any, index: Path) -> Page:
    opened = Page(driver, index)
    driver.get(index.as_uri())
    opened.run("localStorage.clear()")
    opened.open()
    return opened


@pytest.fixture
def served(driver: Any, index: Path) -> Iterator[Page]:
    """The same page from a web server on this machine, as an object store would serve it."""
    home = index.parents[2]
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=home)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        opened = Page(driver, index, f"http://127.0.0.1:{server.server_port}/out/gallery/index.html")
        opened.open()
        yield opened
        driver.get("about:blank")
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Nothing of it into the tests' output."""
