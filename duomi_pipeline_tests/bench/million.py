"""Past the 100,000 partitions that Dagster advises: what a million prompts cost, part by part, and what breaks first.

    python -m duomi_pipeline_tests.bench.million [--prompts 100000 1000000] [--left 10000]

One home, rows of a table, each with its events in Dagster and a picture, on SQLite. No UI. Each line is a process of
its own. At the end all partitions but for some are taken from Dagster, whose events stay, and Dagster is asked again.
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
    parser.add_argument(
        "--undrawn", action="store_true", help="without pictures, and what needs them: a third of the time"
    )
    parser.add_argument("--save", action="store_true", help="keep the tables under docs/benchmarks")
    given = parser.parse_args()
    lines = []
    for line in tables(given.prompts, given.left, undrawn=given.undrawn):
        print(line, flush=True)
        lines.append(line)
    if given.save:
        path = save("A million prompts", "\n".join(lines))
        print(f"\nkept as {path}")


def tables(prompts: list[int], left: int, *, undrawn: bool) -> Iterator[str]:
    """The tables, line by line as they are measured."""
    yield f"Each line once. {machine()}"
    for count in prompts:
        yield f"\n### {count:,} prompts, one by one\n"
        yield _HEAD
        with tempfile.TemporaryDirectory() as folder, service("flat", _LATENCY) as url:
            home = Path(folder) / "home"
            yield from _partition_rows(home, count, url)
            yield from _dagster_rows(home)
            yield _row("first look and plan: `duomi plan`", duomi(home, "plan"))
            if not undrawn:
                yield from _picture_rows(home, count)
            yield _run_row(home, url, first=2)
            yield _sizes(home)
            step("million_steps.retire", home, left)
            yield f"\n### {left:,} of {count:,} prompts are partitions of Dagster\n"
            yield _HEAD
            yield from _dagster_rows(home)
            yield _run_row(home, url, first=left - RUN)


def _partition_rows(home: Path, prompts: int, url: str) -> Iterator[str]:
    step("scale_steps.make", home, 1, url, "table")
    duomi(home, "generate")
    step("scale_steps.grow", home, prompts)
    (added,) = step("scale_steps.history", home)
    yield _row("`add_dynamic_partitions` of all", added)


def _picture_rows(home: Path, prompts: int) -> Iterator[str]:
    step("scale_steps.draw", home, prompts)
    yield _row("`duomi plan`, all pictures for the first time", duomi(home, "plan"))
    yield _row("`duomi plan`, nothing to do", duomi(home, "plan"))
    first, later = step("scale_steps.ticks", home, 2)
    yield _row("tick of the sensor, nothing to do, the first of its process", first)
    yield _row("tick of the sensor, nothing to do, a later one", later)
    yield _row("`duomi manifest`", duomi(home, "manifest"))
    step("million_steps.thumbnails", home)
    yield _row("`duomi gallery`, thumbnails are there", duomi(home, "gallery"))


def _run_row(home: Path, url: str, first: int) -> str:
    """`first`: the first partition of a run that buys prompts anew, among those of Dagster."""
    run = until_request(url, home, step_line("scale_steps.run", home, first, RUN))
    return _row(f"image run of {RUN}, until its first request", run)


def _sizes(home: Path) -> str:
    places = {
        "ledger with register": home / "out/ledger.db",
        "Dagster's event log": home / ".dagster_home/history/runs/index.db",
        "manifest": home / "out/manifest",
    }
    return f"\nOn disk: {', '.join(f'{name} {_megabytes(place):,.0f} MB' for name, place in places.items())}."


def _dagster_rows(home: Path) -> Iterator[str]:
    """What Dagster is asked."""
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


def _row(name: str, cost: Cost) -> str:
    return f"| {name} | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.peak:.0f} | {cost.read:.0f} |"


def _megabytes(place: Path) -> float:
    """The size of a file with its log, or of all files in a folder."""
    files = place.iterdir() if place.is_dir() else place.parent.glob(f"{place.name}*")
    return sum(file.stat().st_size for file in files) / 1e6


if __name__ == "__main__":
    main()
