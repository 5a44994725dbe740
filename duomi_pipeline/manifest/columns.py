"""The manifest's columns: name, type and meaning of each, in one place. They are filled in `rows`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Row = dict[str, Any]  # a value or `None` by column: of Python's own types, times as `datetime` in UTC
Type = Literal["text", "integer", "number", "boolean", "time", "list of text", "JSON"]

_PANDAS: Mapping[Type, str] = {
    "text": "string",
    "integer": "Int64",
    "number": "Float64",
    "boolean": "bool",
    "time": "datetime64[ms, UTC]",
    "list of text": "object",
    "JSON": "string",
}


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        type: what it holds; each format of the manifest has its own type for that.
        description: Markdown, for people.
    """

    name: str
    type: Type
    description: str


SCHEMA = (
    Column("prompt_id", "text", "Partition key: `db_{id}` for a table row, `json_{file stem}` for a file."),
    Column("source", "text", "`database`, `json` or `single_prompt`."),
    Column("origin", "text", "Where the prompt stands: `prompts.id=12`, or the name of its file."),
    Column("prompt_row_id", "integer", "`prompts.id` of a table row; null for a file."),
    Column("image_id", "integer", "`prompts.image_id` of a table row; null for a file."),
    Column(
        "state",
        "text",
        "`missing`, `changed`, `outdated`, `current`, `failed_for_good`, `failed_for_now`, `unknown`.",
    ),
    Column("success", "boolean", "Whether the picture of exactly this request is there: state `current`."),
    Column("prompt", "text", "The prompt as its source has it now."),
    Column("saved_path", "text", "Where the picture lies, the first one if there are several; null without one."),
    Column("saved_paths", "list of text", "Where all pictures of the prompt lie, in order; empty without one."),
    Column("files", "integer", "How many pictures these are."),
    Column("bytes", "integer", "Size of these files together."),
    Column("size", "text", "Size of the picture as it was saved, `WIDTHxHEIGHT` in pixels."),
    Column("received_size", "text", "Size of the picture as the service sent it."),
    Column("model", "text", "Model that made the picture; without one, the model that would be asked."),
    Column("seed", "integer", "Seed of the picture; without one, the seed that would be sent. Null if none is sent."),
    Column("host_kind", "text", "Who made the picture or would be asked: `sandbox`, `local` or `service`."),
    Column("timestamp", "text", "When the picture was saved, else when its request failed: ISO 8601, UTC."),
    Column("made_at", "time", "When the picture was saved; null without one."),
    Column(
        "cost",
        "number",
        "What the picture's purchase was billed, all its files together; 0 for a copy of what another prompt paid. "
        "Null without a picture and where a price was unknown.",
    ),
    Column("currency", "text", "Currency of `cost`; null where that is null."),
    Column("error_class", "text", "Why there is no current picture, in one word, such as `refused`, `busy` or `rate`."),
    Column("error", "text", "The same in the service's words."),
    Column("data", "JSON", "What was sent for the picture and what came back, as an object; null without a picture."),
    Column("request_key", "text", "SHA-256 of the request that made the picture, or that would be sent."),
    Column("prompt_version", "text", "Fingerprint of text and overrides that the picture was made from, or would be."),
)
COLUMNS: dict[str, str] = {column.name: _PANDAS[column.type] for column in SCHEMA}
DESCRIPTIONS: dict[str, str] = {column.name: column.description for column in SCHEMA}
