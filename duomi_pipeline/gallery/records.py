"""Plan and ledger as the gallery shows them: one card per prompt, with every picture ever made for it."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from duomi_pipeline.common.amounts import known_sum
from duomi_pipeline.engine import Plan, PlannedPrompt, Session, State
from duomi_pipeline.gallery.cards import Card, Step, Version
from duomi_pipeline.ledger import Billing, Origin, PictureFile, Post, Purchase, PurchaseState
from duomi_pipeline.maintenance.quality import Flag

RETIRED = "retired"
_TIMESTAMP = re.compile(r"[_ .-]*\d{8}_?\d{6}(_\d{1,6})?$")
_SOURCES = (("json_single_prompt", "single_prompt"), ("json_", "json"), ("db_", "database"))
_HOW: Mapping[Origin, str] = {
    Origin.GENERATED: "saved",
    Origin.REUSED: "reused at no cost",
    Origin.ADOPTED: "found on disk",
}
_ASKED: Mapping[Billing, str] = {
    Billing.BILLED: "asked, billed",
    Billing.FREE: "asked, not billed",
    Billing.AMBIGUOUS: "asked, answer lost",
    Billing.SENT: "asked",
}
_NO_REASON: Mapping[State, str] = {
    State.MISSING: "No picture yet: duomi generate makes it.",
    State.FAILED_FOR_GOOD: "Refused, or paid without an answer.",
    State.FAILED_FOR_NOW: "Tried without success: duomi generate --failed tries again.",
}


def read_cards(
    session: Session, plan: Plan, sizes: Mapping[str, int], flags: Mapping[str, tuple[Flag, ...]]
) -> Iterator[Card]:
    """The cards of a plan in its order, then those of retired prompts that still have pictures.

    Args:
        session: whose ledger has the purchases and files.
        plan: of all prompts.
        sizes: of the picture files on disk, by name.
        flags: by prompt id.
    """
    by_prompt = _pictures_by_prompt(session, sizes)
    bought = session.ledger.purchases({file.purchase_id for files in by_prompt.values() for file in files})
    unfinished = _purchases_without_pictures(session, plan)
    posts = _posts(session, [*bought, *(one.id for some in unfinished.values() for one in some)])
    for entry in plan.entries:
        selected = entry.selection.purchase_id if entry.selection else None
        versions = _versions(by_prompt.pop(entry.prompt.id, ()), bought, posts, selected)
        failures = _failures(unfinished.get(entry.request.key, ()), posts)
        yield _card(entry, versions, failures, flags.get(entry.prompt.id, ()))
    for prompt_id, files in sorted(by_prompt.items()):
        yield from _retired(prompt_id, _versions(files, bought, posts, None))


def title_of(origin: str, name: str | None = None) -> str:
    """A title for people: the prompt's own name, else its file's name; a row without a name is `Prompt 12`.

    Without ending, time stamp and underscores, and with a capital where the first word has none.
    """
    if name is None and origin.startswith("prompts.id="):
        return f"Prompt {origin.removeprefix('prompts.id=')}"
    stem = origin.removesuffix(".json") if name is None else name
    title = _TIMESTAMP.sub("", stem).replace("_", " ").strip(" .") or stem
    return title[:1].upper() + title[1:] if title.split(" ", 1)[0].islower() else title


def _card(
    entry: PlannedPrompt, versions: tuple[Version, ...], failures: tuple[Step, ...], flags: tuple[Flag, ...]
) -> Card:
    prompt, failure = entry.prompt, entry.purchase
    current = next((v for v in versions if v.current and entry.state is not State.MISSING), None)
    reason = _NO_REASON.get(entry.state)
    if failure is not None and failure.error_class and reason is not None:
        reason = f"{failure.error_class}: {failure.error_message or reason}"
    elif entry.state is State.MISSING and entry.selection is not None:
        reason = "Its picture file is gone or was changed: duomi generate makes it again."
    return Card(
        id=prompt.id,
        title=title_of(prompt.origin, prompt.name),
        text=prompt.text,
        state=entry.state.value,
        source=prompt.source,
        origin=prompt.origin,
        model=current.model if current else entry.request.model,
        reason=reason,
        made_at=current.files[0].saved_at if current else 0.0,
        picture=current.files[0].file if current else None,
        versions=versions,
        wanted={"service": entry.request.host_kind, **_fields(entry.request.body)},
        overrides={name: str(value) for name, value in prompt.overrides.explicit().items()},
        failures=failures,
        flags=flags,
    )


def _retired(prompt_id: str, versions: tuple[Version, ...]) -> Iterator[Card]:
    if not versions:
        return
    latest, *older = versions
    yield Card(
        id=prompt_id,
        title=title_of(prompt_id.replace("db_", "prompts.id=", 1).removeprefix("json_")),
        text=latest.prompt,
        state=RETIRED,
        source=next((source for prefix, source in _SOURCES if prompt_id.startswith(prefix)), "json"),
        origin="its row or file is gone",
        model=latest.model,
        reason=None,
        made_at=latest.files[0].saved_at,
        picture=latest.files[0].file,
        versions=(replace(latest, current=True), *older),
        wanted={},
        overrides={},
        failures=(),
        flags=(),
    )


def _versions(
    files: Iterable[PictureFile],
    bought: Mapping[int, Purchase],
    posts: Mapping[int, Sequence[Post]],
    selected: int | None,
) -> tuple[Version, ...]:
    groups: dict[int, list[PictureFile]] = {}
    for file in files:
        groups.setdefault(file.purchase_id, []).append(file)
    newest_first = sorted(groups.items(), key=lambda group: -group[1][0].saved_at)
    return tuple(
        _version(bought[number], sorted(group, key=lambda file: file.position), posts.get(number, ()), selected)
        for number, group in newest_first
        if number in bought
    )


def _version(purchase: Purchase, files: list[PictureFile], posts: Sequence[Post], selected: int | None) -> Version:
    request = purchase.content
    body = request["body"]
    prices = [post.price for post in posts if post.billing == Billing.BILLED]
    paid = known_sum(prices) if prices else None
    first = files[0]
    return Version(
        files=tuple(files),
        model=str(body["model"]),
        host_kind=request["host_kind"],
        prompt=str(body.get("prompt", "")),
        seed=purchase.seed_used,
        settings=_fields(body),
        delivery_size=str(request.get("delivery_size", first.size)),
        cost=0.0 if paid is not None and first.origin == Origin.REUSED else paid,
        current=purchase.id == selected,
        steps=(*_sent(posts), Step(first.saved_at, _HOW[first.origin])),
    )


def _sent(posts: Sequence[Post]) -> Iterator[Step]:
    for post in posts:
        costs = post.billing in (Billing.BILLED, Billing.AMBIGUOUS)
        yield Step(post.sent_at, _ASKED[post.billing], post.price if costs else None)


def _failures(purchases: Iterable[Purchase], posts: Mapping[int, Sequence[Post]]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for purchase in purchases:
        steps += _sent(posts.get(purchase.id, ()))
        words = ": ".join(part for part in (purchase.state, purchase.error_class, purchase.error_message) if part)
        steps.append(Step(purchase.updated_at, words))
    return tuple(steps)


def _fields(body: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in body.items()
        if name != "prompt"
    }


def _pictures_by_prompt(session: Session, sizes: Mapping[str, int]) -> dict[str, list[PictureFile]]:
    """Every recorded picture whose file is on disk as it was written."""
    found: dict[str, list[PictureFile]] = {}
    for files in session.ledger.saved_files().values():
        for file in files:
            if sizes.get(file.file) == file.bytes:
                found.setdefault(file.prompt_id, []).append(file)
    return found


def _purchases_without_pictures(session: Session, plan: Plan) -> dict[str, list[Purchase]]:
    found: dict[str, list[Purchase]] = {}
    for purchase in session.ledger.purchases_of({e.request.key for e in plan.entries}):
        if purchase.state != PurchaseState.SAVED:
            found.setdefault(purchase.request_key, []).append(purchase)
    return found


def _posts(session: Session, purchase_ids: Collection[int]) -> dict[int, list[Post]]:
    """The POSTs of purchases; the page has one currency, the settings', so prices in another are unknown to it."""
    currency = session.settings.currency
    return {
        purchase_id: [one if one.currency == currency else replace(one, price=None) for one in sent]
        for purchase_id, sent in session.ledger.posts_of(purchase_ids).items()
    }
