"""Manifest and gallery in a bucket, as its web address gives them to a browser."""

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pandas as pd
import pytest
import requests

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.object_storage import Bucket, bucket


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket(monkeypatch) as found:
        name = found.url.removeprefix("s3://")
        for_all = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
        policy = {"Version": "2012-10-17", "Statement": [for_all]}
        found.client().put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
        yield found


@pytest.fixture
def home(tmp_path: Path, s3: Bucket) -> Iterator[Path]:
    write_prompts(tmp_path, {f"p{number}": f"A lighthouse, number {number}" for number in range(3)})
    with SandboxServer(faults=Faults(picture="flat")) as server:
        places = {f"{name}_dir": f"{s3.url}/{name}" for name in ("image", "manifest", "gallery")}
        settings = {"base_url": server.url, "image_size": "108x192", **places}
        (tmp_path / "duomi.toml").write_text("".join(f"{name} = {json.dumps(v)}\n" for name, v in settings.items()))
        yield tmp_path


def web_address(s3: Bucket) -> str:
    return f"{os.environ['AWS_ENDPOINT_URL']}/{s3.url.removeprefix('s3://')}"


def test_the_whole_job_leaves_nothing_on_this_machine_and_a_browser_finds_all(home: Path, s3: Bucket) -> None:
    made = duomi(home, "generate")
    assert made.returncode == 0, made.stderr
    assert f"Pictures: {s3.url}/image\nManifest: {s3.url}/manifest/results.csv\n" in made.stdout
    shown = duomi(home, "gallery")
    assert (shown.returncode, shown.stdout) == (0, f"{s3.url}/gallery/index.html\n"), shown.stderr
    assert not list(home.glob("s3:*"))
    assert not list((home / "out").glob("*/*.png"))

    table = requests.get(f"{web_address(s3)}/manifest/results.parquet", timeout=10)
    assert pd.read_parquet(io.BytesIO(table.content))["state"].tolist() == ["current"] * 3
    page = requests.get(f"{web_address(s3)}/gallery/index.html", timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    data = requests.get(f"{web_address(s3)}/gallery/data/index.js", timeout=10)
    assert data.headers["Content-Type"].startswith("text/javascript")
    (way,) = re.findall(r'"pictures":"([^"]+)"', data.text)
    (name,) = [key for key in keys(s3) if key.startswith("image/p1_")]
    picture = requests.get(urljoin(f"{web_address(s3)}/gallery/", way) + name.removeprefix("image/"), timeout=10)
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
    small = f"gallery/thumbnails/{name.removeprefix('image/').removesuffix('.png')}.webp"
    assert requests.get(f"{web_address(s3)}/{small}", timeout=10).headers["Content-Type"] == "image/webp"


def keys(s3: Bucket) -> list[str]:
    found = s3.client().list_objects_v2(Bucket=s3.url.removeprefix("s3://"))
    return [entry["Key"] for entry in found["Contents"]]


def test_thumbnails_that_are_there_are_not_made_again(home: Path, s3: Bucket) -> None:
    duomi(home, "generate")
    duomi(home, "gallery")
    s3.forget()
    assert "0 thumbnails made" in duomi(home, "gallery").stderr
    assert not [path for method, path in s3.calls if method == "PUT" and path.endswith(".webp")]


def test_a_gallery_that_could_not_show_its_pictures_is_refused(home: Path) -> None:
    duomi(home, "generate")
    run = duomi(home, "gallery", DUOMI_GALLERY_DIR="out/gallery")
    assert run.returncode != 0
    assert "set DUOMI_GALLERY_DIR to a place in the same bucket" in run.stderr
