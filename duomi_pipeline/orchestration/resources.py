"""The resources `duomi` and `image_store`: settings, sessions and pictures for assets and sensors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import dagster as dg
from pydantic import BaseModel, Field, PrivateAttr

from duomi_pipeline.common.processes import protect_new_files
from duomi_pipeline.engine import Outcome, Session, Stop
from duomi_pipeline.engine.session import open_store
from duomi_pipeline.images import ImageStore
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.settings import Settings


@dataclass
class Command:
    """A command that starts Dagster runs in its own process, one after the other.

    Attributes:
        settings: of all its runs, with what its flags say.
        record: takes every outcome as it comes; the command also keeps the log of them all.
        more_runs_follow: whether a later run will rewrite the manifest.
        stop: why a run ended early.
    """

    settings: Settings
    record: Callable[[Outcome], None]
    more_runs_follow: bool = False
    stop: Stop | None = None


class HomeResource(BaseModel):
    """What resources of one home folder share. Dagster makes a copy of each for every run and tick."""

    home: str = Field(description="Folder with .env and duomi.toml, and root of all relative paths.")
    # On the class, since Dagster's copies keep nothing but config.
    command: ClassVar[Command | None] = None
    _settings: Settings | None = PrivateAttr(default=None)

    def settings(self) -> Settings:
        """The settings, read once per run or tick.

        Raises:
            SettingsError: a value cannot be used.
        """
        if self._settings is None:
            protect_new_files()  # before anything of ours is written in this process
            self._settings = self.command.settings if self.command else Settings.load(self.home)
        return self._settings


class DuomiResource(HomeResource, dg.ConfigurableResource[Any]):
    """The Duomi API and everything a run of it needs. Without `DUOMI_API_KEY` the built-in sandbox answers."""

    def sources(self) -> Sources:
        """One look at all prompts."""
        return read_sources(self.settings())

    @contextmanager
    def session(self, trigger: str = "ui", run_id: str | None = None) -> Iterator[Session]:
        """Ledger, store and service for one run.

        Raises:
            dg.Failure: the ledger cannot be used; the words say why, and what to do.
        """
        try:
            with Session(self.settings(), trigger, run_id) as session:
                yield session
        except LedgerError as error:
            raise dg.Failure(str(error), allow_retries=False) from None


class ImageStoreResource(HomeResource, dg.ConfigurableResource[Any]):
    """The folder of pictures."""

    def open(self) -> ImageStore:
        """The store of the settings."""
        return open_store(self.settings())


def of_command(resource: type[HomeResource], command: Command | None) -> type[Any]:
    """The resource's class for the runs of a command; the class itself where there is none."""
    if command is None:
        return resource
    return type(resource.__name__, (resource,), {"command": command, "__doc__": resource.__doc__})
