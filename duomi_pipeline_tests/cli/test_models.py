"""`duomi models`: how each model is asked, and which of them answer."""

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, pictures
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.processes import started

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
FLUX = "black-forest-labs/FLUX.1-dev"
GPT = "gpt-image-2"


@pytest.fixture
def home(home: Path) -> Path:
    """Tasks are looked at often."""
    with (home / "duomi.toml").open("a") as settings:
        settings.write("poll_interval = 0.05\n")
    return home


def probed(home: Path, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and by model what a probe found."""
    run = duomi(home, "models", "--probe", "--json", *arguments, **environment)
    assert "Traceback" not in run.stderr, run.stderr
    answer = json.loads(run.stdout)
    return run.returncode, {about["model"]: about["probe"] for about in answer["models"]}


def test_the_models_are_shown_with_what_each_takes_and_how_the_settings_would_ask_it(
    home: Path, sandbox: SandboxServer
) -> None:
    shown = duomi(home, "models", DUOMI_MODEL="house/own-model").stdout
    assert "house/own-model  ← in use (DUOMI_MODEL)  ← no profile: requests as its protocol says" in shown
    models = {about["model"]: about for about in json.loads(duomi(home, "models", "--json").stdout)["models"]}
    assert len(models) >= 11
    assert all(f"{name}\n" in shown for name in models)
    assert (models[SDXL]["in_use"], models[SDXL]["seed"], models[SDXL]["price"]) == (True, True, 0.1)
    assert (models[GPT]["protocol"], models[GPT]["seed"], models[GPT]["negative_prompt"]) == ("duomi_async",) + (
        False,
    ) * 2
    assert (models[GPT]["delivery_size"], models[GPT]["asked_size"]) == ("1080x1920", "1152x2048")
    assert "1080x1920 is asked for as 1152x2048" in shown
    assert sandbox.books.totals().posts == 0


def test_a_probe_says_its_cost_asks_each_model_once_and_keeps_what_it_paid(home: Path, sandbox: SandboxServer) -> None:
    run = duomi(home, "models", "--probe")
    known = len(run.stdout.splitlines())
    assert run.returncode == 0, run.stdout
    assert (
        f"{known} models, {known} requests for one picture each to {sandbox.url}, cost: {known / 10:.2f} CNY"
        in run.stderr
    )
    assert all(line.startswith("answers ") for line in run.stdout.splitlines())
    assert sandbox.books.totals().posts == sandbox.books.billed() == len(pictures(home)) == known
    bodies = [json.loads(post.body) for post in sandbox.books.posts()]
    assert len({body["model"] for body in bodies}) == known
    assert {body["num_inference_steps"] for body in bodies if "num_inference_steps" in body} == {1}
    assert {body.get("image_size") for body in bodies} == {"512x512", "1K", None}

    again = duomi(home, "models", "--probe")
    assert (again.returncode, sandbox.books.totals().posts) == (0, known)
    assert all(line.startswith("answered before ") for line in again.stdout.splitlines())
    assert json.loads(duomi(home, "status", "--json").stdout)["spend"]["total"]["billed"] == known
    assert json.loads(duomi(home, "plan", "--json").stdout)["states"]["missing"] == 4, "no prompt of the user's"
    assert probed(home, "--force", SDXL)[1][SDXL]["verdict"] == "answers"
    assert sandbox.books.totals().posts == known + 1


def test_each_model_gets_the_verdict_that_its_answer_means_in_the_services_words(
    home: Path, sandbox: SandboxServer
) -> None:
    (home / "models.toml").write_text(f'["{GPT}"]\nmin_pixels = 100_000\n')
    sandbox.change_faults(disabled_models=(FLUX,), known_models=(SDXL, FLUX, GPT))
    code, found = probed(home, SDXL, FLUX, GPT, "no/such-model", DUOMI_FALLBACK_MODELS=SDXL)
    assert code == 1
    assert {model: one["verdict"] for model, one in found.items()} == {
        SDXL: "answers",
        FLUX: "disabled",
        GPT: "field refused",
        "no/such-model": "no such model",
    }
    assert found[SDXL]["seconds"] > 0
    assert Path(found[SDXL]["saved_path"]).is_file()
    assert "Model disabled." in found[FLUX]["message"]
    assert "try again later, or choose another" in found[FLUX]["message"]
    assert "0.64 to 8.3 megapixels" in found[GPT]["message"]
    assert sandbox.books.totals().posts == 4, "no fallback, no second try"


@pytest.mark.parametrize(
    ("faults", "verdict", "maybe_billed"),
    [
        ({"rate_503": 1.0}, "busy", 0),
        ({"rate_429": 1.0, "retry_after": 30}, "busy", 0),
        ({"rate_reset_after": 1.0}, "answer lost", 2),
    ],
)
def test_a_model_that_does_not_answer_now_is_not_asked_twice(
    home: Path, sandbox: SandboxServer, faults: dict[str, Any], verdict: str, maybe_billed: int
) -> None:
    sandbox.change_faults(**faults)
    code, found = probed(home, SDXL, FLUX)
    assert (code, [one["verdict"] for one in found.values()]) == (1, [verdict, verdict])
    assert sandbox.books.totals().posts == 2
    assert json.loads(duomi(home, "status", "--json").stdout)["spend"]["total"]["maybe_billed"] == maybe_billed


def test_a_wrong_key_is_found_before_anything_is_sent_and_an_empty_balance_ends_with_3(
    home: Path, sandbox: SandboxServer
) -> None:
    sandbox.change_faults(api_key="sk-right-0123456789")
    code, found = probed(home, SDXL, FLUX, DUOMI_API_KEY="sk-wrong-0123456789")
    assert (code, found[FLUX]["verdict"], sandbox.books.totals().posts) == (3, "account", 0)
    assert "Check DUOMI_API_KEY" in found[FLUX]["message"]
    sandbox.change_faults(credits=0)
    code, found = probed(home, SDXL, FLUX, DUOMI_API_KEY="sk-right-0123456789")
    assert (code, [one["verdict"] for one in found.values()]) == (3, ["account", "account"])
    assert "top up" in found[SDXL]["message"]


def test_caps_hold_for_probes_and_the_models_that_were_not_asked_are_named(home: Path, sandbox: SandboxServer) -> None:
    code, found = probed(home, SDXL, FLUX, GPT, DUOMI_MAX_IMAGES_PER_RUN="1")
    assert (code, [one["verdict"] for one in found.values()]) == (4, ["answers", "not asked", "not asked"])
    assert "DUOMI_MAX_IMAGES_PER_RUN=1 is reached" in found[GPT]["message"]
    assert sandbox.books.totals().posts == 1


def test_a_folder_that_cannot_be_written_and_a_name_that_is_none_are_told_and_nothing_is_sent(
    home: Path, sandbox: SandboxServer
) -> None:
    code, found = probed(home, SDXL, FLUX, DUOMI_IMAGE_DIR="/proc/pictures")
    assert (code, [one["verdict"] for one in found.values()]) == (1, ["not saved", "not asked"])
    run = duomi(home, "models", "--probe", "x" * 201)
    assert run.returncode == 2
    assert "at most 200 characters" in run.stderr
    assert sandbox.books.totals().posts == 0


def test_a_probe_buys_nothing_twice_after_a_lost_ledger(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "models", "--probe", SDXL)
    for file in (home / "out").glob("ledger.db*"):
        file.unlink()
    run = duomi(home, "models", "--probe", SDXL)
    assert (run.returncode, sandbox.books.totals().posts) == (0, 1)
    assert "answered before" in run.stdout


def test_on_a_terminal_a_paid_probe_asks_first_unless_told_yes(home: Path) -> None:
    with SandboxServer(faults=Faults(picture="flat"), host="127.0.0.2") as paid:  # no loopback name: a paid service
        service = {"DUOMI_BASE_URL": paid.url, "DUOMI_API_KEY": "any"}
        line, env = command(home, "models", "--probe", SDXL, **service)
        master, slave = pty.openpty()
        with started(line, env=env, cwd=home, stdin=slave, stderr=subprocess.PIPE, text=True) as run:
            os.write(master, b"n\n")
            _, asked = run.communicate(timeout=60)
        os.close(slave)
        os.close(master)
        assert "cost: 0.10 CNY\nGo on? [y/N]" in asked
        assert paid.books.totals().posts == 0
        assert duomi(home, "models", "--probe", "--yes", SDXL, **service).returncode == 0
        assert paid.books.totals().posts == 1
