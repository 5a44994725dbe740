"""The plots of the handbook show what the saved tables say."""

import shutil
from pathlib import Path

from duomi_pipeline_tests.bench.plots import bars, dots, draw
from duomi_pipeline_tests.bench.tables import read_tables

FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"


def test_the_plots_are_those_of_the_saved_tables(tmp_path: Path) -> None:
    for table in FOLDER.glob("*.md"):
        shutil.copy(table, tmp_path)

    draw(tmp_path)

    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.svg")}
    assert drawn == {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.svg")}
    page = (FOLDER.parent / "benchmarks.md").read_text(encoding="utf-8")
    assert {name for name in drawn if f"benchmarks/{name})" not in page} == set()


def test_a_day_has_all_its_tables_and_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "2026-01-02.md").write_text(
        "# 2026-01-02\n\n## Scale\n\nMedians of 3.\n\n### 10 prompts\n\n"
        "| what | wall s | beside |\n|---|---|---|\n| `find` | 0.1 | – |\n| plan | 2 | 20 × `find` |\n"
    )

    (table,) = read_tables(tmp_path)

    assert (table.day, table.title) == ("2026-01-02", "10 prompts")
    assert table.numbers("wall s") == {"find": 0.1, "plan": 2.0}


def test_names_in_tables_are_text_in_a_plot() -> None:
    for plot in (bars, dots):
        page = plot("t", {"<script>": {"a & b": 1.0}})

        assert "<script>" not in page
        assert "a &amp; b" in page
