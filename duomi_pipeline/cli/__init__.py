"""The command line `duomi`. Each command is a module, imported only when it is used: a plan does not import Dagster."""

import signal
import sys
from importlib import import_module
from io import TextIOWrapper

import click

from duomi_pipeline.common.processes import (
    EXIT_INTERRUPTED,
    lasting,
    look_seldom_for_garbage,
    protect_new_files,
)
from duomi_pipeline.common.text import safe, sentence

EXIT_USAGE = 2
_COMMANDS = {
    "generate": "Generate pictures for prompts: missing and changed ones, unless flags say more.",
    "keep": "Keep an earlier picture: it becomes the prompt's own again; buys nothing.",
    "plan": "What a generate would do and cost; nothing is sent.",
    "status": "Prompts per state, money spent, the last run.",
    "why": "Why a prompt is in its state, and what its picture was made from.",
    "models": "The model profiles; --probe sends each model one small request.",
    "lint": "What a model ignores or misreads in each prompt, and what cleaning would send.",
    "inspect": "Metadata of PNG files: prompt, settings, origin, disclosure.",
    "metrics": "Metrics for Prometheus: printed, as a file, or served.",
    "manifest": "Write the results manifest.",
    "gallery": "Write the gallery: a page that shows all pictures.",
    "ledger": "Rebuild, move, back up or restore the ledger.",
    "clean": "Show the size of old runs, logs and caches, and remove them when asked; never pictures.",
    "dev": "Dagster's UI with all assets, protected from requests of other web pages.",
    "webserver": "Dagster's UI alone, protected in the same way; for several machines.",
    "sandbox": "Run the sandbox service alone.",
    "doctor": "Check settings, key, folders, database and Dagster; print what to fix.",
}


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        with lasting():
            command: click.Command = getattr(import_module(f"duomi_pipeline.cli.{name}"), name)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="duomi-pipeline")
def cli() -> None:
    """Generate vertical pictures from text prompts through the Duomi image API: each paid once, none lost.

    Works in the folder DUOMI_HOME (default: the current one). Without DUOMI_API_KEY it uses the
    built-in sandbox.

    \b
    Examples:
      duomi plan             what would be generated, and what it would cost
      duomi generate         everything that is missing or changed
      duomi generate --source prompt --prompt "a lighthouse at dawn"
      duomi why db_12        the history of one prompt
    """


def main() -> None:
    """Entry point: errors that a user can fix are printed as text, without a traceback."""
    protect_new_files()
    look_seldom_for_garbage()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what a terminal's encoding lacks is shown as an escape
            stream.reconfigure(errors="backslashreplace")
    try:
        cli(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one more Ctrl-C changes nothing about the end
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        said = safe(error.format_message())
        (
            click.UsageError(said, error.ctx) if isinstance(error, click.UsageError) else click.ClickException(said)
        ).show()
        sys.exit(EXIT_USAGE)
    except _mendable_errors() as error:
        click.echo(f"Error: {sentence(safe(str(error)))}", err=True)
        sys.exit(EXIT_USAGE)


def _mendable_errors() -> tuple[type[Exception], ...]:
    """Errors that a user can mend; asked for when a command has failed: `--help` needs none of these modules."""
    from duomi_pipeline.ledger import LedgerError  # noqa: PLC0415
    from duomi_pipeline.prompts.prompt import SourceError  # noqa: PLC0415
    from duomi_pipeline.settings import SettingsError  # noqa: PLC0415

    return SettingsError, LedgerError, SourceError
