"""The one error of pictures from outside; what is wrong with a file of our own store belongs to `store`."""


class NotAPictureError(ValueError):
    """The bytes are no whole, usable picture, or one that takes more than a picture may; the text says why."""
