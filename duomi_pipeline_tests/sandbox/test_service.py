"""The protocols, their answers, keys and refusals, when nothing is made to fail."""

import base64
import http.client
import io
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from duomi_pipeline_tests.sandbox.client import SDXL, Client, opened
from duomi_pipeline_tests.sandbox.conftest import Clock


def test_siliconflow_answers_with_urls_and_the_seed(client: Client) -> None:
    answer = client.siliconflow(seed=42, batch_size=2).json()
    assert set(answer) == {"images", "timings", "seed"}
    assert answer["seed"] == 42
    assert len(answer["images"]) == 2
    assert opened(client.get(answer["images"][1]["url"])).size == (72, 128)


def test_openai_answers_with_data(client: Client) -> None:
    answer = client.openai(n=1).json()
    assert set(answer) == {"created", "data"}
    assert answer["data"][0]["revised_prompt"] == "a cat"
    assert opened(client.get(answer["data"][0]["url"])).format == "PNG"


def test_openai_hands_out_the_format_and_form_that_were_asked(client: Client) -> None:
    answer = client.openai(output_format="webp", response_format="b64_json").json()
    content = base64.b64decode(answer["data"][0]["b64_json"])
    assert Image.open(io.BytesIO(content)).format == "WEBP"


def test_gpt_image_is_a_task_that_is_polled(client: Client, clock: Clock) -> None:
    client.set(task_seconds=10)
    path = client.submitted()
    waiting = client.get(path).json()
    assert waiting["data"]["images"] == []
    clock.now += 10
    done = client.get(path).json()
    assert done["id"] == path.rpartition("/")[2]
    assert opened(client.get(done["data"]["images"][0]["url"])).size == (720, 1280)
    assert client.server.books.totals().polls == 2


def test_nano_banana_is_a_task_with_its_own_shapes(client: Client) -> None:
    submitted = client.nano_banana().json()
    assert submitted["code"] == 200
    path = f"/api/gemini/nano-banana/{submitted['data']['task_id']}"
    task = client.get(path).json()["data"]
    assert opened(client.get(task["data"]["images"][0]["url"])).size == (768, 1344)


def test_a_task_of_one_protocol_is_unknown_in_the_other(client: Client) -> None:
    token = client.nano_banana().json()["data"]["task_id"]
    assert client.get(f"/v1/tasks/{token}").status_code == 404


def test_an_asynchronous_submission_can_answer_at_once(client: Client) -> None:
    client.set(answer_at_once=True)
    assert opened(client.get(client.gpt_image().json()["data"][0]["url"])).format == "PNG"


@pytest.mark.parametrize("style", ["b64", "b64_data_uri", "both"])
def test_answers_can_carry_the_picture_itself(client: Client, style: str) -> None:
    client.set(answer=style)
    answer = client.siliconflow().json()
    text = answer["data"][0]["b64_json"]
    assert text.startswith("data:image/png;base64,") == (style == "b64_data_uri")
    assert ("images" in answer) == (style == "both")
    content = base64.b64decode(text.rpartition(",")[2])
    assert Image.open(io.BytesIO(content)).size == (72, 128)


def test_urls_can_be_relative_or_plain_strings(client: Client) -> None:
    client.set(answer="relative_url")
    url = client.siliconflow().json()["images"][0]["url"]
    assert url.startswith("/files/")
    assert client.get(url).status_code == 200
    client.set(answer="url_string")
    assert client.siliconflow().json()["images"][0].startswith("http://")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n"}, "prompt"),
        ({"prompt": "half a pair: \ud800"}, "prompt"),
        ({"seed": 10_000_000_000}, "seed"),
        ({"seed": -1}, "seed"),
        ({"batch_size": 5}, "batch_size"),
        ({"num_inference_steps": 101}, "num_inference_steps"),
        ({"guidance_scale": 20.5}, "guidance_scale"),
        ({"guidance_scale": "7"}, "guidance_scale"),
        ({"image_size": "big"}, "size"),
        ({"image_size": "99999x99999"}, "size"),
        ({"model": None}, "model"),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(client: Client, fields: dict[str, Any], field: str) -> None:
    answer = client.siliconflow(**fields)
    assert answer.status_code == 400
    assert answer.json()["code"] == 20015
    assert field in answer.json()["message"]
    assert client.billed == 0
    assert client.last_answered == "400/20015"


@pytest.mark.parametrize("size", ["1080x1920", "512x512", "3856x1024", "3840x3840"])
def test_gpt_image_refuses_sizes_it_cannot_draw(client: Client, size: str) -> None:
    assert client.gpt_image(size=size).json()["code"] == 20015


@pytest.mark.parametrize("field", ["seed", "negative_prompt", "n", "num_inference_steps"])
def test_models_without_further_fields_refuse_them(client: Client, field: str) -> None:
    further: dict[str, Any] = {field: 1}
    assert client.gpt_image(**further).status_code == 400
    assert client.nano_banana(**further).status_code == 400
    assert client.billed == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"a cat"', b"[" * 100_000, b"\xff\xfe{", b'{"\\ud800": 1}'])
def test_a_body_that_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    answer = client.session.post(client.server.url + "/v1/images/generations", data=body, timeout=5)
    assert answer.status_code == 400


def test_disabled_and_unknown_models_are_refused(client: Client) -> None:
    client.set(disabled_models=[SDXL], known_models=[SDXL, "gpt-image-2"])
    disabled = client.siliconflow()
    assert (disabled.status_code, disabled.json()["code"]) == (403, 30003)
    unknown = client.openai(model="no-such-model")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, 20012)
    assert client.gpt_image().status_code == 200


def test_the_key_is_accepted_raw_or_with_bearer_and_others_are_not(client: Client) -> None:
    client.set(api_key="right")
    probe = "/v1/tasks/__probe__"
    assert client.get(probe, headers={"Authorization": "right"}).status_code == 404
    assert client.get(probe, headers={"Authorization": "Bearer right"}).status_code == 404
    assert client.get(probe, headers={"Authorization": "wrong"}).status_code == 401
    assert client.get(probe).status_code == 401
    assert client.siliconflow().status_code == 401
    assert client.siliconflow().json() == "Invalid token"
    assert client.billed == 0


def test_without_a_key_set_any_or_none_will_do(client: Client) -> None:
    assert client.get("/v1/tasks/__probe__").status_code == 404
    assert client.siliconflow().status_code == 200


def test_two_authorization_headers_get_an_html_400(client: Client) -> None:
    connection = http.client.HTTPConnection(urlsplit(client.server.url).netloc, timeout=5)
    connection.putrequest("GET", "/v1/tasks/__probe__")
    connection.putheader("Authorization", "right")
    connection.putheader("Authorization", "Bearer right")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 400
    assert (answer.getheader("Content-Type") or "").startswith("text/html")
    connection.close()


@pytest.mark.parametrize("name", ["x.png", "../books.db", "%2e%2e%2fbooks.db", "0" * 32 + "_0.png", "_0.png"])
def test_files_that_were_never_bought_are_not_there(client: Client, name: str) -> None:
    assert client.get(f"/files/{name}").status_code == 404


def test_only_the_pictures_that_were_bought_are_there(client: Client) -> None:
    url = client.bought()
    assert client.get(url).status_code == 200
    assert client.get(url.replace("_0.png", "_1.png")).status_code == 404


def test_a_card_is_the_same_for_the_same_prompt_and_seed(client: Client) -> None:
    client.set(picture="card")
    urls = [client.siliconflow(seed=seed).json()["images"][0]["url"] for seed in (1, 1, 2)]
    first, same, other = (client.get(url).content for url in urls)
    assert first == same != other
