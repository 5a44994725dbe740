"""Build the request for a prompt, with its text cleaned if the settings say so, and lint it for its model.

The lint rules are in `prompt_lint` and do not know models; the request itself is built in `duomi.request`. The rules
are imported where a text is read: most plans read none, and many patterns have to be compiled.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from duomi_pipeline.duomi import ImageRequest, build_request
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.settings import ImageParameters, Settings

if TYPE_CHECKING:
    from duomi_pipeline.prompt_lint.findings import Finding


def request_for(settings: Settings, prompt: Prompt, below: ImageParameters, model: str | None = None) -> ImageRequest:
    """The request for a prompt; with the cleaned text where `clean_prompts` is on.

    A negative prompt inside the text is added to the prompt's own one, and overrides run and settings like it.

    Args:
        below: the parameters of run and settings.
        model: a fallback model, instead of the prompt's.
    """
    parameters = prompt.overrides.over(below)
    if model is not None:
        parameters = parameters.model_copy(update={"model": model})
    request = build_request(settings, prompt.id, prompt.text, parameters)
    if not settings.clean_prompts:
        return request
    from duomi_pipeline.prompt_lint.cleaning import clean  # noqa: PLC0415

    cleaned = clean(prompt.text, request.takes_negative_prompt)
    if cleaned.negative_prompt:
        negative = _joined(prompt.overrides.negative_prompt or "", cleaned.negative_prompt)
        parameters = parameters.model_copy(update={"negative_prompt": negative})
    return build_request(settings, prompt.id, cleaned.text, parameters)


def requests_for(settings: Settings, prompts: Iterable[Prompt], below: ImageParameters) -> Iterator[ImageRequest]:
    """The requests for many prompts, as `request_for` makes them."""
    # Without parameters of their own they differ in their text alone, and the rest is made once.
    is_same = not settings.clean_prompts and below.seed != "per-prompt"
    made: ImageRequest | None = None
    for prompt in prompts:
        if not is_same or prompt.overrides.explicit():
            yield request_for(settings, prompt, below)
        else:
            made = made.with_prompt(prompt.text) if made else request_for(settings, prompt, below)
            yield made


def doubts_about(request: ImageRequest) -> "tuple[Finding, ...]":
    """Why the text of a request may describe no picture, whatever its model."""
    from duomi_pipeline.prompt_lint.findings import doubts  # noqa: PLC0415

    return doubts(request.prompt)


def findings_for(request: ImageRequest) -> "tuple[Finding, ...]":
    """Lint the prompt of a request, as it would be sent: what will its model ignore or misread?"""
    from duomi_pipeline.prompt_lint.findings import Limits, findings  # noqa: PLC0415

    profile = request.profile
    limits = Limits(profile.prompt_tokens, profile.english_only, request.takes_negative_prompt)
    return findings(request.prompt, limits)


def _joined(own: str, embedded: str) -> str:
    """The prompt's own negative prompt, followed by the embedded items that it does not contain."""
    named = {item.strip() for item in own.split(",")}
    return ", ".join(filter(None, [own, *(item for item in embedded.split(", ") if item not in named)]))
