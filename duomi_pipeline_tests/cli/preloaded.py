"""Everything that a `duomi` imports, imported: what is forked from here starts at once."""

from importlib import import_module

import click

from duomi_pipeline.cli import cli

_IN_RUNS = (
    "duomi_pipeline.cli.dagster_runs",
    "duomi_pipeline.api.generator",
    "duomi_pipeline.sandbox.server",
    # What Dagster and its storage import only in a run.
    "alembic.command",
    "dagster._core.execution.execute_in_process",
    "dagster._core.storage.event_log.sqlite",
    "dagster._core.storage.legacy_storage",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.workspace.context",
    "dagster._daemon.backfill",
)

for name in _IN_RUNS + tuple(f"duomi_pipeline.cli.{command}" for command in cli.list_commands(click.Context(cli))):
    import_module(name)
