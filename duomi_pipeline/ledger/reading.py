"""What the ledger tells: bulk looks for plans and status, single ones for the step at hand. Never writes."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.records import Money, PictureFile, Post, Purchase, RunRecord, Selection
from duomi_pipeline.ledger.schema import OPEN_STATES, pictures, posts, purchases, runs, selections


class LedgerReader:
    """The reading half of the ledger."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def selections(self) -> dict[str, Selection]:
        """Every prompt's current pictures, by prompt id."""
        with self.database.read() as connection:
            files = connection.execute(
                select(pictures)
                .join(
                    selections,
                    (selections.c.prompt_id == pictures.c.prompt_id)
                    & (selections.c.purchase_id == pictures.c.purchase_id),
                )
                .order_by(pictures.c.position)
            ).mappings()
            by_prompt: dict[str, list[PictureFile]] = {}
            for row in files:
                by_prompt.setdefault(row["prompt_id"], []).append(_picture(row))
            chosen = connection.execute(select(selections)).mappings()
            return {
                row["prompt_id"]: Selection(**row, files=tuple(by_prompt.get(row["prompt_id"], ()))) for row in chosen
            }

    def latest_purchases(self) -> dict[str, Purchase]:
        """The latest chain of every request, by request key."""
        newest = select(func.max(purchases.c.id)).group_by(purchases.c.request_key)
        with self.database.read() as connection:
            rows = connection.execute(select(purchases).where(purchases.c.id.in_(newest))).mappings()
            return {row["request_key"]: _purchase(row) for row in rows}

    def saved_files(self) -> dict[str, list[PictureFile]]:
        """Every saved file by request key, the latest purchase first."""
        with self.database.read() as connection:
            return _by_key(connection.execute(_files()).mappings())

    def saved_files_of(self, request_key: str) -> list[PictureFile]:
        """The saved files of one request, the latest purchase first."""
        with self.database.read() as connection:
            rows = connection.execute(_files().where(purchases.c.request_key == request_key)).mappings()
            return _by_key(rows).get(request_key, [])

    def purchase(self, purchase_id: int) -> Purchase:
        """One chain by its id."""
        with self.database.read() as connection:
            return purchase(connection, purchase_id)

    def purchases(self, ids: Collection[int]) -> dict[int, Purchase]:
        """Chains by their ids, in one look."""
        with self.database.read() as connection:
            rows = connection.execute(select(purchases)).mappings()
            return {row["id"]: _purchase(row) for row in rows if row["id"] in ids}

    def open_keys(self) -> set[str]:
        """Requests whose chain is not at its end."""
        with self.database.read() as connection:
            query = select(purchases.c.request_key).where(purchases.c.state.in_(OPEN_STATES))
            return set(connection.execute(query).scalars())

    def sent_at(self, purchase_id: int) -> float:
        """When the last POST of a chain went out, in seconds since 1970."""
        with self.database.read() as connection:
            query = select(func.max(posts.c.sent_at)).where(posts.c.purchase_id == purchase_id)
            return float(connection.execute(query).scalar() or 0.0)

    def chains(self, request_keys: Sequence[str]) -> list[Purchase]:
        """All chains of some requests, oldest first."""
        with self.database.read() as connection:
            rows = connection.execute(
                select(purchases).where(purchases.c.request_key.in_(request_keys)).order_by(purchases.c.id)
            ).mappings()
            return [_purchase(row) for row in rows]

    def pictures_of(self, prompt_id: str) -> list[PictureFile]:
        """All files ever made for a prompt, oldest first."""
        with self.database.read() as connection:
            rows = connection.execute(
                select(pictures).where(pictures.c.prompt_id == prompt_id).order_by(pictures.c.id)
            ).mappings()
            return [_picture(row) for row in rows]

    def posts_of(self, purchase_ids: Iterable[int]) -> dict[int, list[Post]]:
        """The POSTs of some chains, by purchase id, oldest first."""
        found: dict[int, list[Post]] = {}
        columns = [posts.c[name] for name in Post.__dataclass_fields__]
        with self.database.read() as connection:
            query = select(*columns).where(posts.c.purchase_id.in_(list(purchase_ids))).order_by(posts.c.id)
            for row in connection.execute(query).mappings():
                found.setdefault(row["purchase_id"], []).append(Post(**row))
        return found

    def money(self, since: float = 0.0, run_id: str | None = None) -> Money:
        """What was spent since a time (seconds since 1970), by one run or by all."""
        query = select(
            posts.c.billing,
            func.sum(posts.c.pictures),
            func.sum(posts.c.price),
            func.count(posts.c.price),
            func.count(),
        ).where(posts.c.sent_at >= since)
        if run_id is not None:
            query = query.where(posts.c.run_id == run_id)
        copies = select(func.count()).where(pictures.c.origin == "reused", pictures.c.saved_at >= since)
        if run_id is not None:
            copies = copies.where(
                pictures.c.purchase_id.in_(select(posts.c.purchase_id).where(posts.c.run_id == run_id))
            )
        with self.database.read() as connection:
            rows = {row[0]: row[1:] for row in connection.execute(query.group_by(posts.c.billing))}
            return _money(rows, int(connection.execute(copies).scalar_one()))

    def last_run(self) -> RunRecord | None:
        """The run that started last."""
        with self.database.read() as connection:
            return _run(connection.execute(select(runs).order_by(runs.c.started_at.desc()).limit(1)).mappings().first())

    def run(self, run_id: str) -> RunRecord | None:
        """One run; `None` if it never got so far as to generate."""
        with self.database.read() as connection:
            return _run(connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first())


def _run(row: RowMapping | None) -> RunRecord | None:
    if row is None:
        return None
    known = {name: row[name] for name in RunRecord.__dataclass_fields__ if name != "counts"}
    return RunRecord(**known, counts=json.loads(row["counts"] or "{}"))


def latest_purchase(connection: Connection, request_key: str) -> Purchase | None:
    """The latest chain of a request."""
    query = select(purchases).where(purchases.c.request_key == request_key).order_by(purchases.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return _purchase(row) if row else None


def purchase(connection: Connection, purchase_id: int) -> Purchase:
    """One chain by its id."""
    return _purchase(connection.execute(select(purchases).where(purchases.c.id == purchase_id)).mappings().one())


def _files() -> Any:
    return (
        select(purchases.c.request_key, *pictures.c)
        .join(purchases, purchases.c.id == pictures.c.purchase_id)
        .order_by(pictures.c.purchase_id.desc(), pictures.c.id)
    )


def _by_key(rows: Iterable[RowMapping]) -> dict[str, list[PictureFile]]:
    found: dict[str, list[PictureFile]] = {}
    for row in rows:
        found.setdefault(row["request_key"], []).append(_picture(row))
    return found


def _picture(row: Mapping[Any, Any]) -> PictureFile:
    return PictureFile(**{name: row[name] for name in PictureFile.__dataclass_fields__})


def _purchase(row: RowMapping) -> Purchase:
    names = [name for name in Purchase.__dataclass_fields__ if name != "image_urls"]
    return Purchase(**{name: row[name] for name in names}, image_urls=tuple(json.loads(row["answer"] or "[]")))


def _money(rows: Mapping[str, Any], reused: int) -> Money:
    def total(billing: str) -> tuple[int, float | None]:
        images, price, priced, count = rows.get(billing, (0, 0.0, 0, 0))
        return int(images or 0), (float(price or 0) if priced == count else None)

    (billed, spent), (lost, lost_price) = total("billed"), total("ambiguous")
    return Money(billed, lost, total("sent")[0], reused, spent, lost_price)
