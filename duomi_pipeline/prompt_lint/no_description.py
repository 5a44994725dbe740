"""Texts that describe no picture: refusals, what programs write for no text, text that was read in another encoding.

Each is recognised by its beginning or its characters alone: they rather miss something than doubt a good prompt.
"""

import re

_LATIN_PAIRS = re.compile("[ÂÃ][\x80-\xbf]|[\x80-\xff\u0152-\u017e\u02c6\u02dc\u2013-\u203a\u20ac\u2122]{3,}")
_RUN_OF_BYTES = re.compile("[\x80-\xff]{4,}")
_REFUSAL = re.compile(
    r"""\s*(?:
        (?:(?:unfortunately|apologies|i\ apologi[sz]e|(?:i(?:['’]m|\ am)\ )?afraid
            |(?:i(?:['’]m|\ am)\ (?:(?:very|really|so|deeply)\ )?)?sorry)\b
          [^\n]{0,40}?)?
          \bi(?:\ can(?:['’]t|not|\ not)|\ won['’]t|(?:['’]m|\ am)\ (?:unable|not\ able)\ to|\ must\ decline\ to)\s+
          (?:help|assist|create|generate|provide|fulfill?|comply|write|describe|continue|support|do|produce|make|engage
            |process|answer|identify|complete)\b
      | (?:i['’]m|i\ am)\ (?:very\ |really\ |so\ )?sorry,?\ (?:but\ )?(?:i\ can|this|that|as\ an)
      | i\ (?:can(?:['’]t|not|\ not)|(?:do\ not|don['’]t)|am\ unable\ to)\ (?:actually\ |directly\ )?
          (?:see|view|open|access|analy[sz]e)\ (?:an?y?\ |the\ |this\ |your\ )?(?:attached\ |uploaded\ )?
          (?:image|picture|photo|attachment|file)s?\b
      | i['’]m\ unable\ to\ (?:directly\ )?(?:see|view|open|access|analy[sz]e)\b
      | (?:i\ (?:do\ not|don['’]t)\ feel|i(?:['’]m|\ am)\ not)\ comfortable\b
      | (?:this|that|your)\ (?:request|prompt|image|content)\ [^\n]{0,40}?
          \b(?:violates?|goes\ against)\b[^\n]{0,40}?\b(?:polic|guideline|terms)
      | please\ (?:provide|upload|share|attach)\ (?:the|your)\ (?:image|picture|photo)\b(?!\ of)
      | as\ an?\ (?:ai|large\ language|language)\ (?:language\ )?(?:model|assistant)\b
      | (?:很|非常|十分)?(?:抱歉|对不起|不好意思)[^\n]{0,40}?(?:无法|不能|没办法|没法)
      | (?:作为|身为)(?:一个|一名)?(?:AI|人工智能|大?语言模型)
      | (?:您好|你好)?[，,。！!]?\s?我(?:无法|不能)(?:生成|提供|创建|创作|协助|帮助|满足|回答|描述|查看|处理|识别)
      | 我(?:看不到|没有看到|没有收到)[^\n]{0,10}?(?:图|照片|附件)
      | (?:该|此|您的)(?:请求|内容)[^\n]{0,20}?违反
      | (?:申し訳(?:ありません|ございません)|すみません|ごめんなさい)[^\n]{0,80}?(?:できません|できない|出来ません)
      | 죄송[^\n]{0,80}?(?:수\ 없|없습니다)
      | lo\ siento[^\n]{0,40}?\bno\ (?:puedo|me\ es\ posible)
      | no\ puedo\ (?:ayudar|crear|generar|cumplir)
      | (?:je\ suis\ )?désolée?[^\n]{0,40}?\bje\ ne\ (?:peux|suis)
      | je\ ne\ peux\ pas\ (?:vous\ aider|aider|créer|générer|répondre)
      | (?:es\ )?tut\ mir\ leid[^\n]{0,60}?\b(?:kann|darf|nicht)\b
      | (?:leider\ kann\ ich|ich\ kann)\ [^\n]{0,40}?\bnicht\ (?:helfen|erstellen|erzeugen|generieren)\b
      | (?:desculpe|sinto\ muito|lamento)[^\n]{0,40}?\bnão\ (?:posso|consigo)
      | não\ posso\ (?:ajudar|criar|gerar)
      | mi\ dispiace[^\n]{0,40}?\bnon\ posso
      | non\ posso\ (?:aiutar|creare|generare)
      | (?:извините|к\ сожалению|простите)[^\n]{0,40}?\bне\ (?:могу|можем)
      | (?:я\ )?не\ могу\ (?:помочь|создать|сгенерировать|выполнить)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
# The whole text, or its beginning, as programs write it where there is no text.
_PLACEHOLDER = re.compile(
    r"[\s!-/:-@\[-`{-~]*(?:(?:none|null|nil|nan|n/a|undefined|unknown|error)[\s!-/:-@\[-`{-~]*)?\Z"
    r"|\s*(?:error(?:\ code)?:\ \d{3}\b|traceback \(most recent call last\))",
    re.IGNORECASE,
)


def refusal(text: str) -> str | None:
    """The words with which a language model refuses to write a prompt; `None` if it did not."""
    found = _REFUSAL.match(text)
    return found[0] if found else None


def placeholder(text: str) -> str | None:
    """What a program wrote where it had no text, such as `None`, or only punctuation; `None` if it did not."""
    found = _PLACEHOLDER.match(text)
    return found[0].strip() if found else None


def misread(text: str) -> str | None:
    """Characters that show that a text was read in another encoding than it was written in; `None` if none do."""
    if text.isascii():  # most are, and the patterns look at every character
        return None
    if "\ufffd" in text:
        return "\ufffd"
    utf8 = (run[0] for run in _LATIN_PAIRS.finditer(text) if _is_text(_bytes(run[0]), "utf-8"))
    gbk = (run[0] for run in _RUN_OF_BYTES.finditer(text) if _is_text(run[0].encode("latin-1"), "gbk"))
    return next(utf8, None) or next(gbk, None)


def _bytes(run: str) -> bytes:
    """The bytes that were read as Windows-1252, or as Latin-1 where that has no character."""
    return b"".join(character.encode("cp1252", "ignore") or character.encode("latin-1", "ignore") for character in run)


def _is_text(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
