"""Which scene a prompt becomes: a place, a subject and weather, from its words.

Holds: the words that call each part, and what goes with what. Not here: how the parts are painted.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from duomi_pipeline.sandbox.cards.palette import Palette
from duomi_pipeline.sandbox.cards.parts import animals as creatures
from duomi_pipeline.sandbox.cards.parts import buildings, land, machines, people, places, sky, things
from duomi_pipeline.sandbox.cards.stage import Stage
from duomi_pipeline.sandbox.cards.vocabulary import PLACE_WORDS, SUBJECT_WORDS, WEATHER_WORDS
from duomi_pipeline.sandbox.cards.words import ranked

Painter = Callable[[Stage, Palette, random.Random], None]

# Where a subject is shown when the prompt names no place.
_HOME = {
    **dict.fromkeys(("portrait", "flowers", "gem", "butterfly", "robot"), ("studio",)),
    **dict.fromkeys(
        ("wanderer", "warrior", "wizard", "couple", "dragon", "bird"), ("mountains", "hills", "sea", "desert")
    ),
    **dict.fromkeys(("cat", "fox", "dog", "rabbit", "bear", "deer"), ("hills", "forest", "meadow", "mountains")),
    **dict.fromkeys(("tree", "house", "castle", "pagoda", "balloon", "lanterns"), ("hills", "mountains", "meadow")),
    "umbrella": ("street", "city"),
    "boat": ("sea",),
    "lighthouse": ("sea",),
    "fish": ("underwater",),
    "rocket": ("space",),
    "bowl": ("room",),
    "cake": ("room", "studio"),
}
_ANYWHERE = ("abstract", "mountains", "sea", "hills", "city", "abstract")
# Large subjects hide what lies behind them: a busy place would only fight with them.
_LARGE = frozenset({"portrait", "robot", "flowers", "gem", "bowl", "cake"})
_QUIET = {"street": "city", "sea": "studio", "meadow": "studio", "desert": "studio", "underwater": "studio"}

_PLACES: Mapping[str, Painter] = {
    paint.__name__: paint
    for paint in (
        land.mountains, land.hills, land.meadow, land.desert, land.sea, land.forest, land.underwater,
        places.city, places.street, places.room, places.space, places.studio, places.abstract,
    )
}  # fmt: skip
_SUBJECTS: Mapping[str, Painter] = {
    paint.__name__: paint
    for paint in (
        people.portrait, people.wanderer, people.umbrella, people.warrior, people.wizard, people.couple,
        machines.robot, machines.boat, machines.balloon, machines.rocket,
        creatures.cat, creatures.fox, creatures.dog, creatures.rabbit, creatures.bear, creatures.deer,
        creatures.bird, creatures.fish, creatures.butterfly, creatures.dragon,
        things.flowers, things.tree, things.lanterns, things.bowl, things.cake, things.gem,
        buildings.house, buildings.castle, buildings.pagoda, buildings.lighthouse,
    )
}  # fmt: skip
_WEATHERS: Mapping[str, Painter] = {
    paint.__name__: paint for paint in (sky.rain, sky.snow, sky.petals, sky.sparks, sky.haze, sky.beams, sky.birds)
}

# Places without weather.
_INDOORS = frozenset({"room", "underwater", "space"})
# What falls is closer than the subject; fog, light and birds lie behind it.
_IN_FRONT = frozenset({"rain", "snow", "petals"})


@dataclass(frozen=True)
class Scene:
    """The parts of a card's picture; there is always a place."""

    place: str
    subject: str | None
    weather: tuple[str, ...]

    def paint(self, stage: Stage, palette: Palette, rng: random.Random) -> None:
        """Paints the place, the subject in it, and the weather around both."""
        _PLACES[self.place](stage, palette, rng)
        for weather in self.weather:
            if weather not in _IN_FRONT:
                _WEATHERS[weather](stage, palette, rng)
        if self.subject is not None:
            _SUBJECTS[self.subject](stage, palette, rng)
        for weather in self.weather:
            if weather in _IN_FRONT:
                _WEATHERS[weather](stage, palette, rng)


def choose_scene(text: str, rng: random.Random, words_rng: random.Random) -> Scene:
    """The scene of a prompt.

    Args:
        text: The prompt, lower-cased.
        rng: Depends on the seed too: chooses among what goes with the words.
        words_rng: Depends on the words alone: decides where they name nothing.
    """
    subjects, found = ranked(text, SUBJECT_WORDS), ranked(text, PLACE_WORDS)
    subject = subjects[0] if subjects else None
    place = found[0] if found else rng.choice(_HOME[subject]) if subject else words_rng.choice(_ANYWHERE)
    if subject == "boat" and place != "space":
        place = "sea"
    if subject in _LARGE:
        place = "room" if subject == "bowl" else _QUIET.get(place, place)
    elif place in {"studio", "room"} and subject not in {None, "cat", "fish", "butterfly", "bird", "dragon"}:
        place = rng.choice(_HOME[subject]) if subject else place
    if subject is None:
        subject = {"studio": "portrait", "underwater": "fish"}.get(place)
    weather = tuple(ranked(text, WEATHER_WORDS)[:2])
    return Scene(place, subject, tuple(name for name in weather if place not in _INDOORS or name == "sparks"))
