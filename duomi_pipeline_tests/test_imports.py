"""What commands do not load, because it would cost them more time and memory than their work."""

import subprocess
import sys

import pytest

WRITE_PARQUET = """
from pathlib import Path
from tempfile import TemporaryDirectory
from duomi_pipeline.engine import Session
from duomi_pipeline.manifest import write_manifest
from duomi_pipeline.settings import Settings
with TemporaryDirectory() as folder, Session(Settings.load(folder)) as session:
    assert write_manifest(session, session.plan_registered(), [], Path(folder) / "manifest").paths["parquet"].exists()
"""
CONTACT_SHEET = """
import io
from duomi_pipeline.images.contact_sheet import contact_sheet
from PIL import Image
thumbnail = io.BytesIO()
Image.new("RGB", (46, 81)).save(thumbnail, "WEBP")
assert contact_sheet([thumbnail.getvalue()])
"""


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import duomi_pipeline.cli", {"pydantic", "sqlalchemy", "requests", "PIL"}),
        ("import duomi_pipeline.cli.plan", {"PIL", "requests", "rich", "xml", "sqlalchemy.dialects.postgresql"}),
        ("import duomi_pipeline.cli.status, duomi_pipeline.cli.why", {"dagster", "pandas", "pyarrow"}),
        ("import duomi_pipeline.cli.generate", {"dagster", "pandas", "pyarrow"}),
        ("import duomi_pipeline.cli.dagster_runs", {"pandas", "pyarrow"}),
        (WRITE_PARQUET, {"pandas"}),
        (CONTACT_SHEET, {"PIL.DdsImagePlugin", "PIL.TiffImagePlugin"}),
    ],
)
def test_a_command_loads_only_what_it_needs(code: str, absent: set[str]) -> None:
    shown = f"{code}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split()

    assert "duomi_pipeline" in loaded
    assert absent.isdisjoint(loaded)
