"""The errors of the API, as exception classes. What each class means and costs is in `policy`.

    DuomiError
    ├── PromptRefused       this request will always be refused: moderation, too long, a value of its own
    ├── NotKnown            the service refuses it, and does not say whether this concerns other requests, too
    │   └── Forbidden           403 that does not mention the content: the key, or a firewall that blocks this text
    ├── ModelNotServed      no such model, disabled, or no server for it
    ├── AccountError        the key
    │   └── BalanceUsedUp
    ├── DailyLimitReached   the service's requests for today are used up; the user's own cap is in `ledger`
    ├── ConfigurationError  a value that the model does not accept, known before it is sent
    ├── Redirected          the service has another address
    ├── NotSent             nothing left this machine: proxy, certificates, address
    ├── RateLimited         too many requests: slow down, then retry
    ├── ServiceBusy         not answered, certainly not billed: back off, then retry
    ├── Ambiguous           sent, but no complete answer of the service came: may have been billed
    ├── NotUnderstood       a complete success in an unknown form: may have been billed
    ├── NoPicture           a task that is done without a picture
    ├── TaskFailed          the service ended a task
    ├── TaskTimedOut        a task is still not done; the next run polls it again
    ├── TaskDenied          the service does not show this task
    ├── TaskElsewhere       a task of another service or key
    └── BadImage            the bytes are no whole picture
        └── NotDownloaded       the bytes did not arrive

Which HTTP status, code or message means which class is in `classify`; reacting to an error is in `engine.verdict`.
"""

from duomi_pipeline.duomi.policy import ErrorClass


class DuomiError(Exception):
    """An error of the API.

    Attributes:
        message: the service's message, or ours where it had none.
        code: the service's code, or the HTTP status.
        retry_after: seconds that the service asked to wait, or `None`.
        billed: whether the failed POST was billed; from the policy of the class, unless the answer says more.
        by_words: whether the class follows only from the message, which may be misread.
        is_own: whether the service itself wrote the answer; if not, a gateway or firewall may have.
        body: the original answer, to be kept where it may be paid.
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
    """The service will refuse this request until its text or parameters change."""

    error_class = ErrorClass.REFUSED


class NotKnown(DuomiError):  # noqa: N818
    """The service refuses; other prompts show whether only this one is concerned."""

    error_class = ErrorClass.UNKNOWN


class Forbidden(NotKnown):
    """403 that does not mention the content."""

    error_class = ErrorClass.FORBIDDEN


class ModelNotServed(DuomiError):  # noqa: N818
    """The service does not serve the model."""

    error_class = ErrorClass.MODEL


class AccountError(DuomiError):
    """The service does not accept the key."""

    error_class = ErrorClass.ACCOUNT


class BalanceUsedUp(AccountError):  # noqa: N818
    """The account has no balance left."""

    error_class = ErrorClass.BALANCE


class DailyLimitReached(DuomiError):  # noqa: N818
    """No more requests today."""

    error_class = ErrorClass.DAILY_LIMIT


class ConfigurationError(DuomiError):
    """A value that is known to be invalid before it is sent."""

    error_class = ErrorClass.CONFIGURATION


class Redirected(DuomiError):  # noqa: N818
    """The service redirects; not followed, because the key is sent only to the address in the settings."""

    error_class = ErrorClass.REDIRECTED


class NotSent(DuomiError):  # noqa: N818
    """Nothing left this machine, and nothing will until the user fixes something here."""

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
    """A success in an unknown form; whether it was billed is unknown."""

    error_class = ErrorClass.NOT_UNDERSTOOD


class NoPicture(DuomiError):  # noqa: N818
    """A task that is done but has no picture."""

    error_class = ErrorClass.NO_PICTURE


class TaskFailed(DuomiError):  # noqa: N818
    """The service said that an asynchronous task failed."""

    error_class = ErrorClass.TASK_FAILED


class TaskTimedOut(DuomiError):  # noqa: N818
    """A task took longer than the total time-out.

    Attributes:
        late: it timed out in an earlier run already, and was polled again.
    """

    error_class = ErrorClass.TASK_TIMEOUT

    def __init__(self, message: str, *, late: bool) -> None:
        super().__init__(message)
        self.late = late


class TaskDenied(DuomiError):  # noqa: N818
    """The service does not show this task (401, 402, 403)."""

    error_class = ErrorClass.TASK_DENIED


class TaskElsewhere(DuomiError):  # noqa: N818
    """A task or picture of another service or key; it is not requested here."""

    error_class = ErrorClass.TASK_ELSEWHERE


class KeptElsewhere(DuomiError):  # noqa: N818
    """The picture came inside an answer that another home folder keeps."""

    error_class = ErrorClass.KEPT_ELSEWHERE


class BadImage(DuomiError):  # noqa: N818
    """The received bytes are no whole picture.

    Attributes:
        data: the received bytes, to be kept; may be empty.
        position: position of the picture in its answer.
    """

    error_class = ErrorClass.BAD_IMAGE

    def __init__(self, message: str, code: str = "", data: bytes = b"") -> None:
        super().__init__(message, code)
        self.data = data
        self.position = 0


class NotDownloaded(BadImage):
    """The picture could not be downloaded.

    Attributes:
        definite: the host has no such picture, or does not allow it; if `False`, a later retry may work.
    """

    error_class = ErrorClass.NOT_DOWNLOADED

    def __init__(self, message: str, code: str = "", *, definite: bool = False) -> None:
        super().__init__(message, code)
        self.definite = definite
