"""Pictures as bytes and files: checks, conversion, metadata, and the folder of pictures. No Dagster, no HTTP.

Here is what the folder needs. What is in pictures is in `png` and `metadata`: a plan opens none, and loads no Pillow.
"""

from duomi_pipeline.images.errors import NotAPictureError
from duomi_pipeline.images.listing import Listing, Presence
from duomi_pipeline.images.store import ImageStore, PictureLostError, StoreError

__all__ = [
    "ImageStore",
    "Listing",
    "NotAPictureError",
    "PictureLostError",
    "Presence",
    "StoreError",
]
