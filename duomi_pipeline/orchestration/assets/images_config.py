"""The run config of `generated_images`."""

from collections.abc import Iterable
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from duomi_pipeline.engine import GENERATED_BY_ITSELF, NOT_CURRENT, State
from duomi_pipeline.settings import ImageParameters, ParameterOverrides

MISSING_JOB = "generate_missing_images"
REGENERATE_JOB = "regenerate_images"
MISSING_AND_FAILED_FOR_NOW = GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW}


CHOSEN = sorted(state.value for state in NOT_CURRENT)  # for prompts that a person chose one by one


def _parameter(name: str) -> Any:
    return Field(default=None, description=ImageParameters.model_fields[name].description)


def _named(states: Iterable[State]) -> str:
    return ", ".join(sorted(state.value for state in states))


def refused(why: str) -> dg.Failure:
    """The failure of a run whose config asks for what cannot be."""
    return dg.Failure(f"{why}. Nothing was sent.", allow_retries=False)


class ImagesConfig(dg.Config):
    """Run config of `generated_images`. Empty fields: the settings' value; a prompt's own JSON wins over both.

    One field for each field of `ImageParameters`, in types of Dagster's config; `parameters` checks the values.
    """

    model: str | None = _parameter("model")
    image_size: str | None = _parameter("image_size")
    negative_prompt: str | None = _parameter("negative_prompt")
    batch_size: int | None = _parameter("batch_size")
    num_inference_steps: int | None = _parameter("num_inference_steps")
    guidance_scale: float | None = _parameter("guidance_scale")
    seed: Any = _parameter("seed")  # a number or a word
    force: bool = Field(
        default=False,
        description="On chosen partitions: buy again also where a current picture is there. Costs money. On one "
        "partition, parameters given with it become the prompt's own.",
    )
    keep: str | None = Field(
        default=None,
        description="On one partition: number (1: the oldest) or file name of an earlier picture that is to be the "
        "prompt's own again. Buys nothing.",
    )
    regenerate_lost: bool | None = Field(
        default=None, description="Buy again also where the folder of pictures is lost. Costs money."
    )
    max_images: int | None = Field(default=None, description="Buy at most so many pictures in this run.")
    states: list[str] | None = Field(
        default=None,
        description=f"Which states are generated; prompts in other states keep what they have. Empty: in the job "
        f"{MISSING_JOB}, and without a partition, {_named(MISSING_AND_FAILED_FOR_NOW)}; else all that are not current.",
    )

    def parameters(self) -> ParameterOverrides:
        """The parameters that this run sets.

        Raises:
            dg.Failure: a value is invalid; nothing was sent.
        """
        try:
            return ParameterOverrides(**{name: getattr(self, name) for name in ParameterOverrides.model_fields})
        except ValidationError as error:
            found = (f"`{one['loc'][0]}`: {one['msg'].removeprefix('Value error, ')}" for one in error.errors())
            raise refused("; ".join(found)) from None

    def cap(self) -> int | None:
        """How many pictures the run may buy; `None`: as many as the settings allow.

        Raises:
            dg.Failure: less than none; nothing was sent.
        """
        if self.max_images is not None and self.max_images < 0:
            raise refused(f"`max_images`: {self.max_images} is less than 0")
        return self.max_images

    def wanted_states(self, job: str, *, has_partitions: bool) -> frozenset[State]:
        """The states that the run generates; with `force` also current ones.

        Args:
            job: name of the run's job.
            has_partitions: whether somebody chose its partitions; outdated pictures are not bought unasked.

        Raises:
            dg.Failure: there is no such state; nothing was sent.
        """
        if self.states is not None:
            if unknown := set(self.states) - set(State):
                raise refused(f"`states`: there is no {', '.join(sorted(unknown))}, but {_named(State)}")
            states = frozenset(map(State, self.states))
        else:
            wide = job == REGENERATE_JOB or (has_partitions and job != MISSING_JOB)
            states = NOT_CURRENT if wide else MISSING_AND_FAILED_FOR_NOW
        return states | ({State.CURRENT} if self.force else set())
