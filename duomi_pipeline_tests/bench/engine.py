"""The engine alone: plan and batch in a home that has worked before."""

import json
from pathlib import Path

from duomi_pipeline.engine import GENERATED_BY_ITSELF, Session
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.bench.measure import Cost, measured


def engine_alone(url: str, texts: list[str], concurrency: int, home: Path) -> Cost:
    """Plan and batch, without Dagster."""
    settings = make_home(home, url, concurrency)
    write(settings, ["a first prompt, before it is measured"])
    _generate(settings)
    write(settings, texts)
    with measured(Cost(pictures=len(texts))) as cost:
        assert _generate(settings) == len(texts)
    return cost


def make_home(home: Path, url: str, concurrency: int) -> Settings:
    """A home folder that talks to the sandbox."""
    home.mkdir(parents=True)
    lines = [f"base_url = {json.dumps(url)}", f"max_concurrency = {concurrency}"]
    (home / "duomi.toml").write_text("\n".join(lines), encoding="utf-8")
    return Settings.load(home)


def write(settings: Settings, texts: list[str]) -> None:
    """Add prompt files."""
    folder = settings.path(settings.prompt_dir)
    folder.mkdir(parents=True, exist_ok=True)
    start = len(list(folder.iterdir()))
    for number, text in enumerate(texts, start):
        (folder / f"p{number:06}.json").write_text(json.dumps({"image_prompt": text}), encoding="utf-8")


def _generate(settings: Settings) -> int:
    with Session(settings) as session:
        plan = session.plan(read_sources(settings).prompts)
        with session.generating(plan.wanted(GENERATED_BY_ITSELF)) as batch:
            return sum(outcome.status == "generated" for outcome in batch)
