"""Dagster's events for pictures: one materialization each, with the tags from which Dagster knows what is stale."""

import base64
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from duomi_pipeline.engine import Outcome, PlannedPrompt
from duomi_pipeline.images import ImageStore, NotAPictureError, PictureLostError, thumbnail_of
from duomi_pipeline.ledger import Purchase, Selection
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY
from duomi_pipeline.orchestration.partition_sync import DATA_VERSION_TAG, PROMPTS_KEY, USER_PROVIDED_TAG
from duomi_pipeline.prompts import Prompt

_CODE_VERSION_TAG = "dagster/code_version"
_INPUT_VERSION_TAG = "dagster/input_data_version/prompts"
_INPUT_POINTER_TAG = "dagster/input_event_pointer/prompts"
_MAX_TEXT = 4_000  # characters


@dataclass(frozen=True)
class ImageEvents:
    """Makes the events of one run.

    Attributes:
        store: the folder of pictures, for their paths.
        observations: storage id of each prompt's latest observation.
        currency: currency of the costs.
    """

    store: ImageStore
    observations: Mapping[str, int]
    currency: str

    @classmethod
    def of(cls, instance: dg.DagsterInstance, store: ImageStore, keys: list[str], currency: str) -> "ImageEvents":
        """Read all observations in one query, not one per partition."""
        observations = instance.event_log_storage.get_latest_storage_id_by_partition(
            PROMPTS_KEY, dg.DagsterEventType.ASSET_OBSERVATION, set(keys)
        )
        return cls(store, observations, currency)

    def made(self, outcome: Outcome, selection: Selection) -> dg.AssetMaterialization:
        """The event of a prompt whose picture was generated or reused."""
        metadata = {
            **self._files(selection, outcome.thumbnail),
            **_request(outcome.request.content, outcome.seed),
            "how": dg.MetadataValue.text(outcome.status.value),
            "latency_seconds": dg.MetadataValue.float(round(outcome.latency, 3)),
            "attempts": dg.MetadataValue.int(outcome.attempts),
        }
        if outcome.cost is not None:
            metadata[f"cost_{self.currency}"] = dg.MetadataValue.float(outcome.cost)
        metadata |= {
            "prompt": dg.MetadataValue.text(outcome.request.prompt[:_MAX_TEXT]),
            "origin": dg.MetadataValue.text(outcome.prompt.origin),
        }
        return self._event(outcome.prompt, selection, metadata)

    def kept(self, entry: PlannedPrompt, selection: Selection, purchase: Purchase) -> dg.AssetMaterialization:
        """The event of a prompt that the run leaves as it is, with the request that its picture was made from.

        Without this event a failed run would show this partition as failed, too.
        """
        request = purchase.content
        metadata = {
            **self._files(selection, self._thumbnail(selection)),
            **_request(request, purchase.seed_used),
            "how": dg.MetadataValue.text(f"kept: {entry.state.value}"),
            "prompt": dg.MetadataValue.text(str(request["body"].get("prompt", ""))[:_MAX_TEXT]),
            "origin": dg.MetadataValue.text(entry.prompt.origin),
        }
        return self._event(entry.prompt, selection, metadata)

    def _thumbnail(self, selection: Selection) -> bytes | None:
        with contextlib.suppress(NotAPictureError, PictureLostError):
            return thumbnail_of(self.store.read(selection.files[0].file))
        return None

    def _files(self, selection: Selection, thumbnail: bytes | None) -> dict[str, dg.MetadataValue]:
        first = selection.files[0]
        preview = {} if thumbnail is None else {"preview": dg.MetadataValue.md(image_markdown(thumbnail, "thumbnail"))}
        made = datetime.fromtimestamp(first.saved_at, UTC).isoformat(timespec="milliseconds")
        return {
            **preview,
            "path": dg.MetadataValue.path(self.store.location(first.file)),
            "pictures": dg.MetadataValue.int(len(selection.files)),
            "size": dg.MetadataValue.text(first.size),
            "received_size": dg.MetadataValue.text(first.received_size),
            "bytes": dg.MetadataValue.int(sum(file.bytes for file in selection.files)),
            "made_at": dg.MetadataValue.text(made),
        }

    def _event(
        self, prompt: Prompt, selection: Selection, metadata: Mapping[str, dg.MetadataValue]
    ) -> dg.AssetMaterialization:
        tags = {
            DATA_VERSION_TAG: f"{selection.request_key[:24]}-{selection.purchase_id}",
            _CODE_VERSION_TAG: selection.settings_fingerprint,
            _INPUT_VERSION_TAG: selection.prompt_version,
            USER_PROVIDED_TAG: "true",
        }
        pointer = self.observations.get(prompt.id)
        if pointer is not None and selection.prompt_version == prompt.version:
            tags[_INPUT_POINTER_TAG] = str(pointer)
        return dg.AssetMaterialization(IMAGES_KEY, partition=selection.prompt_id, metadata=metadata, tags=tags)


def _request(content: Mapping[str, Any], seed: int | None) -> dict[str, dg.MetadataValue]:
    """The request as metadata: the most important fields alone, and all fields together."""
    body = content["body"]
    metadata: dict[str, dg.MetadataValue] = {
        "model": dg.MetadataValue.text(str(body["model"])),
        "service": dg.MetadataValue.text(content["host_kind"]),
        "request": dg.MetadataValue.json({name: value for name, value in body.items() if name != "prompt"}),
    }
    return metadata if seed is None else {**metadata, "seed": dg.MetadataValue.int(seed)}


def image_markdown(webp: bytes, name: str) -> str:
    """A picture embedded in Markdown, as Dagster's UI can show it."""
    return f"![{name}](data:image/webp;base64,{base64.b64encode(webp).decode()})"
