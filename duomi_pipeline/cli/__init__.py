"""The command line `duomi`. Each command is a module that is imported only when it is used: a plan needs no Dagster."""

import sys
from importlib import import_module

import click

from duomi_pipeline.common.processes import protect_new_files
from duomi_pipeline.engine.signals import EXIT_INTERRUPTED
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.prompts.prompt import SourceError
from duomi_pipeline.settings import SettingsError

EXIT_USAGE = 2
_COMMANDS = {
    "generate": "Generate pictures for missing and changed prompts; flags widen that.",
    "plan": "What a generate would do and cost; nothing is sent.",
    "status": "How many prompts are in which state, what was spent, the last run.",
    "why": "What a prompt's picture was made from, and why it is in its state.",
    "models": "The models: how each is asked; --probe asks the service which of them answer.",
    "lint": "What a model will ignore or misread in each prompt, and what cleaning would send.",
    "inspect": "What PNG files say about themselves, ours and others.",
    "manifest": "Write the results manifest.",
    "gallery": "Write the gallery: all pictures, to look at.",
    "ledger": "Rebuild a lost ledger from the pictures.",
    "clean": "What old runs, logs and caches take; removes it when asked, never pictures.",
    "dev": "Dagster's UI with all assets, guarded against other web pages.",
    "sandbox": "Run the sandbox service alone.",
    "doctor": "Check settings, key, folders, database and Dagster; say what to do.",
}


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"duomi_pipeline.cli.{name}"), name)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="duomi-pipeline")
def cli() -> None:
    """Text prompts to vertical pictures through the Duomi image API: each paid once, none lost.

    Works in the folder DUOMI_HOME (default: the current one). Without DUOMI_API_KEY a local sandbox answers.

    \b
    Examples:
      duomi plan                                     what would be generated, and what it would cost
      duomi generate                                 everything that is missing or changed
      duomi generate --source prompt --prompt "a lighthouse at dawn, vertical composition"
      duomi why db_12                                the story of one prompt
    """


def main() -> None:
    """Entry point: errors that a user can mend are shown as text, not as a traceback."""
    protect_new_files()
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except (SettingsError, LedgerError, SourceError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(EXIT_USAGE)
