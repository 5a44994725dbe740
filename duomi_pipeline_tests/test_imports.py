"""What commands do not load, because it would cost them more time and memory than their work."""

import subprocess
import sys

import pytest

WRITE_PARQUET = """
from pathlib import Path
from tempfile import TemporaryDirectory
from duomi_pipeline.manifest.columns import SCHEMA
from duomi_pipeline.manifest.parquet import write_parquet
names = [column.name for column in SCHEMA]
with TemporaryDirectory() as folder:
    write_parquet(names, [[None] * len(names)], Path(folder) / "results.parquet")
"""


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import duomi_pipeline.cli", {"pydantic", "sqlalchemy", "requests", "PIL"}),
        ("import duomi_pipeline.cli.status, duomi_pipeline.cli.why", {"dagster", "pandas", "pyarrow"}),
        ("import duomi_pipeline.cli.generate", {"dagster", "pandas", "pyarrow"}),
        ("import duomi_pipeline.cli.dagster_runs", {"pandas", "pyarrow"}),
        (WRITE_PARQUET, {"pandas"}),
    ],
)
def test_a_command_loads_only_what_it_needs(code: str, absent: set[str]) -> None:
    shown = f"{code}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split()

    assert "duomi_pipeline" in loaded
    assert absent.isdisjoint(loaded)
