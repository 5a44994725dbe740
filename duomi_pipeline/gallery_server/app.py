"""The addresses of the served gallery: page, data, pictures, and what a person asks for."""

from collections.abc import Callable
from dataclasses import asdict
from html import escape
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from duomi_pipeline.common.text import one_line, without_surrogates
from duomi_pipeline.gallery.spending import PAGE as SPENDING
from duomi_pipeline.gallery_server.actions import Action, Confirmation, form_of
from duomi_pipeline.gallery_server.desk import USABLE, BusyError, Desk, UnknownTicketError
from duomi_pipeline.gallery_server.gate import TokenGate
from duomi_pipeline.gallery_server.mirror import Mirror
from duomi_pipeline.images.listing import PICTURE
from duomi_pipeline.orchestration.webserver.folders import Folder
from duomi_pipeline.orchestration.webserver.guard import RequestGuard
from duomi_pipeline.settings import Settings

_PAGES: list[str | tuple[str, str]] = [("duomi_pipeline.gallery", "page"), ("duomi_pipeline.gallery_server", "page")]
_SCRIPTS = '<script src="live.js"></script>\n<script src="asking.js"></script>\n<script src="actions.js"></script>\n'
_STYLES = '<link rel="stylesheet" href="actions.css">\n'


def build_app(desk: Desk, mirror: Mirror, settings: Settings, token: str, gallery: Path, pictures: Path) -> ASGIApp:
    """The guarded app.

    Args:
        desk: takes actions.
        mirror: writes the gallery's folder.
        settings: of the home.
        token: first part of every path.
        gallery: the gallery's folder.
        pictures: the folder of pictures.
    """

    async def page(_request: Request) -> Response:
        return HTMLResponse(_page(settings.home, mirror.sight.version))

    async def spending(_request: Request) -> Response:
        file = gallery / SPENDING
        return FileResponse(file) if file.is_file() else _refused(404, "Not written yet.")

    async def status(_request: Request) -> Response:
        progress = desk.progress
        return JSONResponse({**asdict(mirror.sight), "progress": asdict(progress) if progress else None})

    async def form(request: Request) -> Response:
        return await _answered(lambda: asdict(form_of(settings, request.query_params.get("id", ""))))

    async def ask(request: Request) -> Response:
        try:
            action = Action.model_validate_json(await request.body())
        except ValidationError as error:
            return _refused(400, f"Not understood: {error.errors(include_url=False, include_input=False)[0]['msg']}")
        return await _answered(lambda: asdict(desk.ask(action)))

    async def confirm(request: Request) -> Response:
        try:
            confirmed = Confirmation.model_validate_json(await request.body())
        except ValidationError:
            return _refused(400, "Not understood: no ticket")
        return await _answered(lambda: {"number": desk.confirm(confirmed.ticket)})

    routes = [
        Route("/", page),
        Route("/status", status),
        Route("/form", form),
        Route("/ask", ask, methods=["POST"]),
        Route("/confirm", confirm, methods=["POST"]),
        Route("/index.html", page),
        Route(f"/{SPENDING}", spending),
        Mount("/data", Folder(gallery / "data", [".js"])),
        Mount("/thumbnails", Folder(gallery / "thumbnails", [".webp"])),
        Mount("/pictures", Folder(pictures, [PICTURE])),
        Mount("/", StaticFiles(packages=_PAGES)),
    ]
    app = Starlette(routes=[Mount("/{token}", routes=routes)], exception_handlers={Exception: _unforeseen})
    return RequestGuard(TokenGate(app, token), advice="Open the address that `duomi gallery --serve` printed.")


async def _answered(answer: Callable[[], object]) -> Response:
    try:
        return JSONResponse(await run_in_threadpool(answer))
    except BusyError as error:
        return _refused(409, str(error))
    except UnknownTicketError as error:
        return _refused(410, str(error))
    except USABLE as error:
        return _refused(422, str(error))


async def _unforeseen(_request: Request, error: Exception) -> Response:
    """What the page can show of an error that nobody foresaw; it is on stderr, too."""
    return _refused(500, f"An unforeseen error: {one_line(str(error) or repr(error), 400)}")


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": without_surrogates(why)}, status)


def _page(home: Path, version: int) -> str:
    """The gallery's page with what acts, which the page on disk has not. Marks are kept for the home, not the token."""
    text = (files("duomi_pipeline.gallery") / "page" / "index.html").read_text(encoding="utf-8")
    text = text.replace("<html ", f'<html data-home="{escape(str(home))}" data-version="{version}" ', 1)
    text = text.replace("</head>", f"{_STYLES}</head>", 1)
    return text.replace('<script src="gallery.js">', f'{_SCRIPTS}<script src="gallery.js">', 1)
