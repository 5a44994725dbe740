"""Post a message to a chat: Slack's incoming webhooks, and services that accept the same JSON.

The text is made in `failed_runs`; when it is posted is decided in `sensor`.
"""

import requests
from pydantic import SecretStr

MAX_TIMEOUT = 20.0  # seconds; a tick of a sensor must end


class WebhookError(Exception):
    """The webhook did not accept the message, or did not answer. Never contains its address, which is a secret."""


def post(url: SecretStr, text: str, timeout: float) -> None:
    """Post `{"text": text}`.

    Args:
        url: the address, a secret.
        text: Slack's mrkdwn.
        timeout: seconds to wait for an answer.

    Raises:
        WebhookError: it was not accepted; after a time-out it may have been.
    """
    if problem := _problem(
        url, text, min(timeout, MAX_TIMEOUT)
    ):  # raised here, so that no requests exception, whose text contains the URL, is chained
        raise WebhookError(f"The webhook {problem} Check DUOMI_WEBHOOK_URL; the message is posted again.")


def _problem(url: SecretStr, text: str, timeout: float) -> str | None:
    try:
        with requests.post(
            url.get_secret_value(), json={"text": text}, timeout=timeout, allow_redirects=False, stream=True
        ) as answer:
            return None if answer.ok and not answer.is_redirect else f"answered HTTP {answer.status_code}."
    except requests.Timeout:
        return "did not answer in time."
    except requests.ConnectionError:
        return "cannot be reached."
    except requests.RequestException as error:
        return f"could not be asked ({type(error).__name__})."
