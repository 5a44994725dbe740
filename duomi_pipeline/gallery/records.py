"""Plan and ledger as the gallery shows them: one card per prompt, with all pictures made for it. Cards: `cards`."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from duomi_pipeline.common.amounts import known_sum
from duomi_pipeline.engine import Plan, PlannedPrompt, Session, State
from duomi_pipeline.engine.looking import registered
from duomi_pipeline.engine.prompt_request import request_for
from duomi_pipeline.gallery.cards import Card, Step, Version
from duomi_pipeline.ledger import Billing, LedgerError, Origin, PictureFile, Post, Purchase, PurchaseState
from duomi_pipeline.maintenance.quality import Flag, flags_of

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


def make_cards(
    session: Session, plan: Plan, ids: Collection[str], sizes: Mapping[str, int], twins: Mapping[str, str]
) -> list[Card]:
    """The cards of some prompts of a plan, or of retired ones that still have pictures.

    Args:
        session: its ledger has purchases and files.
        plan: of all prompts.
        ids: of at most some thousand prompts.
        sizes: of the picture files on disk, by name.
        twins: of all prompts: `quality.find_twins`.

    Raises:
        LedgerError: a prompt was retired, or its picture removed, since the plan was made.
    """
    entries = _entries(session, plan, ids)
    pictures = _pictures_by_prompt(session, ids, sizes)
    bought = session.ledger.purchases({file.purchase_id for files in pictures.values() for file in files})
    unfinished = _purchases_without_pictures(session, entries.values())
    posts = _posts(session, [*bought, *(one.id for some in unfinished.values() for one in some)])
    cards: list[Card] = []
    for prompt_id in ids:
        entry, files = entries.get(prompt_id), pictures.get(prompt_id, ())
        selected = entry.selection.purchase_id if entry and entry.selection else None
        versions = _versions(files, bought, posts, selected)
        if entry is not None:
            failures = _failures(unfinished.get(entry.request.key, ()), posts)
            cards.append(_card(entry, versions, failures, flags_of(entry, sizes, twins)))
        elif versions:
            cards.append(_retired(prompt_id, versions))
        else:
            raise _changed_meanwhile(prompt_id)
    return cards


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


def _retired(prompt_id: str, versions: tuple[Version, ...]) -> Card:
    latest, *older = versions
    return Card(
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


def _entries(session: Session, plan: Plan, ids: Collection[str]) -> dict[str, PlannedPrompt]:
    """The entries of some prompts; those of settled ones, which the plan has not, as another plan would have them."""
    settled = [prompt_id for prompt_id in ids if prompt_id in plan.settled]
    entries = {prompt_id: plan.by_id[prompt_id] for prompt_id in ids if prompt_id in plan.by_id}
    if settled:
        settings, selections = session.settings, session.ledger.selections(settled)
        for prompt in registered(session.ledger, settled).prompts:
            request, selection = request_for(settings, prompt, settings.parameters), selections.get(prompt.id)
            if selection is None or selection.request_key != request.key:
                raise _changed_meanwhile(prompt.id)
            entries[prompt.id] = PlannedPrompt(prompt, State.CURRENT, request, selection, None)
    if gone := [prompt_id for prompt_id in settled if prompt_id not in entries]:
        raise _changed_meanwhile(gone[0])
    return entries


def _changed_meanwhile(prompt_id: str) -> LedgerError:
    return LedgerError(f"{prompt_id} was changed while the gallery was written: start again")


def _pictures_by_prompt(
    session: Session, ids: Collection[str], sizes: Mapping[str, int]
) -> dict[str, list[PictureFile]]:
    """The recorded pictures of some prompts whose files are on disk as they were written."""
    found = session.ledger.shown.files_of(ids)
    return {key: [one for one in files if sizes.get(one.file) == one.bytes] for key, files in found.items()}


def _purchases_without_pictures(session: Session, entries: Iterable[PlannedPrompt]) -> dict[str, list[Purchase]]:
    found: dict[str, list[Purchase]] = {}
    for purchase in session.ledger.purchases_of({entry.request.key for entry in entries}):
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
