"""Ids that are partition keys, names that begin file names, and the version of what is drawn."""

import re
import unicodedata
from itertools import combinations
from pathlib import PurePosixPath
from typing import Any

import pytest

from duomi_pipeline.prompts import Prompt
from duomi_pipeline.prompts.prompt import file_prompt_id, former_file_prompt_id, safe_prefix
from duomi_pipeline.settings import ParameterOverrides

STEMS = [
    "plain", "a_b", "a-b", "a,b", "a b", "a.b", "a:b", "..", "...", "~", "-", "a\nb", "a\n", "a\tb", "[x]", "%2e",
    "Cat!", "cat!", "Cat", "cat", "城市", "城巿", "🌇", "é", "e\u0301", "\udcff", "a'b\"c", "a`$(x)", "心", "心\ufe0f", "ﬁ", "fi", "城" * 65, "城" * 66, "城" * 67, "x" * 95, "x" * 96,
    "x" * 97, "x" * 245, "é" * 122, "é" * 121, "*", "?", "|", " ", "\u202e",
]  # fmt: skip


def prompt(text: str = "a boat", overrides: ParameterOverrides | None = None, **where: str) -> Prompt:
    given: dict[str, Any] = {"id": "json_a", "origin": "a.json", "file_prefix": "a", **where}
    return Prompt(text=text, source="json", overrides=overrides or ParameterOverrides(), **given)


@pytest.mark.parametrize(
    "stem",
    ["plain", "A-b_9", "x" * 95, "城市_20260111", "Café", "Ωmega-7", "एक_नाव", "เรือ", "قارب", "배", "٣", "城" * 65],
)
def test_a_stem_of_letters_and_digits_of_any_script_is_the_id(stem: str) -> None:
    assert file_prompt_id(stem) == f"json_{stem}"


@pytest.mark.parametrize("stem", STEMS)
def test_every_id_is_a_safe_partition_key(stem: str) -> None:
    found = file_prompt_id(stem)
    assert re.fullmatch(r"[\w-]{1,100}", found)
    assert len(found.encode()) <= 200
    assert unicodedata.is_normalized("NFC", found)
    assert found.isprintable()


@pytest.mark.parametrize(
    ("stem", "shown"),
    [
        ("城市，夜", "json_城市_夜-"),
        ("e\u0301", "json_é-"),
        ("a\u3164b", "json_a_b-"),
        ("心\ufe0f", "json_心_-"),
        ("城" * 66, "json_" + "城" * 62 + "-"),
        ("é" * 96, "json_" + "é" * 86 + "-"),
    ],
)
def test_what_cannot_stay_is_told_apart_by_a_hash(stem: str, shown: str) -> None:
    assert re.fullmatch(re.escape(shown) + "[0-9a-f]{8}", file_prompt_id(stem))


@pytest.mark.parametrize("stem", ["plain", "a b", "Cat!", "x" * 245, "\udcff", "é\udcff"])
def test_ids_of_names_in_ascii_or_no_encoding_are_what_they_were(stem: str) -> None:
    assert file_prompt_id(stem) == former_file_prompt_id(stem)


def test_no_two_stems_share_an_id() -> None:
    shared = [(a, b) for a, b in combinations(STEMS, 2) if file_prompt_id(a) == file_prompt_id(b)]
    assert shared == []


def test_stems_that_are_alike_after_the_reduction_differ_without_case_too() -> None:
    ids = {file_prompt_id(stem).lower() for stem in ("Cat!", "cat!", "cat?", "CAT!", "cat_")}
    assert len(ids) == 5


@pytest.mark.parametrize(
    "name",
    [*STEMS, "../../etc/passwd", "/etc/passwd", "a/b\\c", "\x00\x1f\x7f", ".hidden", "a" * 300, "城" * 100],
)
def test_every_prefix_begins_a_plain_file_name(name: str) -> None:
    prefix = safe_prefix(name)
    picture = PurePosixPath(f"{prefix}_20260101_000000_000_4.png")
    assert len(picture.parts) == 1
    assert not picture.name.startswith(".")
    assert len(picture.name.encode()) <= 255 - len(".tmp")
    assert not re.search(r'[\x00-\x1f\x7f/\\:*?"<>|]', prefix)


@pytest.mark.parametrize("name", ["a cat, asleep", "城市_20250909", "A-b (1)"])
def test_a_prefix_keeps_what_a_file_name_may_hold(name: str) -> None:
    assert safe_prefix(name) == name


@pytest.mark.parametrize(
    "other",
    [
        prompt("another boat"),
        prompt("a boat "),
        prompt(overrides=ParameterOverrides(negative_prompt="blur")),
        prompt(overrides=ParameterOverrides(seed=0)),
        prompt(overrides=ParameterOverrides(seed="per-prompt")),
    ],
)
def test_text_and_overrides_make_another_version(other: Prompt) -> None:
    assert other.version != prompt().version


@pytest.mark.parametrize(
    "other",
    [
        prompt(id="json_b", origin="b.json", file_prefix="b"),
        prompt(overrides=ParameterOverrides(seed=None)),
        Prompt("db_1", "a boat", "database", "prompts.id=1", "db_1", image_id=5),
    ],
)
def test_where_a_prompt_stands_makes_no_other_version(other: Prompt) -> None:
    assert other.version == prompt().version


def test_the_order_of_overrides_makes_no_other_version() -> None:
    one, two = ParameterOverrides(seed=1, guidance_scale=7), ParameterOverrides(guidance_scale=7.0, seed=1)
    assert prompt(overrides=one).version == prompt(overrides=two).version
