"""What a person sees in Chromium on the pages of one `duomi dev`: tags, states, pictures and gallery."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.support.wait import WebDriverWait

from duomi_pipeline_tests.cli.harness import duomi, pictures, write_prompts
from duomi_pipeline_tests.gallery.browser import start_chromium
from duomi_pipeline_tests.orchestration.ui import duomi_dev

DEADLINE = 60.0  # seconds: the UI loads megabytes of scripts


class Ui:
    """Dagster's UI in Chromium."""

    def __init__(self, driver: Any, url: str, home: Path) -> None:
        self.driver, self.url, self.home = driver, url, home

    def open(self, path: str) -> None:
        """Load a page."""
        self.driver.get(self.url + path)

    def shows(self, *texts: str) -> None:
        """Wait until the page shows all these texts."""
        for text in texts:
            self.until(lambda driver, text=text: text in driver.find_element("css selector", "body").text)

    def find(self, xpath: str) -> Any:
        """The element, once it is there."""
        return self.until(lambda driver: next(iter(driver.find_elements("xpath", xpath)), None))

    def until(self, condition: Any) -> Any:
        """Wait for a condition."""
        return WebDriverWait(self.driver, DEADLINE, 0.1).until(condition)

    def run(self, code: str, *arguments: object) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(code, *arguments)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    driver = start_chromium(tmp_path_factory.mktemp("chromium"))
    home = tmp_path_factory.mktemp("home")
    write_prompts(home, {"boat": "A red boat", "fox": "A fox"})
    sandbox = {"DUOMI_BASE_URL": "sandbox", "DUOMI_IMAGE_SIZE": "108x192"}
    changed = {**sandbox, "DUOMI_GUIDANCE_SCALE": "9.5"}
    for arguments, environment in (["generate"], sandbox), (["manifest"], changed), (["gallery"], changed):
        assert duomi(home, *arguments, **environment).returncode == 0
    try:
        with duomi_dev(home, **changed) as dev:
            yield Ui(driver, dev.url, home)
    finally:
        driver.quit()


def test_the_list_of_runs_says_how_a_run_was_started_and_what_it_made(ui: Ui) -> None:
    ui.open("/runs")
    ui.shows("duomi/from: command line", "duomi/pictures: 2 new")


def test_the_latest_event_of_the_pictures_names_what_is_outdated_and_links_to_the_gallery(ui: Ui) -> None:
    ui.open("/assets/generated_images?view=events")
    ui.shows("prompts_outdated", "all in the gallery")
    ui.shows("guidance_scale: 7.5, now 9.5")  # a short table stands in the page, a long one behind a click
    links = [link.get_attribute("href") for link in ui.driver.find_elements("css selector", "table a")]
    assert f"{ui.url}/assets/generated_images?view=partitions&partition=json_boat" in links

    ui.open(re.sub(f"^{ui.url}", "", next(link for link in links if "/duomi/gallery" in link)))
    ui.until(lambda _: ui.run("return document.querySelectorAll('#grid .card').length") == 2)
    assert ui.run("return document.querySelector('#states [aria-pressed=true]').textContent").startswith("outdated")
    ui.until(lambda _: ui.run("return [...document.querySelectorAll('#grid img')].every(i => i.naturalWidth > 0)"))
    ui.run("document.querySelector('#grid .card').click()")
    ui.until(lambda _: ui.run("return [...document.images].some(i => i.naturalHeight === 192)"))


def test_the_preview_of_a_picture_is_a_link_to_it_in_full_size(ui: Ui) -> None:
    ui.open("/assets/generated_images?view=partitions&partition=json_boat")
    address = ui.find("//a[.//img[@alt='thumbnail']]").get_attribute("href")
    (file,) = (name for name in pictures(ui.home) if name.startswith("boat"))
    assert address == f"{ui.url}/duomi/pictures/{file}"

    ui.driver.get(address)
    ui.until(lambda _: ui.run("return document.images[0]?.naturalHeight") == 192)


def test_prompts_do_not_look_empty(ui: Ui) -> None:
    ui.open("/assets/generated_images?view=lineage")
    ui.find("//a[contains(@href, '/assets/prompts?view=partitions')][.='100% filled']")


@pytest.mark.parametrize(("asset", "said"), [("gallery", "the gallery"), ("results_manifest", "path_parquet")])
def test_what_a_command_wrote_is_an_event_of_its_asset(ui: Ui, asset: str, said: str) -> None:
    ui.open(f"/assets/{asset}?view=events")
    ui.shows("Reported", "Materialized", said)


def test_the_page_of_the_sensor_says_why_a_look_started_no_run_and_what_to_do(ui: Ui) -> None:
    (ui.home / "out/prompt_json/cut.json").write_text('```json\n{"image_prompt": "A cut')
    ui.open("/locations/duomi_pipeline/sensors/new_prompts")
    ui.shows("Running", "Why a look requested no run: click its")
    ui.find("//input[@type='checkbox']/..").click()
    result = ui.find("//button[normalize-space(text())='0 runs requested']")  # the daemon's first look
    ui.run("arguments[0].click()", result)
    ui.shows(
        "Skip reason: Nothing to generate: 2 outdated. Outdated pictures are left to you: `duomi generate --outdated`, or "
        "a backfill. Left out: cut.json: "
    )
    said = ui.find("//*[starts-with(normalize-space(.), 'Skip reason:')]")
    assert ui.run("const box = arguments[0].getBoundingClientRect(); return box.right <= innerWidth", said)
    (ui.home / "out/prompt_json/cut.json").unlink()
