"""The external asset `prompts`, and the two assets that read its sources."""

from collections.abc import Iterable

import dagster as dg
import pandas as pd

from duomi_pipeline.assets import GROUP
from duomi_pipeline.partitions import prompt_partitions
from duomi_pipeline.prompts import Problem, Prompt, Reading
from duomi_pipeline.prompts.files import read_folder
from duomi_pipeline.prompts.prompt import SourceError
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.prompts.table import COLUMNS, fetch_rows, table_prompts
from duomi_pipeline.resources import DuomiResource
from duomi_pipeline.tracking import PROMPTS_KEY, PartitionChanges, track

_PREVIEW_ROWS = 10
_CELL = 120  # characters

prompts = dg.AssetSpec(
    PROMPTS_KEY,
    deps=["prompt_table", "prompt_files"],
    partitions_def=prompt_partitions,
    group_name=GROUP,
    kinds={"sqlite", "json"},
    description=(
        "One prompt: a row of the prompt table or a JSON file. A partition's data version is the fingerprint of "
        "what is drawn (text, negative prompt, overrides), so a touched file or an edited `video_prompt` changes "
        "nothing. Observed by the sensor `new_prompts`, or by materializing `prompt_table` or `prompt_files`."
    ),
)


@dg.asset(group_name=GROUP, kinds={"sqlite", "pandas"})
def prompt_table(context: dg.AssetExecutionContext, duomi: DuomiResource) -> pd.DataFrame:
    """The prompts of the SQLite table, one row each (`DUOMI_DATABASE`, read-only).

    Materializing it also brings the partitions of its prompts up to date. Costs nothing.
    """
    settings = duomi.settings()
    try:
        rows = fetch_rows(settings.path(settings.database))
    except SourceError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    reading = table_prompts(rows, settings.database_names)
    changes = track(context.instance, Sources(reading, Reading(), {"json_": "not looked at"}))
    usable = {prompt.origin for prompt in reading.prompts}
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table = table[[f"prompts.id={row_id}" in usable for row_id in table["id"]]].reset_index(drop=True)
    context.add_output_metadata(_reading_metadata(reading, changes))
    return table


@dg.asset(group_name=GROUP, kinds={"json", "pandas"})
def prompt_files(context: dg.AssetExecutionContext, duomi: DuomiResource) -> pd.DataFrame:
    """The prompts of the JSON files, one row each (`DUOMI_PROMPT_DIR`); bad files are named, and stop nothing.

    Materializing it also brings the partitions of its prompts up to date. Costs nothing.
    """
    settings = duomi.settings()
    try:
        reading = read_folder(settings.path(settings.prompt_dir))
    except SourceError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    changes = track(context.instance, Sources(Reading(), reading, {"db_": "not looked at"}))
    for problem in reading.problems:
        context.log.warning("Left out: %s", problem)
    context.add_output_metadata(_reading_metadata(reading, changes))
    rows = [(prompt.id, prompt.origin, prompt.text, prompt.overrides.said()) for prompt in reading.prompts]
    return pd.DataFrame(rows, columns=["prompt_id", "file", "image_prompt", "overrides"])


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


def _problems(problems: Iterable[Problem]) -> str:
    rows = [f"| {_cell(p.origin)} | {_cell(p.reason)} |" for p in problems]
    return "\n".join(["| where | why |", "|---|---|", *rows]) if rows else "nothing was left out"


def _cell(text: str) -> str:
    """Outside text as one Markdown table cell: shown, not interpreted."""
    short = " ".join(text.split())
    short = short if len(short) <= _CELL else f"{short[: _CELL - 1]}…"
    for character in "\\|`*_[]<>#!":
        short = short.replace(
            character,
            f"\\{character}" if character not in "<>" else f"&{'lt' if character == '<' else 'gt'};",
        )
    return short
