"""Every interleaving of two runs at the granularity of ledger steps, with a death of one of them at each step.

    python -m duomi_pipeline_tests.proof.schedules --prompts 3

A step is one write into the ledger and all that its run does until its next one: POST, download, file, looks. Two
schedules that lead to the same state have the same future, so each state is gone on from once; the states form a
graph without circles (a run that waits for the other one stays where it is), and the interleavings are its paths. The
same state is: the same rows but for ids and times, the same files and bills, and both runs at the same step, with the
same plan, the same outcomes and the same steps behind them for the request at hand. The two runs are alike: a state
and its mirror image count as the same.

With `--reduced` steps that commute are walked in one order only. The POST of a request that a run holds, and its
answer, say nothing to the other run, once that has looked at ledger and folder: as long as the first one lives, its
claims of this request are turned away before and after; nor does it matter to it when a run that holds nothing begins
or ends. So the first one goes on, or dies, and the other's next step comes later. A death is told to nobody: it is walked where the other run's next step could notice it.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline_tests.postgres import postgres_database
from duomi_pipeline_tests.proof.stage import Stage, stage
from duomi_pipeline_tests.proof.steps import SteppedRun

RUNS = ("A", "B")
TEXTS = ("a lighthouse", "a paper boat", "a clock tower", "a fox")
Move = tuple[str, str]  # whose turn it is, and how: goes on, dies before its step, dies after it
Schedule = tuple[Move, ...]
OWN = ("start_run", "end_run")  # they say something of a run that holds nothing
PRIVATE = (*OWN, "send", "answered")
LOOKS = ("plan", "record_findings", "set_fact")  # at all that is there
GOES, DIES_BEFORE, DIES_AFTER = "goes on", "dies before", "dies after"
HOWS = (GOES, DIES_BEFORE, DIES_AFTER)


@dataclass(frozen=True)
class State:
    """Where a story has come to; `swapped`: written down with the runs' names exchanged."""

    text: str
    moves: tuple[Move, ...]
    swapped: bool
    is_end: bool

    def name(self, move: Move) -> Move:
        """A move under the names of the text, and back."""
        run, how = move
        return (RUNS[1 - RUNS.index(run)], how) if self.swapped else move


@dataclass
class Walk:
    """What was walked.

    Attributes:
        graph: the states, and where each move leads from there.
        executions: stories that were played, each from the beginning.
        violations: what did not hold, with the shortest story that shows it.
    """

    graph: dict[str, dict[Move, str]] = field(default_factory=dict)
    ends: set[str] = field(default_factory=set)
    executions: int = 0
    violations: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def moves(self) -> int:
        """Different steps from different states."""
        return sum(map(len, self.graph.values()))

    def interleavings(self, start: str) -> int:
        """Different schedules from the start to an end; waiting counts as no step."""

        @cache
        def paths(state: str) -> int:
            if state in self.ends:
                return 1
            return sum(paths(after) for after in self.graph[state].values() if after != state)

        return paths(start)

    def shortest(self) -> tuple[str, list[str]]:
        """The violation with the shortest story."""
        return min(self.violations, key=lambda violation: len(violation[1]))


class Story:
    """One schedule being played.

    Args:
        on: the stage.
        reduced: leave out moves that commute with what is walked.
    """

    def __init__(self, on: Stage, *, reduced: bool = False) -> None:
        on.clear()
        self.on = on
        self.reduced = reduced
        self.runs = {name: on.run(name) for name in RUNS}
        self.told: list[str] = []
        self.wire = 0

    def close(self) -> None:
        for run in self.runs.values():
            run.close()

    def play(self, move: Move) -> None:
        """Let one run go on, or die."""
        name, how = move
        run = self.runs[name]
        step, key = run.at
        self.told.append(f"{name} {how} {step} {self.on.names.get(key, '')}".rstrip())
        sent = any(taken[0] == "send" for taken in run.taken)
        if how == GOES:
            run.go()
        elif how == DIES_BEFORE:
            self.wire += sent
            run.die()
        else:
            self.wire += sent
            run.go_and_die()
        if run.is_dead:  # a step that is turned away is not taken, and nobody dies after it
            self.on.bury(run.run_id)

    def state(self) -> State:
        """Where it has come to."""
        alike = [self._text(order) for order in (RUNS, RUNS[::-1])]
        swapped = alike[1] < alike[0]
        living = [name for name in RUNS if not self.runs[name].is_over]
        moves = self._reduced(living) if self.reduced else [(name, how) for name in living for how in HOWS]
        if any(run.is_dead for run in self.runs.values()):
            moves = [(name, GOES) for name in living]
        return State(alike[swapped], tuple(moves), swapped, not living)

    def _reduced(self, living: Sequence[str]) -> list[Move]:
        if len(living) == len(RUNS):
            looking = any(run.at[0] in LOOKS for run in self.runs.values())
            for name in living:
                if self.runs[name].at[0] in (OWN if looking else PRIVATE):
                    return [(name, how) for how in HOWS]
        return [(name, how) for name in living for how in HOWS if how == GOES or self._is_noticed(name, how)]

    def _is_noticed(self, name: str, how: str) -> bool:
        """Whether the other run's next step could see that this one died: else it is walked after that step."""
        run, other = self.runs[name], self.runs[RUNS[1 - RUNS.index(name)]]
        if other.is_over or other.at[0] in LOOKS:
            return True
        keys = {run.at[1], *(taken[1] for taken in run.taken)}
        return other.at[1] in keys or (how == DIES_AFTER and run.at[0] in LOOKS)

    def _text(self, order: Sequence[str]) -> str:
        ids = {self.runs[name].run_id: str(place) for place, name in enumerate(order)}
        return repr(([self._of_run(self.runs[name]) for name in order], self._shared(ids)))

    def _of_run(self, run: SteppedRun) -> object:
        planned = [
            (e.state.value, e.purchase.state if e.purchase else "", bool(e.reusable))
            for e in (run.plan.entries if run.plan else ())
        ]
        outcomes = sorted((o.prompt.id, str(o.status)) for o in run.outcomes)
        return run.at, run.is_dead, planned, outcomes, [] if run.is_over else run.taken

    def _shared(self, ids: dict[str, str]) -> object:
        ask = self.on.ledger.execute
        place: dict[int, tuple[str, int]] = {}
        chains: dict[str, list[object]] = {}
        of_chains = ask("SELECT id, request_key, state, run_id, error_class FROM purchases ORDER BY id")
        for number, key, state, run, error in of_chains:
            place[number] = (key, len(chains.setdefault(key, [])))
            chains[key].append((state, ids.get(run, "?"), error))
        posts = sorted(
            (*place[chain], ids.get(run, "?"), billing)
            for chain, run, billing in ask("SELECT purchase_id, run_id, billing FROM posts")
        )
        of_pictures = ask("SELECT prompt_id, purchase_id, position FROM pictures")
        pictures = sorted((prompt, *place[chain], at) for prompt, chain, at in of_pictures)
        of_prompts = ask("SELECT prompt_id, purchase_id FROM selections")
        chosen = sorted((prompt, *place[chain]) for prompt, chain in of_prompts)
        ended = sorted((ids.get(run, "?"), end) for run, end in ask("SELECT id, ended_at IS NOT NULL FROM runs"))
        known = ask("SELECT COUNT(*) FROM facts WHERE name = 'folder'").fetchone()[0]
        files = sorted(file.name.partition("_2")[0] for file in self.on.home.files())
        bills = sorted(billing.prompt for billing in self.on.sandbox.books.billings())
        return sorted(chains.items()), posts, pictures, chosen, ended, known, files, bills


def walk(on: Stage, *, reduced: bool = False, most: int | None = None) -> Walk:
    """Go on from every state in every way.

    Args:
        on: the stage.
        reduced: walk only one order of steps that commute.
        most: violations after which to end.
    """
    found, todo = Walk(), [Schedule()]
    while todo and (most is None or len(found.violations) < most):
        _play_on(Story(on, reduced=reduced), found, todo.pop(), todo)
    return found


def _play_on(story: Story, found: Walk, begun: Schedule, todo: list[Schedule]) -> None:
    """Play a schedule again, then go where nobody has been."""
    on, schedule = story.on, begun
    found.executions += 1
    try:
        for move in begun:
            story.play(move)
        while not (now := story.state()).is_end:
            been = found.graph.setdefault(now.text, {})
            ways = [move for move in now.moves if now.name(move) not in been]
            if not ways:
                return
            if len(ways) > 1:
                todo.append(schedule)
            story.play(ways[0])
            schedule += (ways[0],)
            been[now.name(ways[0])] = story.state().text
            _check(found, story, on.violations(wire=story.wire))
        if now.text not in found.ends:
            found.ends.add(now.text)
            _check(found, story, [*on.end(), *on.violations(wire=story.wire)])
    finally:
        story.close()


def _check(found: Walk, story: Story, violations: list[str]) -> None:
    errors = [f"run {name}: {run.error!r}" for name, run in story.runs.items() if run.error]
    for violation in (*violations, *errors):
        found.violations.append((violation, list(story.told)))


def main() -> None:
    """Walk, and print how far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=3)
    parser.add_argument("--answer", default="url", help="as in the sandbox's faults: url, b64")
    parser.add_argument("--most", type=int, help="violations after which to end")
    parser.add_argument("--reduced", action="store_true")
    parser.add_argument("--postgresql", action="store_true", help="the ledger on the server of TEST_POSTGRES_URL")
    options = parser.parse_args()
    began = time.monotonic()
    faults = Faults(picture="flat", answer=options.answer)
    with (
        tempfile.TemporaryDirectory(prefix="duomi-walk-") as folder,
        postgres_database() if options.postgresql else nullcontext("sqlite:///out/ledger.db") as ledger_url,
        stage(Path(folder), TEXTS[: options.prompts], faults, ledger_url=ledger_url) as on,
    ):
        with closing(Story(on)) as story:
            start = story.state().text
        found = walk(on, reduced=options.reduced, most=options.most)
    count = f"{found.interleavings(start):,} interleavings: " if not found.violations else ""
    print(
        f"{count}{found.moves:,} steps from {len(found.graph):,} states, "
        f"{found.executions:,} stories played in {time.monotonic() - began:.0f} s, {len(found.violations)} violations"
    )
    if found.violations:
        violation, story_told = found.shortest()
        print(f"DOES NOT HOLD: {violation}", *story_told, sep="\n  ")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
