"""The sandbox's journal ("books" in its API): what was requested, what it billed, which tasks it knows.

Tests about money compare the client with it, so nothing in it comes from the client's records: a row is written
before the answer is sent. Kept in SQLite, in a file if the service is to remember its tasks after a restart.
What a request is worth and how it is answered is not decided here.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from duomi_pipeline.common.sqlite import write_ahead

Outcome = Literal["pictures", "refused", "failed"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS posts (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, key TEXT NOT NULL, protocol TEXT NOT NULL, model TEXT,
    prompt TEXT, seed INTEGER, body TEXT NOT NULL, answered TEXT NOT NULL, token TEXT,
    billed INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS posts_by_key ON posts (key);
CREATE INDEX IF NOT EXISTS posts_let_in ON posts (at) WHERE answered NOT LIKE '429%';
CREATE TABLE IF NOT EXISTS purchases (
    token TEXT PRIMARY KEY, key TEXT NOT NULL, at REAL NOT NULL, protocol TEXT NOT NULL, model TEXT NOT NULL,
    prompt TEXT NOT NULL, seed INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    pictures INTEGER NOT NULL, image_format TEXT NOT NULL, outcome TEXT NOT NULL,
    polls INTEGER NOT NULL, done_polls INTEGER NOT NULL, url_since REAL);
CREATE TABLE IF NOT EXISTS billings (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, token TEXT NOT NULL, picture INTEGER NOT NULL,
    model TEXT NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL, amount REAL NOT NULL);
CREATE TABLE IF NOT EXISTS downloads (
    token TEXT NOT NULL, picture INTEGER NOT NULL, attempts INTEGER NOT NULL, PRIMARY KEY (token, picture));
CREATE TABLE IF NOT EXISTS repeats (value TEXT PRIMARY KEY, token TEXT NOT NULL);
"""
CLEARING = (
    "DELETE FROM posts",
    "DELETE FROM purchases",
    "DELETE FROM billings",
    "DELETE FROM downloads",
    "DELETE FROM repeats",
)

# The rows are the dataclasses below, field by field; NULL lets SQLite number a row.
NEW_POST = "INSERT INTO posts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
NEW_PURCHASE = "INSERT INTO purchases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
NEW_BILLING = "INSERT INTO billings VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class Post:
    """A submission as it arrived, and how it was answered: a status, a code or the name of a fault."""

    at: float
    key: str
    protocol: str
    model: str | None
    prompt: str | None
    seed: int | None
    body: str
    answered: str
    token: str | None
    billed: int


@dataclass(frozen=True)
class Purchase:
    """What one accepted submission bought: a task, its pictures, and what became of them."""

    token: str
    key: str
    at: float
    protocol: str
    model: str
    prompt: str
    seed: int
    width: int
    height: int
    pictures: int
    image_format: Literal["png", "jpeg", "webp", "avif"]
    outcome: Outcome
    polls: int = 0
    done_polls: int = 0
    url_since: float | None = None


@dataclass(frozen=True)
class Billing:
    """One billed picture."""

    at: float
    token: str
    picture: int
    model: str
    prompt: str
    seed: int
    amount: float


@dataclass(frozen=True)
class Totals:
    """All events since the journal began."""

    posts: int
    billed: int
    amount: float
    polls: int
    downloads: int


class Books:
    """The journal in a file, or in memory without a path. Safe to use from several threads and processes."""

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path or ":memory:", timeout=30, isolation_level=None, check_same_thread=False
        )
        write_ahead(self._connection)
        # The journal must survive the end of the process, not of the machine.
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file. What is in it stays."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep other threads and processes out during the block; nothing stays of it if it raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def times_posted(self, key: str) -> int:
        """How often a submission with exactly this body came before."""
        return int(self._value("SELECT COUNT(*) FROM posts WHERE key = ?", key) or 0)

    def let_in_since(self, at: float) -> tuple[int, float | None]:
        """Number and time of the first of the submissions since then that no rate limit turned away."""
        query = "SELECT COUNT(*), MIN(at) FROM posts WHERE at > ? AND answered NOT LIKE '429%'"
        with self._lock:
            count, first = self._connection.execute(query, (at,)).fetchone()
        return count, first

    def billed(self) -> int:
        """Number of pictures billed. Rows are only ever added, so the last number is their count."""
        return int(self._value("SELECT MAX(number) FROM billings") or 0)

    def add_post(self, post: Post) -> None:
        """Write down a submission."""
        self._execute(NEW_POST, *_row(post))

    def add_purchase(self, purchase: Purchase, *, amount: float) -> int:
        """Write down a purchase, and bill each of its pictures.

        Args:
            purchase: What was bought; one that was refused or failed is written down but not billed.
            amount: Price of one picture.

        Returns:
            Number of pictures billed.
        """
        self._execute(NEW_PURCHASE, *_row(purchase))
        if purchase.outcome != "pictures":
            return 0
        for picture in range(purchase.pictures):
            p = purchase
            billing = Billing(p.at, p.token, picture, p.model, p.prompt, p.seed, amount)
            self._execute(NEW_BILLING, *_row(billing))
        return purchase.pictures

    def purchase(self, token: str) -> Purchase | None:
        """The purchase with this token, if there is one."""
        return self._purchase("SELECT * FROM purchases WHERE token = ?", token)

    def name_purchase(self, value: str, token: str) -> None:
        """Write down the value of an idempotency header under which a purchase was made."""
        self._execute("INSERT INTO repeats VALUES (?, ?)", value, token)

    def named_purchase(self, value: str) -> Purchase | None:
        """The purchase that was made under this value of an idempotency header, if there is one."""
        return self._purchase("SELECT purchases.* FROM purchases JOIN repeats USING (token) WHERE value = ?", value)

    def count_poll(self, token: str) -> Purchase | None:
        """Count a poll of a task and return the task, if it is known."""
        self._execute("UPDATE purchases SET polls = polls + 1 WHERE token = ?", token)
        return self.purchase(token)

    def hand_out(self, token: str, at: float, *, renew: bool = False) -> None:
        """Record that the pictures' URLs were sent, which starts their lifetime (again, with `renew`)."""
        query = """UPDATE purchases SET done_polls = done_polls + 1,
            url_since = CASE WHEN ? THEN ? ELSE COALESCE(url_since, ?) END WHERE token = ?"""
        self._execute(query, renew, at, at, token)

    def count_download(self, token: str, picture: int) -> int:
        """Count a download of a picture and return how many came before it."""
        query = (
            "INSERT INTO downloads VALUES (?, ?, 1) "
            "ON CONFLICT DO UPDATE SET attempts = attempts + 1 RETURNING attempts - 1"
        )
        return int(self._value(query, token, picture) or 0)

    def totals(self) -> Totals:
        """Events since the journal began."""
        query = """SELECT (SELECT COUNT(*) FROM posts), COUNT(*), TOTAL(amount),
            (SELECT COALESCE(SUM(polls), 0) FROM purchases),
            (SELECT COALESCE(SUM(attempts), 0) FROM downloads) FROM billings"""
        with self._lock:
            return Totals(*self._connection.execute(query).fetchone())

    def posts(self) -> list[Post]:
        """All submissions, in the order in which they arrived."""
        with self._lock:
            rows = self._connection.execute("SELECT * FROM posts ORDER BY seq").fetchall()
        return [Post(*row[1:]) for row in rows]

    def billings(self) -> list[Billing]:
        """All billed pictures, in the order in which they were billed."""
        with self._lock:
            rows = self._connection.execute("SELECT * FROM billings ORDER BY number").fetchall()
        return [Billing(*row[1:]) for row in rows]

    def reset(self) -> None:
        """Empty the journal. Its tasks and pictures are unknown from then on."""
        with self.transaction():
            for statement in CLEARING:
                self._connection.execute(statement)

    def _execute(self, statement: str, *values: object) -> None:
        with self._lock:
            self._connection.execute(statement, values)

    def _purchase(self, query: str, value: str) -> Purchase | None:
        with self._lock:
            row = self._connection.execute(query, (value,)).fetchone()
        return Purchase(*row) if row else None

    def _value(self, statement: str, *values: object) -> int | float | None:
        with self._lock:
            row = self._connection.execute(statement, values).fetchall()[0]
        result: int | float | None = row[0]
        return result


def _row(record: Post | Purchase | Billing) -> tuple[object, ...]:
    return tuple(vars(record).values())
