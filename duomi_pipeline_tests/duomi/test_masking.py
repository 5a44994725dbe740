"""The key stays out of what is shown and kept, however a service writes it; pictures are left as they are."""

import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duomi_pipeline.duomi.answers import Pictures, parse_json
from duomi_pipeline.duomi.errors import DuomiError, NotUnderstood
from duomi_pipeline.duomi.masking import Mask
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.duomi.test_client import client, request

KEY = "sk-a/b+c-long"
SAID = "Incorrect API key provided: "


def escaped(key: str) -> str:
    return key.replace("/", "\\/")


def unicode(key: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in key[:3]) + key[3:]


BODIES = {
    "plain": f'{{"error": {{"message": "{SAID}{KEY}"}}}}',
    "escaped": f'{{"error": {{"message": "{SAID}{escaped(KEY)}"}}}}',
    "unicode": f'{{"error": {{"message": "{SAID}{unicode(KEY)}"}}}}',
    "percent": f'{{"message": "{SAID}{quote(KEY, safe="")}"}}',
    "small percent": f'{{"message": "{SAID}{quote(KEY, safe="").lower()}"}}',
    "as html": f'{{"message": "{SAID}{KEY.replace("/", "&#x2F;").replace("+", "&#43;")}"}}',
    "json in json": json.dumps({"message": json.dumps({"error": SAID + KEY})}),
    "escaped in json": json.dumps({"message": f'{{"error": "{SAID}{escaped(KEY)}"}}'}),
    "unicode in json": json.dumps({"message": f'{{"error": "{SAID}{unicode(KEY)}"}}'}),
    "list": json.dumps({"detail": [{"msg": SAID + KEY}]}),
    "as code": json.dumps({"error": {"code": KEY, "message": SAID + "***"}}),
    "bare": json.dumps(SAID + KEY),
    "percent twice": f'{{"message": "{SAID}{quote(quote(KEY, safe=""), safe="")}"}}',
    "base64": json.dumps({"message": SAID + base64.b64encode(KEY.encode()).decode()}),
    "basic": json.dumps({"message": SAID + "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()}),
    "bearer in base64": json.dumps({"message": base64.urlsafe_b64encode(f"Bearer {KEY} is wrong".encode()).decode()}),
    "page": f"<html><body><h1>{SAID}</h1>{KEY}</body></html>",
    "page with escapes": f"<p>{SAID}{KEY.replace('/', '&#47;')}</p>",
    "broken json": f'{{"message": "{SAID}{escaped(KEY)}',
    "event": f'data: {{"error": "{SAID}{unicode(KEY)}"}}\n\n',
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_key_that_is_repeated_is_masked_in_every_form(name: str, status: int) -> None:
    service, raises = ScriptedService(Answer(BODIES[name], status)), pytest.raises(DuomiError)
    with service, client(service.url, key=KEY) as opened, raises as caught:
        opened.submit(request())
    shown = f"{caught.value} {caught.value.code} {caught.value.message}"
    assert "***" in shown
    kept = caught.value.body.decode() if isinstance(caught.value, NotUnderstood) else ""
    for text in (shown, kept):
        assert "c-long" not in text
        assert "sk-a" not in text
        for before in range(3):
            assert base64.urlsafe_b64encode(b"\0" * before + KEY.encode()).decode()[4:-4] not in text


def test_a_key_is_not_cut_in_half_before_it_is_masked() -> None:
    key = "sk-0123456789abcdefghijklmnop"
    short = [f"{'x' * before} {key}" for before in range(260, 305)]
    for page in short + [f"<i {'x' * before}>{key}" for before in range(4_960, 5_010)]:
        with pytest.raises(DuomiError) as caught:
            parse_json(403, page, masked=Mask(key))
        assert "sk-0" not in str(caught.value)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40))
def test_any_key_is_found_in_any_form(key: str) -> None:
    mask = Mask(key)
    text = json.dumps(key)[1:-1]
    for form in (key, text, json.dumps(text)[1:-1], unicode(key), quote(key), quote(key, safe=""), html.escape(key)):
        assert mask(f"<{form}>") == "<***>"


@given(
    st.text(min_size=8, max_size=40).map(lambda text: text.encode("utf-8", "replace").decode()),
    st.binary(max_size=4),
    st.binary(max_size=4),
)
def test_a_key_in_base64_is_found_wherever_it_stands_in_it(key: str, before: bytes, after: bytes) -> None:
    secret = key.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        masked = Mask(key)(f"<{encode(before + secret + after).decode()}>")
        assert "***" in masked
        assert len(masked) <= 20, "no more than the neighbours' own characters stays"


def test_what_has_no_key_in_it_is_left_as_it_is() -> None:
    text = "sk-a/b+c-lonG sk-a b c-long %2F \\u0073 &#47; ***"
    assert Mask(KEY)(text) == text
    assert Mask("")(text) == text
    assert Mask("sk-a")(text) == text, "too short to be a secret"


def test_addresses_and_bytes_of_pictures_are_not_damaged() -> None:
    key = base64.b64encode(b"a key of many letters").decode()
    url = f"https://files.example/{key}/a.png?key={key}"
    body = {"data": [{"b64_json": key, "revised_prompt": key}, {"url": url}], "images": [key, url], "message": key}
    for answer in (body, {"data": body["data"]}, {"images": [url, f"data:image/png;base64,{key}"]}):
        with ScriptedService(Answer(json.dumps(answer))) as service, client(service.url, key=key) as opened:
            found = opened.submit(request())
        assert isinstance(found, Pictures)
        assert all(image.url in (None, url, key) for image in found.images)
        assert all(image.data in (None, b"a key of many letters") for image in found.images)
