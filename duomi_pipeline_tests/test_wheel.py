"""Installed, not only cloned: the wheel in an environment of its own, outside of the clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of what is committed here; building it asks PyPI for setuptools."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(source)], check=True)
    line = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*line, "--wheel-dir", str(folder), str(source)], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that has the wheel; what it needs comes from this one."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    line = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*line, "--target", str(packages), str(wheel)], check=True)
    here = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (packages / "others.pth").write_text(f"{here}\n")
    return folder / "bin"


def run(installed: Path, home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    home.mkdir(parents=True, exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}
    line = [str(installed / "python"), "-c", "from duomi_pipeline.cli import main; main()", *words]
    return subprocess.run(line, cwd=home, env=env, capture_output=True, text=True, timeout=90, check=False)


def test_the_wheel_has_the_package_and_its_data_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"duomi_pipeline"}
    assert {"duomi_pipeline/orchestration/dagster.yaml", "duomi_pipeline/duomi/models.toml"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("OFL.txt") for name in names)


@pytest.mark.parametrize("folder", ["home", "a b", "100% #1 图片"])
def test_an_installed_duomi_makes_pictures_with_dagsters_settings_in_force(
    installed: Path, tmp_path: Path, folder: str
) -> None:
    home = tmp_path / folder
    made = run(installed, home, "generate", "--source", "prompt", "--prompt", "a lighthouse", "--image-size", "72x128")
    assert made.returncode == 0, made.stderr
    assert len(list((home / "out" / "generated_images").glob("*.png"))) == 1
    assert "telemetry:\n  enabled: false" in (home / ".dagster_home" / "dagster.yaml").read_text(encoding="utf-8")
    assert not (home / ".dagster_home" / ".telemetry").exists()
    assert "No dagster instance configuration file" not in made.stderr
