"""The resources `duomi` and `image_store`: settings, sessions and pictures for assets and sensors."""

from typing import Any

import dagster as dg
from pydantic import Field

from duomi_pipeline.common.processes import protect_new_files
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.session import open_store
from duomi_pipeline.images import ImageStore
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.settings import Settings


class DuomiResource(dg.ConfigurableResource[Any]):
    """The Duomi API and everything a run of it needs. Without `DUOMI_API_KEY` the built-in sandbox answers."""

    home: str = Field(description="Folder with .env and duomi.toml, and root of all relative paths.")

    def settings(self) -> Settings:
        """The settings as they are now.

        Raises:
            SettingsError: a value cannot be used.
        """
        protect_new_files()  # before anything of ours is written in this process
        return Settings.load(self.home)

    def sources(self) -> Sources:
        """One look at all prompts."""
        return read_sources(self.settings())

    def session(self, door: str = "ui", run_id: str | None = None) -> Session:
        """Ledger, store and service for one run; use it as a context manager."""
        return Session(self.settings(), door, run_id)


class ImageStoreResource(dg.ConfigurableResource[Any]):
    """The folder of pictures."""

    home: str = Field(description="Folder with .env and duomi.toml, and root of all relative paths.")

    def open(self) -> ImageStore:
        """The store of the settings as they are now."""
        protect_new_files()
        return open_store(Settings.load(self.home))
