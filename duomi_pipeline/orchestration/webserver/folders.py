"""Files of a folder over HTTP, for pages of ours: those with some endings, and the headers that go with them."""

import os
from collections.abc import Sequence
from pathlib import Path

from starlette.staticfiles import StaticFiles

HEADERS = {
    # As the page itself has it, without the word for files on disk; and no other page may show this one in a frame.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Folder(StaticFiles):
    """The files of a folder with some endings, no others; a folder that is not there yet, or not mounted, has none."""

    def __init__(self, folder: Path, endings: Sequence[str]) -> None:
        super().__init__(directory=folder, check_dir=False)
        self._endings = tuple(endings)

    async def check_config(self) -> None:
        """Starlette's own check would fail each request."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """See `StaticFiles`."""
        return super().lookup_path(path) if path.endswith(self._endings) else ("", None)
