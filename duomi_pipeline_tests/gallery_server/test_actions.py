"""Actions of the served gallery: each buys once, within the caps, through runs that Dagster shows."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import pictures
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.cli.test_keep import billed, in_use, of, overrides, stays
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.gallery_server.harness import served


def runs(home: Path) -> list[str]:
    """The states of Dagster's runs, the oldest first."""
    with closing(sqlite3.connect(home / ".dagster_home/history/runs.db")) as database:
        return [row[0] for row in database.execute("SELECT status FROM runs ORDER BY id")]


def shown(home: Path) -> str:
    """What the gallery's folder says of all prompts; nothing while it is being written."""
    try:
        return "".join(file.read_text() for file in (home / "out/gallery/data").glob("*.js"))
    except FileNotFoundError:
        return ""


def test_another_seed_is_bought_once_however_often_it_is_confirmed_and_asked_for(
    home: Path, sandbox: SandboxServer
) -> None:
    duomi(home, "generate")
    first = of(home, "fox")[0]
    with served(home) as gallery:
        before = gallery.status()["version"]
        quote = gallery.ask("again", {"json_fox": first})
        assert (quote["prompts"], quote["requests"], quote["cost"]) == (1, 1, "0.10 CNY")
        assert billed(sandbox) == 4
        assert overrides(home) == {}

        assert gallery.post("confirm", {"ticket": quote["ticket"]}).status_code == 200
        assert gallery.post("confirm", {"ticket": quote["ticket"]}).status_code in (409, 410)
        ended = gallery.ended(1)
        assert (ended["done"], ended["total"], ended["failed"]) == (1, 1, 0)
        assert "1 generated" in ended["message"]
        assert gallery.post("confirm", {"ticket": quote["ticket"]}).status_code == 410

        again = gallery.ask("again", {"json_fox": first})  # a page that has not seen the new picture yet
        assert (again["requests"], again["notes"]) == (0, ["1 prompt left alone: another picture is there by now."])
        wait_until(lambda: of(home, "fox")[1] in shown(home), "the gallery to follow")
        wait_until(lambda: gallery.status()["version"] > before, "the page to be told")
    assert billed(sandbox) == 5
    assert list(overrides(home)) == ["json_fox"]
    assert runs(home) == ["SUCCESS", "SUCCESS"]
    stays(home, sandbox, of(home, "fox")[1])


def test_a_version_is_kept_and_parameters_are_edited_and_taken_back(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    first = of(home, "fox")[0]
    with served(home) as gallery:
        form = gallery.get("form", params={"id": "json_fox"}).json()
        assert (form["recorded"], form["below"]["seed"]) == ({}, 51515151)
        for bad in ({"seed": "many"}, {"seed": -1}, {"colour": "red"}, {"batch_size": 9}):
            answer = gallery.post("ask", {"kind": "parameters", "pictures": {"json_fox": first}, "parameters": bad})
            assert answer.status_code == 422, bad
        ended = gallery.do("parameters", {"json_fox": first}, parameters={"seed": "42", "guidance_scale": "9"})
        assert "1 generated" in ended["message"], ended
        assert overrides(home) == {"json_fox": {"seed": 42, "guidance_scale": 9.0}}
        second = in_use(home)

        quote = gallery.ask("parameters", {"json_fox": second}, parameters={"seed": None, "guidance_scale": None})
        assert quote["requests"] == 0  # the first picture is there
        gallery.do("parameters", {"json_fox": second}, parameters={"seed": None, "guidance_scale": None})
        assert (in_use(home), overrides(home)) == (first, {})

        assert gallery.ask("keep", {"json_fox": second})["cost"] == ""
        ended = gallery.do("keep", {"json_fox": second})
        assert "1 reused" in ended["message"]
        refused = gallery.post("ask", {"kind": "keep", "pictures": {"json_fox": "../ledger.db"}})
        assert (refused.status_code, "has no version" in refused.json()["error"]) == (422, True)
    assert billed(sandbox) == 5
    stays(home, sandbox, second)


def test_failed_prompts_are_tried_again_and_failures_are_shown(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(rate_503=1.0)
    duomi(home, "generate", DUOMI_MAX_ATTEMPTS="1")
    asked = dict.fromkeys(["json_boat", "json_fox", "json_market", "json_tower"])
    with served(home, DUOMI_MAX_ATTEMPTS="1") as gallery:
        ended = gallery.do("retry", asked)
        assert (ended["failed"], len(ended["failures"])) == (4, 4)
        assert ended["failures"][0].startswith("json_")
        sandbox.change_faults(rate_503=0.0)
        assert gallery.ask("retry", asked)["requests"] == 4
        assert gallery.do("retry", asked)["done"] == 4
        assert gallery.ask("retry", asked)["requests"] == 0
    assert billed(sandbox) == len(pictures(home)) == 4


def test_a_cap_holds_and_what_it_left_is_said(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    shown = {f"json_{stem}": of(home, stem)[0] for stem in ("boat", "fox", "tower")}
    with served(home, DUOMI_MAX_SPEND_PER_RUN="0.2", DUOMI_MAX_CONCURRENCY="1") as gallery:
        ended = gallery.do("again", shown)
        assert "DUOMI_MAX_SPEND_PER_RUN" in ended["message"]
    assert billed(sandbox) == 6


def test_more_than_was_confirmed_is_not_bought(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    with served(home) as gallery:
        quote = gallery.ask("again", {"json_fox": of(home, "fox")[0]})
        (home / "duomi.toml").write_text(f'base_url = "{sandbox.url}"\nprice_per_image = 5\n')
        answer = gallery.post("confirm", {"ticket": quote["ticket"]})
        assert "Something has changed" in gallery.ended(answer.json()["number"])["message"]
    assert (billed(sandbox), overrides(home)) == (4, {})


def test_one_action_at_a_time(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    sandbox.change_faults(latency=1.5)
    with served(home) as gallery:
        quotes = [gallery.ask("again", {f"json_{stem}": of(home, stem)[0]}) for stem in ("fox", "boat")]
        assert gallery.post("confirm", {"ticket": quotes[0]["ticket"]}).status_code == 200
        assert gallery.post("confirm", {"ticket": quotes[1]["ticket"]}).status_code == 409
        assert not gallery.status()["progress"]["is_over"]
        gallery.ended(1)
        assert gallery.post("confirm", {"ticket": quotes[1]["ticket"]}).status_code == 200
        gallery.ended(2)
    assert billed(sandbox) == 6


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_ended_during_an_action_nothing_is_bought_twice_and_nothing_lost(
    home: Path, sandbox: SandboxServer, end: signal.Signals
) -> None:
    duomi(home, "generate")
    first = of(home, "fox")[0]
    sandbox.change_faults(latency=3.0)
    with served(home) as gallery:
        gallery.post("confirm", {"ticket": gallery.ask("again", {"json_fox": first})["ticket"]})
        wait_until(lambda: sandbox.books.totals().posts == 5, "the request")
        gallery.process.send_signal(end)
        gallery.process.wait(30)
    sandbox.change_faults(latency=0.0)
    seed = overrides(home)["json_fox"]["seed"]
    if end is signal.SIGINT:  # what was in flight is finished
        assert (len(of(home, "fox")), billed(sandbox)) == (2, 5)
    with served(home) as gallery:
        gallery.do("again", {"json_fox": first})
    assert overrides(home)["json_fox"]["seed"] == seed
    assert json.loads(duomi(home, "why", "json_fox", "--json").stdout)["values"]["seed"]["value"] == seed
    assert sandbox.books.totals().posts <= (5 if end is signal.SIGINT else 6)
    stays(home, sandbox, of(home, "fox")[-1])
