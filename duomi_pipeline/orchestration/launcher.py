"""The run launcher of a team without a cluster: Celery tasks, whose runs live as long as the ledger says that they do.

Named in `deploy/dagster.yaml`; needs the extra `celery`. Celery itself never sees that the worker of a task was killed.
An image run, however, holds a lock in the ledger that is released when its process dies, in any way.
"""

import time
from contextlib import closing

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher

from duomi_pipeline.ledger import Ledger, Life
from duomi_pipeline.orchestration.partition_ranges import ledger_run, makes_pictures
from duomi_pipeline.settings import Settings

BEGINS_WITHIN = 300.0  # seconds from a run's start to its first entry in the ledger, which takes some 10


class LedgerCheckedRunLauncher(CeleryRunLauncher):
    """`CeleryRunLauncher` that finds dead image runs; Dagster's run monitoring asks it and starts them again."""

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the worker of a started run is alive. A ledger that cannot be read raises: that is no death."""
        settings = Settings.load()
        with closing(Ledger(settings.ledger_url.get_secret_value(), settings.home)) as ledger:
            life = ledger.life(ledger_run(run))
        if life is Life.DEAD or (life is Life.NOT_BEGUN and makes_pictures(run) and self._is_late(run)):
            return CheckRunHealthResult(
                WorkerStatus.FAILED, "The process of this run is gone. Nothing that is paid is bought again."
            )
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def _is_late(self, run: dg.DagsterRun) -> bool:
        record = self._instance.get_run_record_by_id(run.run_id)
        started = record.start_time if record else None
        return started is not None and time.time() - started > BEGINS_WITHIN
