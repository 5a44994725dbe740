"""What the ledger costs a picture, and how soon an arrived answer is on record; beside bare transactions.

    python -m duomi_pipeline_tests.bench.ledger

Two processes of 32 threads work on one ledger: SQLite, and where `TEST_POSTGRES_URL` names a server, PostgreSQL on
loopback and behind 3 ms. `no service` records one picture after the other; `0.2 s service` waits so long between
sending and answer, with 32 in flight in one process, which begin together. The reference is four transactions with
one insert each. `recorded after` is how long an arrived answer waits until it is on disk.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url

from duomi_pipeline.ledger import Ledger, Limits, Origin, PictureFile, PurchaseState, Selection
from duomi_pipeline_tests.postgres import postgres_database

THREADS = 32
ROUND_TRIP = 3.0  # milliseconds
SERVICE = 0.2  # seconds
HEAD = (
    f"\n### What the ledger costs a picture, {THREADS} threads in each process\n",
    "| ledger | processes | ms a picture | reference | / reference | round trips | recorded after ms: median, most |",
    "|---|---|---|---|---|---|---|",
)


def table(pictures: int = 400) -> Iterator[str]:
    """The table, line by line as it is measured."""
    yield from HEAD
    with tempfile.TemporaryDirectory() as folder:
        yield from _rows_of("SQLite", f"sqlite:///{folder}/ledger.db", pictures)
    if not os.environ.get("TEST_POSTGRES_URL"):
        return
    for name, delay in (("PostgreSQL", 0.0), (f"PostgreSQL, {ROUND_TRIP:g} ms away", ROUND_TRIP)):
        with postgres_database() as url:
            yield from _rows_of(name, url, pictures, delay)


def _rows_of(name: str, url: str, pictures: int, delay: float = 0.0) -> Iterator[str]:
    with closing(Ledger(url, Path())) as ledger, ledger.database.write() as connection:
        connection.execute(text("CREATE TABLE bare (a INTEGER, b VARCHAR(200))"))
    for processes, service in ((2, 0.0), (1, SERVICE)):
        bare, _, _ = _measured("bare", url, pictures, processes, service, delay)
        cost, trips, waits = _measured("ledger", url, pictures, processes, service, delay)
        label = f"{name}, {service:g} s service" if service else f"{name}, no service"
        per_picture = f"{cost:.1f} | {bare:.1f} | {cost / bare:.1f}" if not service else "– | – | –"
        counted = f"{trips:.1f}" if trips else "–"
        recorded = f"{statistics.median(waits):.0f}, {max(waits):.0f}"
        yield f"| {label} | {processes} × {THREADS} | {per_picture} | {counted} | {recorded} |"


def _measured(
    what: str, url: str, pictures: int, processes: int, service: float, delay: float
) -> tuple[float, float, list[float]]:
    """Milliseconds a picture of each process, round trips a picture, and how long each answer waited."""
    found: list[list[float]] = []
    packets = [0.0]
    with delayed(url, delay, packets) if delay else nullcontext(url) as at:
        line = [sys.executable, "-m", "duomi_pipeline_tests.bench.ledger", what, at, str(pictures), str(service)]
        with ExitStack() as stack:
            workers = [
                stack.enter_context(
                    subprocess.Popen([*line, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                )
                for n in range(processes)
            ]
            for worker in workers:
                assert worker.stdout is not None
                assert worker.stdout.readline() == "ready\n"
            begun = time.perf_counter()
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.close()
            for worker in workers:
                assert worker.stdout is not None
                found.append(json.loads(worker.stdout.readline()))
            wall = time.perf_counter() - begun
    return (
        wall * 1000 / pictures,
        packets[0] / (processes * (pictures + THREADS)),
        [one for waits in found for one in waits],
    )


@contextmanager
def delayed(url: str, milliseconds: float, packets: list[float]) -> Iterator[str]:
    """The same server behind a slow network; `packets` tells at the end how many were sent to it."""
    parsed = make_url(url)
    line = [sys.executable, "-m", "duomi_pipeline_tests.bench.delay", parsed.host or "127.0.0.1"]
    line += [str(parsed.port or 5432), str(milliseconds)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        port = int(proxy.stdout.readline())
        yield parsed.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        packets[0] = float(proxy.communicate("")[0])


def _work(what: str, url: str, pictures: int, service: float, number: int) -> None:
    """One process: print `ready`, wait for the end of the input, print how long each answer waited."""
    with ExitStack() as stack:
        if what == "ledger":
            ledger = Ledger(url, Path())
            stack.callback(ledger.close)
            one = _ledger_picture(ledger, f"bench-{service}-{number}", service)
        else:
            one = _bare_picture(_bare_engine(url), service)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(one, range(-THREADS, 0)))  # opens the connections
            print("ready", flush=True)
            sys.stdin.read()
            print(json.dumps(list(pool.map(one, range(pictures)))), flush=True)


def _ledger_picture(ledger: Ledger, run: str, service: float) -> Callable[[int], float]:
    ledger.start_run(run, "cli")
    limits = Limits(price=0.1)

    def one(number: int) -> float:
        prompt = f"{run}-{number}"
        purchase = ledger.claim(prompt, '{"body": {}}', run)
        post = ledger.send(purchase, run, 1, limits)
        time.sleep(service)
        arrived = time.perf_counter()
        ledger.answered(purchase, post, [f"https://files.example/{prompt}.png"], 7)
        waited = (time.perf_counter() - arrived) * 1000
        file = PictureFile(prompt, purchase.id, 0, f"{prompt}.png", 1, "1x1", "1x1", Origin.GENERATED, time.time())
        selection = Selection(prompt, purchase.id, prompt, "v", "s", time.time(), (file,))
        ledger.saved(replace(purchase, state=PurchaseState.READY), selection)
        return waited

    return one


def _bare_engine(url: str) -> Engine:
    engine = create_engine(url, pool_size=8, max_overflow=0)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA journal_mode=WAL"))
        event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA busy_timeout=60000"))
    return engine


def _bare_picture(engine: Engine, service: float) -> Callable[[int], float]:
    insert = text("INSERT INTO bare VALUES (:a, :b)")
    writing = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    def one(number: int) -> float:
        began = time.perf_counter()
        for step in range(4):
            with writing, engine.begin() as connection:
                connection.execute(insert, {"a": number, "b": "x" * 200})
            if step == 1:
                time.sleep(service)
        return (time.perf_counter() - began) * 1000

    return one


def main() -> None:
    """Print the table."""
    for line in table():
        print(line, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _work(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
