"""A person's choice of a picture: one that is there is kept, or another one is asked for with parameters of its own.

Both become the prompt's recorded overrides (`prompts.overrides`), so the choice stays under whatever `--outdated` does.
They are recorded before anything is bought or selected: after a kill the next run goes on with the choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from duomi_pipeline.duomi.request import settings_fingerprint
from duomi_pipeline.engine import PlannedPrompt, Session
from duomi_pipeline.engine.prompt_request import request_for
from duomi_pipeline.engine.save import Saver
from duomi_pipeline.images import Presence, StoreError
from duomi_pipeline.ledger import PictureFile, Purchase
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.prompts.overrides import Overrides, record_overrides
from duomi_pipeline.prompts.parameters import BadParametersError, checked_parameters
from duomi_pipeline.settings import ParameterOverrides, Settings


class ChoiceError(ValueError):
    """A picture cannot be the prompt's own choice; the text says why, and what to do."""


@dataclass(frozen=True)
class Version:
    """The pictures of a prompt that one purchase gave, of which one at least is not known to be gone.

    Attributes:
        number: 1 for the oldest, as the gallery counts.
        is_selected: whether they are the prompt's present ones.
        doubt: why nobody can tell now whether they are there; empty where that is known.
    """

    number: int
    purchase: Purchase
    files: tuple[PictureFile, ...]
    is_selected: bool
    doubt: str


@dataclass(frozen=True)
class Choice:
    """A version that is to become the prompt's own, and the prompt with the parameters that make it so."""

    prompt: Prompt
    version: Version
    parameters: ParameterOverrides


def versions_of(session: Session, prompt_id: str) -> list[Version]:
    """All versions of a prompt that are not known to be gone, the oldest first."""
    listing = session.store.listing()
    groups: dict[int, list[PictureFile]] = {}
    for file in session.ledger.pictures_of(prompt_id):
        groups.setdefault(file.purchase_id, []).append(file)
    there = [
        sorted(files, key=lambda file: file.position)
        for files in groups.values()
        if any(listing.presence(file.file, file.bytes) is not Presence.GONE for file in files)
    ]
    there.sort(key=lambda files: files[0].saved_at)
    purchases = session.ledger.purchases(groups)
    selection = session.ledger.selections([prompt_id]).get(prompt_id)
    selected = selection.purchase_id if selection else None
    return [
        Version(
            number,
            purchases[files[0].purchase_id],
            tuple(files),
            files[0].purchase_id == selected,
            next(filter(None, (listing.why_unknown(file.file) for file in files)), ""),
        )
        for number, files in enumerate(there, 1)
    ]


def choose(session: Session, prompt: Prompt, which: str) -> Choice:
    """The choice of a version of a prompt.

    Args:
        which: its number, or the name of one of its files.

    Raises:
        ChoiceError: there is no such version, or no parameters make the prompt's request that of the version.
    """
    versions = versions_of(session, prompt.id)
    found = [one for one in versions if which == str(one.number) or any(file.file == which for file in one.files)]
    if not found:
        raise ChoiceError(f"{prompt.id} has no version {which}: `duomi keep {prompt.id}` lists those that are there")
    if found[0].doubt:
        raise ChoiceError(f"{prompt.id}: {found[0].doubt}")
    return Choice(prompt, found[0], _parameters_of(session.settings, prompt, found[0].purchase))


def keep(session: Session, choices: Sequence[Choice]) -> None:
    """Make versions their prompts' own and present ones; nothing is sent.

    Raises:
        SourceError: the choice cannot be recorded; nothing was changed.
        ChoiceError: a file is gone or damaged; nothing was changed.
    """
    settings = session.settings
    fingerprint = settings_fingerprint(settings, settings.parameters)
    saver = Saver(session.ledger, session.store, fingerprint, settings.price, settings.currency)
    try:
        selections = [
            saver.selection(prompt, request_for(settings, prompt, settings.parameters), choice.version.files)
            for choice in choices
            for prompt in [with_parameters(choice.prompt, choice.parameters)]
        ]
    except StoreError as error:
        raise ChoiceError(str(error)) from error
    record(settings, {choice.prompt.id: choice.parameters for choice in choices})
    session.ledger.select_all(selections)


def own_parameters(
    settings: Settings, entries: Sequence[PlannedPrompt], parameters: ParameterOverrides
) -> dict[str, ParameterOverrides]:
    """The parameters that a person gave to chosen prompts, as each prompt's own, by prompt id.

    Raises:
        ChoiceError: a prompt's model does not take them.
    """
    for prompt in (entry.prompt for entry in entries):
        problem = request_for(settings, with_parameters(prompt, parameters), settings.parameters).problem
        if problem is not None:
            raise ChoiceError(f"{prompt.id}: {problem}")
    return {entry.prompt.id: parameters for entry in entries}


def record(settings: Settings, chosen: Mapping[str, ParameterOverrides], known: Overrides | None = None) -> None:
    """Record parameters as the prompts' own, over those recorded already.

    Args:
        known: for seeds that were drawn: what was recorded before. Of two that are drawn at once the first one stays,
            and both runs make one picture of it.

    Raises:
        SourceError: they cannot be recorded.
    """
    changes = {prompt_id: own for prompt_id, parameters in chosen.items() if (own := parameters.explicit())}
    if changes:
        record_overrides(settings.path(settings.overrides_file), changes, known)


def with_parameters(prompt: Prompt, parameters: ParameterOverrides) -> Prompt:
    """A prompt as it is once parameters are recorded for it."""
    return replace(prompt, overrides=parameters.over(prompt.overrides))


def _parameters_of(settings: Settings, prompt: Prompt, purchase: Purchase) -> ParameterOverrides:
    """The fewest parameters under which the prompt's request is that of a purchase."""

    def is_it(parameters: ParameterOverrides) -> bool:
        request = request_for(settings, with_parameters(prompt, parameters), settings.parameters)
        return request.key == purchase.request_key

    try:
        found = checked_parameters(_sent(purchase.content))
    except BadParametersError as error:
        raise ChoiceError(f"{prompt.id}: the record of that version cannot be used: {error}") from error
    if not is_it(found):
        raise ChoiceError(f"{prompt.id}: {_why_not(settings, prompt, found, purchase)}")
    for name in found.explicit():
        if is_it(fewer := found.model_copy(update={name: None})):
            found = fewer
    return found


def _sent(content: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a request was made from, as far as it tells them."""
    body = content["body"]
    told = {
        "model": body["model"],
        "image_size": content.get("delivery_size"),
        "negative_prompt": body.get("negative_prompt", ""),
        "batch_size": body.get("batch_size", body.get("n")),
        **{name: body.get(name) for name in ("num_inference_steps", "guidance_scale", "seed")},
    }
    return {name: value for name, value in told.items() if value is not None}


def _why_not(settings: Settings, prompt: Prompt, parameters: ParameterOverrides, purchase: Purchase) -> str:
    now = request_for(settings, with_parameters(prompt, parameters), settings.parameters)
    then = purchase.content
    if then["host_kind"] != now.host_kind:
        return f"that version was made by another service ({then['host_kind']}) than now ({now.host_kind})"
    if then["body"].get("prompt") != now.prompt:
        return (
            f"that version was made from another text. Put its text back into {prompt.origin}, and it is the picture "
            "of the prompt again, at no cost"
        )
    return "that version was asked for in another way (protocol, or size of the model) than the settings have now"
