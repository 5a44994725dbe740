"""What the tests of deploy/ share: its folder, the versions that are pinned elsewhere, and which settings there are."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from duomi_pipeline.settings import Settings

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]


def read(path: Path) -> Any:
    """What stands in a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def environment_file(path: Path) -> dict[str, str]:
    """Names and values of a file for `env_file` or `EnvironmentFile`, also of the lines that are commented out."""
    lines = (line.removeprefix("#") for line in path.read_text(encoding="utf-8").splitlines())
    return dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", "\n".join(lines), re.MULTILINE))


def check_settings(environment: dict[str, str], home: Path, monkeypatch: Any) -> None:
    """Check that the settings take these variables, and that each is one."""
    known = {f"DUOMI_{name.upper()}" for name in Settings.model_fields}
    assert our_names(environment) <= {"DUOMI_HOME"} | known
    for name, value in environment.items():
        if name in known:
            monkeypatch.setenv(name, value)
    Settings.load(home)


def our_names(environment: Iterable[str]) -> set[str]:
    """Names that begin as our settings do."""
    return {name for name in environment if name.startswith("DUOMI_")}


def locked(package: str) -> str:
    """The version of a package in requirements.lock."""
    found = re.search(rf"^{package}==(\S+)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)
    assert found, f"{package} is not in requirements.lock"
    return found[1]
