"""Any bytes for a picture: a whole PNG of the wanted size, or the reason why not; and nothing that it says is believed."""

import io
import json
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from duomi_pipeline.engine.looking import look
from duomi_pipeline.images import NotAPictureError
from duomi_pipeline.images.metadata import PictureInfo, read_info, read_texts, with_info
from duomi_pipeline.images.png import check_whole, stored_look, thumbnail_of, to_png
from duomi_pipeline.images.png_chunks import BrokenPngError, with_texts
from duomi_pipeline.maintenance.reconcile import repair, survey
from duomi_pipeline.manifest import write_manifest
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import Size
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.fuzz import strategies as outside
from duomi_pipeline_tests.fuzz.harness import SECONDS, examples
from duomi_pipeline_tests.images.harness import encoded, gradient
from duomi_pipeline_tests.images.test_metadata import info

# Pillow warns of what it reads over; outside the tests that is no error.
pytestmark = pytest.mark.filterwarnings("ignore")
PNG = encoded(gradient(outside.SIZE))
TRUE = json.loads(info().model_dump_json())


@given(outside.pictures, st.sampled_from([outside.SIZE, (16, 16), (64, 20)]))
@settings(max_examples=examples(4))
def test_any_bytes_are_a_whole_picture_of_the_wanted_size_or_refused(data: bytes, size: tuple[int, int]) -> None:
    start, delivery = time.process_time(), Size(*size)
    try:
        png = to_png(data, delivery)
    except NotAPictureError as error:
        assert str(error)
        assert len(str(error)) < 1_000
    else:
        marked = with_info(png.data, info())
        check_whole(marked)
        picture = Image.open(io.BytesIO(marked))
        picture.load()
        assert (picture.format, picture.size, png.size) == ("PNG", size, delivery)
        assert read_info(marked) == info()
        assert png.look == stored_look(marked)
        assert thumbnail_of(marked).startswith(b"RIFF")
    assert time.process_time() - start < SECONDS


@given(outside.pictures)
@settings(max_examples=examples(2))
def test_what_any_file_says_is_read_or_left(data: bytes) -> None:
    assert isinstance(read_info(data), PictureInfo | None)
    try:
        assert sum(len(text) for _, text in read_texts(data)) <= 64_000_000
    except BrokenPngError as error:
        assert str(error)


_lies = st.one_of(
    st.dictionaries(st.sampled_from(list(TRUE)), outside.nested(["body", "model", "prompt", "host_kind", "seed"]), max_size=4).map(lambda lie: {**TRUE, **lie}),
    st.dictionaries(st.sampled_from(["model", "prompt", "seed", "negative_prompt", "batch_size", "size"]), outside.nested(["model"]), max_size=3).map(lambda lie: {**TRUE, "request": {"host_kind": "service", "body": {**TRUE["request"]["body"], **lie}}}),
)  # fmt: skip


@given(st.lists(_lies, min_size=1, max_size=3))
@settings(max_examples=examples(0.2))
def test_pictures_that_lie_break_neither_ledger_nor_manifest(lies: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name, SandboxServer() as unused:
        (Path(name) / "home").mkdir()
        with closing(Home(Path(name) / "home", unused)) as home:
            home.images.mkdir(parents=True)
            home.write("a", "a boat")
            for number, lie in enumerate(lies):
                (home.images / f"a_{number}.png").write_bytes(with_texts(PNG, {"duomi_generation": json.dumps(lie)}))
            with home.session() as session:
                repair(session, survey(session))
                sources = look(session.ledger, session.settings).completed(session.ledger)
                write_manifest(session, session.plan(sources.prompts), sources.problems, home.path / "out/manifest")
        assert [path.name for path in Path(name).iterdir()] == ["home"]
