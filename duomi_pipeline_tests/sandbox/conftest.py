"""One sandbox for each test, on a port of its own."""

from collections.abc import Iterator

import pytest

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.sandbox.client import Client


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Iterator[Client]:
    with SandboxServer(faults=Faults(picture="flat"), clock=clock) as server:
        yield Client(server)
