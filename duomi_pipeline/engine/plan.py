"""The plan: every prompt with its state and its request. Nothing is sent.

The rule for states is in `states`; executing a plan is in `batch`.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

from duomi_pipeline.common.amounts import known_sum
from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.engine.outcome import Stop
from duomi_pipeline.engine.prompt_request import requests_for
from duomi_pipeline.engine.states import NOT_THERE, State, decide, is_current, presence_of
from duomi_pipeline.images import Listing, Presence
from duomi_pipeline.ledger import Ledger, Mark, PictureFile, Purchase, PurchaseState, Selection
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.settings import ImageParameters, Settings

_PAID = {PurchaseState.SUBMITTED, PurchaseState.READY}
_ON_THE_WIRE = {PurchaseState.SUBMITTING, PurchaseState.AMBIGUOUS}
FEW = 1_000  # up to so many prompts the ledger is queried by id, above that all its rows are read at once


@dataclass(frozen=True, slots=True)
class PlannedPrompt:
    """One prompt in the plan.

    Attributes:
        state: of the prompt.
        request: the request that would be sent for it.
        selection: its current pictures, if any.
        purchase: the latest purchase of the request; for a current prompt only an interrupted one.
        reusable: existing files of an identical request, of any prompt.
        stands_in_for: the original request, where `request` goes to a fallback model.
        has_kept: whether there are kept answers of the request.
        kept_only: it was not chosen for a new request; only its kept answers are used.
        doubt: why it is unknown whether its pictures exist; empty where it is known.
    """

    prompt: Prompt
    state: State
    request: ImageRequest
    selection: Selection | None
    purchase: Purchase | None
    reusable: tuple[PictureFile, ...] = ()
    stands_in_for: ImageRequest | None = None
    has_kept: bool = False
    kept_only: bool = False
    doubt: str = ""

    @property
    def resumes(self) -> bool:
        """Whether the request has an interrupted purchase that this run finishes."""
        if self.purchase is None:
            return False
        return self.purchase.state in _PAID or (self.sends_again and self.state is not State.CURRENT)

    def chosen(self, states: Collection[State]) -> "PlannedPrompt | None":
        """This prompt in a run that generates the given states; `None` where the run leaves it as it is."""
        if self.state in states or self.resumes:
            return self
        return replace(self, kept_only=True) if self.has_kept and self.state is not State.CURRENT else None

    @property
    def is_suspect(self) -> bool:
        """Whether an earlier run got an error for it that may concern all prompts; it is tried last."""
        purchase = self.purchase
        return purchase is not None and purchase.state == PurchaseState.PLANNED and purchase.error_class is not None

    @property
    def sends_again(self) -> bool:
        """Whether its purchase was interrupted during a POST, so that finishing it needs another POST."""
        return self.purchase is not None and self.purchase.state in _ON_THE_WIRE

    def is_due(self, now: float) -> bool:
        """Whether a failed prompt may be retried automatically now."""
        return self.purchase is None or (self.purchase.retry_at or 0.0) <= now


@dataclass(frozen=True)
class Plan:
    """Prompts with their states, in the order of their sources.

    Attributes:
        entries: the prompts; without those that are settled.
        settled: ids of prompts that are current, and whose requests were not made again to see that.
        stop: why nothing may be bought under this plan.
        is_blind: whether the folder of pictures could not be read; then nobody can say that its pictures are lost.
        adopted: pictures in the folder that were added to the ledger.
        mark: of the ledger, from before the plan read it, but with what was adopted; `None` where nobody asks.
    """

    entries: tuple[PlannedPrompt, ...]
    stop: Stop | None = None
    is_blind: bool = False
    adopted: int = 0
    settled: Set[str] = frozenset()
    mark: Mark | None = None

    @cached_property
    def counts(self) -> Mapping[State, int]:
        """How many prompts are in each state; has every state."""
        found = Counter(entry.state for entry in self.entries)
        found[State.CURRENT] += len(self.settled)
        return {state: found[state] for state in State}

    @cached_property
    def current(self) -> Set[str]:
        """The ids of all current prompts."""
        return self.settled | {entry.prompt.id for entry in self.entries if entry.state is State.CURRENT}

    def is_current(self, prompt_id: str) -> bool:
        """Whether this prompt is current; asked of few, for it may be known only once all settled ones are read."""
        entry = self.by_id.get(prompt_id)
        return prompt_id in self.settled if entry is None else entry.state is State.CURRENT

    @cached_property
    def by_id(self) -> Mapping[str, PlannedPrompt]:
        """The entries by prompt id."""
        return {entry.prompt.id: entry for entry in self.entries}

    def wanted(self, states: Collection[State], ids: Collection[str] | None = None) -> list[PlannedPrompt]:
        """The entries in the given states, and those with an interrupted purchase or kept answers."""
        found = (entry for entry in self.entries if ids is None or entry.prompt.id in ids)
        return [chosen for entry in found if (chosen := entry.chosen(states))]

    def left_without_picture(self, wanted: Iterable[PlannedPrompt]) -> list[PlannedPrompt]:
        """Failed or unknown prompts that are not among those to generate."""
        chosen = {entry.prompt.id for entry in wanted}
        return [entry for entry in self.entries if entry.state in NOT_THERE and entry.prompt.id not in chosen]


def requests_to_buy(entries: Iterable[PlannedPrompt], *, force: bool = False) -> dict[str, ImageRequest]:
    """The requests that would be sent for these entries, by key; none for pictures that are reused or resumed.

    Args:
        force: current pictures are bought again, too.
    """
    return {
        entry.request.key: entry.request
        for entry in entries
        if force or (not entry.reusable and not entry.kept_only and (not entry.resumes or entry.sends_again))
    }


def total_cost(requests: Iterable[ImageRequest]) -> float | None:
    """The cost of several requests; `None` if a price is unknown."""
    return known_sum(request.cost for request in requests)


def make_plan(
    prompts: Sequence[Prompt],
    settings: Settings,
    below: ImageParameters,
    ledger: Ledger,
    listing: Listing,
    kept: Collection[str] = (),
) -> Plan:
    """Read the ledger once, and decide every prompt's state.

    The purchases of current prompts are not read: with 100,000 of them that saves most of the time.

    Args:
        below: the parameters of run and settings.
        listing: of the folder of pictures.
        kept: keys of requests with kept answers.
    """
    selections = ledger.selections([p.id for p in prompts] if len(prompts) <= FEW else None)
    interrupted = ledger.interrupted_purchases()
    entries: list[PlannedPrompt] = []
    for prompt, request in zip(prompts, requests_for(settings, prompts, below), strict=True):
        selection = selections.get(prompt.id)
        files = selection.files if selection and is_current(selection, request.key, listing) else ()
        state = State.CURRENT if files else State.MISSING
        entries.append(PlannedPrompt(prompt, state, request, selection, interrupted.get(request.key), files))
    keys = {entry.request.key for entry in entries if entry.state is not State.CURRENT}
    purchases, saved = _latest_records(ledger, keys) if keys else ({}, {})
    decided = (e if e.state is State.CURRENT else _decided(e, purchases, saved, listing) for e in entries)
    return Plan(tuple(replace(e, has_kept=True) if e.request.key in kept else e for e in decided))


def _latest_records(ledger: Ledger, keys: set[str]) -> tuple[dict[str, Purchase], dict[str, list[PictureFile]]]:
    """The latest purchase and the saved files of each request."""
    wanted = keys if len(keys) <= FEW else None
    return ledger.latest_purchases(wanted), ledger.saved_files(wanted)


def _decided(
    entry: PlannedPrompt,
    purchases: Mapping[str, Purchase],
    saved: Mapping[str, Sequence[PictureFile]],
    listing: Listing,
) -> PlannedPrompt:
    """A prompt without a current picture, with its state, purchase and reusable files."""
    key, purchase = entry.request.key, purchases.get(entry.request.key)
    files = saved.get(key, ())
    reusable = whole_set(files, listing, entry.prompt.id)
    state = decide(entry.prompt, key, entry.selection, purchase, listing)
    doubt = "" if reusable else next(filter(None, (listing.why_unknown(file.file) for file in files)), "")
    if entry.selection is None and not reusable:
        doubt = doubt or _why_unread(entry.prompt, listing)
    state = State.UNKNOWN if doubt and state is not State.FAILED_FOR_GOOD else state  # it may be paid already
    return replace(entry, state=state, purchase=purchase, reusable=reusable, doubt=doubt)


def _why_unread(prompt: Prompt, listing: Listing) -> str:
    """Why nobody can tell what a file is that has the name of this prompt's pictures; a ledger may be lost, too."""
    if not listing.unknown:
        return ""
    name_of_picture = re.compile(re.escape(prompt.file_prefix) + r"_\d{8}_\d{6}_\d{3}(_[0-9a-f]{8})?(_\d)?\.png")
    return next((f"{name}: {why}" for name, why in listing.unknown.items() if name_of_picture.fullmatch(name)), "")


def whole_set(files: Sequence[PictureFile], listing: Listing, prompt_id: str) -> tuple[PictureFile, ...]:
    """The pictures of one purchase that are all on disk: the prompt's own files, else those of another prompt.

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
