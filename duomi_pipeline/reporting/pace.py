"""How long requests would take: at the pace of the last runs, and at least, under the limits on requests."""

from collections.abc import Sequence
from statistics import median

from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.ledger import RunPace
from duomi_pipeline.settings import Settings

_SHORTEST = 1e-3  # seconds; a clock that was set back gives less than none


def pictures_per_second(runs: Sequence[RunPace], concurrency: int) -> float | None:
    """The pace of some runs: the median over their pictures, so that no odd run decides. `None` without a run.

    Args:
        runs: of one model.
        concurrency: requests in flight now.
    """
    found = [_pace_of(run, concurrency) for run in runs for _ in range(run.pictures)]
    return median(found) if found else None


def _pace_of(run: RunPace, concurrency: int) -> float:
    """A run of fewer requests than may be in flight says how long one takes, not how many come in that time."""
    if run.requests < concurrency:
        return concurrency * run.pictures / run.requests / max(run.latency, _SHORTEST)
    return run.pictures / max(run.seconds, _SHORTEST)


def seconds_of(requests: Sequence[ImageRequest], runs: Sequence[RunPace], concurrency: int) -> float | None:
    """How long requests to one model take at the pace of its runs: not less than one of them. `None` without a run."""
    pace = pictures_per_second(runs, concurrency)
    if pace is None:
        return None
    return max(sum(request.pictures for request in requests) / pace, median(run.latency for run in runs))


def least_seconds(requests: int, settings: Settings) -> tuple[float, str]:
    """What the limits on requests make so many take at least, and the limit that does; 0 and no limit without."""
    waits = [((requests - 1) * settings.delay, f"DUOMI_DELAY={settings.delay:g}")]
    if (per_minute := settings.requests_per_minute) is not None:
        waits.append(((requests - 1) // per_minute * 60.0, f"DUOMI_REQUESTS_PER_MINUTE={per_minute}"))
    seconds, limit = max(waits)
    return (seconds, limit) if seconds > 0 else (0.0, "")


def span(seconds: float) -> str:
    """A time in words: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"
