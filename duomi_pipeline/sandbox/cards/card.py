"""Draws the storyboard card that the sandbox answers with instead of a generated picture.

Holds: the order of work, from prompt and seed to pixels and PNG bytes. Not here: the parts, which have
modules of their own (`words`, `palette`, `scenes`, `stage`, `caption`), and HTTP.

The same arguments give the same pixels everywhere: chance comes from a hash of them, text is laid out
without libraries of the machine, and the fonts are bundled.
"""

import hashlib
import io
import math
import random

from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo

from duomi_pipeline.sandbox.cards.caption import Caption, draw_mark, lay_out
from duomi_pipeline.sandbox.cards.palette import Palette, choose_palette, luminance, mix
from duomi_pipeline.sandbox.cards.scenes import choose_scene
from duomi_pipeline.sandbox.cards.stage import Stage, gradient
from duomi_pipeline.sandbox.cards.words import clean

COMMENT = "SANDBOX: drawn locally, not by a model"
# Pixels the scene is painted with before it is scaled to its part of the card; type is set at full size.
_SCENE_PIXELS = 760_000
# Run lengths after PNG filtering: a tenth smaller than fast deflate for soft pictures, and a little faster.
_RUN_LENGTHS = 3


def draw_card(prompt: str, *, seed: int, size: tuple[int, int], model: str = "", index: int = 0) -> Image.Image:
    """Draws the card of a prompt.

    Args:
        prompt: Any text; its words choose scene and colours.
        seed: Varies composition and hues.
        size: Width and height in pixels, 64 to 4096 each.
        model: Named in the footer.
        index: Which of several pictures of one request this is, from 0.

    Returns:
        An RGB image of exactly `size`.
    """
    text = clean(prompt)
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    # Chance for pictures, not for secrets.
    words_rng = random.Random(digest)  # noqa: S311
    rng = random.Random(f"{digest} {seed} {index}")  # noqa: S311
    lowered = text.lower()
    palette = choose_palette(lowered, rng, words_rng)
    footer = " · ".join(part for part in (f"seed {seed}", model.rpartition("/")[2], f"{size[0]}×{size[1]}") if part)
    caption = lay_out(text, size, footer)
    picture = (size[0], caption.top if caption.title else size[1])
    stage = _stage(picture, caption)
    choose_scene(lowered, rng, words_rng).paint(stage, palette, rng)
    _add_grain(stage, rng)
    if caption.title:
        _fade_out(stage, palette)
    image = _panel(size, palette, caption.top / size[1])
    image.paste(stage.image.resize(picture, Image.Resampling.BICUBIC), (0, 0))
    caption.draw(image, palette)
    draw_mark(image, palette, index)
    return image


def card_png(prompt: str, *, seed: int, size: tuple[int, int], model: str = "", index: int = 0) -> bytes:
    """The card of a prompt as PNG bytes that say, in text chunks, where they come from."""
    info = PngInfo()
    info.add_text("Software", "Duomi Sandbox")
    info.add_text("Comment", COMMENT)
    buffer = io.BytesIO()
    image = draw_card(prompt, seed=seed, size=size, model=model, index=index)
    image.save(buffer, "PNG", pnginfo=info, compress_level=1, compress_type=_RUN_LENGTHS)
    return buffer.getvalue()


def _stage(picture: tuple[int, int], caption: Caption) -> Stage:
    width, height = picture
    scale = min(1.0, math.sqrt(_SCENE_PIXELS / (width * height)))
    floor = (height - caption.base * 0.05) / height if caption.title else 0.85
    return Stage((max(round(width * scale), 8), max(round(height * scale), 8)), floor)


def _add_grain(stage: Stage, rng: random.Random) -> None:
    """A soft paper texture: it hides the steps of gradients, and stays cheap to compress."""
    width, height = stage.width // 6 + 1, stage.height // 6 + 1
    noise = Image.frombytes("L", (width, height), rng.randbytes(width * height))
    noise = noise.point([125 + value * 6 // 256 for value in range(256)]).resize(
        stage.image.size, Image.Resampling.BILINEAR
    )
    stage.image = ImageChops.add(stage.image, Image.merge("RGB", (noise, noise, noise)), 1, -128)


def _fade_out(stage: Stage, palette: Palette) -> None:
    """Lets the picture end in the colour that lies under the caption."""
    column = bytearray()
    for row in range(128):
        share = max(row / 127 - 0.77, 0.0) / 0.23
        column.append(round(share * share * (3 - 2 * share) * 255))
    stage.image.paste(palette.panel, (0, 0), gradient("L", bytes(column), stage.image.size))


def _panel(size: tuple[int, int], palette: Palette, top: float) -> Image.Image:
    """The ground of the whole card; what lies below the share `top` of its height stays visible."""
    depth = 0.08 if luminance(palette.panel) > 128 else 0.3
    column = bytearray()
    for row in range(64):
        share = max(row / 63 - top, 0.0) / (1.0 - top)
        column += bytes(mix(palette.panel, palette.near, depth * share))
    return gradient("RGB", bytes(column), size)
