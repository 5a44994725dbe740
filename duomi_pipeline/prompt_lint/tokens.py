"""How many tokens a model reads of a text: an estimate, without any model's tokenizer.

Rule: a word is one token, from ten letters on two; a digit, a run of punctuation and a letter of another alphabet
are one each, a Chinese, Japanese or Korean character three; two more mark beginning and end.

Error against CLIP's own tokenizer: on 270 real English prompts of 29 to 874 tokens -0.4 % on average, at worst -10 %
and +12 %; on a dozen short texts, Chinese up to 17 % too many, Japanese and Korean half too many, Russian a fifth too
few. T5 and the large models have other tokenizers; for English their counts are of the same order.
"""

import re

_PIECE = re.compile(r"[a-z]+|[^\W_]|(?:[^\w\s]|_)+", re.IGNORECASE)
_MARKS = 2
_LONG_WORD = 10  # letters


def estimated_tokens(text: str) -> int:
    """About how many tokens the text is."""
    return _MARKS + sum(_tokens(match[0]) for match in _PIECE.finditer(text))


def read_part(text: str, tokens: int) -> str:
    """About that part of the text which a model that reads so many tokens sees."""
    left, end = tokens - _MARKS, 0
    for match in _PIECE.finditer(text):
        left -= _tokens(match[0])
        if left < 0:
            break
        end = match.end()
    return text[:end]


def _tokens(piece: str) -> int:
    if len(piece) >= _LONG_WORD and piece.isalpha():
        return 2
    return 3 if "\u3040" <= piece <= "\u9fff" or "\uac00" <= piece <= "\ud7af" else 1
