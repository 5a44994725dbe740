"""What a run leaves in the folder of logs: lines, receipt, results. The service is the sandbox, the files are real."""

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.engine import NOT_CURRENT, Outcome
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.reporting.receipt import FailedPrompt, Receipt
from duomi_pipeline.reporting.results import write_results
from duomi_pipeline.reporting.run_log import RunLog
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.processes import started

LINE = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) [0-9a-f]{8} (?P<message>.*)")
RECEIPT = Receipt(
    run_id="0" * 32,
    trigger="cli",
    service="service",
    started_at=1000.0,
    ended_at=1010.0,
    generated=5,
    reused=0,
    failed={},
    failures=(),
    not_reached=0,
    stopped_by=None,
    message=None,
    spent=0.5,
    maybe_billed=0,
    maybe_spent=0.0,
    currency="CNY",
)


def run(home: Home, max_images: int | None = None, break_after: int | None = None, **changes: Any) -> RunLog:
    """Bring all prompts to pictures, and keep that in the logs."""
    with home.session(**changes) as session:
        wanted = session.plan(read_sources(session.settings).prompts).wanted(NOT_CURRENT)
        log = RunLog(session, wanted)
        with log.written(), session.generating(wanted, max_images=max_images) as batch:
            for outcome in _some(batch, break_after):
                log.record(outcome)
        return log


def _some(batch: Any, break_after: int | None) -> Iterator[Outcome]:
    for number, outcome in enumerate(batch):
        if number == break_after:
            raise RuntimeError("the disk\nof events is full")
        yield outcome


def lines(home: Home) -> list[str]:
    """The messages in the log; each of its lines is well formed."""
    text = (home.path / "logs/duomi_image_generation.log").read_text(encoding="utf-8")
    found = [LINE.fullmatch(line) for line in text.splitlines()]
    assert all(found), text
    return [match["message"] for match in found if match]


def results(home: Home) -> dict[str, Any]:
    """The content of the only results file."""
    (path,) = (home.path / "logs").glob("*.json")
    assert re.fullmatch(r"duomi_generation_results_\d{8}_\d{6}_\d{3}\.json", path.name)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_the_results_of_a_run_are_the_guides_structure_for_each_prompt(home: Home) -> None:
    home.write("boat", "a red boat 🚣 on a lake")
    home.write("fox", "a fox")
    home.sandbox.change_faults(refuse=("fox",))

    run(home)

    found = {result["prompt_id"]: result for result in results(home)["results"]}
    boat, fox = found["json_boat"], found["json_fox"]
    assert set(boat) == {
        "success", "data", "prompt", "timestamp", "source", "saved_path", "prompt_id", "state",
    }  # fmt: skip
    assert (boat["success"], boat["prompt"], boat["source"]) == (True, "a red boat 🚣 on a lake", "json")
    assert boat["data"]["images"] == [{"path": boat["saved_path"]}]
    assert Path(boat["saved_path"]).is_file()
    assert datetime.fromisoformat(boat["timestamp"]).tzinfo is not None
    assert set(fox) == (set(boat) - {"saved_path"}) | {"error"}
    assert (fox["success"], fox["data"]) == (False, None)
    assert "20021" in fox["error"]


def test_states_in_the_results_are_those_of_the_next_plan(home: Home) -> None:
    for name in ("good", "refused", "broken"):
        home.write(name, f"a {name} thing")
    home.sandbox.change_faults(refuse=("refused",), task_fails=("broken",))

    run(home, protocol="duomi_async")

    told = {result["prompt_id"]: result["state"] for result in results(home)["results"]}
    assert told == {
        f"json_{name}": home.state(name, protocol="duomi_async").value for name in ("good", "refused", "broken")
    }
    assert set(told.values()) == {"current", "failed_for_good"}


def test_the_receipt_counts_what_was_made_reused_and_failed_by_class_and_what_it_cost(home: Home) -> None:
    home.write("one", "a lake")
    run(home)
    (home.path / "logs").rename(home.path / "first")
    home.write("twin", "a lake")
    home.write("two", "a river")
    home.write("fox", "a fox")
    home.sandbox.change_faults(refuse=("fox",))

    log = run(home)

    receipt = results(home)["receipt"]
    assert (receipt["generated"], receipt["reused"], receipt["failed"]) == (1, 1, {"refused": 1})
    assert (receipt["spent"], receipt["currency"], receipt["maybe_billed"]) == (pytest.approx(0.1), "CNY", 0)
    assert [failure["prompt_id"] for failure in receipt["failures"]] == ["json_fox"]
    assert any("duomi why json_fox" in step for step in receipt["next"])
    assert 0 < receipt["seconds"] < 60
    assert receipt["pictures_per_second"] == pytest.approx(1 / receipt["seconds"], rel=0.1)
    assert Receipt.from_json(receipt) == log.receipt()


def test_an_unknown_price_stays_unknown(home: Home) -> None:
    home.write("one", "a lake")

    log = run(home, price_per_image=None)

    assert results(home)["receipt"]["spent"] is None
    assert "Cost: unknown (set DUOMI_PRICE_PER_IMAGE)" in log.receipt().as_text()


def test_a_sandbox_costs_nothing_and_says_nothing_of_cost() -> None:
    free = Receipt.from_json({**RECEIPT.as_json(), "service": "sandbox"})

    assert "Cost" in RECEIPT.as_text()
    assert "Cost" not in free.as_text()


def test_the_log_tells_start_each_outcome_stop_and_receipt(home: Home) -> None:
    home.write("boat", "a boat")
    home.write("ant", "an ant")
    home.write("owl", "an owl")
    home.sandbox.change_faults(refuse=("ant",))

    log = run(home, max_images=1, max_concurrency=1)

    said = lines(home)
    assert re.match(
        r"run [0-9a-f]{32} started: from cli, service local \(127\.0\.0\.1\), model stab.*, 3 prompts", said[0]
    )
    assert re.match(r"estimate: 3 pictures with stab.*: 0\.30 CNY$", said[1])
    assert re.match(r"estimate: Time: not known, no recent run with stab", said[2])
    assert re.match(r"json_ant: failed in .*: The prompt was rejected.* \(refused 20021\)$", said[3])
    assert re.match(r"json_boat: generated in \d+\.\d\d s, attempts: 1: /.*/boat_\d.*\.png$", said[4])
    assert re.match(r"stopped by cap: max_images=1 is reached", said[5])
    assert "receipt: 1 generated, 1 failed, 1 not reached in" in said[6]
    assert any(line.startswith("receipt: Next: Start again once the cap allows more") for line in said)
    assert said[-1].endswith(f"ended; results: {log.results_file}")


def test_outside_text_makes_no_lines_of_its_own(home: Home) -> None:
    forged = "2026-01-01T00:00:00.000Z INFO 00000000 all is well"
    words = f"no\r\n{forged}\u2028{forged}\x1b[2J\u202e"
    home.write("fox", "a fox", generation={"model": f"evil\n{forged}"})
    with ScriptedService(Answer(json.dumps({"code": 20021, "message": words}), 400)) as service:
        run(home, base_url=service.url)

    assert not [line for line in lines(home) if line.startswith("all is well")]
    log = (home.path / "logs/duomi_image_generation.log").read_bytes()
    assert b"\x1b" not in log
    assert "\u202e".encode() not in log
    assert any("failed in" in line and "no 2026-01-01" in line for line in lines(home))


def test_a_service_that_repeats_the_key_does_not_bring_it_into_the_logs(home: Home) -> None:
    key = "sk-very-secret-0123456789"
    home.write("fox", "a fox")
    with ScriptedService(Answer(json.dumps({"code": 20021, "message": f"rejected for {key}"}), 400)) as service:
        run(home, base_url=service.url, api_key=key)

    kept = b"".join(path.read_bytes() for path in (home.path / "logs").iterdir())
    assert b"rejected for ***" in kept
    assert key.encode() not in kept


def test_a_run_that_ends_by_an_unforeseen_error_leaves_its_receipt_too(home: Home) -> None:
    home.write_many(3)

    with pytest.raises(RuntimeError, match="the disk"):
        run(home, break_after=1, max_concurrency=1)

    content = results(home)
    assert content["receipt"]["stopped_by"] == "error"
    assert (content["receipt"]["generated"], content["receipt"]["not_reached"]) == (1, 2)
    assert len(content["results"]) == 1
    assert any("stopped by error: An unforeseen error: RuntimeError" in line for line in lines(home))


def test_runs_share_a_log_and_have_a_results_file_each(home: Home) -> None:
    home.write("one", "a lake")
    first = run(home)
    home.write("two", "a river")
    second = run(home)

    assert first.results_file != second.results_file
    assert [line.split()[2] for line in lines(home) if line.startswith("run ")] == ["started:", "ended;"] * 2


def test_results_of_the_same_millisecond_do_not_replace_each_other(tmp_path: Path) -> None:
    now = datetime(2026, 1, 5, 6, 7, 8, 9_000, UTC)

    names = [write_results(tmp_path / "logs", RECEIPT, [{"n": number}], now).name for number in range(3)]

    assert names == [f"duomi_generation_results_20260105_060708_{number:03}.json" for number in (9, 10, 11)]
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == names
    contents = [json.loads((tmp_path / "logs" / name).read_text())["results"] for name in names]
    assert contents == [[{"n": 0}], [{"n": 1}], [{"n": 2}]]


def test_logs_that_cannot_be_written_are_said_once_and_stop_nothing(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.write_many(3)
    (home.path / "logs").write_text("a file where the folder should be")

    log = run(home)

    assert log.receipt().generated == len(home.infos()) == 3
    assert log.results_file is None
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "DUOMI_LOG_DIR" in warning
    assert str(home.path / "logs") in warning


def test_nothing_of_a_run_stays_in_the_logging_of_the_process(home: Home) -> None:
    home.write("one", "a lake")

    run(home)
    logging.getLogger("duomi_pipeline").error("somebody else's line")

    assert logging.getLogger("duomi_pipeline").handlers == []
    assert not [line for line in lines(home) if "somebody else" in line]


def test_lines_of_processes_that_append_at_once_stay_whole(home: Home) -> None:
    script = (
        "import sys; from pathlib import Path; from duomi_pipeline.reporting.log_file import LogFile\n"
        "with LogFile(Path(sys.argv[1]), sys.argv[2] * 32) as log:\n"
        "    for number in range(500): log.info(f'{number} ' + sys.argv[2] * (number % 1900))\n"
    )
    folder = str(home.path / "logs")
    with contextlib.ExitStack() as stack:
        lines_of = [sys.executable, "-c", script, folder]
        writers = [stack.enter_context(started([*lines_of, mark])) for mark in "abc"]
        assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]

    written = lines(home)
    expected = [f"{number} {mark * (number % 1900)}".strip() for number in range(500) for mark in "abc"]
    assert sorted(line.strip() for line in written) == sorted(expected)


@pytest.mark.parametrize(("size", "files"), [(10_000_000, 1), (10_000_001, 2)])
def test_a_run_sets_a_full_log_file_aside_and_begins_a_new_one(home: Home, size: int, files: int) -> None:
    home.write("one", "a lake")
    log = home.path / "logs/duomi_image_generation.log"
    log.parent.mkdir()
    log.touch()
    os.truncate(log, size)

    run(home)

    found = sorted(path.stat().st_size for path in log.parent.glob("*.log"))
    assert len(found) == files
    assert found[-1] == size if files == 2 else found[-1] > size
    assert "receipt" in log.read_text()


@pytest.mark.parametrize(
    ("stopped_by", "message", "words"),
    [
        ("cap", "DUOMI_MAX_SPEND_PER_DAY=5 is reached (5 CNY used).", "raise it"),
        ("service", "Model disabled. Choose another with DUOMI_MODEL. (code 30003)", "Fix what the service names"),
        ("store", "No picture can be saved in /out: the disk is full", "Not saved"),
    ],
)
def test_a_stop_says_what_to_do_next(stopped_by: str, message: str, words: str) -> None:
    stopped = Receipt.from_json({**RECEIPT.as_json(), "stopped_by": stopped_by, "message": message})

    assert f"Stopped: {message}" in stopped.as_text()
    assert words in stopped.next_steps[0]


def test_every_class_of_errors_has_its_advice_and_many_failures_are_named_in_part() -> None:
    classes = (
        "refused", "configuration", "rate", "busy", "task_timeout", "task_failed", "ambiguous", "bad_image",
        "not_downloaded", "store", "left", "in_doubt", "absent",
    )  # fmt: skip
    failures = [FailedPrompt(f"json_{name}_{n}", name, "", "why") for name in classes for n in range(3)]
    receipt = Receipt.from_json(
        {**RECEIPT.as_json(), "failed": dict.fromkeys(classes, 3), "failures": [vars(failure) for failure in failures]}
    )

    assert len(receipt.next_steps) == len(classes)
    assert "json_refused_0" in " ".join(receipt.next_steps)
    assert receipt.as_text().count("  failed: ") == 20
    assert "… and 19 more" in receipt.as_text()
    assert receipt.shortened(2).as_text().count("  failed: ") == 2
    assert "… and 37 more" in receipt.shortened(2).as_text()
