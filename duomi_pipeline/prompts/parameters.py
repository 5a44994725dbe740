"""Check parameters that a person wrote into JSON, and say in one line what is wrong with them."""

import reprlib

from pydantic import ValidationError

from duomi_pipeline.common.text import one_line
from duomi_pipeline.settings import ParameterOverrides

_MAX_NAME = 40  # characters
_brief = reprlib.Repr()  # a value as messages show it: never long, never deep
_brief.maxlevel, _brief.maxstring, _brief.maxlong, _brief.maxdict, _brief.maxlist = 2, 60, 40, 3, 3


class BadParametersError(ValueError):
    """Why they cannot be used; the text is one line, and holds no value of a name that nobody knows."""


def checked_parameters(said: object) -> ParameterOverrides:
    """The parameters that a JSON object says.

    Raises:
        BadParametersError: no object, a name that is none, or a value that cannot be used.
    """
    if not isinstance(said, dict):
        raise BadParametersError(f"{_brief.repr(said)} is not an object")
    for name, value in said.items():
        if isinstance(value, bool):  # pydantic takes true for 1
            raise BadParametersError(f"{one_line(name, _MAX_NAME)}={str(value).lower()} is no number and no text")
    try:
        return ParameterOverrides.model_validate(said)
    except ValidationError as error:
        raise BadParametersError(_explained(error)) from error


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = one_line(str(first["loc"][0]), _MAX_NAME) if first["loc"] else ""
    if first["type"] == "extra_forbidden":  # its value may be anything: a key that somebody put in the wrong place
        return f'there is no parameter "{name}"; there are {", ".join(ParameterOverrides.model_fields)}'
    what = f"{name}={_brief.repr(first['input'])}" if name else _brief.repr(first["input"])
    return one_line(f"{what}: {first['msg'].removeprefix('Value error, ')}")
