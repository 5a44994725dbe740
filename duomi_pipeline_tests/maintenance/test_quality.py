"""Suspicious pictures: blank, the same for different prompts, of a wrong size, gone."""

import io

from PIL import Image, ImageDraw

from duomi_pipeline.engine import Session
from duomi_pipeline.images.fingerprint import bits_apart, look_of
from duomi_pipeline.images.png import to_png
from duomi_pipeline.maintenance.quality import Flag, damaged, look_at_unseen, picture_flags
from duomi_pipeline.maintenance.reconcile import repair, survey
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.settings import Size
from duomi_pipeline_tests.engine.home import Home


def flags(home: Home) -> dict[str, tuple[Flag, ...]]:
    with home.session() as session:
        return picture_flags(session, session.plan(read_sources(session.settings).prompts))


def kinds(home: Home) -> dict[str, list[str]]:
    return {prompt_id: [flag.kind for flag in found] for prompt_id, found in flags(home).items()}


def drawn(shift: int, kind: str = "PNG", **save: int) -> bytes:
    picture = Image.linear_gradient("L").convert("RGB").resize((216, 384))
    ImageDraw.Draw(picture).ellipse((20 + shift, 40 + shift, 120 + shift, 240 + shift), fill=(200, 40, 40))
    file = io.BytesIO()
    picture.save(file, kind, **save)
    return file.getvalue()


def test_different_prompts_with_different_pictures_have_no_flag(home: Home) -> None:
    home.write_many(6)
    home.sandbox.change_faults(picture="card")
    home.run(image_size="108x192")
    assert kinds(home) == {}


def test_the_same_picture_for_two_requests_is_flagged_with_the_others_name(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.write("b", "a forest")
    home.run()
    found = flags(home)
    assert {key: [flag.kind for flag in some] for key, some in found.items()} == {
        "json_a": ["twin"],
        "json_b": ["twin"],
    }
    assert "json_b" in found["json_a"][0].text


def test_two_prompts_that_asked_for_the_same_picture_are_no_twins(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.write("b", "a lighthouse")
    home.run()
    assert kinds(home) == {}


def test_the_same_picture_in_another_encoding_is_near_and_another_picture_is_far() -> None:
    one, again, other = (
        to_png(data, Size(216, 384)).look for data in (drawn(0), drawn(0, "JPEG", quality=60), drawn(60))
    )
    assert one and again and other
    assert bits_apart(one.perceptual_hash, again.perceptual_hash) <= 3
    assert bits_apart(one.perceptual_hash, other.perceptual_hash) > 10


def test_an_almost_flat_picture_has_next_to_no_contrast() -> None:
    nearly = Image.new("RGB", (216, 384), (250, 250, 250))
    nearly.putpixel((5, 5), (240, 250, 250))
    assert look_of(nearly).contrast < 0.02 < look_of(Image.open(io.BytesIO(drawn(0)))).contrast


def test_a_file_that_was_cut_is_flagged_and_read_as_damaged(home: Home) -> None:
    home.write("a", "a lighthouse")
    home.run()
    file = home.files()[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:-20] + bytes(20))  # the same size, other bytes
    with home.session() as session:
        selection = session.ledger.selections()["json_a"]
        assert [name.file for name, _ in damaged(session, selection.files)] == [file.name]
    file.write_bytes(whole[:-20])
    assert kinds(home) == {"json_a": ["broken"]}


def test_looks_survive_a_lost_ledger_and_are_found_out_for_pictures_that_have_none(home: Home) -> None:
    home.write_many(2)
    home.run()
    for file in (home.path / "out").glob("ledger.db*"):
        file.unlink()
    with Session(home.settings()) as session:
        repair(session, survey(session))
        plan = session.plan(read_sources(session.settings).prompts)
        before = {e.prompt.id: e.selection.files[0].perceptual_hash for e in plan.entries if e.selection}
        assert None not in before.values()
        with session.ledger.database.write() as connection:
            connection.exec_driver_sql("UPDATE pictures SET perceptual_hash = NULL, contrast = NULL")
        assert look_at_unseen(session, session.plan([e.prompt for e in plan.entries]), 1) == 1
        assert look_at_unseen(session, session.plan([e.prompt for e in plan.entries]), 5) == 0
        again = session.plan([e.prompt for e in plan.entries])
        assert {e.prompt.id: e.selection.files[0].perceptual_hash for e in again.entries if e.selection} == before
