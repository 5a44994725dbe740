"""Chromium, headless, and the gallery's page in it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
ENTER, ESCAPE, LEFT, UP, RIGHT, DOWN, END = "\ue007", "\ue00c", "\ue012", "\ue013", "\ue014", "\ue015", "\ue010"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1300,900",
)  # fmt: skip
_DEADLINE = 30.0  # seconds


def start_chromium(profile: Path) -> Any:
    """A driver of a new Chromium; the test is skipped where it cannot be had."""
    if not (CHROMIUM and CHROMEDRIVER):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))


class Page:
    """The gallery's page, and what a person does to it."""

    def __init__(self, driver: Any, index: Path, address: str | None = None) -> None:
        self.driver = driver
        self.index = index
        self.address = address or index.as_uri()

    def open(self, fragment: str = "") -> None:
        """Load it as if for the first time."""
        self.driver.get("about:blank")
        self.driver.get(self.address + fragment)
        self.until(
            lambda: self.run(
                "return document.querySelectorAll('.card .caption, .cell, #empty:not([hidden])').length > 0"
            )
        )

    def run(self, code: str, *arguments: object) -> Any:
        return self.driver.execute_script(code, *arguments)

    def downloads(self, folder: Path) -> None:
        """Let downloads go to a folder."""
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})

    def until(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self.driver, _DEADLINE, 0.02).until(lambda _: condition())

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def keys(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def titles(self) -> list[str]:
        """The titles of the shown cards, in reading order."""
        return list(self.run("return [...document.querySelectorAll('#grid .title')].map(e => e.textContent)"))

    def shows(self, *titles: str) -> None:
        """Wait until exactly these cards are shown."""
        self.until(lambda: sorted(self.titles()) == sorted(titles))

    def card(self, title: str) -> Any:
        """The shown card of that title."""
        return self.driver.find_element("xpath", f'//button[@class="card"][.//span[@class="title"][.="{title}"]]')

    def enlarge(self, title: str) -> None:
        """Open the large view of the shown card of that title."""
        self.card(title).click()
        self.until(lambda: self.text(".panel h2") == title)

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector))
