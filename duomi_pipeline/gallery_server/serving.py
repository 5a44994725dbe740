"""Serve the gallery until Ctrl-C: the server in a thread, actions in the thread that calls."""

import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from duomi_pipeline.engine.session import gallery_place, open_store
from duomi_pipeline.gallery_server.app import build_app
from duomi_pipeline.gallery_server.desk import Desk, Run
from duomi_pipeline.gallery_server.mirror import Mirror
from duomi_pipeline.settings import Settings

_GRACE_SECONDS = 2  # for answers on their way


def serve_gallery(settings: Settings, listening: socket.socket, run: Run, tell: Callable[[str], None]) -> None:
    """Serve the gallery, which is written, until Ctrl-C; a run at work is ended as that of a command.

    Args:
        settings: of the home; gallery and pictures are on disk.
        listening: a socket of the loopback interface.
        run: makes pictures.
        tell: called with the address of the page, once it is served.
    """
    token = secrets.token_urlsafe(24)
    mirror, desk = Mirror(settings), Desk(settings.home, run)
    gallery, pictures = Path(str(gallery_place(settings))), Path(open_store(settings).base.path)
    app = build_app(desk, mirror, settings, token, gallery, pictures)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,  # the address holds the token
            log_level="warning",
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="duomi-server", daemon=True)
    mirror.start()
    thread.start()
    try:
        tell(f"http://127.0.0.1:{listening.getsockname()[1]}/{token}/")
        with suppress(KeyboardInterrupt):
            desk.work()
    finally:
        server.should_exit = True
        thread.join()
        mirror.stop()
