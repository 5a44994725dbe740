"""What a person asks for on the page: what it would send and cost, and what it records before it is carried out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from duomi_pipeline.common.text import counted
from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.engine import FAILED, NOT_CURRENT, Plan, PlannedPrompt, Session
from duomi_pipeline.engine.plan import requests_to_buy, total_cost
from duomi_pipeline.maintenance.choices import Choice, ChoiceError, choose, keep, with_parameters
from duomi_pipeline.maintenance.reroll import plan_reroll
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.prompts.overrides import Overrides, record_overrides
from duomi_pipeline.prompts.parameters import BadParametersError, checked_parameters
from duomi_pipeline.prompts.sources import own_prompt, recorded_overrides
from duomi_pipeline.settings import ParameterOverrides, Settings


class Kind(StrEnum):
    """What is asked for."""

    AGAIN = "again"  # another picture, with another seed; of a prompt without a current one the picture it lacks
    RETRY = "retry"  # failed prompts once more
    KEEP = "keep"  # an earlier picture as the prompt's own
    PARAMETERS = "parameters"  # other parameters as one prompt's own, and the picture of them


class Action(BaseModel):
    """One request of the page.

    Attributes:
        pictures: prompt ids, each with the picture that the person saw, `None` where there was none: a prompt that has
            another one since is left alone.
        parameters: of one prompt, by name; `None`: the settings' own again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    pictures: Mapping[str, str | None] = Field(min_length=1)
    parameters: Mapping[str, Any] = Field(default_factory=dict)


class Confirmation(BaseModel):
    """The page's word that an action it asked for is meant."""

    model_config = ConfigDict(frozen=True)

    ticket: str


class RefusedError(ValueError):
    """Nothing of an action can be done; the text says why."""


@dataclass(frozen=True)
class Terms:
    """What a person confirms.

    Attributes:
        service: to which requests go; empty where none does.
        cost: of these requests; `None` if a price is unknown.
        contents: what they ask for, but for the seed, which is drawn anew.
    """

    service: str
    prompts: int
    requests: int
    pictures: int
    cost: float | None
    currency: str
    contents: frozenset[str]

    def allow(self, now: "Terms") -> bool:
        """Whether what would be done now is all of this, nothing else, nowhere else, and not dearer as far as known."""
        if (now.service, now.currency) != (self.service, self.currency) and now.requests:
            return False
        if not now.contents <= self.contents:
            return False
        if now.prompts < self.prompts or now.pictures > self.pictures:
            return False
        return now.cost == self.cost or (now.cost is not None and self.cost is not None and now.cost < self.cost)


@dataclass(frozen=True)
class Prepared:
    """An action under the present prompts, settings and pictures. Nothing is recorded or sent yet.

    Attributes:
        plan: of its prompts, as they will be once `record` was called.
        wanted: those that get a picture.
        forced: current pictures are bought again, too: their model takes no seed.
        notes: what a person should know before it is done.
        known: what was recorded before seeds were drawn; see `record_overrides`.
    """

    plan: Plan
    wanted: list[PlannedPrompt]
    own: Mapping[str, Mapping[str, Any]]
    choices: Sequence[Choice] = ()
    forced: bool = False
    notes: tuple[str, ...] = ()
    known: Overrides | None = None

    @property
    def requests(self) -> list[ImageRequest]:
        """What would be sent; nothing for pictures that are kept."""
        if self.choices:
            return []
        every = {entry.request.key: entry.request for entry in self.wanted}
        return list((every if self.forced else requests_to_buy(self.wanted)).values())

    def terms(self, settings: Settings) -> Terms:
        """What a person has to confirm under these settings."""
        requests = self.requests
        return Terms(
            settings.service_identity if requests else "",
            len(self.wanted),
            len(requests),
            sum(request.pictures for request in requests),
            total_cost(requests),
            settings.currency,
            frozenset(map(_without_seed, requests)),
        )

    def record(self, session: Session) -> None:
        """Record what was chosen as the prompts' own: before anything is bought, so that it survives a kill.

        Raises:
            SourceError: it cannot be recorded.
            ChoiceError: a picture to keep is gone or damaged.
        """
        if self.choices:
            keep(session, self.choices)
        elif self.own:
            settings = session.settings
            record_overrides(settings.path(settings.overrides_file), self.own, self.known)


def _without_seed(request: ImageRequest) -> str:
    body = {name: value for name, value in request.body.items() if name != "seed"}
    return json.dumps({**request.content, "body": body}, sort_keys=True)


def prepare(session: Session, prompts: Sequence[Prompt], action: Action) -> Prepared:
    """What an action does to its prompts, all of whom are among those given.

    Raises:
        RefusedError: it cannot be done, for any of its prompts.
        SettingsError: a model does not accept a value.
    """
    mine = [prompt for prompt in prompts if prompt.id in action.pictures]
    if not mine:
        raise RefusedError("None of these prompts is there any more.")
    if action.kind is Kind.AGAIN:
        return _again(session, mine, action)
    if action.kind is Kind.KEEP:
        return _kept(session, mine, action)
    if action.kind is Kind.PARAMETERS:
        return _with_parameters(session, mine[0], action.parameters)
    plan = session.plan(mine)
    return Prepared(plan, plan.wanted(FAILED), {})


@dataclass(frozen=True)
class Form:
    """The parameters of one prompt as they can be edited, by name.

    Attributes:
        recorded: those recorded as its own.
        below: those that hold where none is recorded.
    """

    recorded: Mapping[str, Any]
    below: Mapping[str, Any]
    help: Mapping[str, str]


def form_of(settings: Settings, prompt_id: str) -> Form:
    """The form for a prompt.

    Raises:
        RefusedError: there is no such prompt.
    """
    recorded = recorded_overrides(settings).by_id.get(prompt_id, ParameterOverrides())
    below = _as_its_source_says(settings, prompt_id).overrides.over(settings.parameters)
    fields = ParameterOverrides.model_fields
    return Form(recorded.explicit(), below.model_dump(), {name: fields[name].description or "" for name in fields})


def _again(session: Session, prompts: Sequence[Prompt], action: Action) -> Prepared:
    known = recorded_overrides(session.settings)
    now, lacking = session.plan(prompts), {key for key, picture in action.pictures.items() if picture is None}
    reroll = plan_reroll(now, {key: picture for key, picture in action.pictures.items() if key not in lacking})
    own = reroll.own() | dict.fromkeys(lacking - now.current, ParameterOverrides())
    plan = session.plan([with_parameters(prompt, own[prompt.id]) for prompt in prompts if prompt.id in own])
    done = len(reroll.done) + len(lacking & now.current)
    notes = (f"{counted(done, 'prompt')} left alone: another picture is there by now.",) if done else ()
    changes = {prompt_id: explicit for prompt_id, one in own.items() if (explicit := one.explicit())}
    forced = bool(reroll.seedless)
    wanted = list(plan.entries) if forced else plan.wanted(NOT_CURRENT)
    return Prepared(plan, wanted, changes, (), forced, notes, known)


def _kept(session: Session, prompts: Sequence[Prompt], action: Action) -> Prepared:
    choices, notes = list[Choice](), list[str]()
    for prompt in prompts:
        try:
            choices.append(choose(session, prompt, action.pictures[prompt.id] or ""))
        except ChoiceError as error:
            notes.append(str(error))
    if not choices:
        raise RefusedError("\n".join(notes))
    plan = session.plan([with_parameters(choice.prompt, choice.parameters) for choice in choices])
    return Prepared(plan, list(plan.entries), {}, choices, notes=tuple(notes))


def _with_parameters(session: Session, prompt: Prompt, parameters: Mapping[str, Any]) -> Prepared:
    settings = session.settings
    known = recorded_overrides(settings).by_id.get(prompt.id, ParameterOverrides())
    try:
        wanted = {**known.explicit(), **parameters}
        recorded = checked_parameters({name: value for name, value in wanted.items() if value is not None})
    except BadParametersError as error:
        raise RefusedError(str(error)) from error
    plan = session.plan([with_parameters(_as_its_source_says(settings, prompt.id), recorded)])
    if problem := plan.entries[0].request.problem:
        raise RefusedError(str(problem))
    changes = {**dict.fromkeys(parameters), **{n: v for n, v in recorded.explicit().items() if n in parameters}}
    return Prepared(plan, plan.wanted(NOT_CURRENT), {prompt.id: changes})


def _as_its_source_says(settings: Settings, prompt_id: str) -> Prompt:
    """A prompt without what is recorded for it."""
    found = own_prompt(settings, prompt_id)
    if found is None:
        raise RefusedError(f"There is no prompt {prompt_id} any more.")
    return found
