"""`duomi inspect`. Texts in pictures are untrusted: control characters in them are escaped before they are printed."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from duomi_pipeline.cli.console import json_option, print_json
from duomi_pipeline.common.text import safe
from duomi_pipeline.images.metadata import A1111_KEY, OWN_KEY, PictureInfo, read_info, read_texts
from duomi_pipeline.images.png_chunks import SIGNATURE, BrokenPngError, png_size, walk
from duomi_pipeline.images.xmp import XMP_KEY, Disclosure, read_disclosure
from duomi_pipeline.reporting.receipt import amount

EXIT_BAD_FILE = 2
_MAX_SHOWN = 2000  # characters of a foreign text; `--json` has it whole
_SENT_BY_NAME = ("model", "prompt", "negative_prompt")


@dataclass(frozen=True)
class _Found:
    """The metadata of one PNG.

    Attributes:
        info: `None` for a picture that is not ours.
        has_manifest: it carries a C2PA manifest; tools that check signatures can read it.
    """

    size: str
    info: PictureInfo | None
    disclosure: Disclosure
    has_manifest: bool
    texts: list[tuple[str, str]]


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def inspect(files: tuple[Path, ...], as_json: bool) -> None:
    """Print the metadata of PNG files: prompt, settings, origin, price, disclosure; also of pictures from elsewhere.

    A file that is missing, damaged or not a PNG is named, and the others are shown; the exit code is then 2.

    \b
    Examples:
      duomi inspect out/generated_images/boat_20260111_083000_000.png
      duomi inspect --json out/generated_images/*.png
    """
    entries: list[dict[str, Any]] = []
    bad = False
    for file in files:
        try:
            found = _read(file)
        except (OSError, BrokenPngError) as error:
            bad = True
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            click.echo(_safe_line(f"Error: {file}: {reason}"), err=True)
            entries.append({"file": str(file), "error": reason})
            continue
        if as_json:
            entries.append({"file": str(file), "error": None, **_as_json(found)})
        else:
            _show(file, found)
    if as_json:
        print_json({"files": entries})
    if bad:
        sys.exit(EXIT_BAD_FILE)


def _read(file: Path) -> _Found:
    """Read one file.

    Raises:
        OSError: it cannot be read.
        BrokenPngError: it is not a whole PNG.
    """
    with file.open("rb") as opened:
        start = opened.read(len(SIGNATURE))
        png = start + (opened.read() if start == SIGNATURE else b"")
    texts = read_texts(png)
    has_manifest = any(chunk.kind == b"caBX" for chunk in walk(png))
    return _Found(str(png_size(png)), read_info(png), read_disclosure(dict(texts)), has_manifest, texts)


def _as_json(found: _Found) -> dict[str, Any]:
    info, label = found.info, found.disclosure.label
    return {
        "size": found.size,
        "generation": {**info.model_dump(), "created_at": info.created_at.isoformat()} if info else None,
        "disclosure": {
            "digital_source_type": found.disclosure.source_type,
            "aigc": label and dict(label),
            "c2pa_manifest": found.has_manifest,
        },
        "texts": [{"key": key, "text": text} for key, text in found.texts],
    }


def _show(file: Path, found: _Found) -> None:
    click.echo(_safe_line(str(file)))
    lines = _ours(found.info, found.texts) if found.info else _foreign(found)
    for name, value in [*lines, ("Disclosure", _disclosure(found))]:
        text = safe(value).replace("\n", "\n" + " " * 17)
        click.echo(f"  {_safe_line(name) + ':':<14} {text}")


def _ours(info: PictureInfo, texts: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    sent = info.request.get("body")
    body: Mapping[str, Any] = sent if isinstance(sent, dict) else {}
    yield "Prompt", info.prompt
    if negative := body.get("negative_prompt"):
        yield "Negative", str(negative)
    yield "Model", info.model
    yield "Settings", ", ".join(f"{name}={value}" for name, value in body.items() if name not in _SENT_BY_NAME)
    yield "Seed", "none" if info.seed is None else str(info.seed)
    yield "Size", f"{info.size}; asked for {info.requested_size}, received {info.received_size}"
    yield "Prompt id", f"{info.prompt_id}, picture {info.index + 1} of its request"
    yield "Request key", info.request_key
    yield "Task id", info.task_id or "none"
    yield "Origin", f"{info.origin}, service: {info.host_kind}"
    yield "Price", "unknown" if info.price is None else amount(info.price, info.currency)
    yield "Made", info.created_at.isoformat(" ", "seconds")
    if others := [key for key, _ in texts if key not in (OWN_KEY, A1111_KEY, XMP_KEY)]:
        yield "Also carries", ", ".join(others)


def _foreign(found: _Found) -> Iterator[tuple[str, str]]:
    yield "Origin", "not a picture of this pipeline" + ("" if found.texts else ", and it carries no text")
    yield "Size", found.size
    for key, text in found.texts:
        cut = f" … ({len(text)} characters, all of them with --json)" if len(text) > _MAX_SHOWN else ""
        yield f"[{key}]", text[:_MAX_SHOWN] + cut


def _disclosure(found: _Found) -> str:
    source_type, label = found.disclosure.source_type, found.disclosure.label
    parts = [f"IPTC {source_type}"] if source_type else []
    parts += [f"AIGC label {label['Label']}, producer {label.get('ContentProducer') or 'not named'}"] if label else []
    parts += ["a C2PA manifest"] if found.has_manifest else []
    return "; ".join(parts) or "none"


def _safe_line(text: str) -> str:
    return safe(text).replace("\n", "\\n")
