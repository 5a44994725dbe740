"""Pictures per second with 1, 2 and 4 workers on one PostgreSQL ledger, against a service that limits nothing.

    TEST_POSTGRES_URL=postgresql+psycopg2://user:password@host/postgres python -m duomi_pipeline_tests.bench.workers

Each worker is a process with a home of its own and a share of the prompts, as a run of Dagster has; pictures go to one
folder. Beside each line is what the service alone gives: the same number of requests by bare threads.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from duomi_pipeline.engine import GENERATED_BY_ITSELF, Session
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.bench.engine import write
from duomi_pipeline_tests.bench.references import bare_threads
from duomi_pipeline_tests.bench.service import service
from duomi_pipeline_tests.postgres import postgres_database

WORKERS = (1, 2, 4)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=400, help="for each worker")
    parser.add_argument("--concurrency", type=int, default=32, help="of each worker")
    parser.add_argument("--latency", type=float, action="append", help="seconds; default: 0.2 and 2")
    given = parser.parse_args()
    print("| latency s | workers | pictures/s | / 1 worker | / bare threads of one process |\n|---|---|---|---|---|")
    for latency in given.latency or [0.2, 2.0]:
        bare, one = _bare(latency, given), 0.0
        for workers in WORKERS:
            speed = _speed(workers, latency, given)
            one = one or speed
            print(f"| {latency:g} | {workers} | {speed:.1f} | {speed / one:.2f} | {speed / bare:.2f} |", flush=True)


def _bare(latency: float, given: argparse.Namespace) -> float:
    texts = [f"A quiet harbour at dawn, boat number {number}" for number in range(given.prompts)]
    with tempfile.TemporaryDirectory() as folder, service("flat", latency) as url:
        return len(texts) / bare_threads(url, texts, given.concurrency, Path(folder) / "bare").wall


def _speed(workers: int, latency: float, given: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as folder, service("flat", latency) as url, postgres_database() as ledger:
        homes = [Path(folder) / f"worker_{number}" for number in range(workers)]
        for number, home in enumerate(homes):
            _write_home(home, Path(folder) / "pictures", url, ledger, given.concurrency)
            first = number * given.prompts
            texts = [f"A quiet harbour, boat {first + more}" for more in range(given.prompts)]
            write(Settings.load(home), texts)
            for file in Settings.load(home).path("out/prompt_json").iterdir():
                file.rename(file.with_name(f"w{number}_{file.name}"))  # ids are by file name
        code = "import sys; from duomi_pipeline_tests.bench.workers import work; work(sys.argv[1])"
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", code, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for home in homes
        ]
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "planned\n"
        started = time.perf_counter()
        made = [int(process.communicate()[0]) for process in _told(processes)]
        wall = time.perf_counter() - started
    assert made == [given.prompts] * workers, made
    return sum(made) / wall


def _told(processes: list["subprocess.Popen[str]"]) -> list["subprocess.Popen[str]"]:
    """All begin before the first one is waited for."""
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


def work(home: str) -> None:
    """One worker: plan, wait for a line, generate, print how many."""
    settings = Settings.load(home)
    with Session(settings) as session:
        plan = session.plan(read_sources(settings).prompts)
        print("planned", flush=True)
        sys.stdin.readline()
        with session.generating(plan.wanted(GENERATED_BY_ITSELF)) as batch:
            print(sum(outcome.status == "generated" for outcome in batch))


def _write_home(home: Path, pictures: Path, url: str, ledger: str, concurrency: int) -> None:
    home.mkdir()
    settings = {"base_url": url, "max_concurrency": concurrency, "image_dir": str(pictures), "ledger_url": ledger}
    (home / "duomi.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))


if __name__ == "__main__":
    main()
