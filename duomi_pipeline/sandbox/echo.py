"""The client's own key, repeated in an error's text as careless relays do.

Holds the ways of writing it. The escapes are put into the text itself: no JSON encoder would write them.
"""

import json
import re
from collections.abc import Sequence
from urllib.parse import quote

from starlette.responses import Response

from duomi_pipeline.sandbox.faults import KeyForm

# Where a message begins: at a field that holds one as text, or in a body that is a bare JSON string.
MESSAGE = re.compile(r'"(?:error|message|msg|detail|description)"\s*:\s*"|\A\s*"')


def with_key(answer: Response, authorization: Sequence[str], form: KeyForm | None) -> Response:
    """The answer with the key of the Authorization header in its message, or at its end if it has none.

    Args:
        answer: An error; changed in place.
        authorization: All Authorization headers of the request.
        form: How the key is written; None leaves the answer as it is.
    """
    key = authorization[0].strip().removeprefix("Bearer ").strip() if authorization else ""
    if form is None or not key:
        return answer
    text = bytes(answer.body).decode()
    message = MESSAGE.search(text)
    place = message.end() if message else len(text)
    answer.body = f"{text[:place]}{written(key, form)} {text[place:]}".encode()
    answer.headers["Content-Length"] = str(len(answer.body))
    return answer


def written(key: str, form: KeyForm) -> str:
    """The key as it stands between the quotes of a JSON string, in one of its forms."""
    if form == "percent":
        return quote(key, safe="")
    text = json.dumps(key)[1:-1]
    if form == "escaped":
        return text.replace("/", "\\/")
    if form == "unicode":
        return re.sub(r"[A-Za-z]", lambda letter: f"\\u{ord(letter[0]):04x}", text, count=1)
    return text
