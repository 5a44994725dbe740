"""The colours of a sandbox card, chosen from the words of its prompt.

Holds: the moods, what words call them, colour words, the arithmetic of colours.
Not here: shapes, text, the choice of a scene.
"""

import colorsys
import random
from dataclasses import dataclass, replace

from duomi_pipeline.sandbox.cards.words import ranked

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """Colours that belong together.

    `top`, `mid` and `low` paint the sky downwards; `far` and `near` are the most distant and the closest
    ground; `light` is sun, moon and lamps; `accent` the one colour that stands out; `panel` lies under the
    caption and `ink` is its text.
    """

    top: RGB
    mid: RGB
    low: RGB
    far: RGB
    near: RGB
    light: RGB
    accent: RGB
    panel: RGB
    ink: RGB

    @property
    def dark(self) -> bool:
        """Whether the sky is dark enough for stars and lit windows."""
        return luminance(self.top) < 75


def rgb(code: str) -> RGB:
    """The colour of a six digit hexadecimal code."""
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`first` with `share` (0 to 1) of `second` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def luminance(colour: RGB) -> float:
    """Perceived brightness, 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


# top, mid, low, far, near, light, accent; a paper mood adds panel and ink.
_MOODS = {
    "night": "0b1030 1f2a5c 5558a0 39437d 0c1230 f6edc8 ffb86b",
    "sunset": "2b1b4d a63a6b ffa35c 8a3f70 23122f fff0c2 ff6b4a",
    "dawn": "5a7fb5 e9a8a8 fde3c0 9f8fb0 3a3358 fff6df f2746b",
    "neon": "0a0620 3a0f66 c0298f 4a1f7e 0b0620 7df4ff ff3fb4",
    "pastel": "c3d4f4 f3d0e4 fff0dc b9b6dc 7680b4 fffaf0 f2819f fdf5ee 3d3a5c",
    "emerald": "0e3b3a 2f7d68 c4e0a4 3d8a72 0b2a2b f4f7c9 f2c14e",
    "gold": "3b2414 b5752f ffd98a 94602f 2a170c fff3c9 e0532f",
    "ocean": "0f4c81 3d94c4 cdeef0 4e8fb5 0c2a4a fffbe0 ff8a5c",
    "ice": "6f97bf b5d2e6 f2f8fb 93b2cd 2d4767 ffffff 4fb3dc",
    "ink": "dcd7ca f0ece1 faf7ef b3afa4 33322f c2412f b83227 f5f1e6 232220",
    "rose": "6a2c4f d76d8b ffd3cf b45c7d 3a1630 fff1e6 ff8aa5",
    "violet": "1c1147 5d3fa0 d9a7e8 5a449b 170d38 ffe9ff ffc861",
    "desert": "3f6c8f e3a873 f9dfb0 d18d5c 6b3323 fff6d8 c8502f",
    "fire": "1a0a0e 7d1c1c f2762e 6b1d1c 16080a ffe08a ff4b2b",
    "teal": "04283f 0b6a80 5fd0c5 14697c 03202f d8fff0 ff9d6e",
    "day": "3a86c8 8cc6ea f7f1d8 7fb0b8 2f5d50 fff8dc f2604a",
    "autumn": "4a5d73 d69a5e f7dca8 a8683f 3d2418 fff0c8 d8452a",
    "graphite": "14181f 3c4654 9aa7b2 4b5664 11141a e8f4ff ff7a3c",
}

_MOOD_WORDS = {
    "night": "night midnight moon moonlight moonlit starry stars nocturnal 夜 月 星空 深夜",
    "sunset": "sunset dusk evening twilight orange 日落 黄昏 晚霞 夕阳 橙",
    "dawn": "dawn sunrise morning soft gentle peach 黎明 日出 清晨 晨",
    "neon": "neon cyberpunk hologram holographic synthwave electric glitch magenta 霓虹 赛博 全息",
    "pastel": "pastel cute kawaii dreamy whimsical candy cotton baby watercolor 柔和 可爱 梦幻 粉彩 水彩",
    "emerald": "emerald green forest jungle moss lush jade bamboo leaf garden 翠 绿 森林 竹 青苔",
    "gold": "gold golden amber honey brass candlelight baroque royal 金 琥珀 烛光 皇",
    "ocean": "ocean sea blue azure beach wave sapphire cobalt 海 蓝 浪",
    "ice": "ice snow winter frost frozen snowy arctic white silver 冰 雪 冬 霜 白",
    "ink": "ink monochrome grayscale calligraphy sumi charcoal sketch 水墨 墨 书法 国画 黑白",
    "rose": "rose pink sakura blossom cherry romantic love valentine peony 樱 粉 玫瑰 桃花 浪漫",
    "violet": "violet purple lavender cosmic nebula galaxy mystical magic ethereal 紫 星云 银河 魔法",
    "desert": "desert dune sand canyon terracotta savanna egypt 沙漠 沙丘 峡谷 敦煌",
    "fire": "fire flame red crimson lava ember scarlet demon inferno 火 红 焰 熔岩",
    "teal": "teal turquoise cyan underwater aquatic coral deep reef 青 水下 海底 珊瑚",
    "day": "day sunny summer bright vibrant blue sky meadow 白天 晴 夏 阳光 明亮",
    "autumn": "autumn fall maple harvest pumpkin rustic brown vintage 秋 枫 南瓜 复古",
    "graphite": "graphite steel metal metallic industrial concrete black grey gray noir 钢 金属 工业 黑 灰",
}

# A style rules the colours wherever it is named, and however many colours are named beside it.
_STYLE_WORDS = {
    "ink": "sumi sumi-e monochrome grayscale calligraphy 水墨 国画 书法 黑白",
    "neon": "neon cyberpunk synthwave 霓虹 赛博",
    "pastel": "pastel pastels watercolor watercolour kawaii 水彩 粉彩 柔和",
}

_ACCENTS = {
    "d7263d": "red crimson scarlet ruby 红 朱",
    "ff7a2f": "orange tangerine copper 橙 橘",
    "ffc845": "gold golden yellow amber 金 黄",
    "35b779": "green emerald jade 绿 翠",
    "2fc6d6": "cyan teal turquoise 青",
    "3f7cf0": "blue azure sapphire 蓝",
    "9b5de5": "purple violet lavender 紫",
    "ff6fa5": "pink rose magenta 粉",
}


def choose_palette(text: str, rng: random.Random, words_rng: random.Random) -> Palette:
    """The palette of a prompt.

    Args:
        text: The prompt, lower-cased.
        rng: Depends on the seed too: turns the hues a little, sometimes takes the second-best mood.
        words_rng: Depends on the words alone: decides where no word names a mood.
    """
    moods = ranked(text, _STYLE_WORDS) or ranked(text, _MOOD_WORDS)
    mood = moods[0] if moods else words_rng.choice(sorted(_MOODS))
    if len(moods) > 1 and rng.random() < 0.3:
        mood = moods[1]
    colours = [rgb(code) for code in _MOODS[mood].split()]
    if len(colours) == 7:
        colours += [mix(colours[4], (8, 8, 12), 0.4), mix((255, 255, 255), colours[5], 0.35)]
    palette = Palette(*colours)
    named = [colour for colour in ranked(text, _ACCENTS)[:3] if _stands_out(rgb(colour), palette)]
    if named:
        palette = replace(palette, accent=rgb(named[0]))
    return palette if mood == "ink" else _turned(palette, rng.uniform(-0.035, 0.035))


def _stands_out(colour: RGB, palette: Palette) -> bool:
    return all(
        sum(abs(a - b) for a, b in zip(colour, other, strict=True)) > 130
        for other in (palette.mid, palette.far, palette.low)
    )


def _turned(palette: Palette, angle: float) -> Palette:
    """The palette with the hues of sky and ground turned by `angle` (1.0 is the full circle)."""

    def turn(colour: RGB) -> RGB:
        hue, light, saturation = colorsys.rgb_to_hls(*(part / 255 for part in colour))
        red, green, blue = colorsys.hls_to_rgb((hue + angle) % 1.0, light, saturation)
        return round(red * 255), round(green * 255), round(blue * 255)

    return replace(
        palette,
        top=turn(palette.top),
        mid=turn(palette.mid),
        low=turn(palette.low),
        far=turn(palette.far),
        near=turn(palette.near),
        panel=turn(palette.panel),
    )
