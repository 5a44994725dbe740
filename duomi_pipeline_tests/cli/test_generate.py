"""`duomi generate`: what it makes, what it sends, how it ends."""

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, pictures, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.processes import started


def test_missing_prompts_become_pictures_and_a_second_run_sends_nothing(home: Path, sandbox: SandboxServer) -> None:
    first = duomi(home, "generate")
    assert first.returncode == 0, first.stderr
    assert "4 generated" in first.stdout
    assert [name.split("_2")[0] for name in pictures(home)] == ["boat", "fox", "market", "tower"]
    second = duomi(home, "generate")
    assert (second.returncode, sandbox.books.totals().posts) == (0, 4)
    assert "4 reused" in second.stdout


def test_an_edited_prompt_is_one_request_and_other_edits_are_none(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    write_prompts(home, {"boat": "A blue boat on a silver lake"})
    fox = home / "out" / "prompt_json" / "fox.json"
    fox.write_text(json.dumps({**json.loads(fox.read_text()), "video_prompt": "it runs"}))
    os.utime(home / "out" / "prompt_json" / "tower.json")
    assert duomi(home, "generate").returncode == 0
    assert sandbox.books.totals().posts == 5
    assert (sandbox.books.posts()[-1].prompt or "").startswith("A blue boat")


def test_json_holds_counts_spend_and_one_result_per_prompt(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(refuse=("fox",))
    run = duomi(home, "generate", "--json")
    answer = json.loads(run.stdout)
    assert run.returncode == 1
    assert answer["counts"] == {"generated": 3, "reused": 0, "failed": 1, "skipped": 0, "remaining": 0}
    assert (answer["spend"], answer["currency"]) == (pytest.approx(0.3), "CNY")
    by_id = {result["prompt_id"]: result for result in answer["results"]}
    assert by_id["json_fox"]["state"] == "failed_for_good"
    assert "20021" in by_id["json_fox"]["error"]
    assert by_id["json_fox"]["saved_path"] is None
    assert Path(by_id["json_boat"]["saved_path"]).is_file()
    assert by_id["json_boat"]["success"] is True


def test_refused_prompts_are_named_and_tried_again_only_when_asked(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(refuse=("fox",))
    assert "failed: json_fox" in duomi(home, "generate").stderr
    again = duomi(home, "generate")
    assert (again.returncode, "3 reused, 1 failed" in again.stdout) == (1, True)
    assert "json_fox: left as it is, failed_for_good: The prompt was rejected" in again.stdout
    assert sandbox.books.totals().posts == 4
    sandbox.change_faults(refuse=())
    assert duomi(home, "generate", "--failed").returncode == 0
    assert (sandbox.books.totals().posts, len(pictures(home))) == (5, 4)


def test_a_disabled_model_stops_with_3_and_the_guides_advice(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(disabled_models=("stabilityai/stable-diffusion-xl-base-1.0",))
    run = duomi(home, "generate", "--concurrency", "1")
    assert run.returncode == 3
    assert "Model disabled" in run.stdout
    assert "DUOMI_MODEL" in run.stdout
    assert sandbox.books.totals().posts == 1


def test_max_images_buys_exactly_so_many_and_ends_with_4(home: Path, sandbox: SandboxServer) -> None:
    run = duomi(home, "generate", "--max-images", "2", "--concurrency", "4")
    assert run.returncode == 4
    assert "2 generated" in run.stdout
    assert "2 remaining" in run.stdout
    assert (sandbox.books.totals().billed, len(pictures(home))) == (2, 2)


def test_outdated_pictures_are_made_anew_only_when_asked(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    plan = json.loads(duomi(home, "plan", "--json", DUOMI_MODEL="black-forest-labs/FLUX.1-dev").stdout)
    assert plan["states"]["outdated"] == 4
    assert plan["requests"] == 0
    assert duomi(home, "generate", DUOMI_MODEL="black-forest-labs/FLUX.1-dev").returncode == 0
    assert sandbox.books.totals().posts == 4
    left = duomi(home, "generate", "--limit", "2", DUOMI_MODEL="black-forest-labs/FLUX.1-dev")
    assert "2 pictures were made with other settings or by the sandbox, and left as they are" in left.stdout
    assert "add --outdated to make them again (2 requests, cost: " in left.stdout
    run = duomi(home, "generate", "--outdated", "--limit", "1", DUOMI_MODEL="black-forest-labs/FLUX.1-dev")
    assert (run.returncode, sandbox.books.totals().posts) == (0, 5)
    assert duomi(home, "generate", "--outdated").returncode == 0
    assert sandbox.books.totals().posts == 5, "changed back: reused, not bought again"


def test_a_single_prompt_is_kept_as_a_file_and_named_as_the_guide_says(home: Path, sandbox: SandboxServer) -> None:
    run = duomi(home, "generate", "--source", "prompt", "--prompt", "A lighthouse at dawn", "--seed", "42")
    assert run.returncode == 0, run.stderr
    assert [name[:14] for name in pictures(home)] == ["single_prompt_"]
    assert sandbox.books.posts()[0].seed == 42
    (kept,) = (home / "out" / "prompt_json").glob("single_prompt_*.json")
    assert json.loads(kept.read_text()) == {"image_prompt": "A lighthouse at dawn", "generation": {"seed": 42}}
    plan = json.loads(duomi(home, "plan", "--json").stdout)
    assert plan["states"]["current"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "--seed", "-1"], "--seed -1"),
        (["generate", "--image-size", "big"], "1080x1920"),
        (["generate", "--source", "prompt"], "--prompt"),
        (["generate", "--prompt", "x"], "--source prompt"),
        (["generate", "--prompt-id", "db_77"], "no prompt db_77"),
        (["generate", "--concurrency", "0"], "DUOMI_MAX_CONCURRENCY"),
        (["generate", "--nonsense"], "--nonsense"),
        (["why", "db_77"], "no prompt db_77"),
    ],
)
def test_wrong_usage_ends_with_2_and_sends_nothing(
    home: Path, sandbox: SandboxServer, arguments: list[str], words: str
) -> None:
    run = duomi(home, *arguments)
    assert run.returncode == 2
    assert words in run.stderr
    assert "Traceback" not in run.stderr
    assert sandbox.books.totals().posts == 0


def test_a_dry_run_sends_nothing_and_says_what_it_would_do(home: Path, sandbox: SandboxServer) -> None:
    run = duomi(home, "generate", "--dry-run")
    assert run.returncode == 0
    assert "4 prompts" in run.stderr
    assert "0.40 CNY" in run.stderr
    assert sandbox.books.totals().posts == 0


def test_bad_files_are_named_and_cost_nothing_else(home: Path, sandbox: SandboxServer) -> None:
    bad = home / "out" / "prompt_json" / "bad.json"
    bad.write_text('{"image_prompt": ')
    os.utime(bad, (1, 1))
    run = duomi(home, "generate")
    assert run.returncode == 0
    assert "Left out: bad.json: not valid JSON" in run.stderr
    assert len(pictures(home)) == 4


def test_ctrl_c_finishes_what_is_in_flight_and_the_next_run_goes_on(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(latency=0.8)
    line, env = command(home, "generate", "--concurrency", "2")
    with started(line, env=env, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 30
        while sandbox.books.totals().posts < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "2 generated" in out
    assert sandbox.books.totals().billed == 2
    sandbox.change_faults(latency=0)
    assert duomi(home, "generate").returncode == 0
    assert (sandbox.books.totals().billed, len(pictures(home))) == (4, 4)


def test_a_terminal_gets_one_line_with_a_bar_money_failures_and_time_left(home: Path, sandbox: SandboxServer) -> None:
    line, env = command(home, "generate", TERM="xterm", COLUMNS="80")
    master, slave = pty.openpty()
    with started(line, env=env, cwd=home, stdout=subprocess.DEVNULL, stderr=slave) as run:
        os.close(slave)
        seen = b""
        while chunk := _read(master):
            seen += chunk
    assert run.returncode == 0
    assert "4/4 pictures" in seen.decode()
    assert "0.40 CNY, 0 failed, 0:00:00 left" in seen.decode()
    assert "…" not in seen.decode(), "all of it fits"


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux says when the other end is closed
        return b""


def test_the_key_is_sent_but_never_printed_or_kept(home: Path, sandbox: SandboxServer) -> None:
    key = "sk-very-secret-0123456789"
    sandbox.change_faults(api_key=key, refuse=("fox",))
    runs = [
        duomi(home, "generate", "--api-key", key),
        duomi(home, "status", DUOMI_API_KEY=key),
        duomi(home, "doctor", "--settings", DUOMI_API_KEY=key),
        duomi(home, "generate", "--force", "--api-key", f"{key}-wrong"),
    ]
    assert [run.returncode for run in runs] == [1, 0, 0, 3]
    assert not any(key in run.stdout + run.stderr for run in runs)
    left = [path for path in home.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert left == []
