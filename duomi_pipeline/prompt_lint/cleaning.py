"""Takes out of a prompt what is not part of the picture. Each rule is a step: a text in, a text and what it took out.

Steps only take out, or move a negative prompt into its field; none shortens, rewrites or translates. Why a model
misreads what is taken out is in `findings`; whether it is sent cleaned, in `engine.prompt_request`.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from duomi_pipeline.prompt_lint import patterns

Kind = Literal[
    "json", "parameters", "markdown", "preamble", "several_prompts", "commentary", "quotes", "embedded_negative"
]
MAX_TEXT = 20_000  # characters: what is longer is no prompt, and is left as it is
_MAX_NEGATIVE = 2_000  # characters: what is longer is no negative prompt, whatever stands before it
_VERSION_WORDS = 15  # less than this before a label is a title or a style, not a first version


@dataclass(frozen=True)
class Removal:
    """One thing that cleaning takes out.

    Attributes:
        words: as they stand in the text.
        unwanted: what they name as not wanted.
    """

    kind: Kind
    words: str
    unwanted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cleaned:
    """A prompt as it would be sent.

    Attributes:
        text: without what was taken out; the text itself where nothing else would be left.
        negative_prompt: what stood in the text as a negative prompt; empty where none did.
        removals: what was taken out, or would be where nothing else would be left.
        emptied: nothing would be left, so that the text is as it was.
    """

    text: str
    negative_prompt: str
    removals: tuple[Removal, ...]
    emptied: bool


def clean(text: str, negative_field: bool = True) -> Cleaned:
    """Take out of a prompt what is not part of the picture; cleaning the result again changes nothing.

    Args:
        negative_field: whether the model takes a negative prompt in a field of its own; else it stays in the text.
    """
    steps = (*_STEPS, _take_negative) if negative_field else _STEPS
    cleaned, removals, before = text, list[Removal](), ""
    while cleaned != before and len(text) <= MAX_TEXT:
        before = cleaned
        for step in steps:
            cleaned = _apply(step, cleaned, removals)
    if removals and not re.search(r"\w", cleaned):
        return Cleaned(text, "", tuple(removals), emptied=True)
    unwanted = dict.fromkeys(item for removal in removals for item in removal.unwanted)
    return Cleaned(cleaned, ", ".join(unwanted), tuple(removals), emptied=False)


_Step = Callable[[str], tuple[str, list[Removal]]]


def _apply(step: _Step, text: str, removals: list[Removal]) -> str:
    """Repeat a step until it finds nothing more: behind an introduction may stand a label."""
    changed, found = step(text)
    while found:
        removals += found
        text = _tidy(changed)
        changed, found = step(text)
    return text


def _tidy(text: str) -> str:
    """Without the gaps that removals leave: at most one blank line, no blanks at the ends of lines."""
    lines = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip()


def _unwrap_json(text: str) -> tuple[str, list[Removal]]:
    """The prompt out of an object that was stored as text; line ends that were escaped once too often."""
    if text.lstrip().startswith("{"):
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        for key in patterns.JSON_KEYS:
            if isinstance(content, dict) and isinstance(prompt := content.get(key), str) and prompt.strip():
                negative = content.get("negative_prompt")
                tail = f"\n\nNegative prompt: {negative}" if isinstance(negative, str) and negative.strip() else ""
                return prompt + tail, [Removal("json", f'{{"{key}": …')]
    if "\n" not in text and text.count("\\n") > 1:
        return text.replace("\\n", "\n"), [Removal("json", "\\n")]
    return text, []


def _drop(kind: Kind, rules: tuple[patterns.Rule, ...], text: str) -> tuple[str, list[Removal]]:
    removals = []
    for needle, pattern, kept in rules:
        if needle in text:
            removals += [Removal(kind, match[0]) for match in pattern.finditer(text)]
            text = pattern.sub(kept, text)
    return text, removals


def _drop_preamble(text: str) -> tuple[str, list[Removal]]:
    """Without the talk before the prompt and labels such as `Prompt:`; of several versions the first stays."""
    if match := patterns.INTRODUCTION.match(text):
        return text[match.end() :], [Removal("preamble", match[0])]
    labels = list(patterns.LABEL.finditer(text))
    if not labels:
        return text, []
    first = text[: labels[0].start()]
    if len(first.split()) >= _VERSION_WORDS:
        return first, [Removal("several_prompts", label[0]) for label in labels]
    ends = [label.start() for label in labels[1:]] + [len(text)]
    bodies = [text[label.end() : end].strip() for label, end in zip(labels, ends, strict=True)]
    others = labels[1:] if sum(map(bool, bodies)) > 1 else []
    removals = [Removal("preamble", labels[0][0])] + [Removal("several_prompts", label[0]) for label in others]
    return f"{first}\n{next(filter(None, bodies), '')}", removals


def _drop_commentary(text: str) -> tuple[str, list[Removal]]:
    match = patterns.EXPLANATION.search(text) or patterns.CLOSING.search(text)
    if match and text[: match.start()].strip():
        return text[: match.start()], [Removal("commentary", match[0])]
    return text, []


def _unquote(text: str) -> tuple[str, list[Removal]]:
    """Without quotes around the whole; those of a first and a last part stay."""
    bare = text.strip()
    for opening, closing in patterns.QUOTES:
        inner = bare[1:-1]
        if len(bare) > 2 and bare[0] == opening and bare[-1] == closing and not _closes_early(inner, opening, closing):
            return inner, [Removal("quotes", f"{opening}…{closing}")]
    return text, []


def _closes_early(inner: str, opening: str, closing: str) -> bool:
    """Whether the quote that begins before `inner` ends within it."""
    close, reopen = inner.find(closing), inner.find(opening)
    if opening != closing:
        return close >= 0 and not 0 <= reopen < close
    return close == 0 or (close > 0 and not inner[close - 1].isspace() and inner[close - 1] not in "([")


def _take_negative(text: str) -> tuple[str, list[Removal]]:
    """Without the first negative prompt in it."""
    lowered = text.lower()
    match = any(needle in lowered for needle in patterns.NEGATIVE_NEEDLES) and patterns.NEGATIVE.search(text)
    if not match or len(match["words"]) > _MAX_NEGATIVE:
        return text, []
    items = [item.strip(' \t.。"“”') for item in re.split(r"[,;\n，、；]+", match["words"])]
    items = [item for item in items if re.search(r"\w", item)]
    # What follows "Avoid:" is told in words: "no text". A negative prompt's "no text" means a picture without text.
    wanted = [item for item in items if match["told"] and patterns.WISH.match(item)]
    unwanted = [patterns.NOT.sub("", item) if match["told"] else item for item in items if item not in wanted]
    if not unwanted:
        return text, []
    parts = [text[: match.start()].rstrip(" \t\n,;，；"), ", ".join(wanted), text[match.end() :].lstrip()]
    return "\n\n".join(filter(None, parts)), [Removal("embedded_negative", match[0], tuple(unwanted))]


_STEPS: tuple[_Step, ...] = (
    _unwrap_json,
    partial(_drop, "parameters", patterns.PARAMETERS),
    partial(_drop, "markdown", patterns.MARKDOWN),
    _drop_preamble,
    _drop_commentary,
    _unquote,
)
