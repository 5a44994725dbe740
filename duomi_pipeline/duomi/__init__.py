"""The Duomi HTTP API: requests and their keys, model profiles, protocols, client, errors. No Dagster, no files.

When a request is sent or retried is decided in `engine`.
"""

from duomi_pipeline.duomi.errors import DuomiError
from duomi_pipeline.duomi.policy import ErrorClass
from duomi_pipeline.duomi.request import ImageRequest, build_request

__all__ = ["DuomiError", "ErrorClass", "ImageRequest", "build_request"]
