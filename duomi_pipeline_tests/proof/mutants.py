"""Three defects that the proof must find, each put into a copy of the product.

    python -m duomi_pipeline_tests.proof.mutants

Prints for each the violation and the shortest story; ends with 1 if one of them stays alive.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WALK = ("-m", "duomi_pipeline_tests.proof.schedules", "--prompts", "1", "--most", "1")
STORIES = ("-m", "duomi_pipeline_tests.proof.machine", "--stories", "300", "--first")


@dataclass(frozen=True)
class Mutant:
    """A change of the product's source.

    Attributes:
        name: what is done wrong.
        file: that is changed.
        was, becomes: text in it.
        killed_by: the arguments of the proof that must fail.
    """

    name: str
    file: str
    was: str
    becomes: str
    killed_by: tuple[str, ...]


MUTANTS = (
    Mutant(
        "the request is sent before it is recorded",
        "duomi_pipeline/engine/sending.py",
        """            post = retry_if_cut_off(lambda: self.ledger.send(""",
        """            answer = self.client.submit(request, key)
            self.client.submit = lambda *_: answer
            post = retry_if_cut_off(lambda: self.ledger.send(""",
        WALK,
    ),
    Mutant(
        "a living run's request is taken over",
        "duomi_pipeline/ledger/ledger.py",
        "if latest.run_id not in (None, run_id) and self._lives.is_alive(connection, latest.run_id):",
        "if False:",
        WALK,
    ),
    Mutant(
        "a file is adopted without reading what was asked: as what its prompt's first file was",
        "duomi_pipeline/engine/unknown_files.py",
        "request_key=first.request_key,",
        "request_key=vars(_purchase).setdefault(first.prompt_id, first.request_key),",
        STORIES,
    ),
)


def kill(mutant: Mutant) -> str:
    """What the proof says of a mutant; empty where it finds nothing.

    Raises:
        ValueError: the product has changed, and the mutant does not fit.
    """
    with tempfile.TemporaryDirectory(prefix="duomi-mutant-") as folder:
        for name in ("duomi_pipeline", "duomi_pipeline_tests"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        file = Path(folder) / mutant.file
        text = file.read_text(encoding="utf-8")
        if text.count(mutant.was) != 1:
            raise ValueError(f"{mutant.file} has changed: {mutant.was!r}")
        file.write_text(text.replace(mutant.was, mutant.becomes), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": folder}
        done = subprocess.run(
            [sys.executable, *mutant.killed_by],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr if done.returncode else ""


def main() -> None:
    """Try all."""
    alive = 0
    for mutant in MUTANTS:
        said = kill(mutant)
        alive += not said
        print(f"{'killed' if said else 'ALIVE'}: {mutant.name}")
        print("\n".join(f"    {line}" for line in said.splitlines()[-14:]))
    sys.exit(bool(alive))


if __name__ == "__main__":
    main()
