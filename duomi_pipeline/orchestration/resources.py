"""The resources `duomi` and `image_store`: they give settings, sessions and pictures to assets and sensors."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
from pydantic import BaseModel, Field, PrivateAttr

from duomi_pipeline.common.processes import protect_new_files
from duomi_pipeline.engine import Outcome, Session, Stop
from duomi_pipeline.engine.looking import Looked, look, registered
from duomi_pipeline.engine.session import open_store
from duomi_pipeline.images import ImageStore
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.settings import Settings


@dataclass
class Command:
    """A command that starts Dagster runs in its own process, one after the other.

    Attributes:
        session: of all its runs, with the settings of its flags.
        record: called with every outcome; the command also writes the log of all its runs.
        writing_manifest: entered while the manifest is written, to say so.
        more_runs_follow: whether a later run will write the manifest.
        stop: why a run ended early.
        unwritten: why the manifest could not be written; empty if it was.
    """

    session: Session
    record: Callable[[Outcome], None]
    writing_manifest: Callable[[], AbstractContextManager[None]] = nullcontext
    more_runs_follow: bool = False
    stop: Stop | None = None
    unwritten: str = ""

    @property
    def settings(self) -> Settings:
        """Settings of all its runs, with its flags."""
        return self.session.settings


class HomeResource(BaseModel):
    """Base of all resources with settings. Dagster makes a copy of each resource for every run and tick."""

    home: str | None = Field(
        default=None,
        description="Folder with .env and duomi.toml, and root of all relative paths; empty: that of the definitions.",
    )
    # On the class, because Dagster's copies keep only the config, which the launchpad shows.
    own_home: ClassVar[Path | None] = None
    command: ClassVar[Command | None] = None
    _settings: Settings | None = PrivateAttr(default=None)

    def settings(self) -> Settings:
        """The settings, read once per run or tick.

        Raises:
            SettingsError: a setting is invalid.
        """
        if self._settings is None:
            protect_new_files()  # before this process writes any file
            self._settings = self.command.settings if self.command else Settings.load(self.home or self.own_home)
        return self._settings


class DuomiResource(HomeResource, dg.ConfigurableResource[Any]):
    """The Duomi API and everything that a run needs. Without `DUOMI_API_KEY` the built-in sandbox is used."""

    def look(self, session: Session, partitions: Collection[str]) -> Looked:
        """Look at the sources now, and record what they say; a source that looks lost retires nothing.

        Args:
            session: with the ledger.
            partitions: keys in Dagster, from before there was a register.
        """
        return look(session.ledger, session.settings, partitions=partitions)

    def registered(self, session: Session, instance: dg.DagsterInstance, ids: Collection[str] | None = None) -> Sources:
        """What the register has of some prompts or of all: as somebody last looked, so that workers need no source.

        An empty register, in a home from before there was one or whose ledger was lost, is filled by a look.
        """
        if not session.ledger.register.last_looks():
            self.look(session, instance.get_dynamic_partitions(PARTITIONS_NAME))
        return registered(session.ledger, ids)

    @contextmanager
    def session(self, trigger: str = "ui", run_id: str | None = None) -> Iterator[Session]:
        """Ledger, store and service for one run; those of a command are for all its runs.

        Raises:
            dg.Failure: the ledger cannot be used; the message says why, and what to do.
        """
        try:
            if self.command is not None:
                yield self.command.session
                return
            with Session(self.settings(), trigger, run_id) as session:
                yield session
        except LedgerError as error:
            raise dg.Failure(str(error), allow_retries=False) from None


class ImageStoreResource(HomeResource, dg.ConfigurableResource[Any]):
    """The folder of pictures."""

    def open(self) -> ImageStore:
        """The folder of pictures from the settings."""
        return open_store(self.settings())


def at_home(resource: type[HomeResource], home: Path, command: Command | None) -> Any:
    """A resource of a home folder, for the runs of a command or for all others."""
    own = {"own_home": home, "command": command, "__doc__": resource.__doc__, "__module__": resource.__module__}
    return type(resource.__name__, (resource,), own)()
