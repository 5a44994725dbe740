"""`duomi` as an installed program, from Enter to its end: its imports, Dagster and the ends of runs are all in it."""

import sys
import time
from pathlib import Path

import requests

from duomi_pipeline.engine import Session, State
from duomi_pipeline.images.metadata import read_info, with_info
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.bench.engine import make_home, write
from duomi_pipeline_tests.bench.measure import Cost, child_cost
from duomi_pipeline_tests.bench.programs import duomi, environment
from duomi_pipeline_tests.bench.service import posted_at, posts

_OTHER_MODEL = "stabilityai/stable-diffusion-2-1"
_MANY = 10_000  # prompts that have their picture


def generate(url: str, texts: list[str], concurrency: int, home: Path) -> Cost:
    """A command that generates all prompts, in a home that has worked before."""
    settings = _home(home, url, concurrency)
    write(settings, texts)
    return run(home, "generate", pictures=len(texts))


def reuse(url: str, texts: list[str], concurrency: int, home: Path) -> Cost:
    """A command that finds every picture of its model in the folder: another model drew the current ones."""
    settings = _home(home, url, concurrency)
    write(settings, texts[1:])  # with the first one of the home as many as a run of Dagster takes
    faults = requests.get(f"{url}/sandbox/faults", timeout=60).json()
    requests.put(f"{url}/sandbox/faults", json={**faults, "latency": 0}, timeout=60).raise_for_status()
    run(home, "generate", pictures=len(texts))
    run(home, "generate", "--outdated", "--model", _OTHER_MODEL, pictures=len(texts))
    before = posts(url)
    cost = run(home, "generate", "--outdated", pictures=len(texts))
    assert posts(url) == before, "a picture was bought twice"
    return cost


def first_request(url: str, _texts: list[str], concurrency: int, home: Path) -> Cost:
    """A command that generates one new prompt among `_MANY` current ones; wall: until the service has its request."""
    settings = _home(home, url, concurrency)
    write(settings, [f"A quiet harbour at dawn, boat number {number}" for number in range(_MANY)])
    _save_pictures(settings)
    run(home, "plan", pictures=1)  # adopts them
    write(settings, ["A loud harbour at noon"])
    started = time.time()
    cost = run(home, "generate", pictures=1)
    cost.wall = max(posted_at(url)) - started
    return cost


def starts(url: str, home: Path) -> dict[str, Cost]:
    """Commands that need no Dagster, in a home with one picture; the first line is a Python that does nothing."""
    _home(home, url, 1)
    (picture,) = map(str, (home / "out" / "generated_images").glob("*.png"))
    commands = [["--help"], ["status"], ["why", "json_p000000"], ["inspect", picture]]
    nothing = {"python -c pass": child_cost([sys.executable, "-c", "pass"], home, environment(home))}
    return {**nothing, **{f"duomi {line[0]}": run(home, *line, pictures=1) for line in commands}}


def run(home: Path, *arguments: str, pictures: int) -> Cost:
    """What one command costs."""
    cost = duomi(home, *arguments)
    cost.pictures = pictures
    return cost


def _home(home: Path, url: str, concurrency: int) -> Settings:
    """A home that has generated one picture before."""
    settings = make_home(home, url, concurrency)
    write(settings, ["a first prompt, before it is measured"])
    run(home, "generate", pictures=1)
    return settings


def _save_pictures(settings: Settings) -> None:
    """A whole picture of every missing prompt, as after a lost ledger: the next plan adopts them."""
    with Session(settings) as session:
        (first,) = session.ledger.selections().values()
        picture = session.store.read(first.files[0].file)
        plan = session.plan(read_sources(settings).prompts)
    made = read_info(picture)
    assert made is not None
    for entry in plan.wanted({State.MISSING}):
        prompt, request = entry.prompt, entry.request
        mine = {"prompt_id": prompt.id, "prompt_version": prompt.version, "prompt": request.prompt}
        info = made.model_copy(update={**mine, "request_key": request.key, "request": request.content})
        name = f"{prompt.file_prefix}_20260101_000000_000.png"
        (settings.path(settings.image_dir) / name).write_bytes(with_info(picture, info))
