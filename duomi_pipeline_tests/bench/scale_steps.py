"""What `scale` does to a big home between measurements, and what it measures inside Dagster, each in its own process.

python -m duomi_pipeline_tests.bench.scale_steps STEP HOME …
"""

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from duomi_pipeline.orchestration.assets.images_config import ImagesConfig
from duomi_pipeline.orchestration.build import build_defs
from duomi_pipeline.orchestration.instance import dagster_home, open_instance
from duomi_pipeline.orchestration.jobs import images_config
from duomi_pipeline.orchestration.partition_ranges import PartitionRange
from duomi_pipeline.orchestration.partition_sync import add_partitions
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.prompts.sources import read_sources
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.bench.big_history import copy_history
from duomi_pipeline_tests.bench.big_home import Source, add_prompts, draw, edit_prompts, make_home
from duomi_pipeline_tests.bench.measure import Cost, measured


def make(home: Path, prompts: str, url: str, source: Source) -> None:
    """A home that nobody has looked at, without pictures."""
    make_home(home, int(prompts), 0, url, source=source)


def grow(home: Path, prompts: str) -> None:
    """Prompts beside the first one, which may be drawn, until there are so many."""
    add_prompts(Settings.load(home), range(2, int(prompts) + 1))


def draw_all(home: Path, prompts: str) -> None:
    """Pictures of all but the first one."""
    draw(Settings.load(home), range(2, int(prompts) + 1))


def history(home: Path) -> None:
    """Give all other prompts the history of the first one, which was drawn; prints what their partitions cost."""
    settings = Settings.load(home)
    first, *others = read_sources(settings).prompts
    with open_instance(settings) as instance:
        with measured(Cost()) as cost:
            add_partitions(instance, [prompt.id for prompt in others])
        copy_history(dagster_home(settings), first, others)
    cost.printed()


def edit(home: Path, first: str, last: str) -> None:
    """Change the text of some prompts."""
    edit_prompts(Settings.load(home), range(int(first), int(last) + 1))


def add(home: Path, number: str) -> None:
    """Add one prompt."""
    add_prompts(Settings.load(home), [int(number)])


def ticks(home: Path, count: str) -> None:
    """Evaluate the sensor some times, as Dagster's code server does; nothing is done about what it asks for."""
    with opened(home) as (instance, defs):
        sensor, resources = defs.resolve_sensor_def("new_prompts"), {"duomi": DuomiResource(home=str(home))}
        cursor: str | None = None
        for _ in range(int(count)):
            with (
                dg.build_sensor_context(
                    instance=instance,
                    cursor=cursor,
                    repository_def=defs.get_repository_def(),
                    resources=resources,
                ) as context,
                measured(Cost()) as cost,
            ):
                asked = sensor.evaluate_tick(context)
            cursor = asked.cursor
            assert not asked.run_requests, asked.run_requests
            assert not asked.asset_events, f"{len(asked.asset_events)} observations"
            cost.printed()


def image_run(home: Path, first: str, count: str) -> None:
    """Buy some prompts anew in one run of Dagster, which begins when its moment is printed."""
    with opened(home) as (instance, defs):
        keys = instance.get_dynamic_partitions(PARTITIONS_NAME)[int(first) - 1 :][: int(count)]
        tags = dict(PartitionRange(keys[0], keys[-1]).tags)
        job = defs.resolve_job_def("regenerate_images")
        config = dg.RunConfig(
            ops=images_config(ImagesConfig(force=True)).ops,
            loggers={"console": {"config": {"log_level": "CRITICAL"}}},
        )
        print(time.time(), flush=True)
        job.execute_in_process(instance=instance, run_config=config, tags=tags)


@contextmanager
def opened(home: Path) -> Iterator[tuple[dg.DagsterInstance, dg.Definitions]]:
    """Dagster's instance of a home, and the definitions."""
    with open_instance(Settings.load(home)) as instance:
        yield instance, build_defs(home)


_STEPS: dict[str, Callable[..., None]] = {
    "make": make,
    "grow": grow,
    "draw": draw_all,
    "history": history,
    "edit": edit,
    "add": add,
    "ticks": ticks,
    "run": image_run,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore", dg.BetaWarning)
    _STEPS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
