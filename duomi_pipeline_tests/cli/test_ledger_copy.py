"""`duomi ledger copy`, `reopen`, `backup`, `restore`: a finished project in another database, and back."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.ledger import Ledger
from duomi_pipeline.ledger.closing import COPYING
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import pictures, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.postgres import postgres_database


@pytest.fixture(params=["sqlite", "postgresql"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'other.db'}"
        return
    with postgres_database() as url:
        yield url


def states(home: Path, **environment: str) -> dict[str, int]:
    plan = json.loads(duomi(home, "plan", "--json", **environment).stdout)
    return {name: count for name, count in plan["states"].items() if count}


def told(run: "subprocess.CompletedProcess[str]") -> str:
    return run.stdout + run.stderr


def test_a_finished_project_moves_and_nothing_is_to_do(home: Path, sandbox: SandboxServer, other: str) -> None:
    duomi(home, "generate")
    run = duomi(home, "ledger", "copy", other)
    assert run.returncode == 0, run.stderr
    assert "Copied: 4 purchases, 4 requests, 4 pictures" in run.stdout

    assert states(home, DUOMI_LEDGER_URL=other) == {"current": 4}
    assert duomi(home, "generate", DUOMI_LEDGER_URL=other).returncode == 0
    assert sandbox.books.totals().posts == 4
    write_prompts(home, {"new": "A new lighthouse"})
    assert duomi(home, "generate", DUOMI_LEDGER_URL=other).returncode == 0, "new rows get ids that are free"
    assert (sandbox.books.totals().posts, len(pictures(home))) == (5, 5)
    assert "5 pictures billed, 0.50 CNY" in duomi(home, "status", DUOMI_LEDGER_URL=other).stdout


def test_no_run_starts_on_the_old_ledger_any_more_unless_it_is_reopened(
    home: Path, sandbox: SandboxServer, tmp_path: Path
) -> None:
    duomi(home, "generate")
    duomi(home, "ledger", "copy", f"sqlite:///{tmp_path / 'other.db'}")
    write_prompts(home, {"new": "A new lighthouse"})

    run = duomi(home, "generate")
    assert run.returncode != 0
    assert "This ledger was copied to sqlite:///" in told(run)
    assert sandbox.books.totals().posts == 4
    assert states(home) == {"current": 4, "missing": 1}, "looking is allowed"

    assert "for good?" in told(duomi(home, "ledger", "reopen"))
    assert duomi(home, "generate").returncode != 0, "without a yes it stays closed"


def test_a_ledger_with_records_is_never_written_over(home: Path, other: str) -> None:
    duomi(home, "generate")
    duomi(home, "generate", "--force", DUOMI_LEDGER_URL=other)
    run = duomi(home, "ledger", "copy", other)
    assert run.returncode == 2
    assert "has records already: 8 purchases, 8 requests, 8 pictures. Nothing was copied." in run.stderr
    write_prompts(home, {"new": "A new lighthouse"})
    assert duomi(home, "generate").returncode == 0, "the old one stays open"


def test_the_ledger_in_use_and_what_is_no_address_are_no_other_place(home: Path) -> None:
    duomi(home, "generate")
    assert "That is the ledger in use" in duomi(home, "ledger", "copy", "sqlite:///out/../out/ledger.db").stderr
    run = duomi(home, "ledger", "copy", "postgresql://u:very-secret@host:port/x")
    assert run.returncode != 0
    assert "very-secret" not in told(run)
    assert "Traceback" not in told(run)


def test_a_ledger_at_work_is_not_copied(home: Path, tmp_path: Path) -> None:
    duomi(home, "generate")
    with closing(Ledger("sqlite:///out/ledger.db", home)) as ledger:
        ledger.start_run("busy", "cli")
        run = duomi(home, "ledger", "copy", f"sqlite:///{tmp_path / 'other.db'}")
    assert run.returncode != 0
    assert "Run busy is at work on the ledger" in told(run)
    write_prompts(home, {"new": "A new lighthouse"})
    assert duomi(home, "generate").returncode == 0, "the old one stays open"


def test_what_was_bought_after_a_backup_is_taken_from_the_folder_after_its_restore(
    home: Path, sandbox: SandboxServer, tmp_path: Path
) -> None:
    duomi(home, "generate")
    assert duomi(home, "ledger", "backup", str(tmp_path / "a b%?.db")).returncode == 0
    write_prompts(home, {f"later_{number}": f"A lighthouse, number {number}" for number in range(5)})
    duomi(home, "generate")

    refused = duomi(home, "ledger", "restore", str(tmp_path / "a b%?.db"))
    assert refused.returncode == 2
    assert "The ledger has 9 purchases, 9 requests, 9 pictures, the backup 4 purchases" in refused.stderr
    assert states(home) == {"current": 9}

    restored = duomi(home, "ledger", "restore", str(tmp_path / "a b%?.db"), "--replace")
    assert restored.returncode == 0, restored.stderr
    assert "Restored: 4 purchases, 4 requests, 4 pictures" in restored.stdout
    assert duomi(home, "generate").returncode == 0
    assert states(home) == {"current": 9}
    assert (sandbox.books.totals().posts, len(pictures(home))) == (9, 9)
    saved = Path(restored.stderr.split("Saved before: ")[1].split("\n")[0])
    assert duomi(home, "ledger", "restore", str(saved), "--replace").stdout.startswith("Restored: 9 purchases")


def test_a_backup_of_postgresql_is_a_file_that_an_embedded_ledger_goes_on_with(
    home: Path, sandbox: SandboxServer
) -> None:
    with postgres_database() as url:
        duomi(home, "generate", DUOMI_LEDGER_URL=url)
        run = duomi(home, "ledger", "backup", "saved.db", DUOMI_LEDGER_URL=url)
        assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in home.iterdir() if "saved.db" in path.name) == ["saved.db"]
    assert duomi(home, "ledger", "restore", "saved.db").returncode == 0
    assert states(home) == {"current": 4}
    assert sandbox.books.totals().posts == 4


def test_a_backup_is_never_written_over_and_a_file_that_is_none_is_named(home: Path) -> None:
    duomi(home, "generate")
    assert duomi(home, "ledger", "backup", "saved.db").returncode == 0
    assert "exists already" in duomi(home, "ledger", "backup", "saved.db").stderr
    (home / "text.db").write_text("no database")
    run = duomi(home, "ledger", "restore", "text.db", "--replace")
    assert run.returncode != 0
    assert "Traceback" not in told(run)
    assert states(home) == {"current": 4}
    with closing(sqlite3.connect(home / "saved.db")) as saved:
        assert saved.execute("SELECT count(*) FROM pictures").fetchone() == (4,)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_file_that_is_no_ledger_is_not_restored(home: Path, content: bytes | None) -> None:
    duomi(home, "generate")
    if content is None:
        with closing(sqlite3.connect(home / "other.db")) as other:
            other.execute("CREATE TABLE users (id INTEGER)")
    else:
        (home / "other.db").write_bytes(content)
    run = duomi(home, "ledger", "restore", "other.db", "--replace")
    assert "other.db is no backup of a ledger" in run.stderr
    assert states(home) == {"current": 4}


def test_a_ledger_that_was_moved_is_not_opened_again_by_a_restore(home: Path, tmp_path: Path) -> None:
    duomi(home, "generate")
    duomi(home, "ledger", "backup", "saved.db")
    duomi(home, "ledger", "copy", f"sqlite:///{tmp_path / 'other.db'}")
    run = duomi(home, "ledger", "restore", "saved.db", "--replace")
    assert run.returncode == 2
    assert "restored, it would be open again" in run.stderr


def test_the_same_database_under_another_name_is_no_other_place(home: Path) -> None:
    with postgres_database() as url:
        same = url.replace("127.0.0.1", "localhost")
        if same == url:
            pytest.skip("the server has one name")
        duomi(home, "plan", DUOMI_LEDGER_URL=url)
        run = duomi(home, "ledger", "copy", same, DUOMI_LEDGER_URL=url)
    assert "That is the ledger in use, under another name" in told(run)


def test_a_copy_that_was_killed_closes_the_old_ledger_and_is_begun_again(
    home: Path, sandbox: SandboxServer, tmp_path: Path
) -> None:
    duomi(home, "generate")
    other = f"sqlite:///{tmp_path / 'other.db'}"
    with closing(Ledger("sqlite:///out/ledger.db", home)) as ledger:
        ledger.set_fact(COPYING, other)  # as a kill leaves it
    write_prompts(home, {"new": "A new lighthouse"})
    run = duomi(home, "generate")
    assert f"A copy of this ledger to {other} is at work, or ended before it was whole" in told(run)
    assert sandbox.books.totals().posts == 4

    for _ in range(2):  # the second time it finds that all is there, as after a kill before the last word
        assert "Copied: 4 purchases, 4 requests, 4 pictures" in duomi(home, "ledger", "copy", other).stdout
        with closing(Ledger("sqlite:///out/ledger.db", home)) as ledger:
            ledger.set_fact(COPYING, other)
    assert duomi(home, "generate", DUOMI_LEDGER_URL=other).returncode == 0
    assert sandbox.books.totals().posts == 5


def test_a_ledger_that_was_moved_is_not_moved_to_a_second_place(home: Path, tmp_path: Path) -> None:
    duomi(home, "generate")
    duomi(home, "ledger", "copy", f"sqlite:///{tmp_path / 'other.db'}")
    run = duomi(home, "ledger", "copy", f"sqlite:///{tmp_path / 'second.db'}")
    assert run.returncode == 2
    assert "copy that one" in run.stderr


def test_a_backup_with_its_log_is_restored_with_what_is_in_the_log(home: Path, tmp_path: Path) -> None:
    duomi(home, "generate")
    with closing(Ledger("sqlite:///out/ledger.db", home)) as ledger:  # open, so that the log stays
        ledger.set_fact("of_the_log", "yes")
        for name in ("ledger.db", "ledger.db-wal"):
            shutil.copyfile(home / "out" / name, tmp_path / name.replace("ledger", "copied"))
    assert duomi(home, "ledger", "restore", str(tmp_path / "copied.db"), "--replace").returncode == 0
    with closing(Ledger("sqlite:///out/ledger.db", home)) as ledger:
        assert ledger.fact("of_the_log") == "yes"


def test_a_backup_that_holds_a_run_without_an_end_is_restored(home: Path) -> None:
    duomi(home, "generate")
    duomi(home, "ledger", "backup", "saved.db")
    with closing(sqlite3.connect(home / "saved.db")) as saved:  # as a program before this one wrote it
        saved.execute("UPDATE runs SET ended_at = NULL")
        saved.commit()
    run = duomi(home, "ledger", "restore", "saved.db", "--replace")
    assert "Restored: 4 purchases" in run.stdout, run.stderr
    with closing(Ledger("sqlite:///out/ledger.db", home)) as ledger:
        assert ledger.active_runs() == []
