"""What the words of a prompt say: cleaned text, a title, and which of several themes they name.

Holds: everything that reads text. Not here: fonts, wrapping, colours and shapes.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_TAG = re.compile(r"<[^<>]{0,200}>")
_MARKDOWN = re.compile(r"[*_`#>|~]+|\[[ x]\]")
_PREAMBLE = re.compile(
    r"^\W*(?:here(?:'s| is| are)|sure|certainly|okay|of course|this is|below is)\b[^\n.]{0,200}?:\s+",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^\W*(?:(?:full |detailed |image |text |generation |positive |final |main )*prompt"
    r"|option \d+(?: \([^)]{0,60}\))?|core concept|visual elements|scene|subject|composition|style"
    r"|(?:vertical|digital) \w+|提示词|画面|描述)\s*[:：]\s*",
    re.IGNORECASE,
)
# "Generate …" and "A close-up, eye-level portrait of a young woman": the title begins after such leads.
_LEAD = re.compile(
    r"^(?:[\w'/-]+,? ){0,10}?(?:shot|view|portrait|image|photo|photograph|painting|illustration|scene"
    r"|depiction|render|rendering|close-up|art|artwork|poster|style|landscape)\b[^,.;:]{0,24}?"
    r"\b(?:of|featuring|showing|depicting)\b ",
    re.IGNORECASE,
)
_ORDER = re.compile(r"^(?:please )?(?:generate|create|draw|make|render|depict|design) ", re.IGNORECASE)
_CLAUSE = re.compile(r"(?<=[,.;:!?])\s+|(?<=[，。；：！？、])")
_LATIN = re.compile(r"[a-z]+")
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_STRAIGHT = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "—": "-", "–": "-", "…": "..."})
# Words that a title must not end with.
_DANGLING = frozenset((
    "a", "an", "the", "of", "and", "or", "with", "in", "on", "at", "to", "from", "by", "for", "its",
    "his", "her", "their", "as", "is", "are", "into", "over", "under", "that", "which", "while",
))  # fmt: skip


def clean(prompt: str) -> str:
    """The prompt as one line of plain text, without markup, control characters and preambles."""
    # 4,000 characters decide about the picture; more would only cost time.
    text = unicodedata.normalize("NFC", prompt[:4000])
    text = _TAG.sub(" ", text)
    text = "".join(char if char == "\n" or unicodedata.category(char)[0] != "C" else " " for char in text)
    text = _MARKDOWN.sub(" ", text).strip()
    for pattern in (_PREAMBLE, _LABEL, _LABEL, _LABEL):
        text = pattern.sub("", text, count=1).strip()
    text = " ".join(text.split()).strip('"“” ')
    return text if is_wide(text) else text.translate(_STRAIGHT)


def is_wide(text: str) -> bool:
    """Whether the text is mainly Chinese or Japanese."""
    return len(_WIDE.findall(text[:200])) * 4 > len(text[:200])


def title_of(text: str) -> str:
    """The first meaningful words of a cleaned text, short enough for a headline."""
    if is_wide(text):
        return _wide_title(text)
    body = _LEAD.sub("", _ORDER.sub("", text), count=1)
    taken: list[str] = []
    for clause in _CLAUSE.split(body):
        words = clause.split()
        if len(taken) >= 3 and len(taken) + len(words) > 7:
            break
        taken += words
    if taken and taken[0].lower() in {"a", "an", "the"}:
        taken = taken[1:]
    taken = _whole_phrase(taken)
    while len(taken) > 1 and taken[-1].lower().strip(",.;:") in _DANGLING:
        taken.pop()
    title = " ".join(taken)[:60].strip(" ,.;:!?-\"'()")
    return title[:1].upper() + title[1:]


def _whole_phrase(words: list[str]) -> list[str]:
    """Six to nine words, cut where a phrase ends: not between an adjective and its noun."""
    for count in range(6, 10):
        if len(words) <= count or (words[count].lower() in _DANGLING and words[count - 1].lower() not in _DANGLING):
            return words[:count]
    last = max((place for place in range(3, 6) if words[place].lower() in _DANGLING), default=6)
    return words[:last]


def _wide_title(text: str) -> str:
    title = ""
    for clause in _CLAUSE.split(text):
        if title and len(title) + len(clause) > 13:
            break
        title += clause
        if len(title) >= 6:
            break
    return title[:14].strip(" ,，。；：！？、")


def ranked(text: str, themes: Mapping[str, str]) -> list[str]:
    """The themes that the text names, the most important first.

    A word counts more the earlier it stands: prompts begin with what matters.

    Args:
        text: Lower-cased text.
        themes: Name of a theme -> its words, separated by blanks; Chinese words match anywhere.
    """
    latin, wide = _index(tuple(themes.items()))
    scores: dict[str, float] = {}
    for position, match in enumerate(_LATIN.finditer(text)):
        word = match.group()
        for name in latin.get(word, ()) or latin.get(word.removesuffix("s"), ()):
            scores[name] = scores.get(name, 0.0) + 1 / (1 + position / 12)
    for word, names in wide.items():
        position = text.find(word)
        if position >= 0:
            for name in names:
                scores[name] = scores.get(name, 0.0) + len(word) / (1 + position / 24)
    return sorted(scores, key=lambda name: -scores[name])


@lru_cache(maxsize=16)
def _index(themes: tuple[tuple[str, str], ...]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    latin: dict[str, list[str]] = {}
    wide: dict[str, list[str]] = {}
    for name, words in themes:
        for word in words.split():
            (latin if word.isascii() else wide).setdefault(word, []).append(name)
    return latin, wide
