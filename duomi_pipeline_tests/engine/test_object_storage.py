"""Pictures in a bucket: one call each, never overwritten, never bought again because nobody could look."""

import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Literal

import pytest
from upath import UPath

from duomi_pipeline.engine import State
from duomi_pipeline.images import ImageStore, StoreError
from duomi_pipeline.settings import SettingsError
from duomi_pipeline_tests.engine.home import MARK, Home
from duomi_pipeline_tests.object_storage import Bucket, bucket

NAME = "a_20260304_050607_089.png"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket(monkeypatch) as found:
        yield found


@pytest.fixture
def there(home: Home, s3: Bucket) -> Home:
    """A home whose pictures go to a bucket."""
    home.defaults["image_dir"] = f"{s3.url}/pictures"
    return home


def in_bucket(s3: Bucket) -> list[str]:
    return sorted(ImageStore(UPath(f"{s3.url}/pictures")).listing().sizes)


def test_a_picture_is_one_call_beside_a_plan_and_the_start_of_a_run(there: Home, s3: Bucket) -> None:
    there.write_many(2)
    there.run()
    few = len(s3.calls)
    there.write_many(12)
    s3.forget()
    there.run()
    assert len([method for method, path in s3.calls if path.endswith(".png")]) == 10
    assert len(s3.calls) - 10 <= few
    assert (there.posts, len(in_bucket(s3))) == (12, 12)


@pytest.mark.sqlite_files
def test_nothing_is_bought_again_by_the_next_run_or_by_one_with_an_empty_ledger(there: Home, s3: Bucket) -> None:
    there.write_many(3)
    there.run()
    there.run()
    (there.path / "out" / "ledger.db").unlink()
    assert there.plan().adopted == 3
    there.run()
    assert (there.posts, len(in_bucket(s3))) == (3, 3)


def test_a_bucket_that_is_not_there_is_named_and_nothing_is_bought_or_made(there: Home, s3: Bucket) -> None:
    there.write_many(2)
    run = there.run(image_dir="s3://no-such-bucket/pictures")
    assert run.stop is not None
    assert "there is no no-such-bucket: check its name, or create it" in run.stop.message
    assert there.posts == 0
    assert "PUT" not in {method for method, path in s3.calls if path == "/no-such-bucket"}


def test_what_may_not_be_listed_is_unknown_and_not_bought(there: Home, s3: Bucket) -> None:
    there.write_many(3)
    there.run()
    there.write("new", "a new lighthouse")
    s3.refuses = lambda method, _path: method in ("GET", "HEAD")
    run = there.run()
    assert run.stop is not None
    assert "cannot be read" in run.stop.message
    assert (there.posts, there.plan().counts[State.UNKNOWN]) == (3, 3)
    s3.refuses = lambda _method, _path: False
    there.run()
    assert there.posts == 4


@pytest.mark.parametrize("how", ["refused", "empty"])
def test_what_a_listing_that_breaks_leaves_out_is_not_bought(
    there: Home, s3: Bucket, how: Literal["refused", "empty"]
) -> None:
    there.write_many(6)
    there.run()
    s3.cuts_listings = how
    there.write("new", "a new lighthouse")
    run = there.run()
    assert there.posts == (6 if run.stop else 7)
    assert (run.stop is not None) == (how == "refused")
    s3.cuts_listings = ""
    there.run()
    assert (there.posts, there.plan().counts[State.CURRENT]) == (7, 7)


def test_a_run_killed_between_object_and_record_is_not_paid_again(there: Home, s3: Bucket) -> None:
    there.write("a", "a lighthouse")
    stored, killed = Event(), Event()

    def done(method: str, path: str) -> None:
        if method == "PUT" and path.endswith(".png"):
            stored.set()
            killed.wait(30)

    s3.done = done
    worker = there.worker()
    assert stored.wait(60)
    worker.kill()
    killed.set()
    s3.done = lambda _method, _path: None
    assert (there.posts, len(in_bucket(s3))) == (1, 1)
    there.run()
    assert (there.posts, there.money().billed, len(in_bucket(s3)), there.state("a")) == (1, 1, 1, State.CURRENT)


def test_a_bucket_that_takes_nothing_stops_before_the_first_request(there: Home, s3: Bucket) -> None:
    there.write_many(2)
    s3.refuses = lambda method, _path: method == "PUT"
    run = there.run()
    assert run.stop is not None
    assert "No picture can be saved in s3://" in run.stop.message
    assert there.posts == 0


def test_a_picture_that_another_machine_keeps_is_not_bought_again(
    there: Home, s3: Bucket, tmp_path: Path, ledger_url: str
) -> None:
    there.sandbox.change_faults(answer="b64")
    there.write_many(3)
    s3.refuses = lambda method, path: method == "PUT" and path.endswith(".png")
    there.run()
    paid = there.posts
    assert (paid >= 1, there.money().billed) == (True, paid), "billed at once, and not only when it is read back"
    s3.refuses = lambda _method, _path: False

    (tmp_path / "elsewhere").mkdir()
    url = ledger_url.replace("sqlite:///out", f"sqlite:///{there.path}/out")
    settings = {"image_dir": there.defaults["image_dir"], "ledger_url": url}
    with closing(Home(tmp_path / "elsewhere", there.sandbox, **settings)) as elsewhere:
        elsewhere.write_many(3)
        run = elsewhere.run()
        assert there.posts == 3
        words = "its paid picture is kept in another home folder, that of the machine that received it"
        assert [failure.split(" (")[0] for failure in run.failures.values()] == [words] * paid
    there.run()
    assert (there.posts, there.plan().counts[State.CURRENT]) == (3, 3)


def test_another_bucket_than_the_ledger_knows_is_not_filled_anew(there: Home, s3: Bucket) -> None:
    there.write_many(12)
    there.run()
    run = there.run(image_dir=f"{s3.url}/another")
    assert run.stop is not None
    assert run.stop.by == "lost"
    assert there.posts == 12


def test_a_deleted_picture_is_missing_and_made_again(there: Home, s3: Bucket) -> None:
    there.write_many(3)
    there.run()
    store = ImageStore(UPath(f"{s3.url}/pictures"))
    UPath(store.location(in_bucket(s3)[0])).unlink()
    assert there.plan().counts[State.MISSING] == 1
    there.run()
    assert (there.posts, len(in_bucket(s3))) == (4, 3)


def test_a_name_that_is_taken_is_not_written_over_and_a_repeated_call_is_no_error(s3: Bucket) -> None:
    store = ImageStore(UPath(f"{s3.url}/pictures"))
    store.save(NAME, b"first")
    store.save(NAME, b"first")  # as after an answer that was lost
    with pytest.raises(StoreError, match="could not be saved"):
        store.save(NAME, b"second")
    assert store.read(NAME) == b"first"


def test_two_hosts_that_write_the_mark_agree_on_one(s3: Bucket) -> None:
    one, other = (ImageStore(UPath(f"{s3.url}/pictures")) for _ in range(2))
    assert one.set_identity("one") == other.set_identity("other") == other.identity() == "one"


def test_without_the_package_the_extra_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(SettingsError, match=r"pip install 'duomi-pipeline\[gcs\]'"):
        home.plan(image_dir="gs://bucket/pictures")


def test_names_in_a_bucket_have_the_mark_of_their_process(s3: Bucket) -> None:
    now = datetime(2026, 3, 4, tzinfo=UTC)
    names = {ImageStore(UPath(f"{s3.url}/pictures")).names("a", now, 1)[0] for _ in range(4)}
    assert len(names) == 4
    assert MARK not in names
