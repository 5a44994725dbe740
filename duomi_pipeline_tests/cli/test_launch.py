"""`duomi generate --launch` where no daemon runs yet; where one does: `orchestration/test_dev.py`."""

import signal
import subprocess
from pathlib import Path

import dagster as dg
import pytest

from duomi_pipeline.orchestration.instance import open_instance
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.cli.harness import command, duomi
from duomi_pipeline_tests.processes import started


def queued(home: Path) -> list[dg.DagsterRun]:
    """The runs that wait in the instance of the home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home / ".dagster_home"))
        with open_instance(Settings.load(home)) as instance:
            runs = list(instance.get_runs())
    assert {run.status for run in runs} <= {dg.DagsterRunStatus.QUEUED}
    return runs


def test_runs_wait_for_a_daemon_and_the_command_says_so(home: Path, sandbox: SandboxServer) -> None:
    found = duomi(home, "generate", "--launch", DUOMI_RUN_SIZE="3")

    assert found.returncode == 0, found.stderr
    assert "2 runs in the queue." in found.stderr
    assert "Dagster's daemon does not run" in found.stderr
    runs = queued(home)
    assert [line.split()[0] for line in found.stdout.splitlines()] == [run.run_id for run in reversed(runs)]
    assert len({run.tags["duomi/command"] for run in runs}) == 1
    assert sandbox.books.totals().posts == 0


def test_ctrl_c_ends_the_following_and_not_the_runs(home: Path) -> None:
    line, env = command(home, "generate", "--launch", "--wait")
    with started(line, env=env, cwd=home, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for said in process.stderr:
            if said.rstrip().endswith("  queued"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        code = process.wait()

    assert code == 130
    assert "The runs go on without this command" in rest
    assert len(queued(home)) == 1


def test_with_nothing_to_do_nothing_is_launched(home: Path) -> None:
    duomi(home, "generate")

    found = duomi(home, "generate", "--launch")

    assert found.returncode == 0
    assert "4 reused" in found.stdout
    assert "in the queue" not in found.stderr


def test_wait_alone_means_nothing(home: Path) -> None:
    assert duomi(home, "generate", "--wait").returncode == 2
