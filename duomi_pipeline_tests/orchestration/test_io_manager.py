"""`png_io_manager` in real runs: downstream assets that read the pictures, and assets that return some."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image, ImageOps

from duomi_pipeline.images.metadata import read_info
from duomi_pipeline.orchestration.partition_ranges import PartitionRange
from duomi_pipeline.orchestration.partitions import prompt_partitions
from duomi_pipeline_tests.object_storage import Bucket, bucket
from duomi_pipeline_tests.orchestration.harness import Project, step_error

SIZE = (108, 192)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket(monkeypatch) as found:
        yield found


@dg.asset(partitions_def=prompt_partitions, io_manager_key="png_io_manager")
def portrait(generated_images: Image.Image) -> Image.Image:
    """One picture in, one picture out."""
    return ImageOps.invert(generated_images.convert("RGB"))


@dg.asset(partitions_def=prompt_partitions, io_manager_key="png_io_manager")
def negatives(generated_images: dict[str, Image.Image]) -> dict[str, Image.Image]:
    """Several pictures in, several out."""
    return {key: ImageOps.invert(image.convert("RGB")) for key, image in generated_images.items()}


@dg.asset(io_manager_key="png_io_manager")
def contact_sheet(generated_images: dict[str, Image.Image]) -> Image.Image:
    """All pictures in one."""
    sheet = Image.new("RGB", (SIZE[0] * len(generated_images), SIZE[1]))
    for place, image in enumerate(generated_images.values()):
        sheet.paste(image, (SIZE[0] * place, 0))
    return sheet


@dg.asset
def sheet_size(contact_sheet: Image.Image) -> list[int]:
    """Reads what another asset stored."""
    return list(contact_sheet.size)


@dg.asset(partitions_def=prompt_partitions)
def portrait_size(portrait: Image.Image) -> list[int]:
    """Reads one partition of what another asset stored."""
    return list(portrait.size)


ASSETS = [portrait, negatives, contact_sheet, sheet_size, portrait_size]


def materialize(project: Project, *names: str, **how: Any) -> dg.ExecuteInProcessResult:
    """Materialize assets of a user beside ours."""
    selection = dg.AssetSelection.assets(*names)
    mine = dg.Definitions(assets=ASSETS, jobs=[dg.define_asset_job("mine", selection)])
    return project.execute(dg.Definitions.merge(project.defs(), mine).resolve_job_def("mine"), **how)


def test_one_partition_is_loaded_as_an_image(project: Project, keys: list[str]) -> None:
    run = materialize(project, "portrait", "portrait_size", partition_key=keys[0])

    assert run.output_for_node("portrait_size") == list(SIZE)
    assert project.events(run, "portrait")[keys[0]].metadata["path"] == str(
        project.home / "out/generated_images/portrait"
    )


def test_the_image_is_the_prompts_current_one(project: Project, keys: list[str]) -> None:
    project.write("p00", "another text")
    project.run(keys[0], image_size="96x160")

    run = materialize(project, "portrait", "portrait_size", partition_key=keys[0])

    assert run.output_for_node("portrait_size") == [96, 160]


def test_several_partitions_are_loaded_as_a_dict_by_prompt_id_and_stored_as_one_file_each(
    project: Project, keys: list[str]
) -> None:
    run = materialize(project, "negatives", tags=PartitionRange(keys[0], keys[1]).tags)

    assert run.success
    folder = project.home / "out/generated_images/negatives"
    assert sorted(path.stem for path in folder.iterdir()) == keys[:2]
    source = next((project.home / "out/generated_images").glob("p01_*.png"))
    with Image.open(folder / f"{keys[1]}.png") as stored, Image.open(source) as picture:
        assert stored.tobytes() == ImageOps.invert(picture.convert("RGB")).tobytes()


def test_an_unpartitioned_asset_gets_all_pictures_and_its_own_is_loaded_again(
    project: Project, keys: list[str]
) -> None:
    run = materialize(project, "contact_sheet", "sheet_size")

    assert run.output_for_node("sheet_size") == [4 * SIZE[0], SIZE[1]]


def test_a_prompt_without_a_picture_is_named(project: Project, keys: list[str]) -> None:
    new = project.write("p99")
    project.look()

    run = materialize(project, "contact_sheet")

    assert not run.success
    assert f"No picture yet of {new}; materialize generated_images" in step_error(run)


def test_a_prompt_whose_picture_was_deleted_is_named(project: Project, keys: list[str]) -> None:
    picture = next((project.home / "out/generated_images").glob("p01_*.png"))
    picture.unlink()

    run = materialize(project, "portrait", partition_key=keys[1])

    assert keys[1] in step_error(run)
    assert picture.name in step_error(run)


def test_something_that_is_no_image_is_refused(project: Project) -> None:
    @dg.asset(io_manager_key="png_io_manager")
    def words() -> str:
        return "not a picture"

    job = dg.Definitions.merge(project.defs(), dg.Definitions(assets=[words], jobs=[dg.define_asset_job("w", [words])]))

    run = project.execute(job.resolve_job_def("w"))

    assert "png_io_manager stores PIL images, not str" in step_error(run)


def test_a_partition_key_cannot_lead_out_of_the_folder(project: Project) -> None:
    places = dg.StaticPartitionsDefinition(["../../escaped"])

    @dg.asset(partitions_def=places, io_manager_key="png_io_manager")
    def drawing() -> Image.Image:
        return Image.new("RGB", (8, 8))

    mine = dg.Definitions(assets=[drawing], jobs=[dg.define_asset_job("d", [drawing])])
    job = dg.Definitions.merge(project.defs(), mine).resolve_job_def("d")

    project.execute(job, partition_key="../../escaped")

    folder = project.home / "out/generated_images"
    assert [path for path in project.home.rglob("*.png") if folder not in path.parents] == []


def test_the_stored_files_of_other_assets_are_not_taken_for_generated_pictures(
    project: Project, keys: list[str]
) -> None:
    materialize(project, "portrait", partition_key=keys[0])

    project.run(keys[0], keys[1])

    assert project.posts() == []
    stored = project.home / f"out/generated_images/portrait/{keys[0]}.png"
    assert read_info(Path(stored).read_bytes()) is None


def test_pictures_are_loaded_from_a_bucket_and_stored_there(project: Project, s3: Bucket) -> None:
    project.write_many(1)
    (key,) = project.look()
    project.configure(image_dir=f"{s3.url}/pictures")
    made = project.run(key)
    assert "data:image/webp;base64" in str(project.events(made)[key].metadata["preview"])

    run = materialize(project, "portrait", "portrait_size", partition_key=key)

    assert run.output_for_node("portrait_size") == list(SIZE)
    assert project.events(run, "portrait")[key].metadata["path"] == f"{s3.url}/pictures/portrait"
    assert not (project.home / "s3:").exists()
    assert [call for call in s3.calls if call[0] == "PUT" and call[1].count("/") == 1] == [], "no bucket is made"
