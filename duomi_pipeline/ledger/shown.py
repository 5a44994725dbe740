"""What the gallery shows, read in bulk: of all prompts what their cards are made of, and the records of some."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import starmap
from typing import Any

from sqlalchemy import ColumnElement, Select, String, func, select, type_coerce

from duomi_pipeline.ledger.database import Database
from duomi_pipeline.ledger.queries import in_parts
from duomi_pipeline.ledger.records import PictureFile, PurchaseState
from duomi_pipeline.ledger.schema import pictures, posts, prompts, purchases, selections

_AT_ONCE = 5_000  # rows
_BAND = 16  # hexadecimal digits of a perceptual hash that are compared at once
_BANDS = range(0, 64, _BAND)


def _plain(*columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Columns read as they are stored, which takes half the time."""
    return [type_coerce(column, String) for column in columns]


_CHOSEN = (selections.c.prompt_id == pictures.c.prompt_id) & (selections.c.purchase_id == pictures.c.purchase_id)
_POST = (posts.c.sent_at, posts.c.price, posts.c.currency, posts.c.billing)
_PROMPTS = select(
    prompts.c.prompt_id, prompts.c.version, prompts.c.kind, prompts.c.origin, prompts.c.name,
    selections.c.purchase_id, selections.c.request_key,
).join(selections, selections.c.prompt_id == prompts.c.prompt_id)  # fmt: skip
# A purchase's request is told by its key. A picture is there once for each POST of its purchase.
_PICTURES = (
    select(
        pictures.c.prompt_id, pictures.c.file, pictures.c.bytes,
        *_plain(
            *(column for column in pictures.c if column.name not in {"id", "prompt_id", "file", "bytes"}),
            purchases.c.request_key, purchases.c.seed, *_POST,
        ),
    )
    .join(purchases, purchases.c.id == pictures.c.purchase_id)
    .outerjoin(posts, posts.c.purchase_id == pictures.c.purchase_id)
    .order_by(pictures.c.id, posts.c.id)
)  # fmt: skip
_WITHOUT_PICTURES = (
    select(
        purchases.c.request_key,
        *_plain(purchases.c.state, purchases.c.error_class, purchases.c.error_message, purchases.c.updated_at, *_POST),
    )
    .outerjoin(posts, posts.c.purchase_id == purchases.c.id)
    .where(purchases.c.state != PurchaseState.SAVED)
    .order_by(purchases.c.id, posts.c.id)
)
_LOOK = (selections.c.prompt_id, selections.c.request_key, pictures.c.perceptual_hash)
_FILES = select(*(pictures.c[one.name] for one in fields(PictureFile))).order_by(
    pictures.c.purchase_id.desc(), pictures.c.id
)


@dataclass(frozen=True, slots=True)
class PictureLook:
    """How one of a prompt's current pictures looks: see `images.fingerprint.Look`."""

    prompt_id: str
    request_key: str
    perceptual_hash: str


class Shown:
    """Bulk queries for the gallery. Iterators hold a read transaction until they end."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prompts(self) -> Iterator[Sequence[Any]]:
        """Every prompt of the register that has a current purchase.

        Its id, version (which stands for text and overrides), kind, origin and name; then the id of the purchase, and
        the key of its request.
        """
        return self._all(_PROMPTS)

    def pictures(self) -> Iterator[Sequence[Any]]:
        """Prompt id, file name, bytes and all else that is shown, of every picture; several rows if it has POSTs."""
        return self._all(_PICTURES)

    def without_pictures(self) -> Iterator[Sequence[Any]]:
        """Request key and all that is shown of every purchase that gave no picture; several rows if it has POSTs."""
        return self._all(_WITHOUT_PICTURES)

    def _all(self, query: Select[Any]) -> Iterator[Sequence[Any]]:
        with self._database.read() as connection:
            for some in connection.execute(query).partitions(_AT_ONCE):  # row by row it takes twice as long
                yield from some

    def files_of(self, prompt_ids: Collection[str]) -> dict[str, list[PictureFile]]:
        """The recorded files of some prompts, by prompt id, the latest purchase first."""
        found: dict[str, list[PictureFile]] = {}
        with self._database.read() as connection:
            for file in starmap(PictureFile, in_parts(connection, _FILES, pictures.c.prompt_id, prompt_ids)):
                found.setdefault(file.prompt_id, []).append(file)
        return found

    def similar_looks(self, contrast: float) -> list[PictureLook]:
        """The current pictures of which one of four parts of the perceptual hash is that of another picture, too.

        Args:
            contrast: pictures with less are left out.
        """
        found = select(*_LOOK).join(pictures, _CHOSEN).where(_is_bold(contrast)).order_by(pictures.c.position)
        with self._database.read() as connection:
            crowded = [set(connection.execute(_crowded(contrast, start)).scalars()) for start in _BANDS]
            if not any(crowded):
                return []
            looks = starmap(PictureLook, connection.execute(found))
            return [
                look
                for look in looks
                if any(
                    look.perceptual_hash[start : start + _BAND] in some
                    for start, some in zip(_BANDS, crowded, strict=True)
                )
            ]


def _is_bold(contrast: float) -> ColumnElement[bool]:
    return pictures.c.perceptual_hash.is_not(None) & (func.coalesce(pictures.c.contrast, 1.0) >= contrast)


def _crowded(contrast: float, start: int) -> Select[Any]:
    """The parts of perceptual hashes that several pictures have, current ones or not."""
    part = func.substr(pictures.c.perceptual_hash, start + 1, _BAND).label("part")
    some = select(part).where(_is_bold(contrast)).subquery()
    return select(some.c.part).group_by(some.c.part).having(func.count() > 1)
