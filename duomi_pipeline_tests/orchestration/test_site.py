"""What is served below `/duomi/` beside Dagster's UI, over HTTP: gallery and pictures, and nothing else."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import uvicorn
from starlette.responses import PlainTextResponse

from duomi_pipeline.orchestration.webserver.site import WithSite
from duomi_pipeline.settings import Settings
from duomi_pipeline_tests.engine.home import wait_until


@contextmanager
def served(home: Path, images: str, gallery: str) -> Iterator[str]:
    """The address of a server with the gallery and a picture of this home, until the end of the block."""
    (home / "duomi.toml").write_text(f"image_dir = {json.dumps(images)}\ngallery_dir = {json.dumps(gallery)}")
    for folder, name in ((gallery, "index.html"), (images, "boat.png"), (images, "notes.txt")):
        (home / folder).mkdir(parents=True, exist_ok=True)
        (home / folder / name).write_text(name)
    app = WithSite(PlainTextResponse("the UI"), Settings.load(home))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize(
    ("images", "gallery", "way"),
    [
        ("out/generated_images", "out/gallery", "../generated_images/boat.png"),
        ("out", "out/gallery", "../boat.png"),
        ("out/gallery/pictures", "out/gallery", "pictures/boat.png"),
        ("out", "out", "boat.png"),
    ],
    ids=["beside", "gallery_inside", "pictures_inside", "one_folder"],
)
def test_the_gallery_and_its_way_to_the_pictures_are_served_wherever_they_lie(
    tmp_path: Path, images: str, gallery: str, way: str
) -> None:
    with served(tmp_path, images, gallery) as url:
        page = requests.get(f"{url}/duomi/gallery", timeout=30)
        assert page.text == "index.html"
        base = page.url.rpartition("/")[0]
        assert requests.get(f"{base}/{way}", timeout=30).headers["Content-Type"] == "image/png"
        assert requests.get(f"{url}/duomi/pictures/boat.png", timeout=30).text == "boat.png"
        for other in ("notes.txt", "..%2fduomi.toml", "%2e%2e/duomi.toml"):
            assert requests.get(f"{url}/duomi/pictures/{other}", timeout=30).status_code == 404
        assert requests.get(f"{url}/runs", timeout=30).text == "the UI"
