"""The external asset `prompts`, and the assets `prompt_table` and `prompt_files`, which read its sources."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from duomi_pipeline.common.text import counted
from duomi_pipeline.orchestration.assets import GROUP, OWNERS, column_schema
from duomi_pipeline.orchestration.partition_sync import PROMPTS_KEY, PartitionChanges, track
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME, prompt_partitions
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline.prompts import Problem, Prompt, Reading
from duomi_pipeline.prompts.prompt import NoDatabaseError, SourceError
from duomi_pipeline.prompts.sources import Sources, read_files, read_table
from duomi_pipeline.prompts.table import COLUMNS, fetch_rows

_PREVIEW_ROWS = 10
_CELL = 120  # characters
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
def prompt_table(context: dg.AssetExecutionContext, duomi: DuomiResource) -> Any:
    """The prompts of the SQLite table, one row each (`DUOMI_DATABASE`, read-only).

    Materializing it also updates the partitions of its prompts. Costs nothing.
    """
    settings = duomi.settings()
    try:
        rows = fetch_rows(settings.path(settings.database))
        reading = read_table(settings, rows)
    except NoDatabaseError as error:
        if "database" in settings.model_fields_set or _known(context.instance, "db_"):
            raise dg.Failure(str(error), allow_retries=False) from error
        rows, reading = [], Reading()  # somebody with JSON files alone
    except SourceError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    _check_not_lost(context.instance, reading, "db_", settings.path(settings.database))
    changes = track(context.instance, Sources(reading, Reading(), {}))
    usable = {prompt.origin for prompt in reading.prompts}
    import pandas as pd  # noqa: PLC0415 - see `_is_frame`

    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).infer_objects()
    table = table[[f"prompts.id={row_id}" in usable for row_id in table["id"]]].reset_index(drop=True)
    context.add_output_metadata(_reading_metadata(reading, changes))
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
def prompt_files(context: dg.AssetExecutionContext, duomi: DuomiResource) -> Any:
    """The prompts of the JSON files, one row each (`DUOMI_PROMPT_DIR`); invalid files are named and skipped.

    Materializing it also updates the partitions of its prompts. Costs nothing.
    """
    settings = duomi.settings()
    try:
        reading = read_files(settings)
    except SourceError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    _check_not_lost(context.instance, reading, "json_", settings.path(settings.prompt_dir))
    changes = track(context.instance, Sources(Reading(), reading, {}))
    for problem in reading.problems[:_MAX_NAMED]:
        context.log.warning("Left out: %s", problem)
    context.add_output_metadata(_reading_metadata(reading, changes))
    import pandas as pd  # noqa: PLC0415 - see `_is_frame`

    rows = [(prompt.id, prompt.origin, prompt.text, prompt.overrides.explicit()) for prompt in reading.prompts]
    return pd.DataFrame(rows, columns=["prompt_id", "file", "image_prompt", "overrides"])


def _known(instance: dg.DagsterInstance, prefix: str) -> list[str]:
    """The partitions of one source."""
    return [key for key in instance.get_dynamic_partitions(PARTITIONS_NAME) if key.startswith(prefix)]


def _check_not_lost(instance: dg.DagsterInstance, reading: Reading, prefix: str, source: Path) -> None:
    """Fail if a source has no prompt now but had some before: it is more likely lost than empty."""
    known = _known(instance, prefix)
    if known and not reading.prompts:
        raise dg.Failure(
            f"{source} gives no prompt, but had {counted(len(known), 'prompt')} before. Nothing was retired. "
            "Mount or restore it, then materialize this asset again. If these prompts should go, delete their "
            "partitions of `prompts` in the UI.",
            allow_retries=False,
        )


def _reading_metadata(reading: Reading, changes: PartitionChanges) -> dict[str, dg.MetadataValue]:
    return {
        "dagster/row_count": dg.MetadataValue.int(len(reading.prompts)),
        "left_out": dg.MetadataValue.int(len(reading.problems)),
        "left_out_because": dg.MetadataValue.md(_problems(reading.problems)),
        "new_or_changed": dg.MetadataValue.int(len(changes.observe)),
        "retired": dg.MetadataValue.int(len(changes.retire)),
        "preview": dg.MetadataValue.md(_preview(reading.prompts[:_PREVIEW_ROWS])),
    }


def _preview(some: Iterable[Prompt]) -> str:
    rows = [f"| {p.id} | {_cell(p.origin)} | {_cell(p.text)} |" for p in some]
    return "\n".join(["| prompt id | from | prompt |", "|---|---|---|", *rows])


def _problems(problems: Sequence[Problem]) -> str:
    rows = [f"| {_cell(p.origin)} | {_cell(p.reason)} |" for p in problems[:_MAX_NAMED]]
    more = [f"| … and {len(problems) - _MAX_NAMED} more | |"] if len(problems) > _MAX_NAMED else []
    return "\n".join(["| where | why |", "|---|---|", *rows, *more]) if rows else "nothing was left out"


def _cell(text: str) -> str:
    """Outside text as one Markdown table cell, escaped so that it is not interpreted."""
    short = " ".join(text.split())
    short = short if len(short) <= _CELL else f"{short[: _CELL - 1]}…"
    for character in "\\|`*_[]<>#!":
        short = short.replace(
            character,
            f"\\{character}" if character not in "<>" else f"&{'lt' if character == '<' else 'gt'};",
        )
    return short
