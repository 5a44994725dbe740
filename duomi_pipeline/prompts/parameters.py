"""Validates parameters that users write into JSON; errors are one line of text. The fields are in `settings`."""

import reprlib

from pydantic import ValidationError

from duomi_pipeline.common.text import one_line
from duomi_pipeline.prompts.prompt import NO_OVERRIDES
from duomi_pipeline.settings import ParameterOverrides

_MAX_NAME = 40  # characters
_brief = reprlib.Repr()  # short text of a value in an error
_brief.maxlevel, _brief.maxstring, _brief.maxlong, _brief.maxdict, _brief.maxlist = 2, 60, 40, 3, 3


class BadParametersError(ValueError):
    """Invalid parameters; the text is one line, and does not contain the value of an unknown name."""


def checked_parameters(value: object) -> ParameterOverrides:
    """The parameters in a JSON object.

    Raises:
        BadParametersError: not an object, an unknown name, or an invalid value.
    """
    if not isinstance(value, dict):
        raise BadParametersError(f"{_brief.repr(value)} is not an object")
    if not value:
        return NO_OVERRIDES
    for name, given in value.items():
        if isinstance(given, bool):  # pydantic takes true for 1
            raise BadParametersError(f"{one_line(name, _MAX_NAME)}={str(given).lower()} is neither a number nor text")
    try:
        return ParameterOverrides.model_validate(value)
    except ValidationError as error:
        raise BadParametersError(_explained(error)) from error


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = one_line(str(first["loc"][0]), _MAX_NAME) if first["loc"] else ""
    if first["type"] == "extra_forbidden":  # its value may be a secret: an API key in the wrong place
        return f'there is no parameter "{name}"; there are {", ".join(ParameterOverrides.model_fields)}'
    what = f"{name}={_brief.repr(first['input'])}" if name else _brief.repr(first["input"])
    return one_line(f"{what}: {first['msg'].removeprefix('Value error, ')}")
