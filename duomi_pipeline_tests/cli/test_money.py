"""Money before and after it is spent: what a plan and a launch say, the warning, and `duomi status --spend`."""

import json
import os
import pty
import re
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.cli.test_interrupts import terminal
from duomi_pipeline_tests.cli.test_receipts import log_lines
from duomi_pipeline_tests.processes import started

SDXL, FLUX = "stabilityai/stable-diffusion-xl-base-1.0", "black-forest-labs/FLUX.1-dev"
SMALL = {"DUOMI_IMAGE_SIZE": "108x192"}


@pytest.fixture
def home(home: Path) -> Path:
    """Four prompts, one of which wants another model."""
    content = {"image_prompt": "A clock tower above the fog", "generation": {"model": FLUX}}
    (home / "out" / "prompt_json" / "tower.json").write_text(json.dumps(content))
    return home


def many(home: Path, count: int) -> None:
    """More prompts."""
    write_prompts(home, {f"kite{number:02}": f"Kite {number}" for number in range(count)})


def plan(home: Path, **environment: str) -> Any:
    return json.loads(duomi(home, "plan", "--json", **environment).stdout)


def change_ledger(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "out" / "ledger.db")) as db, db:
        assert db.execute(statement).rowcount


def bought_before(home: Path) -> None:
    """Two pictures of the model that most prompts want: asked for together, there after 20 and 30 s."""
    duomi(home, "generate", "--prompt-id", "json_boat", "--prompt-id", "json_fox", **SMALL)
    change_ledger(home, "UPDATE posts SET sent_at = 1000")
    change_ledger(
        home, "UPDATE pictures SET saved_at = 1010 + 10 * (SELECT count(*) FROM pictures o WHERE o.id <= pictures.id)"
    )


def test_a_plan_says_count_and_cost_by_model_and_that_no_run_tells_the_time(home: Path) -> None:
    found, text = plan(home), duomi(home, "plan").stdout

    by_model = {one["model"]: (one["requests"], one["pictures"], one["cost"]) for one in found["models"]}
    assert by_model == {SDXL: (3, 3, pytest.approx(0.3)), FLUX: (1, 1, 0.1)}
    assert (found["requests"], found["pictures"], found["cost"]) == (4, 4, 0.4)
    assert (found["seconds"], found["warning"], found["cap"]) == (None, "", None)
    assert f"3 pictures with {SDXL}: 0.30 CNY" in text
    assert f"1 picture with {FLUX}: 0.10 CNY" in text
    assert f"Time: not known, no recent run with {SDXL}, {FLUX} to go by" in text


def test_fewer_requests_than_prompts_are_explained(home: Path, sandbox: SandboxServer) -> None:
    write_prompts(home, {"twin": "A lighthouse", "triplet": "A lighthouse", "quadruplet": "A lighthouse"})
    planned, said = duomi(home, "plan").stdout, duomi(home, "generate", **SMALL).stderr
    why = "  2 prompts need no request: a picture of the very same request is there, paid already or made for another prompt"
    assert f"for 7 prompts with 5 requests to {sandbox.url}\n" in planned
    assert f"7 prompts to generate, 5 requests to {sandbox.url}, cost: 0.50 CNY" in said
    assert why in planned.splitlines()
    assert why in said.splitlines()
    assert "need no request" not in duomi(home, "plan").stdout


def test_that_a_picture_is_paid_and_waits_is_why_a_prompt_needs_no_request(home: Path, sandbox: SandboxServer) -> None:
    """It waits at the service, where an earlier run has left it."""
    waiting = {"DUOMI_PROTOCOL": "duomi_async", "DUOMI_POLL_INTERVAL": "0.05", "DUOMI_TASK_TIMEOUT": "0.2"}
    sandbox.change_faults(task_seconds=3600)
    duomi(home, "generate", "--prompt-id", "json_boat", **waiting, **SMALL)
    planned = duomi(home, "plan", **waiting, **SMALL).stdout
    said = duomi(home, "generate", "--prompt-id", "json_boat", **waiting, **SMALL).stderr
    why = "  1 prompt needs no request: a picture of the very same request is there, paid already or made for another prompt"
    assert why in planned.splitlines()
    assert why in said.splitlines()


def test_where_requests_go_is_said_without_a_password_in_the_address(home: Path, sandbox: SandboxServer) -> None:
    with_password = {"DUOMI_BASE_URL": sandbox.url.replace("://", "://me:secret@")}
    planned, said = (
        duomi(home, "plan", **with_password).stdout,
        duomi(home, "generate", **with_password, **SMALL).stderr,
    )
    assert f"with 4 requests to {sandbox.url}\n" in planned
    assert f"4 requests to {sandbox.url}, cost" in said
    checked = duomi(home, "doctor", **with_password)
    probed = duomi(home, "models", "--probe", "--yes", **with_password)
    assert f"{sandbox.url} accepts the key" in checked.stdout
    assert "secret" not in checked.stdout + probed.stdout + probed.stderr


def test_the_time_is_at_the_pace_of_the_last_runs(home: Path) -> None:
    bought_before(home)
    (home / "out" / "prompt_json" / "tower.json").unlink()
    many(home, 9)  # ten wait: the market, too

    one_at_a_time = plan(home, DUOMI_MAX_CONCURRENCY="1", **SMALL)
    two = plan(home, DUOMI_MAX_CONCURRENCY="2", **SMALL)
    five = plan(home, DUOMI_MAX_CONCURRENCY="5", **SMALL)

    assert (two["seconds"], two["models"][0]["pictures_per_minute"]) == (pytest.approx(150), pytest.approx(4))
    assert one_at_a_time["seconds"] == two["seconds"], "the run is what there is to go by"
    assert five["seconds"] == pytest.approx(10 / 5 * 25), "two requests of 25 s say nothing about how many fit in"
    said = duomi(home, "plan", DUOMI_MAX_CONCURRENCY="2", **SMALL).stdout
    assert "Time: about 2 min at the pace of the last runs (4 pictures/min)" in said


def test_of_a_model_that_a_cap_lets_nothing_of_through_no_pace_is_asked_for(home: Path) -> None:
    bought_before(home)

    none = duomi(home, "generate", "--max-images", "0", **SMALL)
    one = duomi(home, "plan", DUOMI_MAX_SPEND_PER_RUN="0.1", **SMALL)

    assert (none.returncode, one.returncode) == (4, 0), none.stderr
    assert "lets 0 pictures through" in none.stderr
    assert "Time:" not in none.stderr
    assert "at the pace of the last runs (" in one.stdout


def test_runs_at_another_service_tell_no_time(home: Path) -> None:
    bought_before(home)
    assert plan(home, DUOMI_BASE_URL="sandbox")["seconds"] is None


def test_no_time_is_promised_that_limits_do_not_allow(home: Path) -> None:
    duomi(home, "generate", **SMALL)
    many(home, 5)

    found = plan(home, DUOMI_REQUESTS_PER_MINUTE="2", **SMALL)
    said = duomi(home, "plan", DUOMI_DELAY="100", **SMALL).stdout

    assert (found["seconds"], found["slowed_by"]) == (120, "DUOMI_REQUESTS_PER_MINUTE=2")
    assert "Time: about 7 min, by DUOMI_DELAY=100" in said
    assert (
        "at least 4 min by DUOMI_REQUESTS_PER_MINUTE=1"
        in duomi(home, "plan", DUOMI_REQUESTS_PER_MINUTE="1", DUOMI_BASE_URL="sandbox").stdout
    )


@pytest.mark.parametrize(
    ("setting", "cap", "through"),
    [
        ("DUOMI_MAX_SPEND_PER_RUN", "0.3", 3),
        ("DUOMI_MAX_SPEND_PER_DAY", "0.5", 1),
        ("DUOMI_MAX_IMAGES_PER_RUN", "2", 2),
        ("DUOMI_REQUESTS_PER_DAY", "8", 4),
    ],
)
def test_a_cap_that_will_stop_it_is_told_as_it_then_stops(
    home: Path, sandbox: SandboxServer, setting: str, cap: str, through: int
) -> None:
    duomi(home, "generate", **SMALL)
    many(home, 5)

    said = duomi(home, "generate", **{setting: cap}, **SMALL)

    assert said.returncode == 4
    pictures = "1 picture" if through == 1 else f"{through} pictures"
    assert f"Stops early: {setting}={cap} lets {pictures} through, cost: 0.{through}0 CNY" in said.stderr
    assert sandbox.books.totals().posts == 4 + through


def test_generate_says_it_before_it_sends_in_terminal_json_and_log(home: Path, sandbox: SandboxServer) -> None:
    dry = duomi(home, "generate", "--dry-run")
    as_json = json.loads(duomi(home, "generate", "--dry-run", "--json").stdout)["estimate"]
    assert sandbox.books.totals().posts == 0
    duomi(home, "generate", "--force")

    assert f"  1 picture with {FLUX}: 0.10 CNY\n" in dry.stderr
    assert (as_json["pictures"], as_json["cost"], len(as_json["models"])) == (4, 0.4, 2)
    log = log_lines(home)
    said = next(number for number, line in enumerate(log) if line == f"estimate: 1 picture with {FLUX}: 0.10 CNY")
    made = next(number for number, line in enumerate(log) if ": generated in " in line)
    assert said < made
    again = duomi(home, "generate", "--force", "--dry-run").stderr
    assert f"1 picture with {FLUX}: 0.10 CNY" in again, "what is bought again costs again"


def test_a_launch_says_it_before_it_is_in_the_queue(home: Path) -> None:
    said = duomi(home, "generate", "--launch").stderr
    assert said.index(f"3 pictures with {SDXL}: 0.30 CNY") < said.index("in the queue")


def test_more_than_usual_is_warned_of_and_not_stopped(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate", **SMALL)
    many(home, 21)
    warning = "This costs 2.10 CNY, 5.25 times the usual 0.40 CNY (that of the last run; DUOMI_WARN_SPEND_FACTOR=3)."

    assert plan(home, **SMALL)["warning"] == warning
    assert f"Warning: {warning}" in duomi(home, "plan", **SMALL).stderr
    assert plan(home, DUOMI_WARN_SPEND_FACTOR="6", **SMALL)["warning"] == ""
    assert plan(home, DUOMI_WARN_SPEND_FACTOR="0", **SMALL)["warning"] == ""
    assert plan(home, DUOMI_BASE_URL="sandbox", **SMALL)["warning"] == "", "nothing is paid"
    found = duomi(home, "generate", **SMALL)

    assert (found.returncode, sandbox.books.totals().posts) == (0, 25)
    assert f"Warning: {warning}" in found.stderr
    assert f"estimate: {warning}" in log_lines(home)
    assert plan(home, **SMALL)["warning"] == ""


def test_without_a_price_pictures_are_compared(home: Path, sandbox: SandboxServer) -> None:
    (home / "duomi.toml").write_text(f'base_url = "{sandbox.url}"\n')
    duomi(home, "generate", **SMALL)
    many(home, 21)

    assert plan(home, **SMALL)["warning"].startswith("This buys 21 pictures, 5.25 times the usual 4 pictures (")
    assert plan(home, DUOMI_WARN_SPEND_PER_RUN="9", **SMALL)["warning"].endswith(
        "DUOMI_WARN_SPEND_PER_RUN=9 cannot be checked."
    )


def test_few_requests_are_not_warned_of_and_a_first_run_has_nothing_to_be_compared_with(home: Path) -> None:
    many(home, 21)
    assert plan(home)["warning"] == ""
    duomi(home, "generate", "--prompt-id", "json_boat", **SMALL)
    assert plan(home, **SMALL)["warning"] != ""
    for number in range(4, 21):
        (home / "out" / "prompt_json" / f"kite{number:02}.json").unlink()
    assert plan(home, **SMALL)["warning"] == ""


def test_an_amount_of_ones_own_is_warned_of_before_the_question(home: Path) -> None:
    with SandboxServer(faults=Faults(picture="flat"), host="127.0.0.2") as paid:  # no loopback name: a paid service
        service = {"DUOMI_BASE_URL": paid.url, "DUOMI_API_KEY": "any", "DUOMI_WARN_SPEND_PER_RUN": "0.3"}
        line, env = command(home, "generate", **service)
        master, slave = pty.openpty()
        with started(line, env=env, cwd=home, stdin=slave, stderr=subprocess.PIPE, text=True) as run:
            os.write(master, b"n\n")
            _, asked = run.communicate(timeout=60)
        os.close(slave)
        os.close(master)

        warning = "Warning: This costs 0.40 CNY, more than DUOMI_WARN_SPEND_PER_RUN=0.3."
        assert asked.index(warning) < asked.index("Go on? [y/N]")
        assert paid.books.totals().posts == 0


class TestStatusSpend:
    def test_money_is_told_by_day_model_and_source(self, home: Path) -> None:
        today = datetime.now(UTC).date()
        duomi(home, "generate", **SMALL)
        change_ledger(home, f"UPDATE posts SET sent_at = sent_at - {2 * 86_400}")
        duomi(home, "generate", "--source", "prompt", "--prompt", "a heron", **SMALL)

        lines = duomi(home, "status", "--spend").stdout.splitlines()
        found = json.loads(duomi(home, "status", "--spend", "--json").stdout)

        assert [re.sub("  #+ *", "  ", line) for line in lines] == [
            f"{today}  1 picture, 0.10 CNY",
            f"    {SDXL}, single prompts: 1 picture, 0.10 CNY",
            f"{today - timedelta(days=2)}  4 pictures, 0.40 CNY",
            f"    {FLUX}, JSON files: 1 picture, 0.10 CNY",
            f"    {SDXL}, JSON files: 3 pictures, 0.30 CNY",
            "In 30 days: 5 pictures, 0.50 CNY",
        ]
        with terminal(home, "status", "--spend", columns=50) as shown:
            assert shown.end() == 0
        assert max(map(len, shown.seen.splitlines())) <= 50
        assert [line.count("#") for line in lines if "#" in line] == [8, 30], "as long as what was spent"
        assert found["total"]["amounts"] == {"CNY": 0.5}
        assert [(row["source"], row["amount"]) for row in found["rows"]] == [
            ("single_prompt", 0.1),
            ("json", 0.1),
            ("json", 0.3),
        ]
        assert (
            duomi(home, "status", "--spend", "--days", "2").stdout.splitlines()[-1] == "In 2 days: 1 picture, 0.10 CNY"
        )

    def test_unknown_prices_are_unknown_and_the_sandbox_is_apart(self, home: Path) -> None:
        duomi(home, "generate", "--prompt-id", "json_boat", DUOMI_PRICE_PER_IMAGE="0.7", DUOMI_CURRENCY="USD", **SMALL)
        (home / "duomi.toml").write_text((home / "duomi.toml").read_text().replace("price_per_image = 0.1", ""))
        duomi(home, "generate", "--prompt-id", "json_fox", **SMALL)
        duomi(home, "generate", "--prompt-id", "json_market", DUOMI_BASE_URL="sandbox", **SMALL)

        found = json.loads(duomi(home, "status", "--spend", "--json").stdout)["total"]
        last = duomi(home, "status", "--spend").stdout.splitlines()[-1]

        assert (found["pictures"], found["amounts"], found["unpriced"], found["free"]) == (2, {"USD": 0.7}, 1, 1)
        assert last.endswith("2 pictures, 0.70 USD and 1 picture at an unknown price; 1 picture of the sandbox, free")

    def test_an_answer_that_was_lost_is_told_as_maybe_billed(self, home: Path, sandbox: SandboxServer) -> None:
        sandbox.change_faults(rate_reset_after=1.0)
        duomi(home, "generate", "--prompt-id", "json_boat", DUOMI_AMBIGUOUS_RETRIES="0", **SMALL)

        said = duomi(home, "status", "--spend").stdout

        assert f"{SDXL}, no picture on record: maybe billed, answer lost: 1 picture, 0.10 CNY" in said

    def test_what_a_clock_beyond_the_calendar_wrote_is_told(self, home: Path) -> None:
        duomi(home, "generate", "--prompt-id", "json_boat", **SMALL)
        change_ledger(home, "UPDATE posts SET sent_at = 1e12")
        day = duomi(home, "status", "--spend").stdout.splitlines()[0]
        assert re.fullmatch("9999-12-31  #+  1 picture, 0.10 CNY", day)

    def test_a_home_that_bought_nothing_says_so(self, home: Path) -> None:
        assert duomi(home, "status", "--spend").stdout == "In 30 days: nothing\n"
        assert duomi(home, "status", "--days", "3").returncode == 2
