"""The asset `results_manifest`; also brought up to date at the end of every run that generates pictures."""

from collections import Counter
from typing import Any

import dagster as dg

from duomi_pipeline.assets import GROUP
from duomi_pipeline.engine import Session, State
from duomi_pipeline.manifest import COLUMNS, manifest, write_manifest
from duomi_pipeline.prompts import SourceError
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.resources import DuomiResource

_KEY = dg.AssetKey("results_manifest")


@dg.asset(name="results_manifest", deps=["generated_images"], group_name=GROUP, kinds={"parquet", "csv"})
def results_manifest(context: dg.AssetExecutionContext, duomi: DuomiResource) -> dg.MaterializeResult[None]:
    """One row per prompt, whatever its state: `results.parquet`, `.csv` and `.json` in `DUOMI_MANIFEST_DIR`.

    Rewritten at the end of every image run, also a partly failed one. Costs nothing.
    """
    with duomi.session() as session:
        try:
            return dg.MaterializeResult(metadata=_write(duomi, session))
        except SourceError as error:
            raise dg.Failure(str(error), allow_retries=False) from error


def refresh_manifest(context: dg.AssetExecutionContext, duomi: DuomiResource, session: Session) -> None:
    """Rewrite the manifest inside an image run, and say so: a downstream step would be skipped if the run fails."""
    try:
        context.log_event(dg.AssetMaterialization(_KEY, metadata=_write(duomi, session)))
    except SourceError as error:
        context.log.warning("The manifest is left as it was: %s", error)


def _write(duomi: DuomiResource, session: Session) -> dict[str, Any]:
    sources = duomi.sources()
    _check_readable(sources, session)
    table = manifest(session, session.plan(sources.prompts))
    paths = write_manifest(table, session.settings.path(session.settings.manifest_dir))
    counts = Counter(table["state"])
    columns = [dg.TableColumn(name, kind) for name, kind in COLUMNS.items()]
    return {
        "dagster/row_count": dg.MetadataValue.int(len(table)),
        "dagster/column_schema": dg.TableSchema(columns),
        **{f"{state.value}": dg.MetadataValue.int(counts[state.value]) for state in State},
        **{f"path_{kind}": dg.MetadataValue.path(str(path)) for kind, path in paths.items()},
    }


def _check_readable(sources: Sources, session: Session) -> None:
    """Raise `SourceError` where prompts with pictures cannot be read now: their rows would vanish from the manifest."""
    for prefix, reason in sources.unreadable.items():
        if any(prompt_id.startswith(prefix) for prompt_id in session.ledger.selections()):
            raise SourceError(reason)
