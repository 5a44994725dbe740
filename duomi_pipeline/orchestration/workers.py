"""The Celery app of the workers: `celery -A duomi_pipeline.orchestration.workers worker`. No other module imports this.

Broker and settings are those of the run launcher in `dagster.yaml`, so that both sides always agree.
"""

import dagster as dg
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

with dg.DagsterInstance.get() as _instance:
    _launcher = _instance.run_launcher
if not isinstance(_launcher, CeleryRunLauncher):
    raise TypeError("The run launcher in dagster.yaml is not that of Celery: see deploy/dagster.yaml")
app = _launcher.celery
create_execute_job_task(app)
create_resume_job_task(app)
