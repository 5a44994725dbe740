"""Places that are named by an fsspec URL: object storage such as `s3://bucket/pictures`."""

from upath import UPath

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}


def remote_place(url: str) -> UPath:
    """A place by its URL, without a cache of what lies there: other machines write there, too.

    Raises:
        ValueError: the package that speaks to it is not installed, or nobody knows such URLs.
    """
    scheme = url.split("://", 1)[0]
    try:
        place = UPath(url, use_listings_cache=False)
        _ = place.fs  # imports the package
    except ImportError:
        extra = _EXTRAS.get(scheme)
        install = f"pip install 'duomi-pipeline[{extra}]'" if extra else f"install what fsspec needs for {scheme}://"
        raise ValueError(f"the package for {scheme}:// is not installed: {install}") from None
    return place
