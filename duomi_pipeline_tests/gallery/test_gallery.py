"""The gallery's folder without a browser: data, thumbnails, addresses."""

import json
import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from PIL import Image

from duomi_pipeline.cli.gallery import gallery as gallery_command
from duomi_pipeline.gallery import GalleryError
from duomi_pipeline.gallery.parts import KINDS, script
from duomi_pipeline.gallery.records import title_of
from duomi_pipeline.gallery.write import relative_address
from duomi_pipeline.orchestration.assets.gallery import gallery as gallery_asset
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.gallery.conftest import HOSTILE, OTHER_MODEL, fill, write


def received(file: Path) -> Any:
    """What a data file hands to the page."""
    match = re.fullmatch(r'duomi\.receive\("\w+",(?:"\w+",)?(.*)\);\n', file.read_text(encoding="utf-8"), re.DOTALL)
    assert match
    return json.loads(match[1])


def cards(home: Home) -> dict[str, dict[str, Any]]:
    """All cards by prompt id, as the page puts them together."""
    data = home.path / "out" / "gallery" / "data"
    found = {}
    for count, *keys in received(data / "index.js")["parts"]:
        files = (data / f"{kind}-{key}.js" for kind, key in zip(KINDS, keys, strict=True))
        columns, some, details = map(received, files)
        assert len(details) == count
        for row, detail in enumerate(details):
            names = ("state", "source", "model", "flags")
            coded = {name: columns[name]["names"][columns[name]["codes"][row]] for name in names}
            shown = {name: some[name][row] for name in ("text", "picture", "reason")}
            found[columns["id"][row]] = {**coded, **shown, "title": columns["title"][row], "details": detail}
    return found


def test_every_prompt_is_a_card_whatever_its_state(home: Home) -> None:
    fill(home)

    report = write(home)

    found = cards(home)
    assert (report.prompts, report.pictures, report.thumbnails_made) == (7, 6, 6)
    assert {key: card["state"] for key, card in found.items()} == {
        "db_2": "current",
        "json_boat": "outdated",
        "json_fox": "current",
        "json_tower": "current",
        "json_hostile": "current",
        "json_refused": "failed_for_good",
        "json_waiting": "missing",
    }
    assert found["json_refused"]["reason"].startswith("refused: The prompt was rejected")
    assert found["json_refused"]["picture"] is None
    assert any("refused" in step[1] for step in found["json_refused"]["details"]["failures"])
    assert "duomi generate" in found["json_waiting"]["reason"]


def test_all_versions_of_a_prompt_are_there_with_settings_cost_and_history(home: Home) -> None:
    fill(home)

    write(home)

    versions = cards(home)["json_boat"]["details"]["versions"]
    assert {version["model"] for version in versions} == {home.settings().model, OTHER_MODEL}
    assert [version["current"] for version in versions].count(True) == 1
    assert {version["cost"] for version in versions} == {0.1}
    assert all(version["settings"]["num_inference_steps"] == "20" for version in versions)
    assert [step[1] for step in versions[0]["steps"]] == ["asked, billed", "saved"]


def test_a_price_in_another_currency_than_the_pages_is_unknown(home: Home) -> None:
    fill(home)

    write(home, currency="USD")

    assert {version["cost"] for version in cards(home)["json_boat"]["details"]["versions"]} == {None}


def test_flags_of_the_checks_are_counted_by_kind_and_come_with_their_sentence(home: Home) -> None:
    fill(home)

    write(home)

    found = cards(home)
    counts = received(home.path / "out" / "gallery" / "data" / "index.js")["flags"]
    assert list(counts.items()) == [("twin", 5), ("markdown", 1)]
    assert {key: card["flags"] for key, card in found.items() if card["flags"] != ["twin"]} == {
        "json_hostile": ["twin", "markdown"],
        "json_refused": [],
        "json_waiting": [],
    }
    kind, sentence = found["json_fox"]["details"]["flags"][0]
    assert (kind, sentence.split(",")[0]) == ("twin", "It looks the same as the picture of db_2")


def test_hostile_text_stays_a_string_in_the_data_files(home: Home) -> None:
    fill(home)

    write(home)

    assert cards(home)["json_hostile"]["text"] == HOSTILE
    for file in (home.path / "out" / "gallery" / "data").iterdir():
        text = file.read_text(encoding="utf-8")
        assert not set("<>&\u2028\u2029") & set(text), file


@pytest.mark.parametrize(
    "text", ["</script>", "<!--<script>", "]]>", "\u2028\u2029", "\\u003c", '");alert(1);//', "\ud800"]
)
def test_no_text_breaks_out_of_a_data_file(text: str) -> None:
    written = script("cards", [text], "3")

    match = re.fullmatch(r'duomi\.receive\("cards","3",(\[".*"\])\);\n', written)
    assert match
    assert json.loads(match[1]) == [text]
    assert written.encode()
    assert not set("<>&\u2028\u2029") & set(written)


def test_thumbnails_are_made_once_and_leave_with_their_picture(home: Home) -> None:
    home.write_many(3)
    home.run()
    write(home)
    folder = home.path / "out" / "gallery" / "thumbnails"
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}

    assert write(home).thumbnails_made == 0
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before

    gone = home.files()[0]
    gone.unlink()
    report = write(home)

    assert (report.pictures, report.thumbnails_made) == (2, 0)
    assert {file.stem for file in folder.iterdir()} == {file.stem for file in home.files()}
    assert sorted(card["state"] for card in cards(home).values()) == ["current", "current", "missing"]


def test_thumbnails_are_small_webps_of_the_same_shape(home: Home) -> None:
    home.write_many(1)
    home.run(image_size="540x960")
    write(home, image_size="540x960")

    (file,) = (home.path / "out" / "gallery" / "thumbnails").iterdir()
    with Image.open(file) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (256, 455))
    assert file.stat().st_size < 40_000


def test_a_picture_that_cannot_be_read_gets_no_thumbnail_and_stops_nothing(home: Home) -> None:
    home.write_many(2)
    home.run()
    broken = home.files()[0]
    broken.write_bytes(bytes(broken.stat().st_size))  # of the size that the ledger knows

    assert write(home).thumbnails_made == 1


def test_pictures_of_a_prompt_whose_file_is_gone_are_shown_as_retired(home: Home) -> None:
    home.write("boat", "A red boat")
    home.run()
    (home.path / "out" / "prompt_json" / "boat.json").unlink()

    write(home)

    card = cards(home)["json_boat"]
    assert (card["state"], card["text"], card["source"]) == ("retired", "A red boat", "json")
    assert card["picture"]


def test_pictures_are_referred_to_relative_to_the_gallery(home: Home) -> None:
    home.write_many(1)
    home.run()
    write(home)
    gallery = home.path / "out" / "gallery"

    base = received(gallery / "data" / "index.js")["pictures"]

    assert base == "../generated_images/"
    assert (gallery / base).samefile(home.images)
    everything = "".join(
        file.read_text(encoding="utf-8") for file in gallery.rglob("*") if file.suffix != ".webp" and file.is_file()
    )
    assert str(home.path) not in everything


def test_an_address_with_spaces_and_signs_is_quoted(tmp_path: Path) -> None:
    assert relative_address(tmp_path / "my pics #1%", tmp_path / "gallery") == "../my%20pics%20%231%25/"


def test_a_remote_folder_of_pictures_is_refused_in_words(home: Home) -> None:
    with pytest.raises(GalleryError, match=r"cannot show pictures in memory://pictures: set DUOMI_GALLERY_DIR"):
        write(home, image_dir="memory://pictures")


def test_old_data_files_are_removed_and_new_ones_named_by_content(home: Home) -> None:
    home.write_many(2)
    write(home)
    data = home.path / "out" / "gallery" / "data"
    first = {file.name for file in data.iterdir()}
    write(home)
    assert {file.name for file in data.iterdir()} == first

    home.write("another", "A new one")
    write(home)

    assert len(list(data.iterdir())) == 4
    assert {file.name for file in data.iterdir()} & first == {"index.js"}


def test_the_command_writes_it_and_prints_where_it_is(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_many(1)
    home.run()
    monkeypatch.setenv("DUOMI_HOME", str(home.path))

    run = CliRunner().invoke(gallery_command)

    assert run.exit_code == 0, run.output
    assert Path(run.stdout.splitlines()[-1]) == home.path / "out" / "gallery" / "index.html"
    assert "1 prompt, 1 picture, 1 thumbnail made" in run.stderr


def test_the_command_says_why_a_remote_folder_cannot_be_shown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUOMI_HOME", str(home.path))
    monkeypatch.setenv("DUOMI_IMAGE_DIR", "memory://pictures")

    run = CliRunner().invoke(gallery_command)

    assert run.exit_code != 0
    assert "cannot show pictures in memory://pictures: set DUOMI_GALLERY_DIR" in run.stderr


def test_the_asset_tells_path_and_counts(home: Home) -> None:
    home.write_many(2)
    home.run()

    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize(
            [gallery_asset], instance=instance, resources={"duomi": DuomiResource(home=str(home.path))}
        )

    (event,) = run.asset_materializations_for_node("gallery")
    assert event.metadata["path"].value == str(home.path / "out" / "gallery" / "index.html")
    assert {name: event.metadata[name].value for name in ("prompts", "pictures", "thumbnails_made")} == {
        "prompts": 2,
        "pictures": 2,
        "thumbnails_made": 2,
    }


def test_an_empty_home_gives_an_empty_gallery(home: Home) -> None:
    report = write(home)

    assert (report.prompts, report.pictures) == (0, 0)
    assert report.index.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("origin", "name", "title"),
    [
        ("prompts.id=12", None, "Prompt 12"),
        ("prompts.id=12", "tidal_library", "Tidal library"),
        ("prompts.id=12", "for_the_image_Prompt_A", "For the image Prompt A"),
        ("prompts.id=12", "iPhone_case", "iPhone case"),
        ("prompts.id=12", "敦煌飞天", "敦煌飞天"),
        ("prompts.id=12", "Cyborg_Angel_20250904_152903_191", "Cyborg Angel"),
        ("prompts.id=12", "___", "___"),
        ("Anime_detective_20250907_223051_772.json", None, "Anime detective"),
        ("Cyborg_Angel_20250904152903_1914.json", None, "Cyborg Angel"),
        ("水墨山居_20260111_083000.json", None, "水墨山居"),
        ("20260111_083000.json", None, "20260111_083000"),
        ("snow_fox.json", None, "Snow fox"),
    ],
)
def test_titles_are_for_people(origin: str, name: str | None, title: str) -> None:
    assert title_of(origin, name) == title


def test_the_page_loads_nothing_from_the_network_and_builds_no_markup_from_text() -> None:
    page = Path(__file__).parents[2] / "duomi_pipeline" / "gallery" / "page"
    for file in page.iterdir():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), file


def stands(home: Home) -> dict[Path, tuple[int, int]]:
    """Every file of the gallery: which one it is, and when it was written."""
    files = (path for path in (home.path / "out" / "gallery").rglob("*") if path.is_file())
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_where_nothing_changed_no_file_of_the_gallery_is_touched(home: Home) -> None:
    home.write_many(3)
    home.run()
    write(home)
    before = stands(home)

    write(home)

    assert stands(home) == before


def test_a_changed_prompt_gives_its_shard_and_the_index_another_content_and_leaves_the_page(home: Home) -> None:
    home.write_many(3)
    home.run()
    write(home)
    before = stands(home)
    home.write("p01", "Another text")

    write(home)

    after = stands(home)
    touched = {path.name.split("-")[0] for path in after if after[path] != before.get(path)}
    assert touched == {"columns", "cards", "details", "index.js", ".written.json"}
    assert {"cards", "index.js"} <= touched
    assert cards(home)["json_p01"]["text"] == "Another text"
