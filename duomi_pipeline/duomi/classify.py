"""Classify error answers: from HTTP status, codes and message to a class of `errors`.

Codes and message come before the HTTP status, because relays use the same status differently: a 400 may concern this
prompt, the model or every request. An unknown error becomes `NotKnown`. What each class means is in `policy`.
"""

import re
from collections.abc import Collection
from http import HTTPStatus

from duomi_pipeline.common.text import one_line
from duomi_pipeline.duomi.errors import (
    AccountError,
    Ambiguous,
    BalanceUsedUp,
    DailyLimitReached,
    DuomiError,
    Forbidden,
    ModelNotServed,
    NotKnown,
    PromptRefused,
    RateLimited,
    ServiceBusy,
)

RATE_WAIT = 60.0  # seconds to wait after a code of a limit per minute, unless the answer has a time

_BY_CODE: dict[str, type[DuomiError]] = {
    "20021": PromptRefused,
    "20012": ModelNotServed,
    "30003": ModelNotServed,
    "30001": BalanceUsedUp,
    "30002": AccountError,
    "30011": AccountError,
    "30012": AccountError,
    "50601": RateLimited,
    "50604": RateLimited,
    "50607": RateLimited,
    "50605": DailyLimitReached,
    "50608": DailyLimitReached,
    "50505": ServiceBusy,
    "50508": ServiceBusy,
    "50603": ServiceBusy,
}
_MINUTE_CODES = {"50601", "50604", "50607"}
# Codes in words. A part of a longer code is enough: `image_generation_moderation_blocked`.
_BY_WORD: tuple[tuple[type[DuomiError], tuple[str, ...]], ...] = (
    (PromptRefused, ("moderation", "content_policy", "content_filter", "image_safety", "string_above_max_length")),
    (PromptRefused, ("sensitive_words", "prompt_blocked", "prohibited_content", "context_length_exceeded")),
    (PromptRefused, ("content_violation", "safety_violation", "policy_violation", "nsfw")),
    (ModelNotServed, ("model_not_found", "model_not_available", "model_disabled", "no_available_channel")),
    (BalanceUsedUp, ("insufficient_quota", "insufficient_user_quota", "insufficient_balance", "billing_hard_limit")),
    (AccountError, ("invalid_api_key", "invalid_token", "authentication_error", "account_deactivated")),
)

CONTENT_WORDS = re.compile(
    r"moderat|content[ _-]?(polic|filter|safety|check|review|violat|restrict)|(usage|safety|our) polic|policy violation"
    r"|violat\w* .{0,40}(polic|terms|guideline|rules)|unsafe|safety|nsfw"
    r"|(?<!case)[ -]sensitive(?! to\b)|^sensitive(?! to\b)"
    r"|prohibited|inappropriate|disallowed|explicit content"
    r"|违规|违禁|违反|敏感|审核|不合规|不安全|涉黄|涉政|色情|风控|不適切|ポリシー|부적절|유해",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"(?<!took )(?<!takes )(?<!taking )(?<!waited )too long"
    r"|maximum (context )?length|max(imum)?[ _]length|exceeds?\b.{0,40}\b(length|characters|tokens)"
    r"|(length|characters|tokens)\b.{0,40}\bexceed|过长|太长|超长|(长度|字数|字符).{0,8}(超|限)|超.{0,6}(长度|字数|字符)",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"no available channel|无可用渠道|no such model|unknown model|invalid model|unsupported model"
    r"|\bmodels?\b((?!parameter|field|size|resolution|argument|value).){0,80}"
    r"\b(not exist|not found|not supported|disabled|not available|no access|deprecated|offline)"
    r"|(does not exist|not found|no access to).{0,20}\bmodel\b|模型.{0,40}(不存在|下线|停用|禁用|不可用|未开通)"
    r"|模型[^,，。]{0,40}不支持[.。!！]?$|不支持.{0,6}模型",
    re.IGNORECASE,
)
_BALANCE = re.compile(
    r"insufficient[ _-]?(\w+[ _-])?(quota|balance|credits?|funds)|(account|your) balance"
    r"|balance (is )?(not enough|insufficient|too low|used up)"
    r"|out of credits?|no credits? left|current quota.{0,40}billing"
    r"|余额|欠费|额度.{0,8}(不足|用尽|耗尽|用完)|预扣费",
    re.IGNORECASE,
)
_ACCOUNT = re.compile(
    r"\b(account|organi[sz]ation|api[ _-]?key)\b.{0,40}\b(suspended|deactivated|banned|disabled|terminated|frozen)"
    r"|(账[号户]|密钥).{0,20}(封|冻结|停用|禁用|异常|审核)",
    re.IGNORECASE,
)
_NO_CHANNEL = re.compile(r"no available channel|无可用渠道", re.IGNORECASE)
_IN_PROGRESS = re.compile(r"in progress|being processed|concurrent|处理中", re.IGNORECASE)
_PASSED = re.compile(
    r"\b(check|review|filter|moderation)s? (is |was |has |have )?(been )?(ok|passed)|审核(已)?通过", re.IGNORECASE
)
# About access to the service, whatever the prompt; and about fields that come from the settings.
_ACCESS = re.compile(r"\b(region|country|IP|account|identity)\b|实名|账[号户]|访问|服务协议", re.IGNORECASE)
_OF_SETTING = re.compile(r"negative_prompt|negative prompt", re.IGNORECASE)
_SHORTEST_ECHO = 8  # characters; a shorter prompt may match the service's own words by chance
# Quoted text is a prompt or a name: it does not describe the error.
_QUOTED = re.compile(r"\"[^\"]*(\"|$)|“[^”]*(”|$)|「[^」]*(」|$)|`[^`]*(`|$)|(?<!\w)'[^']*'(?!\w)")
# In a message about a field, the field's name (`safety_tolerance`) does not describe the error either.
_FIELD = re.compile(r"\b(parameters?|fields?|arguments?|must be|should be|is required|not permitted)\b", re.IGNORECASE)
_NAME = re.compile(r"\b[a-z]+(_[a-z0-9]+)+\b", re.IGNORECASE)
_PACE = re.compile(r"too many requests|rate[ _-]?limit|频繁|限流|速率限制", re.IGNORECASE)
_DAILY = re.compile(r"per[ _-]?day|daily|\bRPD\b|\bIPD\b|每日|每天|今日|当日", re.IGNORECASE)

# A gateway forwarded the request and got no answer in time: the picture may be drawn and billed.
_ANSWER_LOST = {408, 499, 502, 504, 520, 524}
# A gateway without a server behind it, or a service that refuses for now.
_NOT_TAKEN = {500, 503, 521, 522, 523, 525, 526, 529, 530}


def classify(
    status: int,
    code: str,
    message: str,
    retry_after: float | None = None,
    *,
    words: Collection[str] = (),
    is_own: bool = True,
    prompt: str = "",
) -> DuomiError:
    """The error for an answer.

    Args:
        status: HTTP status; may be 200 where the body is an error.
        code: the service's code, in lower case; empty where there is none.
        message: the service's message.
        retry_after: seconds.
        words: further codes of the answer, such as its `error.type`, in lower case.
        is_own: whether the service itself wrote the answer (JSON); if not, a gateway or firewall may have.
        prompt: the prompt of the request.
    """
    own_words = without_prompt(message, prompt)
    kind = _of_codes(status, [code, *words])
    by_words = kind is None
    if kind is None:
        kind, by_words = _kind(status, [code, *words], own_words, is_own=is_own)
    if kind is RateLimited and code in _MINUTE_CODES and retry_after is None:
        retry_after = RATE_WAIT
    error = kind(message, code or str(status), retry_after) if _waits(kind) else kind(message, code or str(status))
    error.by_words, error.is_own = by_words, is_own
    return error


def without_prompt(message: str, prompt: str) -> str:
    """The service's message without the prompt that it quotes: the prompt does not describe the error."""
    flat = one_line(prompt)
    for length in (len(flat), 200, 100, 50, 25):
        if length <= len(flat) and len(flat) >= _SHORTEST_ECHO and flat[:length] in message:
            return message.replace(flat[:length], " ")
    return message


def _waits(kind: type[DuomiError]) -> bool:
    return kind in (RateLimited, ServiceBusy, DailyLimitReached)


def _of_codes(status: int, codes: Collection[str]) -> type[DuomiError] | None:
    """The class from the codes; codes in a gateway's time-out answer are ignored."""
    if status in _ANSWER_LOST:
        return Ambiguous
    return next((known for code in codes if (known := _BY_CODE.get(code) or _by_word(code))), None)


def _kind(status: int, codes: Collection[str], message: str, *, is_own: bool) -> tuple[type[DuomiError], bool]:
    """The class, and whether only the message says so."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if is_own and _NO_CHANNEL.search(message):
            return ModelNotServed, False
        if is_own and _MODEL.search(message):
            return ModelNotServed, True
        if is_own and is_about_content(message):
            return PromptRefused, True
        return (ServiceBusy if is_own or status in _NOT_TAKEN else Ambiguous), False
    if status == HTTPStatus.TOO_MANY_REQUESTS or any("rate_limit" in code for code in codes):
        if _BALANCE.search(message):
            return BalanceUsedUp, False
        return (DailyLimitReached if _DAILY.search(message) else RateLimited), False
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED):
        is_balance = status == HTTPStatus.PAYMENT_REQUIRED or _BALANCE.search(message)
        return (BalanceUsedUp if is_balance else AccountError), False
    if status == HTTPStatus.CONFLICT and _IN_PROGRESS.search(message):
        return ServiceBusy, False
    return _of_words(status, message)


def _by_word(code: str) -> type[DuomiError] | None:
    return next((kind for kind, parts in _BY_WORD if any(part in code for part in parts)), None)


def is_about_content(message: str) -> bool:
    """Whether a message says that a prompt is refused for its content."""
    plain = _unquoted(message)
    if _PASSED.search(plain) or _ACCESS.search(plain):
        return False
    return bool(CONTENT_WORDS.search(_NAME.sub(" ", _unquoted(message)) if _FIELD.search(message) else message))


def _unquoted(message: str) -> str:
    return _QUOTED.sub(" ", message)


def _of_words(status: int, message: str) -> tuple[type[DuomiError], bool]:
    """The class from the message of a 4xx or a 200, and whether only the message says so."""
    if status in (HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
        return PromptRefused, False
    plain = _unquoted(message)
    if _NO_CHANNEL.search(plain):
        return ModelNotServed, False
    for pattern, kind in ((_BALANCE, BalanceUsedUp), (_ACCOUNT, AccountError), (_MODEL, ModelNotServed)):
        if pattern.search(plain):
            return kind, True
    if is_about_content(message):
        return PromptRefused, True
    if _PACE.search(plain):
        return RateLimited, False
    if _TOO_LONG.search(plain) and not _OF_SETTING.search(plain):
        return PromptRefused, True
    return (Forbidden if status == HTTPStatus.FORBIDDEN else NotKnown), False
