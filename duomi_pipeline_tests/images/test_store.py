"""The store of pictures: guide's names, whole or not at all, never overwritten, on any file system."""

import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from upath import UPath

from duomi_pipeline.images import ImageStore, StoreError

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 89_999, tzinfo=UTC)
# Saves 100,000 bytes as a.png in the current folder and prints the error; the placeholder limits the process.
SAVE = """
import os, resource
from upath import UPath
from duomi_pipeline.images import ImageStore, StoreError
store = ImageStore(UPath("."))
{limit}
try:
    store.save("a.png", bytes(100_000))
except StoreError as error:
    print(error)
"""


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    base = UPath(tmp_path / "new" / "folder") if request.param == "folder" else UPath(f"memory://{uuid.uuid4()}/new")
    return ImageStore(base)


def save_in_another_process(folder: Path, limit: str, *wrapper: str) -> str:
    """What a save that must fail printed."""
    run = subprocess.run(
        [*wrapper, sys.executable, "-c", SAVE.format(limit=limit)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


# --- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (1, ["cat_20260304_050607_089.png"]),
        (3, [f"cat_20260304_050607_089_{index}.png" for index in (1, 2, 3)]),
    ],
)
def test_pictures_are_named_as_the_guide_says(tmp_path: Path, count: int, names: list[str]) -> None:
    assert ImageStore(UPath(tmp_path)).names("cat", MOMENT, count) == names


def test_the_timestamp_of_a_name_is_utc(store: ImageStore) -> None:
    there = MOMENT.astimezone(timezone(timedelta(hours=8)))
    assert store.names("cat", there, 1)[0].startswith("cat_20260304_050607_089")


@pytest.mark.parametrize("count", [1, 2])
def test_in_a_bucket_two_hosts_never_choose_the_same_name(count: int) -> None:
    base = UPath(f"memory://{uuid.uuid4()}/new")
    names = [name for _ in range(5) for name in ImageStore(base).names("cat", MOMENT, count)]
    assert len(set(names)) == 5 * count
    assert all(re.fullmatch(r"cat_20260304_050607_089_[0-9a-f]{8}(_\d)?\.png", name) for name in names)


@pytest.mark.parametrize("count", [1, 2])
def test_a_name_that_is_taken_moves_the_new_one_by_a_millisecond(tmp_path: Path, count: int) -> None:
    store = ImageStore(UPath(tmp_path))
    store.save(store.names("cat", MOMENT, count)[-1], b"old")
    fresh = ImageStore(store.base)
    assert fresh.names("cat", MOMENT, count)[0].startswith("cat_20260304_050607_090")
    assert fresh.names("cat", MOMENT, count)[0].startswith("cat_20260304_050607_091")
    assert fresh.names("dog", MOMENT, 1) == ["dog_20260304_050607_089.png"]


def test_threads_that_share_a_prefix_get_different_names(tmp_path: Path) -> None:
    store = ImageStore(UPath(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        given = [name for names in pool.map(lambda _: store.names("cat", MOMENT, 2), range(100)) for name in names]
    assert len(set(given)) == 200


# --- writing and reading -----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["cat", "角色,#1 %20 [x] (y)", "a&b=c", "..", "-rf", "~"])
def test_a_picture_is_read_back_whatever_its_name(store: ImageStore, prefix: str) -> None:
    (name,) = store.names(prefix, MOMENT, 1)
    store.save(name, b"bytes of a picture")
    assert store.read(name) == b"bytes of a picture"
    assert store.listing().sizes == {name: 18}
    assert store.location(name).endswith(name)


def test_a_picture_is_never_overwritten(store: ImageStore) -> None:
    store.save("a.png", b"first")
    with pytest.raises(StoreError, match=r"a\.png"):
        store.save("a.png", b"second")
    assert store.read("a.png") == b"first"
    assert store.listing().sizes == {"a.png": 5}


def test_of_many_writers_of_one_name_one_wins_and_nothing_else_is_left(tmp_path: Path) -> None:
    store = ImageStore(UPath(tmp_path))

    def save(number: int) -> int | None:
        try:
            store.save("a.png", bytes([number]) * 50_000)
        except StoreError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(save, range(16)) if number is not None]
    assert len(winners) == 1
    assert store.read("a.png") == bytes(winners) * 50_000
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_dangling_link_of_that_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        ImageStore(UPath(tmp_path)).save("a.png", b"x")
    assert not (tmp_path / "elsewhere").exists()


def test_a_picture_that_is_not_there_is_named(store: ImageStore) -> None:
    with pytest.raises(StoreError, match=r"gone\.png"):
        store.read("gone.png")


def test_a_store_without_its_folder_is_empty(store: ImageStore) -> None:
    assert store.listing().sizes == {}


def test_only_pictures_are_counted(store: ImageStore) -> None:
    store.save("a.png", b"12345")
    (store.base / "notes.txt").write_bytes(b"x")
    (store.base / "below").mkdir(exist_ok=True)
    (store.base / "below" / "b.png").write_bytes(b"x")
    assert store.listing().sizes == {"a.png": 5}


# --- what goes wrong ---------------------------------------------------------------------------------


def test_a_write_that_is_cut_off_leaves_nothing_behind(tmp_path: Path) -> None:
    printed = save_in_another_process(tmp_path, "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))")
    assert "a.png could not be saved" in printed
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    disk = "unshare --user --map-root-user --mount sh -c"
    script = 'mount -t tmpfs -o size=16k tmpfs "$0" && cd "$0" && "$@"; code=$?; ls -A "$0"; exit $code'
    wrapper = (*disk.split(), script, str(tmp_path))
    if not shutil.which("unshare") or subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted on this machine")
    assert save_in_another_process(tmp_path, "", *wrapper).split(": ")[1:] == [
        "the disk is full; make room, then start again\n"
    ]


def test_a_read_only_folder_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    printed = save_in_another_process(tmp_path, "if os.geteuid() == 0: os.setuid(65534)")
    assert "no permission to write there" in printed
    assert "DUOMI_IMAGE_DIR" in printed
    assert list(tmp_path.iterdir()) == []


def test_a_base_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(StoreError, match="file"):
        ImageStore(UPath(tmp_path / "file")).save("a.png", b"x")
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_name_like_a_temporary_file_of_ours_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / ".duomi-x.tmp").write_bytes(b"")
    ImageStore(UPath(tmp_path)).sweep()
    assert (tmp_path / ".duomi-x.tmp").exists()


def test_what_runs_left_half_written_goes_when_they_are_dead_or_after_a_day(tmp_path: Path) -> None:
    dead, living, forgotten = (tmp_path / f".duomi-{name}-00.tmp" for name in ("dead-run", "living-run", "nobody"))
    for file in (dead, living, forgotten):
        file.write_bytes(b"half")
    day_before = time.time() - 90_000
    os.utime(forgotten, (day_before, day_before))
    ImageStore(UPath(tmp_path)).sweep(lambda run_id: run_id == "dead-run")
    assert list(tmp_path.iterdir()) == [living]


def test_a_folder_that_takes_nothing_is_known_before_anything_is_paid(tmp_path: Path) -> None:
    assert ImageStore(UPath(tmp_path / "new")).problem() is None
    (tmp_path / "file").write_bytes(b"")
    assert "No picture can be saved" in (ImageStore(UPath(tmp_path / "file")).problem() or "")
