"""The command line as a user has it: the installed script, a home folder, the sandbox."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DUOMI = Path(sys.executable).parent / "duomi"


def command(home: Path, *arguments: str, **environment: str) -> tuple[list[str], Mapping[str, str]]:
    """Arguments and environment of a `duomi` in a home folder."""
    env = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    return [str(DUOMI), *arguments], {**env, "DUOMI_HOME": str(home), **environment}


def duomi(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a `duomi` to its end."""
    line, env = command(home, *arguments, **environment)
    return subprocess.run(line, env=env, cwd=home, capture_output=True, text=True, timeout=90, check=False)


def write_prompts(home: Path, texts: Mapping[str, str]) -> None:
    """JSON prompt files, by stem."""
    folder = home / "out" / "prompt_json"
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in texts.items():
        (folder / f"{stem}.json").write_text(json.dumps({"image_prompt": text}), encoding="utf-8")


def pictures(home: Path) -> list[str]:
    """Names of the pictures that are there."""
    return sorted(path.name for path in (home / "out" / "generated_images").glob("*.png"))
