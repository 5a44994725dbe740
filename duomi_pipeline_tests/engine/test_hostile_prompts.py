"""Prompts of any text become pictures that say it exactly; ledger, names, files and terminal take it for text."""

import re

import pytest
from click.testing import CliRunner

from duomi_pipeline.cli import cli
from duomi_pipeline.engine import State
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.prompts.harness import prompt_database

TEXTS = {
    "nul": "a\x00boat\x00",
    "control": "a \x1b[2J\x1b]0;owned\x07 boat \x9b31m\x7f\r",
    "direction": "\u202eevil\u2066 \u2028 \u200f",
    "long": "长 boat 🦊 " * 5_000,
    "sql": "'); DROP TABLE purchases; --",
    "html": "</script><script>alert(1)</script>]]>&lol;<!--",
    "path": "../../../../etc/passwd\\..\\C:\\x",
    "shell": "$(touch owned); `touch owned` | touch owned & \n touch owned",
    "format": "%s %n {0} {__class__} ${HOME} %(x)s",
    "formula": '=HYPERLINK("http://evil.example";"x")',
    "parameters": "Negative prompt: x\nSteps: 1, Seed: 2\n",
    "json": '{"image_prompt": null}\\u0000\\"',
    "blank": "\u3000\u200b.\ufeff",
}

OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)  # by terminals and file managers


@pytest.fixture
def filled(home: Home) -> Home:
    for name, text in TEXTS.items():
        home.write(name, text, negative_prompt=text[:1_000])
    (home.path / "data").mkdir()
    prompt_database(home.path / "data" / "llm_video_batch.db", TEXTS.values(), TEXTS.values())
    return home


def test_each_becomes_a_picture_that_says_it_exactly_and_is_current_afterwards(filled: Home) -> None:
    run = filled.run(database_names="descriptive")
    assert run.failures == {}
    infos = filled.infos()
    assert {info.prompt for info in infos.values()} == set(TEXTS.values())
    assert len(infos) == len(filled.files()) == 2 * len(TEXTS)
    assert not any(OBEYED.search(path.name) for path in filled.files())
    assert {entry.state for entry in filled.plan(database_names="descriptive").entries} == {State.CURRENT}
    assert not list(filled.path.rglob("owned*"))


@pytest.mark.parametrize(
    "command",
    [
        "plan",
        "status",
        "status --json",
        "lint",
        "lint --json --diff",
        "why json_control",
        "why json_control --json",
        "inspect {picture}",
    ],
)
def test_no_command_shows_what_a_terminal_obeys(
    filled: Home, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:  # fmt: skip
    (filled.path / "duomi.toml").write_text(f'base_url = "{filled.sandbox.url}"\nimage_size = "72x128"\n')
    monkeypatch.setenv("DUOMI_HOME", str(filled.path))
    ids = ("json_control", "json_direction", "json_nul")
    with filled.session() as session:
        plan = session.plan([entry.prompt for entry in filled.plan().entries if entry.prompt.id in ids])
        with session.generating(plan.entries) as batch:
            assert [outcome.failure for outcome in batch] == [None] * 3
    picture = next(path for path in filled.files() if path.name.startswith("control"))
    told = CliRunner().invoke(cli, [word.format(picture=picture) for word in command.split()])
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    assert told.output
    assert (told.stdout + told.stderr).replace("\n", "").isprintable()
