"""What to do next, by error class and by who stopped a run. The service's own words are the errors'."""

import re
from collections.abc import Mapping

_AGAIN = "`duomi generate --failed` tries again"
_PAYS_AGAIN = "`duomi generate --failed` asks once more, which costs money again."
_CLASSES: Mapping[str, str] = {
    "refused": "Refused: edit the prompt; `duomi why {id}` shows what was asked.",
    "configuration": "Wrong field or model of a prompt's own: mend its `generation`; `duomi why {id}` shows it.",
    "rate": f"Too fast for the service: lower DUOMI_MAX_CONCURRENCY or set DUOMI_REQUESTS_PER_MINUTE; {_AGAIN}.",
    "busy": f"Failed for now: {_AGAIN}, and so do the sensor and the schedule.",
    "task_timeout": "Tasks that are not done yet: start again later; they are looked at again, not bought again.",
    "task_failed": f"Ended by the service without a picture: {_PAYS_AGAIN}",
    "ambiguous": f"No answer came, so these may have been billed: look at the service's bill. {_PAYS_AGAIN}",
    "bad_image": f"Paid, but no whole picture came: {_PAYS_AGAIN}",
    "not_downloaded": "Paid, but not downloaded: start again within the hour, as long as the addresses live; "
    f"after that {_PAYS_AGAIN}",
    "store": "Not saved: mend what is said of the folder, then start again; what is paid is not bought twice.",
    "left": f"Failed earlier and left as they were: {_AGAIN}, or the job `regenerate_images`.",
    "absent": "Partitions without a prompt: materialize `prompt_table` and `prompt_files`, and they go.",
}
_STOPS: Mapping[str, str] = {
    "service": "Mend what the service says, then start again; nothing that was paid is bought twice.",
    "store": _CLASSES["store"],
    "error": "Start again: nothing that was paid is bought twice. If it happens again, it is a defect: report it.",
}


def after_class(error_class: str, example: str) -> str:
    """What to do about prompts that failed with a class; empty where nothing is known.

    Args:
        error_class: one of `duomi.errors`, `store`, or a class of `receipt.FailedPrompt`.
        example: the id of one of them.
    """
    return _CLASSES.get(error_class, "").format(id=example)


def after_stop(stopped_by: str, message: str) -> str:
    """What to do about a run that was stopped; empty where the message says it (an interruption)."""
    if stopped_by != "cap":
        return _STOPS.get(stopped_by, "")
    caps = re.findall(r"DUOMI_[A-Z_]+", message)
    raised = caps[0] if caps else "DUOMI_REQUESTS_PER_DAY"
    return f"Raise {raised}, or wait until it allows more; then start again."
