"""Planning and buying: from prompts and settings to outcomes. No Dagster. `session` opens a run, `plan` decides what
it needs, `batch` executes it.
"""

from duomi_pipeline.engine.outcome import Outcome, Status, Stop, StoppedBy
from duomi_pipeline.engine.plan import Plan, PlannedPrompt
from duomi_pipeline.engine.session import Session
from duomi_pipeline.engine.states import FAILED, GENERATED_BY_ITSELF, NOT_CURRENT, NOT_THERE, State

__all__ = [
    "FAILED",
    "GENERATED_BY_ITSELF",
    "NOT_CURRENT",
    "NOT_THERE",
    "Outcome",
    "Plan",
    "PlannedPrompt",
    "Session",
    "State",
    "Status",
    "Stop",
    "StoppedBy",
]
