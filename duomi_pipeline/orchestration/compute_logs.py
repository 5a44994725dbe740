"""What runs print, kept in files as Dagster does, without tracebacks on Ctrl-C. `dagster.yaml` names the class."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData

from duomi_pipeline.orchestration.sqlite_storage import CONFIG, database_folder


class CalmComputeLogManager(LocalComputeLogManager):
    """Dagster's own, whose helper processes do not hear SIGINT: a run ends them itself, when it has ended.

    On a terminal Ctrl-C reaches every process; Dagster's helpers know nothing of it, and print a traceback each.
    """

    @classmethod
    def config_type(cls) -> Any:
        """What `dagster.yaml` may say."""
        return CONFIG

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster."""
        return cls(str(database_folder(config_value, "storage")), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """See `ComputeLogManager`."""
        with ExitStack() as stack:
            # Blocked, not ignored, while they are started: what comes meanwhile reaches this process afterwards.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                captured = stack.enter_context(super().capture_logs(log_key))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield captured
