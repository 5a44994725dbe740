"""The proof that several machines share one installation: a backfill over two workers, one of which is killed.

    python -m duomi_pipeline_tests.deploy.two_workers --prompts 1000

Needs PostgreSQL (TEST_POSTGRES_URL), Redis (TEST_REDIS_URL), and the extras celery, postgres and s3 with moto. It counts in
the books of the service, which no part of the pipeline writes.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from duomi_pipeline_tests.deploy.installation import PRICE, Installation, installation, wait_for

WIDTH = 8  # requests in flight on each worker
MORE = 20  # prompts of the second backfill, which the day's cap stops
ROOM = 5  # pictures of it that the cap lets through


@dataclass
class Proof:
    """What was seen, and what should have been.

    Attributes:
        prompts: of the first backfill.
        rate: the limit of requests per minute.
        cap: of the day, in pictures.
        billed: pictures that the service billed for it.
        pictures: in the bucket after it.
        materialized: partitions that Dagster shows as such after it.
        backfill: how it ended.
        on_the_wire: prompts of POSTs of the killed worker whose answer nobody was left to read.
        twice: prompts that the service billed more than once.
        hosts: that worked on it.
        seconds_after_kill: until everything was there.
        seconds: of the first backfill.
        requests_in_a_minute: the most that reached the service within 59 seconds.
        spent: over both backfills, in pictures.
        runs: how many of Dagster's runs ended in which way.
        in_manifest: prompts that it shows as current after the first backfill.
    """

    prompts: int
    rate: int
    cap: int
    billed: int = 0
    pictures: int = 0
    materialized: int = 0
    backfill: str = ""
    on_the_wire: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    seconds_after_kill: float = 0.0
    seconds: float = 0.0
    requests_in_a_minute: int = 0
    spent: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    in_manifest: int = 0

    def failures(self) -> Iterator[str]:
        """The promises that do not hold."""
        if self.backfill != "COMPLETED_SUCCESS":
            yield f"the backfill ended {self.backfill}"
        if self.materialized != self.prompts:
            yield f"Dagster shows {self.materialized} of {self.prompts} as materialized"
        if self.in_manifest != self.prompts:
            yield f"the manifest has {self.in_manifest} of {self.prompts} pictures"
        if self.pictures != self.prompts:
            yield f"{self.pictures} pictures in the bucket for {self.prompts} prompts"
        if unexplained := set(self.twice) - set(self.on_the_wire):
            yield f"billed twice though nothing was on the wire: {sorted(unexplained)}"
        if self.billed - self.prompts > len(self.on_the_wire) or len(self.on_the_wire) > WIDTH:
            yield f"{self.billed} billed, {len(self.on_the_wire)} on the wire at the kill"
        if len(self.hosts) < 3:
            yield f"only {sorted(self.hosts)} worked"
        if self.requests_in_a_minute > self.rate:
            yield f"{self.requests_in_a_minute} requests in a minute, {self.rate} allowed"
        if not self.prompts < self.spent <= self.cap:
            yield f"{self.spent} pictures spent under a cap of {self.cap} a day"

    def table(self) -> str:
        """The figures, one a line."""
        return "\n".join(
            [
                f"prompts                       {self.prompts}",
                f"billed                        {self.billed}",
                f"  of it twice                 {', '.join(self.twice) or 'none'}",
                f"on the wire at the kill       {', '.join(self.on_the_wire) or 'none'}",
                f"pictures in the bucket        {self.pictures}",
                f"materialized in Dagster       {self.materialized}",
                f"current in the manifest       {self.in_manifest}",
                f"runs                          {dict(self.runs)}",
                f"hosts                         {', '.join(sorted(self.hosts))}",
                f"seconds from kill to whole    {self.seconds_after_kill:.0f}",
                f"seconds in all                {self.seconds:.0f}",
                f"requests in a minute, at most {self.requests_in_a_minute} of {self.rate}",
                f"spent today, in pictures      {self.spent} of {self.cap}",
            ]
        )


def prove(folder: Path, postgres: str, redis: str, prompts: int, rate: int, latency: float = 0.5) -> Proof:
    """Backfill the prompts over two workers, kill one midway and start another, then run into the day's cap."""
    proof = Proof(prompts, rate, cap=prompts + WIDTH + ROOM)
    limits = {"max_spend_per_day": proof.cap * PRICE, "requests_per_minute": rate, "max_concurrency": WIDTH}
    run_size = max(5, prompts // 6)
    with installation(folder, postgres, redis, latency, run_size=run_size, **limits) as all_of_it:
        keys = all_of_it.write(0, prompts)
        all_of_it.start_main()
        for host in ("worker-one", "worker-two"):
            all_of_it.start_worker(host)
        _first_backfill(all_of_it, keys, proof)
        _second_backfill(all_of_it, prompts, proof)
        all_of_it.stop()
    return proof


def _first_backfill(all_of_it: Installation, keys: Sequence[str], proof: Proof) -> None:
    begun = time.monotonic()
    backfill = all_of_it.backfill(list(keys))
    wait_for(lambda: all_of_it.books.billed() >= proof.prompts // 3, 600, "a third of the pictures", every=0.02)
    victim = wait_for(lambda: _working(all_of_it), 60, "a worker at work", every=0.02)
    all_of_it.kill_worker(victim)
    killed = time.monotonic()
    all_of_it.start_worker("worker-three")
    patience = 600 + 120 * proof.prompts / proof.rate
    wait_for(lambda: all_of_it.status(backfill).backfill != "REQUESTED", patience, "the end of the backfill", every=1)
    proof.seconds_after_kill, proof.seconds = time.monotonic() - killed, time.monotonic() - begun
    seen = all_of_it.status(backfill)
    proof.backfill, proof.materialized, proof.runs = seen.backfill, seen.materialized, Counter(seen.runs.values())
    proof.pictures, proof.billed = len(all_of_it.pictures()), all_of_it.books.billed()
    bills = Counter(billing.prompt for billing in all_of_it.books.billings())
    proof.twice = sorted(prompt for prompt, times in bills.items() if times > 1)
    proof.on_the_wire = _on_the_wire(all_of_it)
    with suppress(TimeoutError):
        wait_for(lambda: all_of_it.manifest()["current"] == proof.prompts, 90, "the manifest", every=1)
    proof.in_manifest = all_of_it.manifest()["current"]
    proof.hosts = {row[0] for row in all_of_it.ask_ledger("SELECT DISTINCT host FROM runs")}


def _second_backfill(all_of_it: Installation, first: int, proof: Proof) -> None:
    keys = all_of_it.write(first, MORE)
    backfill = all_of_it.backfill(keys)
    wait_for(lambda: all_of_it.status(backfill).backfill != "REQUESTED", 900, "the end at the cap", every=1)
    posts = [post.at for post in all_of_it.books.posts()]
    proof.requests_in_a_minute = max(sum(at <= other < at + 59 for other in posts) for at in posts)
    proof.spent = all_of_it.books.billed()


def _working(all_of_it: Installation) -> str | None:
    """A worker with requests on the wire, by the ledger."""
    found = all_of_it.ask_ledger(
        "SELECT runs.host FROM posts JOIN runs ON runs.id = posts.run_id WHERE posts.billing = 'sent' "
        "GROUP BY runs.host ORDER BY count(*) DESC"
    )
    return next((row[0] for row in found if row[0] in all_of_it.workers), None)


def _on_the_wire(all_of_it: Installation) -> list[str]:
    """The texts of POSTs that nobody was left to read the answer of."""
    found = all_of_it.ask_ledger(
        "SELECT purchases.request FROM posts JOIN purchases ON purchases.id = posts.purchase_id "
        "WHERE posts.billing = 'ambiguous' AND posts.answered_at IS NULL"
    )
    requests = " ".join(str(row[0]) for row in found)
    return sorted({billing.prompt for billing in all_of_it.books.billings() if f'{billing.prompt}"' in requests})


def main() -> None:
    """Prove it, print the table, end with 1 if a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--rate", type=int, default=600, help="requests per minute, over both workers")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds that the service takes for a picture")
    parser.add_argument("--postgres", default=os.environ.get("TEST_POSTGRES_URL"))
    parser.add_argument("--redis", default=os.environ.get("TEST_REDIS_URL"))
    parser.add_argument("--keep", type=Path, help="folder in which logs and homes stay")
    options = parser.parse_args()
    if not (options.postgres and options.redis):
        parser.error("name servers with --postgres and --redis, or TEST_POSTGRES_URL and TEST_REDIS_URL")
    with tempfile.TemporaryDirectory(prefix="duomi-workers-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        proof = prove(folder, options.postgres, options.redis, options.prompts, options.rate, options.latency)
    print(proof.table())
    failures = list(proof.failures())
    print("\n".join(f"DOES NOT HOLD: {promise}" for promise in failures) or "Every promise holds.")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
