"""`plan`, `status`, `why`, `manifest`, `doctor`, `sandbox`: they look, and send nothing that costs."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import requests

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, pictures, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.processes import started


def test_plan_says_what_would_be_sent_and_what_it_costs(home: Path, sandbox: SandboxServer) -> None:
    plan = json.loads(duomi(home, "plan", "--json").stdout)
    assert (plan["states"]["missing"], plan["requests"], plan["cost"]) == (4, 4, 0.4)
    assert plan["generate"] == ["json_boat", "json_fox", "json_market", "json_tower"]
    assert sandbox.books.totals().posts == 0


def test_an_unknown_price_is_unknown_and_not_zero(home: Path, sandbox: SandboxServer) -> None:
    (home / "duomi.toml").write_text(f'base_url = "{sandbox.url}"\n')
    assert json.loads(duomi(home, "plan", "--json").stdout)["cost"] is None
    assert "unknown (set DUOMI_PRICE_PER_IMAGE)" in duomi(home, "plan").stdout


def test_status_tells_states_money_and_who_failed(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(refuse=("fox",))
    duomi(home, "generate")
    status = json.loads(duomi(home, "status", "--json").stdout)
    assert (status["states"]["current"], status["states"]["failed_for_good"]) == (3, 1)
    assert status["spend"]["total"]["billed"] == 3
    assert status["failed"][0]["prompt_id"] == "json_fox"
    assert status["last_run"]["door"] == "cli"
    assert "json_fox" in duomi(home, "status").stdout


def test_why_tells_the_history_of_one_prompt(home: Path) -> None:
    duomi(home, "generate")
    story = json.loads(duomi(home, "why", "json_boat", "--json").stdout)
    assert story["state"] == "current"
    assert story["request"]["body"]["prompt"].startswith("A red boat")
    assert [purchase["state"] for purchase in story["purchases"]] == ["saved"]
    assert [post["billing"] for post in story["purchases"][0]["posts"]] == ["billed"]
    assert "← current" in duomi(home, "why", "json_boat").stdout


def test_manifest_has_a_row_for_every_prompt(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(refuse=("fox",))
    duomi(home, "generate")
    run = duomi(home, "manifest")
    paths = {Path(line).suffix: Path(line) for line in run.stdout.split() if Path(line).stem == "results"}
    table = pd.read_parquet(paths[".parquet"])
    assert dict(zip(table["prompt_id"], table["state"], strict=True)) == {
        "json_boat": "current",
        "json_fox": "failed_for_good",
        "json_market": "current",
        "json_tower": "current",
    }
    assert len(json.loads(paths[".json"].read_text())) == len(pd.read_csv(paths[".csv"])) == 4


def test_doctor_finds_what_is_wrong_and_says_what_to_do(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(api_key="right")
    run = duomi(home, "doctor", DUOMI_API_KEY="wrong", DUOMI_DATABASE="no/such.db")
    assert run.returncode == 1
    assert "Check DUOMI_API_KEY" in run.stdout
    assert "No database at" in run.stdout
    assert "set DUOMI_DATABASE" in run.stdout


def test_somebody_who_has_json_files_alone_is_told_of_no_database(home: Path) -> None:
    run = duomi(home, "doctor")
    assert (run.returncode, run.stderr) == (0, "")
    assert "BAD" not in run.stdout
    assert "Left out" not in duomi(home, "plan").stderr
    assert duomi(home, "generate", "--source", "sqlite", "--dry-run").returncode == 2, "it was asked for"


def test_doctor_tells_somebody_without_any_prompts_where_they_go(tmp_path: Path) -> None:
    run = duomi(tmp_path, "doctor")
    assert run.returncode == 1
    assert f"No database at {tmp_path / 'data/llm_video_batch.db'}" in run.stdout
    assert f"JSON files in {tmp_path / 'out/prompt_json'}" in run.stdout


def test_bad_settings_are_named_with_what_is_allowed(home: Path) -> None:
    run = duomi(home, "plan", DUOMI_IMAGE_SIZE="huge", DUOMI_GUIDANCE_SCALE="99")
    assert run.returncode == 2
    assert "DUOMI_IMAGE_SIZE='huge': write it as WIDTHxHEIGHT" in run.stderr
    assert "DUOMI_GUIDANCE_SCALE='99'" in run.stderr


def test_the_sandbox_runs_alone_with_faults(home: Path) -> None:
    line, env = command(home, "sandbox", "--port", "0", "--fail", "credits=1", "--fail", 'refuse=["fox"]')
    with started(line, env=env, cwd=home, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        url = server.stderr.readline().split()[3].rstrip(",")
        faults = requests.get(f"{url}/sandbox/faults", timeout=5).json()
        server.terminate()
    assert (faults["credits"], faults["refuse"]) == (1, ["fox"])


def test_an_unknown_fault_is_named_with_all_that_there_are(home: Path) -> None:
    run = duomi(home, "sandbox", "--fail", "nonsense=1")
    assert run.returncode == 2
    assert "nonsense" in run.stderr
    assert "rate_503" in run.stderr


def test_a_lost_ledger_heals_or_is_rebuilt_and_nothing_is_bought_again(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    for file in (home / "out").glob("ledger.db*"):
        file.unlink()
    assert "4 pictures recorded" in duomi(home, "ledger", "rebuild").stdout
    for file in (home / "out").glob("ledger.db*"):
        file.unlink()
    healed = duomi(home, "generate")
    assert healed.returncode == 0
    assert "4 pictures in out/generated_images were not known to the ledger, and were recorded" in healed.stderr
    assert sandbox.books.totals().posts == 4


def test_doctor_repairs_what_does_not_fit_together(home: Path) -> None:
    duomi(home, "generate")
    next((home / "out" / "generated_images").glob("boat*.png")).unlink()
    assert "1 file on record gone" in duomi(home, "doctor").stdout
    assert "on record gone" not in duomi(home, "doctor", "--mend").stdout
    assert json.loads(duomi(home, "plan", "--json").stdout)["generate"] == ["json_boat"]


def test_doctor_names_paid_tasks_whose_prompt_was_edited_meanwhile(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(task_seconds=3600)
    (home / "duomi.toml").write_text(
        f'base_url = "{sandbox.url}"\nmodel = "gpt-image-2"\nimage_size = "720x1280"\ntask_timeout = 0.2\npoll_interval = 0.05\n'
    )
    duomi(home, "generate", "--prompt-id", "json_boat")
    assert "interrupted purchase" not in duomi(home, "doctor").stdout
    write_prompts(home, {"boat": "Another boat"})
    assert "1 interrupted purchase without a prompt that has the same request now" in duomi(home, "doctor").stdout


def test_doctor_names_a_picture_that_cannot_be_read_now(home: Path) -> None:
    duomi(home, "generate")
    (home / "out" / "generated_images" / pictures(home)[0]).write_bytes(b"")  # a placeholder of a cloud drive
    run = duomi(home, "doctor")
    assert run.returncode == 1
    assert "1 prompt with a picture that cannot be read now, such as " in run.stdout


def test_doctor_says_what_follows_from_a_model_that_nobody_knows(home: Path, sandbox: SandboxServer) -> None:
    (home / "duomi.toml").write_text(f'base_url = "{sandbox.url}"\n')  # no price
    run = duomi(home, "doctor", DUOMI_MODEL="black-forest-labs/FLUX.1-dve")
    assert run.returncode == 0, run.stdout
    (line,) = (line for line in run.stdout.splitlines() if "FLUX.1-dve" in line)
    assert "has no profile: it is asked by siliconflow for 1080x1920 as it stands" in line
    assert "guidance_scale, negative_prompt, num_inference_steps, seed" in line
    assert "set DUOMI_PRICE_PER_IMAGE" in line
    assert "The nearest model with one: black-forest-labs/FLUX.1-dev." in line


def test_doctor_counts_states_as_status_does(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(refuse=("fox",))
    duomi(home, "generate")
    write_prompts(home, {"kite": "A red kite", "boat": "A blue boat"})
    (home / "out" / "prompt_json" / "tower.json").unlink()  # retired: its picture stays on record
    states = json.loads(duomi(home, "status", "--json").stdout)["states"]
    counted = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    assert counted == "1 missing, 1 changed, 1 current, 1 failed_for_good"
    assert f"ledger: 4 prompts: {counted}" in duomi(home, "doctor").stdout


@pytest.mark.parametrize(("lost", "other"), [("boat", "fox"), ("fox", "boat")])
def test_a_picture_under_the_name_of_one_that_is_gone_stands_for_its_own_prompt_alone(
    home: Path, sandbox: SandboxServer, lost: str, other: str
) -> None:
    for _settled in range(2):
        assert duomi(home, "generate").returncode == 0
    file = {name.split("_")[0]: home / "out/generated_images" / name for name in pictures(home)}
    file[lost].unlink()
    file[other].rename(file[lost])
    assert json.loads(duomi(home, "plan", "--json").stdout)["generate"] == [f"json_{lost}"]
    assert duomi(home, "generate").returncode == 0
    assert (sandbox.books.totals().billed, len(pictures(home))) == (5, 4)
    assert json.loads(duomi(home, "plan", "--json").stdout)["states"]["current"] == 4
