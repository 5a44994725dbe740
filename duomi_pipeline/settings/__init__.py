"""All settings of the pipeline, read once and passed down. The lowest layer: imports no other part of the package."""

from duomi_pipeline.settings.parameters import ImageParameters, ImageSize, ParameterOverrides, Size
from duomi_pipeline.settings.problems import SettingsError
from duomi_pipeline.settings.settings import SANDBOX, SECRET_FIELDS, Settings

__all__ = [
    "SANDBOX",
    "SECRET_FIELDS",
    "ImageParameters",
    "ImageSize",
    "ParameterOverrides",
    "Settings",
    "SettingsError",
    "Size",
]
