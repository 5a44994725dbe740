"""Sanitise untrusted text for one line, a terminal or UTF-8, and format counts."""

import re
import unicodedata

# Ranges for a character class of a pattern. Lone surrogates (halves of characters above U+FFFF) are not valid in UTF-8.
SURROGATES = "\ud800-\udfff"
# What a terminal interprets instead of showing: control characters, Unicode line and paragraph separators, marks and
# embeddings that change the reading direction; and lone surrogates, which it cannot show.
CONTROLS = f"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069{SURROGATES}"
# Letters and marks that show nothing: fillers, joiners, variation selectors. Other characters without a shape are
# separators (category Z) or controls and formats (C).
INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_SURROGATE = re.compile(f"[{SURROGATES}]")
_UNSAFE = re.compile(f"(?!\n)[{CONTROLS}]")


def one_line(text: str, limit: int | None = None) -> str:
    """Untrusted text as one printable line, safe for terminals, logs and databases.

    Args:
        text: any text.
        limit: characters at most, counted before unprintable ones are escaped.
    """
    flat = re.sub(r"\s+", " ", text if limit is None else text[: 4 * limit]).strip()
    short = flat if limit is None or len(flat) <= limit else f"{flat[: limit - 1]}…"
    return short if short.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in short)


def sentence(text: str) -> str:
    """The text, with a full stop added if it ends without one."""
    return text if text.endswith((".", "…", "!", "?", "。", "！", "？")) else f"{text}."


def counted(number: int, noun: str) -> str:
    """A number and a noun: `1 prompt`, `2 prompts`, `1,000 prompts`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def safe(text: str) -> str:
    """Text with control characters escaped, as `\\u202e`; line ends stay.

    JSON text keeps its meaning: these are also JSON's own escapes.
    """
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\r\n", "\n"))


def is_invisible(character: str) -> bool:
    """Whether a character shows nothing: a space, a control, a filler."""
    category = unicodedata.category(character)
    return category in ("Zs", "Zl", "Zp", "Cc", "Cf") or _INVISIBLE.match(character) is not None


def is_word_character(character: str) -> bool:
    """Whether a character may stand in a prompt id: a letter, mark or digit of any script that shows, `_` or `-`."""
    return character in "_-" or (unicodedata.category(character)[0] in "LMN" and not _INVISIBLE.match(character))


def is_prompt_id(text: str) -> bool:
    """Whether a text from outside can be a prompt id; letters that this Python does not know yet are let through."""
    return 0 < len(text) <= 100 and all(is_word_character(c) or unicodedata.category(c) == "Cn" for c in text)


def has_surrogates(text: str) -> bool:
    """Whether a text contains a lone surrogate, so that it cannot be written as UTF-8."""
    return _SURROGATE.search(text) is not None


def without_surrogates(text: str) -> str:
    """The text with U+FFFD in place of lone surrogates, so that it can be written as UTF-8."""
    return _SURROGATE.sub("\ufffd", text)
