"""What was confirmed is what is done: whatever else has changed since, nothing else is bought or taken for a picture."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.cli.test_keep import OTHER_MODEL, billed, in_use, of, overrides, versions
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.gallery_server.harness import Served, served


def confirmed(gallery: Served, ticket: str) -> str:
    """How an action ended that was asked for."""
    answer = gallery.post("confirm", {"ticket": ticket})
    assert answer.status_code == 200, answer.text
    return str(gallery.ended(answer.json()["number"])["message"])


def test_a_picture_that_was_missing_in_two_browsers_is_bought_once(home: Path, sandbox: SandboxServer) -> None:
    with served(home) as gallery:
        tickets = [gallery.ask("again", {"json_fox": None})["ticket"] for _browser in range(2)]
        assert "1 generated" in confirmed(gallery, tickets[0])
        assert "Something has changed" in confirmed(gallery, tickets[1])
        late = gallery.ask("again", {"json_fox": None})  # by a page that still shows it as missing
        assert (late["requests"], late["notes"]) == (0, ["1 prompt left alone: another picture is there by now."])
    assert (billed(sandbox), overrides(home)) == (1, {})


def test_a_picture_confirmed_at_no_or_a_known_cost_is_not_bought_elsewhere_or_at_an_unknown_one(
    home: Path, sandbox: SandboxServer
) -> None:
    duomi(home, "generate")
    toml = home / "duomi.toml"
    with SandboxServer(faults=Faults(picture="flat")) as elsewhere, served(home) as gallery:
        for changed in (
            f'base_url = "{elsewhere.url}"\nprice_per_image = 0.1\n',
            f'base_url = "{sandbox.url}"\nprice_per_image = 0.1\ncurrency = "USD"\n',
            f'base_url = "{sandbox.url}"\n',
        ):
            toml.write_text(f'base_url = "{sandbox.url}"\nprice_per_image = 0.1\n')
            ticket = gallery.ask("again", {"json_fox": of(home, "fox")[0]})["ticket"]
            toml.write_text(changed)
            assert "Something has changed" in confirmed(gallery, ticket), changed
        assert elsewhere.books.totals().posts == 0
    assert (billed(sandbox), overrides(home)) == (4, {})


def test_nothing_is_bought_with_another_model_or_text_than_when_it_was_confirmed(
    home: Path, sandbox: SandboxServer
) -> None:
    duomi(home, "generate")
    toml, boat = home / "duomi.toml", home / "out/prompt_json/boat.json"
    before = toml.read_text()
    with served(home) as gallery:
        for changed in (f'model = "{OTHER_MODEL}"\n', "num_inference_steps = 30\n"):
            ticket = gallery.ask("again", {"json_fox": of(home, "fox")[0]})["ticket"]
            toml.write_text(before + changed)
            assert "Something has changed" in confirmed(gallery, ticket), changed
            toml.write_text(before)
        ticket = gallery.ask("again", {"json_boat": of(home, "boat")[0]})["ticket"]
        boat.write_text('{"image_prompt": "A green boat"}')
        assert "Something has changed" in confirmed(gallery, ticket)
        assert "1 generated" in confirmed(gallery, gallery.ask("again", {"json_fox": of(home, "fox")[0]})["ticket"])
    assert (billed(sandbox), list(overrides(home))) == (5, ["json_fox"])


def test_a_version_is_kept_as_what_it_is_though_the_settings_have_changed_since(
    home: Path, sandbox: SandboxServer
) -> None:
    files = versions(home, sandbox)
    with served(home) as gallery:
        ticket = gallery.ask("keep", {"json_fox": files[1]})["ticket"]  # of the settings' own model
        with (home / "duomi.toml").open("a") as toml:
            toml.write(f'model = "{OTHER_MODEL}"\n')
        confirmed(gallery, ticket)
    why = json.loads(duomi(home, "why", "json_fox", "--json").stdout)
    assert (in_use(home), why["state"]) == (files[1], "current")
    assert overrides(home)["json_fox"]["model"] != OTHER_MODEL
    assert billed(sandbox) == 9


def test_what_nobody_foresaw_ends_the_action_not_the_server(home: Path, sandbox: SandboxServer) -> None:
    with served(home) as gallery:
        (home / ".dagster_home/dagster.yaml").write_text("no: [such")
        ended = gallery.do("again", {"json_fox": None})
        assert "An unforeseen error" in ended["message"]
        assert gallery.status()["progress"]["is_over"]
    assert billed(sandbox) == 0


def test_what_nobody_foresaw_is_told_beside_the_page_and_the_page_follows_again(home: Path) -> None:
    duomi(home, "generate")
    with served(home) as gallery:
        told = gallery.status()["version"]
        for overrides_of, expected in (("{", True), ("{}", False)):
            with closing(sqlite3.connect(home / "out/ledger.db", timeout=30)) as ledger, ledger:
                ledger.execute("UPDATE prompts SET overrides = ? WHERE prompt_id = 'json_fox'", (overrides_of,))
                ledger.execute("UPDATE selections SET selected_at = selected_at + 1, settled_under = NULL")
            wait_until(lambda: bool(gallery.status()["problem"]) is expected, "what it says of it")  # noqa: B023
        duomi(home, "generate", "--prompt-id", "json_fox", "--force")
        wait_until(lambda: gallery.status()["version"] > told, "the new picture")


def test_a_choice_is_followed_though_another_clock_was_ahead(home: Path) -> None:
    duomi(home, "generate")
    duomi(home, "generate", "--prompt-id", "json_fox", "--force")
    with closing(sqlite3.connect(home / "out/ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE selections SET selected_at = selected_at + 3600 WHERE prompt_id = 'json_boat'")
        ledger.execute("UPDATE purchases SET updated_at = updated_at + 3600 WHERE id = 1")
    with served(home) as gallery:
        before = gallery.status()["version"]
        assert duomi(home, "keep", "json_fox", "1").returncode == 0
        wait_until(lambda: gallery.status()["version"] > before, "the choice")
