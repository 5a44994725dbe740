"""What comes from outside: texts, JSON, rows, answers, bytes of pictures; mostly near to what is right."""

import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from duomi_pipeline.settings import ParameterOverrides
from duomi_pipeline_tests.images.harness import chunk, encoded, gradient

SIZE = (24, 40)
_ODD = ["\x00", "\x1b[2J", "\n", "\r\n", "\u202e", "\x9b", "../", "..", "\\", "<script>", "'; DROP TABLE prompts; --", "=1+1", "%s{0}", "🦊", "\ud83d", " ", ""]  # fmt: skip
_NUMBERS = [0, -1, 1, 200, 400, 2**31, 2**63, 10**30, 1.5, 1e308, float("nan"), float("inf")]
_WORDS = ["success", "succeeded", "failed", "3", "2", "pending", "per-prompt", "1080x1920", "0x0", "gpt-image-2", "data:image/png;base64,", "data:,", "file:///etc/hostname", "/a.png", "http://127.0.0.1:1/a.png", "http://[::1", "20012", "30003"]  # fmt: skip

texts = st.lists(st.one_of(st.text(max_size=12), st.sampled_from(_ODD), st.sampled_from(_WORDS)), max_size=4).map(
    "".join
)
"""Texts with everything that may be in one, half characters too."""
scalars = st.one_of(
    st.none(), st.booleans(), st.sampled_from(_NUMBERS), st.integers(), st.floats(), texts, st.sampled_from(_WORDS)
)
names = st.text(max_size=40).filter(lambda name: "/" not in name and "\0" not in name and _fits(name))
"""Names of files, without their ending."""


def _fits(name: str) -> bool:
    try:
        return len(name.encode()) <= 200
    except UnicodeEncodeError:
        return False


def nested(keys: list[str]) -> st.SearchStrategy[Any]:
    """JSON values whose objects have these keys more often than others."""
    key = st.one_of(st.sampled_from(keys), texts)
    return st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(key, inner, max_size=5)),
        max_leaves=12,
    )


def as_bytes(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """JSON as bytes: whole, cut, in odd encodings, or no JSON at all."""
    whole = values.map(lambda value: json.dumps(value).encode())
    cut = st.tuples(whole, st.integers(0, 40)).map(lambda given: given[0][: -given[1] or None])
    exotic = st.tuples(values, st.sampled_from(["utf-8-sig", "utf-16", "utf-32-be", "latin-1"])).map(
        lambda given: json.dumps(given[0]).encode(given[1], "replace")
    )
    deep = st.tuples(st.sampled_from([b"[", b'{"a":']), st.integers(1, 3_000)).map(lambda given: given[0] * given[1])
    return st.one_of(whole, whole, cut, exotic, deep, st.binary(max_size=60))


_FIELDS = ["image_prompt", "negative_prompt", "generation", *ParameterOverrides.model_fields]
_parameters = st.dictionaries(
    st.one_of(st.sampled_from(list(ParameterOverrides.model_fields)), texts), scalars, max_size=4
)
prompt_files = as_bytes(
    st.one_of(
        nested(_FIELDS),
        st.fixed_dictionaries(
            {"image_prompt": st.one_of(texts, scalars)},
            optional={"negative_prompt": st.one_of(texts, scalars), "generation": st.one_of(_parameters, scalars)},
        ),
    )
)
"""Contents of prompt files."""
overrides = as_bytes(st.dictionaries(texts, st.one_of(_parameters, scalars), max_size=4))
"""Contents of the file of recorded overrides."""
_cells = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=20),
    texts.filter(_fits),
)
rows = st.lists(st.tuples(st.one_of(st.integers(0, 5), _cells), _cells, _cells, _cells), max_size=6)
"""Rows of a prompt table without types: id, image id, prompt, descriptive name."""

_ANSWER_KEYS = ["code", "error", "message", "msg", "detail", "description", "data", "images", "url", "b64_json", "id", "task_id", "state", "status", "seed", "created"]  # fmt: skip
answers = nested(_ANSWER_KEYS)
"""What a service says, as JSON."""

_KINDS = [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"tRNS", b"gAMA", b"cHRM", b"acTL", b"fcTL", b"fdAT", b"caBX", b"pHYs", b"sRGB", b"\0\0\0\0"]  # fmt: skip
_KEYS = [b"parameters", b"duomi_generation", b"XML:com.adobe.xmp", b"Software", b"prompt", b"AIGC", b"\xff", b""]
_PICTURES = [encoded(gradient(SIZE, mode)) for mode in ("RGB", "RGBA", "L", "P", "1", "I;16")] + [
    encoded(gradient(SIZE), kind) for kind in ("JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
]
Change = Callable[[bytes], bytes]


def _at(position: int, data: bytes) -> int:
    return position % (len(data) + 1)


_text_chunks = st.tuples(
    st.sampled_from([b"tEXt", b"zTXt", b"iTXt"]), st.sampled_from(_KEYS), st.sampled_from([b"\0", b"\0\0", b"\0\1\0\0\0", b"\0\0\0\0\0"]), st.one_of(st.binary(max_size=60), prompt_files, st.integers(0, 200_000).map(lambda size: zlib.compress(bytes(size), 1)))
).map(lambda given: chunk(given[0], given[1] + given[2] + given[3]))  # fmt: skip
_chunks = st.one_of(
    _text_chunks, st.tuples(st.sampled_from(_KINDS), st.binary(max_size=40)).map(lambda given: chunk(*given))
)
_headers = st.tuples(
    st.sampled_from([0, 1, 24, 40, 5_000, 2**31 - 1, 2**32 - 1]), st.sampled_from([0, 1, 24, 40, 5_000, 2**32 - 1]), st.sampled_from([1, 2, 8, 16, 255]), st.sampled_from([0, 2, 3, 4, 6, 7]), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)
).map(lambda given: chunk(b"IHDR", struct.pack(">IIBBBBB", *given)))  # fmt: skip
_changes: st.SearchStrategy[Change] = st.one_of(
    st.tuples(st.integers(0, 5_000), st.integers(1, 255)).map(lambda g: lambda d: _flipped(d, _at(g[0], d), g[1])),
    st.integers(0, 5_000).map(lambda at: lambda d: d[: _at(at, d)]),
    st.tuples(st.integers(0, 5_000), st.binary(max_size=20)).map(lambda g: lambda d: d[: _at(g[0], d)] + g[1] + d[_at(g[0], d) :]),
    st.tuples(st.integers(0, 5_000), st.integers(1, 50)).map(lambda g: lambda d: d[: _at(g[0], d)] + d[_at(g[0], d) + g[1] :]),
    _chunks.map(lambda new: lambda d: d[:33] + new + d[33:]),
    _chunks.map(lambda new: lambda d: d[:-12] + new + d[-12:]),
    _headers.map(lambda new: lambda d: d[:8] + new + d[33:]),
)  # fmt: skip
pictures = st.tuples(st.sampled_from(_PICTURES), st.lists(_changes, max_size=3)).map(lambda given: _changed(*given))
"""Bytes of pictures: whole ones, and ones with up to three changes."""


def _flipped(data: bytes, at: int, mask: int) -> bytes:
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :] if at < len(data) else data


def _changed(data: bytes, changes: list[Change]) -> bytes:
    for change in changes:
        data = change(data)
    return data
