"""`duomi why`: the history of one prompt, from plan and ledger."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from textwrap import indent
from typing import Any

import click

from duomi_pipeline.cli.asked_prompt import Asked, asked_prompt
from duomi_pipeline.cli.console import STATE_WORDS, json_option, moment, print_json, say
from duomi_pipeline.common.text import safe
from duomi_pipeline.engine import PlannedPrompt, Session
from duomi_pipeline.engine.looking import look
from duomi_pipeline.ledger import Billing, Origin, PurchaseState
from duomi_pipeline.prompts.overrides import read_overrides
from duomi_pipeline.settings import ParameterOverrides, Settings

_NAME = 13  # columns before a value
_ONLY_WHERE_TAKEN = {"seed", "num_inference_steps", "guidance_scale", "negative_prompt"}


@dataclass(frozen=True)
class _Value:
    """A value that differs from the settings.

    Attributes:
        source: where it comes from; `from` in JSON.
        settings: the value in the settings.
        sent: whether the model takes this parameter.
    """

    value: Any
    source: str
    settings: Any
    sent: bool

    def as_json(self) -> dict[str, Any]:
        return {"value": self.value, "from": self.source, "settings": self.settings, "sent": self.sent}


@dataclass(frozen=True)
class _Change:
    """A value in the request of the current picture, and in the request that would be sent now."""

    then: Any
    now: Any


@dataclass(frozen=True)
class _Picture:
    """One picture file that was made for the prompt."""

    file: str
    how: Origin
    saved_at: float
    size: str


@dataclass(frozen=True)
class _Kept:
    """A paid answer that gave no picture."""

    file: str
    reason: str
    bytes: int
    kept_at: float


@dataclass(frozen=True)
class _Sent:
    """One POST."""

    sent_at: float
    billing: Billing
    price: float | None
    currency: str


@dataclass(frozen=True)
class _PurchaseRecord:
    """One purchase of the prompt's request."""

    state: PurchaseState
    created_at: float
    task_id: str | None
    service: str | None
    error: str | None
    error_class: str | None
    posts: list[_Sent]


@dataclass(frozen=True)
class _History:
    """What is known about a prompt: the request that would be sent now, its pictures, every purchase of its request.

    The fields are the keys of `--json`.
    """

    prompt_id: str
    state: str
    left_out: str | None
    origin: str | None
    request: Mapping[str, Any] | None
    overrides: dict[str, Any]
    values: dict[str, _Value]
    made_with: dict[str, _Change]
    interrupted_purchase: bool
    current: list[str]
    pictures: list[_Picture]
    kept_answers: list[_Kept]
    purchases: list[_PurchaseRecord]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "values": {name: value.as_json() for name, value in self.values.items()}}


@click.command()
@click.argument("argument", metavar="ID|FILE")
@json_option
def why(argument: str, as_json: bool) -> None:
    """Print why a prompt is in its state, and what its picture was made from.

    ID is the partition key: db_12 for a table row, json_… for a file (see `duomi plan --json`). FILE is a prompt file
    or a picture. A row or file that gives no prompt is found, too.

    \b
    Examples:
      duomi why db_12
      duomi why out/prompt_json/boat.json
      duomi why out/generated_images/boat_20260111_083000_000.png
    """
    settings = Settings.load()
    with Session(settings) as session:
        sources = look(session.ledger, settings).completed(session.ledger)
        asked = asked_prompt(argument, session, sources)
        entry = session.plan([p for p in sources.prompts if p.id == asked.prompt_id]).by_id.get(asked.prompt_id)
        history = _history(session, asked, entry)
    if as_json:
        print_json(history.as_json())
        return
    for name, value in _lines(history, entry):
        # Lines of a prompt stand below its first one, so that none can be taken for one of ours.
        below = indent(safe(value), " " * _NAME).removeprefix(" " * _NAME)
        say(f"{f'{name}:':<{_NAME}}{below}", indent=_NAME)


def _history(session: Session, asked: Asked, entry: PlannedPrompt | None) -> _History:
    purchases = session.ledger.purchases_of([entry.request.key]) if entry else []
    posts = session.ledger.posts_of([purchase.id for purchase in purchases])
    current = entry.selection if entry else None
    return _History(
        prompt_id=asked.prompt_id,
        state=entry.state.value if entry else "left_out" if asked.left_out else "retired",
        left_out=asked.left_out,
        origin=entry.prompt.origin if entry else None,
        request=entry.request.content if entry else None,
        overrides=entry.prompt.overrides.explicit() if entry else {},
        values=_values(session.settings, entry) if entry else {},
        made_with=_made_with(session, entry) if entry else {},
        interrupted_purchase=entry.resumes if entry else False,
        current=[session.store.location(file.file) for file in current.files] if current else [],
        pictures=[
            _Picture(session.store.location(p.file), p.origin, p.saved_at, p.size)
            for p in session.ledger.pictures_of(asked.prompt_id)
        ],
        kept_answers=[
            _Kept(str(session.kept.path(one)), one.reason, one.bytes, one.kept_at)
            for one in (session.kept.of(entry.request.key) if entry else [])
        ],
        purchases=[
            _PurchaseRecord(
                state=purchase.state,
                created_at=purchase.created_at,
                task_id=purchase.task_id,
                service=purchase.service,
                error=purchase.error_message,
                error_class=purchase.error_class,
                posts=[_Sent(p.sent_at, p.billing, p.price, p.currency) for p in posts.get(purchase.id, [])],
            )
            for purchase in purchases
        ],
    )


def _values(settings: Settings, entry: PlannedPrompt) -> dict[str, _Value]:
    """Values that differ from the settings, with their source: see "Which value wins" in `docs/operations.md`."""
    recorded = read_overrides(settings.path(settings.overrides_file)).of(entry.prompt) or ParameterOverrides()
    own, body, below = entry.prompt.overrides.explicit(), entry.request.body, settings.parameters.model_dump()

    def value(name: str, own_value: Any, source: str) -> _Value:
        return _Value(own_value, source, below[name], sent=name in body or name not in _ONLY_WHERE_TAKEN)

    values = {
        name: value(name, own_value, "recorded override" if name in recorded.explicit() else "the prompt's JSON")
        for name, own_value in own.items()
        if own_value != below[name]
    }
    negative = body.get("negative_prompt", "")
    if "negative_prompt" in body and negative != own.get("negative_prompt", below["negative_prompt"]):
        values["negative_prompt"] = value("negative_prompt", negative, "the prompt's text, cleaned")
    return values


def _made_with(session: Session, entry: PlannedPrompt) -> dict[str, _Change]:
    """How the request of the current picture differs from the one that would be sent now."""
    if entry.selection is None or entry.selection.request_key == entry.request.key:
        return {}
    made, now = session.ledger.purchase(entry.selection.purchase_id).content, entry.request.content
    then, would = ({**content, **content["body"]} for content in (made, now))
    names = [name for name in {**then, **would} if name != "body" and then.get(name) != would.get(name)]
    return {name: _Change(then.get(name), would.get(name)) for name in names}


def _lines(history: _History, entry: PlannedPrompt | None) -> list[tuple[str, str]]:
    words = STATE_WORDS[entry.state] if entry else history.left_out or "its row or file is gone; its pictures stay"
    lines = [
        ("Prompt", f"{history.prompt_id} from {history.origin}" if history.origin else history.prompt_id),
        ("State", f"{history.state}: {words}"),
    ]
    if entry:
        body = entry.request.body
        asked = ", ".join(f"{name}={value}" for name, value in body.items() if name != "prompt")
        sent = entry.request.prompt
        lines += [
            ("Text", entry.prompt.text),
            *([("Sent", sent)] if sent != entry.prompt.text else []),
            ("Asked with", f"{asked} (service: {entry.request.host_kind})"),
        ]
    for name, own in history.values.items():
        unsent = "" if own.sent else "; not sent: the model does not take it"
        settings = f"the settings have {_shown(own.settings)}"
        lines.append(("Own value", f"{name}={_shown(own.value)} from {own.source}; {settings}{unsent}"))
    for name, change in history.made_with.items():
        lines.append(("Made with", f"{name}={_shown(change.then)}; would now be {_shown(change.now)}"))
    current = set(history.current)
    for picture in history.pictures:
        mark = " ← current" if picture.file in current else ""
        lines.append(("Picture", f"{picture.file} ({picture.how} {moment(picture.saved_at)}){mark}"))
    for kept in history.kept_answers:
        lines.append(("Kept", f"{kept.file} ({moment(kept.kept_at)}): {kept.reason}"))
    for purchase in history.purchases:
        billing = ", ".join(post.billing for post in purchase.posts) or "nothing sent"
        error = f", {purchase.error}" if purchase.error_class else ""
        lines.append(("Purchase", f"{moment(purchase.created_at)} {purchase.state}; requests: {billing}{error}"))
    return lines


def _shown(value: Any) -> str:
    return "(not sent)" if value is None else str(value) or "(empty)"
