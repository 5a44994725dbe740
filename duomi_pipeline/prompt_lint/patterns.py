"""The regular expressions of `cleaning`. Tuned on real prompts: they rather miss something than remove too much."""

import re

# --- talk before the prompt, and labels ----------------------------------------------------------------

_OPENER = r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|alright|great|yes|got it|no problem)"
INTRODUCTION = re.compile(
    rf"""\s*(?:
        (?:{_OPENER}\b[^\n:]{{0,60}}?[!,.:—-]+\s+)?
        (?:here(?:['’]s|\ is|\ are)\ (?:[\w'’-]+,?\ ){{0,6}}?(?:prompts?|descriptions?|options|versions|variations)
          |(?:below\ (?:is|are)|this\ is|the\ following\ (?:is|are)|i(?:['’]ve|\ have)\ (?:created|written|crafted))
            \ (?:[\w'’-]+,?\ ){{0,6}}?(?:prompts?|descriptions?))\b
        [^\n:：]{{0,250}}(?:[:：](?=\s|$)|[.!]?[ \t]*(?=\n))
      | (?:sure(?:\ thing)?|certainly|of\ course|absolutely)!\s+
      | (?:(?:好的|当然(?:可以)?|没问题)[，,。！!]?\s*)?(?:以下是|下面是|这是)[^\n:：]{{0,80}}
        (?:提示词|描述|版本|方案)[^\n:：]{{0,40}}[:：]
      | (?:好的|当然(?:可以)?|没问题)[，,。！!]
    )""",
    re.IGNORECASE | re.VERBOSE,
)
# Only known words may stand before "prompt:": a picture may well show "a terminal with the prompt: …".
_SORT = (
    r"(?:full|detailed|concise|short|long|core|overall|final|main|complete|combined?|positive|image|picture|photo"
    r"|generation|generative|generator|text|ai|art|video|midjourney|stable|diffusion|sdxl|flux|dall-?e"
    r"|revised|refined|improved|optimi[sz]ed|enhanced|suggested|english)[ ,/-]+(?:(?:for|to)[ -])?"
)
_IN_BRACKETS = r"(?:\ ?\([^()\n]{0,80}\))?"
LABEL = re.compile(
    rf"""^[ \t]*(?:
        (?:/imagine\s+)?(?:{_SORT}){{0,5}}prompts?(?:\ \#?\d+)?(?:\ for\ [\w ]{{1,30}})?{_IN_BRACKETS}[ \t]*(?:[:：]|$)
      | (?:option|version|variation)\ \#?\d+{_IN_BRACKETS}[ \t]*(?:[:：]|$)
      | (?:(?:most|more|slightly|very)\ ){{1,2}}(?:concise|detail|detailed|descriptive){_IN_BRACKETS}[ \t]*[:：][ \t]*$
      | (?:正向|正面|图片|图像|画面|绘画|生成|完整|详细|最终|优化后的|英文|中文|AI)*(?:提示词|描述词|画面描述)
        [ \t]*(?:[:：]|$)
      | (?:方案|版本|选项)[ \t]?[一二三四五\d]+(?:（[^（）\n]{{0,40}}）)?[ \t]*(?:[:：]|$)
    )""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)

# --- talk after the prompt -----------------------------------------------------------------------------

EXPLANATION = re.compile(
    r"^[^\n:]{0,40}\b(?:breakdown of (?:the )?(?:elements|prompt)|explanation|reasoning|rationale|why this works)\b"
    r"[^\n:]{0,60}:[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
CLOSING = re.compile(
    r"\n[ \t]*\n[ \t]*(?:I (?:recommend|hope)|Hope (?:this|it)|(?:Choose|Pick|Select) the (?:one|prompt|option)"
    r"|Feel free|Let me know|Would you like|If you(?:['’]d| would) like|(?:This|These) prompts?\b"
    r"|You can (?:adjust|tweak|modify)|希望(?:这|您|你)|如果(?:您|你)?需要|如需)[^\n]*\s*\Z",
)

# --- marks and settings of other programs --------------------------------------------------------------

# Each: a part that every match has (to look for it first is much faster), the pattern, what stays of a match.
Rule = tuple[str, re.Pattern[str], str]
MARKDOWN: tuple[Rule, ...] = (
    ("```", re.compile(r"^[ \t]*```[\w+-]*[ \t]*$\n?|```", re.MULTILINE), ""),
    (">", re.compile(r"^[ \t]*>(?:[ \t]?>)*(?:[ \t]|$)", re.MULTILINE), ""),
    ("# ", re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+(?=\S)", re.MULTILINE), ""),
    ("", re.compile(r"^[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*$", re.MULTILINE), ""),
    ("", re.compile(r"^[ \t]*[*•‣▪-][ \t]+(?=\S)", re.MULTILINE), ""),
    ("**", re.compile(r"(?<!\w)\*{2,}|\*{2,}(?!\w)"), ""),
    ("__", re.compile(r"(?<!\w)__(?=[^\s_])([^\n]{1,500}?)(?<=[^\s_])__(?!\w)"), r"\1"),
    ("*", re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=[^\s*])\*(?![\w*])"), r"\1"),
    ("`", re.compile(r"(?<!\w)`([^`]+)`(?!\w)"), r"\1"),
    ("](", re.compile(r"!?\[([^\[\]\n]{1,200})\]\((?:https?://|/)[^)\s]{0,500}\)"), r"\1"),
)
_FLAGS = (
    r"aspect|ar|version|v|niji|stylize|style|s|quality|q|chaos|c|seed|iw|tile|weird|w|stop|repeat|r|sref|cref|cw|sw"
    r"|profile|p|hd|raw|turbo|fast|relax|upbeta|video|creative"
)
# Midjourney's flags, also where an editor made a dash of two hyphens; A1111's networks, lines of settings and weights
# such as `(glowing eyes:1.3)`: a time or a ratio in brackets has no decimal point.
PARAMETERS: tuple[Rule, ...] = (
    ("--", re.compile(rf",?[ \t]{{0,9}}(?<!\S)--(?:{_FLAGS})\b(?:[ \t]+(?!--)[^\s,`*]+)?", re.IGNORECASE), ""),
    ("—ar", re.compile(r",?[ \t]{0,9}(?<!\S)—ar[ \t]+\d+:\d+"), ""),
    ("<", re.compile(r",?[ \t]{0,9}<(?:lora|lyco|hypernet):[^<>\n]{1,200}>"), ""),
    ("Steps:", re.compile(r"\bSteps:[ ]?\d+,[ ][^\n]*"), ""),
    ("", re.compile(r"^(?:Steps|CFG scale|Seed|Clip skip|Denoising strength):[ \t]*[\d.]+[ \t]*$", re.MULTILINE), ""),
    ("Sampler:", re.compile(r"^Sampler:[ \t]*\w[^\n]{0,40}$", re.MULTILINE), ""),
    (":", re.compile(r"\(([^():\n]{1,200}):\d?\.\d+\)"), r"\1"),
)
JSON_KEYS = ("image_prompt", "prompt", "positive_prompt", "text")
QUOTES = (('"', '"'), ("“", "”"), ("'", "'"), ("‘", "’"), ("「", "」"), ("『", "』"))

# --- negative prompts ----------------------------------------------------------------------------------

# One of these is in every text that holds one; a search for them is much faster.
NEGATIVE_NEEDLES = ("negativ", "avoid", "exclu", "include", "--no", "负", "反", "避免", "不要")
# From the label to the end of its paragraph, or to a line that begins with another label. A label that is an
# instruction stands before phrases such as "no text", the others before a list of things.
NEGATIVE = re.compile(
    r"""(?:
        (?:^|(?<=[\s.;,。，；]))
        (?:negative\ (?:prompts?|keywords?|terms?|words?)|(?:负面|负向|反向)(?:提示词|关键词|描述词|词))
        (?:[ ]?[(（][^()（）\n]{0,120}[)）])?[ \t]*[:：]
      | ^negatives?[ \t]*[:：]
      | ^(?P<instruction>avoid|exclude|exclusions|do\ not\ include|don['’]t\ include|不要出现|避免(?:出现)?)[ \t]*[:：]
      | (?<!\S)--no[ \t]
    )\s*(?P<words>[^\n]+(?:\n(?![ \t]*(?:\n|[A-Z][\w /&'-]{0,40}:))[^\n]+)*)""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
NOT = re.compile(r"^(?:(?:no|not|avoid|without|do not include|don['’]t include)\s+|不要|避免|无)", re.IGNORECASE)
WISH = re.compile(r"(?:ensure|keep|make sure|maintain|include|use|focus)\b|确保|保持", re.IGNORECASE)
