"""The one error of pictures from outside; errors of our own store are in `store`."""


class NotAPictureError(ValueError):
    """The bytes are no whole, usable picture, or one that takes more than a picture may; the text says why."""
