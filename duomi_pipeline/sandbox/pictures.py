"""The bytes behind a picture's URL: drawn when they are asked for, and spoilt when a fault says so.

What a card looks like is in `cards/card`.
"""

import asyncio
import io
import os
import random
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from PIL import Image, ImageDraw

from duomi_pipeline.sandbox.faults import Faults, ImageFormat, PictureForm
from duomi_pipeline.sandbox.forms import in_form
from duomi_pipeline.sandbox.journal import Purchase
from duomi_pipeline.sandbox.protocols import Size

KEPT_DRAWINGS = 16
HTML_PAGE = "<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
FLAWS = (
    "rate_html_image",
    "rate_truncated_download",
    "rate_truncated_image",
    "rate_blank_image",
    "rate_jpeg_as_png",
    "rate_wrong_size",
)


@dataclass(frozen=True)
class Drawing:
    """Everything that a picture's bytes depend on."""

    kind: Literal["card", "flat", "photo", "blank"]
    size: Size
    image_format: ImageFormat
    prompt: str = ""
    seed: int = 0
    model: str = ""
    index: int = 0
    form: PictureForm = "plain"


@dataclass(frozen=True)
class Picture:
    """What a download gets.

    Args:
        content: The bytes.
        media_type: What they are said to be.
        cut: Only half of them arrive.
    """

    content: bytes
    media_type: str
    cut: bool = False


class Pictures:
    """Draws in threads of its own, and keeps the last drawings. Used by one event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="sandbox-draw")
        self._drawings: OrderedDict[Drawing, asyncio.Future[bytes]] = OrderedDict()

    def close(self) -> None:
        """Stop drawing."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def picture(self, purchase: Purchase, index: int, attempt: int, faults: Faults) -> Picture:
        """What the download of a picture gets.

        Args:
            purchase: What was bought.
            index: Which of its pictures, from 0.
            attempt: How many downloads of this picture came before.
            faults: In force now.
        """
        flaw = faults.first_strike(FLAWS, purchase.key, index, attempt)
        if flaw == "rate_html_image":
            return Picture(HTML_PAGE.encode(), "text/html")
        drawing = _drawing(purchase, index, faults)
        media_type = f"image/{drawing.image_format}"
        if flaw == "rate_blank_image":
            drawing = replace(drawing, kind="blank")
        elif flaw == "rate_jpeg_as_png":
            drawing, media_type = replace(drawing, image_format="jpeg", form="plain"), "image/png"
        elif flaw == "rate_wrong_size":
            drawing = replace(drawing, size=(1024, 1024) if drawing.size != (1024, 1024) else (768, 768))
        content = await self._drawn(drawing)
        if flaw == "rate_truncated_image":
            content = content[: len(content) // 2]
        return Picture(content, media_type, cut=flaw == "rate_truncated_download")

    async def _drawn(self, drawing: Drawing) -> bytes:
        future = self._drawings.get(drawing)
        if future is None:
            future = asyncio.get_running_loop().run_in_executor(self._pool, render, drawing)
            self._drawings[drawing] = future
            if len(self._drawings) > KEPT_DRAWINGS:
                self._drawings.popitem(last=False)
        else:
            self._drawings.move_to_end(drawing)
        try:
            return future.result() if future.done() else await asyncio.shield(future)
        except Exception:
            self._drawings.pop(drawing, None)
            raise


def _drawing(purchase: Purchase, index: int, faults: Faults) -> Drawing:
    size = (purchase.width, purchase.height)
    form, p = faults.picture_form, purchase
    image_format = p.image_format if form == "plain" else "png"
    if faults.picture != "card":
        return Drawing(faults.picture, size, image_format, form=form)
    return Drawing("card", size, image_format, p.prompt, p.seed, p.model, index, form)


def render(drawing: Drawing) -> bytes:
    """Draw a picture and encode it."""
    if drawing.kind == "card":
        # Imported where it is needed: the service starts faster without it, and many never draw a card.
        from duomi_pipeline.sandbox.cards.card import card_png  # noqa: PLC0415

        d = drawing
        content = card_png(d.prompt, seed=d.seed, size=d.size, model=d.model, index=d.index)
        if d.image_format == "png":
            return in_form(content, d.form)
        image: Image.Image = Image.open(io.BytesIO(content)).convert("RGB")
    elif drawing.kind == "flat":
        image = _flat(drawing.size)
    elif drawing.kind == "photo":
        image = _photo(drawing.size)
    else:
        image = Image.new("RGB", drawing.size)
    buffer = io.BytesIO()
    image.save(buffer, drawing.image_format, **({"quality": 90} if drawing.image_format != "png" else {}))
    return in_form(buffer.getvalue(), drawing.form)


def _flat(size: Size) -> Image.Image:
    image = Image.new("RGB", size, (28, 34, 54))
    canvas = ImageDraw.Draw(image)
    step = max(8, min(size) // 8)
    for number, left in enumerate(range(0, max(size), step)):
        colour = ((90 + 37 * number) % 256, (40 + 53 * number) % 256, (150 + 29 * number) % 256)
        canvas.ellipse((left, left, left + 3 * step, left + 3 * step), fill=colour)
    return image


def _photo(size: Size) -> Image.Image:
    width, height = size
    # Seven levels of noise in each channel leave a PNG of about 1.3 bytes a pixel, like a photograph's.
    levels = bytes(100 + value * 7 // 256 for value in range(256))
    noise = random.Random(0).randbytes(width * height * 3).translate(levels)  # noqa: S311
    return Image.frombytes("RGB", size, noise)
