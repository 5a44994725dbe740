"""Refusals, placeholders and text in another encoding: named, and good prompts never."""

import pytest

from duomi_pipeline.prompt_lint.findings import doubts
from duomi_pipeline_tests.prompts.harness import written_texts

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, I can’t assist with that request.",
    "Sorry, but I cannot generate images of real people.",
    "I apologize, but I cannot create this prompt.",
    "I can't create content like this. Would you like another scene?",
    "Unfortunately, I am unable to provide a description of this image.",
    "As an AI language model, I do not have the ability to see pictures.",
    "抱歉，我无法满足您的要求。",
    "很抱歉，这个请求我不能处理。",
    "作为一个AI语言模型，我不能描述这张图片。",
    "申し訳ありませんが、そのリクエストにはお応えできません。",
    "죄송하지만 그 요청은 도와드릴 수 없습니다.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Извините, но я не могу помочь с этим.",
    "I cannot fulfill this request.",
    "I'm afraid I can't create that image.",
    "I don't feel comfortable creating this content.",
    "This request violates our content policy.",
    "I'm unable to view images directly.",
    "I don't see any image attached.",
    "Please provide the image you would like me to describe.",
    "您好，我不能提供该描述。",
    "我看不到图片，请重新上传。",
    "该请求违反了内容政策。",
    "No puedo ayudar con esa solicitud.",
    "Je ne peux pas créer cette image.",
    "Ich kann dieses Bild nicht erstellen.",
    "Не могу помочь с этим запросом.",
]
PLACEHOLDERS = ["None", "nan", " null\n", "N/A", "[undefined]", "...", "-", '""', "Error: 429 Too Many Requests"]
CHINESE = "夜市里的面摊，霓虹灯"
MISREAD = [
    "Un cafÃ© Ã  la terrasse",
    "It’s dawn".encode().decode("cp1252"),
    CHINESE.encode().decode("latin-1"),
    CHINESE.encode("gbk").decode("latin-1"),
    "A caf\ufffd at dawn",
]
GOOD = [
    "A sorry-looking dog at a door, vertical composition",
    "A boy who can't help laughing, a girl beside him",
    'A sign that says "Sorry, I can\'t help", neon, night',
    "\"Sorry, I can't help\" on a shop's door, rain",
    "I am a lighthouse in the storm; make the sea high",
    "Le «CAFÉ», à l’été; naïve Ænderung, Ünïcode — déjà vu",
    "Ein Mädchen, dem es leid tut; Größe über alles",
    "一个说抱歉的女孩，雨夜",
    "无法触及的月亮，水面倒影",
    CHINESE,
    "Σίσυφος на горе, ÅÄÖ, São Paulo",
    "🌇🌇 日落 🌇🌇",
    "🌇",
    "。",
    "Please provide the image of a lighthouse, vertical",
    "I can't see the sea from here, a girl at a window",
    "None of the lamps is lit in the harbour",
    "Nan, a grandmother with silver hair, knitting",
    "Error 404 in neon letters above a bar",
    "This image violates perspective, after Escher",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_one_in_any_language(text: str) -> None:
    assert [doubt.kind for doubt in doubts(text)] == ["refusal"]


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_what_programs_write_for_no_text_is_told(text: str) -> None:
    assert [doubt.kind for doubt in doubts(text)] == ["placeholder"]


@pytest.mark.parametrize("text", MISREAD)
def test_text_in_another_encoding_is_told(text: str) -> None:
    assert [doubt.kind for doubt in doubts(text)] == ["encoding"]


@pytest.mark.parametrize("text", [*GOOD, *written_texts()])
def test_a_description_is_not_doubted(text: str) -> None:
    assert doubts(text) == ()
