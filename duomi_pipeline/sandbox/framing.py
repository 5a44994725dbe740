"""What relays send around an answer's JSON: keep-alive lines before it, or an event stream around it.

Holds the framings of answers that are whole. Answers that break off are in `broken_connections`.
"""

from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from duomi_pipeline.sandbox.faults import Framing

SIGNS_OF_LIFE = 3
BEFORE = {"keep_alive": b": keep-alive\n\n", "blank": b"\n"}


def framed(content: dict[str, Any], framing: Framing) -> Response:
    """The JSON answer in its frame, which is streamed piece by piece and has no Content-Length."""
    answer = JSONResponse(content)
    if framing == "plain":
        return answer
    text = bytes(answer.body)
    if framing == "sse":
        pieces = [b"data: " + text + b"\n\n", b"data: [DONE]\n\n"]
        return StreamingResponse(_one_by_one(pieces), media_type="text/event-stream")
    return StreamingResponse(_one_by_one([BEFORE[framing]] * SIGNS_OF_LIFE + [text]), media_type="application/json")


async def _one_by_one(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
