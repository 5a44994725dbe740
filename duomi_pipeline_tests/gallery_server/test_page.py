"""The served page in Chromium: it follows a run, and what it does is confirmed first; for keys, screen readers and fingers."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.cli.test_keep import billed, in_use, of, overrides
from duomi_pipeline_tests.gallery.browser import ENTER, ESCAPE, Page, start_chromium
from duomi_pipeline_tests.gallery.test_page import AXE, PHONE
from duomi_pipeline_tests.gallery_server.harness import Served, served

_AXE = """
const done = arguments[0];
axe.run({ preload: false, runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })
  .then(r => done(r.violations.map(v => [v.id, v.nodes.map(n => n.html)])))
"""
HOSTILE = "<img src=x onerror=window.hacked=1></script><script>window.hacked=1</script>"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = start_chromium(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.quit()


@pytest.fixture
def gallery(home: Path) -> Iterator[Served]:
    """Four prompts, one of which is refused for good."""
    (home / "out/prompt_json/hostile.json").write_text('{"image_prompt": "forbidden"}')
    duomi(home, "generate", "--prompt-id", "json_fox", "--prompt-id", "json_boat", "--prompt-id", "json_tower")
    with ExitStack() as stack:
        yield stack.enter_context(served(home, DUOMI_MAX_ATTEMPTS="1"))


@pytest.fixture
def page(driver: Any, gallery: Served) -> Iterator[Page]:
    opened = Page(driver, Path(), gallery.address)
    opened.open()
    yield opened
    assert opened.run("return window.hacked") is None
    driver.get("about:blank")


def button(page: Page, text: str, within: str = "") -> Any:
    """The shown button of that accessible name."""
    path = f'//{within or "body"}//button[normalize-space()="{text}" or @aria-label="{text}"]'
    page.until(lambda: [one for one in page.driver.find_elements("xpath", path) if one.is_displayed()])
    return next(one for one in page.driver.find_elements("xpath", path) if one.is_displayed())


def press(page: Page, text: str) -> None:
    """Scroll to a button and click it, also while the page, which follows what happens, is being drawn anew."""

    def is_pressed() -> bool:
        found = button(page, text)
        try:
            page.run("arguments[0].scrollIntoView({ block: 'center' })", found)
            found.click()
        except StaleElementReferenceException:
            return False
        return True

    page.until(is_pressed)


def violations(page: Page) -> Any:
    page.run(AXE.read_text(encoding="utf-8"))
    return page.driver.execute_async_script(_AXE)


def small(page: Page) -> list[list[Any]]:
    """What is pressed and smaller than 44 pixels, on the topmost layer."""
    return list(
        page.run("""
        const top = [...document.querySelectorAll('dialog[open]')].at(-1) || document.body;
        return [...top.querySelectorAll('button, a, input, select, summary')].filter(e => e.checkVisibility())
          .map(e => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
          .map(([html, box]) => [html, box.width, box.height]).filter(([, w, h]) => Math.min(w, h) < 43.9)""")
    )


def test_another_seed_is_confirmed_by_keys_and_the_new_picture_appears_by_itself(
    page: Page, home: Path, sandbox: SandboxServer
) -> None:
    page.enlarge("Fox")
    button(page, "Another seed …").send_keys(ENTER)
    page.until(lambda: "1 prompt. 1 request to" in page.text("#confirm"))
    assert "cost: 0.10 CNY" in page.text("#confirm")
    assert page.run("return document.activeElement.textContent") == "Cancel"  # Enter alone spends nothing
    page.keys(ENTER)
    page.until(lambda: not page.driver.find_elements("id", "confirm"))
    assert billed(sandbox) == 3

    button(page, "Another seed …").click()
    button(page, "Buy and do it").click()
    page.until(lambda: "1 generated" in page.text("#work"))
    page.until(lambda: "2 versions" in page.text(".panel"))
    new = of(home, "fox")[1]
    page.until(lambda: page.run("return document.querySelector('.stage img')?.src ?? ''").endswith(new))
    assert (billed(sandbox), in_use(home)) == (4, new)

    page.find('.strip button[aria-pressed="false"]').click()
    button(page, "Keep this version …").click()
    page.until(lambda: "costs nothing" in page.text("#confirm"))
    button(page, "Do it").click()
    page.until(lambda: "Keep earlier pictures" in page.text("#work"))
    page.until(lambda: "1 reused" in page.text("#work"))
    assert (billed(sandbox), in_use(home)) == (4, of(home, "fox")[0])


def test_parameters_are_edited_in_a_form_that_says_what_is_wrong(
    page: Page, home: Path, sandbox: SandboxServer
) -> None:
    page.enlarge("Boat")
    button(page, "Parameters …").click()
    page.until(lambda: page.driver.find_elements("id", "edit-seed"))
    page.find("#edit-seed").send_keys("many")
    button(page, "Show what it costs").click()
    page.until(lambda: "seed" in page.text('#edit [role="alert"]'))
    page.find("#edit-seed").clear()
    page.find("#edit-seed").send_keys("42", ENTER)
    button(page, "Buy and do it").click()
    page.until(lambda: "1 generated" in page.text("#work"))
    assert overrides(home) == {"json_boat": {"seed": 42}}
    assert sandbox.books.posts()[-1].seed == 42


def test_all_that_is_rejected_is_made_again_from_the_grid_of_versions(
    page: Page, home: Path, sandbox: SandboxServer
) -> None:
    page.open("#view=versions")
    model = "stable-diffusion-xl-base-1.0"
    for title in ("Boat", "Tower"):
        button(page, f"Reject: {title}, {model}").click()
    button(page, "Reroll 2 rejected …").click()
    button(page, "Buy and do it").click()
    page.until(lambda: "2 generated" in page.text("#work"))
    page.until(lambda: not page.find("#bulk").is_displayed())  # the marks are done with
    assert sorted(overrides(home)) == ["json_boat", "json_tower"]
    press(page, f"Another seed: Boat, {model}")
    page.until(lambda: "cost: 0.10 CNY" in page.text("#confirm"))
    page.keys(ESCAPE)
    assert billed(sandbox) == 5


def test_the_page_follows_a_run_of_the_command_line_and_keeps_its_place(
    page: Page, home: Path, sandbox: SandboxServer
) -> None:
    page.find("#query").send_keys("fox")
    page.shows("Fox")
    (home / "out/prompt_json/red_fox.json").write_text('{"image_prompt": "A red fox"}')
    duomi(home, "generate", "--prompt-id", "json_red_fox")
    page.shows("Fox", "Red fox")
    assert page.run("return document.activeElement.id") == "query"
    assert page.text("#count").startswith("2 of ")


def test_what_the_service_says_is_shown_as_text(page: Page, home: Path, sandbox: SandboxServer) -> None:
    (home / "out/prompt_json/hostile.json").write_text(f'{{"image_prompt": "{HOSTILE}"}}')
    sandbox.change_faults(refuse=("hacked",))
    duomi(home, "generate", DUOMI_MAX_ATTEMPTS="1")
    button(page, "Retry 1 failed …").click()
    button(page, "Buy and do it").click()
    page.until(lambda: page.driver.find_elements("css selector", ".failures li"))
    assert "json_hostile" in page.text(".failures")
    assert page.driver.find_elements("css selector", "#work img, #work script") == []


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: npm install in duomi_pipeline_tests/gallery")
def test_axe_and_44_pixels_in_what_a_served_page_has_besides(page: Page, sandbox: SandboxServer) -> None:
    def opened(what: str) -> None:
        page.open("#view=versions" if what == "versions" else "#open=json_fox")
        page.until(lambda: page.driver.find_elements("css selector", ".actions button"))
        if what == "confirm":
            button(page, "Another seed …").click()
        elif what == "edit":
            button(page, "Parameters …").click()
        if what in ("confirm", "edit"):
            page.until(lambda: page.driver.find_elements("css selector", f"#{what}[open]"))

    page.run("duomi.marks.toggle(duomi.rowOf('json_tower'), 'reject')")
    button(page, "Reroll 1 rejected …").click()
    button(page, "Buy and do it").click()
    page.until(lambda: "1 generated" in page.text("#work"))
    assert violations(page) == []
    for theme in ("dark", "light"):
        page.run("localStorage.setItem('duomi-gallery-theme', arguments[0])", theme)
        for what in ("versions", "viewer", "confirm", "edit"):
            opened(what)
            assert violations(page) == [], (theme, what)
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        for what in ("versions", "viewer", "confirm", "edit"):
            opened(what)
            assert small(page) == [], what
            assert page.run("return document.querySelector('.tools, .bar').scrollWidth <= innerWidth"), what
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
