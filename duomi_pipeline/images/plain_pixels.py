"""Pixels of the usual PNG, 8 bits a colour, decoded by kornia-rs in a fifth of Pillow's time.

It passes over the checksum of the pixels, so it gets only pictures whose checksum `unpacking` has compared.
"""

from PIL import Image

from duomi_pipeline.images.bounds import BoundedFile

_MODES = {"L": "mono", "RGB": "rgb", "RGBA": "rgba"}  # what Pillow calls them, and kornia-rs
_DEPTH = 24  # where a file says how many bits a colour has


def plain_picture(png: bytes) -> Image.Image | None:
    """The same picture as Pillow reads; `None`: it is of another kind or broken, ask Pillow.

    Args:
        png: a whole PNG, not interlaced, its checksums right.
    """
    head = Image.open(BoundedFile(png), formats=("PNG",))  # reads what stands before the pixels
    if head.mode not in _MODES or png[_DEPTH] != 8:
        return None
    # Imported here: it needs NumPy, and most commands decode nothing.
    from kornia_rs import io  # noqa: PLC0415

    try:
        pixels = io.decode_image_png_u8(png, (head.height, head.width), _MODES[head.mode])
    except Exception:  # noqa: BLE001 - the only class it raises
        return None
    picture = Image.frombuffer(head.mode, head.size, pixels, "raw", head.mode, 0, 1)
    picture.info = head.info
    return picture
