"""The asset `results_manifest`; image runs update it at their end, too. The files themselves are in `manifest`."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import dagster as dg

from duomi_pipeline.engine import Session, State
from duomi_pipeline.manifest import SCHEMA, check_readable, manifest, write_manifest
from duomi_pipeline.orchestration.assets import GROUP, OWNERS
from duomi_pipeline.orchestration.assets.run_results import money_metadata
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.prompts import SourceError

MANIFEST_KEY = dg.AssetKey("results_manifest")
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
    Rewritten at the end of an image run, also a partly failed one; of several that wait in the queue, by the last.
    Costs nothing.
    """
    with duomi.session() as session:
        try:
            return dg.MaterializeResult(metadata=_write(duomi, session))
        except SourceError as error:
            raise dg.Failure(str(error), allow_retries=False) from error


def refresh_manifest(
    context: dg.AssetExecutionContext,
    duomi: DuomiResource,
    session: Session,
    results: Mapping[str, dg.MetadataValue],
) -> None:
    """Write the manifest inside an image run and log the event; a downstream step would be skipped in a failed run."""
    try:
        context.log_event(dg.AssetMaterialization(MANIFEST_KEY, metadata={**_write(duomi, session), **results}))
    except SourceError as error:
        context.log.warning("The manifest is left as it was: %s", error)


def _write(duomi: DuomiResource, session: Session) -> dict[str, Any]:
    sources = duomi.sources()
    check_readable(sources, session)
    table = manifest(session, session.plan(sources.prompts))
    paths = write_manifest(table, sources.problems, session.settings.path(session.settings.manifest_dir))
    counts = Counter(row["state"] for row in table)
    return {
        "dagster/row_count": dg.MetadataValue.int(len(table)),
        "left_out": dg.MetadataValue.int(len(sources.problems)),
        **{f"{state.value}": dg.MetadataValue.int(counts[state.value]) for state in State},
        **money_metadata(session.ledger.money(), session.settings.currency),
        **{f"path_{kind}": dg.MetadataValue.path(str(path)) for kind, path in paths.items()},
    }
