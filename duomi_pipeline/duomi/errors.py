"""What can go wrong at the API, as the classes a batch acts on; source: the contract in `duomi_api.md`.

    DuomiError
    ├── StopsTheRun         every prompt would fail the same way: send nothing more
    │   ├── ConfigurationError   wrong or disabled model, bad field, wrong address
    │   ├── AccountError         key, balance, permission
    │   └── DailyLimitReached    the service's requests for today are used up; the user's own cap is the ledger's
    ├── PromptRefused       this very request will never be answered (moderation, bad field of this prompt)
    ├── TaskFailed          the service ended an asynchronous task; a new try may succeed
    ├── RateLimited         too fast: slow down, then try again
    ├── ServiceBusy         not answered, surely not billed: back off, then try again
    ├── Ambiguous           sent, no usable answer: may have been billed
    ├── BadImage            the bytes are no whole picture: download again
    │   └── NotDownloaded       the bytes did not arrive
    └── TaskTimedOut        a task is still not done; it is looked at again by the next run

Which HTTP status or code means which class is `classify`'s; what a batch does then is the engine's.
"""

from http import HTTPStatus

RATE_WAIT = 60.0  # seconds; codes that ask for a minute, unless the answer says how long
_MINUTE_CODES = {"50601", "50604", "50607"}
_DAILY_CODES = {"50605", "50608"}
_ACCOUNT_CODES = {"30001", "30002", "30011", "30012"}
_CONFIGURATION_CODES = {"20012", "20015", "20025", "20026", "20028", "20034", "20035"} | {
    str(code) for code in range(30003, 30008)
}
_MODERATED_CODES = {"20021"}
_BUSY_CODES = {"50505", "50508", "50603"}

_ADVICE = {
    "30003": "The model may be temporarily unavailable: try again later, or choose another with DUOMI_MODEL.",
    "30001": "The balance is used up: top up, then start again; nothing that was paid is bought twice.",
    "401": "Check DUOMI_API_KEY, and DUOMI_AUTH_SCHEME (raw or bearer).",
    "402": "The balance is used up: top up, then start again; nothing that was paid is bought twice.",
    "403": "Check that DUOMI_API_KEY is right and has credits.",
    "404": "Check DUOMI_BASE_URL and DUOMI_PROTOCOL.",
    "50605": "The service's requests for today are used up: start again tomorrow.",
    "50608": "The service's requests for today are used up: start again tomorrow.",
    "20012": "There is no such model: check DUOMI_MODEL.",
}


class DuomiError(Exception):
    """An error at the API, with the service's own words.

    Attributes:
        message: the service's words, or ours where it had none.
        code: the service's code, or the HTTP status.
        retry_after: seconds the service asked to wait, or `None`.
    """

    error_class = "error"

    def __init__(self, message: str, code: str = "", retry_after: float | None = None) -> None:
        self.message = message
        self.code = code
        self.retry_after = retry_after
        super().__init__(f"{message} (code {code})" if code else message)


class StopsTheRun(DuomiError):  # noqa: N818 - these read as what happened, not as "…Error"
    """Every prompt would fail the same way."""


class ConfigurationError(StopsTheRun):
    """Model, field or address is wrong for every prompt."""

    error_class = "configuration"


class AccountError(StopsTheRun):
    """Key, balance or permission."""

    error_class = "account"


class DailyLimitReached(StopsTheRun):
    """No more requests today."""

    error_class = "daily_limit"


class PromptRefused(DuomiError):  # noqa: N818
    """Final for this request until its text or parameters change."""

    error_class = "refused"


class TaskFailed(DuomiError):  # noqa: N818
    """The service said that an asynchronous task failed."""

    error_class = "task_failed"


class RateLimited(DuomiError):  # noqa: N818
    """Too many requests."""

    error_class = "rate"


class ServiceBusy(DuomiError):  # noqa: N818
    """The service did not take the request."""

    error_class = "busy"


class Ambiguous(DuomiError):  # noqa: N818
    """The request was sent and may have been billed, but no usable answer came."""

    error_class = "ambiguous"


class BadImage(DuomiError):  # noqa: N818
    """What arrived is no whole picture."""

    error_class = "bad_image"


class NotDownloaded(BadImage):
    """The picture's host could not be reached or said no; the address may still work later."""

    error_class = "not_downloaded"


class TaskTimedOut(DuomiError):  # noqa: N818
    """A task took longer than the total time-out.

    Attributes:
        late: it had timed out in an earlier run already, and was looked at once more.
    """

    error_class = "task_timeout"

    def __init__(self, message: str, *, late: bool) -> None:
        super().__init__(message)
        self.late = late


def classify(status: int, code: str, message: str, retry_after: float | None = None) -> DuomiError:
    """The error class of an HTTP status and the service's own code; the code decides where it is known."""
    advice = _ADVICE.get(code) or _ADVICE.get(str(status), "")
    text = f"{message} {advice}".strip() if advice else message
    shown = code or str(status)
    if code in _MODERATED_CODES or status == HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
        return PromptRefused(message, shown)
    if code in _DAILY_CODES:
        return DailyLimitReached(text, shown, retry_after)
    if code in _MINUTE_CODES:
        return RateLimited(message, shown, RATE_WAIT if retry_after is None else retry_after)
    if code in _CONFIGURATION_CODES:
        return ConfigurationError(text, shown)
    if code in _ACCOUNT_CODES or status in (401, 402, 403):
        return AccountError(text, shown)
    if code in _BUSY_CODES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServiceBusy(message, shown, retry_after)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(message, shown, retry_after)
    if status in (400, 404, 405, 422):
        return ConfigurationError(text, shown)
    return ServiceBusy(message, shown, retry_after)
