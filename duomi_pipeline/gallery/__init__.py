"""The gallery: a static page of all pictures that opens from disk, without network or build step. No Dagster."""

from duomi_pipeline.gallery.write import GalleryError, GalleryReport, write_gallery

__all__ = ["GalleryError", "GalleryReport", "write_gallery"]
