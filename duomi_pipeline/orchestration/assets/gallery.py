"""The asset `gallery`."""

import dagster as dg

from duomi_pipeline.common.places import shown
from duomi_pipeline.engine.session import gallery_place
from duomi_pipeline.gallery import GalleryReport, write_gallery
from duomi_pipeline.orchestration.assets import GROUP, OWNERS, column_schema
from duomi_pipeline.orchestration.links import GALLERY
from duomi_pipeline.orchestration.resources import DuomiResource

GALLERY_KEY = dg.AssetKey("gallery")
_SCHEMA = column_schema(
    id="prompt id",
    title="for people",
    text="the prompt",
    state="of the prompt, or `retired`",
    source="database, json or single_prompt",
    model="of the picture",
    flags=("list", "reasons to look at it"),
    made=("timestamp", "when the picture was saved"),
    versions=("int", "how many pictures it has in all, those of other requests included"),
)


@dg.asset(
    name="gallery",
    deps=["results_manifest", "generated_images"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"html"},
    metadata={"dagster/column_schema": _SCHEMA},
)
def gallery(context: dg.AssetExecutionContext, duomi: DuomiResource) -> dg.MaterializeResult[None]:
    """A page to look at all pictures: `index.html` in `DUOMI_GALLERY_DIR` opens from disk, without a server.

    Under `duomi dev`, as it was last materialized: [the gallery](/duomi/gallery).

    Search, filters, versions side by side, picks and rejects; failed and missing prompts with their reason.
    Thumbnails are made once per picture. Costs nothing.
    """
    with duomi.session() as session, session.writing_results():
        duomi.registered(session, context.instance, ids=())  # where nobody has looked yet, this looks
        report = write_gallery(session, session.plan_registered(), gallery_place(session.settings))
    return dg.MaterializeResult(metadata=gallery_metadata(report))


def gallery_metadata(report: GalleryReport) -> dict[str, dg.MetadataValue]:
    """What was written, as metadata of its materialization."""
    return {
        "open": dg.MetadataValue.md(f"[the gallery]({GALLERY})"),
        "path": dg.MetadataValue.path(shown(report.index)),
        "prompts": dg.MetadataValue.int(report.prompts),
        "pictures": dg.MetadataValue.int(report.pictures),
        "thumbnails_made": dg.MetadataValue.int(report.thumbnails_made),
    }
