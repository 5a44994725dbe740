"""A run carries a mark of each setting under which it was planned; a worker with other settings sends nothing.

The code location that plans a run (for the UI, a backfill, the sensor or a command) has the marks as a tag of the op
`generated_images`. Dagster stores it with the run, in the snapshot of its execution plan.
"""

import hashlib
import json
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

import dagster as dg
from pydantic import SecretStr

from duomi_pipeline.settings import Settings

SETTINGS_TAG = "duomi/settings"
# What each machine may set for itself: where it writes for itself, how fast it is, where it looks for prompts.
# Every other setting decides what is bought, by whom it is paid, up to which cap, and where it is recorded and kept.
_OWN = {
    "home", "log_dir", "keep_runs_days", "keep_logs_days", "webhook_url", "database", "prompt_dir", "overrides_file",
    "run_size", "image_runs", "max_concurrency", "delay", "timeout", "task_timeout", "poll_interval", "max_attempts",
    "download_patience", "user_agent", "warn_spend_factor", "warn_spend_per_run",
}  # fmt: skip


def settings_marks(settings: Settings) -> Mapping[str, str]:
    """A short mark of each setting that all machines of an installation share. No value can be read from it."""
    shared = [name for name in Settings.model_fields if name not in _OWN]
    return {name: hashlib.sha256(f"{name}={_value(settings, name)}".encode()).hexdigest()[:8] for name in shared}


def settings_tag(settings: Settings) -> Mapping[str, str]:
    """The marks as a tag of an op."""
    return {SETTINGS_TAG: json.dumps(settings_marks(settings))}


def check_planned(instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings) -> None:
    """Check that a run was planned under the settings of this worker.

    Raises:
        dg.Failure: under others; the message names them and says what to do.
    """
    if other := changed_settings(_planned(instance, run), settings):
        raise dg.Failure(
            f"This run was planned under other settings than the worker {socket.gethostname()} has: {other}. Nothing "
            "was sent. Give both the same, reload the code location (Deployment, Reload) or restart the worker, and "
            "start the run again.",
            allow_retries=False,
        )


def changed_settings(tags: Mapping[str, str], settings: Settings) -> str:
    """The environment variables of the settings that are not as the tags of an op say; empty if all are."""
    planned, here = json.loads(tags.get(SETTINGS_TAG, "{}")), settings_marks(settings)
    return ", ".join(sorted(f"DUOMI_{name.upper()}" for name in here if planned.get(name) != here[name]))


def _planned(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Mapping[str, str]:
    snapshot = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id or "")
    return next((step.tags or {} for step in snapshot.steps if step.key == "generated_images"), {})


def _value(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if name == "ledger_url":
        return _place(settings, value.get_secret_value())
    if name == "image_dir":
        return value if "://" in value else str(settings.path(value))
    if name == "models_file":
        file = settings.path(value)
        return file.read_text(encoding="utf-8") if file.is_file() else ""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _place(settings: Settings, url: str) -> str:
    """Which ledger a URL means: machines may reach it with users and drivers of their own."""
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        return str(settings.path(parts.path.removeprefix("/")))
    return f"{parts.scheme.partition('+')[0]}://{parts.netloc.rpartition('@')[2]}{parts.path}"
