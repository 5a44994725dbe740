"""Post a message to a chat: Slack and services that accept the same JSON, DingTalk, Feishu or Lark, WeCom.

The text is made in `failed_runs`; when it is posted is decided in `sensor`.
"""

import html
import json
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr

from duomi_pipeline.common.text import one_line

MAX_TIMEOUT = 20.0  # seconds; a tick of a sensor must end
Chat = Literal["slack", "dingtalk", "feishu", "wecom"]
_BY_HOST: dict[str, Chat] = {
    "oapi.dingtalk.com": "dingtalk",
    "open.feishu.cn": "feishu",
    "open.larksuite.com": "feishu",
    "qyapi.weixin.qq.com": "wecom",
}
_CODES = ("errcode", "code", "StatusCode")  # 0: delivered; DingTalk and WeCom, Feishu, Feishu's first version
_WORDS = ("errmsg", "msg", "StatusMessage")
_MAX_ANSWER = 10_000  # bytes


class WebhookError(Exception):
    """The webhook did not accept the message, or did not answer. Never contains its address, which is a secret."""


def post(url: SecretStr, text: str, timeout: float, chat: Chat | Literal["auto"] = "auto") -> None:
    """Post a text.

    Args:
        url: the address, a secret.
        text: Slack's mrkdwn; the other chats get it as plain text.
        timeout: seconds to wait for an answer.
        chat: whose JSON; `auto`: by the address, Slack's for unknown ones.

    Raises:
        WebhookError: it was not accepted, also where HTTP 200 brings an error code; after a time-out it may have been.
    """
    message = _message(chat_of(url) if chat == "auto" else chat, text)
    if problem := _problem(
        url, message, min(timeout, MAX_TIMEOUT)
    ):  # raised here, so that no requests exception, whose text contains the URL, is chained
        raise WebhookError(f"The webhook {problem} Check DUOMI_WEBHOOK_URL; the message is posted again.")


def chat_of(url: SecretStr) -> Chat:
    """The chat that has this address."""
    return _BY_HOST.get(urlsplit(url.get_secret_value()).hostname or "", "slack")


def _message(chat: Chat, text: str) -> dict[str, Any]:
    if chat == "slack":
        return {"text": text}
    plain = html.unescape(text).replace("*", "")
    if chat == "feishu":
        return {"msg_type": "text", "content": {"text": plain}}
    return {"msgtype": "text", "text": {"content": plain}}


def _problem(url: SecretStr, message: dict[str, Any], timeout: float) -> str | None:
    try:
        with requests.post(
            url.get_secret_value(), json=message, timeout=timeout, allow_redirects=False, stream=True
        ) as answer:
            if not answer.ok or answer.is_redirect:
                return f"answered HTTP {answer.status_code}."
            return _refusal(next(answer.iter_content(_MAX_ANSWER), b""), url.get_secret_value())
    except requests.Timeout:
        return "did not answer in time."
    except requests.ConnectionError:
        return "cannot be reached."
    except requests.RequestException as error:
        return f"could not be asked ({type(error).__name__})."


def _refusal(body: bytes, url: str) -> str | None:
    """Why an answer with HTTP 200 is no delivery; `None` if it is one."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    code = next((answer[name] for name in _CODES if name in answer), 0) if isinstance(answer, dict) else 0
    if code in (0, "0"):
        return None
    words = one_line(str(next((answer[name] for name in _WORDS if name in answer), "")), 200)
    parts = urlsplit(url)
    is_secret = any(len(part) > 8 and part in words for part in (parts.path, parts.query, *parts.path.split("/")))
    return (
        f"answered HTTP 200 with the error {one_line(str(code), 20)}{'' if is_secret or not words else f': {words}'}."
    )
