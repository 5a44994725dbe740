"""The error policy: one row per error class, with what it means and what is done. The only place for this.

What a row says is in `reactions`. Which answer has which class is decided in `classify`; carrying out the reaction is
in `engine`.
"""

from collections.abc import Mapping
from enum import StrEnum

from duomi_pipeline.duomi.reactions import Billed, Concerns, Policy, Reaction


class ErrorClass(StrEnum):
    """All error classes; the values are stored in the ledger."""

    # refused by the service: nothing was billed
    REFUSED = "refused"
    UNKNOWN = "unknown"
    FORBIDDEN = "forbidden"
    MODEL = "model"
    CONFIGURATION = "configuration"
    REDIRECTED = "redirected"
    ACCOUNT = "account"
    BALANCE = "balance"
    DAILY_LIMIT = "daily_limit"
    RATE = "rate"
    BUSY = "busy"
    # nothing left this machine
    NOT_SENT = "not_sent"
    # sent, but no usable answer
    AMBIGUOUS = "ambiguous"
    NOT_UNDERSTOOD = "not_understood"
    # paid: a task or a picture
    NO_PICTURE = "no_picture"
    TASK_FAILED = "task_failed"
    TASK_TIMEOUT = "task_timeout"
    TASK_DENIED = "task_denied"
    TASK_ELSEWHERE = "task_elsewhere"
    KEPT_ELSEWHERE = "kept_elsewhere"
    BAD_IMAGE = "bad_image"
    NOT_DOWNLOADED = "not_downloaded"
    # not from the API
    STORE = "store"
    LEFT = "left"
    IN_DOUBT = "in_doubt"
    ABSENT = "absent"

    @property
    def policy(self) -> Policy:
        """The policy of this class."""
        return _POLICIES[self]


_AGAIN = "`duomi generate --failed` tries again"
_PAYS_AGAIN = "`duomi generate --failed` sends the request again, which costs money again."
_START_AGAIN = "then start again; nothing that was paid is bought twice."
_POLICIES: Mapping[ErrorClass, Policy] = {
    # refused by the service: nothing was billed
    ErrorClass.REFUSED: Policy(
        Concerns.PROMPT,
        Billed.NO,
        Reaction.REFUSE,
        verdict="prompt refused",
        advice="Refused: edit the prompt; `duomi why {id}` shows what was asked.",
        advice_to_all="If the message concerns all requests, fix what it names; otherwise edit these prompts.",
    ),
    ErrorClass.UNKNOWN: Policy(
        Concerns.UNKNOWN,
        Billed.NO,
        Reaction.ASK_OTHERS,
        in_a_row=20,
        retried_automatically=True,
        verdict="field refused",
        advice=(
            "The service does not accept this request: read its message; `duomi why {id}` shows what was sent. "
            "`duomi generate --failed` sends the same again, free of charge."
        ),
        advice_to_all="Check DUOMI_MODEL, DUOMI_BASE_URL, DUOMI_PROTOCOL and the request that `duomi why ID` shows.",
    ),
    ErrorClass.FORBIDDEN: Policy(
        Concerns.KEY,
        Billed.NO,
        Reaction.ASK_OTHERS,
        retried_automatically=True,
        verdict="account",
        advice="The service, or a firewall before it, does not let this prompt through: edit it, then start again.",
        advice_to_all="Check that DUOMI_API_KEY is right and has credits. Some relays want DUOMI_AUTH_SCHEME=bearer.",
    ),
    ErrorClass.MODEL: Policy(
        Concerns.MODEL,
        Billed.NO,
        Reaction.OTHER_MODEL,
        retried_automatically=True,
        verdict="no such model",
        advice="The model is not served: choose another in the prompt's `generation`, or try later with --failed.",
        advice_to_all="The model is not served now: try again later, or choose another with DUOMI_MODEL.",
    ),
    ErrorClass.CONFIGURATION: Policy(
        Concerns.MACHINE,
        Billed.NO,
        Reaction.OTHER_MODEL,
        verdict="field refused",
        advice="The prompt's own JSON has a wrong field or model: fix its `generation`; `duomi why {id}` shows it.",
        advice_to_all="Fix the named value, then start again.",
    ),
    ErrorClass.REDIRECTED: Policy(
        Concerns.MACHINE,
        Billed.NO,
        Reaction.STOP,
        verdict="not asked",
        advice="The service is not at this address.",
        advice_to_all=f"Check DUOMI_BASE_URL, {_START_AGAIN}",
    ),
    ErrorClass.ACCOUNT: Policy(
        Concerns.KEY,
        Billed.NO,
        Reaction.STOP,
        retried_automatically=True,
        verdict="account",
        advice="The service does not accept the key.",
        advice_to_all=f"Check DUOMI_API_KEY, and DUOMI_AUTH_SCHEME (raw or bearer), {_START_AGAIN}",
    ),
    ErrorClass.BALANCE: Policy(
        Concerns.KEY,
        Billed.NO,
        Reaction.STOP,
        retried_automatically=True,
        verdict="account",
        advice="The balance is used up.",
        advice_to_all=f"The balance is used up: top up, {_START_AGAIN}",
    ),
    ErrorClass.DAILY_LIMIT: Policy(
        Concerns.PACE,
        Billed.NO,
        Reaction.STOP,
        verdict="busy",
        advice="The service's requests for today are used up.",
        advice_to_all="The service's requests for today are used up: start again tomorrow.",
    ),
    ErrorClass.RATE: Policy(
        Concerns.PACE,
        Billed.NO,
        Reaction.WAIT,
        retried_automatically=True,
        in_a_row=50,
        verdict="busy",
        advice=f"Too many requests: lower DUOMI_MAX_CONCURRENCY or set DUOMI_REQUESTS_PER_MINUTE; {_AGAIN}.",
    ),
    ErrorClass.BUSY: Policy(
        Concerns.SERVICE,
        Billed.NO,
        Reaction.WAIT,
        retried_automatically=True,
        in_a_row=20,
        verdict="busy",
        advice=f"Failed for now: {_AGAIN}, and so do the sensor and the schedule.",
    ),
    # nothing left this machine
    ErrorClass.NOT_SENT: Policy(
        Concerns.MACHINE,
        Billed.NO,
        Reaction.STOP,
        verdict="not asked",
        advice="Nothing was sent.",
        advice_to_all=f"Nothing was sent: fix what is named, {_START_AGAIN}",
    ),
    # sent, but no usable answer
    ErrorClass.AMBIGUOUS: Policy(
        Concerns.SERVICE,
        Billed.MAYBE,
        Reaction.REPEAT,
        in_a_row=5,
        verdict="answer lost",
        advice=f"No answer came, so these may have been billed: check the service's bill. {_PAYS_AGAIN}",
    ),
    ErrorClass.NOT_UNDERSTOOD: Policy(
        Concerns.SERVICE,
        Billed.MAYBE,
        Reaction.GIVE_UP,
        in_a_row=3,
        verdict="no picture",
        advice=(
            "The answers are kept, and the next run reads them again: `duomi why {id}` says where. "
            f"They may have been billed. {_PAYS_AGAIN}"
        ),
    ),
    # paid: a task or a picture
    ErrorClass.NO_PICTURE: Policy(
        Concerns.TASK,
        Billed.YES,
        Reaction.REPEAT,
        in_a_row=5,
        verdict="no picture",
        advice=f"The service finished these tasks without a picture: {_PAYS_AGAIN}",
    ),
    ErrorClass.TASK_FAILED: Policy(
        Concerns.TASK,
        Billed.YES,
        Reaction.GIVE_UP,
        in_a_row=8,
        verdict="no picture",
        advice=f"The service ended these tasks without a picture: {_PAYS_AGAIN}",
    ),
    ErrorClass.TASK_TIMEOUT: Policy(
        Concerns.TASK,
        Billed.YES,
        Reaction.RESUME_LATER,
        retried_automatically=True,
        verdict="not done",
        advice="These tasks are not done yet: start again later; they are polled again, not bought again.",
    ),
    ErrorClass.TASK_DENIED: Policy(
        Concerns.TASK,
        Billed.YES,
        Reaction.RESUME_LATER,
        retried_automatically=True,
        verdict="not done",
        advice=(
            "The service does not show these tasks, which are paid: start again later, or ask the service. "
            "`duomi generate --prompt-id {id} --force` buys again."
        ),
    ),
    ErrorClass.TASK_ELSEWHERE: Policy(
        Concerns.TASK,
        Billed.YES,
        Reaction.RESUME_LATER,
        retried_automatically=True,
        verdict="not done",
        advice=(
            "Paid at another service or with another key: set DUOMI_BASE_URL and DUOMI_API_KEY back to get these. "
            "`duomi generate --prompt-id {id} --force` buys again here."
        ),
    ),
    ErrorClass.BAD_IMAGE: Policy(
        Concerns.TASK,
        Billed.YES,
        Reaction.GIVE_UP,
        in_a_row=8,
        verdict="no picture",
        advice=f"Paid, but the picture is broken; its bytes are kept, `duomi why {{id}}` says where. {_PAYS_AGAIN}",
    ),
    ErrorClass.KEPT_ELSEWHERE: Policy(
        Concerns.TASK,
        Billed.YES,
        Reaction.RESUME_LATER,
        retried_automatically=True,
        verdict="not done",
        advice=(
            "Paid, and kept in out/kept_answers of the home folder (DUOMI_HOME) that received them: start there to get "
            f"these; if that folder is lost, {_PAYS_AGAIN}"
        ),
    ),
    ErrorClass.NOT_DOWNLOADED: Policy(
        Concerns.TASK,
        Billed.YES,
        Reaction.RESUME_LATER,
        in_a_row=12,
        verdict="no picture",
        advice=(
            "Paid, but not downloaded: start again within the hour, as long as the addresses are valid; "
            f"after that {_PAYS_AGAIN}"
        ),
    ),
    # not from the API
    ErrorClass.STORE: Policy(
        Concerns.MACHINE,
        Billed.YES,
        Reaction.RESUME_LATER,
        retried_automatically=True,
        verdict="not saved",
        advice="Not saved: fix the named problem of the folder, then start again; nothing paid is bought twice.",
    ),
    ErrorClass.LEFT: Policy(
        Concerns.PROMPT,
        Billed.NO,
        Reaction.RESUME_LATER,
        verdict="not asked",
        advice=f"Failed earlier and left as they were: {_AGAIN}, or the job `regenerate_images`.",
    ),
    ErrorClass.IN_DOUBT: Policy(
        Concerns.PROMPT,
        Billed.NO,
        Reaction.RESUME_LATER,
        verdict="not asked",
        advice="Nobody can tell whether these pictures are there: mount or restore their files, then start again. "
        "A file that is deleted is made and paid again.",
    ),
    ErrorClass.ABSENT: Policy(
        Concerns.PROMPT,
        Billed.NO,
        Reaction.RESUME_LATER,
        verdict="not asked",
        advice="Partitions without a prompt: materialize `prompt_table` and `prompt_files` to remove them.",
    ),
}


def policy_of(error_class: str | None) -> Policy | None:
    """The policy of an error class from the ledger; `None` for no class, and for one of another version."""
    return next((row for known, row in _POLICIES.items() if known == error_class), None)
