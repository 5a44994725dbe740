"""The sandbox service as a Starlette application: the Duomi contract over HTTP, on its own books.

Holds the endpoints. Decisions about submissions are in `desk`, shapes of answers in `answers`, pictures in
`pictures`; running the service is in `server`. Nothing of a prompt gets into a path or a file name.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from duomi_pipeline.sandbox import answers
from duomi_pipeline.sandbox.books import Books, Purchase
from duomi_pipeline.sandbox.connection import CutAnswer, ResetAnswer
from duomi_pipeline.sandbox.desk import Decision, Desk, check_key
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.hostile import hostile_answer
from duomi_pipeline.sandbox.pictures import HTML_PAGE, Picture, Pictures
from duomi_pipeline.sandbox.protocols import Protocol, ServiceError, parse_fields, sync_protocol

INLINE_STYLES = ("b64", "b64_data_uri", "both")
EMPTY_POLLS = 2
FILE_NAME = re.compile(r"([0-9a-f]{32})_(\d)\.png")


class SandboxService:
    """The service's endpoints and the state they share; everything runs in one event loop.

    Args:
        books: Where everything is written down.
        faults: In force from the start; may be replaced at any time.
        clock: Seconds since 1970.
    """

    def __init__(self, books: Books, faults: Faults, clock: Callable[[], float] = time.time) -> None:
        self.faults = faults
        self._books = books
        self._clock = clock
        self._desk = Desk(books, clock)
        self._pictures = Pictures()
        self._in_flight = 0

    def app(self) -> Starlette:
        """The application to be served."""
        routes = [
            Route("/v1/images/generations", self._generations, methods=["POST"]),
            Route("/v1/tasks/{token}", self._duomi_task),
            Route("/files/{name}", self._file),
            Route("/api/gemini/nano-banana", self._nano_banana, methods=["POST"]),
            Route("/api/gemini/nano-banana/{token}", self._nano_banana_task),
            Route("/sandbox/books", self._show_books),
            Route("/sandbox/faults", self._show_faults, methods=["GET"]),
            Route("/sandbox/faults", self._change_faults, methods=["PUT"]),
            Route("/sandbox/reset", self._reset, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={ClientDisconnect: _client_gone})

    def close(self) -> None:
        """Stop drawing."""
        self._pictures.close()

    async def _generations(self, request: Request) -> Response:
        body = await request.body()
        if request.query_params.get("async", "").lower() in ("true", "1"):
            return await self._submit(request, "duomi_async", body)
        return await self._submit(request, sync_protocol(parse_fields(body)), body)

    async def _nano_banana(self, request: Request) -> Response:
        return await self._submit(request, "nano_banana", await request.body())

    async def _submit(self, request: Request, protocol: Protocol, body: bytes) -> Response:
        faults = self.faults
        keys = request.headers.getlist("authorization")
        self._in_flight += 1
        try:
            decision = self._desk.take(protocol, body, keys, faults, self._in_flight)
            if decision.purchase is not None:
                await asyncio.sleep(faults.seconds_of_latency(decision.key))
            if decision.fault == "rate_hang":
                await asyncio.sleep(faults.hang_seconds)
            return await self._answer(request, protocol, decision, faults)
        finally:
            self._in_flight -= 1

    async def _answer(self, request: Request, protocol: Protocol, decision: Decision, faults: Faults) -> Response:
        if decision.fault in ("rate_reset_before", "rate_reset_after"):
            return ResetAnswer()
        if decision.fault in ("rate_500_html", "rate_html_200"):
            return HTMLResponse(HTML_PAGE, 500 if decision.fault == "rate_500_html" else 200)
        if decision.error is not None:
            return answers.error_answer(decision.error, protocol)
        if decision.purchase is None:
            raise RuntimeError(f"neither sold nor refused: {decision}")
        content = await self._sold(request, decision.purchase, decision.inline, faults)
        if decision.fault == "rate_truncated_answer":
            return CutAnswer(json.dumps(content), media_type="application/json")
        return JSONResponse(content)

    async def _sold(self, request: Request, purchase: Purchase, inline: bool, faults: Faults) -> dict[str, Any]:
        is_task = purchase.protocol in ("duomi_async", "nano_banana")
        at_once = faults.answer_at_once and purchase.outcome == "pictures"
        if is_task and not (at_once and purchase.protocol == "duomi_async"):
            return answers.submitted_answer(purchase)
        now = self._clock()
        self._books.hand_out(purchase.token, now)
        contents: list[bytes] = []
        if inline or faults.answer in INLINE_STYLES:
            # Not counted as downloads: each purchase has this one attempt before the first.
            drawn = [self._pictures.picture(purchase, i, -1, faults) for i in range(purchase.pictures)]
            contents = [picture.content for picture in await asyncio.gather(*drawn)]
        return answers.pictures_answer(purchase, faults, _base_url(request), contents, now - purchase.at)

    async def _duomi_task(self, request: Request) -> Response:
        return self._poll(request, "duomi_async")

    async def _nano_banana_task(self, request: Request) -> Response:
        return self._poll(request, "nano_banana")

    def _poll(self, request: Request, protocol: Protocol) -> Response:
        faults = self.faults
        try:
            check_key(request.headers.getlist("authorization"), faults)
            return JSONResponse(self._state(request, protocol, faults))
        except ServiceError as error:
            return answers.error_answer(error, protocol)

    def _state(self, request: Request, protocol: Protocol, faults: Faults) -> dict[str, Any]:
        task = self._books.count_poll(request.path_params["token"])
        if task is None or task.protocol != protocol:
            raise ServiceError(404, 404, "task not found")
        now = self._clock()
        age = now - task.at
        if age < faults.early_404_seconds or faults.strikes("rate_poll_404", task.key, task.polls):
            raise ServiceError(404, 404, "task not found")
        if faults.strikes("rate_poll_error", task.key, task.polls):
            raise ServiceError(500, 500, "internal server error")
        if age < faults.task_seconds:
            return answers.waiting_answer(task, faults, age / faults.task_seconds)
        if task.outcome != "pictures":
            return answers.failed_answer(task, faults)
        self._books.hand_out(task.token, now, renew=faults.poll_renews_url)
        empty = task.done_polls < EMPTY_POLLS and faults.strikes("rate_empty_success", task.key)
        return answers.done_answer(task, faults, _base_url(request), empty=empty)

    async def _file(self, request: Request) -> Response:
        faults = self.faults
        name = FILE_NAME.fullmatch(request.path_params["name"])
        purchase = self._books.purchase(name[1]) if name else None
        if name is None or purchase is None or purchase.outcome != "pictures" or int(name[2]) >= purchase.pictures:
            return Response("no such file", 404)
        index = int(name[2])
        attempt = self._books.count_download(purchase.token, index)
        since = purchase.url_since
        if faults.url_lifetime is not None and since is not None and self._clock() - since > faults.url_lifetime:
            return Response("Request has expired", 403)
        if faults.hostile_download is not None:
            return await hostile_answer(faults.hostile_download, request.url.path)
        picture = await self._pictures.picture(purchase, index, attempt, faults)
        return _download(picture)

    async def _show_books(self, request: Request) -> Response:
        shown: dict[str, Any] = asdict(self._books.totals())
        shown["credits"] = self._desk.credits_left(self.faults)
        if request.query_params.get("detail"):
            shown["requests"] = [asdict(post) for post in self._books.posts()]
            shown["billings"] = [asdict(billing) for billing in self._books.billings()]
        return JSONResponse(shown)

    async def _show_faults(self, request: Request) -> Response:
        return JSONResponse(self.faults.model_dump(mode="json"))

    async def _change_faults(self, request: Request) -> Response:
        changes = parse_fields(await request.body())
        try:
            self.faults = Faults.model_validate({**self.faults.model_dump(), **changes})
        except ValidationError as error:
            return JSONResponse({"errors": error.errors(include_url=False, include_context=False)}, 422)
        return await self._show_faults(request)

    async def _reset(self, request: Request) -> Response:
        self._books.reset()
        return await self._show_books(request)


def _download(picture: Picture) -> Response:
    kind = CutAnswer if picture.cut else Response
    return kind(picture.content, media_type=picture.media_type)


def _base_url(request: Request) -> str:
    # By the name under which the client knows the service, which may stand behind a port mapping.
    host = request.headers.get("host")
    if host is None:
        address, port = request.scope["server"]
        host = f"{address}:{port}"
    return f"http://{host}"


async def _client_gone(_request: Request, _error: Exception) -> Response:
    """A client that was killed while it sent: nobody reads this answer, and nothing was billed."""
    return Response(status_code=400)
