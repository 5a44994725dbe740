"""Duomi Pipeline: text prompts to vertical pictures through the Duomi image API, with Dagster."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duomi_pipeline.api.generator import DuomiImageGenerator
else:

    def __getattr__(name: str) -> object:
        """The class of scripts, imported when it is asked for: every part of the package imports this module."""
        if name == "DuomiImageGenerator":
            from duomi_pipeline.api.generator import DuomiImageGenerator  # noqa: PLC0415

            return DuomiImageGenerator
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["DuomiImageGenerator"]
