"""A ledger file that is no database, or only a part of one: each command names it and the way on."""

import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, pictures
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.engine.home import wait_until


def truncate(ledger: Path) -> None:
    ledger.write_bytes(ledger.read_bytes()[:20_000])


def overwrite_the_middle(ledger: Path) -> None:
    data = bytearray(ledger.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    ledger.write_bytes(data)


def write_text(ledger: Path) -> None:
    ledger.write_text("these are the notes of somebody " * 200)


@pytest.fixture
def bought(home: Path) -> Path:
    assert duomi(home, "generate").returncode == 0
    return home


@pytest.mark.parametrize("harm", [truncate, overwrite_the_middle, write_text])
def test_every_command_names_a_damaged_ledger_and_the_way_on_which_leads_to_a_good_one(
    bought: Path, sandbox: SandboxServer, harm: Callable[[Path], None]
) -> None:
    harm(bought / "out" / "ledger.db")
    posts = sandbox.books.totals().posts
    for arguments in (["status"], ["plan"], ["generate"], ["why", "json_boat"], ["manifest"], ["doctor", "--mend"]):
        done = duomi(bought, *arguments)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert f"The ledger {bought}/out/ledger.db is damaged" in done.stderr
        assert "Traceback" not in done.stderr
    doctor = duomi(bought, "doctor")
    assert (doctor.returncode, doctor.stderr) == (1, "")
    way = re.search(r"from the pictures: (.*)", doctor.stdout)
    assert way is not None
    move, rebuild = way[1].rsplit(" && ", 1)
    subprocess.run(move, shell=True, check=True, cwd=bought)
    assert rebuild == "duomi ledger rebuild"
    assert duomi(bought, "ledger", "rebuild").returncode == 0
    assert duomi(bought, "generate").returncode == 0
    assert sandbox.books.totals().posts == posts
    assert "4  current" in duomi(bought, "status").stdout


def test_a_folder_in_place_of_the_ledger_is_named(home: Path) -> None:
    (home / "out" / "ledger.db").mkdir(parents=True)
    done = duomi(home, "status")
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: The ledger {home}/out/ledger.db cannot be opened: unable to open")


def test_a_disk_without_room_for_a_ledger_is_named(home: Path) -> None:
    line, env = command(home, "status")

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, 8_192))

    done = subprocess.run(line, env=env, cwd=home, capture_output=True, text=True, preexec_fn=no_room, check=False)
    assert done.returncode == 2
    assert "cannot be opened: disk I/O error. Free disk space, or check the disk, then start again." in done.stderr


def test_a_ledger_that_is_deleted_under_a_command_ends_it_with_3_and_a_receipt(
    bought: Path, sandbox: SandboxServer
) -> None:
    sandbox.change_faults(latency=0.5)
    shutil.rmtree(bought / "out" / "prompt_json")
    (bought / "out" / "prompt_json").mkdir()
    for number in range(9):
        (bought / "out" / "prompt_json" / f"n{number}.json").write_text(f'{{"image_prompt": "Boat {number}"}}')
    line, environment = command(bought, "generate", "--concurrency", "3")
    with subprocess.Popen(line, env=environment, cwd=bought, stdout=subprocess.PIPE, text=True) as running:
        try:
            wait_until(lambda: sandbox.books.billed() == 4 + 3, "the bills")
            (bought / "out" / "ledger.db").unlink()
            out, _ = running.communicate(timeout=60)
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGKILL)
    assert running.returncode == 3
    assert "ledger.db was deleted, moved or replaced while it was in use. Nothing more is sent." in out
    assert "Next: Put back what was moved or deleted" in out
    assert sandbox.books.billed() == 4 + 3
    assert len(pictures(bought)) >= 4
