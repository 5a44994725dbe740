"""Everything that a `duomi` imports, imported, and all migrations read: what is forked from here starts at once."""

from importlib import import_module

import click
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from dagster._core.storage.sql import get_alembic_config

from duomi_pipeline.cli import cli
from duomi_pipeline_tests.migrations import read_once

_IN_RUNS = (
    "duomi_pipeline.cli.dagster_runs",
    "duomi_pipeline.api.generator",
    "duomi_pipeline.sandbox.server",
    # What Dagster and its storage import only in a run.
    "alembic.command",
    "dagster._core.execution.execute_in_process",
    "dagster._core.storage.legacy_storage",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.workspace.context",
    "dagster._daemon.backfill",
)

for name in _IN_RUNS + tuple(f"duomi_pipeline.cli.{command}" for command in cli.list_commands(click.Context(cli))):
    import_module(name)
read_once()
for storage in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
    ScriptDirectory.from_config(get_alembic_config(storage.__file__))
