"""Text of others, made fit to be shown on one line. The lowest layer: it knows nothing of ours."""

import re


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
