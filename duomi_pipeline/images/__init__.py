"""Pictures as bytes and files: checks, conversion, metadata, and the folder of pictures. No Dagster, no HTTP."""

from duomi_pipeline.images.errors import NotAPictureError
from duomi_pipeline.images.fingerprint import Look
from duomi_pipeline.images.listing import Listing, Presence
from duomi_pipeline.images.metadata import PictureInfo, read_info, with_info
from duomi_pipeline.images.png import Png, check_whole, stored_look, thumbnail_of, to_png
from duomi_pipeline.images.store import ImageStore, PictureLostError, StoreError

__all__ = [
    "ImageStore",
    "Listing",
    "Look",
    "NotAPictureError",
    "PictureInfo",
    "PictureLostError",
    "Png",
    "Presence",
    "StoreError",
    "check_whole",
    "read_info",
    "stored_look",
    "thumbnail_of",
    "to_png",
    "with_info",
]
