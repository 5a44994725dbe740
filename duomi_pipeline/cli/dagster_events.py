"""Tell Dagster what a command wrote: one materialization each time, as the asset's own run logs one.

A home that Dagster never worked in has nobody to tell. What becomes of the event does not change what was written.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

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

_T = TypeVar("_T")


def tell_of_gallery(settings: Settings, report: GalleryReport) -> None:
    """Record that the gallery was written."""
    _tell(settings, dg.AssetMaterialization(GALLERY_KEY, metadata=gallery_metadata(report)))


def left_manifest(settings: Settings) -> int:
    """Up to where a manifest has all image runs that is made from what is read from now on, for `tell_of_manifest`."""
    return _with_dagster(settings, latest_left) or 0


def tell_of_manifest(session: Session, plan: Plan, left_out: int, paths: Mapping[str, Place], left: int) -> None:
    """Record that the manifest was written, and the states that it has.

    Args:
        session, plan: it was made from.
        left_out: rows and files without a prompt.
        paths: what was written, by kind.
        left: as `left_manifest` said before.
    """
    metadata = manifest_metadata(session, plan, left_out, paths)
    _tell(session.settings, dg.AssetMaterialization(MANIFEST_KEY, metadata=metadata, tags={HAS_TAG: str(left)}))
    _with_dagster(session.settings, lambda instance: report_states(instance, session, plan))


def _tell(settings: Settings, event: dg.AssetMaterialization) -> None:
    _with_dagster(settings, lambda instance: instance.report_runless_asset_event(event))


def _with_dagster(settings: Settings, act: Callable[[dg.DagsterInstance], _T]) -> _T | None:
    if not dagster_home(settings).is_dir():
        return None
    try:
        with open_instance(settings) as instance:
            return act(instance)
    except Exception as error:  # noqa: BLE001 - what storages of any kind raise; the command's own work is done
        click.echo(f"Dagster's UI does not know of it: {one_line(str(error), 300)}", err=True)
        return None
