"""Prompt care for one prompt: which model reads it, what that model will misread, and what is sent.

The rules are `prompts.care`'s and know no models; which model a prompt goes to is decided here.
"""

from duomi_pipeline.duomi import ImageRequest, build_request
from duomi_pipeline.prompt_lint.cleaning import clean
from duomi_pipeline.prompt_lint.findings import Finding, Limits, findings
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.settings import ImageParameters, Settings


def request_for(settings: Settings, prompt: Prompt, below: ImageParameters, model: str | None = None) -> ImageRequest:
    """What is asked for a prompt: with its text as it is, or with the cleaned one where `clean_prompts` is on.

    A negative prompt that stood in the text belongs to the prompt: it joins the prompt's own one, and wins over those
    of launchpad and settings as the prompt's own would.

    Args:
        below: the parameters of run and settings.
        model: another model that stands in for the prompt's.
    """
    parameters = prompt.overrides.over(below)
    if model is not None:
        parameters = parameters.model_copy(update={"model": model})
    request = build_request(settings, prompt.id, prompt.text, parameters)
    if not settings.clean_prompts:
        return request
    cleaned = clean(prompt.text, request.takes_negative_prompt)
    if cleaned.negative_prompt:
        negative = _joined(prompt.overrides.negative_prompt or "", cleaned.negative_prompt)
        parameters = parameters.model_copy(update={"negative_prompt": negative})
    return build_request(settings, prompt.id, cleaned.text, parameters)


def findings_for(request: ImageRequest) -> tuple[Finding, ...]:
    """What its model will ignore or misread in a request's prompt, as it would be sent."""
    profile = request.profile
    limits = Limits(profile.prompt_tokens, profile.english_only, request.takes_negative_prompt)
    return findings(request.prompt, limits)


def _joined(own: str, embedded: str) -> str:
    """The prompt's own negative prompt, and behind it what it does not name yet."""
    named = {item.strip() for item in own.split(",")}
    return ", ".join(filter(None, [own, *(item for item in embedded.split(", ") if item not in named)]))
