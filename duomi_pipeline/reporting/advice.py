"""What to do next about a run that was stopped. About a prompt that failed it is said by its class's policy."""

import re
from collections.abc import Mapping

from duomi_pipeline.duomi import ErrorClass

_STOPS: Mapping[str, str] = {
    "service": "Mend what the service says, then start again; nothing that was paid is bought twice.",
    "store": ErrorClass.STORE.policy.advice,
    "error": "Start again: nothing that was paid is bought twice. If it happens again, it is a defect: report it.",
}


def after_stop(stopped_by: str, message: str) -> str:
    """What to do about a run that was stopped; empty where the message says it (an interruption)."""
    if stopped_by != "cap":
        return _STOPS.get(stopped_by, "")
    caps = re.findall(r"DUOMI_[A-Z_]+", message)
    raised = caps[0] if caps else "DUOMI_REQUESTS_PER_DAY"
    return f"Raise {raised}, or wait until it allows more; then start again."
