"""The README's table "Everyday tasks", column "in the UI": each row is done in Chromium, against `duomi dev`."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline_tests.cli.harness import duomi, pictures, write_prompts
from duomi_pipeline_tests.gallery.browser import ESCAPE, Page, start_chromium
from duomi_pipeline_tests.orchestration.ui import Person, duomi_dev

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]
_README = (ROOT / "README.md").read_text(encoding="utf-8")
_TABLE = _README.partition("## Everyday tasks")[2].partition("\n## ")[0]
ROWS = {
    task.strip(): in_ui.strip()
    for task, _, in_ui in (line.strip("|").split(" | ") for line in _TABLE.splitlines() if line.startswith("| "))
    if task.strip() != "I want to …"
}
_DOCS = _README + (ROOT / "docs/operations.md").read_text(encoding="utf-8")
EXAMPLES: list[str] = re.findall(r"```yaml\n(ops:.*?)```", _DOCS, re.DOTALL)
ASSET, JOB = "/assets/generated_images", "/locations/duomi_pipeline/jobs/generate_missing_images"
TEXTS = {"boat": "A red boat", "fox": "A fox in the snow"}
STARTS = {"DUOMI_BASE_URL": "sandbox", "DUOMI_IMAGE_SIZE": "108x192", "DUOMI_PRICE_PER_IMAGE": "0.1"}


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    driver = start_chromium(tmp_path_factory.mktemp("chromium"))
    home = tmp_path_factory.mktemp("home")
    write_prompts(home, TEXTS)
    try:
        made = duomi(home, "generate", **STARTS)
        assert made.returncode == 0, made.stderr
        with duomi_dev(home, **STARTS) as ui:
            yield Person(driver, ui)
    finally:
        driver.quit()


def example(field: str) -> str:
    """The config of the launchpad in README or docs that has this field."""
    return next(found for found in EXAMPLES if f"{field}:" in found)


def made(person: Person, stem: str) -> int:
    return sum(name.startswith(f"{stem}_") for name in pictures(person.ui.home))


def open_launchpad(person: Person, path: str = ASSET) -> None:
    """By shift and click, as the README says."""
    person.open(path, "Materialize…", "partitions")
    person.click("Materialize…", shift=True)


def missing(person: Person) -> None:
    write_prompts(person.ui.home, {"kite": "A red kite", "sorry": "I'm sorry, but I can't create that image."})
    before = person.ui.statuses()
    open_launchpad(person, JOB)
    shown = person.shown_config()
    assert shown.split() == ["ops:", "generated_images:", "config:", "force:", "false"]

    person.launchpad(shown)

    assert person.ended(before) == ["SUCCESS"]
    assert (made(person, "kite"), made(person, "boat")) == (1, 1)
    person.open(f"/runs/{person.ui.runs()[0]}", "No picture? json_sorry")


def another_model(person: Person) -> None:
    (person.ui.home / "duomi.toml").write_text('model = "black-forest-labs/FLUX.1-dev"\n')
    loaded = person.ui.loaded_at()
    person.open("/deployment/locations", "Loaded")
    person.click("Reload")
    person.until(lambda: person.ui.loaded_at() > loaded, "it was not reloaded")
    before, had = person.ui.statuses(), made(person, "fox")
    person.open(ASSET, "Materialize…")
    person.click("Materialize…")
    person.click("All")
    person.launch()

    assert set(person.ended(before)) == {"SUCCESS"}
    assert made(person, "fox") == had + 1


def another_seed(person: Person) -> None:
    before, had = person.ui.statuses(), made(person, "boat")
    open_launchpad(person)
    person.launchpad(example("force"), "json_boat")

    assert person.ended(before) == ["SUCCESS"]
    assert made(person, "boat") == had + 1
    assert json.loads((person.ui.home / "out/overrides.json").read_text())["json_boat"]["seed"] == 42


def keep(person: Person) -> None:
    before, had = person.ui.statuses(), made(person, "boat")
    open_launchpad(person)
    person.launchpad(example("keep").replace("2", "1"), "json_boat")

    assert person.ended(before) == ["SUCCESS"]
    assert made(person, "boat") == had


def failed(person: Person) -> None:
    write_prompts(person.ui.home, {"tower": "A tower of glass"})
    before = person.ui.statuses()
    open_launchpad(person)
    person.launchpad(example("max_images").replace("10", "0"))
    assert person.ended(before) == ["FAILURE"]
    assert made(person, "tower") == 0

    before = person.ui.statuses()
    person.open(ASSET, "Materialize…")
    person.click("Materialize…")
    person.click("Failed")
    person.launch()

    assert set(person.ended(before)) == {"SUCCESS"}
    assert made(person, "tower") == 1


def at_most(person: Person) -> None:
    write_prompts(person.ui.home, {f"lamp{number}": f"Lamp {number}" for number in range(3)})
    before = person.ui.statuses()
    open_launchpad(person)
    person.launchpad(example("max_images").replace("10", "2"))

    assert person.ended(before) == ["FAILURE"]
    assert sum(name.startswith("lamp") for name in pictures(person.ui.home)) == 2
    person.open(f"/runs/{person.ui.runs()[0]}", "max_images=2")


def standing(person: Person) -> None:
    write_prompts(person.ui.home, {"gull": "A gull"})
    before = person.ui.statuses()
    person.open("/assets/prompt_files", "Materialize")
    person.click("Materialize")
    assert person.ended(before) == ["SUCCESS"]
    person.open(ASSET, "Materialize…")
    person.click("Partitions")
    person.reads("json_boat")
    person.reads("Missing (1)")


def why(person: Person) -> None:
    person.open(f"{ASSET}?view=partitions&partition=json_fox", "Latest materialization")
    person.reads("View all historical events (")


def made_from(person: Person) -> None:
    person.open(f"{ASSET}?view=partitions&partition=json_fox", TEXTS["fox"])
    person.reads("51515151")


def manifest(person: Person) -> None:
    before, file = person.ui.statuses(), person.ui.home / "out/manifest/results.csv"
    file.unlink()
    person.open("/assets/results_manifest", "Materialize")
    person.click("Materialize")

    assert person.ended(before) == ["SUCCESS"]
    assert "json_boat" in file.read_text()


def gallery(person: Person) -> None:
    before = person.ui.statuses()
    person.open("/assets/gallery", "Materialize")
    person.click("Materialize")

    assert person.ended(before) == ["SUCCESS"]
    person.click("the gallery")  # in the asset's description; the one in its metadata comes with the next load
    person.until(lambda: "/duomi/" in person.driver.current_url, "the link leads elsewhere")
    person.reads("Spending")


def spent(person: Person) -> None:
    person.open("/duomi/gallery", "Spending")
    person.click("Spending")
    person.reads("Nothing was spent yet. Pictures of the sandbox are free")


def rejected(person: Person) -> None:
    page = Page(person.driver, Path(), f"{person.ui.url}/duomi/gallery")
    page.open()
    page.find("#grid .card").click()
    page.until(lambda: page.text(".panel h2"))
    page.keys("x", ESCAPE)
    person.click("Export")
    person.reads("In Dagster: the launchpad of each partition, with force and a seed.")  # as in `another_seed`


def lint(person: Person) -> None:
    write_prompts(person.ui.home, {"sorry": "I'm sorry, but I can't create that image."})
    before = person.ui.statuses()
    person.open("/assets/prompts", "Checks")
    person.click("Checks")
    person.click("Execute all")

    assert person.ended(before) == ["SUCCESS"]


def check(person: Person) -> None:
    before = person.ui.statuses()
    person.open("/locations/duomi_pipeline/jobs/check_results", "Launchpad")
    person.click("Launchpad")
    person.reads("No errors")
    person.start("Launch Run")

    assert person.ended(before) == ["SUCCESS"]
    person.open(f"{ASSET}?view=checks", "pictures_whole")


def log(person: Person) -> None:
    person.open("/assets/results_manifest", "Events")
    person.click("Events")
    person.reads("run_generated")


def sensor(person: Person) -> None:
    write_prompts(person.ui.home, {"owl": "An owl"})
    before = person.ui.statuses()
    person.open("/locations/duomi_pipeline/sensors/new_prompts", "Running")
    switch = person.driver.find_element("css selector", "input[type=checkbox]")
    switch.find_element("xpath", "./..").click()

    assert set(person.ended(before)) == {"SUCCESS"}
    assert made(person, "owl") == 1
    person.driver.find_element("css selector", "input[type=checkbox]").find_element("xpath", "./..").click()
    person.until(lambda: person.ui.sensor_status() == "STOPPED", "the sensor is still on")


CLICKS: Mapping[str, Callable[[Person], None]] = {
    "generate what is missing or changed": missing,
    "let new files become pictures by themselves": sensor,
    "redo one prompt with another seed, for good": another_seed,
    "keep an earlier picture of a prompt": keep,
    "try the failed ones again": failed,
    "never buy more than …": at_most,
    "know where I stand": standing,
    "know why a prompt is in its state": why,
    "know what a picture was made from": made_from,
    "read what a run did": log,
    "one table of all results": manifest,
    "look at the pictures, search, compare, pick": gallery,
    "know what was spent, by day, model and source": spent,
    "other pictures for what I rejected in the gallery": rejected,
    "see what a model ignores or misreads in my prompts": lint,
    "check that all pictures are whole, not blank, not twice": check,
    "another model for everything": another_model,
}


def test_every_row_that_the_ui_can_do_is_clicked_here() -> None:
    assert {task for task, in_ui in ROWS.items() if in_ui != "–"} == set(CLICKS)


@pytest.mark.parametrize("task", CLICKS)
def test_the_row(person: Any, task: str) -> None:
    CLICKS[task](person)
