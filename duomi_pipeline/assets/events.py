"""What Dagster is told about a picture: one materialization event, with provenance, so that it knows what is stale."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from duomi_pipeline.engine import Outcome, PlannedPrompt
from duomi_pipeline.images import ImageStore
from duomi_pipeline.ledger import Selection
from duomi_pipeline.partition_runs import IMAGES_KEY
from duomi_pipeline.prompts import Prompt
from duomi_pipeline.tracking import DATA_VERSION_TAG, PROMPTS_KEY, USER_PROVIDED_TAG

_CODE_VERSION_TAG = "dagster/code_version"
_INPUT_VERSION_TAG = "dagster/input_data_version/prompts"
_INPUT_POINTER_TAG = "dagster/input_event_pointer/prompts"
_MAX_TEXT = 4_000  # characters


@dataclass(frozen=True)
class ImageEvents:
    """Makes the events of one run.

    Attributes:
        store: says where the files lie.
        observations: storage id of each prompt's latest observation.
        currency: of the costs.
    """

    store: ImageStore
    observations: Mapping[str, int]
    currency: str

    @classmethod
    def of(cls, instance: dg.DagsterInstance, store: ImageStore, keys: list[str], currency: str) -> "ImageEvents":
        """Look the observations up in bulk: never one query per partition."""
        observations = instance.event_log_storage.get_latest_storage_id_by_partition(
            PROMPTS_KEY, dg.DagsterEventType.ASSET_OBSERVATION, set(keys)
        )
        return cls(store, observations, currency)

    def made(self, outcome: Outcome, selection: Selection) -> dg.AssetMaterialization:
        """The event of a prompt whose picture is current now."""
        metadata: dict[str, dg.MetadataValue] = {}
        if outcome.thumbnail is not None:
            metadata["preview"] = dg.MetadataValue.md(_image_markdown(outcome.thumbnail))
        metadata |= self._files(selection)
        metadata |= {
            "model": dg.MetadataValue.text(outcome.request.model),
            "service": dg.MetadataValue.text(outcome.request.host_kind),
            "how": dg.MetadataValue.text(outcome.status),
            "latency_seconds": dg.MetadataValue.float(round(outcome.latency, 3)),
            "attempts": dg.MetadataValue.int(outcome.attempts),
        }
        if outcome.seed is not None:
            metadata["seed"] = dg.MetadataValue.int(outcome.seed)
        if outcome.cost is not None:
            metadata[f"cost_{self.currency}"] = dg.MetadataValue.float(outcome.cost)
        metadata |= {
            "prompt": dg.MetadataValue.text(outcome.prompt.text[:_MAX_TEXT]),
            "origin": dg.MetadataValue.text(outcome.prompt.origin),
            "request": dg.MetadataValue.json({k: v for k, v in outcome.request.body.items() if k != "prompt"}),
        }
        return self._event(outcome.prompt, selection, metadata)

    def kept(self, entry: PlannedPrompt, selection: Selection) -> dg.AssetMaterialization:
        """The event of a prompt that is left as it is: its picture is there, made of what it was made of.

        Without it a run that fails would show this partition as failed, too.
        """
        metadata = {**self._files(selection), "how": dg.MetadataValue.text(f"kept: {entry.state.value}")}
        return self._event(entry.prompt, selection, metadata)

    def _files(self, selection: Selection) -> dict[str, dg.MetadataValue]:
        first = selection.files[0]
        made = datetime.fromtimestamp(first.saved_at, UTC).isoformat(timespec="milliseconds")
        return {
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


def _image_markdown(webp: bytes) -> str:
    return f"![thumbnail](data:image/webp;base64,{base64.b64encode(webp).decode()})"
