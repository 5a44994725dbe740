"""`duomi sandbox`. The service itself is in the package `sandbox`."""

import json
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import serve


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8787, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option("--latency", default=0.0, show_default=True, help="Seconds between a purchase and its answer.")
@click.option("--books", type=click.Path(dir_okay=False, path_type=Path), help="File in which it records what it sold.")
@click.option(
    "--fail",
    "faults",
    multiple=True,
    metavar="NAME=VALUE",
    help="A fault, such as rate_503=0.2; may be repeated.",
)
def sandbox(host: str, port: int, latency: float, books: Path | None, faults: tuple[str, ...]) -> None:
    """Run the sandbox service: it implements the Duomi API and draws storyboard cards.

    \b
    Examples:
      duomi sandbox --latency 2
      duomi sandbox --fail rate_503=0.2 --fail 'refuse=["blood"]'
    Then, in another terminal:
      DUOMI_BASE_URL=http://127.0.0.1:8787 DUOMI_API_KEY=any duomi generate
    """
    try:
        found = Faults.model_validate({"latency": latency, **dict(map(_fault, faults))})
    except ValidationError as error:
        names = ", ".join(sorted(Faults.model_fields))
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise click.UsageError(f"--fail {where}: {first['msg']}. Faults are: {names}.") from error
    try:
        serve(host=host, port=port, faults=found, books_path=books)
    except OSError as error:
        raise click.UsageError(f"{host}:{port} cannot be listened on: {error.strerror}.") from error


def _fault(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--fail {text}: write NAME=VALUE.")
    return name, _value(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
