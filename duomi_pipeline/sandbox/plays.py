"""Answers to submissions that are written out word for word, for what no other fault says.

Holds the script of one such answer and whom it concerns. Which of several is given, and when in the course
of a sale, is decided in `faults` and `submissions`.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1)]


class Play(BaseModel):
    """One scripted answer to submissions; without arguments, an empty 400 for every one of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    word: str = Field(default="", description="Only for prompts that contain it, in whatever case; empty: all.")
    models: tuple[str, ...] = Field(default=(), description="Only for these models; empty: all.")
    rate: Rate = Field(default=1, description="Chance that it is given, thrown like the rates of the faults.")
    times: int | None = Field(default=None, ge=0, description="Only for the first so many submissions of one body.")
    billed: bool = Field(default=False, description="The sale is made and billed, then this replaces its answer.")

    status: int = Field(default=400, ge=200, le=599, description="HTTP status.")
    body: str = Field(default="", description="The answer's body, sent as it stands.")
    media_type: str = Field(default="application/json", description="What the body is said to be.")
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers, such as Retry-After.")

    def concerns(self, prompt: str, model: str, came_before: int) -> bool:
        """Whether it may answer this submission, whose body came so many times before."""
        return (
            self.word.casefold() in prompt.casefold()
            and (not self.models or model in self.models)
            and (self.times is None or came_before < self.times)
        )
