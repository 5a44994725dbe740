"""What was spent by day, model and source, and how fast pictures came: on both databases."""

import json
import random
import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from duomi_pipeline.ledger import Billing, DaySpend, Ledger, Limits, Origin, PictureFile, RunCost, RunPace, Selection
from duomi_pipeline_tests.ledger.test_leases import sql
from duomi_pipeline_tests.ledger.test_totals import DAY, Story, summed_up

NOON = 20_000 * DAY + DAY / 2


def request(model: str, prompt: str, host_kind: str = "service") -> str:
    """The text of a request, as it is recorded."""
    content = {"body": {"model": model, "prompt": prompt}, "host_kind": host_kind, "protocol": "openai"}
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class Shop:
    """Buys pictures at times of one's choice.

    Args:
        url, home: of the ledger's database, in which the times are set.
    """

    def __init__(self, ledger: Ledger, url: str, home: Path) -> None:
        self._ledger, self._url, self._home = ledger, url, home

    def buy(
        self,
        prompt_id: str,
        content: str,
        sent_at: float = NOON,
        seconds: float = 10.0,
        run: str = "r",
        limits: Limits = Limits(price=0.1),  # noqa: B008 - frozen
    ) -> None:
        """A picture that was asked for at a time, and saved so many seconds later."""
        ledger, key = self._ledger, f"{prompt_id} {content} {sent_at}"[:64]
        purchase = ledger.claim(key, content, run)
        post = ledger.send(purchase, run, 1, limits)
        ledger.answered(purchase, post, ["https://files.example/a.png"], None)
        file = PictureFile(
            prompt_id, purchase.id, 0, f"{purchase.id}.png", 9, "1x1", "1x1", Origin.GENERATED, sent_at + seconds
        )
        found = Selection(prompt_id, purchase.id, key, "v", "s", time.time(), (file,))
        ledger.saved(ledger.purchase(purchase.id), found)
        sql(self._url, self._home, f"UPDATE posts SET sent_at = {sent_at!r} WHERE id = {post}")


@pytest.fixture
def shop(ledger: Ledger, url: str, tmp_path: Path) -> Shop:
    return Shop(ledger, url, tmp_path)


def words(rows: list[DaySpend]) -> list[tuple[date, str | None, str | None, int, float]]:
    return [(row.day, row.model, row.source, row.bill.pictures, row.bill.amount) for row in rows]


@pytest.mark.parametrize("seed", range(2))
def test_the_sums_by_day_are_those_of_the_posts_whatever_happened(
    ledger: Ledger, url: str, tmp_path: Path, seed: int
) -> None:
    story = Story(ledger, lambda statement: sql(url, tmp_path, statement), random.Random(seed))
    for _ in range(80):
        story.go_on()

    found: Counter[tuple[date, str, str]] = Counter()
    unpriced: Counter[tuple[date, str, str]] = Counter()
    for row in ledger.spend.by_day():
        found[row.day, row.bill.currency, row.bill.billing] += round(row.bill.amount * 1e9)
        unpriced[row.day, row.bill.currency, row.bill.billing] += row.bill.unpriced

    expected: Counter[tuple[date, str, str]] = Counter()
    without: Counter[tuple[date, str, str]] = Counter()
    for (_, day, currency, billing), (_, _, missing, billionths) in summed_up(ledger).items():
        if billing != Billing.FREE:
            key = datetime.fromtimestamp(day * DAY, UTC).date(), currency, billing
            expected[key] += billionths
            without[key] += missing
    assert (found, unpriced) == (expected, without)
    assert len(found) > 3


def test_each_day_model_and_source_has_its_row_the_latest_day_first(ledger: Ledger, shop: Shop) -> None:
    midnight, one, other = 20_000 * DAY, "a/one", 'b/"other"'
    shop.buy("db_1", request(one, 'a sign that says "model":"c/none"'), midnight - 0.001)
    shop.buy("db_2", request(one, "NUL \0 and a half \\"), midnight)
    shop.buy("json_a", request(one, "a"), midnight + DAY - 0.001)
    shop.buy("json_b", request(other, "b"), midnight)
    shop.buy("probe_c", request(one, "c"), midnight)
    shop.buy("json_d", request(one, "d", "sandbox"), midnight, limits=Limits(price=0.0))

    rows = ledger.spend.by_day()

    before, day = date(2024, 10, 3), date(2024, 10, 4)
    paid = [row for row in rows if not row.is_sandbox]
    assert [row for row in words(paid) if row[1] == one] == [
        (day, one, "database", 1, 0.1),
        (day, one, "json", 1, 0.1),
        (day, one, "probe", 1, 0.1),
        (before, one, "database", 1, 0.1),
    ]
    assert len(paid) == 5  # a model with quotes is one of its own, however it is written
    assert words([row for row in rows if row.is_sandbox]) == [(day, one, "json", 1, 0.0)]
    assert {row.day for row in ledger.spend.by_day(midnight + 5)} == {day}


def test_a_lost_answer_is_of_no_source_and_maybe_billed(ledger: Ledger) -> None:
    purchase = ledger.claim("k", request("a/one", "a"), "r")
    ledger.answer_lost(purchase, ledger.send(purchase, "r", 1, Limits(price=None)), "lost_answer", "reset")

    (row,) = ledger.spend.by_day()

    assert (row.model, row.source, row.bill.billing, row.bill.unpriced) == ("a/one", None, Billing.AMBIGUOUS, 1)


def test_the_pace_is_of_the_latest_runs_with_that_model_at_that_service(ledger: Ledger, shop: Shop) -> None:
    ledger.start_run("s", "cli")
    for second in range(4):
        shop.buy(f"json_{second}", request("a/one", "a"), NOON + second, seconds=8.0)
    shop.buy("json_5", request("a/one", "b"), NOON + 100, seconds=5.0, run="s")
    shop.buy("json_6", request("a/other", "b"), NOON + 100, seconds=90.0, run="s")
    shop.buy("json_7", request("a/one", "b", "sandbox"), NOON + 100, seconds=0.5, run="s")

    assert ledger.spend.paces("a/one", "service", 5) == [RunPace(1, 1, 5.0, 5.0), RunPace(4, 4, 11.0, 8.0)]
    assert ledger.spend.paces("a/one", "service", 1) == [RunPace(1, 1, 5.0, 5.0)]
    assert ledger.spend.paces("a/none", "service", 5) == []


def test_what_another_run_finished_says_nothing_about_the_pace(ledger: Ledger) -> None:
    purchase = ledger.claim("k", request("a/one", "a"), "r")
    ledger.accepted(purchase, ledger.send(purchase, "r", 1, Limits(price=0.1)), "task")
    ledger.end_run("r", None, None, {})
    ledger.start_run("s", "cli")
    taken = ledger.claim("k", purchase.request, "s")
    ledger.answered(taken, None, ["https://files.example/a.png"], None)
    file = PictureFile("json_a", taken.id, 0, "a.png", 9, "1x1", "1x1", Origin.GENERATED, time.time() + DAY)
    ledger.saved(ledger.purchase(taken.id), Selection("json_a", taken.id, "k", "v", "s", time.time(), (file,)))

    assert ledger.spend.paces("a/one", "service", 5) == []


def test_runs_that_cost_nothing_are_not_among_the_last(ledger: Ledger, shop: Shop) -> None:
    for number, (run, price) in enumerate([("s", 0.1), ("t", 0.0), ("u", None)]):
        ledger.start_run(run, "cli")
        for prompt in range(number + 1):
            shop.buy(f"json_{run}{prompt}", request("a/one", run), run=run, limits=Limits(price=price))

    assert ledger.spend.run_costs(5) == [RunCost(3, None, "CNY"), RunCost(1, 0.1, "CNY")]
    assert ledger.spend.run_costs(5, but="u") == [RunCost(1, 0.1, "CNY")]
    assert ledger.spend.run_costs(1) == [RunCost(3, None, "CNY")]
