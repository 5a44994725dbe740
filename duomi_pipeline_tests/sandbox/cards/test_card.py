"""The drawn card: the same everywhere, different for every prompt and seed, never broken by odd input."""

import io
import random
from dataclasses import replace

import pytest
from PIL import Image, ImageChops, ImageStat

from duomi_pipeline.sandbox.cards.caption import MARK, Caption, draw_mark, lay_out
from duomi_pipeline.sandbox.cards.card import card_png, draw_card
from duomi_pipeline.sandbox.cards.lettering import TEXT, TITLE, drawable, has_glyph
from duomi_pipeline.sandbox.cards.palette import choose_palette
from duomi_pipeline.sandbox.cards.vocabulary import PLACE_WORDS, SUBJECT_WORDS, WEATHER_WORDS
from duomi_pipeline.sandbox.cards.words import clean, title_of

SMALL = (270, 480)
HARBOUR = "A quiet harbour at dawn, fishing boats under a peach sky, gulls, soft mist over the water"


def difference(first: Image.Image, second: Image.Image) -> float:
    """The mean distance of two pictures, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(first, second)).mean) / 3


def printed(text: str) -> Image.Image:
    """Only the typography of a card, on black."""
    colours = choose_palette("", random.Random(1), random.Random(2))
    palette = replace(colours, panel=(0, 0, 0), ink=(255, 255, 255))
    image = Image.new("RGB", SMALL)
    lay_out(clean(text), SMALL, "seed 1").draw(image, palette)
    return image


def test_the_same_arguments_give_the_same_bytes() -> None:
    first = card_png(HARBOUR, seed=7, size=SMALL, model="a/b", index=1)
    assert first == card_png(HARBOUR, seed=7, size=SMALL, model="a/b", index=1)


def test_another_seed_index_or_prompt_gives_a_visibly_different_picture() -> None:
    card = draw_card(HARBOUR, seed=7, size=SMALL)
    assert difference(card, draw_card(HARBOUR, seed=8, size=SMALL)) > 2
    assert difference(card, draw_card(HARBOUR, seed=7, size=SMALL, index=1)) > 2
    assert difference(card, draw_card("A robot gardener in a neon city", seed=7, size=SMALL)) > 10


def test_a_card_is_never_blank_or_flat() -> None:
    for prompt in ("", HARBOUR, "霓虹街道的雨夜"):
        assert min(ImageStat.Stat(draw_card(prompt, seed=3, size=SMALL)).stddev) > 15


def test_the_png_says_that_it_comes_from_the_sandbox() -> None:
    image = Image.open(io.BytesIO(card_png(HARBOUR, seed=7, size=SMALL)))
    assert image.format == "PNG"
    assert image.size == SMALL
    assert image.info["Software"] == "Duomi Sandbox"
    assert image.info["Comment"] == "SANDBOX: drawn locally, not by a model"


@pytest.mark.parametrize("size", [(64, 64), (270, 480), (1080, 1920)])
def test_the_mark_is_written_in_the_picture_at_every_size(size: tuple[int, int]) -> None:
    palette = choose_palette("night", random.Random(1), random.Random(2))
    plain = Image.new("RGB", size, palette.top)
    marked = plain.copy()
    draw_mark(marked, palette, index=0)
    box = ImageChops.difference(plain, marked).getbbox()
    assert box is not None
    assert box[0] >= 0
    assert box[2] <= size[0]
    assert (box[2] - box[0]) * (box[3] - box[1]) > len(MARK) * 25


@pytest.mark.parametrize(
    "size",
    [
        (64, 64),
        (64, 1024),
        (1024, 64),
        (65, 97),
        (109, 300),
        (300, 111),
        (512, 512),
        (1280, 720),
        (2048, 512),
    ],
)
def test_every_size_is_drawn_exactly(size: tuple[int, int]) -> None:
    card = draw_card(HARBOUR, seed=1, size=size, model="some/model")
    assert card.size == size
    assert card.mode == "RGB"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "   \n\t ",
        "word " * 10_000,
        "x" * 50_000,
        "龘" * 50_000,
        "a\x00b\x07c\x1b[31m\u200b\ufeff\ud800",
        "🐉🚀👩‍👩‍👧‍👦",
        "مدينة في الليل والمطر",
        "<script>alert('x')</script><b>A castle</b>",
        "**Prompt:**\n\n# Title\n- one\n- two",
        "%s {} \\ \" ' `code` ../../etc",
    ],
)
def test_any_prompt_is_drawn(prompt: str) -> None:
    assert draw_card(prompt, seed=-1, size=SMALL).size == SMALL


def test_every_subject_place_and_weather_can_be_painted() -> None:
    for words in (PLACE_WORDS, SUBJECT_WORDS, WEATHER_WORDS):
        for calling in words.values():
            assert draw_card(calling.split()[0], seed=2, size=(90, 160)).size == (90, 160)


def test_a_character_that_the_fonts_lack_changes_nothing_in_the_text() -> None:
    assert not has_glyph(TEXT, "🚀")
    assert not has_glyph(TEXT, "م")
    assert difference(printed("Quiet harbour at dawn"), printed("Quiet harbour 🚀 at م dawn")) == 0


def test_a_chinese_title_is_drawn_with_its_own_characters() -> None:
    caption = lay_out(clean("霓虹街道的雨夜，一个女孩撑伞走过"), SMALL, "seed 1")
    assert "".join(caption.title) == "霓虹街道的雨夜"
    assert all(has_glyph(TITLE, char) for char in "霓虹街道的雨夜")
    assert difference(printed("霓虹街道的雨夜"), printed("雪山脚下的小镇")) > 0


def test_the_title_skips_preambles_markup_and_the_kind_of_shot() -> None:
    preamble = "Here's a detailed image generation prompt for it:\n\n**Prompt:**\n\n"
    assert title_of(clean(preamble + "A wide shot of a paper boat at sea.")) == "Paper boat at sea"
    assert title_of(clean("<p>Lighthouse &amp; storm</p>")) == "Lighthouse &amp; storm"
    assert title_of(clean("提示词：古镇清晨，薄雾")) == "古镇清晨，薄雾"


def test_no_line_of_text_is_wider_than_its_room() -> None:
    for text in (HARBOUR * 4, "y" * 900, "汉字" * 400, "a b " * 300):
        for size in (SMALL, (1080, 1920), (1920, 1080), (150, 400)):
            caption = lay_out(text, size, "seed 51515151 · some-model · 1080×1920")
            assert _widest(caption) <= size[0] - 2 * caption.margin
            assert caption.top > size[1] * 0.3


def test_blanks_left_by_missing_characters_are_closed() -> None:
    assert drawable(TEXT, "one 🚀 two") == "one two"


def _widest(caption: Caption) -> float:
    lines = [caption.title_style.width(line) for line in caption.title]
    lines += [caption.body_style.width(line) for line in caption.body]
    return max([*lines, caption.footer_style.width(caption.footer)])
