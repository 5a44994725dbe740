"""Plan, register and ledger as rows, one per prompt. Columns: `columns`; which rows are made at all: `table`."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from duomi_pipeline.common.text import without_surrogates
from duomi_pipeline.engine import PlannedPrompt, Session, State
from duomi_pipeline.engine.looking import PREFIXES, registered
from duomi_pipeline.engine.states import presence_of
from duomi_pipeline.images import Presence
from duomi_pipeline.ledger import Cost, LedgerError, Origin, PictureFile, Purchase, Selection, Source
from duomi_pipeline.manifest.columns import SCHEMA, Row
from duomi_pipeline.prompts import Prompt, SourceError

_PICTURED = {State.CURRENT, State.CHANGED, State.OUTDATED}
_NAMES = tuple(column.name for column in SCHEMA)
_ROW_ID = re.compile(r"db_(0|-?[1-9]\d{0,17})")  # as an integer key of a table is written, within 64 bits


@dataclass(frozen=True)
class _Records:
    """What the ledger has of the pictures of some prompts, queried once for all of them."""

    session: Session
    purchases: Mapping[int, Purchase]
    costs: Mapping[int, Cost]

    @classmethod
    def of(cls, session: Session, shown: Iterable[Selection]) -> "_Records":
        ids = {selection.purchase_id for selection in shown}
        return cls(session, session.ledger.purchases(ids), session.ledger.results.costs(ids))


def check_readable(session: Session, unknown: Mapping[str, str]) -> None:
    """Make sure that no prompt with pictures is left out because nobody could read its source yet: it is not empty.

    Args:
        session: with the ledger, whose register has what was read earlier.
        unknown: why a source cannot be read now, by the prefix of its ids.

    Raises:
        SourceError: such rows would vanish from the manifest.
    """
    held = session.ledger.register.holdings().counts
    for source in Source:
        prefix = PREFIXES[source]
        if prefix not in unknown or any(held[source].values()):
            continue
        if any(prompt_id.startswith(prefix) for prompt_id in session.ledger.selections()):
            raise SourceError(unknown[prefix])


def planned_rows(session: Session, entries: Sequence[PlannedPrompt]) -> list[Row]:
    """One row per entry of a plan; if a prompt has pictures, the row describes them, also if they are outdated."""
    shown = _shown(session, entries)
    records = _Records.of(session, shown.values())
    return [_planned_row(entry, shown.get(entry.prompt.id), records) for entry in entries]


def current_rows(session: Session, ids: Sequence[str]) -> list[Row]:
    """The same rows of prompts that a plan found current, from register and ledger alone.

    Raises:
        LedgerError: the ledger no longer has a picture of one.
    """
    prompts = {prompt.id: prompt for prompt in registered(session.ledger, ids).prompts}
    selections = session.ledger.selections(ids)
    records = _Records.of(session, selections.values())
    try:
        return [_current_row(prompts[prompt_id], selections[prompt_id], records) for prompt_id in ids]
    except KeyError as error:
        raise LedgerError(f"{error.args[0]} was retired or its picture removed meanwhile: start again") from error


def _shown(session: Session, entries: Sequence[PlannedPrompt]) -> dict[str, Selection]:
    """The pictures that each prompt has; a record of files that are gone is none."""
    found = {entry.prompt.id: entry.selection for entry in entries if entry.selection is not None}
    doubtful = [found[e.prompt.id] for e in entries if e.prompt.id in found and e.state not in _PICTURED]
    listing = session.store.look(file.file for selection in doubtful for file in selection.files)
    gone = {one.prompt_id for one in doubtful if presence_of(one.files, listing) is not Presence.PRESENT}
    return {prompt_id: selection for prompt_id, selection in found.items() if prompt_id not in gone}


def _planned_row(entry: PlannedPrompt, selection: Selection | None, records: _Records) -> Row:
    row = dict.fromkeys(_NAMES) | _prompt(entry.prompt, entry.state) | _request(entry) | _failure(entry)
    if selection is not None:
        row |= _pictures(entry.prompt, selection, records)
    return {name: _writable(value) for name, value in row.items()}


def _current_row(prompt: Prompt, selection: Selection, records: _Records) -> Row:
    row = dict.fromkeys(_NAMES) | _prompt(prompt, State.CURRENT) | _pictures(prompt, selection, records)
    return {name: _writable(value) for name, value in row.items()}


def _prompt(prompt: Prompt, state: State) -> dict[str, Any]:
    row_id = _ROW_ID.fullmatch(prompt.id) if prompt.source == "database" else None
    return {
        "prompt_id": prompt.id,
        "source": prompt.source,
        "origin": prompt.origin,
        "prompt_row_id": int(row_id[1]) if row_id else None,
        "image_id": prompt.image_id,
        "state": state.value,
        "success": state is State.CURRENT,
        "prompt": prompt.text,
        "saved_paths": [],
    }


def _request(entry: PlannedPrompt) -> dict[str, Any]:
    """What would be asked; the picture's own values stand in place of it where there is one."""
    return {
        "model": entry.request.model,
        "seed": entry.request.seed,
        "host_kind": entry.request.host_kind,
        "request_key": entry.request.key,
        "prompt_version": entry.prompt.version,
    }


def _failure(entry: PlannedPrompt) -> dict[str, Any]:
    """Why the prompt has no current picture, if the service gave an error."""
    failed = entry.purchase
    if failed is None or failed.error_class is None or entry.state is State.CURRENT:
        return {}
    return {
        "error_class": failed.error_class,
        "error": failed.error_message,
        "timestamp": _iso(_moment(failed.updated_at)),
    }


def _pictures(prompt: Prompt, selection: Selection, records: _Records) -> dict[str, Any]:
    first, purchase = selection.files[0], records.purchases[selection.purchase_id]
    request, store = purchase.content, records.session.store
    made_at, cost = _moment(first.saved_at), _cost(first, records)
    paths = [store.location(file.file) for file in selection.files]
    return {
        "saved_path": paths[0],
        "saved_paths": paths,
        "files": len(selection.files),
        "bytes": sum(file.bytes for file in selection.files),
        "size": first.size,
        "received_size": first.received_size,
        "timestamp": _iso(made_at),
        "made_at": made_at,
        "model": request["body"]["model"],
        "seed": purchase.seed_used,
        "host_kind": request["host_kind"],
        "cost": cost.amount if cost else None,
        "currency": cost.currency if cost else None,
        "data": json.dumps(_data(prompt, selection, purchase, request["body"], paths), ensure_ascii=False),
        "request_key": selection.request_key,
        "prompt_version": selection.prompt_version,
    }


def _cost(first: PictureFile, records: _Records) -> Cost | None:
    cost = records.costs.get(first.purchase_id)
    if first.origin == Origin.REUSED:
        return Cost(0.0, cost.currency if cost else records.session.settings.currency)
    return cost


def _data(
    prompt: Prompt,
    selection: Selection,
    purchase: Purchase,
    body: Mapping[str, Any],
    paths: list[str],
) -> dict[str, Any]:
    """Request and answer; never the picture's address at the service, which is signed."""
    return {
        "task_id": purchase.task_id,
        "seed": purchase.seed_used,
        "request": {name: value for name, value in body.items() if name != "prompt"},
        "sent_prompt": None if body.get("prompt") == prompt.text else body.get("prompt"),
        "images": [
            {
                "path": path,
                "bytes": file.bytes,
                "size": file.size,
                "received_size": file.received_size,
                "how": file.origin,
                "made_at": _iso(_moment(file.saved_at)),
            }
            for path, file in zip(paths, selection.files, strict=True)
        ],
    }


def _moment(seconds: float) -> datetime:
    """A time in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return without_surrogates(value)
    return [_writable(one) for one in value] if isinstance(value, list) else value
