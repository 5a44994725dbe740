"""Asks the service which models answer: one small picture of each, bought like any other, and once.

The pictures belong to prompts `probe_…` that stand in no source: no run asks for them again, the gallery shows them
as retired.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from duomi_pipeline.duomi import ErrorClass
from duomi_pipeline.duomi.profiles import Profile, Ranged, profile_of
from duomi_pipeline.duomi.reactions import Verdict
from duomi_pipeline.engine.outcome import Outcome, Status, Stop
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.session import Session
from duomi_pipeline.engine.states import State
from duomi_pipeline.ledger import Selection
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.prompts.prompt import safe_name, safe_prefix
from duomi_pipeline.reporting.run_log import RunLog, run_batch
from duomi_pipeline.settings import ParameterOverrides, Settings, Size

# One request per model, of that model and no other, and no second try.
ONE_TRY: Mapping[str, Any] = {"max_attempts": 1, "ambiguous_retries": 0, "fallback_models": ()}
_TEXT = "A red paper boat on a calm lake"
_SMALL = Size(512, 512)

_DISABLED = "30003"  # a model that is there, and not served at the moment


@dataclass(frozen=True)
class Probe:
    """The result of one model.

    Attributes:
        message: the service's words, or ours; empty where it answers.
        seconds: until its picture was saved.
        size: as the service sent it, `WxH`.
        saved_path: of its picture.
    """

    model: str
    verdict: Verdict
    message: str = ""
    seconds: float | None = None
    size: str | None = None
    saved_path: str | None = None

    @property
    def answers(self) -> bool:
        """Whether it makes pictures, as far as is known."""
        return self.verdict in ("answers", "answered before")


def probe_prompt(settings: Settings, model: str) -> Prompt:
    """The smallest request that a model takes; the same each time, so that it is paid once."""
    profile = profile_of(settings, model)
    parameters = ParameterOverrides(
        model=model,
        image_size=str(_smallest(profile)),
        negative_prompt="",
        batch_size=1,
        num_inference_steps=int(_within(profile, "num_inference_steps", 1)),
        guidance_scale=_within(profile, "guidance_scale", 7.5),
        seed=int(_within(profile, "seed", 1)),
    )
    return Prompt(
        id=f"probe_{safe_name(model, 90)}",
        text=_TEXT,
        source="single_prompt",
        origin="duomi models --probe",
        file_prefix=safe_prefix(f"probe_{model}"),
        overrides=parameters,
    )


def ask(
    session: Session, entries: Sequence[PlannedPrompt], report: Callable[[Probe], None], *, force: bool = False
) -> list[Probe]:
    """Ask one model after the other, each in a batch of its own: a refusal of one does not concern the next.

    Args:
        entries: plans of `probe_prompt`s, under settings with `ONE_TRY`.
        report: called with each result as soon as it is known.
        force: also ask models whose picture exists.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; what was in flight has been finished and recorded.
    """
    found: list[Probe] = []
    to_ask = to_be_asked(entries, force=force)
    log, over = RunLog(session, to_ask), None
    with log.written():
        for entry in entries:
            before = len(log.outcomes)
            if entry in to_ask and over is None:
                stop = run_batch(session, [entry], ParameterOverrides(), log, force=force)
                over = stop if stop is not None and stop.by != "service" else None
                found.append(_probe(session, entry, log.outcomes[before:], stop))
            elif entry in to_ask:
                found.append(Probe(entry.request.model, "not asked", over.message if over else ""))
            else:
                found.append(_answered_before(session, entry.request.model, entry.selection))
            report(found[-1])
    return found


def to_be_asked(entries: Iterable[PlannedPrompt], *, force: bool) -> list[PlannedPrompt]:
    """The entries without a picture, or all with `force`."""
    return [entry for entry in entries if force or entry.state is not State.CURRENT or entry.resumes]


def _probe(session: Session, entry: PlannedPrompt, outcomes: Sequence[Outcome], stop: Stop | None) -> Probe:
    model = entry.request.model
    if stop is not None and not outcomes:
        return Probe(model, _of_stop(stop), stop.message)
    (outcome,) = outcomes
    if outcome.failure is not None:
        failure = outcome.failure
        return Probe(model, _verdict(failure.error_class, failure.code), str(failure), round(outcome.latency, 2))
    if outcome.status == Status.REUSED:
        return _answered_before(session, model, outcome.selection)
    first = outcome.files[0]
    return Probe(
        model, "answers", "", round(outcome.latency, 2), first.received_size, session.store.location(first.file)
    )


def _of_stop(stop: Stop) -> Verdict:
    """What ends a run of one request that has parameters of its own: key, balance or the day's requests; or ours."""
    if stop.error_class is not None:
        return _verdict(stop.error_class, stop.code)
    return "not saved" if stop.by == "store" else "not asked"


def _verdict(error_class: ErrorClass, code: str) -> Verdict:
    return "disabled" if code == _DISABLED else error_class.policy.verdict


def _answered_before(session: Session, model: str, selection: Selection | None) -> Probe:
    if selection is None:
        raise RuntimeError(f"{model} is current without a picture")
    first = selection.files[0]
    on = datetime.fromtimestamp(first.saved_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    path = session.store.location(first.file)
    return Probe(model, "answered before", f"on {on}; --force asks again", None, first.received_size, path)


def _smallest(profile: Profile) -> Size:
    if sizes := profile.size_rule.sizes:
        return min(sizes, key=lambda size: size.width * size.height)
    return profile.size_rule.nearest(_SMALL) or _SMALL


def _within(profile: Profile, name: Ranged, wanted: float) -> float:
    low, high = profile.ranges.get(name, (wanted, wanted))
    return min(max(wanted, low), high)
