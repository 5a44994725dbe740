"""Type for sandbox cards: the bundled fonts, what they can draw, and breaking text into lines.

Holds: everything about glyphs. Not here: what the text says and where it stands.
"""

import io
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from PIL import Image, ImageDraw, ImageFont

from duomi_pipeline.sandbox.cards.palette import RGB

TITLE = "NotoSerifSC-Bold-subset.otf"
TEXT = "NotoSansSC-Regular-subset.otf"
# A word of Latin text with the blanks before it, or one wide character.
_PIECE = re.compile(
    r"\s*[^\s\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]+|\s*[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]|\s+"
)
_NOT_FIRST = frozenset("，。、；：！？）》」』”’,.;:!?)…")


@lru_cache(maxsize=4)
def _font_bytes(name: str) -> bytes:
    return resources.files("duomi_pipeline.sandbox.cards").joinpath("fonts", name).read_bytes()


@lru_cache(maxsize=96)
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A bundled font at `size` pixels.

    The basic layout engine is used because the other one depends on libraries of the machine, and the
    same card has to come out everywhere.
    """
    return ImageFont.truetype(io.BytesIO(_font_bytes(name)), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=20_000)
def has_glyph(name: str, char: str) -> bool:
    """Whether the font can draw the character; blanks count as drawn."""
    if char.isspace():
        return True
    probe = font(name, 24)
    # U+FFFF is never a character: what it draws is the font's picture for "missing".
    return bytes(probe.getmask(char)) not in (b"", bytes(probe.getmask("\uffff")))


def drawable(name: str, text: str) -> str:
    """The text without the characters that the font lacks."""
    return " ".join("".join(char for char in text if has_glyph(name, char)).split())


def title_font(text: str) -> str:
    """The serif where it has every character, else the sans, which has more of them."""
    return TITLE if all(has_glyph(TITLE, char) or not has_glyph(TEXT, char) for char in text) else TEXT


@dataclass(frozen=True)
class Style:
    """A font at a size; `leading` and `tracking` (between letters) are in shares of the size."""

    name: str
    size: int
    leading: float = 1.5
    tracking: float = 0.0

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        """The loaded font."""
        return font(self.name, self.size)

    @property
    def line_height(self) -> int:
        """Pixels from one line to the next."""
        return round(self.size * self.leading)

    def width(self, text: str) -> float:
        """Pixels that one line of text takes."""
        return self.font.getlength(text)

    def wrap(self, text: str, width: float, lines: int) -> list[str]:
        """At most `lines` lines of at most `width` pixels; cut text ends in an ellipsis."""
        if lines < 1 or width < self.size:
            return []
        # Nothing beyond this can be seen; a long prompt must not cost more than a short one.
        rest = drawable(self.name, text[: round(lines * width / self.size * 4) + 40])
        wrapped: list[str] = []
        while rest and len(wrapped) < lines:
            line = self._first_line(rest, width)
            rest = rest[len(line) :].lstrip()
            wrapped.append(line.strip())
        if rest:
            wrapped[-1] = self._cut(wrapped[-1], width)
        return wrapped

    def balanced(self, text: str, width: float, lines: int) -> list[str]:
        """Wraps like `wrap`, into lines of about the same length: no last line of one word."""
        wrapped = self.wrap(text, width, lines)
        for share in (0.55, 0.62, 0.7, 0.78, 0.86, 0.93):
            narrower = self.wrap(text, width * share, len(wrapped))
            if len(wrapped) > 1 and "".join(narrower).replace(" ", "") == "".join(wrapped).replace(" ", ""):
                return narrower
        return wrapped

    def _first_line(self, text: str, width: float) -> str:
        line = ""
        for piece in _PIECE.findall(text):
            if self.width((line + piece).strip()) > width:
                # A closing mark must not open the next line: its neighbour moves with it.
                if piece in _NOT_FIRST and len(line) > 1:
                    return line[:-1]
                return line or self._fitting(text, width)
            line += piece
        return line

    def _fitting(self, text: str, width: float) -> str:
        count = 1
        while count < len(text) and self.width(text[: count + 1]) <= width:
            count += 1
        return text[:count]

    def _cut(self, line: str, width: float) -> str:
        dots = "…" if line and ord(line[-1]) > 0x2E7F else "..."
        if self.width(line + dots) > width and dots == "..." and " " in line:
            line = line.rpartition(" ")[0]
        while line and self.width(line + dots) > width:
            line = line[:-1]
        return line.rstrip(" ,.;:，。、；：") + dots

    def spaced_width(self, text: str) -> float:
        """Pixels that letter-spaced text takes."""
        return sum(self.width(char) for char in text) + self.tracking * self.size * max(len(text) - 1, 0)

    def draw_spaced(self, image: Image.Image, at: tuple[float, float], text: str, colour: RGB) -> None:
        """Draws letter-spaced text whose left middle is `at`."""
        pen, (x, y) = ImageDraw.Draw(image), at
        for char in text:
            pen.text((round(x), round(y)), char, font=self.font, fill=colour, anchor="lm")
            x += self.width(char) + self.tracking * self.size
