"""Fallback models (`DUOMI_FALLBACK_MODELS`): which model to request instead of one that the service does not serve.

Does nothing where the setting is empty. The request of the prompt's own model is made in `plan`.
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
from duomi_pipeline.ledger import Ledger, Purchase, PurchaseState
from duomi_pipeline.settings import ImageParameters, Settings


class Fallbacks:
    """The fallback models of one run, shared by its workers.

    Args:
        settings: with the list of fallback models.
        below: the parameters of run and settings.
    """

    def __init__(self, settings: Settings, below: ImageParameters, ledger: Ledger, store: ImageStore) -> None:
        self._settings = settings
        self._below = below
        self._ledger = ledger
        self._store = store
        self._unserved: dict[str, ModelNotServed] = {}

    def check(self, request: ImageRequest) -> None:
        """Raise again the error that this model got in this run, if the service does not serve it."""
        if error := self._unserved.get(request.model):
            raise ModelNotServed(error.message, error.code)

    def reroute(
        self, entries: Iterable[PlannedPrompt], error: DuomiError
    ) -> tuple[list[PlannedPrompt], list[PlannedPrompt]]:
        """Move prompts to the next fallback model. Returns the moved ones with their new request, and the others.

        Args:
            entries: the prompts of one request.
            error: the error of this request.
        """
        entries = list(entries)
        if not isinstance(error, ModelNotServed) or not self._settings.fallback_models:
            return [], entries
        self._unserved.setdefault(entries[0].request.model, error)
        others = {entry.prompt.id: self._other(entry) for entry in entries}
        moved = [other for other in others.values() if other is not None]
        return moved, [entry for entry in entries if others[entry.prompt.id] is None]

    def describe(self, error: ModelNotServed) -> str:
        """The text of an error that ends the run; says so where no fallback model is left."""
        has_fallbacks = bool(self._settings.fallback_models)
        return f"{error} DUOMI_FALLBACK_MODELS has no other model left for this." if has_fallbacks else str(error)

    def _other(self, entry: PlannedPrompt) -> PlannedPrompt | None:
        """The same prompt with a request to the first fallback model that is served and accepts its parameters."""
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
        """The folder as it was before the first fallback request; files saved by this run are found in the ledger."""
        return self._store.listing()


def fallback_fingerprint(settings_fingerprint: str, model: str) -> str:
    """Fingerprint of a fallback model's picture. Never equals that of the settings, so it always shows as outdated."""
    return hashlib.sha256(f"{settings_fingerprint}|{model}".encode()).hexdigest()[:16]


def with_interrupted(plan: Plan, settings: Settings, below: ImageParameters, ledger: Ledger) -> Plan:
    """The plan in which interrupted purchases of fallback models are finished first.

    They may be paid already. A request to the prompt's own model would be paid as well.
    """
    if not settings.fallback_models:
        return plan
    begun = {
        key: purchase
        for key, purchase in ledger.interrupted_purchases().items()
        if purchase.state != PurchaseState.PLANNED
    }
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
        if request.key != entry.request.key and (purchase := begun.get(request.key)):
            return replace(entry, request=request, purchase=purchase, reusable=(), stands_in_for=entry.request)
    return None
