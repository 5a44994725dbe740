"""`duomi generate --reroll`: another picture for what was rejected in the gallery."""

import json
from collections.abc import Sequence
from pathlib import Path

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import pictures, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.cli.test_interrupts import terminal


def marks(home: Path, rejects: object, shown: dict[str, str] | None = None) -> str:
    path = home / "duomi-marks.json"
    path.write_text(json.dumps({"picks": [], "rejects": rejects, "pictures": shown or {}}))
    return str(path)


def of(home: Path, stem: str) -> list[str]:
    return [name for name in pictures(home) if name.startswith(stem)]


def seeds(sandbox: SandboxServer) -> list[int | None]:
    return [post.seed for post in sandbox.books.posts()]


def reroll(home: Path, rejects: Sequence[str], *more: str, **env: str) -> tuple[int, str, str]:
    """Reject the pictures that these prompts have now, once."""
    shown = {f"json_{stem}": of(home, stem)[0] for stem in rejects}
    run = duomi(home, "generate", "--reroll", marks(home, list(shown), shown), *more, **env)
    return run.returncode, run.stdout, run.stderr


def test_a_rejected_picture_gets_a_new_seed_once_which_stays_the_prompts_own(
    home: Path, sandbox: SandboxServer
) -> None:
    duomi(home, "generate")
    sources = {path: path.read_bytes() for path in (home / "out/prompt_json").iterdir()}
    assert reroll(home, ["fox"])[0] == 0
    recorded = json.loads((home / "out/overrides.json").read_text())
    assert list(recorded) == ["json_fox"]
    assert seeds(sandbox)[-1] == recorded["json_fox"]["seed"] != seeds(sandbox)[0]
    assert (len(of(home, "fox")), len(seeds(sandbox))) == (2, 5)
    assert "4 reused" in duomi(home, "generate").stdout
    code, _, said = reroll(home, ["fox"])  # the same file again, as after an interruption
    assert (code, len(seeds(sandbox))) == (0, 5)
    assert "1 rejected picture replaced already" in said
    assert {path: path.read_bytes() for path in (home / "out/prompt_json").iterdir()} == sources


def test_two_at_once_make_one_picture_for_each_rejected_one(home: Path, sandbox: SandboxServer) -> None:
    many = [f"many_{number}" for number in range(21)]  # as many as a person is asked about
    write_prompts(home, dict.fromkeys(many, "A quiet harbour"))
    toml = home / "duomi.toml"
    toml.write_text(toml.read_text().replace("127.0.0.1", "127.1"))  # the same, by a name that is no local one
    duomi(home, "generate", "--yes")
    before = sandbox.books.totals().billed
    rejected = marks(
        home, [f"json_{stem}" for stem in many], {f"json_{stem}": of(home, f"{stem}_")[0] for stem in many}
    )
    with terminal(home, "generate", "--reroll", rejected) as waiting:
        waiting.until("Go on?")
        assert duomi(home, "generate", "--reroll", rejected, "--yes").returncode == 0
        recorded = (home / "out/overrides.json").read_text()
        waiting.type("y\n")
        assert waiting.end() == 0, waiting.seen
    assert sandbox.books.totals().billed == before + 21
    assert (home / "out/overrides.json").read_text() == recorded


def test_a_reroll_that_failed_goes_on_with_the_seed_it_has(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    sandbox.change_faults(rate_503=1.0)
    assert reroll(home, ["fox"], DUOMI_MAX_ATTEMPTS="1")[0] == 1
    recorded = (home / "out/overrides.json").read_bytes()
    sandbox.change_faults(rate_503=0.0)
    assert reroll(home, ["fox"])[0] == 0
    assert (home / "out/overrides.json").read_bytes() == recorded
    assert sandbox.books.totals().billed == 5


def test_a_model_without_seeds_is_asked_again_as_it_was(home: Path, sandbox: SandboxServer) -> None:
    slow = {"DUOMI_PROTOCOL": "duomi_async", "DUOMI_POLL_INTERVAL": "0.05"}
    duomi(home, "generate", **slow)
    assert reroll(home, ["fox"], **slow)[0] == 0
    assert (len(of(home, "fox")), sandbox.books.totals().billed) == (2, 5)
    assert not (home / "out/overrides.json").exists()
    reroll(home, ["fox"], **slow)
    assert sandbox.books.totals().billed == 5


def test_a_dry_run_records_and_sends_nothing_and_unknown_ids_are_named(home: Path, sandbox: SandboxServer) -> None:
    duomi(home, "generate")
    run = duomi(home, "generate", "--reroll", marks(home, ["json_fox", "json_gone"]), "--dry-run")
    assert (run.returncode, sandbox.books.totals().posts) == (0, 4)
    assert "prompts that no longer exist: json_gone" in run.stderr
    assert "1 prompt to generate, 1 request to" in run.stderr
    assert not (home / "out/overrides.json").exists()


def test_a_file_that_is_no_marks_is_named_and_nothing_is_sent(home: Path, sandbox: SandboxServer) -> None:
    for bad in ("json_fox", [1], None, ["json_\ud800"]):
        run = duomi(home, "generate", "--reroll", marks(home, bad))
        assert (run.returncode, sandbox.books.totals().posts) == (2, 0)
        assert "duomi-marks.json" in run.stderr
    assert duomi(home, "generate", "--reroll", str(home / "nothing.json")).returncode == 2
