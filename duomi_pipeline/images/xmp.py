"""What a picture discloses of how it was made, as an XMP packet that photo tools, platforms and agencies read.

IPTC: Digital Source Type, and the AI properties of Photo Metadata 2025.1. China: the label of GB 45438-2025, annex E,
under TC260's namespace. Only what is known is said:

- A picture of the sandbox is drawn by a program: `algorithmicMedia`, and no AI property and no Chinese label, which
  would be false. It is known by the host kind, or by the text that its card brings along from a stand-alone sandbox.
- All others come from a trained model: `trainedAlgorithmicMedia`, label 1 ("is generated"). The producer is this
  pipeline and the model, with a number of its own: a registered provider's code is not known here. The fields of the
  platform that spreads the picture stay empty for it to fill.
- What the service itself put into its packet or its label stands; only what it left out is added.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree
from xml.sax.saxutils import escape

XMP_KEY = "XML:com.adobe.xmp"
AIGC_KEY = "AIGC"  # some Chinese services write the label as a text of its own
CREATOR = "Duomi Pipeline"
SANDBOX_SOFTWARE = "Duomi Sandbox"
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NAMESPACES = {
    "rdf": _RDF,
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "TC260": "http://www.tc260.org.cn/ns/AIGC/1.0/",
}
# Our properties stand in a description of their own, recognised by exactly this beginning.
_OPENING = '<rdf:Description rdf:about=""' + "".join(f' xmlns:{p}="{uri}"' for p, uri in _NAMESPACES.items()) + ">"
_CLOSING = "</rdf:Description>\n"
_OURS = re.compile(re.escape(_OPENING) + ".*?" + re.escape(_CLOSING), re.DOTALL)
_EMPTY_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">\n</rdf:RDF></x:xmpmeta>\n'
    '<?xpacket end="r"?>'
)
_RDF_END = re.compile(r"</(?:[\w.-]+:)?RDF\s*>")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2
_NOT_IN_LABEL = re.compile(r"[^!#-\[\]-~]+")  # what GB 45438-2025 keeps out of the label's values
_MAX_PACKET = 1_000_000  # characters; a service's packet has a few thousand


@dataclass(frozen=True)
class Making:
    """How a picture was made.

    Attributes:
        number: this picture's own, of `[A-Za-z0-9_-]`.
        is_sandbox: the sandbox drew it, no model.
    """

    prompt: str
    model: str
    number: str
    made_at: datetime
    is_sandbox: bool


@dataclass(frozen=True)
class Disclosure:
    """What a file says of how it was made, whoever wrote that.

    Attributes:
        source_type: the term of IPTC's Digital Source Type.
        label: the Chinese label's fields.
    """

    source_type: str | None = None
    label: Mapping[str, str] | None = None


def packet(making: Making, texts: Mapping[str, str]) -> str:
    """The XMP packet of a picture.

    Args:
        making: how it was made.
        texts: what the file carries by now; its packet is kept and completed.
    """
    base = _OURS.sub("", texts.get(XMP_KEY, ""))
    said = set(_properties(base))
    ends = [found.start() for found in _RDF_END.finditer(base)] if said else []
    if not ends:
        base, ends = _EMPTY_PACKET, [_EMPTY_PACKET.index("</rdf:RDF>")]
    if AIGC_KEY in texts:
        said.add(_full("TC260:AIGC"))
    block = "".join(f"<{name}>{xml}</{name}>\n" for name, xml in _statements(making).items() if _full(name) not in said)
    return f"{base[: ends[-1]]}{_OPENING}\n{block}{_CLOSING}{base[ends[-1] :]}"


def read_disclosure(texts: Mapping[str, str]) -> Disclosure:
    """What a file's texts disclose; broken texts disclose nothing."""
    said = _properties(texts.get(XMP_KEY, ""))
    source_type = said.get(_full("Iptc4xmpExt:DigitalSourceType"))
    label = _read_label(said.get(_full("TC260:AIGC"))) or _read_label(texts.get(AIGC_KEY))
    return Disclosure(source_type and source_type.removeprefix(SOURCE_TYPES), label)


def _statements(making: Making) -> dict[str, str]:
    """Our properties and their values in XML."""
    prompt = _xml(making.prompt)
    drawn = {
        "xmp:CreatorTool": CREATOR,
        "xmp:CreateDate": making.made_at.isoformat(timespec="milliseconds"),
        "dc:description": f'<rdf:Alt><rdf:li xml:lang="x-default">{prompt}</rdf:li></rdf:Alt>',
        "Iptc4xmpExt:DigitalSourceType": f"{SOURCE_TYPES}algorithmicMedia",
    }
    if making.is_sandbox:
        return drawn
    return {
        **drawn,
        "Iptc4xmpExt:DigitalSourceType": f"{SOURCE_TYPES}trainedAlgorithmicMedia",
        "Iptc4xmpExt:AISystemUsed": _xml(making.model),
        "Iptc4xmpExt:AIPromptInformation": prompt,
        "TC260:AIGC": _xml(_label(making)),
    }


def _label(making: Making) -> str:
    """The seven fields, in the order of the standard."""
    fields = {
        "Label": "1",
        "ContentProducer": _NOT_IN_LABEL.sub("-", f"{CREATOR}/{making.model}"),
        "ProduceID": making.number,
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }
    return json.dumps(fields, separators=(",", ":"))


def _read_label(text: str | None) -> dict[str, str] | None:
    try:
        fields = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    if isinstance(fields, dict) and isinstance(fields.get(AIGC_KEY), dict):
        fields = fields[AIGC_KEY]  # the standard's own example wraps them so
    return {str(k): str(v) for k, v in fields.items()} if isinstance(fields, dict) and "Label" in fields else None


def _properties(text: str) -> dict[str, str]:
    """All properties of a packet with their text, by full name; none of a broken one."""
    if len(text) > _MAX_PACKET or "<!DOCTYPE" in text:
        return {}
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without a document type there is no entity to expand
    except (ElementTree.ParseError, ValueError):
        return {}
    found: dict[str, str] = {}
    for rdf in root.iter(f"{{{_RDF}}}RDF"):
        for description in rdf.iterfind(f"{{{_RDF}}}Description"):
            found |= description.attrib
            found |= {child.tag: "".join(child.itertext()).strip() for child in description}
    return found


def _full(name: str) -> str:
    """`dc:description` as XML parsers call it."""
    prefix, _, local = name.partition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"


def _xml(text: str) -> str:
    """Text as XML holds it; what XML cannot hold becomes U+FFFD, and line ends survive."""
    return escape(_NO_XML.sub("\ufffd", text), {"\r": "&#13;"})
