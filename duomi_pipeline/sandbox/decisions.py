"""A submission as it comes to the desk, and what is decided on it.

Holds the two records between `service`, which knows HTTP, and `submissions`, which knows the journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from duomi_pipeline.sandbox.journal import Purchase
from duomi_pipeline.sandbox.plays import Play
from duomi_pipeline.sandbox.protocols import Protocol, ServiceError, parse_fields

REPEAT = "repeat"


@dataclass(frozen=True)
class Submission:
    """What came.

    Args:
        protocol: The one the body is written in.
        body: As received.
        authorization: All Authorization headers.
        name: Value of the idempotency header, if there is one and it counts.
        in_flight: Number of submissions without an answer yet, with this one.
    """

    protocol: Protocol
    body: bytes
    authorization: Sequence[str]
    name: str | None
    in_flight: int

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields of the body, not checked."""
        return parse_fields(self.body)

    @property
    def prompt(self) -> str | None:
        """The prompt, if it is a text."""
        return _writable(self.fields.get("prompt"))

    @property
    def model(self) -> str | None:
        """The model, if it is a text."""
        return _writable(self.fields.get("model"))


def _writable(text: object) -> str | None:
    # JSON can carry halves of surrogate pairs, which SQLite cannot.
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else None


@dataclass(frozen=True)
class Decision:
    """What is to be answered: a purchase or an error, unless a fault or a play takes the answer's place.

    Args:
        key: Names this submission in all dice: its body and how often that came before.
        purchase: What was bought, for the answer.
        error: Why nothing was bought.
        inline: The request asks for the picture itself instead of a URL.
        repeated: The purchase is an earlier one, which an idempotency header named again.
        fault: Name of the fault that hits the answer.
        play: The scripted answer that is given.
        interim: The interim statuses are sent first.
    """

    key: str
    purchase: Purchase | None = None
    error: ServiceError | None = None
    inline: bool = False
    repeated: bool = False
    fault: str | None = None
    play: Play | None = None
    interim: bool = False

    @property
    def answered(self) -> str:
        """The answer in one word, for the books."""
        if self.play:
            return f"{self.play.status}/played"
        if self.fault:
            return self.fault
        if self.error:
            return f"{self.error.status}/{self.error.code}"
        return REPEAT if self.repeated else "200"
