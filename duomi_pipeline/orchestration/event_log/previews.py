"""Previews that earlier events carry, so that a picture is not decoded again to be shown again.

Dagster's own queries give events by partition, one by one; this one asks its tables for many by their data version.
"""

import base64
import re
from collections.abc import Collection, Iterator
from itertools import islice

import dagster as dg
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import func, select

PREVIEW = "preview"
_VERSION = "dagster/data_version"
# As it stands in a stored event; in a text from outside the quotes would have a backslash each.
_MARKDOWN = re.compile(r'"md_str": ?"\[?!\[thumbnail\]\(data:image/webp;base64,([A-Za-z0-9+/]+=*)\)[]"]')
_AT_ONCE = 500  # values per query: databases limit the parameters of a statement


def markdown(webp: bytes, name: str, address: str = "") -> str:
    """A picture embedded in Markdown, as Dagster's UI can show it; with an address a link to that."""
    shown = f"![{name}](data:image/webp;base64,{base64.b64encode(webp).decode()})"
    return f"[{shown}]({address})" if address else shown


def shown_before(instance: dg.DagsterInstance, asset: dg.AssetKey, versions: Collection[str]) -> dict[str, bytes]:
    """The WebP in the latest materialization of each data version that has one, by version."""
    storage, found = instance.event_log_storage, dict[str, bytes]()
    if not isinstance(storage, SqlEventLogStorage):
        return found
    tags, events, left = AssetEventTagsTable.c, SqlEventLogStorageTable.c, iter(versions)
    while some := list(islice(left, _AT_ONCE)):
        of_some = (tags.asset_key == asset.to_string()) & (tags.key == _VERSION) & tags.value.in_(some)
        latest = select(tags.value, func.max(tags.event_id).label("id")).where(of_some).group_by(tags.value).subquery()
        query = select(latest.c.value, events.event).join(latest, latest.c.id == events.id)
        with storage.index_connection() as connection:
            rows = connection.execute(query).all()
        found |= {version: webp for version, event in rows for webp in _webp(event)}
    return found


def _webp(event: str) -> Iterator[bytes]:
    """The picture in an event as it is stored: reading all of an event takes longer than making a thumbnail."""
    if shown := _MARKDOWN.search(event):
        yield base64.b64decode(shown[1])
