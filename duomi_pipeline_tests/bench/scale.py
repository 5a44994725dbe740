"""What it costs to know that nothing is to do, or little, among many prompts.

    python -m duomi_pipeline_tests.bench.scale [--prompts 10000 100000] [--repeat 3]

Each line is a process of its own. `find` over the folders of the same home, which asks for size and time of every file,
is the reference: no look can be much cheaper. Lines with `until` end when the service has the first request.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from duomi_pipeline_tests.bench.measure import Cost, median
from duomi_pipeline_tests.bench.saved import machine, save
from duomi_pipeline_tests.bench.scale_home import RUN, ScaleHome
from duomi_pipeline_tests.bench.service import service

_LATENCY = 1.0  # seconds
_SOURCES = {"table": "rows of a table", "files": "JSON files"}
_HEAD = "| what | wall s | beside | CPU s | peak MB | read MB |\n|---|---|---|---|---|---|"


def main() -> None:
    """Measure, print the tables, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--source", choices=list(_SOURCES), action="append", help="default: both")
    parser.add_argument("--repeat", type=int, default=3, help="the tables have medians")
    parser.add_argument("--save", action="store_true", help="keep the tables under docs/benchmarks")
    given = parser.parse_args()
    lines = []
    for line in tables(given.prompts, given.source or list(_SOURCES), given.repeat):
        print(line, flush=True)
        lines.append(line)
    if given.save:
        path = save("Scale", "\n".join(lines))
        print(f"\nkept as {path}")


def tables(prompts: list[int], sources: list[str], repeat: int) -> Iterator[str]:
    """The tables, line by line as they are measured."""
    yield f"Medians of {repeat}. {machine()}"
    for count in prompts:
        for source in sources:
            yield f"\n### {count:,} prompts, {_SOURCES[source]}\n"
            yield _HEAD
            with tempfile.TemporaryDirectory() as folder, service("flat", _LATENCY) as url:
                yield from _rows(ScaleHome(Path(folder), source, count, url), repeat)


def _rows(home: ScaleHome, repeat: int) -> Iterator[str]:
    def of(case: Callable[[], Cost]) -> Cost:
        return median([case() for _ in range(repeat)])

    find, plan = of(home.find), of(home.plan)
    yield _row("`find`: sizes and times", find)
    yield _row("`duomi plan`, nothing to do", plan, f"{plan.wall / find.wall:.1f} × `find`")
    yield from _tick_rows(home, repeat)
    yield _row("`duomi manifest`, the first", of(home.first_manifest))
    yield _row("`duomi manifest`, nothing changed", of(home.manifest))
    yield _row("`duomi manifest`, ten changed", of(home.manifest_of_ten))
    yield _row("`duomi gallery`, the first, with its thumbnails", home.gallery())
    yield _row("`duomi gallery`, the first, with thumbnails there", of(home.first_gallery))
    yield _row("`duomi gallery`, nothing changed", of(home.gallery))
    yield _row("`duomi gallery`, ten changed", of(home.gallery_of_ten))
    yield _row("`duomi generate`, ten changed, until its first request", of(home.ten_changed))
    yield _row("`duomi generate`, one new, until its request", of(home.one_new))
    yield _row(f"image run of {RUN}, until its first request", of(home.image_run))
    yield _row("`duomi generate`, first sight, until its first request", of(home.first_sight))


def _tick_rows(home: ScaleHome, repeat: int) -> Iterator[str]:
    """The first tick of a process and a later one, over those of a home without prompts."""
    full, empty = ([home.ticks(empty=is_empty) for _ in range(repeat)] for is_empty in (False, True))
    for name, which in (("the first of its process", slice(1)), ("a later one", slice(1, None))):
        cost, bare = (median([tick for ticks in found for tick in ticks[which]]) for found in (full, empty))
        over = f"{cost.wall - bare.wall:+.2f} s, {cost.peak - bare.peak:+.0f} MB over an empty home's"
        yield _row(f"tick of the sensor, nothing to do, {name}", cost, over)


def _row(name: str, cost: Cost, beside: str = "–") -> str:
    return f"| {name} | {cost.wall:.2f} | {beside} | {cost.cpu:.2f} | {cost.peak:.0f} | {cost.read:.0f} |"


if __name__ == "__main__":
    main()
