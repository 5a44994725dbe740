"""The gallery's folder follows the ledger: it is written anew when pictures, choices or prompts have changed."""

import logging
import threading
import time
from dataclasses import dataclass

from duomi_pipeline.common.text import one_line
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.session import gallery_place
from duomi_pipeline.gallery import GalleryError, write_gallery
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.settings import Settings, SettingsError

_LOGGER = logging.getLogger(__name__)
_LOOK = 1.0  # seconds between two looks at the ledger
_SHARE = 4  # writing takes at most a quarter of the time: with 100,000 prompts it takes seconds


@dataclass(frozen=True)
class Sight:
    """What the mirror last saw.

    Attributes:
        version: counts how often what the page shows became another.
        runs: image runs at work, of whomever.
        problem: why the folder is not up to date; empty if it is.
    """

    version: int = 0
    runs: int = 0
    problem: str = ""


class Mirror:
    """Keeps the folder up to date in a thread, from `start` to `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="duomi-gallery", daemon=True)
        self._mark: tuple[object, ...] = ()
        self.sight = Sight()

    def start(self) -> None:
        """Follow the ledger from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End; a writing is finished."""
        self._stopped.set()
        self._thread.join()

    def _follow(self) -> None:
        pause = 0.0
        while not self._stopped.wait(max(_LOOK, pause)):
            began, version, runs, problem = time.monotonic(), self.sight.version, 0, ""
            try:
                with Session(self._settings) as session:
                    runs = len(session.ledger.active_runs())
                    version += self._write_if_changed(session)
            except (LedgerError, SettingsError, GalleryError, OSError) as error:
                problem = str(error)
            except Exception as error:  # a thread that ended would leave a page that follows nothing, and says nothing
                _LOGGER.exception("the gallery's folder")
                problem = f"An unforeseen error: {one_line(str(error) or repr(error), 400)}"
            self.sight = Sight(version, runs, problem)
            pause = (time.monotonic() - began) * (_SHARE - 1)

    def _write_if_changed(self, session: Session) -> bool:
        mark = session.ledger.mark()
        if mark == self._mark:
            return False
        with session.writing_results():
            report = write_gallery(session, session.plan_registered(), gallery_place(self._settings))
        self._mark = mark
        return report.is_new
