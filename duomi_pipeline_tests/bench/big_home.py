"""A home with many prompts, drawn or not, made in seconds: rows are written in bulk, and all pictures are one file.

Use it so: `settings = make_home(folder, 100_000)`, then `edit_prompts(settings, range(1, 11))` and measure a command.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from sqlalchemy import Table, func, insert, select

from duomi_pipeline.duomi.request import settings_fingerprint
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.folder import mark_folder
from duomi_pipeline.engine.prompt_request import request_for
from duomi_pipeline.ledger import Billing, Origin, PurchaseState
from duomi_pipeline.ledger.schema import pictures, posts, purchases, selections
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.prompts.sources import prompt_folder, read_sources
from duomi_pipeline.settings import Settings

Source = Literal["table", "files"]
_LINKS = 50_000  # names of one file; ext4 takes 65,000
_AT_ONCE = 10_000  # prompts per transaction
_BEGAN = 1_767_225_600.0  # 2026-01-01, when the first picture was saved
_SCHEMA = """
CREATE TABLE images (id INTEGER PRIMARY KEY, original_filename TEXT NOT NULL, descriptive_name TEXT);
CREATE TABLE prompts (id INTEGER PRIMARY KEY, image_id INTEGER NOT NULL REFERENCES images(id), image_prompt TEXT);
"""


def make_home(
    folder: Path,
    prompts: int,
    drawn: int | None = None,
    base_url: str = "sandbox",
    characters: int = 600,
    source: Source = "table",
) -> Settings:
    """A home with so many prompts, and with ledger and pictures of those that are drawn; nobody has looked yet.

    Args:
        folder: of the home; must not exist.
        prompts: rows of the table, from `prompts.id=1` on, or files, from `000001.json` on.
        drawn: how many of them, from the first one on, have their current picture; `None`: all.
        base_url: where requests go.
        characters: of each prompt.
        source: where the prompts are.
    """
    folder.mkdir(parents=True)
    lines = [f"base_url = {json.dumps(base_url)}", "price_per_image = 0.1"]
    (folder / "duomi.toml").write_text("\n".join(lines), encoding="utf-8")
    settings = Settings.load(folder)
    if source == "table":
        _database(settings).parent.mkdir(parents=True)
        with closing(sqlite3.connect(_database(settings))) as table:
            table.executescript(_SCHEMA)
    else:
        Path(prompt_folder(settings)).mkdir(parents=True)
    add_prompts(settings, range(1, prompts + 1), characters)
    draw(settings, range(1, (prompts if drawn is None else drawn) + 1))
    return settings


def add_prompts(settings: Settings, ids: Sequence[int], characters: int = 600) -> None:
    """Add rows to the table, or files to the folder."""
    if not _database(settings).exists():
        for one in ids:
            _file(settings, one).write_text(json.dumps({"image_prompt": _text(one, characters)}), encoding="utf-8")
        return
    with closing(sqlite3.connect(_database(settings))) as table, table:
        table.executemany("INSERT INTO images VALUES (?, ?, NULL)", ((one, f"{one:06}.jpg") for one in ids))
        table.executemany("INSERT INTO prompts VALUES (?, ?, ?)", ((one, one, _text(one, characters)) for one in ids))


def edit_prompts(settings: Settings, ids: Sequence[int], more: str = " At noon.") -> None:
    """Append something to the text of some prompts: they are `changed`."""
    if not _database(settings).exists():
        for one in ids:
            file = _file(settings, one)
            text = json.loads(file.read_text(encoding="utf-8"))["image_prompt"]
            file.write_text(json.dumps({"image_prompt": text + more}), encoding="utf-8")
        return
    with closing(sqlite3.connect(_database(settings))) as table, table:
        table.executemany(
            "UPDATE prompts SET image_prompt = image_prompt || ? WHERE id = ?", ((more, one) for one in ids)
        )


def draw(settings: Settings, ids: Sequence[int]) -> None:
    """Record a billed purchase and a picture of each of some prompts, as a run would have, and put the file there."""
    if not ids:
        return
    form = "db_{}" if _database(settings).exists() else "json_{:06}"
    wanted = {form.format(number) for number in ids}
    chosen = [prompt for prompt in read_sources(settings).prompts if prompt.id in wanted]
    picture, names = _picture(), [f"{prompt.file_prefix}_20260101_000000_000.png" for prompt in chosen]
    with Session(settings) as session:
        mark_folder(session.ledger, session.store)
        session.ledger.start_run(session.run_id, "cli")
        with session.ledger.database.write() as connection:
            first = (connection.execute(select(func.max(purchases.c.id))).scalar() or 0) + 1
        for start in range(0, len(chosen), _AT_ONCE):
            some = zip(chosen[start : start + _AT_ONCE], names[start:], strict=False)
            rows = [
                _rows(settings, prompt, name, len(picture), number, session.run_id)
                for number, (prompt, name) in enumerate(some, first + start)
            ]
            with session.ledger.database.write() as connection:
                for table in (purchases, posts, pictures, selections):
                    connection.execute(insert(table), [row[table] for row in rows])
        session.ledger.end_run(session.run_id, None, None, {})
    write_links(settings.home / str(settings.image_dir), names, picture)


def _rows(
    settings: Settings, prompt: Prompt, name: str, size: int, number: int, run_id: str
) -> dict[Table, dict[str, Any]]:
    """The rows of one picture; `number` is the purchase's id."""
    request, at = request_for(settings, prompt, settings.parameters), _BEGAN + number
    key, delivery = request.key, str(request.delivery_size)
    return {
        purchases: {
            "id": number, "request_key": key, "request": request.canonical, "state": PurchaseState.SAVED,
            "run_id": run_id, "answer": "[]", "answered_at": at, "seed": request.seed, "service": request.host_kind,
            "created_at": at, "updated_at": at,
        },
        posts: {
            "purchase_id": number, "run_id": run_id, "sent_at": at, "answered_at": at, "pictures": 1, "price": 0.1,
            "currency": settings.currency, "billing": Billing.BILLED,
        },
        pictures: {
            "prompt_id": prompt.id, "purchase_id": number, "position": 0, "file": name, "bytes": size,
            "size": delivery, "received_size": delivery, "origin": Origin.GENERATED, "saved_at": at,
            "perceptual_hash": hashlib.sha256(prompt.id.encode()).hexdigest(), "contrast": 0.2,
        },
        selections: {
            "prompt_id": prompt.id, "purchase_id": number, "request_key": key, "prompt_version": prompt.version,
            "settings_fingerprint": settings_fingerprint(settings, settings.parameters), "selected_at": at,
        },
    }  # fmt: skip


def write_links(folder: Path, names: Sequence[str], content: bytes) -> None:
    """Write files of the same content; each is the same file under another name, as far as the file system lets it."""
    for start in range(0, len(names), _LINKS):
        first, *others = (folder / name for name in names[start : start + _LINKS])
        first.write_bytes(content)
        for other in others:
            os.link(first, other)


def _picture() -> bytes:
    """A small whole PNG, without the texts by which a plan would know it."""
    file = BytesIO()
    Image.new("RGB", (9, 16), "teal").save(file, "PNG")
    return file.getvalue()


def _text(number: int, characters: int) -> str:
    words = f"A quiet harbour at dawn, boat number {number}, painted in thin layers of colour over a pale ground. "
    return (words * (characters // len(words) + 1))[:characters].strip()


def _database(settings: Settings) -> Path:
    return settings.home / str(settings.database)


def _file(settings: Settings, number: int) -> Path:
    return Path(prompt_folder(settings)) / f"{number:06}.json"
