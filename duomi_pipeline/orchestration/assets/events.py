"""Dagster's events for pictures: one materialization each, with the tags from which Dagster knows what is stale."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from duomi_pipeline.common.places import is_object_storage
from duomi_pipeline.engine import Outcome, PlannedPrompt, Status
from duomi_pipeline.images import ImageStore, NotAPictureError, PictureLostError
from duomi_pipeline.images.png import thumbnail_of
from duomi_pipeline.ledger import Purchase, Selection
from duomi_pipeline.orchestration.event_log.previews import PREVIEW, markdown, shown_before
from duomi_pipeline.orchestration.links import picture_address
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
        instance: in whose event log earlier events are.
        store: the folder of pictures, for their paths.
        observations: storage id of each prompt's latest observation.
        currency: currency of the costs.
    """

    instance: dg.DagsterInstance
    store: ImageStore
    observations: Mapping[str, int]
    currency: str

    @classmethod
    def of(cls, instance: dg.DagsterInstance, store: ImageStore, keys: Sequence[str], currency: str) -> "ImageEvents":
        """Read all observations in one query, not one per partition."""
        observations = instance.event_log_storage.get_latest_storage_id_by_partition(
            PROMPTS_KEY, dg.DagsterEventType.ASSET_OBSERVATION, set(keys)
        )
        return cls(instance, store, observations, currency)

    def shown(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes with a thumbnail each, also those whose picture was made by an earlier run."""
        found = [o.selection for o in outcomes if o.status != Status.FAILED and o.selection and o.thumbnail is None]
        thumbnails = self._thumbnails(found)
        return [o if o.thumbnail else replace(o, thumbnail=thumbnails.get(o.prompt.id)) for o in outcomes]

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

    def kept(
        self, kept: Sequence[tuple[PlannedPrompt, Selection]], made_by: Mapping[int, Purchase]
    ) -> list[dg.AssetMaterialization]:
        """The events of prompts that the run leaves as they are, with the requests that their pictures were made from.

        Without these events a failed run would show their partitions as failed, too.

        Args:
            kept: the prompts with their pictures.
            made_by: the purchases of these pictures, by id.
        """
        thumbnails = self._thumbnails(selection for _, selection in kept)
        return [
            self._kept(entry, selection, made_by[selection.purchase_id], thumbnails.get(selection.prompt_id))
            for entry, selection in kept
        ]

    def _kept(
        self, entry: PlannedPrompt, selection: Selection, purchase: Purchase, thumbnail: bytes | None
    ) -> dg.AssetMaterialization:
        request = purchase.content
        metadata = {
            **self._files(selection, thumbnail),
            **_request(request, purchase.seed_used),
            "how": dg.MetadataValue.text(f"kept: {entry.state.value}"),
            "prompt": dg.MetadataValue.text(str(request["body"].get("prompt", ""))[:_MAX_TEXT]),
            "origin": dg.MetadataValue.text(entry.prompt.origin),
        }
        return self._event(entry.prompt, selection, metadata)

    def _thumbnails(self, selections: Iterable[Selection]) -> dict[str, bytes]:
        """Thumbnails by prompt id: from earlier events, else made from the files; none of a damaged file."""
        chosen = list(selections)
        before = shown_before(self.instance, IMAGES_KEY, {_version(one) for one in chosen}) if chosen else {}
        found: dict[str, bytes] = {}
        for one in chosen:
            with contextlib.suppress(NotAPictureError, PictureLostError):
                found[one.prompt_id] = before.get(_version(one)) or thumbnail_of(self.store.read(one.files[0].file))
        return found

    def _files(self, selection: Selection, thumbnail: bytes | None) -> dict[str, dg.MetadataValue]:
        first = selection.files[0]
        large = "" if is_object_storage(self.store.base) else picture_address(first.file)
        preview = {} if thumbnail is None else {PREVIEW: dg.MetadataValue.md(markdown(thumbnail, "thumbnail", large))}
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
            DATA_VERSION_TAG: _version(selection),
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


def _version(selection: Selection) -> str:
    """The data version of a partition with these pictures."""
    return f"{selection.request_key[:24]}-{selection.purchase_id}"
