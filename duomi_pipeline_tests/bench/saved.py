"""Tables that are kept: a file a day under `docs/benchmarks`, in it a section for each bench; and their plots.

python -m duomi_pipeline_tests.bench.saved      draws the plots anew
"""

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from duomi_pipeline_tests.bench.plots import draw

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"
_SECTION = re.compile(r"^(?=## )", re.MULTILINE)


def machine() -> str:
    """What it is measured on."""
    return (
        f"{os.cpu_count()} cores ({_processor()}), {_memory()} GB, {platform.system()}, "
        f"Python {platform.python_version()}, dagster {version('dagster')}."
    )


def save(title: str, text: str) -> Path:
    """Keep the tables of one bench in today's file, and draw the plots; a section of the same title gives way to it.

    Args:
        title: of the section, without `## `.
        text: what stands below it.
    """
    today = datetime.now(UTC).date().isoformat()
    path = FOLDER / f"{today}.md"
    before = path.read_text(encoding="utf-8") if path.exists() else f"# {today}\n"
    head, *sections = _SECTION.split(before)
    kept = [section for section in sections if section.splitlines()[0] != f"## {title}"]
    new = f"## {title}\n\n{text.strip()}\n"
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(part.strip() + "\n" for part in [head, *kept, new]), encoding="utf-8")
    draw(FOLDER)
    return path


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except FileNotFoundError:
        found = None
    return found[1] if found else platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


if __name__ == "__main__":
    draw(FOLDER)
