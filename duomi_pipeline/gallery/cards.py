"""What the gallery shows, as frozen records. They are read from plan and ledger in `records`."""

from collections.abc import Mapping
from dataclasses import dataclass

from duomi_pipeline.ledger import PictureFile
from duomi_pipeline.maintenance.quality import Flag


@dataclass(frozen=True)
class Step:
    """One POST of a purchase, or what became of the purchase."""

    at: float
    what: str
    price: float | None = None


@dataclass(frozen=True)
class Version:
    """What one purchase gave to a prompt.

    Attributes:
        files: picture files that are on disk, in their order.
        prompt: the text that was sent.
        settings: every other field that was sent, as text.
        cost: of the whole purchase, `None` where no price was known.
        current: whether it is the prompt's selected one.
    """

    files: tuple[PictureFile, ...]
    model: str
    host_kind: str
    prompt: str
    seed: int | None
    settings: Mapping[str, str]
    delivery_size: str
    cost: float | None
    current: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Card:
    """One prompt, whatever its state.

    Attributes:
        state: of the prompt, or `retired` where its row or file is gone.
        model: of its picture, else the one that would be asked.
        reason: why there is no current picture, for people.
        made_at: when its picture was saved, seconds since 1970; 0 without a picture.
        picture: the first file of its selected pictures, if they are there.
        versions: the newest first.
        failures: steps of requests that gave no picture.
        flags: why a person should look at it.
    """

    id: str
    title: str
    text: str
    state: str
    source: str
    origin: str
    model: str
    reason: str | None
    made_at: float
    picture: str | None
    versions: tuple[Version, ...]
    wanted: Mapping[str, str]
    overrides: Mapping[str, str]
    failures: tuple[Step, ...]
    flags: tuple[Flag, ...]
