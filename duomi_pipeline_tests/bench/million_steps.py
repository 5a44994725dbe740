"""What `million` asks Dagster in a home with many partitions, each in a process of its own; costs are printed.

python -m duomi_pipeline_tests.bench.million_steps STEP HOME …
"""

import sqlite3
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
from dagster._core.execution.asset_backfill import AssetBackfillData
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from duomi_pipeline.gallery.thumbnails import thumbnail_name
from duomi_pipeline.orchestration.instance import dagster_home
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY
from duomi_pipeline.orchestration.partition_sync import observed_versions
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME, prompt_partitions
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.bench.big_history import INDEX
from duomi_pipeline_tests.bench.big_home import write_links
from duomi_pipeline_tests.bench.measure import Cost, measured
from duomi_pipeline_tests.bench.scale_steps import opened

_FEW = 500


def keys(home: Path) -> None:
    """All partition keys."""
    with opened(home) as (instance, _), measured(Cost()) as cost:
        instance.get_dynamic_partitions(PARTITIONS_NAME)
    cost.printed()


def add(home: Path) -> None:
    """One more partition, which is taken away again."""
    with opened(home) as (instance, _):
        with measured(Cost()) as cost:
            instance.add_dynamic_partitions(PARTITIONS_NAME, ["one_more"])
        instance.delete_dynamic_partition(PARTITIONS_NAME, "one_more")
    cost.printed()


def versions(home: Path) -> None:
    """The latest version of every prompt."""
    with opened(home) as (instance, _), measured(Cost()) as cost:
        observed_versions(instance)
    cost.printed()


def few_versions(home: Path) -> None:
    """The latest versions of some prompts, by their keys."""
    with opened(home) as (instance, _):
        some = instance.get_dynamic_partitions(PARTITIONS_NAME)[:_FEW]
        with measured(Cost()) as cost:
            observed_versions(instance, some)
    cost.printed()


def status(home: Path) -> None:
    """Which partitions are materialized or failed, for the UI: the first time, and when Dagster remembers it."""
    with opened(home) as (instance, _):
        for _ in range(2):
            with measured(Cost()) as cost:
                get_and_update_asset_status_cache_value(instance, IMAGES_KEY, prompt_partitions, instance)
            cost.printed()


def backfill(home: Path) -> None:
    """A backfill of all partitions: its range is resolved, and written as the daemon writes it at each look."""
    with opened(home) as (instance, defs):
        graph = defs.get_repository_def().asset_graph
        with measured(Cost()) as cost:
            data = AssetBackfillData.from_asset_partitions(
                graph, None, [IMAGES_KEY], instance, time.time(), all_partitions=True
            )
            data.serialize(instance, graph)
    cost.printed()


def retire(home: Path, left: str) -> None:
    """Take all partitions from Dagster but for the last ones; its events stay."""
    database = dagster_home(Settings.load(home)) / INDEX
    with closing(sqlite3.connect(database)) as opened_database, opened_database:
        last = "SELECT id FROM dynamic_partitions ORDER BY id DESC LIMIT ?"
        opened_database.execute(f"DELETE FROM dynamic_partitions WHERE id NOT IN ({last})", (int(left),))


def thumbnails(home: Path) -> None:
    """A thumbnail for every picture, as the gallery keeps them."""
    settings = Settings.load(home)
    folder = settings.home / str(settings.gallery_dir) / "thumbnails"
    folder.mkdir(parents=True)
    pictures = (settings.home / str(settings.image_dir)).glob("*.png")
    write_links(folder, [thumbnail_name(picture.name) for picture in pictures], b"a thumbnail")


_STEPS: dict[str, Callable[..., None]] = {
    step.__name__: step for step in (keys, add, versions, few_versions, status, backfill, retire, thumbnails)
}

if __name__ == "__main__":
    warnings.simplefilter("ignore", dg.BetaWarning)
    _STEPS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
