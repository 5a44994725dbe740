"""What the ledger costs a picture, and how soon an arrived answer is on record; beside bare transactions.

    python -m duomi_pipeline_tests.bench.ledger

Two processes of 32 threads work on one ledger: SQLite, and where `TEST_POSTGRES_URL` names a server, PostgreSQL on
loopback and behind 3 ms. `no service` records one picture after the other; `0.2 s service` waits so long between
sending and answer, with 32 in flight in one process, which begin together. The reference is four transactions with
one insert each. `recorded after` is how long an arrived answer waits until it is on disk.

The second table is how long each limit takes to be checked, with nothing and with 100,000 requests of the same day in
the ledger.
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
from itertools import chain
from pathlib import Path

from sqlalchemy import Engine, create_engine, event, insert, select, text
from sqlalchemy.engine import make_url

from duomi_pipeline.ledger import Billing, Ledger, Limits, Origin, PictureFile, PurchaseState, Selection
from duomi_pipeline.ledger.limits import check_caps, check_in_flight, check_rate
from duomi_pipeline.ledger.schema import posts, purchases
from duomi_pipeline.ledger.totals import DAY
from duomi_pipeline_tests.postgres import postgres_database

SENT = 100_000  # requests of a day
LIMITS = {
    "pictures of a run": Limits(images_per_run=10**9, price=0.1),
    "money of a run": Limits(spend_per_run=1e9, price=0.1),
    "money of a day": Limits(spend_per_day=1e9, price=0.1),
    "requests of a day": Limits(requests_per_day=10**9, price=0.1),
    "requests of a minute": Limits(requests_per_minute=1_000, price=0.1),
    "requests in flight": Limits(requests_in_flight=10**9, price=0.1),
}
LIMITS_HEAD = (
    f"\n## What a limit costs a request, with no other request and with {SENT:,} of the same day\n",
    "| ledger | limit | ms, none | ms, many | many / none |",
    "|---|---|---|---|---|",
)
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


def limits_table(tries: int = 100) -> Iterator[str]:
    """The second table, line by line as it is measured."""
    yield from LIMITS_HEAD
    with tempfile.TemporaryDirectory() as folder:
        yield from _limits_of("SQLite", f"sqlite:///{folder}/ledger.db", tries)
    if os.environ.get("TEST_POSTGRES_URL"):
        with postgres_database() as url:
            yield from _limits_of("PostgreSQL", url, tries)


def _limits_of(name: str, url: str, tries: int) -> Iterator[str]:
    with closing(Ledger(url, Path())) as ledger:
        ledger.start_run("run", "cli")
        none = {limit: _check_time(ledger, limits, tries) for limit, limits in LIMITS.items()}
        _send_before(ledger)
        for limit, before in none.items():
            many = _check_time(ledger, LIMITS[limit], tries)
            yield f"| {name} | {limit} | {before:.2f} | {many:.2f} | {many / before:.1f} |"


def _check_time(ledger: Ledger, limits: Limits, tries: int) -> float:
    """The median of milliseconds, without the commit that follows: the disk would take most of it."""
    found = []
    with ledger.database.read() as connection:
        for _ in range(tries):
            now, began = time.time(), time.perf_counter()
            check_caps(connection, "run", 1, 0.1, limits, now)
            check_rate(connection, limits, now)
            check_in_flight(connection, limits, now, lambda *_: True)
            found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found)


def _send_before(ledger: Ledger) -> None:
    """Requests of the same run and day, each long answered."""
    now = time.time()
    row = {"run_id": "run", "created_at": now, "updated_at": now, "request": "{}", "state": PurchaseState.SAVED}
    with ledger.database.write() as connection:
        connection.execute(insert(purchases), [{**row, "request_key": f"before {number}"} for number in range(SENT)])
        mine = select(purchases.c.id).where(purchases.c.state == PurchaseState.SAVED)
        earlier = max(now - 120, now // DAY * DAY)  # not in this minute, but in this day
        post = {"run_id": "run", "sent_at": earlier, "pictures": 1, "price": 0.1, "currency": "CNY"}
        rows = [{**post, "purchase_id": number, "billing": Billing.BILLED} for number in connection.scalars(mine)]
        connection.execute(insert(posts), rows)


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
    """Print the tables."""
    for line in chain(table(), limits_table()):
        print(line, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _work(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
