"""What is wrong with settings: names that nobody knows, values that are not allowed."""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

from pydantic import ValidationError

# Two for the program itself, and what Kubernetes tells each pod about a service that is called `duomi`.
_NO_SETTING = re.compile(r"DUOMI_(HOME|TEMPORARY_HISTORY|(.+_)?(SERVICE_(HOST|PORT)|PORT)(_.+)?)")


class SettingsError(ValueError):
    """A setting has an invalid value; the message names setting, value and what is allowed."""


def ours(names: Iterable[str]) -> list[str]:
    """The variables that are meant as settings."""
    upper = (name.upper() for name in names if name.upper().startswith("DUOMI_"))
    return [name for name in upper if not _NO_SETTING.fullmatch(name)]


def check_names(names: Iterable[str], known: Collection[str], where: str) -> None:
    """Stop at a name that nobody knows: a misspelt cap would not hold.

    Raises:
        SettingsError: there is one; the message says which known names are near.
    """
    if unknown := sorted(set(names) - set(known)):
        near = {name: get_close_matches(name, known, n=1) for name in unknown}
        told = ", ".join(f"{name} (did you mean {found[0]}?)" if found else name for name, found in near.items())
        raise SettingsError(f"{where}: no such setting: {told}")


def explain(error: ValidationError, secrets: Collection[str]) -> str:
    """One line per problem with setting, value and rule; the value of a secret is never shown."""
    lines = []
    for problem in error.errors():
        if not problem["loc"]:
            lines.append(problem["msg"].removeprefix("Value error, "))
            continue
        name = str(problem["loc"][0])
        secret = name in secrets
        value = "(hidden)" if secret else repr(problem["input"])
        lines.append(f"DUOMI_{name.upper()}={value}: {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(dict.fromkeys(lines))
