"""Other models in place of one that the service does not serve: the user's chain, `DUOMI_FALLBACK_MODELS`.

Off without a chain. What a prompt is asked with otherwise is the plan's; sending it is `purchase`'s and `batch`'s.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from duomi_pipeline.duomi import ImageRequest
from duomi_pipeline.duomi.errors import DuomiError, ModelNotServed
from duomi_pipeline.engine.plan import Plan, PlannedPrompt, whole_set
from duomi_pipeline.engine.prompt_request import request_for
from duomi_pipeline.engine.states import State
from duomi_pipeline.images import ImageStore, Listing
from duomi_pipeline.ledger import Ledger, Purchase
from duomi_pipeline.settings import ImageParameters, Settings


class Fallbacks:
    """The chain of one run, shared by its workers.

    Args:
        settings: with the chain.
        below: the parameters of run and settings.
    """

    def __init__(self, settings: Settings, below: ImageParameters, ledger: Ledger, store: ImageStore) -> None:
        self._settings = settings
        self._below = below
        self._ledger = ledger
        self._store = store
        self._unserved: dict[str, ModelNotServed] = {}

    def check(self, request: ImageRequest) -> None:
        """Raise once more what the service said of this model in this run, if it does not serve it."""
        if error := self._unserved.get(request.model):
            raise ModelNotServed(error.message, error.code)

    def reroute(
        self, entries: Iterable[PlannedPrompt], error: DuomiError
    ) -> tuple[list[PlannedPrompt], list[PlannedPrompt]]:
        """What prompts are asked with after an error: those that another model is asked for, and those left with it.

        Args:
            entries: of one request.
            error: that it met.
        """
        entries = list(entries)
        if not isinstance(error, ModelNotServed) or not self._settings.fallback_models:
            return [], entries
        self._unserved.setdefault(entries[0].request.model, error)
        others = {entry.prompt.id: self._other(entry) for entry in entries}
        moved = [other for other in others.values() if other is not None]
        return moved, [entry for entry in entries if others[entry.prompt.id] is None]

    def describe(self, error: ModelNotServed) -> str:
        """What an error says that ends the run, with what became of the chain."""
        is_end_of_chain = bool(self._settings.fallback_models)
        return f"{error} DUOMI_FALLBACK_MODELS has no other model left for this." if is_end_of_chain else str(error)

    def _other(self, entry: PlannedPrompt) -> PlannedPrompt | None:
        """The same prompt asked of the first model in the chain that is served and takes what it is asked with."""
        for model in self._settings.fallback_models:
            if model in self._unserved:
                continue
            request = request_for(self._settings, entry.prompt, self._below, model)
            if request.problem:
                continue
            files = self._ledger.saved_files_of(request.key)
            return replace(
                entry,
                request=request,
                purchase=self._ledger.latest_purchases({request.key}).get(request.key),
                reusable=whole_set(files, self._listing, entry.prompt.id),
                stands_in_for=entry.stands_in_for or entry.request,
            )
        return None

    @cached_property
    def _listing(self) -> Listing:
        """Of the folder before anything was bought from a fallback: what this run saves is found in the ledger."""
        return self._store.listing()


def fallback_fingerprint(settings_fingerprint: str, model: str) -> str:
    """Of what a fallback's picture was made under: never that of the settings, so it is outdated wherever it shows."""
    return hashlib.sha256(f"{settings_fingerprint}|{model}".encode()).hexdigest()[:16]


def with_interrupted(plan: Plan, settings: Settings, below: ImageParameters, ledger: Ledger) -> Plan:
    """The plan in which what was begun at a fallback model is finished before anything else is asked.

    A task or an address there is paid; the other model may be served again, but that would be paid once more.
    """
    if not settings.fallback_models:
        return plan
    begun = {key: chain for key, chain in ledger.interrupted_purchases().items() if chain.state != "planned"}
    if not begun:
        return plan
    return replace(plan, entries=tuple(_resumed(entry, settings, below, begun) or entry for entry in plan.entries))


def _resumed(
    entry: PlannedPrompt, settings: Settings, below: ImageParameters, begun: Mapping[str, Purchase]
) -> PlannedPrompt | None:
    if entry.state is State.CURRENT or entry.resumes:
        return None
    for model in settings.fallback_models:
        request = request_for(settings, entry.prompt, below, model)
        if request.key != entry.request.key and (chain := begun.get(request.key)):
            return replace(entry, request=request, purchase=chain, reusable=(), stands_in_for=entry.request)
    return None
