"""Where a command that serves Dagster's UI listens: its options, its socket, what it says of it."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import click

_OPTIONS = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option("--port", default=3000, show_default=True, type=click.IntRange(0, 65535), help="0: any free port."),
    click.option(
        "--allow-host",
        "hosts",
        multiple=True,
        metavar="NAME",
        help="Another host name, without port, under which browsers reach it; may be repeated.",
    ),
)


def listening_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `host`, `port` and `hosts`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens, whose address is told; Ctrl-C ends the block.

    Raises:
        UsageError: the address cannot be listened on.
    """
    try:
        opened = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise click.UsageError(f"{host}:{port} cannot be listened on: {error.strerror}. Use another --port.") from error
    with opened, contextlib.suppress(KeyboardInterrupt):
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"Dagster's UI on http://{shown}:{opened.getsockname()[1]}, Ctrl-C ends it", err=True)
        yield opened
