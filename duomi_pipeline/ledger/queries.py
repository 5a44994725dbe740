"""Read queries of the ledger: bulk for plans and status, single rows for the current step. Writes are in `ledger`."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from itertools import islice, starmap, takewhile
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, bindparam, func, select

from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.figures import Figures, read_figures
from duomi_pipeline.ledger.records import (
    Billing,
    Money,
    Origin,
    PictureFile,
    Post,
    Purchase,
    PurchaseState,
    RunRecord,
    Selection,
    Source,
    Standing,
)
from duomi_pipeline.ledger.schema import (
    OPEN_STATES,
    facts,
    foreign_files,
    pictures,
    posts,
    prompts,
    purchases,
    runs,
    selections,
)
from duomi_pipeline.ledger.settled import UsablePrompts, pictured_ids, usable_prompts
from duomi_pipeline.ledger.stamps import Mark, read_mark
from duomi_pipeline.ledger.totals import BillSum, bills_of_run, bills_since

_AT_ONCE = 500  # values per query: databases limit the parameters of a statement
_ROWS = 1_000  # that are fetched together

# Columns in the order of the records' fields, so that a row becomes a record without a lookup per field.
_PICTURE = [pictures.c[field.name] for field in fields(PictureFile)]
_SELECTION = [selections.c[field.name] for field in fields(Selection) if field.name != "files"]
_PURCHASE = [purchases.c["answer" if field.name == "image_urls" else field.name] for field in fields(Purchase)]
_ANSWER = [field.name for field in fields(Purchase)].index("image_urls")

_SELECTED_FILES = (
    select(*_PICTURE)
    .join(
        selections,
        (selections.c.prompt_id == pictures.c.prompt_id) & (selections.c.purchase_id == pictures.c.purchase_id),
    )
    .order_by(pictures.c.position)
)
_PROMPTS_OF_FILES = select(selections.c.prompt_id).join(
    pictures,
    (pictures.c.prompt_id == selections.c.prompt_id) & (pictures.c.purchase_id == selections.c.purchase_id),
)
_SAVED_FILES = (
    select(purchases.c.request_key, *_PICTURE)
    .join(purchases, purchases.c.id == pictures.c.purchase_id)
    .order_by(pictures.c.purchase_id.desc(), pictures.c.id)
)
_POST = [posts.c[field.name] for field in fields(Post)]
# Used for every picture: building such a statement costs more than running it.
_BY_ID = select(*_PURCHASE).where(purchases.c.id == bindparam("purchase_id"))
_LATEST = (
    select(*_PURCHASE)
    .where(purchases.c.request_key == bindparam("request_key"))
    .order_by(purchases.c.id.desc())
    .limit(1)
)
# With the states in the statement itself, SQLite finds them by the index of open purchases.
_INTERRUPTED = select(*_PURCHASE).where(
    purchases.c.state.in_(bindparam("states", OPEN_STATES, expanding=True, literal_execute=True))
)


class LedgerReader:
    """The read queries; `Ledger` adds the writes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def selections(self, prompt_ids: Collection[str] | None = None) -> dict[str, Selection]:
        """The current pictures of some prompts or of all, by prompt id."""
        by_prompt: dict[str, list[PictureFile]] = {}
        with self.database.read() as connection:
            for file in starmap(PictureFile, in_parts(connection, _SELECTED_FILES, selections.c.prompt_id, prompt_ids)):
                by_prompt.setdefault(file.prompt_id, []).append(file)
            chosen = list(in_parts(connection, select(*_SELECTION), selections.c.prompt_id, prompt_ids))
        return {row[0]: Selection(*[*row, tuple(by_prompt.get(row[0], ()))]) for row in chosen}

    def latest_purchases(self, request_keys: Collection[str] | None = None) -> dict[str, Purchase]:
        """The latest purchase of some requests or of all, by request key."""
        with self.database.read() as connection:
            rows = in_parts(
                connection, select(*_PURCHASE).order_by(purchases.c.id), purchases.c.request_key, request_keys
            )
            return {purchase.request_key: purchase for purchase in map(_purchase, rows)}

    def interrupted_purchases(self) -> dict[str, Purchase]:
        """The open purchases, by request key: at most one per request."""
        with self.database.read() as connection:
            rows = connection.execute(_INTERRUPTED)
            return {purchase.request_key: purchase for purchase in map(_purchase, rows)}

    def saved_files(self, request_keys: Collection[str] | None = None) -> dict[str, list[PictureFile]]:
        """The saved files of some requests or of all, by request key, the latest purchase first."""
        found: dict[str, list[PictureFile]] = {}
        with self.database.read() as connection:
            for key, *file in in_parts(connection, _SAVED_FILES, purchases.c.request_key, request_keys):
                found.setdefault(key, []).append(PictureFile(*file))
        return found

    def saved_files_of(self, request_key: str) -> list[PictureFile]:
        """The saved files of one request, the latest purchase first."""
        return self.saved_files([request_key]).get(request_key, [])

    def recorded_files(self) -> set[tuple[str, int]]:
        """Name and size in bytes of all recorded files. Two may have one name: at most one of them is there."""
        with self.database.read() as connection:
            return {(file, size) for file, size in connection.execute(select(pictures.c.file, pictures.c.bytes))}

    def selected_files(self) -> list[tuple[str, int]]:
        """Name and size of the files of all current pictures, but for those of retired prompts."""
        chosen = (selections.c.prompt_id == pictures.c.prompt_id) & (selections.c.purchase_id == pictures.c.purchase_id)
        retired = select(prompts.c.prompt_id).where(prompts.c.standing == Standing.RETIRED)
        query = select(pictures.c.file, pictures.c.bytes).join(selections, chosen)
        with self.database.read() as connection:
            return list(connection.execute(query.where(pictures.c.prompt_id.not_in(retired))).tuples())

    def prompts_of_files(self, files: Collection[str]) -> set[str]:
        """The prompts whose current pictures some of these files are."""
        with self.database.read() as connection:
            return {prompt_id for (prompt_id,) in in_parts(connection, _PROMPTS_OF_FILES, pictures.c.file, files)}

    def prompts_of_requests(self, request_keys: Collection[str]) -> set[str]:
        """The prompts whose current pictures are of these requests."""
        with self.database.read() as connection:
            query = select(selections.c.prompt_id)
            return {prompt_id for (prompt_id,) in in_parts(connection, query, selections.c.request_key, request_keys)}

    def usable_prompts(self, basis: str, sources: Collection[Source]) -> UsablePrompts:
        """The prompts of some sources that can be drawn; see `settled`."""
        with self.database.read() as connection:
            return usable_prompts(connection, basis, sources)

    def pictured_ids(self, sources: Collection[Source]) -> frozenset[str]:
        """The ids of those that have pictures."""
        with self.database.read() as connection:
            return pictured_ids(connection, sources)

    def foreign_files(self) -> dict[str, int]:
        """The sizes in bytes of files in the folder that are not ours or damaged, by name."""
        with self.database.read() as connection:
            return dict(connection.execute(select(foreign_files.c.file, foreign_files.c.bytes)).tuples().all())

    def fact(self, name: str) -> str | None:
        """A named value about this home; `None` if it is not set."""
        with self.database.read() as connection:
            return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()

    def purchase(self, purchase_id: int) -> Purchase:
        """One purchase by its id."""
        with self.database.read() as connection:
            return purchase(connection, purchase_id)

    def purchases(self, ids: Collection[int]) -> dict[int, Purchase]:
        """Purchases by their ids."""
        with self.database.read() as connection:
            return {
                found.id: found
                for found in map(_purchase, in_parts(connection, select(*_PURCHASE), purchases.c.id, ids))
            }

    def sent_at(self, purchase_id: int) -> float:
        """When the last POST of a purchase went out, in seconds since 1970."""
        with self.database.read() as connection:
            query = select(func.max(posts.c.sent_at)).where(posts.c.purchase_id == purchase_id)
            return float(connection.execute(query).scalar() or 0.0)

    def was_answered(self, settings_fingerprint: str, service: str, since: float) -> bool:
        """Whether a service has sold a picture under these settings since a time (seconds since 1970)."""
        query = (
            select(posts.c.id)
            .join(selections, selections.c.purchase_id == posts.c.purchase_id)
            .join(purchases, purchases.c.id == posts.c.purchase_id)
            .where(purchases.c.service == service, posts.c.billing == Billing.BILLED, posts.c.answered_at >= since)
            .where(selections.c.settings_fingerprint == settings_fingerprint)
            .limit(1)
        )
        with self.database.read() as connection:
            return connection.execute(query).first() is not None

    def has_sold(self, service: str, since: float = 0.0) -> bool:
        """Whether a service has sold anything to this key since a time (seconds since 1970)."""
        of_it = posts.join(purchases, purchases.c.id == posts.c.purchase_id)
        query = (
            select(posts.c.id)
            .select_from(of_it)
            .where(purchases.c.service == service, posts.c.billing == Billing.BILLED)
        )
        with self.database.read() as connection:
            return connection.execute(query.where(posts.c.answered_at > since).limit(1)).first() is not None

    def failures_in_a_row(self, service: str, since: float, until: float) -> list[tuple[str, str]]:
        """Error class and request key of each POST to a service that failed after the last success.

        Args:
            service: identity of the service.
            since, until: when it was sent; a clock that was set back has also sent some later than now.
        """
        query = (
            select(purchases.c.state, purchases.c.error_class, purchases.c.request_key)
            .join(posts, posts.c.purchase_id == purchases.c.id)
            .where(purchases.c.service == service, posts.c.sent_at.between(since, until))
            .where((purchases.c.state == PurchaseState.SAVED) | purchases.c.error_class.is_not(None))
            .order_by(posts.c.sent_at.desc())
            .limit(_ROWS)
        )
        with self.database.read() as connection:
            last = takewhile(lambda row: row.state is not PurchaseState.SAVED, connection.execute(query))
            return [(row.error_class, row.request_key) for row in last]

    def purchases_of(self, request_keys: Collection[str]) -> list[Purchase]:
        """All purchases of some requests, oldest first."""
        with self.database.read() as connection:
            query = select(*_PURCHASE).order_by(purchases.c.id)
            return [_purchase(row) for row in in_parts(connection, query, purchases.c.request_key, request_keys)]

    def pictures_of(self, prompt_id: str) -> list[PictureFile]:
        """All files recorded for a prompt, oldest first."""
        with self.database.read() as connection:
            query = select(*_PICTURE).where(pictures.c.prompt_id == prompt_id).order_by(pictures.c.id)
            return list(starmap(PictureFile, connection.execute(query)))

    def prompt_of(self, file: str) -> str | None:
        """The id of the prompt that a picture file was last recorded for."""
        with self.database.read() as connection:
            query = select(pictures.c.prompt_id).where(pictures.c.file == file).order_by(pictures.c.id.desc()).limit(1)
            return connection.execute(query).scalar()

    def known_ids(self, prompt_ids: Collection[str]) -> set[str]:
        """Those of some prompt ids that are on record: with a picture, or in the register."""
        tables = (pictures, selections, prompts)
        with self.database.read() as connection:
            return {
                row[0]
                for table in tables
                for row in in_parts(connection, select(table.c.prompt_id).distinct(), table.c.prompt_id, prompt_ids)
            }

    def posts_of(self, purchase_ids: Collection[int]) -> dict[int, list[Post]]:
        """The POSTs of some purchases, by purchase id, oldest first."""
        found: dict[int, list[Post]] = {}
        with self.database.read() as connection:
            for post in starmap(
                Post, in_parts(connection, select(*_POST).order_by(posts.c.id), posts.c.purchase_id, purchase_ids)
            ):
                found.setdefault(post.purchase_id, []).append(post)
        return found

    def money(self, day: float = 0.0, run_id: str | None = None) -> Money:
        """What one run spent, or all of them since a day of UTC began (its start, in seconds since 1970)."""
        copies = select(func.count()).where(pictures.c.origin == Origin.REUSED)
        with self.database.read() as connection:
            if run_id is None:
                spent = bills_since(connection, day)
                copies = copies.where(pictures.c.saved_at >= day)
            else:
                spent = bills_of_run(connection, run_id)
                of_run = select(posts.c.purchase_id).where(posts.c.run_id == run_id)
                copies = copies.where(pictures.c.purchase_id.in_(of_run))
            return _money(spent, int(connection.execute(copies).scalar_one()))

    def figures(self, *, day: float, lately: float) -> Figures:
        """Sums over the whole ledger, for monitoring.

        Args:
            day, lately: since when `bills_today` (whole days of UTC) and `saved_lately` count, in seconds since 1970.
        """
        with self.database.read() as connection:
            return read_figures(connection, day=day, lately=lately)

    def mark(self) -> Mark:
        """Differs from an earlier one where purchases, pictures, choices or prompts have changed since."""
        with self.database.read() as connection:
            return read_mark(connection)

    def last_run(self) -> RunRecord | None:
        """The run that started last."""
        with self.database.read() as connection:
            return _run(connection.execute(select(runs).order_by(runs.c.started_at.desc()).limit(1)).mappings().first())

    def last_result(self) -> RunRecord | None:
        """The same among runs that recorded how they ended: one that was refused or died says nothing of a stop."""
        query = select(runs).where(runs.c.counts.is_not(None)).order_by(runs.c.started_at.desc()).limit(1)
        with self.database.read() as connection:
            return _run(connection.execute(query).mappings().first())

    def run(self, run_id: str) -> RunRecord | None:
        """One run; `None` if it ended before it generated anything."""
        with self.database.read() as connection:
            return _run(connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first())


def _run(row: RowMapping | None) -> RunRecord | None:
    if row is None:
        return None
    known = {name: row[name] for name in RunRecord.__dataclass_fields__ if name != "counts"}
    return RunRecord(**known, counts=json.loads(row["counts"] or "{}"))


def latest_purchase(connection: Connection, request_key: str) -> Purchase | None:
    """The latest purchase of a request."""
    row = connection.execute(_LATEST, {"request_key": request_key}).first()
    return _purchase(row) if row else None


def purchase(connection: Connection, purchase_id: int) -> Purchase:
    """One purchase by its id."""
    return _purchase(connection.execute(_BY_ID, {"purchase_id": purchase_id}).one())


def in_parts(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], values: Collection[Any] | None
) -> Iterator[Any]:
    """The rows of a query: all of them, or those with some values in a column, a few hundred values at a time."""
    if values is None:
        for rows in connection.execute(query).partitions(_ROWS):  # one by one they take half as long again
            yield from rows
        return
    left = iter(values)
    while some := list(islice(left, _AT_ONCE)):
        yield from connection.execute(query.where(column.in_(some)))


def _purchase(row: Sequence[Any]) -> Purchase:
    values = list(row)
    values[_ANSWER] = tuple(json.loads(row[_ANSWER])) if row[_ANSWER] else ()
    return Purchase(*values)


def _money(bills: Sequence[BillSum], reused: int) -> Money:
    def total(billing: Billing) -> tuple[int, dict[str, float], bool]:
        mine = [bill for bill in bills if bill.billing == billing]
        by_currency = {bill.currency: bill.amount for bill in mine if bill.amount}
        return sum(bill.pictures for bill in mine), by_currency, not any(bill.unpriced for bill in mine)

    (billed, spent, is_known), (lost, maybe, is_lost_known) = total(Billing.BILLED), total(Billing.AMBIGUOUS)
    currencies = {*spent, *maybe}
    is_one = len(currencies) <= 1
    return Money(
        billed,
        lost,
        total(Billing.SENT)[0],
        reused,
        sum(spent.values(), 0.0) if is_known and is_one else None,
        sum(maybe.values(), 0.0) if is_lost_known and is_one else None,
        next(iter(currencies)) if len(currencies) == 1 else None,
        spent if is_known else {},
    )
