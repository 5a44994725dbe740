"""The sandbox in a process of its own, as the service of a case."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from duomi_pipeline_tests.processes import started


@contextmanager
def service(picture: str, latency: float) -> Iterator[str]:
    """The address of a sandbox; its pictures are drawn before the case begins.

    Args:
        picture: `flat` (14 kB) or `photo` (2.6 MB).
        latency: seconds between a request and its answer.
    """
    faults = ["--latency", str(latency), "--fail", f"picture={picture}"]
    command = ["duomi_pipeline.cli", "sandbox", "--port", "0", *faults]
    code = f"import sys; sys.argv = {command!r}; from duomi_pipeline.cli import main; main()"
    line = [sys.executable, "-c", code]
    with started(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        url = _address(process)
        _warm(url)
        yield url
        process.terminate()


def posts(url: str) -> int:
    """How many requests the service has got."""
    return int(requests.get(f"{url}/sandbox/books", timeout=60).json()["posts"])


def posted_at(url: str) -> list[float]:
    """When the service got each of its requests, by the clock of this machine, in seconds since 1970."""
    books = requests.get(f"{url}/sandbox/books", params={"detail": "1"}, timeout=60).json()
    return [float(post["at"]) for post in books["requests"]]


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if "http://" in line:
            return "http://" + line.split("http://")[1].split()[0].rstrip(".,/")
    raise SystemExit("the sandbox did not start")


def _warm(url: str) -> None:
    body = {"model": "m", "prompt": "warm", "image_size": "1080x1920", "batch_size": 1}
    answer = requests.post(f"{url}/v1/images/generations", json=body, timeout=60)
    requests.get(answer.json()["images"][0]["url"], timeout=60).raise_for_status()
    time.sleep(0.1)
