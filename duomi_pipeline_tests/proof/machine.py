"""Random stories of a home: prompts, runs, deaths, faults, and a world that loses things; its promises after each step.

    python -m duomi_pipeline_tests.proof.machine --stories 200

Hypothesis tells the shortest story in which a promise does not hold. What nobody can know is not asked for: a ledger
that is lost or restored forgets the answers that came to no file, and it is never lost together with the pictures.
"""

import argparse
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase
from hypothesis import settings as bounds
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from duomi_pipeline.engine import Session, State
from duomi_pipeline.images.metadata import read_info
from duomi_pipeline.prompts import Prompt, read_sources
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.proof.stage import RETRIES, TABLES, Stage, stage
from duomi_pipeline_tests.proof.steps import NO_WAITS, PLAN, SteppedRun, WatchedDatabase

NAMES = st.sampled_from(("a", "b", "c"))
TEXTS = st.sampled_from(("a lighthouse", "a paper boat", "a clock tower"))
SIZES = ("72x128", "96x128")
GOOD = Faults(picture="flat")
FAULTS = {
    "well": GOOD,
    "loses answers": Faults(picture="flat", rate_reset_after=1),
    "fails": Faults(picture="flat", rate_503=1),
    "refuses": Faults(picture="flat", refuse=("a",)),
}
Asked = tuple[str, str]  # text and size
STARTS = 3  # after the faults, until every prompt has its picture


class Story(RuleBasedStateMachine):
    """One home."""

    on: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.on.clear()
        self.on.sandbox.faults = GOOD
        for file in (self.on.home.path / "out" / "prompt_json").glob("*.json"):
            file.unlink()
        self.size = SIZES[0]
        self.word: Counter[Asked] = Counter()  # bills that the user allowed over what the product may risk, by request
        self.unknowable = 0  # bills that no book of ours can know any more
        self.lost = 0  # bills whose answer no run heard
        self.backup: dict[str, list[tuple[Any, ...]]] | None = None
        self.placeholders: dict[str, bytes] = {}
        self.away = self.on.home.path / "away"
        shutil.rmtree(self.away, ignore_errors=True)
        self.runs = 0
        self.at_plan: dict[str, Counter[Asked]] = {}  # bills before the look of each run, by its id

    # --- the user ----------------------------------------------------------------------------------------

    @initialize(name=NAMES, text=TEXTS)
    def begin(self, name: str, text: str) -> None:
        self.write(name, text)

    @rule(name=NAMES, text=TEXTS)
    def write(self, name: str, text: str) -> None:
        self.on.home.write(name, text)

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        (self.on.home.path / "out" / "prompt_json" / f"{name}.json").unlink(missing_ok=True)

    @rule(size=st.sampled_from(SIZES))
    def change_setting(self, size: str) -> None:
        self.size = size

    @rule(cap=st.sampled_from((None, 1)))
    def run(self, cap: int | None) -> None:
        before = self.on.sandbox.books.billed()
        self.play([self.begun(max_images=cap)])
        if cap is not None:
            assert self.on.sandbox.books.billed() - before <= cap, "the cap was passed"

    @rule()
    def buy_anew(self) -> None:
        self.play([self.begun(force=True)], said="force")

    # --- deaths and two at a time -----------------------------------------------------------------------

    @rule(steps=st.integers(0, 12), commits=st.booleans())
    def run_and_die(self, steps: int, commits: bool) -> None:
        self.play([self.begun()], [0] * steps, dies=0, commits=commits)

    @rule(turns=st.lists(st.integers(0, 1), max_size=24), dies=st.sampled_from((None, 0, 1)), commits=st.booleans())
    def run_two(self, turns: list[int], dies: int | None, commits: bool) -> None:
        self.play([self.begun(), self.begun()], turns, dies=dies, commits=commits)

    # --- the world --------------------------------------------------------------------------------------

    @rule(how=st.sampled_from(sorted(FAULTS)))
    def service(self, how: str) -> None:
        self.on.sandbox.faults = FAULTS[how]

    @precondition(lambda self: self.all_there)
    @rule()
    def back_up_ledger(self) -> None:
        self.backup = {table: self.on.ledger.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}

    @precondition(lambda self: self.all_there and self.backup is not None)
    @rule()
    def restore_ledger(self) -> None:
        self.replace_ledger(self.backup or {})

    @precondition(lambda self: self.all_there)
    @rule()
    def lose_ledger(self) -> None:
        self.replace_ledger({})

    @precondition(lambda self: not self.away.exists() and self.on.home.images.exists())
    @rule()
    def lose_folder(self) -> None:
        self.on.home.images.rename(self.away)

    @precondition(lambda self: self.away.exists())
    @rule()
    def bring_folder_back(self) -> None:
        if self.on.home.images.exists():
            for file in self.on.home.files():
                file.rename(self.away / file.name)
            shutil.rmtree(self.on.home.images)
        self.away.rename(self.on.home.images)

    @precondition(lambda self: self.pngs())
    @rule(number=st.integers(0, 9))
    def offload(self, number: int) -> None:
        file = self.pngs()[number % len(self.pngs())]
        if file.stat().st_size:
            self.placeholders[file.name] = file.read_bytes()
            file.write_bytes(b"")

    @precondition(lambda self: self.placeholders and not self.away.exists())
    @rule()
    def bring_offloaded_back(self) -> None:
        for name, data in self.placeholders.items():
            (self.on.home.images / name).write_bytes(data)
        self.placeholders.clear()

    @precondition(lambda self: self.pngs())
    @rule(number=st.integers(0, 9))
    def rename_picture(self, number: int) -> None:
        file = self.pngs()[number % len(self.pngs())]
        if file.name not in self.placeholders:
            file.rename(file.with_name(f"my_{file.name}"))

    @precondition(lambda self: self.pngs())
    @rule(number=st.integers(0, 9))
    def rate_picture(self, number: int) -> None:
        file = self.pngs()[number % len(self.pngs())]
        if file.name in self.placeholders:
            return
        with Image.open(file) as picture:
            texts = PngInfo()
            for name, text in picture.text.items():  # type: ignore[attr-defined]
                texts.add_itxt(name, str(text))
            texts.add_text("Rating", "5" * (1 + self.runs))
            picture.save(file, pnginfo=texts)

    # --- what holds at any time -------------------------------------------------------------------------

    @invariant()
    def no_more_money_left_than_may(self) -> None:
        for key, bills in self.bills().items():
            assert bills <= 1 + RETRIES + self.word[key], f"{bills} bills of one request"

    @invariant()
    def what_was_billed_is_booked(self) -> None:
        if not self.all_there:
            return
        self.look()
        booked, billed = self.on.booked(), self.on.sandbox.books.billed()
        assert booked >= billed - self.unknowable, f"{billed} billed, {booked} booked, {self.unknowable} unknowable"

    @invariant()
    def what_arrived_is_there(self) -> None:
        missing = self.on.sandbox.books.billed() - len(self.paid_pictures()) - self.waiting()
        assert missing <= self.lost + self.unknowable, f"{missing} pictures missing, {self.lost} answers lost"

    @invariant()
    def nobody_has_anothers_picture(self) -> None:
        if not self.all_there:
            return
        for entry in self.look():
            for file in entry.reusable if entry.state is State.CURRENT else ():
                info = read_info((self.on.home.images / file.file).read_bytes())
                assert info is not None
                assert (info.prompt_id, info.prompt) == (entry.prompt.id, entry.prompt.text), file.file

    def teardown(self) -> None:
        """The faults end: in a few starts every prompt has its picture."""
        if self.away.exists():
            self.bring_folder_back()
        self.bring_offloaded_back()
        self.on.sandbox.faults = GOOD
        for _ in range(STARTS):
            self.play([self.begun()])
        left = {entry.prompt.id: entry.state.value for entry in self.look() if entry.state is not State.CURRENT}
        assert not left, f"after {STARTS} starts: {left}"

    # --- how --------------------------------------------------------------------------------------------

    @property
    def all_there(self) -> bool:
        """Whether the world has lost nothing at the moment."""
        return not self.away.exists() and not self.placeholders

    @property
    def settings(self) -> Settings:
        return self.on.home.settings(image_size=self.size)

    def prompts(self) -> tuple[Prompt, ...]:
        return tuple(read_sources(self.settings).prompts)

    def begun(self, **how: Any) -> SteppedRun:
        self.runs += 1
        return SteppedRun(self.settings, self.prompts(), f"{id(self)}-{self.runs}", **how)

    def play(
        self,
        runs: Sequence[SteppedRun],
        turns: Iterable[int] = (),
        *,
        dies: int | None = None,
        commits: bool = False,
        said: str = "",
    ) -> None:
        """Let runs go on in turns; then one of them dies, if it should, and all that live come to their ends."""
        before, files = self.bills(), len(self.paid_pictures()) + self.waiting()
        self.at_plan = {}
        for turn in turns:
            if not runs[turn].is_over:
                self.go(runs[turn])
        if dies is not None and not runs[dies].is_over:
            (runs[dies].go_and_die if commits else runs[dies].die)()
        while living := [run for run in runs if not run.is_over]:
            for run in living:  # in turns: one may wait for the other
                self.go(run)
        for run in runs:
            run.close()
            assert run.error is None, repr(run.error)
        new = self.bills() - before
        # What the user's word lets be bought again: what is current, and what failed for good.
        if said:
            self.word += new
        told: set[Asked] = set()
        for key, billed in self.said_again(runs):
            self.word[key] = max(billed, self.word[key] + (1 + RETRIES if key in told else 0))
            told.add(key)
        gone = sum(new.values()) - (len(self.paid_pictures()) + self.waiting() - files)
        if dies is not None or self.on.sandbox.faults.rate_reset_after:
            self.lost += max(gone, 0)

    def go(self, run: SteppedRun) -> None:
        """One step of a run; before its look at the prompts the bills are noted."""
        if run.at == PLAN:
            self.at_plan[run.run_id] = self.bills()
        run.go()

    def said_again(self, runs: Sequence[SteppedRun]) -> list[tuple[Asked, int]]:
        """Failed requests that these runs were told to ask for, and how often each was billed when the run looked.

        Only where what may be risked was used up then. A run that dies before it asks leaves its word to the next one.
        """
        failed = [
            ((entry.prompt.text, str(entry.request.body["image_size"])), self.at_plan[run.run_id])
            for run in runs
            if run.plan and run.run_id in self.at_plan
            for entry in run.plan.entries
            if entry.state is State.FAILED_FOR_GOOD
        ]
        return [(key, billed[key]) for key, billed in failed if billed[key] >= 1 + RETRIES + self.word[key]]

    def bills(self) -> Counter[Asked]:
        """How often each request was billed."""
        found: Counter[Asked] = Counter()
        for post in self.on.sandbox.books.posts():
            found[post.prompt or "", json.loads(post.body)["image_size"]] += post.billed
        return found

    def look(self) -> Sequence[Any]:
        with Session(self.settings, waits=NO_WAITS) as session:
            session.ledger.database = WatchedDatabase(session.ledger.database)
            return session.plan(self.prompts()).entries

    def pngs(self) -> list[Any]:
        return [file for file in self.on.home.files() if file.suffix == ".png"]

    def paid_pictures(self) -> list[Asked]:
        """Every whole picture that was paid, wherever it is."""
        found = [(file.name, file.read_bytes()) for file in self.pngs()]
        if self.away.exists():
            found += [(file.name, file.read_bytes()) for file in self.away.glob("*.png")]
        found += self.placeholders.items()
        infos = [read_info(data) for _, data in found if data]
        return [(info.prompt, info.requested_size) for info in infos if info is not None and info.origin != "reused"]

    def waiting(self) -> int:
        """Bills whose pictures are known to the ledger, and wait to be fetched."""
        return int(
            self.on.ledger.execute("SELECT COUNT(*) FROM purchases WHERE state IN ('ready', 'submitted')").fetchone()[0]
        )

    def replace_ledger(self, rows: dict[str, list[tuple[Any, ...]]]) -> None:
        """Another ledger lies there: what came to no file is known to nobody."""
        self.unknowable = self.on.sandbox.books.billed() - len(self.paid_pictures())
        here = Counter(self.paid_pictures())
        for asked, bills in self.bills().items():
            self.word[asked] += max(bills - here[asked], 0)
        self.on.ledger.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            self.on.ledger.execute(f"DELETE FROM {table}")
        for table, found in rows.items():
            if found:
                self.on.ledger.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(found[0]))})", found)
        self.on.ledger.execute("COMMIT")


def tell(home: Path, stories: int, *, always_the_same: bool, shortens: bool = True) -> None:
    """Tell so many stories.

    Args:
        home: folder for a home.
        stories: how many.
        always_the_same: tell the same each time.
        shortens: look for the shortest story that breaks a promise, which takes minutes; else tell the first.

    Raises:
        AssertionError: a promise was broken; the shortest story is told.
    """
    told = bounds(
        max_examples=stories,
        stateful_step_count=12,
        deadline=None,
        derandomize=always_the_same,
        database=None,
        phases=(Phase.generate, Phase.shrink) if shortens else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    with stage(home, (), max_attempts=2) as on:
        Story.on = on
        run_state_machine_as_test(Story, settings=told)


def tell_known(home: Path) -> None:
    """One story in which much of the world goes wrong, told the same way each time.

    Raises:
        AssertionError: a promise was broken.
    """
    with stage(home, (), max_attempts=2) as on:
        Story.on = on
        story: Any = Story()
        steps: tuple[Callable[[], object], ...] = (
            lambda: story.write("a", "a lighthouse"),
            lambda: story.run(None),
            story.back_up_ledger,
            lambda: story.write("a", "a paper boat"),
            lambda: story.write("b", "a lighthouse"),
            lambda: story.run_and_die(6, commits=True),
            lambda: story.run_two([0, 0, 0, 1, 1, 1, 0, 0], None, commits=False),
            story.lose_ledger,
            lambda: story.run(None),
            lambda: story.write("a", "a lighthouse"),
            lambda: story.run(None),
            story.restore_ledger,
            lambda: story.rename_picture(0),
            lambda: story.run(1),
            lambda: story.rate_picture(1),
            story.lose_folder,
            lambda: story.run(None),
            story.bring_folder_back,
            lambda: story.offload(0),
            lambda: story.run(None),
            story.bring_offloaded_back,
            lambda: story.service("loses answers"),
            lambda: story.write("c", "a clock tower"),
            lambda: story.run(None),
            story.buy_anew,
        )
        for step in steps:
            step()
            story.no_more_money_left_than_may()
            story.what_was_billed_is_booked()
            story.what_arrived_is_there()
            story.nobody_has_anothers_picture()
        story.teardown()


def main() -> None:
    """Tell the known one, then new ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=int, default=100)
    parser.add_argument(
        "--first", action="store_true", help="tell the first story that breaks a promise, not the shortest"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="duomi-stories-") as folder:
        tell_known(Path(folder))
        tell(Path(folder), options.stories, always_the_same=False, shortens=not options.first)
    print(f"{options.stories} stories: every promise holds")


if __name__ == "__main__":
    main()
