"""What requests would cost and how long they would take, said before they are sent.

Prices are those of today, the pace is that of the last runs. Nothing is stopped here: caps do that, in the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from duomi_pipeline.common.amounts import known_sum
from duomi_pipeline.common.text import counted, one_line
from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.ledger import Ledger
from duomi_pipeline.reporting.caps import first_cap
from duomi_pipeline.reporting.pace import least_seconds, pictures_per_second, seconds_of, span
from duomi_pipeline.reporting.receipt import amount
from duomi_pipeline.reporting.unusual import why_unusual
from duomi_pipeline.settings import SANDBOX, Settings

_LAST_RUNS = 5  # whose pace counts
_MAX_NAME = 100  # characters of a model's name in a text


@dataclass(frozen=True)
class ModelEstimate:
    """The requests to one model.

    Attributes:
        cost: in the settings' currency, `None` where a price is unknown.
        pictures_per_minute: pace of its last runs, `None` if there was none lately.
        runs: how many runs that is the pace of.
    """

    model: str
    requests: int
    pictures: int
    cost: float | None
    pictures_per_minute: float | None
    runs: int


@dataclass(frozen=True)
class ReachedCap:
    """The cap that is reached first, and what it lets through; `setting` has its value."""

    setting: str
    requests: int
    pictures: int
    cost: float | None


@dataclass(frozen=True)
class Estimate:
    """What requests would cost, and how long they would take.

    Attributes:
        service: `sandbox`, `local` or `service`.
        requests, pictures, cost: of all, whatever caps let through; the cost is `None` where a price is unknown.
        models: the same by model.
        seconds: for what caps let through; `None` if there was no run lately with one of the models.
        least_seconds, slowed_by: where a limit on requests decides the time: what it makes it at least, and the limit.
        cap: the cap that stops it early, if one does.
        warning: why it costs more than usual; empty if it does not.
    """

    service: str
    currency: str
    requests: int
    pictures: int
    cost: float | None
    models: tuple[ModelEstimate, ...]
    seconds: float | None
    least_seconds: float
    slowed_by: str
    cap: ReachedCap | None
    warning: str

    def as_json(self) -> dict[str, Any]:
        """The estimate as JSON values."""
        return dict(TypeAdapter(Estimate).dump_python(self, mode="json"))

    def as_lines(self) -> list[str]:
        """The estimate as lines of text, without the warning; none where nothing would be sent."""
        if not self.requests:
            return []
        lines = [
            f"{counted(one.pictures, 'picture')} with {one_line(one.model, _MAX_NAME)}: {self._money(one.cost)}"
            for one in self.models
        ]
        if self.cap:
            through = counted(self.cap.pictures, "picture")
            lines.append(f"Stops early: {self.cap.setting} lets {through} through, cost: {self._money(self.cap.cost)}")
            if not self.cap.requests:
                return lines
        return [*lines, f"Time: {self._time()}"]

    def _money(self, cost: float | None) -> str:
        return "free" if self.service == SANDBOX else amount(cost, self.currency)

    def _time(self) -> str:
        if self.seconds is None:
            missing = ", ".join(one_line(one.model, _MAX_NAME) for one in self.models if not one.runs)
            least = f"; at least {span(self.least_seconds)} by {self.slowed_by}" if self.slowed_by else ""
            return f"not known, no recent run with {missing} to go by{least}"
        if self.slowed_by:
            return f"about {span(self.seconds)}, by {self.slowed_by}"
        known = (one.pictures_per_minute for one in self.models)  # a cap may let none of a model through
        paces = " and ".join(f"{pace:,.0f}" if pace >= 10 else f"{pace:.2g}" for pace in known if pace is not None)
        return f"about {span(self.seconds)} at the pace of the last runs ({paces} pictures/min)"


def estimate(
    ledger: Ledger,
    settings: Settings,
    requests: Sequence[ImageRequest],
    *,
    max_images: int | None = None,
    runs: int = 1,
    run_id: str | None = None,
) -> Estimate:
    """Estimate what requests would cost and how long they would take. Nothing is sent or written.

    Args:
        requests: those that would be sent, such as `engine.plan.requests_to_buy` gives.
        max_images: the run's own cap on pictures.
        runs: among how many runs they are shared out; each may use the caps of a run.
        run_id: of the run that sends them: it is not one of the last ones.
    """
    by_model = _by_model(requests)
    paces = {model: ledger.spend.paces(model, settings.host_kind, _LAST_RUNS) for model in by_model}
    let_through, cap = first_cap(ledger, settings, requests, max_images, runs)
    sent = requests[:let_through]
    seconds = known_sum(
        seconds_of(some, paces[model], settings.max_concurrency) for model, some in _by_model(sent).items()
    )
    least, limit = least_seconds(len(sent), settings)
    is_slowed = seconds is None or least > seconds
    pictures, cost = _pictures(sent), known_sum(request.cost for request in sent)
    return Estimate(
        service=settings.host_kind,
        currency=settings.currency,
        requests=len(requests),
        pictures=_pictures(requests),
        cost=known_sum(request.cost for request in requests),
        models=tuple(
            ModelEstimate(
                model,
                len(some),
                _pictures(some),
                known_sum(request.cost for request in some),
                _per_minute(pictures_per_second(paces[model], settings.max_concurrency)),
                len(paces[model]),
            )
            for model, some in by_model.items()
        ),
        seconds=None if seconds is None else max(seconds, least),
        least_seconds=least if is_slowed else 0.0,
        slowed_by=limit if is_slowed else "",
        cap=ReachedCap(cap, len(sent), pictures, cost) if cap else None,
        warning=why_unusual(ledger, settings, len(sent), pictures, cost, run_id),
    )


def _by_model(requests: Sequence[ImageRequest]) -> Mapping[str, Sequence[ImageRequest]]:
    found: dict[str, list[ImageRequest]] = {}
    for request in requests:
        found.setdefault(request.model, []).append(request)
    return found


def _pictures(requests: Sequence[ImageRequest]) -> int:
    return sum(request.pictures for request in requests)


def _per_minute(pace: float | None) -> float | None:
    return None if pace is None else 60 * pace
