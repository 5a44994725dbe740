"""Whom an answer concerns: words and codes in every language met, and what must not be taken for them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duomi_pipeline.duomi.answers import parse_json, parse_task
from duomi_pipeline.duomi.classify import classify
from duomi_pipeline.duomi.errors import (
    AccountError,
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

CONTENT = [
    "Your request was rejected by the safety system.",
    "The prompt may violate our content policy",
    "This request violates the terms of service",
    "Blocked by moderation",
    "the prompt is sensitive",
    "Sensitive words found",
    "NSFW content detected",
    "IMAGE_SAFETY",
    "prohibited content",
    "提示词违规",
    "内容包含敏感词",
    "内容审核不通过",
    "不適切な内容です",
]
TOO_LONG = [
    "prompt is too long",
    "String should have at most: maximum length 2000",
    "prompt exceeds 2000 characters",
    "the number of tokens must not exceed 512",
    "提示词过长",
    "提示词长度超出限制",
]
MODEL = [
    "Model does not exist. Please check it carefully.",
    "The model `gpt-image-9` does not exist or you do not have access to it",
    "No available channel for model gpt-image-2 under group default",
    "当前分组 default 下对于模型 gpt-image-2 无可用渠道",
    "模型不存在",
    "该模型已下线",
    "模型 sdxl 不支持",
    "Model disabled.",
    "Unknown model",
]
BALANCE = [
    "Sorry, your account balance is insufficient.",
    "Insufficient credits",
    "insufficient user quota",
    "余额不足",
    "用户额度不足",
    "预扣费额度失败",
    "账户已欠费",
]
ACCOUNT = [
    "Your account has been suspended for violating our usage policies",
    "This API key was disabled",
    "账号违规已封禁",
]


def kind_of(status: int, **body: Any) -> type[DuomiError]:
    with pytest.raises(DuomiError) as caught:
        parse_json(status, json.dumps(body))
    return type(caught.value)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        *((words, PromptRefused) for words in CONTENT + TOO_LONG),
        *((words, ModelNotServed) for words in MODEL),
        *((words, BalanceUsedUp) for words in BALANCE),
        *((words, AccountError) for words in ACCOUNT),
    ],
)
def test_words_count_more_than_the_number_beside_them(message: str, kind: type[DuomiError]) -> None:
    for status in (400, 403, 404, 422):
        assert kind_of(status, error={"message": message}) is kind
        assert kind_of(status, msg=message) is kind
    assert kind_of(200, code=-1, msg=message) is kind
    assert kind_of(200, error=message) is kind


@pytest.mark.parametrize("words", CONTENT)
def test_a_task_that_failed_for_its_content_is_refused_and_no_other(words: str) -> None:
    with pytest.raises(PromptRefused):
        parse_task({"state": "failed", "data": {"description": words}})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("moderation_blocked", PromptRefused),
        ("image_generation_moderation_blocked", PromptRefused),
        ("content_policy_violation", PromptRefused),
        ("IMAGE_SAFETY", PromptRefused),
        ("PROHIBITED_CONTENT", PromptRefused),
        ("string_above_max_length", PromptRefused),
        ("model_not_found", ModelNotServed),
        ("insufficient_quota", BalanceUsedUp),
        ("insufficient_user_quota", BalanceUsedUp),
        ("invalid_api_key", AccountError),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 403, 404, 429, 500, 503])
def test_a_code_that_is_a_word_counts_wherever_it_stands(code: str, kind: type[DuomiError], status: int) -> None:
    assert kind_of(status, error={"code": code, "message": "Request failed"}) is kind
    assert kind_of(status, error={"code": None, "type": code, "message": "Request failed"}) is kind
    assert kind_of(status, error={"code": "invalid_request", "type": code, "message": "Request failed"}) is kind
    assert kind_of(status, code=code, message="Request failed") is kind


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("You exceeded your current quota, please check your plan and billing details", BalanceUsedUp),
        ("余额不足", BalanceUsedUp),
        ("IPD limit reached", DailyLimitReached),
        ("You reached your daily limit", DailyLimitReached),
        ("400 images per day", DailyLimitReached),
        ("今日额度已达上限", DailyLimitReached),
        ("rate limit policy exceeded per minute", RateLimited),
        ("The model is not available at this rate", RateLimited),
        ("", RateLimited),
    ],
)
def test_a_429_is_about_the_pace_unless_its_words_are_of_a_day_or_of_money(
    message: str, kind: type[DuomiError]
) -> None:
    assert kind_of(429, error={"message": message, "code": "rate_limit_exceeded"}) is kind
    assert kind_of(429, message=message) is kind


@pytest.mark.parametrize("status", [200, 400, 403])
def test_the_pace_is_known_by_its_words_too(status: int) -> None:
    assert kind_of(status, error={"code": "rate_limit_exceeded", "message": "slow down"}) is RateLimited
    assert kind_of(status, code=-1, message="请求过于频繁，请稍后再试") is RateLimited
    assert kind_of(status, code=-1, message="Tokens per minute: rate limit exceeded") is RateLimited


def test_a_service_without_a_channel_for_the_model_is_told_from_one_that_is_busy() -> None:
    assert kind_of(503, message=MODEL[2]) is ModelNotServed
    assert kind_of(500, message=MODEL[3]) is ModelNotServed
    assert kind_of(503, message="Model service overloaded. Please try again later.") is ServiceBusy
    assert type(classify(503, "", MODEL[2], is_own=False)) is ServiceBusy


FRIENDS = [
    "Wrong case-sensitive field name",
    "Field names are case sensitive",
    "The scheduler is sensitive to steps",
    "see the retry policy",
    "constraint violation: seed",
    "No content provided",
    "Invalid Content-Type",
    "missing context",
    "context deadline exceeded",
    "the request took too long",
    "safety_tolerance must be an integer",
    "enable_safety_checker: field required",
    "Unknown parameter: 'moderation'.",
    "For this model the parameter response_format is not supported",
    "该模型不支持 1080x1920 尺寸",
    "balance between quality and speed must be a number",
]


@pytest.mark.parametrize("message", FRIENDS)
def test_words_that_only_look_like_a_reason_are_none(message: str) -> None:
    for status, kind in ((400, NotKnown), (422, NotKnown), (403, Forbidden), (200, NotKnown)):
        assert kind_of(status, error={"message": message}) is kind


@pytest.mark.parametrize(
    "prompt",
    [
        "a model on a balance beam",
        "your balance is your beauty",
        "a model that does not exist",
        "insufficient funds, a satire",
        "the account is suspended in the air",
        "too many requests at the counter",
    ],
)
@pytest.mark.parametrize("quotes", ['""', "''", "“”", "「」", "``"])
def test_a_prompt_that_is_quoted_stops_nobody_else(prompt: str, quotes: str) -> None:
    quoted = f"{quotes[0]}{prompt}{quotes[1]}"
    assert kind_of(400, message=f"Cannot draw {quoted} here") is NotKnown
    assert kind_of(400, message=f"The text {quoted} is blocked by moderation") is PromptRefused
    cut = f"Cannot draw {quotes[0]}{prompt}"
    if quotes != "''":  # an apostrophe
        assert kind_of(400, message=cut) is NotKnown


def test_a_bare_prompt_about_a_balance_beam_is_no_empty_account() -> None:
    assert kind_of(400, message="Cannot draw: a model on a balance beam") is NotKnown


@given(st.integers(400, 999), st.text(max_size=80), st.text(max_size=300), st.booleans())
def test_every_answer_has_a_class_and_keeps_its_words(status: int, code: str, message: str, is_own: bool) -> None:
    error = classify(status, code.lower(), message, 3.0, is_own=is_own)
    assert error.message == message
    assert error.code == (code.lower() or str(status))
    assert error.error_class.policy
    assert error.retry_after in (None, 3.0)


@given(st.integers(400, 499).filter(lambda status: status not in {401, 402, 403, 408, 413, 429, 451, 499}), st.integers(10_000, 10_999))  # fmt: skip
def test_a_4xx_of_which_nothing_is_known_says_nothing_about_other_prompts(status: int, code: int) -> None:
    assert kind_of(status, code=code, message="no") is NotKnown
