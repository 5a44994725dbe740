"""Runs the cases and prints the table; `--save` keeps it as a dated file under `docs/benchmarks`."""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path

from duomi_pipeline_tests.bench import ledger
from duomi_pipeline_tests.bench.case import CASES
from duomi_pipeline_tests.bench.installed import starts
from duomi_pipeline_tests.bench.measure import Cost, median
from duomi_pipeline_tests.bench.saved import machine, save
from duomi_pipeline_tests.bench.service import service

REFERENCE = "R2 threads, decode, thumbnail"
_R2 = "R2 is the reference: what checking and showing a picture costs at least."


def main() -> None:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, action="append", help="seconds; default: 0.2 and 2")
    parser.add_argument("--picture", action="append", choices=["flat", "photo"], help="default: both")
    parser.add_argument("--case", action="append", choices=list(CASES), help="default: all")
    parser.add_argument("--repeat", type=int, default=3, help="the table has medians")
    parser.add_argument("--save", action="store_true", help="keep the table under docs/benchmarks")
    given = parser.parse_args()
    title = f"{given.prompts} prompts, {given.concurrency} at a time"
    lines = [f"Medians of {given.repeat}. {machine()} {_R2}"]
    print(f"## {title}\n\n{lines[0]}")
    for picture in given.picture or ["flat", "photo"]:
        for latency in given.latency or [0.2, 2.0]:
            lines += _table(picture, latency, given)
    if given.case is None:
        for line in chain(ledger.table(), ledger.limits_table()):
            print(line, flush=True)
            lines.append(line)
        lines += _starts(given.repeat)
    if given.save:
        path = save(title, "\n".join(lines))
        print(f"\nkept as {path}")


def _table(picture: str, latency: float, given: argparse.Namespace) -> list[str]:
    ideal = math.ceil(given.prompts / given.concurrency) * latency
    head = [
        f"\n### {'14 kB' if picture == 'flat' else '2.6 MB'} pictures, {latency:g} s latency (ideal {ideal:.1f} s)\n",
        "| case | wall s | / ideal | / R2 | CPU ms a picture | / R2 | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(head), flush=True)
    rows, reference = [], None
    for case in [name for name in CASES if given.case is None or name in given.case]:
        cost = median([_run(case, picture, latency, given) for _ in range(given.repeat)])
        reference = cost if case == REFERENCE else reference
        rows.append(_row(case, cost, ideal, reference))
        print(rows[-1], flush=True)
    return [*head, *rows]


def _starts(repeat: int) -> list[str]:
    """How long commands take that need no Dagster, beside a Python that does nothing."""
    head = [
        "\n### Commands that need no Dagster\n",
        "| command | wall s | / python | CPU s |",
        "|---|---|---|---|",
    ]
    print("\n".join(head), flush=True)
    tries = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as folder, service("flat", 0.0) as url:
            tries.append(starts(url, Path(folder) / "home"))
    costs = {name: median([found[name] for found in tries]) for name in tries[0]}
    bare = next(iter(costs.values()))
    rows = [
        f"| {name} | {cost.wall:.2f} | {cost.wall / bare.wall:.0f} | {cost.cpu:.2f} |" for name, cost in costs.items()
    ]
    print("\n".join(rows), flush=True)
    return [*head, *rows]


def _row(case: str, cost: Cost, ideal: float, reference: Cost | None) -> str:
    cpu = 1000 * cost.cpu / cost.pictures
    wall_ratio = f"{cost.wall / reference.wall:.2f}" if reference else "–"
    cpu_ratio = f"{cost.cpu / reference.cpu:.2f}" if reference else "–"
    wall = f"{cost.wall:.1f} | {cost.wall / ideal:.2f} | {wall_ratio}"
    return f"| {case} | {wall} | {cpu:.1f} | {cpu_ratio} | {cost.peak:.0f} |"


def _run(case: str, picture: str, latency: float, given: argparse.Namespace) -> Cost:
    with tempfile.TemporaryDirectory() as folder, service(picture, latency) as url:
        command = [sys.executable, "-m", "duomi_pipeline_tests.bench.case", case, url]
        ended = subprocess.run(
            [*command, str(given.prompts), str(given.concurrency), folder],
            capture_output=True,
            text=True,
            check=False,
            env={name: value for name, value in os.environ.items() if not name.startswith(("DUOMI_", "DAGSTER_"))},
        )
    if ended.returncode:
        raise SystemExit(f"{case} failed:\n{ended.stderr}")
    return Cost(**json.loads(ended.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
