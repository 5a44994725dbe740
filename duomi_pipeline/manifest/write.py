"""The manifest's files, each whole or not at all. What did not change since the last writing is not made anew."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from duomi_pipeline.common.files import sweep_drafts
from duomi_pipeline.common.places import Place, replacing
from duomi_pipeline.engine import Plan, Session
from duomi_pipeline.manifest.columns import SCHEMA
from duomi_pipeline.manifest.csv_file import csv_frame, csv_row
from duomi_pipeline.manifest.edition import (
    NAME,
    Edition,
    Kept,
    Part,
    last_edition,
    last_imprint,
    parts_of,
    places_of,
    stamps,
)
from duomi_pipeline.manifest.json_file import JSON_FRAME, json_row
from duomi_pipeline.manifest.sqlite import Database
from duomi_pipeline.manifest.table import Table, digest
from duomi_pipeline.manifest.text_file import TextFile
from duomi_pipeline.prompts import Problem

_NAMES = [column.name for column in SCHEMA]
_FILES = {kind: f"results.{kind}" for kind in ("parquet", "csv", "json", "db")}
_LEFT_OUT = "left_out.json"


@dataclass(frozen=True)
class Written:
    """The manifest as it lies in its folder.

    Attributes:
        paths: of the first four files by ending.
        is_new: whether they were written now; else they are as they were.
    """

    paths: Mapping[str, Place]
    is_new: bool


def write_manifest(session: Session, plan: Plan, left_out: Sequence[Problem], folder: Place) -> Written:
    """Write `results.parquet`, `.csv`, `.json`, `.db` and `left_out.json`; nothing where nothing changed.

    On disk all stay as they were if one cannot be written; in object storage all are made anew, and replaced in turn.

    Whoever has one of them open keeps reading what it was.

    Args:
        session: whose ledger and pictures are shown.
        plan: of all prompts.
        left_out: rows and files that give no prompt.
        folder: where the files go; a folder on disk is made if it is not there.

    Raises:
        OSError: the folder cannot be written, or is full.
        LedgerError: a picture was removed since the plan was made.
    """
    table = Table(session, plan)
    imprint = table.imprint(digest([asdict(problem) for problem in left_out]))
    paths: dict[str, Place] = {kind: folder / name for kind, name in _FILES.items()}
    places = [*paths.values(), folder / _LEFT_OUT]
    if not isinstance(folder, Path):
        with replacing(*places) as drafts:
            _write(table, left_out, drafts, Path(), Edition(), table.edition(imprint, Edition()))
        return Written(paths, is_new=True)
    folder.mkdir(parents=True, exist_ok=True)
    sweep_drafts(folder)
    last = last_imprint(folder, table.about)
    if imprint.tells_the_same(last):
        return Written(paths, is_new=False)
    old = last_edition(folder, last)
    new = table.edition(imprint, old)
    if old.imprint.files and new.tells_the_same(old):
        if imprint.mark is not None:  # the next writing then need not look at its rows
            with replacing(folder / NAME) as (note,):
                replace(old, imprint=replace(imprint, files=last.files)).save(note)
        return Written(paths, is_new=False)
    with replacing(*places, folder / NAME) as (*drafts, note):
        _write(table, left_out, drafts, folder, old, new)
        imprint.files = stamps({place.name: draft for place, draft in zip(places, drafts, strict=True)})
        new.save(note)
    return Written(paths, is_new=True)


def _write(
    table: Table, left_out: Sequence[Problem], drafts: Sequence[Path], last: Path, old: Edition, new: Edition
) -> None:
    """Write all files.

    Args:
        table, left_out: what they tell.
        drafts: where each is written.
        last: the folder of those before.
        old: tells what is in these; an empty one where nothing of them is used.
        new: gets where each row stands.
    """
    # Imported here: its library takes 40 MB, which a run shall not have beside the pictures that it decodes.
    from duomi_pipeline.manifest.parquet import ParquetFile  # noqa: PLC0415

    parts = parts_of(old, new)
    new.places = places_of(old, parts)
    if len(new.places) < len(new.ids):  # no room between the old rows
        old = Edition()
        parts = parts_of(old, new)
        new.places = places_of(old, parts)
    parquet, csv, json_, db, without = drafts
    _write_left_out(left_out, without)
    with ExitStack() as stack:
        columns = stack.enter_context(closing(ParquetFile(parquet, last / _FILES["parquet"])))
        lines = stack.enter_context(closing(TextFile(csv, last / _FILES["csv"], old.csv, csv_frame(_NAMES), csv_row)))
        objects = stack.enter_context(
            closing(TextFile(json_, last / _FILES["json"], old.json, JSON_FRAME, partial(json_row, _NAMES)))
        )
        gone = _gone(old, parts) if old.ids else None
        tables = stack.enter_context(closing(Database(db, last / _FILES["db"], gone, new.places, left_out)))
        for part in parts:
            if isinstance(part, Kept):
                for file in (columns, lines, objects, tables):
                    file.keep(part)
                continue
            for rows in table.rows(part):
                for file in (columns, lines, objects, tables):
                    file.add(rows)
    new.csv, new.json = lines.lengths, objects.lengths


def _gone(old: Edition, parts: Sequence[Part]) -> list[str]:
    """The ids of the old rows that do not stay."""
    stays = bytearray(len(old.ids))
    for part in parts:
        if isinstance(part, Kept):
            stays[part.start : part.stop] = b"\1" * (part.stop - part.start)
    return [prompt_id for prompt_id, one in zip(old.ids, stays, strict=True) if not one]


def _write_left_out(problems: Sequence[Problem], path: Path) -> None:
    """Rows and files without a usable prompt, with reasons: a JSON array, one per line."""
    lines = ",".join(f"\n{json.dumps(asdict(problem), ensure_ascii=False)}" for problem in problems)
    path.write_text(f"[{lines}\n]\n", encoding="utf-8", newline="\n")
