"""The sums that caps go by: those of the POSTs, whatever happens to these, whoever changes them."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from duomi_pipeline.ledger import (
    FoundPurchase,
    Ledger,
    LimitReached,
    Limits,
    Origin,
    PictureFile,
    Purchase,
    PurchaseState,
)
from duomi_pipeline.ledger.copy import copy_ledger
from duomi_pipeline.ledger.repair import Findings
from duomi_pipeline_tests.ledger.conftest import Opener
from duomi_pipeline_tests.ledger.test_leases import sql
from duomi_pipeline_tests.ledger.test_ledger import NO_LIMITS, URLS, bought, claim, paid, selection
from duomi_pipeline_tests.ledger.test_migrate import ledger_of_version
from duomi_pipeline_tests.postgres import postgres_database

DAY = 86_400
_KEY = "run_id, day, currency, billing"
_KEPT = f"SELECT {_KEY}, sum(posts), sum(pictures), sum(unpriced), sum(billionths) FROM totals GROUP BY {_KEY}"
_POSTS = "SELECT run_id, sent_at, currency, billing, pictures, price FROM posts"
_COLUMNS = "purchase_id, run_id, sent_at, pictures, price, currency, billing"
Sums = dict[tuple[str, int, str, str], tuple[int, ...]]


def kept(ledger: Ledger) -> Sums:
    """The sums as the database keeps them."""
    with ledger.database.read() as connection:
        rows = connection.exec_driver_sql(_KEPT).all()
    found = {(run, day, currency, billing): tuple(map(int, sums)) for run, day, currency, billing, *sums in rows}
    return {key: sums for key, sums in found.items() if any(sums)}


def summed_up(ledger: Ledger) -> Sums:
    """The same from the POSTs, one by one."""
    found: Sums = {}
    with ledger.database.read() as connection:
        for run, sent_at, currency, billing, pictures, price in connection.exec_driver_sql(_POSTS):
            key = run, int(sent_at // DAY), currency, billing
            post = 1, pictures, pictures if price is None else 0, round((price or 0) * 1e9)
            found[key] = tuple(map(sum, zip(found.get(key, (0, 0, 0, 0)), post, strict=True)))
    return found


class Story:
    """Whatever may happen to POSTs, at random.

    Args:
        change: carries out a statement that another program might.
    """

    def __init__(self, ledger: Ledger, change: Callable[[str], None], chance: random.Random) -> None:
        self.ledger, self.change, self.chance = ledger, change, chance
        self.sent: list[tuple[Purchase, int]] = []
        self.keys: list[str] = []
        self.runs = 0
        self.run = "r"

    def go_on(self) -> str:
        """One step; returns its name."""
        step = self.chance.choice([self._send] * 3 + [self._settle] * 3 + [self._take_over, self._adopt, self._other])
        step()
        return step.__name__

    def _send(self) -> None:
        key = self.chance.choice([*self.keys[-3:], f"k{len(self.keys)}"])
        self.keys.append(key)
        purchase = claim(self.ledger, key, self.run)
        if purchase.state in (PurchaseState.PLANNED, PurchaseState.AMBIGUOUS):
            price, currency = self.chance.choice([0.1, 0.07, 1 / 3, None]), self.chance.choice(["CNY", "USD"])
            limits = Limits(price=price, currency=currency, lost_answers=1_000)
            post = self.ledger.send(purchase, self.run, self.chance.randint(1, 4), limits)
            self.sent.append((self.ledger.purchase(purchase.id), post))

    def _settle(self) -> None:
        if not self.sent:
            return
        purchase, post = self.sent.pop(self.chance.randrange(len(self.sent)))
        ledger, price = self.ledger, self.chance.choice([0.5, None])
        found = selection(purchase, name=f"{purchase.request_key}-{post}.png")
        ends: list[Callable[[], object]] = [
            lambda: ledger.not_taken(purchase, post),
            lambda: ledger.not_sent(purchase, post),
            lambda: ledger.accepted(purchase, post, "task"),
            lambda: ledger.answered(purchase, post, URLS, None),
            lambda: ledger.answer_lost(purchase, post, "ambiguous", "reset"),
            lambda: ledger.saved(purchase, found),
            lambda: ledger.ended(purchase, PurchaseState.FAILED, "broken", "", "not whole"),
            lambda: ledger.read_back(purchase, paid(purchase, price=price), image_urls=URLS),
            lambda: ledger.billed(purchase, paid(purchase, price=price, request_key="unknown")),
        ]
        self.chance.choice(ends)()

    def _take_over(self) -> None:
        """The run ends, and what was on the wire may have been billed; some of it turns up."""
        self.ledger.end_run(self.run, None, None, {})
        self.runs += 1
        self.run = f"r{self.runs}"
        self.ledger.start_run(self.run, "cli")
        for purchase, post in self.sent:
            taken = claim(self.ledger, purchase.request_key, self.run)
            if taken.state == PurchaseState.AMBIGUOUS and self.chance.random() < 0.5:
                found = selection(taken, name=f"{post}.png")
                files = tuple(replace(file, origin=Origin.ADOPTED) for file in found.files)
                self.ledger.saved(taken, replace(found, files=files))
        self.sent.clear()

    def _adopt(self) -> None:
        name = f"found{self.chance.random()}"
        file = PictureFile(f"json_{name}", 0, 0, f"{name}.png", 9, "1x1", "1x1", Origin.ADOPTED, 5.0)
        at, price = self.chance.choice([1e9, time.time()]), self.chance.choice([0.3, None])
        was_paid = self.chance.random() < 0.8
        one = FoundPurchase(name, "{}", file.prompt_id, "v", "s", None, None, at, price, "CNY", was_paid, (file,))
        self.ledger.adopt(Findings((one,)))

    def _other(self) -> None:
        """Another program, or a hand."""
        self.change(
            self.chance.choice(
                [
                    "UPDATE posts SET sent_at = sent_at - 86400 WHERE id % 3 = 0",
                    "UPDATE posts SET billing = 'billed', answered_at = 7 WHERE id % 4 = 0",
                    "UPDATE posts SET price = 0.25, currency = 'EUR' WHERE id % 5 = 0",
                    "DELETE FROM posts WHERE id % 7 = 0 AND billing = 'free'",
                ]
            )
        )


@pytest.mark.parametrize("seed", range(4))
def test_the_sums_are_those_of_the_posts_after_every_step(ledger: Ledger, url: str, tmp_path: Path, seed: int) -> None:
    story = Story(ledger, lambda statement: sql(url, tmp_path, statement), random.Random(seed))
    steps: list[str] = []
    for _ in range(60):
        steps.append(story.go_on())
        assert kept(ledger) == summed_up(ledger), steps
    assert len(kept(ledger)) > 5


def test_a_step_that_fails_changes_no_sum(ledger: Ledger) -> None:
    ledger.start_run("s", "cli")
    bought(ledger)
    before = kept(ledger)
    with pytest.raises(LimitReached):
        ledger.send(claim(ledger, "new"), "r", 1, Limits(images_per_run=1))
    with pytest.raises(ZeroDivisionError), ledger.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM posts")
        raise ZeroDivisionError
    assert kept(ledger) == before != {}


def test_amounts_are_added_up_exactly(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """As floats, 99,999 times 0.1 and once more is above 10,000: the last picture of a cap would be refused."""
    earlier, last, one_more = (claim(ledger, key) for key in ("earlier", "last", "one more"))
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)"
    post = f"SELECT {earlier.id}, 'r', {time.time()}, 1, 0.1, 'CNY', 'billed' FROM n"
    sql(url, tmp_path, f"INSERT INTO posts ({_COLUMNS}) {numbers} {post}")
    limits = Limits(spend_per_run=10_000, spend_per_day=10_000, price=0.1)
    ledger.answered(last, ledger.send(last, "r", 1, limits), URLS, None)
    assert ledger.money().spent == 10_000
    with pytest.raises(LimitReached):
        ledger.send(one_more, "r", 1, limits)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield "sqlite:///new.db"
        return
    with postgres_database() as found:
        yield found


def test_an_upgraded_ledger_has_the_sums_of_its_posts(new_url: str, tmp_path: Path) -> None:
    ledger_of_version("0005", tmp_path, new_url)
    columns = "id, request_key, request, state, created_at, updated_at"
    sql(new_url, tmp_path, f"INSERT INTO purchases ({columns}) VALUES (99, 'k', '', 'saved', 1, 1)")
    now = time.time()
    for at, price, billing in [(now, "0.1", "billed"), (now, "NULL", "free"), (now, "0.2", "billed"), (5, "1", "sent")]:
        post = f"99, 'old', {at}, 2, {price}, 'CNY', '{billing}'"
        sql(new_url, tmp_path, f"INSERT INTO posts ({_COLUMNS}) VALUES ({post})")
    with closing(Ledger(new_url, tmp_path)) as ledger:
        assert kept(ledger) == summed_up(ledger)
        assert len(kept(ledger)) == 3
        ledger.start_run("s", "cli")
        limits = Limits(spend_per_day=0.3, price=0.1)
        with pytest.raises(LimitReached, match=r"DUOMI_MAX_SPEND_PER_DAY=0.3 is reached \(0.3 CNY used\)"):
            ledger.send(claim(ledger, "k2", "s"), "s", 1, limits)


def test_a_copy_has_the_sums_of_its_posts_and_nothing_of_what_it_replaced(opened: Opener, tmp_path: Path) -> None:
    ledger = opened()
    ledger.start_run("r", "cli")
    for number in range(3):
        bought(ledger, f"k{number}")
    ledger.end_run("r", None, None, {})
    with closing(Ledger("sqlite:///other.db", tmp_path)) as other:
        for source, target, replace in ((ledger, other, False), (other, ledger, True)):
            copy_ledger(source, target, replace=replace, is_backup=replace)
            assert kept(target) == summed_up(target) == kept(source) != {}


def test_who_sends_does_not_wait_for_the_sums_of_another_ones_transaction(postgres_url: str, tmp_path: Path) -> None:
    """The other one is of the same run, and its request of the same day."""
    with closing(Ledger(postgres_url, tmp_path)) as first, closing(Ledger(postgres_url, tmp_path)) as second:
        first.start_run("r", "cli")
        old = claim(first, "old")
        first.send(old, "r", 1, NO_LIMITS)
        with first.database.write("old") as connection, ThreadPoolExecutor(1) as pool:
            connection.exec_driver_sql("UPDATE posts SET billing = 'free'")
            assert pool.submit(bought, second, "new").result(timeout=20).state == "saved"
        assert kept(first) == summed_up(first)
