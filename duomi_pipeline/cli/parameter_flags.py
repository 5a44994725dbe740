"""Flags for the parameters of a request, one per field of `ImageParameters`."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from duomi_pipeline.common.text import sentence
from duomi_pipeline.settings import ImageParameters, ParameterOverrides

_Function = TypeVar("_Function", bound=Callable[..., Any])
_METAVARS = {"model": "M", "image_size": "WxH", "negative_prompt": "T", "guidance_scale": "X", "seed": "S"}


def parameter_flags(command: _Function) -> _Function:
    """Decorator: add the flags to a command."""
    for name, field in reversed(ImageParameters.model_fields.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, metavar=_METAVARS.get(name, "N"), help=field.description)(command)
    return command


def given_parameters(flags: Mapping[str, Any]) -> ParameterOverrides:
    """The parameters given on the command line.

    Raises:
        click.UsageError: an invalid value; names flag, value and what is allowed.
    """
    try:
        return ParameterOverrides(**{name: flags[name] for name in ParameterOverrides.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-")
        reason = first["msg"].removeprefix("Value error, ")
        raise click.UsageError(sentence(f"--{flag} {first['input']}: {reason}")) from error
