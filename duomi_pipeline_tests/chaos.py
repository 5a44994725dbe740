"""The proof of the promise: kill the pipeline again and again, then compare three books.

    python -m duomi_pipeline_tests.chaos --protocol async --prompts 200 --kills 30

The sandbox runs in this process with every fault on; `duomi generate` runs in its own and is ended by SIGKILL at
random moments, until the kills are used up; in between the folder of pictures is away for a start, or a picture is
renamed or rated; then it runs until there is nothing more that it does by itself. What the
sandbox billed, what the ledger says and what lies in the folder is compared, and printed as a table. At last the
faults end, and the user says `--failed`. Ends with 1 if a promise does not hold.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from duomi_pipeline.engine import FAILED, Session, State
from duomi_pipeline.images import check_whole
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.plays import Play
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.forks import Fork, be_duomi
from duomi_pipeline_tests.images.harness import rate

MODELS = {"async": "gpt-image-2", "sync": "stabilityai/stable-diffusion-xl-base-1.0"}
MAX_RUNS_AFTER = 20
RETRIES = 1  # of a lost answer
_SUBJECTS = ("lighthouse", "fox", "paper boat", "clock tower", "violinist", "greenhouse", "night market", "balloon")


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


def prove(home: Path, protocol: str, prompts: int, kills: int, faults: Faults, seed: int) -> Proof:
    """Kill, restart, finish, compare."""
    chance, proof = random.Random(seed), Proof(prompts)
    _write_prompts(home, prompts)
    with SandboxServer(faults=faults, books_path=home / "books.db") as sandbox:
        _write_settings(home, sandbox.url, MODELS[protocol])
        while proof.kills < kills and not _is_settled(home):
            posts = sandbox.books.totals().posts
            with _started(home) as run:
                _wait_for(
                    lambda run=run, posts=posts: run.poll() is not None or sandbox.books.totals().posts > posts, 20
                )
                time.sleep(chance.uniform(0, 1.0))
                if run.poll() is None:
                    run.kill()
                    proof.kills += 1
            proof.runs += 1
            proof.broken += _broken(home)
            _meddle(home, sandbox, proof, chance)
        _run_until_settled(home, proof)
        _compare(home, sandbox, proof)
        sandbox.faults = Faults(picture="flat")
        _run_until_settled(home, proof, "--failed")
        proof.at_last = _states(home)[State.CURRENT]
    return proof


def _meddle(home: Path, sandbox: SandboxServer, proof: Proof, chance: random.Random) -> None:
    """What happens to a folder of pictures: it is not mounted for a while, a picture is renamed, or rated."""
    images = home / "out" / "generated_images"
    if not (files := sorted(images.glob("*.png"))):
        return
    file, mishap = chance.choice(files), chance.choice(("unmounted", "renamed", "rated"))
    if mishap == "unmounted":
        posts, away = sandbox.books.totals().posts, images.rename(home / "away")
        with _started(home):
            pass
        proof.bought_while_away += sandbox.books.totals().posts - posts
        shutil.rmtree(images, ignore_errors=True)
        away.rename(images)
    elif mishap == "renamed":
        file.rename(images / f"renamed {secrets.token_hex(4)}.png")
    else:
        rate(file)


def _run_until_settled(home: Path, proof: Proof, *flags: str) -> None:
    for _ in range(MAX_RUNS_AFTER):
        with _started(home, *flags):
            pass
        proof.runs += 1
        if _is_settled(home):
            break


def _write_prompts(home: Path, count: int) -> None:
    folder = home / "out" / "prompt_json"
    folder.mkdir(parents=True)
    for number in range(count):
        text = f"{_SUBJECTS[number % len(_SUBJECTS)]} number {number}, vertical composition"
        (folder / f"prompt_{number:04d}.json").write_text(json.dumps({"image_prompt": text}))


def _write_settings(home: Path, url: str, model: str) -> None:
    settings = {"base_url": url, "model": model, "image_size": "720x1280", "timeout": 3, "poll_interval": 0.1}
    patience = {"max_concurrency": 8, "task_timeout": 20, "download_patience": 5}
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**settings, **patience}.items()]
    (home / "duomi.toml").write_text("\n".join([*lines, f"ambiguous_retries = {RETRIES}", ""]))


@contextmanager
def _started(home: Path, *flags: str) -> Iterator[Fork]:
    """A `duomi generate` that has until the end of the block."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DUOMI_", "DAGSTER_"))}
    run = Fork(
        be_duomi, home, "generate", *flags, output=home / "runs.log", environment={**env, "DUOMI_HOME": str(home)}
    )
    try:
        yield run
        run.wait()
    finally:
        run.kill()


def _wait_for(condition: object, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not condition():  # type: ignore[operator]
        time.sleep(0.02)


def _is_settled(home: Path) -> bool:
    """Whether there is nothing more to do without the user's word."""
    states = _states(home)
    return sum(states[state] for state in (State.CURRENT, *FAILED)) == sum(states.values())


def _states(home: Path) -> Mapping[State, int]:
    settings = Settings.load(home)
    with Session(settings) as session:
        return session.plan(read_sources(settings).prompts).counts


def _broken(home: Path) -> list[str]:
    """Names of files that are not whole pictures now."""
    broken = []
    for path in (home / "out" / "generated_images").glob("*.png"):
        try:
            check_whole(path.read_bytes())
        except ValueError as error:
            broken.append(f"{path.name}: {error}")
    return broken


def _compare(home: Path, sandbox: SandboxServer, proof: Proof) -> None:
    billings, settings = sandbox.books.billings(), Settings.load(home)
    proof.broken += _broken(home)
    proof.whole = len(list((home / "out" / "generated_images").glob("*.png")))
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


# What a service answers to some prompts for ever, and to others now and then.
PLAYS = (
    Play(
        word="number 1,", body='{"error": {"message": "rejected by content moderation", "code": "moderation_blocked"}}'
    ),
    Play(word="number 2,", body='{"code": 20015, "message": "field x is wrong"}'),
    Play(word="number 3,", status=403, body="<h1>Sorry, you have been blocked</h1>", media_type="text/html"),
    Play(word="number 4,", status=200, billed=True, body='{"artwork": "elsewhere"}'),
    Play(word="number 5,", status=524, billed=True, body="<h1>A timeout occurred</h1>", media_type="text/html"),
    Play(rate=0.02, status=504, billed=True, body="<h1>Gateway Time-out</h1>", media_type="text/html"),
    Play(rate=0.02, status=530, body="<h1>Origin DNS error</h1>", media_type="text/html"),
)
FAULTS = {
    "async": Faults(
        picture="flat", latency=0.01, latency_jitter=0.02, task_seconds=0.6, early_404_seconds=0.3, rate_429=0.05,
        rate_503=0.05, rate_500_html=0.03, rate_reset_before=0.03, rate_poll_error=0.1, rate_poll_404=0.1,
        rate_empty_success=0.1, rate_truncated_download=0.1, rate_html_image=0.05, rate_html_200=0.02, rate_reset_after=0.02,
        rate_truncated_answer=0.02, rate_truncated_image=0.03, rate_jpeg_as_png=0.05, rate_wrong_size=0.05,
        rate_hang=0.005, hang_seconds=5, retry_after=0.2, plays=PLAYS, task_empty=("number 11,",), task_reason="IMAGE_SAFETY",
        deny_polls=("number 12,",), task_endless=("number 13,",), deny_downloads=("number 14,",), rate_download_busy=0.05,
        rate_interim=0.05, interim=(103,), interim_seconds=0.05, interim_wait=0.3, success={"code": 10000, "msg": "Success"},
    ),
    "sync": Faults(
        picture="flat", latency=0.1, latency_jitter=0.2, answer="both", rate_429=0.05, rate_503=0.05,
        rate_500_html=0.03, rate_reset_before=0.03, rate_truncated_download=0.1, rate_html_image=0.05, rate_html_200=0.02,
        rate_reset_after=0.02, rate_truncated_answer=0.02, rate_truncated_image=0.03, rate_jpeg_as_png=0.05,
        rate_wrong_size=0.05, rate_hang=0.005, hang_seconds=5, retry_after=0.2, plays=PLAYS, deny_downloads=("number 14,",),
        rate_download_busy=0.05, rate_interim=0.05, interim=(103,), interim_seconds=0.05, interim_wait=0.3,
        success={"code": 10000, "msg": "Success"}, framing="keep_alive", picture_form="bad_text_checksum",
    ),
}  # fmt: skip


def main() -> None:
    """Prove it, print the table, end with 1 if a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=sorted(FAULTS), default="async")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="duomi-chaos-") as folder:
        started = time.monotonic()
        proof = prove(
            Path(folder), options.protocol, options.prompts, options.kills, FAULTS[options.protocol], options.seed
        )
        print(f"{options.protocol}, seed {options.seed}, {time.monotonic() - started:.0f} s")
        print(proof.table())
    failures = proof.failures()
    print("\n".join(f"DOES NOT HOLD: {promise}" for promise in failures) or "Every promise holds.")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
