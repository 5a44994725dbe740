"""The asset `results_manifest`; image runs update it at their end, too. The files themselves are in `manifest`."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from duomi_pipeline.common.places import Place, shown
from duomi_pipeline.engine import Plan, Session, State
from duomi_pipeline.engine.session import manifest_place
from duomi_pipeline.manifest import SCHEMA, check_readable, write_manifest
from duomi_pipeline.orchestration.assets import GROUP, OWNERS
from duomi_pipeline.orchestration.assets.prompt_states import report_states
from duomi_pipeline.orchestration.assets.run_results import money_metadata
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.prompts import SourceError

MANIFEST_KEY = dg.AssetKey("results_manifest")
HAS_TAG = "duomi/has_runs_until"  # storage id of the latest event of `leave_manifest` that the manifest has
_COLUMNS = [dg.TableColumn(column.name, column.type, description=column.description) for column in SCHEMA]


@dg.asset(
    name="results_manifest",
    deps=["generated_images"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet", "csv", "sqlite"},
    metadata={"dagster/column_schema": dg.TableSchema(_COLUMNS)},
)
def results_manifest(context: dg.AssetExecutionContext, duomi: DuomiResource) -> dg.MaterializeResult[None]:
    """One row per prompt, whatever its state: `results.parquet`, `.csv`, `.json` and `.db` in `DUOMI_MANIFEST_DIR`.

    Beside them `left_out.json`: rows and files that give no prompt, and why.
    Rewritten at the end of an image run, also a partly failed one; where others wait or work, by the last of them or
    in a run of its own.
    Costs nothing.
    """
    with duomi.session() as session:
        try:
            metadata, tags = _write(context.instance, duomi, session)
        except SourceError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(metadata=metadata, tags=tags)


def refresh_manifest(
    context: dg.AssetExecutionContext,
    duomi: DuomiResource,
    session: Session,
    results: Mapping[str, dg.MetadataValue],
) -> None:
    """Write the manifest inside an image run and log the event; a downstream step would be skipped in a failed run."""
    try:
        metadata, tags = _write(context.instance, duomi, session)
    except SourceError as error:
        context.log.warning("The manifest is left as it was: %s", error)
    else:
        context.log_event(dg.AssetMaterialization(MANIFEST_KEY, metadata={**metadata, **results}, tags=tags))


def leave_manifest(context: dg.AssetExecutionContext, results: Mapping[str, dg.MetadataValue]) -> None:
    """Log what an image run did, and that the manifest does not have it yet."""
    context.log_event(dg.AssetObservation(MANIFEST_KEY, metadata=results))


def left_to_write(instance: dg.DagsterInstance) -> int | None:
    """Storage id of the latest event of an image run that left the manifest, if it was not written since."""
    left, has = latest_left(instance), 0
    for written in instance.fetch_materializations(MANIFEST_KEY, limit=1).records:
        tags = written.asset_materialization.tags if written.asset_materialization else None
        has = int((tags or {}).get(HAS_TAG, written.storage_id))  # earlier versions wrote no tag
    return left if left > has else None


def latest_left(instance: dg.DagsterInstance) -> int:
    """Storage id of the latest event of an image run that left the manifest, 0 if none did."""
    records = instance.fetch_observations(MANIFEST_KEY, limit=1).records
    return records[0].storage_id if records else 0


def _write(
    instance: dg.DagsterInstance, duomi: DuomiResource, session: Session
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write the files. Returns metadata and tags of the event."""
    with session.writing_results():
        has = latest_left(instance)  # before the ledger is read: what comes later may not be in it
        sources = duomi.registered(session, instance, ids=())  # what is left out; the plan reads the rest
        check_readable(session, sources.unknown)
        plan = session.plan_registered()
        paths = write_manifest(session, plan, sources.problems, manifest_place(session.settings)).paths
        report_states(instance, session, plan)
    return manifest_metadata(session, plan, len(sources.problems), paths), {HAS_TAG: str(has)}


def manifest_metadata(
    session: Session, plan: Plan, left_out: int, paths: Mapping[str, Place]
) -> dict[str, dg.MetadataValue]:
    """What was written, as metadata of its materialization."""
    return {
        "dagster/row_count": dg.MetadataValue.int(sum(plan.counts.values())),
        "left_out": dg.MetadataValue.int(left_out),
        **{f"{state.value}": dg.MetadataValue.int(plan.counts[state]) for state in State},
        **money_metadata(session.ledger.money(), session.settings.currency),
        **{f"path_{kind}": dg.MetadataValue.path(shown(path)) for kind, path in paths.items()},
    }
