"""Plan many prompts by what an earlier plan found of them: what "settled" means is said in `ledger.settled`."""

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from duomi_pipeline.engine.looking import PREFIXES, registered
from duomi_pipeline.engine.plan import FEW, Plan
from duomi_pipeline.engine.states import State
from duomi_pipeline.images import Listing
from duomi_pipeline.ledger import Ledger, LedgerError, Mark, Source
from duomi_pipeline.ledger.settled import USABLE
from duomi_pipeline.prompts import Prompt


@dataclass(frozen=True)
class Registered:
    """The prompts in the register, told apart.

    Attributes:
        prompts: those whose state has to be decided, in the order of their sources.
        settled: ids of the others: current.
        uncompared: ids of prompts of which no plan has noted that they are settled.
    """

    prompts: tuple[Prompt, ...]
    settled: Set[str]
    uncompared: Set[str]


class Ids(Set[str]):
    """Ids whose number is known, and which are read when somebody wants to know them."""

    def __init__(self, count: int, read: Callable[[], frozenset[str]]) -> None:
        self._count, self._read = count, read

    @classmethod
    def _from_iterable(cls, ids: "Collection[str]") -> frozenset[str]:  # type: ignore[override]
        """What unions and differences with others are."""
        return frozenset(ids)

    def __or__(self, others: Set[Any]) -> frozenset[Any]:
        """All of both; the one of `Set` takes them one by one."""
        return self._ids.union(others)

    @cached_property
    def _ids(self) -> frozenset[str]:
        return self._read()

    def __contains__(self, prompt_id: object) -> bool:
        """Whether it is one of them."""
        return prompt_id in self._ids

    def __iter__(self) -> Iterator[str]:
        """All of them, in no order."""
        return iter(self._ids)

    def __len__(self) -> int:
        """How many."""
        return self._count


class Note:
    """What the last plan told apart. While folder, pictures and settings are as they were, only prompts differ.

    Args:
        basis: what requests are made from now, but for the prompt: `duomi.request.request_basis`.
        sources: whose prompts.
        listing: of the folder of pictures.
    """

    def __init__(self, ledger: Ledger, basis: str, sources: Collection[Source], listing: Listing) -> None:
        self._ledger, self._sources = ledger, sources
        self._name = f"plan of {' and '.join(sorted(sources))}"
        self._here = [basis, listing.digest()]

    def read(self, mark: Mark) -> Registered | None:
        """The prompts told apart; `None` where all have to be told apart anew.

        Args:
            mark: of the ledger now.
        """
        ledger = self._ledger
        note = json.loads(ledger.fact(self._name) or "[]")
        if len(note) != 4 or note[0] != self._here:  # earlier programs noted less
            return None
        then, decided, usable = Mark(*note[1]), note[2], note[3]
        changed = ledger.register.changed_since(then) if then.pictures == mark.pictures else None
        if changed is None or len(changed) > FEW:
            return None
        mine = tuple(PREFIXES[source] for source in self._sources)
        ids = [prompt_id for prompt_id in changed.union(decided) if prompt_id.startswith(mine)]
        prompts = registered(ledger, ids).prompts if ids else ()
        if changed:  # else there are as many as then
            held = ledger.register.holdings().counts
            usable = sum(held[source][standing] for source in self._sources for standing in USABLE)
        others = frozenset(prompt.id for prompt in prompts)
        settled = Ids(usable - len(others), lambda: ledger.pictured_ids(self._sources) - others)
        return Registered(prompts, settled, changed)

    def write(self, mark: Mark, found: Registered, settled: Set[str]) -> None:
        """Note it, where few prompts are to be decided by the next plan.

        Args:
            mark: of the ledger, from before the prompts were told apart.
            found: these.
            settled: those that were decided now, and are settled from now on.
        """
        decided = [prompt.id for prompt in found.prompts if prompt.id not in settled]
        note = json.dumps([self._here, mark, decided, len(found.prompts) + len(found.settled)])
        if len(decided) <= FEW and all(self._here) and note != self._ledger.fact(self._name):
            with contextlib.suppress(LedgerError):  # the next plan tells all apart anew
                self._ledger.set_fact(self._name, note)


def read_registered(
    ledger: Ledger,
    basis: str,
    sources: Collection[Source],
    listing: Listing,
    recorded: Set[tuple[str, int]],
    read: Iterable[Prompt] = (),
) -> Registered:
    """Read the register, and tell which of its prompts are settled and have their pictures.

    Args:
        basis: what requests are made from now, but for the prompt: `duomi.request.request_basis`.
        sources: whose prompts.
        listing: of the folder of pictures.
        recorded: name and size of all recorded files.
        read: prompts that a look has just put into the register, in the order of their sources.
    """
    usable = ledger.usable_prompts(basis, sources)
    doubtful: Collection[str]
    if listing.problem:
        doubtful = usable.settled
    else:
        absent = [name for name, _ in recorded - listing.sizes.items()]
        # An interrupted purchase of a current prompt, such as a forced one, is finished.
        interrupted = ledger.interrupted_purchases()
        doubtful = ledger.prompts_of_files(absent) | ledger.prompts_of_requests(interrupted)
    decided = usable.others | usable.settled.intersection(doubtful)
    prompts = tuple(prompt for prompt in read if prompt.id in decided)
    if len(prompts) < len(decided):
        found = registered(ledger, decided if len(decided) <= FEW else None)
        prompts = tuple(prompt for prompt in found.prompts if prompt.id in decided)
    return Registered(prompts, usable.settled.difference(doubtful), usable.others)


def note_settled(ledger: Ledger, basis: str, plan: Plan, uncompared: Set[str]) -> Set[str]:
    """Note which prompts a plan found current, for the next one. Returns their ids."""
    found = {
        entry.prompt.id: (entry.prompt.version, entry.request.key)
        for entry in plan.entries
        if entry.state is State.CURRENT and entry.prompt.id in uncompared
    }
    if found:
        try:
            ledger.settle(basis, found)
        except LedgerError:  # the next plan compares them again
            return frozenset()
    return found.keys()
