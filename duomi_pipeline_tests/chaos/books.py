"""The three books compared: what the sandbox billed, what the ledger says, what lies in the folder."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from duomi_pipeline.engine import Session, State
from duomi_pipeline.engine.session import open_store
from duomi_pipeline.images.png import check_whole
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import Settings

RETRIES = 1  # of a lost answer


@dataclass
class Proof:
    """What the three books say.

    Attributes:
        broken_answers: purchases whose paid pictures were broken beyond repair.
        lost_to_faults: POSTs whose answer a fault lost, by the ledger.
        on_the_wire: prompts whose POST was unanswered at a kill, by the ledger.
        broken: files that were not whole, at any look.
        overpaid: prompts with more bills without a picture than may be before the user says more.
        bought_while_away: POSTs of runs that could not see the folder of pictures.
        at_last: prompts with a current picture once the faults had ended and the user said `--failed`.
    """

    prompts: int
    kills: int = 0
    runs: int = 0
    whole: int = 0
    current: int = 0
    billed: int = 0
    ledger_billed: int = 0
    ledger_maybe: int = 0
    posts: int = 0
    bought_twice: list[str] = field(default_factory=list)
    lost_to_faults: int = 0
    broken_answers: int = 0
    on_the_wire: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    overpaid: list[str] = field(default_factory=list)
    at_last: int = 0
    bought_while_away: int = 0

    def failures(self) -> list[str]:
        """The promises that do not hold."""
        extra = self.billed - self.prompts
        checks = {
            "every prompt has a picture, or a named reason": self.current + sum(self.reasons.values()) == self.prompts,
            "no file was broken at any look": not self.broken,
            "bought more than once: at most what was on the wire at a kill, or lost to a fault": extra
            <= len(self.on_the_wire) + self.broken_answers + self.lost_to_faults,
            "the ledger never says less than was billed": self.ledger_billed + self.ledger_maybe >= self.billed,
            f"at most {1 + RETRIES} bills without a picture, unless the user says more": not self.overpaid,
            "nothing is bought while the folder of pictures is away": not self.bought_while_away,
            "once the faults have ended, every prompt becomes a picture": self.at_last == self.prompts,
        }
        return [promise for promise, holds in checks.items() if not holds]

    def table(self) -> str:
        """The books side by side."""
        rows = [
            ("prompts", self.prompts),
            ("SIGKILLs, and runs in all", f"{self.kills}, {self.runs}"),
            ("whole pictures in the folder", self.whole),
            ("prompts with a current picture", self.current),
            ("prompts with a named reason instead", dict(self.reasons) or 0),
            ("broken files at any look", self.broken or 0),
            ("POSTs that the sandbox received", self.posts),
            ("pictures that the sandbox billed", self.billed),
            ("billed more than once, by the sandbox", self.bought_twice or 0),
            ("billed, by the ledger", self.ledger_billed),
            ("of these: answered with broken bytes", self.broken_answers),
            ("may have been billed twice, by the ledger", self.ledger_maybe),
            ("of these: answers lost to a fault", self.lost_to_faults),
            ("of these: POSTs on the wire at a kill", self.on_the_wire or 0),
            ("billed too often without a picture", self.overpaid or 0),
            ("POSTs while the folder was away", self.bought_while_away),
            ("current once the faults had ended", self.at_last),
        ]
        return "\n".join(f"{name:<44} {value}" for name, value in rows)


def broken_files(home: Path) -> list[str]:
    """Names of files that are not whole pictures now."""
    broken, store = [], open_store(Settings.load(home))
    for name in store.listing().sizes:
        try:
            check_whole(store.read(name))
        except ValueError as error:
            broken.append(f"{name}: {error}")
    return broken


def states(home: Path) -> Mapping[State, int]:
    """How many prompts are in each state."""
    settings = Settings.load(home)
    with Session(settings) as session:
        return session.plan(read_sources(settings).prompts).counts


def compare(home: Path, sandbox: SandboxServer, proof: Proof) -> None:
    """Write into the proof what the books say now."""
    billings, settings = sandbox.books.billings(), Settings.load(home)
    proof.broken += broken_files(home)
    proof.whole = len(open_store(settings).listing().sizes)
    proof.posts, proof.billed = sandbox.books.totals().posts, len(billings)
    proof.bought_twice = [prompt for prompt, times in Counter(b.prompt for b in billings).items() if times > 1]
    with Session(settings) as session:
        money, plan = session.ledger.money(), session.plan(read_sources(settings).prompts)
        proof.current = plan.counts[State.CURRENT]
        proof.ledger_billed, proof.ledger_maybe = money.billed, money.maybe_billed + money.reserved
        chains = session.ledger.purchases_of([entry.request.key for entry in plan.entries])
        prompt_of = {entry.request.key: entry.prompt.id for entry in plan.entries}
        posts = session.ledger.posts_of([chain.id for chain in chains])
        proof.broken_answers = sum(chain.error_class == "bad_image" for chain in chains)
        for chain in chains:
            lost = [post for post in posts.get(chain.id, []) if post.billing == "ambiguous"]
            # A fault's lost answer was noted by the run that met it; nobody was left to note that of a kill.
            killed = sum(post.answered_at is None for post in lost)
            proof.on_the_wire += [prompt_of[chain.request_key]] * killed
            proof.lost_to_faults += len(lost) - killed
    bills = Counter(billing.prompt for billing in billings)
    proof.overpaid = [
        entry.prompt.id
        for entry in plan.entries
        if bills[entry.prompt.text] - (entry.state is State.CURRENT) > 1 + RETRIES
    ]
    for entry in plan.entries:
        if entry.state.value != "current" and entry.purchase is not None and entry.purchase.error_class:
            proof.reasons[entry.purchase.error_class] += 1
