"""Prompt care: what is found in a text, what cleaning makes of it, and what must never be touched."""

import pytest

from duomi_pipeline.prompt_lint.cleaning import MAX_TEXT, clean
from duomi_pipeline.prompt_lint.findings import Limits, findings
from duomi_pipeline.prompt_lint.tokens import estimated_tokens, read_part
from duomi_pipeline_tests.prompts.harness import written_texts

SDXL = Limits(tokens=77, english_only=True)
LONG = "A harbour at dawn with many small boats, nets and ropes, gulls above the water, and a red lighthouse far away"

# As it is written, as it is sent, its negative prompt, the kinds that are found.
MESSY = [
    ("**Prompt:** A red boat", "A red boat", "", {"markdown", "preamble"}),
    ("Here's a detailed image generation prompt for you:\n\n**Prompt:**\n\nA fox", "A fox", "", {"markdown", "preamble"}),
    ("Sure! Here is your prompt: A fox", "A fox", "", {"preamble"}),
    ("Certainly, below is the image description:\nA fox", "A fox", "", {"preamble"}),
    ("**`/imagine prompt: A fox in the snow`**", "A fox in the snow", "", {"markdown", "preamble"}),
    ("**`/imagine prompt: A fox --ar 9:16`**", "A fox", "", {"markdown", "preamble", "parameters"}),
    ("text-to-image prompt: A fox", "A fox", "", {"preamble"}),
    ("Style: watercolour\nPrompt: A fox", "Style: watercolour\n\nA fox", "", {"preamble"}),
    ("好的，以下是图片提示词：\n一只狐狸\n\n负面提示词：模糊，文字", "一只狐狸", "模糊, 文字", {"preamble", "embedded_negative"}),
    ("# Fox\n\n- snow\n- birches\n> still", "Fox\n\nsnow\nbirches\nstill", "", {"markdown"}),
    ("```\nA *soft* __quiet__ fox\n```", "A soft quiet fox", "", {"markdown"}),
    ("A fox, [see](https://example.org/fox)", "A fox, see", "", {"markdown"}),
    ('"A fox under a sign "Open" in the snow"', 'A fox under a sign "Open" in the snow', "", {"quotes"}),
    ("“A fox”", "A fox", "", {"quotes"}),
    ("A fox\nNegative prompt: blurry, no tail", "A fox", "blurry, no tail", {"embedded_negative"}),
    ("A fox. Negative prompts (to avoid artefacts): blurry; text.", "A fox.", "blurry, text", {"embedded_negative"}),
    ("A fox\n\nNegative keywords:\n* blurry\n* text\n\nStyle: ink", "A fox\n\nStyle: ink", "blurry, text", {"markdown", "embedded_negative"}),
    ("A fox.\nAvoid: text, no hounds, ensure sharp fur", "A fox.\n\nensure sharp fur", "text, hounds", {"embedded_negative"}),
    ("A fox --ar 9:16 --v 6.1 --no text, people", "A fox", "text, people", {"parameters", "embedded_negative"}),
    ("A fox, <lora:fur_v2:0.8>, (bright eyes:1.3)", "A fox, bright eyes", "", {"parameters"}),
    ("A fox\nNegative prompt: text\nSteps: 20, Sampler: Euler a, Seed: 7", "A fox", "text", {"parameters", "embedded_negative"}),
    ('{"prompt": "A fox", "negative_prompt": "text"}', "A fox", "text", {"json", "embedded_negative"}),
    ("A fox\\nin the snow\\nat dusk", "A fox\nin the snow\nat dusk", "", {"json"}),
    ("Here are two options:\n\nOption 1 (short):\n\"A fox\"\n\nOption 2:\nA red fox in the snow", "A fox", "", {"preamble", "quotes", "several_prompts"}),
    ("Here's the prompt:\n\nPrompt:\n\"A fox.\n\nNegative prompt: text\"", "A fox.", "text", {"preamble", "quotes", "embedded_negative"}),
    (f"{LONG}.\n\n**Concise prompt:**\nA harbour", f"{LONG}.", "", {"too_long", "markdown", "several_prompts"}),
    ("A fox.\n\nBreakdown of elements and reasoning:\nSubject: a fox, as it is red", "A fox.", "", {"commentary"}),
    ("A fox.\n\nChoose the prompt that fits your model best.", "A fox.", "", {"commentary"}),
]  # fmt: skip

HEALTHY = [
    "A red boat on a silver lake, vertical composition",
    'A shop window with the words "Open" and "Here is the prompt: none" on its door, "Closed" below',
    '"Open" stands on the one door, on the other one "Closed"',
    "Here is a fox: red, sly and alone",
    "This is a poster with two versions of a logo: one red, one blue",
    "A terminal on a desk that shows\nthe prompt: C:\\>",
    "A clock (at 10:30), ratio (4:3), 5* hotel, f**k, 2 * 3, snake_case_name",
    "Negative space around a lone tree; a photo negative: inverted colours",
    "Seed: a small sunflower seed, macro photo",
    "A boy`s and a girl`s hands — no people else, without harsh shadows",
    "Subject: a fox.\nLighting: soft.\nStyle: ink.",
    "  A fox  \n\n\n\n  with gaps  ",
    "🦊🌨️",
    "“",
]

ALONE = ["Negative prompt: blurry", "**Prompt:**", "Prompt", "Seed: 42", "Here is the prompt:\n"]


@pytest.mark.parametrize(("text", "sent", "negative", "kinds"), MESSY)
def test_what_is_not_part_of_the_picture_is_found_and_taken_out(
    text: str, sent: str, negative: str, kinds: set[str]
) -> None:
    cleaned = clean(text)
    assert (cleaned.text, cleaned.negative_prompt) == (sent, negative)
    assert {finding.kind for finding in findings(text, Limits(tokens=24))} - {"too_long"} == kinds - {"too_long"}


@pytest.mark.parametrize("text", HEALTHY)
def test_a_healthy_prompt_is_not_touched_and_nothing_is_said_of_it(text: str) -> None:
    assert clean(text).text == text
    assert findings(text, SDXL) == ()


@pytest.mark.parametrize("text", [*(case[0] for case in MESSY), *HEALTHY, *ALONE])
def test_cleaning_twice_is_cleaning_once_and_never_leaves_nothing(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned.text).text == cleaned.text
    assert cleaned.text.strip()
    assert cleaned.text == text or cleaned.removals


@pytest.mark.parametrize("text", ALONE)
def test_a_prompt_of_which_nothing_would_be_left_is_sent_as_it_is(text: str) -> None:
    assert (clean(text).text, clean(text).negative_prompt) == (text, "")
    assert "empty_after_cleaning" in {finding.kind for finding in findings(text, SDXL)}


def test_a_negative_prompt_stays_in_the_text_where_the_model_has_no_field_for_it() -> None:
    text = "A fox\n\nNegative prompt: blurry"
    assert (clean(text, negative_field=False).text, clean(text, negative_field=False).negative_prompt) == (text, "")
    assert findings(text, Limits(negative_field=False)) == ()


def test_a_long_prompt_is_said_to_be_cut_and_where() -> None:
    (finding,) = findings(LONG, Limits(tokens=20))
    assert finding.kind == "too_long"
    assert 'reads 20: what comes after "…gulls above the water," is ignored' in finding.text
    assert findings(LONG, Limits(tokens=0)) == ()
    assert findings(LONG, Limits(tokens=77)) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("夜市里的面摊，竖幅构图", True),
        ("Девушка под дождём", True),
        ("A shop with the sign “夜市里的面摊，欢迎光临” at dusk", False),
        ("Café crème à Besançon", False),
    ],
)
def test_a_language_that_an_english_model_guesses_is_named(text: str, found: bool) -> None:
    assert [finding.kind for finding in findings(text, SDXL)] == ["language"] * found
    assert findings(text, Limits(tokens=77)) == ()


def test_a_finding_quotes_the_words_on_one_line_and_not_too_many() -> None:
    flags = " ".join(f"--seed {number}" for number in range(9))
    (finding,) = findings(f"A fox {flags} --style\n{'raw' * 60}", Limits())
    assert '"--seed 0", "--seed 1", "--seed 2", "--seed 3", …' in finding.text
    assert "\n" not in finding.text


# Counted with CLIP's own tokenizer, its two marks included.
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A clock tower above the fog, seen from a bridge at 6:45 in the morning", 21),
        (f"{LONG}. Extraordinarily luminous, photorealistic, hyperdetailed brushstrokes; volumetric atmosphere, 85mm, f/1.4", 52),
        ("夜市里的面摊，竖幅构图", 30),
    ],
)  # fmt: skip
def test_tokens_are_estimated_within_an_eighth(text: str, tokens: int) -> None:
    assert estimated_tokens(text) == pytest.approx(tokens, rel=1 / 8)


def test_the_part_that_is_read_begins_the_text_and_is_as_long_as_said() -> None:
    part = read_part(LONG, 20)
    assert LONG.startswith(part)
    assert estimated_tokens(part) == 20
    assert read_part("夜" * 100, 77) == "夜" * 25


@pytest.mark.parametrize(
    "text",
    [
        " " * 19_000 + "--",
        "[a" * 5_000 + "](",
        "avoid: a\n\n" * 1_000,
        "Prompt:" * 1_000,
        '{"a":' * 3_900,
        "“" * 2_000 + "”" * 2_000,
        "x" * 1_000_000,
    ],
)
@pytest.mark.timeout(20)
def test_hostile_texts_take_seconds_at_most(text: str) -> None:
    assert clean(clean(text).text).text == clean(text).text


def test_what_is_too_long_for_a_prompt_is_left_alone() -> None:
    text = "**Prompt:** " + "a fox " * MAX_TEXT
    assert clean(text).text == text


def test_prompts_as_people_write_them_lose_their_talk_and_keep_their_pictures() -> None:
    texts = written_texts()
    kinds = {removal.kind for text in texts for removal in clean(text).removals}
    assert kinds == set().union(*(case[3] for case in MESSY)) - {"too_long"}, "there is one of each kind"
    for text in texts:
        cleaned = clean(text)
        assert clean(cleaned.text).text == cleaned.text
        assert (cleaned.text == text) == (not cleaned.removals)
        assert "**" not in cleaned.text
        assert not cleaned.text.lower().startswith(("here's", "here are", "here is", "prompt", "option", "`"))
        if not {removal.kind for removal in cleaned.removals} & {"several_prompts", "commentary", "embedded_negative"}:
            assert len(cleaned.text) > 0.7 * len(text)
