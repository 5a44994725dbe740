"""A served gallery in a process of its own, and what its page sends."""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from duomi_pipeline_tests.cli.harness import command
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.processes import started


@dataclass(frozen=True)
class Served:
    """A served gallery.

    Attributes:
        address: of the page, with the token.
        process: that serves it.
    """

    address: str
    process: "subprocess.Popen[str]"

    @property
    def origin(self) -> str:
        return "/".join(self.address.split("/")[:3])

    def get(self, path: str, **how: Any) -> requests.Response:
        return requests.get(self.address + path, timeout=30, **how)

    def post(self, path: str, content: object, **how: Any) -> requests.Response:
        return requests.post(self.address + path, json=content, timeout=30, **how)

    def ask(self, kind: str, pictures: Mapping[str, str | None], **more: object) -> dict[str, Any]:
        answer = self.post("ask", {"kind": kind, "pictures": pictures, **more})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def status(self) -> dict[str, Any]:
        return dict(self.get("status").json())

    def ended(self, number: int) -> dict[str, Any]:
        """The progress of an action once it is over."""
        wait_until(lambda: (p := self.status()["progress"]) and p["number"] >= number and p["is_over"], "its end")
        return dict(self.status()["progress"])

    def do(self, kind: str, pictures: Mapping[str, str | None], **more: object) -> dict[str, Any]:
        """Ask, confirm, and wait for the end."""
        answer = self.post("confirm", {"ticket": self.ask(kind, pictures, **more)["ticket"]})
        assert answer.status_code == 200, answer.text
        return self.ended(answer.json()["number"])


@contextlib.contextmanager
def served(home: Path, *flags: str, **environment: str) -> Iterator[Served]:
    """The gallery of a home, served for the block."""
    line, env = command(home, "gallery", "--serve", "--port", "0", *flags, **environment)
    log = home / "serve.log"
    with (
        log.open("a") as errors,
        started(line, env=env, cwd=home, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), log.read_text()
        yield Served(address, process)
        process.terminate()
        process.wait(30)
