"""Outside text made fit to be shown: on one line, on a terminal, as UTF-8. Knows nothing of ours."""

import re

# Ranges for a class of a pattern. Halves of characters outside the first 65,536: they are no text, and no UTF-8.
SURROGATES = "\ud800-\udfff"
# What a terminal obeys rather than shows: control characters, ends of lines and paragraphs of Unicode, marks and
# embeddings that turn the reading direction; and halves of characters, which it cannot show.
CONTROLS = f"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069{SURROGATES}"
_SURROGATE = re.compile(f"[{SURROGATES}]")
_UNSAFE = re.compile(f"(?!\n)[{CONTROLS}]")


def one_line(text: str, limit: int | None = None) -> str:
    """Outside text as one line that no terminal, log or database takes for more than text.

    Args:
        text: as somebody wrote it.
        limit: characters at most, before what cannot be printed is written out.
    """
    flat = re.sub(r"\s+", " ", text if limit is None else text[: 4 * limit]).strip()
    short = flat if limit is None or len(flat) <= limit else f"{flat[: limit - 1]}…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in short)


def sentence(text: str) -> str:
    """The text, with a full stop at its end where it has none."""
    return text if text.endswith((".", "!", "?", "。", "！", "？")) else f"{text}."


def counted(number: int, noun: str) -> str:
    """`1 prompt`, `2 prompts`, `1,000 prompts`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def safe(text: str) -> str:
    """Text without what a terminal would obey: ends of lines stay, the rest is written out as `\\u202e`.

    JSON text stays the same JSON: that is how JSON writes these characters, too.
    """
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\r\n", "\n"))


def has_surrogates(text: str) -> bool:
    """Whether a text holds half a character, so that it cannot be written as UTF-8."""
    return _SURROGATE.search(text) is not None


def without_surrogates(text: str) -> str:
    """A text that can be written as UTF-8: U+FFFD stands for half a character."""
    return _SURROGATE.sub("\ufffd", text)
