"""What Prometheus is told: the ledger's sums, prompts by state, what cannot be read. Needs the extra `metrics`.

What each metric means, and which alerts are made of them: `docs/monitoring.md`.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from duomi_pipeline.engine import Session, State
from duomi_pipeline.ledger import Billing, BillSum, Figures, LedgerError, Origin, PurchaseState
from duomi_pipeline.settings import Settings, SettingsError

PACE_WINDOW = 300.0  # seconds over which the pace is averaged
LOOK_EVERY = 60.0  # seconds between two looks at register and folder: with 100,000 prompts one takes 6
_FAILURES = (PurchaseState.REFUSED, PurchaseState.FAILED)
_COUNTED = (Billing.BILLED, Billing.SENT, Billing.AMBIGUOUS)  # what caps on money count


def registry(settings: Settings) -> CollectorRegistry:
    """A registry of these metrics alone; they are read anew at each scrape."""
    found = CollectorRegistry(auto_describe=False)
    found.register(_Home(settings))
    return found


class _Home(Collector):
    """The metrics of a home. What cannot be read is missing, and a metric says that; it never counts as 0."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scraping = threading.Lock()
        self._looked_at: float | None = None
        self._prompts: Sequence[Metric] = ()

    def describe(self) -> Sequence[Metric]:
        """Nothing in advance: the ledger is not opened before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they are now."""
        about = {"version": version("duomi-pipeline"), "service": self._settings.host_kind}
        yield InfoMetricFamily("duomi", "This installation", about)
        with self._scraping:
            found, is_readable = self._read()
        yield GaugeMetricFamily("duomi_ledger_readable", "Whether the ledger can be read: 1 or 0", int(is_readable))
        yield from found

    def _read(self) -> tuple[Sequence[Metric], bool]:
        try:
            with Session(self._settings) as session:
                return [*self._of_ledger(session), *self._of_prompts(session)], True
        except LedgerError:
            return (), False

    def _of_ledger(self, session: Session) -> Iterator[Metric]:
        now = time.time()
        day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        figures = session.ledger.figures(day=day, lately=now - PACE_WINDOW)
        yield from _pictures(figures)
        yield from _bills(figures.bills, self._settings.currency)
        yield from _today(figures.bills_today, self._settings)
        yield from _purchases(figures)
        alive = sum(not session.ledger.is_gone(run_id) for run_id in figures.unended)
        yield GaugeMetricFamily("duomi_runs_alive", "Runs whose process lives", alive)
        if figures.last_run_ended_at is not None:
            yield _time("duomi_last_run_ended", "When a run ended last", figures.last_run_ended_at)
            stopped = GaugeMetricFamily("duomi_last_run_stopped", "1: something stopped it early", labels=["by"])
            stopped.add_metric([figures.last_run_stopped_by or ""], int(figures.last_run_stopped_by is not None))
            yield stopped

    def _of_prompts(self, session: Session) -> Sequence[Metric]:
        """Prompts by state, and what can be read; `LOOK_EVERY` old at most."""
        now = time.time()
        if self._looked_at is None or now - self._looked_at > LOOK_EVERY:
            self._prompts = [
                *self._look(session),
                _time("duomi_looked", "When both were looked at", now),
            ]
            self._looked_at = now
        return self._prompts

    def _look(self, session: Session) -> Iterator[Metric]:
        yield from _sources(session)
        readable = GaugeMetricFamily("duomi_readable", "Whether it can be read: 1 or 0", labels=["part"])
        try:
            plan = session.plan_registered()
        except SettingsError:
            readable.add_metric(["settings"], 0)
        else:
            readable.add_metric(["settings"], 1)
            readable.add_metric(["pictures"], int(not plan.is_blind))
            yield GaugeMetricFamily("duomi_folder_lost", "1: it looks lost, nothing is bought", int(bool(plan.stop)))
            states = GaugeMetricFamily("duomi_prompts", "Prompts by state", labels=["state"])
            for state in State:
                states.add_metric([state.value], plan.counts[state])
            yield states
        yield readable


def _sources(session: Session) -> Iterator[Metric]:
    """What the looks at the sources found. Nobody looks for the metrics: other machines do not have the sources."""
    believed = GaugeMetricFamily("duomi_source_believed", "1: the last look read and believed it", labels=["source"])
    left_out = GaugeMetricFamily("duomi_prompts_left_out", "Rows and files that give no prompt", labels=["source"])
    for source, look in session.ledger.register.last_looks().items():
        believed.add_metric([source.value], int(look.problem is None))
        left_out.add_metric([source.value], look.left_out)
    when = _time("duomi_source_looked", "When a look read and believed it last", labels=["source"])
    for source, look in session.ledger.register.last_good_looks().items():
        when.add_metric([source.value], look.looked_at)
    yield from (believed, left_out, when)


def _pictures(figures: Figures) -> Iterator[Metric]:
    saved = CounterMetricFamily("duomi_pictures_saved", "Picture files recorded, by origin", labels=["origin"])
    for origin in Origin:
        saved.add_metric([origin.value], figures.saved.get(origin, 0))
    yield saved
    pace = figures.saved_lately / (PACE_WINDOW / 60)
    yield GaugeMetricFamily("duomi_pictures_per_minute", "Generated, averaged over the last five minutes", pace)
    if figures.last_saved_at is not None:
        yield _time("duomi_last_picture", "When the latest picture was recorded", figures.last_saved_at)


def _bills(bills: Sequence[BillSum], here: str) -> Iterator[Metric]:
    in_flight = sum(bill.posts for bill in bills if bill.billing is Billing.SENT)
    yield GaugeMetricFamily("duomi_requests_in_flight", "Requests sent whose answer is not recorded", in_flight)
    billed = CounterMetricFamily("duomi_pictures_billed", "Pictures that were billed", labels=["currency"])
    maybe = CounterMetricFamily("duomi_pictures_maybe_billed", "Pictures whose answer was lost", labels=["currency"])
    spent = CounterMetricFamily("duomi_spent", "Known prices of billed pictures", labels=["currency"])
    maybe_spent = CounterMetricFamily("duomi_maybe_spent", "The same of lost answers", labels=["currency"])
    for currency in sorted({bill.currency for bill in bills} | {here}):
        for billing, pictures, amount in ((Billing.BILLED, billed, spent), (Billing.AMBIGUOUS, maybe, maybe_spent)):
            these = [bill for bill in bills if (bill.billing, bill.currency) == (billing, currency)]
            pictures.add_metric([currency], sum(bill.pictures for bill in these))
            amount.add_metric([currency], sum(bill.amount for bill in these))
    unpriced = sum(bill.unpriced for bill in bills if bill.billing is Billing.BILLED)
    yield from (billed, maybe, spent, maybe_spent)
    yield CounterMetricFamily("duomi_pictures_billed_unpriced", "Billed pictures without a price", value=unpriced)


def _today(bills: Sequence[BillSum], settings: Settings) -> Iterator[Metric]:
    spent: dict[str, float] = {settings.currency: 0.0}
    for bill in bills:
        if bill.billing in _COUNTED:
            spent[bill.currency] = spent.get(bill.currency, 0.0) + bill.amount
    today = GaugeMetricFamily("duomi_spent_today", "What the day's cap counts, since 00:00 UTC", labels=["currency"])
    for currency, amount in spent.items():
        today.add_metric([currency], amount)
    yield today
    yield GaugeMetricFamily("duomi_requests_today", "Requests sent since 00:00 UTC", sum(bill.posts for bill in bills))
    caps: Mapping[str, float | None] = {
        "duomi_spent_today_cap": settings.max_spend_per_day,
        "duomi_requests_today_cap": settings.requests_per_day,
    }
    for name, cap in caps.items():
        if cap is not None:
            yield GaugeMetricFamily(name, "The cap of this day, from the settings", cap)


def _purchases(figures: Figures) -> Iterator[Metric]:
    by_state = GaugeMetricFamily("duomi_requests", "Requests by the state of their latest purchase", labels=["state"])
    for state in PurchaseState:
        count = sum(count for (found, _), count in figures.purchases.items() if found is state)
        by_state.add_metric([state.value], count)
    failed = GaugeMetricFamily("duomi_requests_failed", "Failed requests by error class", labels=["error_class"])
    for error_class in sorted({kind or "" for state, kind in figures.purchases if state in _FAILURES}):
        counts = (figures.purchases.get((state, error_class or None), 0) for state in _FAILURES)
        failed.add_metric([error_class], sum(counts))
    yield from (by_state, failed)
    if figures.oldest_ready_at is not None:
        yield _time("duomi_oldest_unsaved", "When the oldest paid picture not yet saved came", figures.oldest_ready_at)


def _time(name: str, text: str, seconds: float | None = None, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{name}_timestamp_seconds", f"{text}, in seconds since 1970", seconds, labels or None)
