"""Tell Dagster what a command wrote: one materialization for it, as the asset's own run logs one.

A home that Dagster never worked in has nobody to tell. What becomes of the event does not change what was written.
"""

from collections.abc import Callable, Mapping

import click
import dagster as dg

from duomi_pipeline.common.places import Place
from duomi_pipeline.common.text import one_line
from duomi_pipeline.engine import Plan, Session
from duomi_pipeline.gallery import GalleryReport
from duomi_pipeline.orchestration.assets.gallery import GALLERY_KEY, gallery_metadata
from duomi_pipeline.orchestration.assets.prompt_states import report_states
from duomi_pipeline.orchestration.assets.results_manifest import (
    HAS_TAG,
    MANIFEST_KEY,
    latest_left,
    manifest_metadata,
)
from duomi_pipeline.orchestration.instance import dagster_home, open_instance
from duomi_pipeline.settings import Settings


def tell_of_gallery(settings: Settings, report: GalleryReport) -> None:
    """Record that the gallery was written."""
    event = dg.AssetMaterialization(GALLERY_KEY, metadata=gallery_metadata(report))
    _with_dagster(settings, lambda instance: instance.report_runless_asset_event(event))


def tell_of_manifest(session: Session, plan: Plan, left_out: int, paths: Mapping[str, Place]) -> bool:
    """Record that the manifest was written, and the states that it has. Returns whether Dagster knows, if it is there.

    Args:
        session, plan: it was made from.
        left_out: rows and files without a prompt.
        paths: what was written, by kind.
    """
    metadata = manifest_metadata(session, plan, left_out, paths)

    def tell(instance: dg.DagsterInstance) -> None:
        left = latest_left(instance)
        # A run tells the ledger before it tells Dagster: where the ledger is as it was, the manifest has them all.
        has = left if session.ledger.mark() == plan.mark else 0
        instance.report_runless_asset_event(
            dg.AssetMaterialization(MANIFEST_KEY, metadata=metadata, tags={HAS_TAG: str(has)})
        )
        report_states(instance, session, plan)

    return _with_dagster(session.settings, tell)


def _with_dagster(settings: Settings, act: Callable[[dg.DagsterInstance], None]) -> bool:
    if not dagster_home(settings).is_dir():
        return True
    try:
        with open_instance(settings) as instance:
            act(instance)
    except Exception as error:  # noqa: BLE001 - what storages of any kind raise; the command's own work is done
        click.echo(f"Dagster's UI does not know of it: {one_line(str(error), 300)}", err=True)
        return False
    return True
