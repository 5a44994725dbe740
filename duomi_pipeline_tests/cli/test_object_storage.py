"""The whole job from the command line with pictures, manifest and gallery in a bucket."""

import io
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from PIL import Image

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import duomi, write_prompts
from duomi_pipeline_tests.object_storage import Bucket, bucket

WRONG = "s3://no-such-bucket/results"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket(monkeypatch) as found:
        for what in ("image", "manifest", "gallery"):
            monkeypatch.setenv(f"DUOMI_{what.upper()}_DIR", f"{found.url}/{what}s")
        yield found


def found(s3: Bucket, prefix: str = "") -> dict[str, Any]:
    """What the bucket says of each object, by key."""
    name, client = s3.url.removeprefix("s3://"), s3.client()
    with closing(client):
        keys = [one["Key"] for one in client.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", [])]
        return {key: client.get_object(Bucket=name, Key=key) for key in keys}


def content(s3: Bucket, key: str) -> bytes:
    data: bytes = found(s3, key)[key]["Body"].read()
    return data


def test_the_whole_job_is_there_and_the_second_run_asks_for_nothing(
    home: Path, s3: Bucket, sandbox: SandboxServer
) -> None:
    first = duomi(home, "generate", "--yes")
    assert first.returncode == 0, first.stderr
    assert f"Pictures: {s3.url}/images" in first.stdout
    assert f"Manifest: {s3.url}/manifests/results.csv" in first.stdout
    rows = json.loads(content(s3, "manifests/results.json"))
    assert {row["prompt_id"]: row["success"] for row in rows} == dict.fromkeys(
        ("json_boat", "json_fox", "json_market", "json_tower"), True
    )
    keys = found(s3, "images/")
    assert {row["saved_path"].removeprefix(f"{s3.url}/") for row in rows} == {key for key in keys if "png" in key}

    second = duomi(home, "generate", "--yes")

    assert (second.returncode, sandbox.books.totals().billed) == (0, 4)
    assert "4 reused" in second.stdout
    assert not (home / "s3:").exists()
    assert [
        path for path in (home / "out").iterdir() if path.is_dir() and path.name.startswith(("ma", "ga", "im"))
    ] == []


def test_the_manifest_can_be_read_by_its_kinds(home: Path, s3: Bucket, tmp_path: Path) -> None:
    duomi(home, "generate", "--yes")
    assert {key: one["ContentType"] for key, one in found(s3, "manifests/").items()} == {
        "manifests/left_out.json": "application/json",
        "manifests/results.csv": "text/csv; charset=utf-8",
        "manifests/results.db": "application/octet-stream",
        "manifests/results.json": "application/json",
        "manifests/results.parquet": "application/octet-stream",
    }
    local = tmp_path / "results.db"
    local.write_bytes(content(s3, "manifests/results.db"))
    with closing(sqlite3.connect(local)) as connection:
        assert connection.execute("SELECT count(*) FROM generated_images").fetchone() == (4,)


def test_the_gallery_opens_from_the_bucket_and_its_pictures_are_found(home: Path, s3: Bucket) -> None:
    duomi(home, "generate", "--yes")

    made = duomi(home, "gallery")

    assert (made.returncode, made.stdout.strip()) == (0, f"{s3.url}/gallerys/index.html")
    objects = found(s3)
    assert objects["gallerys/index.html"]["ContentType"] == "text/html; charset=utf-8"
    assert objects["gallerys/data/index.js"]["ContentType"] == "text/javascript; charset=utf-8"
    assert objects["gallerys/data/index.js"]["CacheControl"] == "no-cache"
    index = json.loads(content(s3, "gallerys/data/index.js").removeprefix(b'duomi.receive("index",')[:-3])
    pictures = [key.removeprefix("images/") for key in objects if key.startswith("images/") and key.endswith(".png")]
    page = "http://web/gallerys/index.html"
    assert {urljoin(page, index["pictures"] + name) for name in pictures} == {
        f"http://web/images/{name}" for name in pictures
    }
    thumbnail = objects[f"gallerys/thumbnails/{pictures[0].removesuffix('.png')}.webp"]
    assert thumbnail["ContentType"] == "image/webp"
    assert Image.open(io.BytesIO(thumbnail["Body"].read())).format == "WEBP"
    puts = [path for method, path in s3.calls if method == "PUT" and "/gallerys/" in path]
    assert puts.index(f"/{s3.url[5:]}/gallerys/data/index.js") > max(
        number for number, path in enumerate(puts) if "thumbnails" in path or "cards-" in path
    )
    assert puts[-1].endswith("/gallerys/index.html")


def test_a_wrong_bucket_of_the_manifest_is_told_and_never_made(home: Path, s3: Bucket) -> None:
    run = duomi(home, "generate", "--yes", DUOMI_MANIFEST_DIR=WRONG)
    assert "the manifest could not be written: there is no no-such-bucket: check its name" in run.stderr
    assert "there is no no-such-bucket" in duomi(home, "manifest", DUOMI_MANIFEST_DIR=WRONG).stderr
    doctor = duomi(home, "doctor", DUOMI_MANIFEST_DIR=WRONG)
    assert f"BAD  {WRONG} cannot be written (DUOMI_MANIFEST_DIR): there is no no-such-bucket" in doctor.stdout
    with closing(s3.client()) as client:
        assert [one["Name"] for one in client.list_buckets()["Buckets"]] == [s3.url.removeprefix("s3://")]


@pytest.mark.parametrize("setting", ["DUOMI_IMAGE_DIR", "DUOMI_MANIFEST_DIR", "DUOMI_GALLERY_DIR"])
@pytest.mark.parametrize("command", ["generate --yes", "plan", "status", "doctor", "gallery", "manifest"])
def test_a_missing_package_is_one_sentence_before_anything_is_bought(
    home: Path, sandbox: SandboxServer, tmp_path: Path, setting: str, command: str
) -> None:
    (tmp_path / "gcsfs.py").write_text("raise ImportError")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    run = duomi(home, *command.split(), **{setting: "gs://bucket/x", "PYTHONPATH": path})
    assert (run.returncode, sandbox.books.totals().billed) == (2, 0)
    assert f"{setting}=gs://bucket/x: the package for gs:// is not installed: pip install 'duomi-pipeline[gcs]'" in (
        run.stderr
    )
    assert "Traceback" not in run.stderr


def test_a_password_in_an_address_is_not_printed(home: Path, s3: Bucket) -> None:
    secret = f"s3://key:hidden-word@{s3.url.removeprefix('s3://')}/x"
    for command in ("gallery", "manifest", "doctor"):
        run = duomi(home, command, DUOMI_MANIFEST_DIR=secret, DUOMI_GALLERY_DIR=secret)
        assert "hidden-word" not in run.stdout + run.stderr


def test_what_the_bucket_refuses_is_told_without_a_traceback(home: Path, s3: Bucket) -> None:
    write_prompts(home, {"one": "a lighthouse"})
    s3.refuses = lambda method, _path: method == "PUT"
    for command in ("gallery", "manifest"):
        run = duomi(home, command)
        assert run.returncode == 2
        assert "Access Denied" in run.stderr
        assert "Traceback" not in run.stderr
