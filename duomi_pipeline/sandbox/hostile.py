"""Downloads that a careful client must refuse: endless, exploding, leading elsewhere.

Unlike the rates of `Faults`, which a service in trouble shows by itself, these are somebody's bad intent.
"""

import asyncio
import functools
import struct
import zlib
from collections.abc import AsyncIterator

from starlette.responses import RedirectResponse, Response, StreamingResponse

from duomi_pipeline.sandbox.chunks import SIGNATURE, chunk
from duomi_pipeline.sandbox.faults import HostileDownload

BOMB_SIDE = 30_000
CHUNK = bytes(65_536)


async def hostile_answer(kind: HostileDownload, path: str) -> Response:
    """The answer to the download at this path."""
    if kind == "endless":
        return StreamingResponse(_endless(), media_type="image/png")
    if kind == "bomb":
        return Response(await asyncio.to_thread(bomb), media_type="image/png")
    return RedirectResponse(path if kind == "redirect_loop" else "file:///etc/hostname")


@functools.cache
def bomb() -> bytes:
    """A valid black PNG of about 110 kB that takes 900 MB when it is decoded, a byte a pixel."""
    packer = zlib.compressobj(9)
    row = bytes(BOMB_SIDE // 8 + 1)
    data = b"".join(packer.compress(row) for _ in range(BOMB_SIDE)) + packer.flush()
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 1, 0, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


async def _endless() -> AsyncIterator[bytes]:
    yield SIGNATURE
    while True:
        yield CHUNK
        # Sending to a client that has gone does not wait: without this nothing else would ever run.
        await asyncio.sleep(0)
