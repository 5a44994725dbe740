"""A folder of prompt files at a URL: listed once, unchanged files are not fetched, nothing is mistaken for empty."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.engine.looking import look, registered
from duomi_pipeline.ledger import Ledger
from duomi_pipeline.prompts import SourceError, read_sources
from duomi_pipeline.prompts.json_files import read_folder
from duomi_pipeline.prompts.single_prompts import save_single_prompt
from duomi_pipeline.settings import ParameterOverrides, Settings
from duomi_pipeline_tests.object_storage import bucket as s3_bucket

BUCKET = "register-prompts"
URL = f"s3://{BUCKET}/prompts"


class Bucket:
    """The bucket, as other programs write it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, name: str, content: object) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self._client.put_object(Bucket=BUCKET, Key=f"prompts/{name}", Body=body)

    def names(self) -> list[str]:
        return [entry["Key"] for entry in self._client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with s3_bucket(monkeypatch, BUCKET) as opened:
        yield Bucket(opened.client())


def looked(ledger: Ledger, home: Path) -> tuple[list[str], dict[str, str]]:
    """Which prompts a look reads, and the texts that the register has after it."""
    found = look(ledger, Settings.load(home, prompt_dir=URL))
    return [p.id for p in found.sources.prompts], {p.id: p.text for p in registered(ledger).prompts}


def test_it_is_read_as_a_folder_on_disk_is(bucket: Bucket) -> None:
    bucket.put("b.json", {"image_prompt": "a boat", "generation": {"seed": 7}})
    bucket.put("a [1] 夜市*.json", {"image_prompt": "夜市"})
    bucket.put("broken.json", b"{")
    bucket.put("large.json", b'{"image_prompt": "' + b"x" * 4_000_001 + b'"}')
    bucket.put(".hidden.json", {"image_prompt": "no"})
    bucket.put("notes.txt", b"no")
    bucket.put("below/c.json", {"image_prompt": "no"})

    reading = read_folder(URL)

    assert [(prompt.origin, prompt.text) for prompt in reading.prompts] == [
        ("a [1] 夜市*.json", "夜市"),
        ("b.json", "a boat"),
    ]
    assert reading.prompts[1].overrides == ParameterOverrides(seed=7)
    assert [(p.origin, p.reason.partition(":")[0]) for p in reading.problems] == [
        ("broken.json", "not valid JSON"),
        ("large.json", "larger than 4 MB"),
        ("notes.txt", "not read"),
        ("below/", "not read"),
    ]
    assert {"json_broken", "json_large"} <= reading.present


def test_an_unchanged_object_is_not_fetched_again_and_a_changed_one_of_the_same_size_is(
    bucket: Bucket, tmp_path: Path
) -> None:
    bucket.put("a.json", {"image_prompt": "a red kite"})
    with closing(Ledger("sqlite:///out/ledger.db", tmp_path)) as ledger:
        assert looked(ledger, tmp_path) == (["json_a"], {"json_a": "a red kite"})
        assert looked(ledger, tmp_path) == ([], {"json_a": "a red kite"})
        bucket.put("a.json", {"image_prompt": "a tan kite"})
        assert looked(ledger, tmp_path) == (["json_a"], {"json_a": "a tan kite"})


def test_an_empty_prefix_is_empty_and_a_bucket_that_is_not_there_is_not(bucket: Bucket) -> None:
    assert read_folder(URL).prompts == ()
    with pytest.raises(SourceError, match="s3://no-such-bucket/prompts cannot be listed"):
        read_folder("s3://no-such-bucket/prompts")


def test_what_nobody_may_list_is_not_empty(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3fs = pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody answers there
    s3fs.S3FileSystem.clear_instance_cache()
    sources = read_sources(Settings.load(tmp_path, prompt_dir=URL))
    assert "cannot be listed" in sources.unreadable["json_"]
    assert not sources.may_retire("json_a")


def test_a_single_prompt_is_kept_there_once(bucket: Bucket, tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, prompt_dir=URL)

    kept = [save_single_prompt(settings, "a cat", ParameterOverrides(seed=3)).id for _ in range(2)]

    (name,) = bucket.names()
    assert kept == [f"json_{Path(name).stem}"] * 2
    assert list(tmp_path.glob("s3:*")) == [], "nothing is written into a local folder of that name"


def test_no_bucket_is_made_for_a_single_prompt(bucket: Bucket, tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, prompt_dir="s3://no-such-bucket/prompts")
    with pytest.raises(SourceError, match="no-such-bucket"):
        save_single_prompt(settings, "a cat", ParameterOverrides())


def test_a_missing_package_is_a_sentence_that_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    reason = read_sources(Settings.load(tmp_path, prompt_dir="gs://bucket/prompts")).unreadable["json_"]
    assert "the package for gs:// is not installed: pip install 'duomi-pipeline[gcs]'." in reason


def test_an_unknown_kind_of_url_is_named_without_its_password(tmp_path: Path) -> None:
    reason = read_sources(Settings.load(tmp_path, prompt_dir="nonsense://me:secret@host/x")).unreadable["json_"]
    assert reason.startswith("nonsense://host/x cannot be used")
    assert "secret" not in reason
