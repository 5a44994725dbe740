"""Plan many prompts by what an earlier plan found of them: what "settled" means is said in `ledger.settled`."""

import contextlib
from collections.abc import Collection, Set
from dataclasses import dataclass

from duomi_pipeline.engine.looking import registered
from duomi_pipeline.engine.plan import FEW, Plan
from duomi_pipeline.engine.states import State
from duomi_pipeline.images import Listing
from duomi_pipeline.ledger import Ledger, LedgerError, Source
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
    settled: frozenset[str]
    uncompared: frozenset[str]


def read_registered(
    ledger: Ledger, basis: str, sources: Collection[Source], listing: Listing, recorded: Set[tuple[str, int]]
) -> Registered:
    """Read the register, and tell which of its prompts are settled and have their pictures.

    Args:
        basis: what requests are made from now, but for the prompt: `duomi.request.request_basis`.
        sources: whose prompts.
        listing: of the folder of pictures.
        recorded: name and size of all recorded files.
    """
    usable = ledger.usable_prompts(basis, sources)
    doubtful: Collection[str]
    if listing.problem:
        doubtful = usable.settled
    else:
        absent = {name for name, size in recorded if listing.sizes.get(name) != size}
        # An interrupted purchase of a current prompt, such as a forced one, is finished.
        interrupted = ledger.interrupted_purchases()
        doubtful = ledger.prompts_of_files(absent) | ledger.prompts_of_requests(interrupted)
    decided = usable.others | usable.settled.intersection(doubtful)
    found = registered(ledger, decided if len(decided) <= FEW else None)
    prompts = tuple(prompt for prompt in found.prompts if prompt.id in decided)
    return Registered(prompts, usable.settled.difference(doubtful), usable.others)


def note_settled(ledger: Ledger, basis: str, plan: Plan, uncompared: Collection[str]) -> None:
    """Note which prompts a plan found current, for the next one."""
    found = {
        entry.prompt.id: (entry.prompt.version, entry.request.key)
        for entry in plan.entries
        if entry.state is State.CURRENT and entry.prompt.id in uncompared
    }
    if found:
        with contextlib.suppress(LedgerError):  # the next plan compares them again
            ledger.settle(basis, found)
