"""Open and connect what a plan or a run needs: ledger, folder of pictures, and the service or the built-in sandbox."""

import contextlib
import threading
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from duomi_pipeline.common.places import Place, place_of, shown
from duomi_pipeline.common.processes import give_back_memory, keep_freed_memory
from duomi_pipeline.duomi.request import check_parameters, request_basis
from duomi_pipeline.engine.adoption import adopt, has_adopted, note_adopted
from duomi_pipeline.engine.fallback import with_interrupted
from duomi_pipeline.engine.folder import mark_folder, recognise_folder, why_lost
from duomi_pipeline.engine.kept_answers import KeptAnswers
from duomi_pipeline.engine.outcome import Stop, StoppedBy
from duomi_pipeline.engine.plan import Plan, PlannedPrompt, make_plan
from duomi_pipeline.engine.settled import Note, note_settled, read_registered
from duomi_pipeline.engine.states import State
from duomi_pipeline.engine.waits import WAITS, Waits
from duomi_pipeline.images import ImageStore, Listing, StoreError
from duomi_pipeline.ledger import Ledger, LedgerError, PurchaseState, Source
from duomi_pipeline.ledger.leases import HEARTBEAT
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.settings import ImageParameters, ParameterOverrides, Settings, SettingsError

if TYPE_CHECKING:
    from duomi_pipeline.engine.batch import Batch


class Session:
    """Makes plans and runs batches; use it as a context manager.

    Args:
        settings: all settings.
        trigger: where the run was started from, for `duomi status`: `ui`, `cli`, `sensor`, …
        run_id: id of a run to continue; `None`: a new run.
        waits: how long to wait between retries.

    Raises:
        SettingsError: what the place of pictures, manifest or gallery needs is not installed.
        LedgerError: the ledger cannot be opened.
    """

    def __init__(
        self, settings: Settings, trigger: str = "cli", run_id: str | None = None, waits: Waits = WAITS
    ) -> None:
        self.settings = settings
        self.waits = waits
        self.trigger = trigger
        self.run_id = run_id or uuid.uuid4().hex
        self.store = open_store(settings, self.run_id)
        for setting in ("manifest_dir", "gallery_dir"):  # what they need is missed before anything is bought
            output_place(settings, setting)
        self.ledger = Ledger(settings.ledger_url.get_secret_value(), settings.home)
        self.kept = KeptAnswers(settings.home)
        self._stop: Stop | None = None
        self._is_blind = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.ledger.close()

    def plan(self, prompts: Sequence[Prompt], run_parameters: ParameterOverrides | None = None) -> Plan:
        """The state of each of these prompts under these settings; nothing is sent.

        Unknown pictures in the folder are adopted (recorded in the ledger) first.

        Raises:
            SettingsError: a model does not accept a value.
        """
        below = self._below(run_parameters)
        listing, adopted = self.store.listing(), 0
        if not has_adopted(self.ledger, listing):
            listing, _, adopted = self._adopted(listing)
        return self._planned(prompts, below, listing, adopted)

    def plan_registered(
        self,
        run_parameters: ParameterOverrides | None = None,
        sources: Collection[Source] = tuple(Source),
        read: Iterable[Prompt] = (),
    ) -> Plan:
        """Like `plan`, of all prompts that the register has of some sources; of those that are settled only the ids.

        Args:
            run_parameters: parameters of this run; they override the settings.
            sources: whose prompts.
            read: prompts that a look has just put into the register; they are not read from there again.

        Raises:
            SettingsError: a model does not accept a value.
        """
        below = self._below(run_parameters)
        basis, mark, listing = request_basis(self.settings, below), self.ledger.mark(), self.store.listing()
        note, adopted = Note(self.ledger, basis, sources, listing), 0
        found = note.read(mark)
        if found is None:
            listing, recorded, adopted = self._adopted(listing)
            mark = self.ledger.mark()  # what was adopted just now is known
            found = read_registered(self.ledger, basis, sources, listing, recorded, read)
        plan = self._planned(found.prompts, below, listing, adopted)
        settled = note_settled(self.ledger, basis, plan, found.uncompared)
        if not listing.unknown:
            note.write(mark, found, settled)
        return replace(plan, settled=found.settled, mark=mark)

    def _below(self, run_parameters: ParameterOverrides | None) -> ImageParameters:
        """The parameters of run and settings."""
        below = (run_parameters or ParameterOverrides()).over(self.settings.parameters)
        check_parameters(self.settings, below)
        return below

    def _adopted(self, listing: Listing) -> tuple[Listing, Set[tuple[str, int]], int]:
        """The listing of the folder, name and size of recorded files, and how many were adopted now."""
        mark, recorded = self.ledger.mark(), self.ledger.recorded_files()  # in this order: see `note_adopted`
        listing, adopted = adopt(self.ledger, self.store, listing, recorded)
        if not adopted:
            note_adopted(self.ledger, listing, mark)
        return listing, self.ledger.recorded_files() if adopted else recorded, adopted

    def _planned(self, prompts: Sequence[Prompt], below: ImageParameters, listing: Listing, adopted: int) -> Plan:
        kept = self.kept.all()
        plan = make_plan(prompts, self.settings, below, self.ledger, listing, {one.request_key for one in kept})
        self._stop = why_lost(self.ledger, self.store, listing, plan.entries, self.settings.currency)
        self._is_blind = bool(listing.problem)
        plan = replace(plan, stop=self._stop, is_blind=self._is_blind, adopted=adopted)
        if adopted:
            recognise_folder(self.ledger, self.store)
        if adopted:  # a file tells all that an answer told which the ledger had not taken
            current = {entry.request.key for entry in plan.entries if entry.state is State.CURRENT}
            self.kept.drop([one for one in kept if one.kind == "unrecorded" and one.request_key in current])
        return with_interrupted(plan, self.settings, below, self.ledger)

    def writing_results(self) -> AbstractContextManager[None]:
        """Make the plan of a manifest or gallery, and write it, in such a block.

        One process at a time is in one, so that what was read earlier is never written over what was read later.
        """
        return self.ledger.alone("results")

    def waiting(self) -> dict[str | None, int]:
        """How many paid requests have no picture yet, by service; `None`: the service was not recorded."""
        found = {(one.service, one.request_key) for one in self.kept.all() if one.kind == "unrecorded"}
        for key, purchase in self.ledger.interrupted_purchases().items():
            if purchase.state in (PurchaseState.SUBMITTED, PurchaseState.READY):
                found.add((purchase.service, key))
        return dict(Counter(service for service, _ in found))

    @contextlib.contextmanager
    def generating(
        self,
        entries: Sequence[PlannedPrompt],
        run_parameters: ParameterOverrides | None = None,
        *,
        force: bool = False,
        max_images: int | None = None,
        regenerate_lost: bool = False,
    ) -> "Iterator[Batch]":
        """The batch that generates these prompts; iterate over it inside the block.

        At the end of the block, also after an exception, no new request is sent, requests in flight are finished, and
        the end of the run is recorded.

        Args:
            entries: prompts from a plan of this session.
            run_parameters: parameters of this run; they override the settings.
            force: buy also current pictures again.
            max_images: how many pictures may be bought.
            regenerate_lost: buy also where the plan says that the folder looks lost.
        """
        # Imported here: plans, which most commands make, need neither HTTP nor workers.
        from duomi_pipeline.engine.generating import build_batch, open_client  # noqa: PLC0415

        below = (run_parameters or ParameterOverrides()).over(self.settings.parameters)
        entries = self._with_purchases(entries) if force else entries
        with self._alive(), open_client(self.settings) as client:
            self.store.sweep(self.ledger.is_gone)
            batch = build_batch(self, client, entries, below, force=force, max_images=max_images)
            if self._stop is not None and (self._is_blind or not regenerate_lost):
                batch.stop(self._stop)
            elif batch.requests and (problem := self._not_ready()):
                batch.stop(Stop(StoppedBy.STORE, problem))
            keep_freed_memory()  # before there are workers
            try:
                yield batch
            finally:
                batch.close()
                give_back_memory()
                stop = batch.stop_reason
                with contextlib.suppress(LedgerError):  # reported already; a run without a recorded end counts as ended
                    self.ledger.end_run(
                        self.run_id, stop.by if stop else None, stop.message if stop else None, batch.counts
                    )

    def _not_ready(self) -> str | None:
        """Why pictures cannot be saved; where they can, write the mark of the folder."""
        if problem := self.store.problem() or self.kept.problem():
            return problem
        try:
            mark_folder(self.ledger, self.store)
        except StoreError as error:
            return str(error)
        return None

    def _with_purchases(self, entries: Sequence[PlannedPrompt]) -> list[PlannedPrompt]:
        """The entries with the purchases of current prompts, too: a forced purchase replaces them."""
        latest = self.ledger.latest_purchases({entry.request.key for entry in entries})
        return [replace(entry, purchase=latest.get(entry.request.key)) for entry in entries]

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        """Send heartbeats to the ledger, so that other runs know that this one is alive."""
        self.ledger.start_run(self.run_id, self.trigger)
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(HEARTBEAT):
                with contextlib.suppress(LedgerError):  # the ledger is locked: try at the next heartbeat
                    self.ledger.renew_run(self.run_id)

        thread = threading.Thread(target=beat, name="duomi-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def open_store(settings: Settings, run_id: str = "") -> ImageStore:
    """The folder of pictures, as a run uses it.

    Raises:
        SettingsError: what its kind of URL needs is not installed.
    """
    return ImageStore(output_place(settings, "image_dir"), run_id)


def manifest_place(settings: Settings) -> Place:
    """Where the manifest is written.

    Raises:
        SettingsError: what its kind of URL needs is not installed.
    """
    return output_place(settings, "manifest_dir")


def gallery_place(settings: Settings) -> Place:
    """Where the gallery is written.

    Raises:
        SettingsError: what its kind of URL needs is not installed.
    """
    return output_place(settings, "gallery_dir")


def output_place(settings: Settings, setting: str) -> Place:
    """The place that a setting such as `image_dir` names; a path is relative to the home folder.

    Raises:
        SettingsError: what its kind of URL needs is not installed.
    """
    value = str(getattr(settings, setting))
    try:
        return place_of(value, settings.home)
    except ValueError as error:
        raise SettingsError(f"DUOMI_{setting.upper()}={shown(value)}: {error}") from None
