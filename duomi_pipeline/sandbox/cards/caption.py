"""The typography of a card: title, lines of the prompt, footer and the mark SANDBOX.

Holds: what is written where, and in what size. Not here: fonts and line breaking, the picture behind.
"""

from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from duomi_pipeline.sandbox.cards.lettering import TEXT, Style, drawable, title_font
from duomi_pipeline.sandbox.cards.palette import RGB, Palette, luminance, mix
from duomi_pipeline.sandbox.cards.words import is_wide, title_of

MARK = "SANDBOX"
_SMALL = Style(TEXT, 10)


@dataclass(frozen=True)
class Caption:
    """A caption that is laid out: `top` is where its text begins, in pixels."""

    size: tuple[int, int]
    base: float
    margin: int
    title: list[str] = field(default_factory=list)
    title_style: Style = _SMALL
    body: list[str] = field(default_factory=list)
    body_style: Style = _SMALL
    footer: str = ""
    footer_style: Style = _SMALL

    @property
    def height(self) -> int:
        """Pixels from the top of the title to the bottom of the footer."""
        height = len(self.title) * self.title_style.line_height + len(self.body) * self.body_style.line_height
        height += self._gap if self.title and self.body else 0
        return height + (2 * self._gap + self.footer_style.line_height if self.footer else 0)

    @property
    def top(self) -> int:
        """The pixel row at which the caption begins."""
        return self.size[1] - self.margin - self.height

    @property
    def _gap(self) -> int:
        return round(self.base * 0.032)

    def draw(self, image: Image.Image, palette: Palette) -> None:
        """Writes the caption on the picture."""
        pen, y = ImageDraw.Draw(image), self.top
        for line in self.title:
            pen.text((self.margin, y), line, font=self.title_style.font, fill=palette.ink, anchor="la")
            y += self.title_style.line_height
        y += self._gap if self.title and self.body else 0
        for line in self.body:
            pen.text((self.margin, y), line, font=self.body_style.font, fill=mix(palette.ink, palette.panel, 0.22))
            y += self.body_style.line_height
        if self.footer:
            rule = y + round(self._gap * 0.9)
            width = max(1, round(self.base / 540))
            pen.rectangle(
                (self.margin, rule, self.size[0] - self.margin - 1, rule + width - 1),
                fill=mix(palette.panel, palette.ink, 0.28),
            )
            pen.rectangle(
                (self.margin, rule, self.margin + round(self.base * 0.1), rule + 2 * width - 1),
                fill=palette.accent,
            )
            pen.text(
                (self.margin, y + round(self._gap * 1.7)),
                self.footer,
                font=self.footer_style.font,
                fill=mix(palette.ink, palette.panel, 0.4),
            )


def lay_out(text: str, size: tuple[int, int], footer: str) -> Caption:
    """Fits title, lines of the prompt and footer to a picture; what would be too small to read is left out.

    Args:
        text: The cleaned prompt.
        size: Width and height in pixels.
        footer: One line for the very bottom.
    """
    width, height = size
    base = min(width, height * 0.75)
    margin = max(3, round(base * 0.075))
    if base < 110:
        return Caption(size, base, margin)
    room = width - 2 * margin
    title, style = _title(text, base, room, lines=1 if height < width else 3)
    body_style = Style(TEXT, round(base * 0.0305), 1.62 if is_wide(text) else 1.5)
    lines = 0 if body_style.size < 9 else 2 if height < width else 4
    foot_style = Style(TEXT, max(round(base * 0.0215), 9), 1.35)
    foot = foot_style.wrap(footer, room, 1) if base >= 260 else []
    told = len("".join(title)) >= len(text) * 0.8
    body = [] if told else body_style.wrap(text, room, lines)
    return Caption(size, base, margin, title, style, body, body_style, "".join(foot), foot_style)


def _title(text: str, base: float, room: float, lines: int) -> tuple[list[str], Style]:
    title = title_of(text)
    name = title_font(title)
    title = drawable(name, title)
    if not title:
        title = "Untitled"
    shares = (0.094, 0.082, 0.07) if is_wide(title) else (0.082, 0.072, 0.062)
    for share in shares:
        style = Style(name, max(round(base * share), 10), 1.26)
        wrapped = style.balanced(title, room, lines)
        if len(wrapped) <= 2 and not any(line.endswith(("...", "…")) for line in wrapped):
            break
    return wrapped, style


def draw_mark(image: Image.Image, palette: Palette, index: int) -> None:
    """Writes SANDBOX in an outlined tag at the top left, and the number of the picture at the top right."""
    width, height = image.size
    base = min(width, height * 0.75)
    style = Style(TEXT, max(round(base * 0.023), 8), tracking=0.28)
    margin = max(3, round(base * 0.06))
    text_width = style.spaced_width(MARK)
    pad = style.size * 0.95
    if text_width + 2 * (pad + margin) > width:
        pad, margin = style.size * 0.3, 2
    middle = margin + style.size * 1.05
    box = (margin, margin, round(margin + text_width + 2 * pad), round(margin + style.size * 2.1))
    tag = Image.new("RGB", (box[2] - box[0], box[3] - box[1]), palette.panel)
    image.paste(Image.blend(image.crop(box), tag, 0.62), box[:2])
    ImageDraw.Draw(image).rectangle(box, outline=mix(palette.panel, palette.ink, 0.75), width=max(1, round(base / 540)))
    style.draw_spaced(image, (margin + pad, middle), MARK, palette.ink)
    number = f"{index + 1:02d}"
    if base >= 260:
        at = width - margin - style.spaced_width(number), middle
        style.draw_spaced(image, at, number, _number_colour(palette))


def _number_colour(palette: Palette) -> RGB:
    return (
        mix(palette.near, palette.top, 0.15) if luminance(palette.top) > 130 else mix(palette.light, palette.top, 0.15)
    )
