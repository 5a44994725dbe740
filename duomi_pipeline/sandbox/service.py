"""The sandbox service as a Starlette application: the Duomi contract over HTTP, on its own books.

Holds the endpoints. Decisions about submissions are in `submissions`, about polls in `tasks`, about downloads in
`downloads`; shapes of answers are in `responses`, pictures in `pictures`; running the service is in `server`.
Nothing of a prompt gets into a path or a file name.
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

from duomi_pipeline.sandbox import responses as answers
from duomi_pipeline.sandbox.broken_connections import CutAnswer, ResetAnswer, send_interim
from duomi_pipeline.sandbox.decisions import Decision, Submission
from duomi_pipeline.sandbox.downloads import denial
from duomi_pipeline.sandbox.echo import with_key
from duomi_pipeline.sandbox.faults import Faults, has_word
from duomi_pipeline.sandbox.framing import framed
from duomi_pipeline.sandbox.hostile import hostile_answer
from duomi_pipeline.sandbox.journal import Books, Purchase
from duomi_pipeline.sandbox.pictures import HTML_PAGE, Picture, Pictures
from duomi_pipeline.sandbox.protocols import Protocol, ServiceError, parse_fields, sync_protocol
from duomi_pipeline.sandbox.submissions import Desk, check_key
from duomi_pipeline.sandbox.tasks import task_state

INLINE_STYLES = ("b64", "b64_data_uri", "b64_urlsafe", "both")
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
        name = request.headers.get(faults.idempotency_header) if faults.idempotency_header else None
        self._in_flight += 1
        try:
            decision = self._desk.take(Submission(protocol, body, keys, name, self._in_flight), faults)
            if decision.interim:
                await asyncio.sleep(faults.interim_seconds)
                send_interim(request.scope, faults.interim)
                await asyncio.sleep(max(0, faults.interim_wait - faults.interim_seconds))
            if decision.purchase is not None:
                await asyncio.sleep(faults.seconds_of_latency(decision.key))
            if decision.fault == "rate_hang":
                await asyncio.sleep(faults.hang_seconds)
            return await self._answer(request, protocol, decision, faults)
        finally:
            self._in_flight -= 1

    async def _answer(self, request: Request, protocol: Protocol, decision: Decision, faults: Faults) -> Response:
        if decision.play is not None:
            return _repeating(request, answers.played_answer(decision.play), faults)
        if decision.fault in ("rate_reset_before", "rate_reset_after"):
            return ResetAnswer()
        if decision.fault in ("rate_500_html", "rate_html_200"):
            return HTMLResponse(HTML_PAGE, 500 if decision.fault == "rate_500_html" else 200)
        if decision.error is not None:
            return _refusal(request, decision.error, protocol, faults)
        if decision.purchase is None:
            raise RuntimeError(f"neither sold nor refused: {decision}")
        content = await self._sold(request, decision.purchase, decision.inline, faults)
        if decision.fault == "rate_truncated_answer":
            return CutAnswer(json.dumps(content), media_type="application/json")
        return framed(content, "plain" if _is_polled(decision.purchase, faults) else faults.framing)

    async def _sold(self, request: Request, purchase: Purchase, inline: bool, faults: Faults) -> dict[str, Any]:
        if _is_polled(purchase, faults):
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
            task = self._task(request.path_params["token"], protocol)
            if has_word(task.prompt, faults.deny_polls):
                return Response(faults.deny_body, faults.deny_status, media_type="application/json")
            return JSONResponse(task_state(task, self._books, self._clock(), faults, _base_url(request)))
        except ServiceError as error:
            return _refusal(request, error, protocol, faults)

    def _task(self, token: str, protocol: Protocol) -> Purchase:
        task = self._books.count_poll(token)
        if task is None or task.protocol != protocol:
            raise ServiceError(404, 404, "task not found")
        return task

    async def _file(self, request: Request) -> Response:
        faults = self.faults
        name = FILE_NAME.fullmatch(request.path_params["name"])
        purchase = self._books.purchase(name[1]) if name else None
        if name is None or purchase is None or purchase.outcome != "pictures" or int(name[2]) >= purchase.pictures:
            return Response("no such file", 404)
        index = int(name[2])
        attempt = self._books.count_download(purchase.token, index)
        denied = denial(purchase, index, attempt, self._clock(), faults)
        if denied is not None:
            return Response(*denied)
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


def _is_polled(purchase: Purchase, faults: Faults) -> bool:
    """Whether the answer to a submission is a task instead of the pictures."""
    if purchase.protocol == "duomi_async":
        return not faults.answer_at_once or purchase.outcome != "pictures"
    return purchase.protocol == "nano_banana"


def _refusal(request: Request, error: ServiceError, protocol: Protocol, faults: Faults) -> Response:
    answer = answers.error_answer(error, protocol)
    return _repeating(request, answer, faults) if error.status == 401 else answer


def _repeating(request: Request, answer: Response, faults: Faults) -> Response:
    return with_key(answer, request.headers.getlist("authorization"), faults.repeat_key)


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
