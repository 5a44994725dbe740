"""Whoever used the original scripts finds everything: each row of `docs/parity.md`, each block of `docs/usage.md`, and
the original guide's own commands, run as they stand. What errors say is looked at over real HTTP faults."""

import contextlib
import io
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from duomi_pipeline import DuomiImageGenerator
from duomi_pipeline.prompts import SourceError
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import write_prompts
from duomi_pipeline_tests.cli.quick import duomi, shared
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.prompts.harness import prompt_database

PROJECT = Path(__file__).parents[1]
GUIDE = Path(__file__).parent / "data" / "guide.md"
KEY = "your_api_key_here"  # the guide's placeholder
ROW = re.compile(r"^\| .* \| `(?P<command>[^`]+)` \| (?P<exit>\d*) ?\|$", re.MULTILINE)
Run = Callable[[str], "subprocess.CompletedProcess[str]"]


class Row(NamedTuple):
    """What a row of the table says: run this, it ends so."""

    command: str
    exit: int


def blocks(path: Path, language: str) -> list[str]:
    """The blocks of code of a Markdown file."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def as_here(line: str) -> str:
    """A command of the guide with its script replaced."""
    line = line.replace("python scripts/duomi_image_generator.py", "duomi generate")
    return line.replace("python scripts/test_duomi_models.py", "duomi models --probe")


PARITY = (PROJECT / "docs" / "parity.md").read_text(encoding="utf-8")
ROWS = list(dict.fromkeys(Row(found["command"], int(found["exit"] or 0)) for found in ROW.finditer(PARITY)))
GUIDE_COMMANDS = [
    as_here(line) for block in blocks(GUIDE, "bash") for line in block.splitlines() if not line.startswith("#")
]


@pytest.fixture(scope="module")
def service() -> Iterator[SandboxServer]:
    faults = Faults(picture="flat", api_key=KEY, disabled_models=("disabled/model",))
    with SandboxServer(faults=faults) as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, service: SandboxServer) -> Path:
    """A home folder as the guide has it: a database, JSON files, and another folder of such."""
    path = tmp_path_factory.mktemp("home")
    (path / "data").mkdir()
    texts = ("A red boat on a lake", "A fox in the snow", "A clock tower in fog", "Two koi")
    prompt_database(path / "data" / "llm_video_batch.db", texts, names=("red_boat", "snow_fox"))
    write_prompts(path, {"Night_market": "A market at night", "Paper_owl": "An owl of paper"})
    (path / "path" / "to" / "json" / "files").mkdir(parents=True)
    (path / "path" / "to" / "json" / "files" / "example.json").write_text('{"image_prompt": "A lighthouse"}')
    (path / "docs").symlink_to(PROJECT / "docs")
    (path / "duomi.toml").write_text('image_size = "72x128"\npoll_interval = 0.05\n')
    return path


@pytest.fixture(scope="module")
def run(home: Path, service: SandboxServer) -> Run:
    """Runs a line in a shell in the home folder; a line that was run already is not run again."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DUOMI_", "DAGSTER_"))}
    env |= {"DUOMI_BASE_URL": service.url, "DUOMI_API_KEY": KEY}
    return cache(lambda line: shared().shell(line, home, env))


@pytest.fixture
def scripted(home: Path, service: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same home for Python in this process."""
    monkeypatch.setenv("DUOMI_HOME", str(home))
    monkeypatch.setenv("DUOMI_BASE_URL", service.url)
    monkeypatch.setenv("DUOMI_API_KEY", KEY)
    monkeypatch.chdir(home)
    return home


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.command)
def test_the_command_of_a_parity_row_ends_as_the_row_says(row: Row, run: Run) -> None:
    found = run(row.command)
    assert found.returncode == row.exit, found.stdout + found.stderr
    assert found.stdout + found.stderr or row.command.endswith(("G()'", f'G(api_key="{KEY}")\''))
    assert ("Traceback" in found.stderr) == (row.command.startswith(("DUOMI_DATABASE=no/such.db python",)))


def test_every_row_of_the_parity_tables_has_a_command() -> None:
    rows = [line for line in PARITY.splitlines() if line.startswith("| ") and not line.startswith("| in the guide")]
    assert len(rows) == len(ROW.findall(PARITY)) > 50


@pytest.mark.parametrize(
    ("begins", "words"),
    [
        ("DUOMI_API_KEY=wrong", "Check DUOMI_API_KEY"),
        ("duomi models --probe disabled", "try again later, or choose another with DUOMI_MODEL"),
        ("DUOMI_BASE_URL=http://127.0.0.1:9", "check the network and DUOMI_BASE_URL"),
        ("DUOMI_DATABASE=no/such.db duomi", "Put the file there, or set DUOMI_DATABASE"),
        ("DUOMI_DATABASE=no/such.db python", "SourceError: Failed to retrieve prompts from database: No database at"),
    ],
)
def test_the_commands_of_the_troubleshooting_rows_say_what_to_do(begins: str, words: str, run: Run) -> None:
    (row,) = [row for row in ROWS if row.command.startswith(begins)]
    found = run(row.command)
    assert words in found.stdout + found.stderr


@pytest.mark.parametrize("line", GUIDE_COMMANDS)
def test_a_command_of_the_guide_works_as_it_stands(line: str, run: Run) -> None:
    found = run(line)
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr


def test_the_guides_python_works_as_it_stands(scripted: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        names: dict[str, Any] = {}
        for block in blocks(GUIDE, "python"):
            exec(block.replace("from scripts.duomi_image_generator", "from duomi_pipeline"), names)
    assert re.search(r"Image saved to: .*/dragon_castle_\d{8}_\d{6}_\d{3}\.png", printed.getvalue())
    assert "Generated 3/3 images" in printed.getvalue()
    assert "Failed" not in printed.getvalue()
    assert len(names["successful_results"]) == 4


def test_every_flag_method_and_parameter_of_the_guide_is_in_the_parity_table() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    flags = set(re.findall(r"(--[a-z][a-z-]+)", guide))
    methods = set(re.findall(r"^- `(\w+)\(", guide, re.MULTILINE)) - {"__init__"}
    assert {"--source", "--api-key"} <= flags
    assert {"generate_image", "save_results_log"} <= methods
    assert [name for name in sorted(flags | methods) if name not in PARITY] == []


def test_every_block_of_the_usage_page_runs_and_again_at_no_cost(
    scripted: Path, service: SandboxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    found = blocks(PROJECT / "docs" / "usage.md", "python")
    assert len(found) >= 6
    for block in found:
        exec(block, {})
    posts = service.books.totals().posts
    printed = capsys.readouterr().out
    assert "No picture" not in printed
    assert "has none" not in printed
    assert "made by black-forest-labs/FLUX.1-schnell" in printed
    for block in found:
        exec(block, {})
    assert service.books.totals().posts == posts


def test_a_403_says_to_check_key_and_credits(scripted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedService(Answer('{"message": "Forbidden"}', status=403)) as relay:
        monkeypatch.setenv("DUOMI_BASE_URL", relay.url)
        error = DuomiImageGenerator().generate_image("a test of a 403")["error"]
        doctor = duomi(scripted, "doctor", DUOMI_BASE_URL=relay.url)
    assert "Forbidden" in error
    assert "Check that DUOMI_API_KEY is right and has credits." in error
    assert "code 403" in error
    assert doctor.returncode == 1
    assert "Check DUOMI_API_KEY" in doctor.stdout


def test_a_disabled_model_says_to_try_later_or_to_choose_another(scripted: Path) -> None:
    error = DuomiImageGenerator().generate_image("a test of 30003", model="disabled/model")["error"]
    assert "Model disabled." in error
    assert "30003" in error
    assert "try again later, or choose another with DUOMI_MODEL" in error


def test_a_timeout_says_to_raise_it_and_no_connection_to_check_the_network(
    scripted: Path, service: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUOMI_AMBIGUOUS_RETRIES", "0")
    monkeypatch.setenv("DUOMI_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("DUOMI_TIMEOUT", "0.3")
    service.change_faults(rate_hang=1.0, hang_seconds=2)
    error = DuomiImageGenerator().generate_image("a test of a time-out")["error"]
    service.change_faults(rate_hang=0.0)
    assert "no answer in time; raise DUOMI_TIMEOUT" in error
    monkeypatch.setenv("DUOMI_BASE_URL", "http://127.0.0.1:9")
    error = DuomiImageGenerator().generate_image("a test without a network")["error"]
    assert "check the network and DUOMI_BASE_URL" in error


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "No database at"),
        (lambda path: path.write_text("no database, but text" * 100), "file is not a database"),
        (lambda path: path.write_bytes(b""), "no such table: prompts; the tables prompts and images of the guide"),
    ],
)
def test_a_database_that_cannot_be_read_is_named_with_what_to_do(
    tmp_path: Path, scripted: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], words: str
) -> None:
    make(tmp_path / "mine.db")
    monkeypatch.setenv("DUOMI_DATABASE", str(tmp_path / "mine.db"))
    with pytest.raises(SourceError) as caught:
        DuomiImageGenerator().batch_generate_from_database()
    assert str(caught.value).startswith("Failed to retrieve prompts from database: ")
    assert str(tmp_path / "mine.db") in str(caught.value)
    assert words in str(caught.value)


def test_what_the_parity_commands_left_is_named_as_the_guide_says(home: Path, run: Run) -> None:
    for row in ROWS:
        run(row.command)
    stamp = r"_\d{8}_\d{6}_\d{3}\.png"
    names = sorted(path.name for path in (home / "out" / "generated_images").glob("*.png"))
    for prefix in ("db_1", "db_red_boat", "Night_market", "example", "single_prompt", "dragon"):
        assert any(re.fullmatch(prefix + stamp, name) for name in names), prefix
    assert (home / "logs" / "duomi_image_generation.log").is_file()
    results = [json.loads(path.read_text()) for path in (home / "logs").glob("duomi_generation_results_*.json")]
    first = next(result for content in results for result in content["results"] if result["success"])
    assert {"success", "data", "prompt", "timestamp", "source", "saved_path"} <= set(first)
    left = [path for path in home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert left == [], "the key is in no file"
