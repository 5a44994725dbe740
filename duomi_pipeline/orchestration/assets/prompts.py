"""The external asset `prompts`, and the assets `prompt_table` and `prompt_files`, which read its sources."""

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from duomi_pipeline.engine.looking import PREFIXES, Manner, look_at
from duomi_pipeline.ledger import Source
from duomi_pipeline.orchestration.assets import GROUP, OWNERS, column_schema
from duomi_pipeline.orchestration.assets.prompt_states import report_states
from duomi_pipeline.orchestration.markdown import cell, table
from duomi_pipeline.orchestration.partition_sync import PROMPTS_KEY, PartitionChanges, track
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME, prompt_partitions
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.prompts import Problem, Prompt, Reading
from duomi_pipeline.prompts.prompt import NoDatabaseError, SourceError
from duomi_pipeline.prompts.sources import (
    Sources,
    read_files,
    read_table,
    rows_of_table,
    shown_database,
    shown_folder,
)
from duomi_pipeline.prompts.sqlite_file import Row
from duomi_pipeline.prompts.table import COLUMNS
from duomi_pipeline.settings import SettingsError

_PREVIEW_ROWS = 10
# Each asset looks at its own source: nothing is concluded about the other one.
_NOT_HERE = {
    Source.TABLE: {PREFIXES[Source.FILES]: "prompt_files looks at it"},
    Source.FILES: {PREFIXES[Source.TABLE]: "prompt_table looks at it"},
}
_MAX_NAMED = 200  # problems; all are in the manifest's left_out.json


def _is_frame(_context: dg.TypeCheckContext, value: object) -> bool:
    # Imported where it is used: it takes 0.4 s and 90 MB, and image runs do not need it.
    import pandas as pd  # noqa: PLC0415

    return isinstance(value, pd.DataFrame)


_FRAME = dg.DagsterType(name="DataFrame", type_check_fn=_is_frame, description="A table of pandas.")

prompts = dg.AssetSpec(
    PROMPTS_KEY,
    deps=["prompt_table", "prompt_files"],
    partitions_def=prompt_partitions,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"sqlite", "json"},
    metadata={
        "dagster/column_schema": column_schema(
            prompt="the text",
            source="database, json or single_prompt",
            origin="where it stands: `prompts.id=12` or a file name",
        )
    },
    description=(
        "One prompt: a row of the prompt table or a JSON file. A partition's data version is the fingerprint of "
        "what is drawn (text, negative prompt, overrides), so a touched file or an edited `video_prompt` changes "
        "nothing. Observed by the sensor `new_prompts`, or by materializing `prompt_table` or `prompt_files`."
    ),
)


class LookConfig(dg.Config):
    """Run config of `prompt_table` and `prompt_files`."""

    retire_lost: bool = Field(
        default=False, description="Retire all prompts that are gone, also where so many are gone that it looks lost."
    )


@dg.asset(
    dagster_type=_FRAME,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"sqlite", "pandas"},
    metadata={
        "dagster/column_schema": column_schema(
            id=("int", "`prompts.id`"),
            image_id=("int", "`images.id`"),
            image_prompt="the prompt",
            original_filename="of the image that the prompt describes",
            descriptive_name="a name for people",
        )
    },
)
def prompt_table(context: dg.AssetExecutionContext, config: LookConfig, duomi: DuomiResource) -> Any:
    """The prompts of the prompt table, one row each (`DUOMI_DATABASE`, read-only).

    Materializing it also updates the partitions of its prompts. Costs nothing.
    """
    settings, rows = duomi.settings(), list[Row]()

    def read() -> Sources:
        rows.clear()
        try:
            rows.extend(rows_of_table(settings))
            return Sources(read_table(settings, rows), Reading(), {}, _NOT_HERE[Source.TABLE])
        except NoDatabaseError as error:
            absent = {PREFIXES[Source.TABLE]: str(error)}
            if "database" in settings.model_fields_set:
                return Sources(Reading(), Reading(), absent, _NOT_HERE[Source.TABLE])
            return Sources(Reading(), Reading(), {}, {**absent, **_NOT_HERE[Source.TABLE]})
        except SourceError as error:
            return Sources(Reading(), Reading(), {PREFIXES[Source.TABLE]: str(error)}, _NOT_HERE[Source.TABLE])

    sources, changes = _look(context, config, duomi, Source.TABLE, read)
    reading = sources.table
    usable = {prompt.origin for prompt in reading.prompts}
    import pandas as pd  # noqa: PLC0415 - see `_is_frame`

    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).infer_objects()
    table = table[[f"prompts.id={row_id}" in usable for row_id in table["id"]]].reset_index(drop=True)
    context.add_output_metadata(_reading_metadata(reading, changes, shown_database(settings)))
    return table


@dg.asset(
    dagster_type=_FRAME,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"json", "pandas"},
    metadata={
        "dagster/column_schema": column_schema(
            prompt_id="partition key",
            file="name of the file",
            image_prompt="the prompt",
            overrides=("object", "parameters for this prompt alone"),
        )
    },
)
def prompt_files(context: dg.AssetExecutionContext, config: LookConfig, duomi: DuomiResource) -> Any:
    """The prompts of the JSON files, one row each (`DUOMI_PROMPT_DIR`); invalid files are named and skipped.

    Materializing it also updates the partitions of its prompts. Costs nothing.
    """
    settings = duomi.settings()

    def read() -> Sources:
        try:
            return Sources(Reading(), read_files(settings), {}, _NOT_HERE[Source.FILES])
        except SourceError as error:
            return Sources(Reading(), Reading(), {PREFIXES[Source.FILES]: str(error)}, _NOT_HERE[Source.FILES])

    sources, changes = _look(context, config, duomi, Source.FILES, read)
    reading = sources.files
    for problem in reading.problems[:_MAX_NAMED]:
        context.log.warning("Left out: %s", problem)
    context.add_output_metadata(_reading_metadata(reading, changes, shown_folder(settings)))
    import pandas as pd  # noqa: PLC0415 - see `_is_frame`

    rows = [(prompt.id, prompt.origin, prompt.text, prompt.overrides.explicit()) for prompt in reading.prompts]
    return pd.DataFrame(rows, columns=["prompt_id", "file", "image_prompt", "overrides"])


def _look(
    context: dg.AssetExecutionContext,
    config: LookConfig,
    duomi: DuomiResource,
    source: Source,
    read: Callable[[], Sources],
) -> tuple[Sources, PartitionChanges]:
    """Look at one source, record what it says, and bring its partitions up to date.

    Raises:
        dg.Failure: it cannot be read, or so many prompts are gone that it looks lost; nothing was changed.
    """
    manner = Manner.MEANT if config.retire_lost else Manner.CAUTIOUS
    partitions = context.instance.get_dynamic_partitions(PARTITIONS_NAME)
    with duomi.session() as session:
        looked = look_at(session.ledger, session.settings, read, [source], manner, partitions)
        if doubt := looked.doubts.get(PREFIXES[source]):
            raise dg.Failure(doubt, allow_retries=False)
        changes = track(context.instance, session.ledger, looked)
        try:
            report_states(context.instance, session, session.plan_registered())
        except SettingsError as error:  # of a model: what the source says is recorded all the same
            context.log.warning("The states of the prompts are not known: %s", error)
        return looked.sources, changes


def _reading_metadata(reading: Reading, changes: PartitionChanges, place: str) -> dict[str, dg.MetadataValue]:
    return {
        "looked_at": dg.MetadataValue.timestamp(time.time()),
        "looked_at_by": dg.MetadataValue.text(socket.gethostname()),
        "place": dg.MetadataValue.text(place),
        "dagster/row_count": dg.MetadataValue.int(len(reading.prompts)),
        "left_out": dg.MetadataValue.int(len(reading.problems)),
        "left_out_because": dg.MetadataValue.md(_problems(reading.problems)),
        "new_or_changed": dg.MetadataValue.int(len(changes.observe)),
        "retired": dg.MetadataValue.int(len(changes.retire)),
        "preview": dg.MetadataValue.md(_preview(reading.prompts[:_PREVIEW_ROWS])),
    }


def _preview(some: Iterable[Prompt]) -> str:
    return table(("prompt id", "from", "prompt"), [(p.id, cell(p.origin), cell(p.text)) for p in some])


def _problems(problems: Sequence[Problem]) -> str:
    rows = [(cell(p.origin), cell(p.reason)) for p in problems[:_MAX_NAMED]]
    if len(problems) > _MAX_NAMED:
        rows.append((f"… and {len(problems) - _MAX_NAMED} more", ""))
    return table(("where", "why"), rows) if rows else "nothing was left out"
