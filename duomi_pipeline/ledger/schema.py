"""The ledger's tables. Times are seconds since 1970 (UTC), money is in the setting's currency.

`purchases` has the last step of each purchase; `posts` every POST that may cost money; `pictures` the files;
`selections` each prompt's current purchase; `runs` when each run was last alive: its `host` is the kernel on which its
lock file proves a death, or a machine's name. Records of rows are in `records`, changes of tables in `migrations`.
`prompts` and `looks` are the register: what each source last said, and who looked at it when; see `register`.
`totals` are sums over `posts`, `stamps` tell that something has changed; the database itself keeps both: see there.
"""

import re
import sys
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

from duomi_pipeline.ledger.records import Billing, Origin, PurchaseState, Source, Standing


class SharedText(TypeDecorator[str]):
    """A text that many rows share: one object in memory, which matters with 100,000 rows."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """The same object for the same text."""
        return None if value is None else sys.intern(value)


class AnyText(TypeDecorator[str]):
    r"""A text that may hold NUL, which PostgreSQL does not take: written as `\0`, and a backslash as `\\`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as it is stored."""
        return None if value is None else value.replace("\\", r"\\").replace("\0", r"\0")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as it was given."""
        return None if value is None else as_given(value)


def as_given(stored: str) -> str:
    """A text of `AnyText` as it was given."""
    if "\\" not in stored:
        return stored
    return re.sub(r"\\(.)", lambda match: "\0" if match[1] == "0" else match[1], stored)


metadata = MetaData()

OPEN_STATES = (
    PurchaseState.PLANNED,
    PurchaseState.SUBMITTING,
    PurchaseState.SUBMITTED,
    PurchaseState.READY,
    PurchaseState.AMBIGUOUS,
)


def _values(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


def _words(words: type[StrEnum], length: int) -> Enum:
    """A column for an enum, stored as text."""
    return Enum(words, native_enum=False, values_callable=_values, length=length)


runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("door", String(40), key="trigger", nullable=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("alive_until", Float, nullable=False),
    Column("ended_at", Float),
    Column("stopped_by", String(40)),
    Column("message", Text),
    Column("counts", Text),
)

purchases = Table(
    "purchases",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("request_key", String(64), nullable=False),
    Column("request", Text, nullable=False),
    Column("state", _words(PurchaseState, 16), nullable=False),
    Column("run_id", String(64), ForeignKey("runs.id")),
    Column("task_id", Text),
    Column("answer", Text),
    Column("answered_at", Float),
    Column("seed", BigInteger),
    Column("error_class", String(40)),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("retry_at", Float),
    Column("service", Text),
    Column("asked_anew", Boolean, nullable=False, server_default=false()),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("purchases_by_key", "request_key", "id"),
)
# At most one open purchase per request: this guarantees "bought once" between two runs. On PostgreSQL it is of the same
# rows, as its migration makes it: said here, it would load that dialect of SQLAlchemy into every process.
Index(
    "purchases_one_open_per_key",
    purchases.c.request_key,
    unique=True,
    sqlite_where=purchases.c.state.in_(OPEN_STATES),
)

posts = Table(
    "posts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("purchase_id", Integer, ForeignKey("purchases.id"), nullable=False, index=True),
    Column("run_id", String(64), ForeignKey("runs.id"), nullable=False, index=True),
    Column("sent_at", Float, nullable=False, index=True),
    Column("answered_at", Float),
    Column("pictures", Integer, nullable=False),
    Column("price", Float),
    Column("currency", String(12), nullable=False),
    Column("billing", _words(Billing, 12), nullable=False),
)

UNANSWERED = (Billing.SENT, Billing.AMBIGUOUS)
_UNANSWERED = posts.c.billing.in_(UNANSWERED) & posts.c.answered_at.is_(None)
Index("posts_unanswered", posts.c.purchase_id, sqlite_where=_UNANSWERED)

# `day`: of UTC, counted from 1970; `writer`: the server's process on PostgreSQL, so that no two wait for one row.
totals = Table(
    "totals",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("currency", String(12), primary_key=True),
    Column("billing", _words(Billing, 12), primary_key=True),
    Column("writer", Integer, primary_key=True, autoincrement=False),
    Column("posts", Integer, nullable=False),
    Column("pictures", Integer, nullable=False),
    Column("unpriced", Integer, nullable=False),
    Column("billionths", Numeric, nullable=False),
    Index("totals_by_day", "day"),
)

# `writer` as in `totals`.
stamps = Table(
    "stamps",
    metadata,
    Column("writer", Integer, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
)

pictures = Table(
    "pictures",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("prompt_id", SharedText(100), nullable=False),
    Column("purchase_id", Integer, ForeignKey("purchases.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("file", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("size", SharedText(12), nullable=False),
    Column("received_size", SharedText(12), nullable=False),
    Column("origin", _words(Origin, 12), nullable=False),
    Column("saved_at", Float, nullable=False),
    Column("perceptual_hash", String(64)),
    Column("contrast", Float),
    UniqueConstraint("prompt_id", "purchase_id", "position"),
)

selections = Table(
    "selections",
    metadata,
    Column("prompt_id", SharedText(100), primary_key=True),
    Column("purchase_id", Integer, ForeignKey("purchases.id"), nullable=False),
    Column("request_key", String(64), nullable=False),
    Column("prompt_version", String(64), nullable=False),
    Column("settings_fingerprint", SharedText(64), nullable=False),
    Column("selected_at", Float, nullable=False),
    # Under these settings, and for this version of the prompt, its request is `request_key`: see `settled`.
    Column("settled_under", String(64)),
)

# Named values about the home, such as the id of its folder of pictures.
facts = Table("facts", metadata, Column("name", String(40), primary_key=True), Column("value", Text))

# PNG files in the folder that are not ours or damaged: they are opened once, not on every scan.
foreign_files = Table(
    "foreign_files",
    metadata,
    Column("file", Text, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
)

# Looks at a source that found something new, and the last ones. `problems`: rows and files left out, as JSON;
# `stamp`: of the whole source, by which it is known to be unchanged.
looks = Table(
    "looks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source", _words(Source, 12), nullable=False),
    Column("place", Text, nullable=False),
    Column("looked_at", Float, nullable=False),
    Column("host", String(255), nullable=False),
    Column("prompts", Integer, nullable=False),
    Column("left_out", Integer, nullable=False),
    Column("changes", Integer, nullable=False),
    Column("problem", Text),
    Column("problems", Text),
    Column("stamp", String(64)),
    sqlite_autoincrement=True,  # an id that is used again would hide that another look came between
)

# What its source last said of a prompt; `look_id`: the look that found it so; `mark`: of its row or file, by which it
# is known to be unchanged.
prompts = Table(
    "prompts",
    metadata,
    Column("prompt_id", String(100), primary_key=True),
    Column("source", _words(Source, 12), nullable=False),
    Column("standing", _words(Standing, 12), nullable=False),
    Column("version", String(64), nullable=False),
    Column("kind", SharedText(20), nullable=False),
    Column("origin", AnyText, nullable=False),
    Column("file_prefix", Text, nullable=False),
    Column("image_id", BigInteger),
    Column("name", AnyText),
    Column("text", AnyText, nullable=False),
    Column("overrides", Text, nullable=False),
    Column("look_id", Integer, ForeignKey("looks.id"), nullable=False),
    Column("mark", BigInteger),
    # Counts, and all versions, without reading the texts.
    Index("prompts_by_look", "look_id"),
    Index("prompts_by_standing", "standing", "source", "prompt_id", "version"),
)

# Tables that the database itself writes when others change. Whoever empties all tables empties these last.
OF_DATABASE = (totals, stamps)
posts.add_is_dependent_on(totals)
for _table in (purchases, posts, pictures, selections, foreign_files):
    _table.add_is_dependent_on(stamps)
