"""What a model ignores or misreads in a prompt, as sentences. Pure functions of a text and the model's limits.

Removing such text is in `cleaning`. Which model a prompt goes to, and whether it is sent cleaned, is decided in
`engine.prompt_request`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from duomi_pipeline.prompt_lint.cleaning import Kind, clean
from duomi_pipeline.prompt_lint.no_description import misread, placeholder, refusal
from duomi_pipeline.prompt_lint.tokens import estimated_tokens, read_part

_MAX_WORDS = 60  # characters of a prompt in a sentence about it
_MAX_NAMED = 4
_LAST_WORDS = 4
_MUCH = 0.3  # of the letters
_LAST_LATIN = "\u024f"
_QUOTED = re.compile(r'"[^"\n]{0,60}"|“[^”\n]{0,60}”|「[^」\n]{0,60}」')

# {words}: what was found, in quotes.
_SENTENCES: Mapping[Kind, str] = {
    "json": "It is wrapped in program text ({words}): the model reads that as words.",
    "parameters": "Settings of another program ({words}) are only words to this model.",
    "markdown": "Marks of Markdown ({words}) are no words; they cost tokens and may show up as lettering.",
    "preamble": "Talk about the prompt ({words}) is read as part of the picture, and comes first.",
    "several_prompts": "Further versions of it follow ({words}): the model draws all in one; cleaning keeps the first.",
    "commentary": "From {words} on it talks about itself: the model reads that as part of the picture.",
    "quotes": "Quotes around the whole make models draw it as lettering.",
    "embedded_negative": "{words} names things that the model will draw: they belong into the negative prompt.",
}

_DOUBTS = {
    "refusal": "It reads like a language model that refuses ({words}): no picture is described.",
    "placeholder": "It is what programs write where they have no text ({words}): no picture is described.",
    "encoding": "It was read in another encoding than it was written in ({words}): write it as UTF-8.",
}


@dataclass(frozen=True)
class Limits:
    """What a model reads.

    Attributes:
        tokens: how many it reads; 0 if unknown.
        english_only: it was trained on English captions.
        negative_field: it takes a negative prompt in a field of its own.
    """

    tokens: int = 0
    english_only: bool = False
    negative_field: bool = True


@dataclass(frozen=True)
class Finding:
    """One thing that a model will ignore or misread.

    Attributes:
        kind: one of `cleaning.Kind`, `refusal`, `placeholder`, `encoding`, `too_long`, `language` or
            `empty_after_cleaning`.
        text: a sentence with the words concerned; they are untrusted text, escape them.
    """

    kind: str
    text: str


def findings(text: str, limits: Limits) -> tuple[Finding, ...]:
    """What a model with these limits will ignore or misread in a text: at most one finding of each kind."""
    return (*doubts(text), *_unread(text, limits), *_misread(text, limits))


def doubts(text: str) -> tuple[Finding, ...]:
    """Why a text may describe no picture at all, whatever the model."""
    found = {"refusal": refusal(text), "placeholder": placeholder(text), "encoding": misread(text)}
    return tuple(Finding(kind, _DOUBTS[kind].format(words=_listed([words]))) for kind, words in found.items() if words)


def _unread(text: str, limits: Limits) -> Iterator[Finding]:
    if limits.tokens and (tokens := estimated_tokens(text)) > limits.tokens:
        last = " ".join(read_part(text, limits.tokens).split()[-_LAST_WORDS:])[-_MAX_WORDS:]
        yield Finding(
            "too_long",
            f'About {tokens} tokens, of which the model reads {limits.tokens}: what comes after "…{last}" is ignored.',
        )
    if limits.english_only and (share := _foreign_share(text)) >= _MUCH:
        yield Finding(
            "language",
            f"{share:.0%} of its letters are of another alphabet: the model knows English only, and will guess.",
        )


def _foreign_share(text: str) -> float:
    """How much of the letters is not Latin; what stands in quotes is to be shown, not to be understood."""
    if text.isascii():
        return 0.0
    letters = [letter for letter in _QUOTED.sub("", text) if letter.isalpha()]
    return sum(letter > _LAST_LATIN for letter in letters) / max(len(letters), 1)


def _misread(text: str, limits: Limits) -> Iterator[Finding]:
    cleaned = clean(text, limits.negative_field)
    for kind, sentence in _SENTENCES.items():
        if words := [removal.words for removal in cleaned.removals if removal.kind == kind]:
            yield Finding(kind, sentence.format(words=_listed(words)))
    if cleaned.emptied:
        yield Finding("empty_after_cleaning", "Nothing would be left of it: cleaning leaves it as it is.")


def _listed(words: Sequence[str]) -> str:
    """Some of the words in quotes, each on one line and not too long."""
    lines = dict.fromkeys(" ".join(word.split()).strip(" ,") for word in words)
    short = [line if len(line) <= _MAX_WORDS else line[:_MAX_WORDS].rstrip() + "…" for line in lines]
    return ", ".join(f'"{line}"' for line in short[:_MAX_NAMED]) + (", …" if len(short) > _MAX_NAMED else "")
