"""The error for pictures of the service. Errors of our own files are in `store`."""


class NotAPictureError(ValueError):
    """The bytes are not a whole, usable picture within the limits; the text says why."""
