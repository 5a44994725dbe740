"""Past the 100,000 partitions that Dagster advises: what a million prompts cost, part by part, and what breaks first.

    python -m duomi_pipeline_tests.bench.million [--prompts 100000 1000000] [--left 10000]

One home, rows of a table, each with a picture and with its events in Dagster, on SQLite. No UI. Each line is a process
of its own. At the end all partitions but for some are taken from Dagster, whose events stay, and Dagster is asked again.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from duomi_pipeline_tests.bench.measure import Cost
from duomi_pipeline_tests.bench.programs import duomi, step, step_line, until_request
from duomi_pipeline_tests.bench.saved import machine, save
from duomi_pipeline_tests.bench.scale_home import RUN
from duomi_pipeline_tests.bench.service import service

_HEAD = "| what | wall s | CPU s | peak MB | read MB |\n|---|---|---|---|---|"
_LATENCY = 1.0  # seconds


def main() -> None:
    """Measure, print the tables, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--left", type=int, default=10_000, help="partitions that stay in Dagster at the end")
    parser.add_argument("--save", action="store_true", help="keep the tables under docs/benchmarks")
    given = parser.parse_args()
    lines = []
    for line in tables(given.prompts, given.left):
        print(line, flush=True)
        lines.append(line)
    if given.save:
        path = save("A million prompts", "\n".join(lines))
        print(f"\nkept as {path}")


def tables(prompts: list[int], left: int) -> Iterator[str]:
    """The tables, line by line as they are measured."""
    yield f"Each line once. {machine()}"
    for count in prompts:
        yield f"\n### {count:,} prompts, one by one\n"
        yield _HEAD
        with tempfile.TemporaryDirectory() as folder, service("flat", _LATENCY) as url:
            home = Path(folder) / "home"
            yield from _rows(home, count, url)
            step("million_steps.retire", home, left)
            yield f"\n### {left:,} of {count:,} prompts are partitions of Dagster\n"
            yield _HEAD
            yield from _dagster_rows(home, url, first=1)


def _rows(home: Path, prompts: int, url: str) -> Iterator[str]:
    step("scale_steps.make", home, prompts, prompts - 1, url, "table")
    empty = _megabytes(home / "out/ledger.db")
    yield _row("first look: `duomi plan`", duomi(home, "plan"))
    register = _megabytes(home / "out/ledger.db") - empty
    yield _row("`duomi plan`, nothing to do", duomi(home, "plan"))
    duomi(home, "generate", "--prompt-id", f"db_{prompts}")
    (added,) = step("scale_steps.history", home, f"db_{prompts}")
    yield _row("`add_dynamic_partitions` of all", added)
    yield from _dagster_rows(home, url, first=RUN + 1)
    first, later, *_ = step("scale_steps.ticks", home, 2)
    yield _row("tick of the sensor, nothing to do, the first of its process", first)
    yield _row("tick of the sensor, nothing to do, a later one", later)
    yield _row("`duomi manifest`", duomi(home, "manifest"))
    step("million_steps.thumbnails", home)
    yield _row("`duomi gallery`, thumbnails are there", duomi(home, "gallery"))
    events = _megabytes(home / ".dagster_home/history/runs/index.db")
    yield (
        f"\nOn disk: register {register:,.0f} MB, purchases and pictures in the ledger {empty:,.0f} MB, Dagster's "
        f"event log {events:,.0f} MB, manifest {_megabytes(home / 'out/manifest'):,.0f} MB."
    )


def _dagster_rows(home: Path, url: str, first: int) -> Iterator[str]:
    """What Dagster is asked; `first`: the first partition of a run that buys prompts anew."""
    for name, what in (
        ("keys", "`get_dynamic_partitions`"),
        ("add", "`add_dynamic_partitions` of one"),
        ("versions", "`get_latest_tags_by_partition` of all"),
        ("few_versions", "`get_latest_tags_by_partition` of 500 keys"),
        ("status", "status of all partitions for the UI"),
        ("backfill", "a backfill of all: resolved, and written once"),
    ):
        costs = step(f"million_steps.{name}", home)
        for number, cost in enumerate(costs):
            yield _row(f"{what}, again" if number else what, cost)
    run = until_request(url, home, step_line("scale_steps.run", home, first, RUN))
    yield _row(f"image run of {RUN}, until its first request", run)


def _row(name: str, cost: Cost) -> str:
    return f"| {name} | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.peak:.0f} | {cost.read:.0f} |"


def _megabytes(place: Path) -> float:
    """The size of a file with its log, or of all files in a folder."""
    files = place.iterdir() if place.is_dir() else place.parent.glob(f"{place.name}*")
    return sum(file.stat().st_size for file in files) / 1e6


if __name__ == "__main__":
    main()
