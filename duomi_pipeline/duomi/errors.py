"""What can go wrong at the API, as the classes a batch acts on. What each means, and costs, is `policy`'s.

    DuomiError
    ├── PromptRefused       this very request will never be answered: moderation, too long, a value of its own
    ├── NotKnown            the service says no to it, and its words do not say whether to it alone
    │   └── Forbidden           403 without a word about content: the key, or a firewall that dislikes this text
    ├── ModelNotServed      no such model, disabled, or nobody there who draws it
    ├── StopsTheRun         every prompt would fail the same way: send nothing more
    │   ├── AccountError         the key
    │   │   └── BalanceUsedUp
    │   ├── DailyLimitReached    the service's requests for today are used up; the user's own cap is the ledger's
    │   ├── ConfigurationError   a value that the model does not take, known before it is sent
    │   ├── Redirected           the service is somewhere else
    │   └── NotSent              nothing left this machine: proxy, certificates, address
    ├── RateLimited         too fast: slow down, then try again
    ├── ServiceBusy         not answered, surely not billed: back off, then try again
    ├── Ambiguous           sent, and the service's own answer never came whole: may have been billed
    ├── NotUnderstood       a whole success that says nothing we know: may have been billed
    ├── NoPicture           a task that is done, and has no picture
    ├── TaskFailed          the service ended a task
    ├── TaskTimedOut        a task is still not done; it is looked at again by the next run
    ├── TaskDenied          the service does not show this task
    ├── TaskElsewhere       a task of another service or key
    └── BadImage            the bytes are no whole picture
        └── NotDownloaded       the bytes did not arrive

Which HTTP status, code or word means which class is `classify`'s; what a batch does then is the engine's.
"""

from duomi_pipeline.duomi.policy import ErrorClass


class DuomiError(Exception):
    """An error at the API, with the service's own words.

    Attributes:
        message: the service's words, or ours where it had none.
        code: the service's code, or the HTTP status.
        retry_after: seconds the service asked to wait, or `None`.
        billed: whether the POST that met it was billed; its class's word, unless the answer says more.
        by_words: whether only a text says that it is of this class: texts may be misread.
        is_own: whether the service itself wrote the answer; else a gateway or firewall may have.
        body: the answer as it came, to be kept where it may be paid.
    """

    error_class: ErrorClass

    def __init__(self, message: str, code: str = "", retry_after: float | None = None) -> None:
        self.message = message
        self.code = code
        self.retry_after = retry_after
        self.billed = self.error_class.policy.billed
        self.by_words = False
        self.is_own = True
        self.body = b""
        super().__init__(f"{message} (code {code})" if code else message)


class PromptRefused(DuomiError):  # noqa: N818 - these read as what happened, not as "…Error"
    """Final for this request until its text or parameters change."""

    error_class = ErrorClass.REFUSED


class NotKnown(DuomiError):  # noqa: N818
    """The service says no; other prompts show whether to this one alone."""

    error_class = ErrorClass.UNKNOWN


class Forbidden(NotKnown):
    """403 without a word about content."""

    error_class = ErrorClass.FORBIDDEN


class ModelNotServed(DuomiError):  # noqa: N818
    """The service does not serve the model, for whatever reason."""

    error_class = ErrorClass.MODEL


class StopsTheRun(DuomiError):  # noqa: N818
    """Every prompt would fail the same way."""


class AccountError(StopsTheRun):
    """The key."""

    error_class = ErrorClass.ACCOUNT


class BalanceUsedUp(AccountError):  # noqa: N818
    """Nothing left to pay with."""

    error_class = ErrorClass.BALANCE


class DailyLimitReached(StopsTheRun):
    """No more requests today."""

    error_class = ErrorClass.DAILY_LIMIT


class ConfigurationError(StopsTheRun):
    """A value that is known to be wrong before it is sent."""

    error_class = ErrorClass.CONFIGURATION


class Redirected(StopsTheRun):
    """The service says that it is somewhere else; the key is sent nowhere but to the address of the settings."""

    error_class = ErrorClass.REDIRECTED


class NotSent(StopsTheRun):
    """Nothing left this machine, and nothing will until something here is mended."""

    error_class = ErrorClass.NOT_SENT


class RateLimited(DuomiError):  # noqa: N818
    """Too many requests."""

    error_class = ErrorClass.RATE


class ServiceBusy(DuomiError):  # noqa: N818
    """The service did not take the request."""

    error_class = ErrorClass.BUSY


class Ambiguous(DuomiError):  # noqa: N818
    """The request was sent and may have been billed, but no usable answer came."""

    error_class = ErrorClass.AMBIGUOUS


class NotUnderstood(DuomiError):  # noqa: N818
    """A success whose body says nothing we know; whether it was billed is unknown."""

    error_class = ErrorClass.NOT_UNDERSTOOD


class NoPicture(DuomiError):  # noqa: N818
    """A task that is done, says the service, and has no picture."""

    error_class = ErrorClass.NO_PICTURE


class TaskFailed(DuomiError):  # noqa: N818
    """The service said that an asynchronous task failed."""

    error_class = ErrorClass.TASK_FAILED


class TaskTimedOut(DuomiError):  # noqa: N818
    """A task took longer than the total time-out.

    Attributes:
        late: it had timed out in an earlier run already, and was looked at once more.
    """

    error_class = ErrorClass.TASK_TIMEOUT

    def __init__(self, message: str, *, late: bool) -> None:
        super().__init__(message)
        self.late = late


class TaskDenied(DuomiError):  # noqa: N818
    """The service does not show this task (401, 402, 403)."""

    error_class = ErrorClass.TASK_DENIED


class TaskElsewhere(DuomiError):  # noqa: N818
    """A task or picture of another service, or made with another key: it is not asked for here."""

    error_class = ErrorClass.TASK_ELSEWHERE


class BadImage(DuomiError):  # noqa: N818
    """What arrived is no whole picture.

    Attributes:
        data: the bytes that arrived, to be kept; empty where none did.
        position: of the picture in its answer.
    """

    error_class = ErrorClass.BAD_IMAGE

    def __init__(self, message: str, code: str = "", data: bytes = b"") -> None:
        super().__init__(message, code)
        self.data = data
        self.position = 0


class NotDownloaded(BadImage):
    """The picture's host could not be reached or said no.

    Attributes:
        definite: the host said that it has no such picture (for us); else trying again later may help.
    """

    error_class = ErrorClass.NOT_DOWNLOADED

    def __init__(self, message: str, code: str = "", *, definite: bool = False) -> None:
        super().__init__(message, code)
        self.definite = definite
