"""A `duomi dev` that answers, and a person in Chromium who clicks in its pages."""

import contextlib
import json
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from selenium.common import StaleElementReferenceException, TimeoutException
from selenium.webdriver import ActionChains
from selenium.webdriver.support.wait import WebDriverWait

from duomi_pipeline_tests.cli.harness import command

RUNS = "{ runsOrError { ... on Runs { results { id status jobName } } } }"
SHIFT, ENTER = "\ue008", "\ue007"
# The editor of an open launchpad lies over those of the page behind it.
_EDITOR = "[...document.querySelectorAll('.CodeMirror')].at(-1)?.CodeMirror"
_REACTION = 5.0  # seconds after which a person clicks once more
_DEADLINE = 90.0  # seconds; the daemon looks at backfills every 30 s


@dataclass(frozen=True)
class Ui:
    """A `duomi dev` that answers."""

    url: str
    home: Path
    process: "subprocess.Popen[str]"

    def post(self, query: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """Send GraphQL as the UI does, with some headers changed."""
        said = {"Origin": self.url, "Content-Type": "application/json", **(headers or {})}
        return requests.post(f"{self.url}/graphql", json.dumps({"query": query}), headers=said, timeout=60)

    def runs(self) -> list[str]:
        """Ids of all Dagster runs, the newest first."""
        return list(self.statuses())

    def statuses(self) -> dict[str, str]:
        """The statuses of all Dagster runs by id, the newest first."""
        found = self.post(RUNS).json()["data"]["runsOrError"]["results"]
        return {run["id"]: run["status"] for run in found}

    def loaded_at(self) -> float:
        """When the code location was last loaded, in seconds since 1970."""
        query = '{ workspaceLocationEntryOrError(name: "duomi_pipeline") { ... on WorkspaceLocationEntry { updatedTimestamp } } }'
        return float(self.post(query).json()["data"]["workspaceLocationEntryOrError"]["updatedTimestamp"])

    def sensor_status(self, name: str = "new_prompts") -> str:
        """Whether a sensor is `RUNNING` or `STOPPED`."""
        query = """{ sensorOrError(sensorSelector: {repositoryLocationName: "duomi_pipeline",
          repositoryName: "__repository__", sensorName: "%s"}) { ... on Sensor { sensorState { status } } } }"""
        return str(self.post(query % name).json()["data"]["sensorOrError"]["sensorState"]["status"])


@contextmanager
def duomi_dev(home: Path, *arguments: str, **environment: str) -> Iterator[Ui]:
    """Start `duomi dev` in a home folder on a free port, and end it with the block."""
    line, env = command(home, "dev", "--port", "0", *arguments, **environment)
    with subprocess.Popen(line, env=env, cwd=home, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert found
        threading.Thread(target=process.stderr.read, daemon=True).start()  # so that it never waits for a reader
        try:
            yield Ui(found[0], home, process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


class Person:
    """Somebody who finds things in Dagster's pages by the words that are on them."""

    def __init__(self, driver: Any, ui: Ui) -> None:
        self.driver, self.ui = driver, ui

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until a condition holds; returns what it gave."""
        waiting = WebDriverWait(self.driver, _DEADLINE, 0.2, ignored_exceptions=[StaleElementReferenceException])
        return waiting.until(lambda _: condition(), what)

    def open(self, path: str, *words: str) -> None:
        """Open a page of the UI, and wait for words on it."""
        self.driver.get(self.ui.url + path)
        for word in words:
            self.reads(word)

    def reads(self, words: str) -> None:
        """Wait until the words are on the page."""
        self.until(lambda: words in self.driver.find_element("css selector", "body").text, f"{words!r} is not there")

    def click(self, words: str, *, shift: bool = False) -> None:
        """Click what has just these words, or is named so: a button rather than what lies around it."""
        words_of = f'normalize-space(text())="{words}" or @aria-label="{words}" or normalize-space(.)="{words}"'

        def clicked() -> bool:
            for kind in ("button", "a", "*"):
                found = self.driver.find_elements("xpath", f"//{kind}[{words_of}]")
                if shown := [one for one in found if one.is_displayed()]:
                    hand = ActionChains(self.driver)
                    aimed = (hand.key_down(SHIFT) if shift else hand).click(shown[0])
                    (aimed.key_up(SHIFT) if shift else aimed).perform()
                    return True
            return False

        self.until(clicked, f"nothing to click says {words!r}")

    def launch(self) -> None:
        """In the dialog of *Materialize…*: launch its runs, once some partitions are chosen."""
        path = '//button[starts-with(normalize-space(.), "Launch ") and not(@disabled)]'
        found = self.until(lambda: self.driver.find_elements("xpath", path), "nothing can be launched")
        found[-1].click()

    def launchpad(self, config: str, partition: str | None = None) -> None:
        """In an open launchpad choose a partition or none, write the config, and materialize."""
        self.shown_config()
        if partition is not None:
            field = self.driver.find_element("css selector", 'input[placeholder="Partition"]')
            field.click()
            field.send_keys(partition, ENTER)
            self.reads(f"partition: {partition}")
        self.driver.execute_script(f"{_EDITOR}.setValue(arguments[0])", config)
        self.start("Materialize")
        if partition is None:
            self.click("Confirm")

    def start(self, words: str) -> None:
        """Click the button of a launchpad, again where it was not ready: it takes no click while it checks a config."""
        ready, asked = (f'//button[normalize-space(.)="{one}" and not(@disabled)]' for one in (words, "Confirm"))

        def clicked() -> bool:
            found = self.driver.find_elements("xpath", ready)
            if not found:
                return False
            found[-1].click()
            with contextlib.suppress(TimeoutException):
                WebDriverWait(self.driver, _REACTION, 0.2).until(
                    lambda driver: driver.find_elements("xpath", asked) or not driver.find_elements("xpath", ready)
                )
                return True
            return False

        self.until(clicked, f"{words} does nothing")

    def shown_config(self) -> str:
        """What an open launchpad has filled in."""
        value = f"return {_EDITOR}?.getValue()"
        shown = self.until(lambda: self.driver.execute_script(value), "no launchpad with a config")
        self.reads("No errors")
        return str(shown)

    def ended(self, before: Mapping[str, str], count: int = 1) -> list[str]:
        """Wait for the end of the runs that were started since; returns their statuses."""

        def statuses() -> list[str]:
            new = [status for run, status in self.ui.statuses().items() if run not in before]
            return new if len(new) >= count and set(new) <= {"SUCCESS", "FAILURE", "CANCELED"} else []

        return list(self.until(statuses, "the run did not end"))
