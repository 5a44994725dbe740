"""The error policy: every class has its row, and the documents say what it says."""

from pathlib import Path

import pytest

from duomi_pipeline.duomi import errors
from duomi_pipeline.duomi.policy import ErrorClass, policy_of
from duomi_pipeline.duomi.reactions import Billed, Reaction
from duomi_pipeline.engine.states import State, decide
from duomi_pipeline.images import Listing
from duomi_pipeline.ledger import Purchase, PurchaseState
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.settings import ParameterOverrides

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
OF_ANSWERS = [known for known in ErrorClass if known not in ("store", "left", "in_doubt", "absent")]


def classes_of(kind: type[errors.DuomiError]) -> set[str]:
    own = {kind.error_class} if hasattr(kind, "error_class") else set()
    return own.union(*map(classes_of, kind.__subclasses__()))


def table() -> str:
    """The policy as it stands in the documents."""
    lines = ["| class | concerns | billed | a batch … | exit |", "|---|---|---|---|---|"]
    for known in OF_ANSWERS:
        row = known.policy
        lines.append(f"| `{known}` | {row.concerns} | {row.billed} | {row.reaction.value} | {row.exit_code} |")
    return "\n".join(lines)


@pytest.mark.parametrize("known", ErrorClass)
def test_every_class_has_a_row_with_advice(known: ErrorClass) -> None:
    assert known.policy.advice
    assert policy_of(known.value) is known.policy


def test_every_class_of_answers_has_an_error_and_every_error_a_class() -> None:
    assert classes_of(errors.DuomiError) == set(OF_ANSWERS)


@pytest.mark.parametrize("known", OF_ANSWERS)
def test_a_class_that_can_stop_a_run_says_what_to_do_then(known: ErrorClass) -> None:
    stops = known.policy.reaction in (Reaction.STOP, Reaction.OTHER_MODEL, Reaction.ASK_OTHERS, Reaction.REFUSE)
    assert bool(known.policy.advice_to_all) == stops


@pytest.mark.parametrize("known", OF_ANSWERS)
def test_what_may_have_cost_money_is_not_tried_again_by_itself_once_it_has_failed(known: ErrorClass) -> None:
    chain = Purchase(1, "k", "{}", PurchaseState.FAILED, 0.0, 0.0, error_class=known.value)
    state = decide(Prompt("json_a", "a", "json", "a.json", "a", ParameterOverrides()), "k", None, chain, Listing())
    if known.policy.billed is not Billed.NO and known.policy.reaction is not Reaction.RESUME_LATER:
        assert state is State.FAILED_FOR_GOOD


def test_the_documents_have_the_table() -> None:
    assert table() in OPERATIONS.read_text(encoding="utf-8")
