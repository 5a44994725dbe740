"""`png_io_manager`: gives downstream assets a prompt's current picture, and stores images that assets return."""

import io
from typing import Any

import dagster as dg
from PIL import Image
from upath import UPath

from duomi_pipeline.common.places import fetch, publish, shown
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.session import open_store
from duomi_pipeline.images import StoreError
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY
from duomi_pipeline.orchestration.resources import HomeResource
from duomi_pipeline.prompts.prompt import safe_name


class PngIOManager(HomeResource, dg.ConfigurableIOManager):
    """Pictures as PNG files.

    Loading `generated_images` gives a `PIL.Image.Image` in a run of one partition, else a dict of them by prompt id.
    Images that other assets return are stored in a folder with the name of the asset, inside the folder of pictures.
    """

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Store an image, or a dict of images by partition key."""
        images = obj if isinstance(obj, dict) else {_only_key(context): obj}
        for key, image in images.items():
            if not isinstance(image, Image.Image):
                raise TypeError(f"png_io_manager stores PIL images, not {type(image).__name__}")
            file = io.BytesIO()
            image.save(file, "PNG")
            publish(self._path(context.asset_key, key), file.getvalue())
        context.add_output_metadata({"path": shown(self._folder(context.asset_key)), "images": len(images)})

    def load_input(self, context: dg.InputContext) -> Image.Image | dict[str, Image.Image]:
        """Load one partition's image, or several by partition key.

        Raises:
            FileNotFoundError: a prompt has no picture; names it.
        """
        keys = list(context.asset_partition_keys) if context.has_asset_partitions else ["image"]
        load = self._current_pictures if context.asset_key == IMAGES_KEY else self._stored_images
        images = load(context.asset_key, keys)
        one_partition = not context.has_asset_partitions or context.has_partition_key
        return images[keys[0]] if one_partition else images

    def _current_pictures(self, _key: dg.AssetKey, prompt_ids: list[str]) -> dict[str, Image.Image]:
        with Session(self.settings()) as session:
            selections = session.ledger.selections()
            missing = [key for key in prompt_ids if key not in selections]
            if missing:
                raise FileNotFoundError(f"No picture yet of {', '.join(missing[:10])}; materialize generated_images")
            return {key: _current(session, key, selections[key].files[0].file) for key in prompt_ids}

    def _stored_images(self, key: dg.AssetKey, partitions: list[str]) -> dict[str, Image.Image]:
        return {partition: _image(fetch(self._path(key, partition))) for partition in partitions}

    def _path(self, key: dg.AssetKey, partition: str) -> UPath:
        return self._folder(key) / f"{safe_name(partition)}.png"

    def _folder(self, key: dg.AssetKey) -> UPath:
        return open_store(self.settings()).base / safe_name("_".join(key.path))


def _only_key(context: dg.OutputContext) -> str:
    return context.partition_key if context.has_partition_key else "image"


def _current(session: Session, prompt_id: str, file: str) -> Image.Image:
    try:
        return _image(session.store.read(file))
    except StoreError as error:
        raise FileNotFoundError(f"The picture of {prompt_id} is gone: {error}") from error


def _image(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
