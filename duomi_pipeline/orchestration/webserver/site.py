"""Gallery and pictures beside Dagster's UI, to look at: metadata of events links to them (`orchestration.links`).

Where they lie in a bucket, or are not mounted on this machine, the addresses say so.
"""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from duomi_pipeline.common.places import is_object_storage, is_remote
from duomi_pipeline.engine.session import gallery_place, open_store
from duomi_pipeline.images.listing import PICTURE
from duomi_pipeline.orchestration.links import GALLERY, PICTURES, SITE
from duomi_pipeline.orchestration.webserver.folders import HEADERS, Folder
from duomi_pipeline.settings import Settings

_FILES = f"{SITE}files"
_PAGE = (".html", ".js", ".css", ".webp")
_NO_GALLERY = "There is no gallery yet: materialize the asset `gallery`, or run `duomi gallery`.\n"
_ELSEWHERE = "Gallery and pictures are not on this machine's disks: open them where they lie.\n"


class WithSite:
    """ASGI app: Dagster's UI, and below `/duomi/` gallery and pictures.

    Args:
        ui: Dagster's own app.
        settings: say where gallery and pictures lie.
    """

    def __init__(self, ui: ASGIApp, settings: Settings) -> None:
        self._ui = ui
        self._site = _site(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the one or the other."""
        if scope["type"] != "http" or not scope["path"].startswith(SITE):
            await self._ui(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._site(scope, receive, send_with_headers)


def _site(settings: Settings) -> ASGIApp:
    gallery, base = gallery_place(settings), open_store(settings).base
    if is_remote(gallery) or is_object_storage(base):
        return Starlette(routes=_elsewhere())
    return Starlette(routes=_routes(Path(str(gallery)).resolve(), Path(base.path).resolve()))


def _routes(page: Path, images: Path) -> list[BaseRoute]:
    # The page names pictures by their way from its own folder: as on disk, so here.
    root = Path(os.path.commonpath([page, images]))
    # One may lie in the other, whose address then begins like its own; or both are one folder.
    endings = {images: (PICTURE,), page: _PAGE} if page != images else {page: (PICTURE, *_PAGE)}
    inner_first = sorted(endings, key=lambda folder: len(folder.parts), reverse=True)

    async def open_gallery(_request: Request) -> Response:
        if not (page / "index.html").is_file():
            return PlainTextResponse(_NO_GALLERY, 404)
        return RedirectResponse(f"{_address(page, root)}/index.html")  # what stands behind the # goes with it

    return [
        Route(GALLERY, open_gallery),
        Mount(PICTURES.rstrip("/"), Folder(images, [PICTURE])),
        *(Mount(_address(folder, root), Folder(folder, endings[folder])) for folder in inner_first),
    ]


def _address(folder: Path, root: Path) -> str:
    way = folder.relative_to(root).as_posix()
    return _FILES if way == "." else f"{_FILES}/{way}"


def _elsewhere() -> list[BaseRoute]:
    async def elsewhere(_request: Request) -> Response:
        return PlainTextResponse(_ELSEWHERE, 404)

    return [Route(f"{SITE}{{rest:path}}", elsewhere)]
