"""What a picture says about itself: read back whole, replaced not doubled, pixels untouched, no secret, disclosed."""

import json
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from duomi_pipeline.duomi import build_request
from duomi_pipeline.images.metadata import PictureInfo, read_info, read_texts, with_info
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.images.harness import SIZE, chunk, chunks, encoded, gradient, opened, pixels, with_chunk

PNG = encoded(gradient())
SECRET = "sk-very-secret"
PROMPTS = [
    "a boat", "two\nlines\r\nthree", "雨夜的城市 🌃", "bad Negative prompt: blur", "\nNegative prompt: blur\nSteps: 3", "a, b, Steps: 9",
    "Negative prompt:: : twice", "Steps: 9, Seed: 1", "NEGATIVE PROMPT : blur", ']]> &amp; </rdf:Description>', 'quotes " and \\ and <b>', "control \x01 and \x00 characters", "x" * 50_000,
]  # fmt: skip


def info(prompt: str = "a boat", **fields: Any) -> PictureInfo:
    body = {"model": "m", "prompt": prompt, "num_inference_steps": 20, "guidance_scale": 7.5, "seed": 5}
    given: dict[str, Any] = {
        "prompt_id": "json_a",
        "prompt_version": "v1",
        "prompt": prompt,
        "request_key": "k" * 64,
        "request": {"host_kind": "service", "body": {**body, **fields.pop("body", {})}},
        "settings_fingerprint": "f1",
        "host_kind": "service",
        "model": "m",
        "requested_size": "1080x1920",
        "received_size": "1024x1024",
        "size": "96x160",
        "seed": 5,
        "created_at": datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC),
    }
    return PictureInfo(**{**given, **fields})


RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DC = "{http://purl.org/dc/elements/1.1/}"
XMP = "{http://ns.adobe.com/xap/1.0/}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
TC260 = "{http://www.tc260.org.cn/ns/AIGC/1.0/}"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def xmp(png: bytes) -> dict[str, str]:
    """The properties in a picture's only XMP packet, by full name."""
    packets = [data for kind, data in chunks(png) if data.startswith(b"XML:com.adobe.xmp\0")]
    assert len(packets) == 1
    root = ElementTree.fromstring(packets[0].split(b"\0", 5)[5].decode())
    found: dict[str, str] = {}
    for description in next(root.iter(f"{RDF}RDF")).iterfind(f"{RDF}Description"):
        new = description.attrib | {child.tag: "".join(child.itertext()) for child in description}
        assert found.keys().isdisjoint(new.keys() - {f"{RDF}about"}), "a property is said twice"
        found |= new
    return found


def packet_chunk(properties: str, head: str = "", bare: bool = False) -> bytes:
    """A chunk with the XMP packet of some service; the outer element may be left out."""
    rdf = f'<r:RDF xmlns:r="{RDF[1:-1]}">{properties}</r:RDF>'
    text = rdf if bare else f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{rdf}</x:xmpmeta>'
    return chunk(b"iTXt", f"XML:com.adobe.xmp\0\0\0\0\0{head}{text}".encode())


def parameters(png: bytes) -> str:
    """The text under `parameters`, as Pillow reads it."""
    return str(opened(png).info["parameters"])


@pytest.mark.parametrize("prompt", PROMPTS)
def test_information_is_read_back_as_it_was_written(prompt: str) -> None:
    written = info(prompt, task_id="t-1", index=2, seed=None, body={"negative_prompt": prompt})
    assert read_info(with_info(PNG, written)) == written


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_writing_information_changes_no_pixel_and_no_other_chunk(mode: str) -> None:
    theirs = chunk(b"caBX", b"a C2PA manifest") + chunk(b"tEXt", b"Comment\0hello")
    theirs += chunk(b"tEXt", b"prompt\0{}") + chunk(b"iTXt", b"workflow\0\0\0\0\0{}") + chunk(b"zTXt", b"broken\0\0x")
    png = with_chunk(encoded(gradient(mode=mode)), theirs)
    marked = with_info(png, info())
    assert pixels(marked) == pixels(png)
    assert [found for found in chunks(marked) if found in chunks(png)] == chunks(png)
    assert opened(marked).tobytes() == opened(png).tobytes()


def test_information_written_twice_replaces_the_first(tmp_path: Path) -> None:
    twice = with_info(with_info(PNG, info("first")), info("second"))
    assert twice == with_info(PNG, info("second"))
    assert b"first" not in twice
    theirs = with_chunk(PNG, packet_chunk(f'<r:Description xmlns:xmp="{XMP[1:-1]}" xmp:Rating="5"/>'))
    assert with_info(with_info(theirs, info("first")), info("second")) == with_info(theirs, info("second"))


@pytest.mark.parametrize(
    "foreign",
    [
        chunk(b"tEXt", b"parameters\0foreign"),
        chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"foreign")),
        chunk(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(b"foreign")),
        chunk(b"iTXt", b"parameters\0\0\0en\0title\0foreign"),
    ],
    ids=["tEXt", "zTXt", "compressed iTXt", "iTXt"],
)
def test_parameters_that_the_service_wrote_are_replaced_not_doubled(foreign: bytes) -> None:
    marked = with_info(with_chunk(PNG, foreign), info())
    assert parameters(marked).startswith("a boat\n")
    assert sum(data.startswith(b"parameters\0") for _, data in chunks(marked)) == 1


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_parameters_hold_the_prompt_on_one_line(prompt: str) -> None:
    lines = parameters(with_info(PNG, info(prompt, body={"negative_prompt": prompt}))).split("\n")
    assert len(lines) == 3
    assert not re.search(r"negative prompt\s*:|^steps\s*:|[\x00-\x1f\x7f-\x9f]", lines[0], re.IGNORECASE)
    assert len(re.findall(r"negative prompt\s*:", lines[1], re.IGNORECASE)) == 1
    assert lines[1].startswith("Negative prompt: ")
    assert lines[2].startswith("Steps: ")
    if prompt == "a boat":
        assert lines[:2] == ["a boat", "Negative prompt: a boat"]


def test_the_last_line_of_the_parameters_has_every_field_that_readers_need() -> None:
    marked = with_info(PNG, info(model='a, "b":\nfree', body={"num_inference_steps": 31, "guidance_scale": 4.0}))
    prompt, last = parameters(marked).split("\n")
    assert prompt == "a boat"
    assert re.fullmatch(
        r"Steps: 31, Sampler: [^,:]+, CFG scale: 4\.0, Seed: 5, Size: 96x160, Model: a b free, Version: [^,:]+",
        last,
    )


@pytest.mark.parametrize(
    ("prompt", "kind"), [("a boat", b"tEXt"), ("ein Segelschiff für Zoë", b"iTXt"), ("雨夜", b"iTXt")]
)
def test_plain_parameters_are_of_the_kind_that_every_reader_knows(prompt: str, kind: bytes) -> None:
    marked = with_info(PNG, info(prompt))
    assert [k for k, data in chunks(marked) if data.startswith(b"parameters\0")] == [kind]
    assert parameters(marked).startswith(f"{prompt}\n")


def test_a_model_without_steps_and_seed_still_gets_all_fields() -> None:
    body: dict[str, Any] = {"model": "gpt-image-2", "prompt": "a boat", "size": "1152x2048"}
    marked = with_info(PNG, info(model="gpt-image-2", seed=None, request={"host_kind": "service", "body": body}))
    assert re.match(r"Steps: 0, Sampler: .+, CFG scale: 0, Seed: 0, Size: 96x160, ", parameters(marked).split("\n")[1])


def test_no_key_of_comfyui_is_written() -> None:
    assert {"prompt", "workflow"}.isdisjoint(opened(with_info(PNG, info())).info)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_packet_discloses_a_trained_model_and_holds_the_exact_prompt(prompt: str) -> None:
    said = xmp(with_info(PNG, info(prompt, model="gpt-image-2")))
    printable = prompt.replace("\x00", "\ufffd").replace("\x01", "\ufffd")  # XML has no way to hold these
    assert said[f"{DC}description"] == said[f"{IPTC}AIPromptInformation"] == printable
    assert said[f"{IPTC}DigitalSourceType"] == f"{SOURCE_TYPE}trainedAlgorithmicMedia"
    assert said[f"{IPTC}AISystemUsed"] == "gpt-image-2"
    assert said[f"{XMP}CreateDate"] == "2026-03-04T05:06:07.089+00:00"


def test_the_chinese_label_has_the_seven_fields_of_the_standard_in_its_characters() -> None:
    label = xmp(with_info(PNG, info(model='modèle "x" \\ 1', index=2)))[f"{TC260}AIGC"]
    fields = json.loads(label)
    assert list(fields) == [
        "Label",
        "ContentProducer",
        "ProduceID",
        "ReservedCode1",
        "ContentPropagator",
        "PropagateID",
        "ReservedCode2",
    ]
    assert (fields["Label"], fields["ProduceID"]) == ("1", "json_a-20260304T050607089Z-2")
    assert all(re.fullmatch(r"[!#-\[\]-~]*", value) for value in fields.values())
    assert fields["ContentProducer"].startswith("Duomi-Pipeline/mod")


@pytest.mark.parametrize(
    ("png", "host_kind"),
    [(PNG, "sandbox"), (with_chunk(PNG, chunk(b"tEXt", b"Software\0Duomi Sandbox")), "local")],
    ids=["built in", "stand-alone"],
)
def test_a_drawing_of_the_sandbox_is_not_called_generated(png: bytes, host_kind: str) -> None:
    said = xmp(with_info(png, info(host_kind=host_kind)))
    assert said[f"{IPTC}DigitalSourceType"] == f"{SOURCE_TYPE}algorithmicMedia"
    assert {f"{TC260}AIGC", f"{IPTC}AISystemUsed", f"{IPTC}AIPromptInformation"}.isdisjoint(said)
    assert said[f"{DC}description"] == "a boat"


@pytest.mark.parametrize(
    "service",
    [
        '<r:Description r:about="" xmlns:t="{t}" xmlns:p="{p}" t:AIGC="{label}" p:DigitalSourceType="theirs"/>',
        '<r:Description xmlns:t="{t}"><t:AIGC>{label}</t:AIGC></r:Description>'
        '<r:Description xmlns:p="{p}"><p:DigitalSourceType>theirs</p:DigitalSourceType></r:Description>',
    ],
    ids=["attributes", "elements"],
)
@pytest.mark.parametrize("bare", [False, True])
def test_what_the_service_disclosed_stands_and_is_completed(service: str, bare: bool) -> None:
    label = "{&quot;Label&quot;:&quot;1&quot;,&quot;ContentProducer&quot;:&quot;001191&quot;}"
    properties = service.format(t=TC260[1:-1], p=IPTC[1:-1], label=label)
    theirs = packet_chunk(properties, '<?xpacket begin="" id="W5M"?>', bare)
    said = xmp(with_info(with_chunk(PNG, theirs), info()))
    assert json.loads(said[f"{TC260}AIGC"])["ContentProducer"] == "001191"
    assert said[f"{IPTC}DigitalSourceType"] == "theirs"
    assert said[f"{DC}description"] == "a boat"


def test_a_label_that_the_service_wrote_as_a_text_of_its_own_is_not_contradicted() -> None:
    marked = with_info(with_chunk(PNG, chunk(b"tEXt", b'AIGC\0{"Label":"1"}')), info())
    assert opened(marked).info["AIGC"] == '{"Label":"1"}'
    assert f"{TC260}AIGC" not in xmp(marked)


@pytest.mark.parametrize(
    "theirs",
    [
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<no xml"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<other/>"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0not packed"),
        packet_chunk('<r:Description r:about="&lol;"/>', '<!DOCTYPE x [<!ENTITY lol "' + "ha" * 99 + '">]>'),
        packet_chunk("<r:Description>" + "<a>" * 400_000 + "</a>" * 400_000 + "</r:Description>"),
    ],
    ids=["broken", "other", "broken chunk", "entities", "huge"],
)
def test_an_unusable_packet_gives_way_to_ours(theirs: bytes) -> None:
    assert with_info(with_chunk(PNG, theirs), info()) == with_info(PNG, info())


def test_no_secret_reaches_a_picture(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, api_key=SECRET, ledger_url=f"postgresql://me:{SECRET}@db/ledger")
    request = build_request(settings, "json_a", "a boat", settings.parameters)
    marked = with_info(PNG, info(request=request.content, request_key=request.key))
    assert SECRET.encode() not in marked
    assert SECRET not in str(read_info(marked))


@pytest.mark.parametrize(
    "data",
    [
        PNG,
        b"",
        b"no png",
        with_info(PNG, info())[:200],
        with_chunk(PNG, chunk(b"iTXt", b"duomi_generation\0\0\0\0\0{not json")),
        with_chunk(PNG, chunk(b"iTXt", b'duomi_generation\0\0\0\0\0{"schema_version": 2}')),
        with_chunk(PNG, chunk(b"iTXt", b"duomi_generation\0\0\0\0\0[]")),
        with_chunk(PNG, chunk(b"iTXt", b"duomi_generation\0\0\0\0\0" + b"[" * 100_000)),
        with_chunk(PNG, chunk(b"iTXt", b"duomi_generation")),
    ],
    ids=["plain", "empty", "not png", "cut off", "not json", "other schema", "list", "deep", "no text"],
)
def test_a_picture_without_usable_information_has_none(data: bytes) -> None:
    assert read_info(data) is None


def test_information_is_found_without_reading_the_pixels() -> None:
    marked = with_info(PNG, info())
    begin = marked[: marked.index(b"IDAT") - 4]
    assert len(begin) < len(marked)
    assert read_info(begin) == info()
    assert opened(marked).size == SIZE


def test_texts_that_unpack_to_very_many_characters_are_left_out() -> None:
    bomb = chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(5_000_000)))
    texts = read_texts(with_info(with_chunk(PNG, bomb * 100), info()))
    assert sum(len(text) for _, text in texts) <= 64_000_000
    assert {"duomi_generation", "parameters", "XML:com.adobe.xmp"} <= {key for key, _ in texts}
