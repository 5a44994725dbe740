"""Starts `duomi generate` in one or several homes, kills it at random moments, and meddles with the pictures."""

import json
import os
import random
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from duomi_pipeline.engine import FAILED, State
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.chaos.books import RETRIES, Proof, broken_files, compare, states
from duomi_pipeline_tests.forks import Fork, be_duomi
from duomi_pipeline_tests.images.harness import rate

MODELS = {"async": "gpt-image-2", "sync": "stabilityai/stable-diffusion-xl-base-1.0"}
MAX_RUNS_AFTER = 20
_MORE = 20  # prompts that arrive when there is nothing to do before the minutes are over
_SUBJECTS = ("lighthouse", "fox", "paper boat", "clock tower", "violinist", "greenhouse", "night market", "balloon")


@dataclass(frozen=True)
class Plan:
    """What is to be proved.

    Attributes:
        protocol: `async` or `sync`.
        kills: at most so many, if `minutes` is 0.
        minutes: kill for so long; prompts arrive meanwhile.
        workers: that run at the same time; several have homes of their own, and share ledger, prompts and pictures.
        ledger: SQLAlchemy URL; `None`: SQLite in the home.
        images: path or fsspec URL; `None`: in the home.
    """

    protocol: str
    prompts: int
    kills: int
    seed: int
    minutes: float = 0.0
    workers: int = 1
    ledger: str | None = None
    images: str | None = None


def prove(home: Path, plan: Plan, faults: Faults) -> Proof:
    """Kill, restart, finish, compare."""
    chance, proof = random.Random(plan.seed), Proof(plan.prompts)
    _write_prompts(home, range(plan.prompts))
    with SandboxServer(faults=faults, books_path=home / "books.db") as sandbox:
        homes = [home] if plan.workers == 1 else [home / f"worker_{number}" for number in range(plan.workers)]
        for one in {home, *homes}:
            _write_settings(one, home, sandbox.url, plan)
        _kill_again_and_again(home, homes, plan, sandbox, proof, chance)
        _run_until_settled(home, homes, proof)
        compare(home, sandbox, proof)
        sandbox.faults = Faults(picture="flat")
        _run_until_settled(home, homes, proof, "--failed")
        proof.at_last = states(home)[State.CURRENT]
    return proof


def _kill_again_and_again(
    home: Path, homes: list[Path], plan: Plan, sandbox: SandboxServer, proof: Proof, chance: random.Random
) -> None:
    deadline = time.monotonic() + 60 * plan.minutes
    running: dict[Path, Fork] = {}
    try:
        while time.monotonic() < deadline if plan.minutes else proof.kills < plan.kills:
            if not any(run.poll() is None for run in running.values()) and _is_settled(home):
                if not plan.minutes:
                    break
                _write_prompts(home, range(proof.prompts, proof.prompts + _MORE))
                proof.prompts += _MORE
            for one in homes:
                if one not in running or running[one].poll() is not None:
                    running[one] = _start(one)
                    proof.runs += 1
            posts, victim = sandbox.books.totals().posts, running[chance.choice(homes)]
            _wait_for_a_post(sandbox, posts, victim)
            time.sleep(chance.uniform(0, 1.0))
            if victim.poll() is None:
                victim.kill()
                proof.kills += 1
            proof.broken += broken_files(home)
            if plan.images is None:
                _meddle(home, sandbox, proof, chance, is_alone=len(homes) == 1)
    finally:
        for run in running.values():
            run.kill()


def _meddle(home: Path, sandbox: SandboxServer, proof: Proof, chance: random.Random, *, is_alone: bool) -> None:
    """What happens to a folder of pictures: it is not mounted for a while, a picture is renamed, or rated.

    Args:
        is_alone: no run is at work now. If one is, the folder stays: its POSTs could not be told from those of a start
            without the folder.
    """
    images = home / "out" / "generated_images"
    if not (files := sorted(images.glob("*.png"))):
        return
    file, mishap = (
        chance.choice(files),
        chance.choice(("unmounted", "renamed", "rated") if is_alone else ("renamed", "rated")),
    )
    if mishap == "unmounted":
        posts, away = sandbox.books.totals().posts, images.rename(home / "away")
        _start(home).wait()
        proof.bought_while_away += sandbox.books.totals().posts - posts
        shutil.rmtree(images, ignore_errors=True)
        away.rename(images)
    elif mishap == "renamed":
        file.rename(images / f"renamed {secrets.token_hex(4)}.png")
    else:
        rate(file)


def _run_until_settled(home: Path, homes: list[Path], proof: Proof, *flags: str) -> None:
    for _ in range(MAX_RUNS_AFTER):
        runs = [_start(one, *flags) for one in homes]
        try:
            for run in runs:
                run.wait()
        finally:
            for run in runs:
                run.kill()
        proof.runs += len(runs)
        if _is_settled(home):
            break


def _write_prompts(home: Path, numbers: range) -> None:
    folder = home / "out" / "prompt_json"
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        text = f"{_SUBJECTS[number % len(_SUBJECTS)]} number {number}, vertical composition"
        unfinished = folder / f"prompt_{number:04d}.json.part"  # a run that reads now sees the file whole or not at all
        unfinished.write_text(json.dumps({"image_prompt": text}))
        unfinished.rename(unfinished.with_suffix(""))


def _write_settings(home: Path, shared: Path, url: str, plan: Plan) -> None:
    home.mkdir(exist_ok=True)
    settings: dict[str, object] = {"base_url": url, "model": MODELS[plan.protocol], "image_size": "720x1280"}
    settings |= {"timeout": 3, "poll_interval": 0.1, "max_concurrency": 8, "task_timeout": 20, "download_patience": 5}
    settings |= {"ambiguous_retries": RETRIES, "prompt_dir": str(shared / "out" / "prompt_json")}
    settings["image_dir"] = plan.images or str(shared / "out" / "generated_images")
    if plan.ledger:
        settings["ledger_url"] = plan.ledger
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    (home / "duomi.toml").write_text("".join(lines))


def _start(home: Path, *flags: str) -> Fork:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DUOMI_", "DAGSTER_"))}
    env["DUOMI_HOME"] = str(home)
    return Fork(be_duomi, home, "generate", *flags, output=home / "runs.log", environment=env)


def _wait_for_a_post(sandbox: SandboxServer, posts: int, run: Fork) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and run.poll() is None and sandbox.books.totals().posts == posts:
        time.sleep(0.02)


def _is_settled(home: Path) -> bool:
    """Whether there is nothing more to do without the user's word."""
    counts = states(home)
    return sum(counts[state] for state in (State.CURRENT, *FAILED)) == sum(counts.values())
