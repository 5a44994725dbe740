"""What a run would do: every prompt with its state and its request. Nothing is sent."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.engine.outcome import Stop
from duomi_pipeline.engine.prompt_request import request_for
from duomi_pipeline.engine.states import State, decide, is_current, presence_of
from duomi_pipeline.images import Listing, Presence
from duomi_pipeline.ledger import Ledger, PictureFile, Purchase, Selection
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.settings import ParameterOverrides, Settings

_PAID = {"submitted", "ready"}
_ON_THE_WIRE = {"submitting", "ambiguous"}
FEW = 1_000  # prompts that the ledger is asked for one by one; of more it tells all that it knows in one go


@dataclass(frozen=True, slots=True)
class PlannedPrompt:
    """One prompt in the plan.

    Attributes:
        state: of the prompt.
        request: what would be asked for it.
        selection: its current pictures, if any.
        purchase: the latest purchase of the request; of a current prompt only if it is interrupted.
        reusable: files of the very same request that are there, of whichever prompt.
        stands_in_for: the request that the settings ask for, where `request` is one of a fallback model.
        has_kept: whether an answer to the request is kept that no picture could be made of.
        looks_only: nobody chose to ask for it again; but what is kept of it is looked at.
        doubt: why nobody can tell whether its pictures are there; empty where that is known.
    """

    prompt: Prompt
    state: State
    request: ImageRequest
    selection: Selection | None
    purchase: Purchase | None
    reusable: tuple[PictureFile, ...] = ()
    stands_in_for: ImageRequest | None = None
    has_kept: bool = False
    looks_only: bool = False
    doubt: str = ""

    @property
    def resumes(self) -> bool:
        """Whether an interrupted purchase of the request waits to be finished."""
        if self.purchase is None:
            return False
        return self.purchase.state in _PAID or (self.sends_again and self.state is not State.CURRENT)

    def chosen(self, states: Collection[State]) -> "PlannedPrompt | None":
        """This prompt as a run takes it that generates some states; `None` where it leaves it as it is."""
        if self.state in states or self.resumes:
            return self
        return replace(self, looks_only=True) if self.has_kept and self.state is not State.CURRENT else None

    @property
    def met_trouble(self) -> bool:
        """Whether an earlier run met an answer to it that may concern all: it is tried last."""
        purchase = self.purchase
        return purchase is not None and purchase.state == "planned" and purchase.error_class is not None

    @property
    def sends_again(self) -> bool:
        """Whether that purchase was interrupted with a POST on the wire, so that finishing it means another POST."""
        return self.purchase is not None and self.purchase.state in _ON_THE_WIRE

    def is_due(self, now: float) -> bool:
        """Whether a failure may be tried again by itself."""
        return self.purchase is None or (self.purchase.retry_at or 0.0) <= now


@dataclass(frozen=True)
class Plan:
    """All prompts of one look, in the order of their sources.

    Attributes:
        stop: why nothing may be bought under this plan.
        adopted: pictures in the folder that the ledger did not know, and knows now.
    """

    entries: tuple[PlannedPrompt, ...]
    stop: Stop | None = None
    adopted: int = 0

    @cached_property
    def counts(self) -> Mapping[State, int]:
        """How many prompts are in each state; every state is there."""
        found = Counter(entry.state for entry in self.entries)
        return {state: found[state] for state in State}

    @cached_property
    def by_id(self) -> Mapping[str, PlannedPrompt]:
        """The entries by prompt id."""
        return {entry.prompt.id: entry for entry in self.entries}

    def wanted(self, states: Collection[State], ids: Collection[str] | None = None) -> list[PlannedPrompt]:
        """The entries in some states, and those that have something to be finished or looked at again."""
        found = (entry for entry in self.entries if ids is None or entry.prompt.id in ids)
        return [chosen for entry in found if (chosen := entry.chosen(states))]


def requests_to_buy(entries: Iterable[PlannedPrompt]) -> dict[str, ImageRequest]:
    """The requests that would be sent for some entries: one per key, none for what is reused or resumed."""
    sending = (e for e in entries if not e.reusable and not e.looks_only and (not e.resumes or e.sends_again))
    return {entry.request.key: entry.request for entry in sending}


def total_cost(requests: Iterable[ImageRequest]) -> float | None:
    """What some requests cost together; `None` if one of the prices is unknown."""
    costs = [request.cost for request in requests]
    known = [cost for cost in costs if cost is not None]
    return sum(known, 0.0) if len(known) == len(costs) else None


def make_plan(
    prompts: Sequence[Prompt],
    settings: Settings,
    run_parameters: ParameterOverrides,
    ledger: Ledger,
    listing: Listing,
    kept: Collection[str] = (),
) -> Plan:
    """Look at the ledger once, and decide every prompt's state.

    Of prompts whose picture is current the ledger need not tell more: with 100,000 of them that is most of the work.

    Args:
        listing: of the folder of pictures.
        kept: keys of requests with answers that no picture could be made of.
    """
    below = run_parameters.over(settings.parameters)
    selections = ledger.selections([p.id for p in prompts] if len(prompts) <= FEW else None)
    interrupted = ledger.interrupted_purchases()
    entries: list[PlannedPrompt] = []
    for prompt in prompts:
        request, selection = request_for(settings, prompt, below), selections.get(prompt.id)
        files = selection.files if selection and is_current(selection, request.key, listing) else ()
        state = State.CURRENT if files else State.MISSING
        entries.append(PlannedPrompt(prompt, state, request, selection, interrupted.get(request.key), files))
    keys = {entry.request.key for entry in entries if entry.state is not State.CURRENT}
    purchases, saved = _told(ledger, keys) if keys else ({}, {})
    decided = (e if e.state is State.CURRENT else _decided(e, purchases, saved, listing) for e in entries)
    return Plan(tuple(replace(e, has_kept=True) if e.request.key in kept else e for e in decided))


def _told(ledger: Ledger, keys: set[str]) -> tuple[dict[str, Purchase], dict[str, list[PictureFile]]]:
    """The latest purchase and the saved files of each request."""
    asked = keys if len(keys) <= FEW else None
    return ledger.latest_purchases(asked), ledger.saved_files(asked)


def _decided(
    entry: PlannedPrompt,
    purchases: Mapping[str, Purchase],
    saved: Mapping[str, Sequence[PictureFile]],
    listing: Listing,
) -> PlannedPrompt:
    """A prompt without a current picture, with its state and what can be had of its request."""
    key, purchase = entry.request.key, purchases.get(entry.request.key)
    files = saved.get(key, ())
    reusable = whole_set(files, listing, entry.prompt.id)
    state = decide(entry.prompt, key, entry.selection, purchase, listing)
    doubt = "" if reusable else next(filter(None, (listing.why_unknown(file.file) for file in files)), "")
    state = State.UNKNOWN if doubt and state is not State.FAILED_FOR_GOOD else state  # it may be paid already
    return replace(entry, state=state, purchase=purchase, reusable=reusable, doubt=doubt)


def whole_set(files: Sequence[PictureFile], listing: Listing, prompt_id: str) -> tuple[PictureFile, ...]:
    """The pictures of one purchase that are all on disk: the prompt's own files if it has such, else another's.

    Args:
        files: saved files of one request, the latest purchase first.
        listing: of the folder of pictures.
        prompt_id: the prompt that wants them.
    """
    groups: dict[tuple[int, str], list[PictureFile]] = {}
    for file in files:
        groups.setdefault((file.purchase_id, file.prompt_id), []).append(file)
    whole = [group for group in groups.values() if presence_of(group, listing) is Presence.PRESENT]
    whole.sort(key=lambda group: group[0].prompt_id != prompt_id)
    return tuple(sorted(whole[0], key=lambda file: file.position)) if whole else ()
