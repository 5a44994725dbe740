"""The engine through Dagster, in a home that has worked before."""

import os
import time
from pathlib import Path

import dagster as dg

from duomi_pipeline.engine import GENERATED_BY_ITSELF, Session
from duomi_pipeline.engine.looking import look
from duomi_pipeline.orchestration.build import build_defs
from duomi_pipeline.orchestration.partition_ranges import RUN_TAG, partition_ranges
from duomi_pipeline.orchestration.partition_sync import track
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.orchestration.resources import Command
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.bench.engine import make_home, write
from duomi_pipeline_tests.bench.measure import Cost, measured

_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


def through_dagster(url: str, texts: list[str], concurrency: int, home: Path) -> Cost:
    """Runs of the default size; wall and CPU from the first step's start to the last run's end, without run starts."""
    settings = make_home(home, url, concurrency)
    os.environ["DAGSTER_HOME"] = str(home / "dagster")
    (home / "dagster").mkdir()
    template = Path(__file__).parents[2] / "dagster.yaml"
    (home / "dagster" / "dagster.yaml").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    total = Cost(pictures=len(texts))
    with dg.DagsterInstance.get() as instance:
        write(settings, ["a first prompt, before it is measured"])
        _runs(settings, instance, Cost())
        write(settings, texts)
        _runs(settings, instance, total)
    return total


def _runs(settings: Settings, instance: dg.DagsterInstance, total: Cost) -> None:
    with Session(settings) as session:
        track(instance, session.ledger, look(session.ledger, settings))
        wanted = {entry.prompt.id for entry in session.plan_registered().wanted(GENERATED_BY_ITSELF)}
        order = instance.get_dynamic_partitions(PARTITIONS_NAME)
        command = Command(session, lambda _: None)
        job = build_defs(command=command).resolve_job_def("generate_missing_images")
        ranges = partition_ranges(order, wanted, lambda _: False, settings.run_size)
        for number, found in enumerate(ranges, 1):
            command.more_runs_follow = number < len(ranges)  # as the command line does, and as a queue of runs says
            ended, tags = Cost(), {**found.tags, RUN_TAG: session.run_id}
            with measured(ended):
                result = job.execute_in_process(instance=instance, tags=tags, run_config={"loggers": _QUIET})
            assert result.success
            (started,) = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.STEP_START)
            total.wall += time.time() - started.timestamp
            total.cpu += ended.cpu
            total.peak = max(total.peak, ended.peak)
