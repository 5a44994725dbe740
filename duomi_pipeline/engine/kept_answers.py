"""The folder of kept answers: paid bytes that are no picture, and answers that the ledger has not recorded.

Each is a file, with a second file (`.about`) that says why. When they are kept and used again is in `keeping`.
"""

import json
import os
import secrets
import tempfile
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from duomi_pipeline.ledger import PaidAnswer

FOLDER = "out/kept_answers"
MAX_BYTES = 1_000_000_000  # of all of them
MAX_FILES = 2_000
_KEY = 16  # characters of a request key in a file's name
_ENDINGS = ((b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpg"), (b"RIFF", "webp"), (b"{", "json"), (b"<", "html"))

Kind = Literal["answer", "picture", "unrecorded"]


class KeptFullError(Exception):
    """The folder of kept answers is full; the user has to delete some first."""


@dataclass(frozen=True, kw_only=True)
class About:
    """Describes kept bytes: whose they are, and why there is no picture of them.

    Attributes:
        kind: the whole answer to a POST, the bytes of one picture of it, or an understood answer (task, addresses,
            pictures) that the ledger does not know.
        sent_at, pictures, price, currency, service: as in `ledger.PaidAnswer`.
        position: of the picture in its answer.
        seed: the seed that the service reported, `None` where it reported none.
    """

    request_key: str
    prompt_id: str
    purchase_id: int
    kind: Kind
    reason: str
    position: int = 0
    seed: int | None = None
    task_id: str | None = None
    sent_at: float = 0.0
    pictures: int = 1
    price: float | None = None
    currency: str = ""
    service: str | None = None


@dataclass(frozen=True, kw_only=True)
class KeptAnswer(About):
    """One kept answer.

    Attributes:
        file: name of the file with the bytes.
        bytes: size of that file.
        kept_at: seconds since 1970.
    """

    file: str
    bytes: int
    kept_at: float

    @property
    def paid(self) -> PaidAnswer:
        """What the ledger books of it."""
        return PaidAnswer(**{field.name: getattr(self, field.name) for field in fields(PaidAnswer)})


_RECORD = TypeAdapter(KeptAnswer)


class KeptAnswers:
    """The kept answers of one home folder; a second folder in the temporary folder is used when the disk is full.

    Args:
        home: home folder of the project.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER
        mark = zlib.crc32(str(home).encode("utf-8", "surrogateescape"))
        self._spare = Path(tempfile.gettempdir()) / f"duomi-kept-answers-{mark:08x}"

    def keep(self, data: bytes, about: About) -> KeptAnswer:
        """Write bytes to a file.

        Raises:
            KeptFullError: the folder is full.
            OSError: they can be written to neither folder.
        """
        if problem := self.problem():
            raise KeptFullError(problem)
        stem = f"{about.request_key[:_KEY]}_{datetime.now(UTC):%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"
        ending = next((ending for head, ending in _ENDINGS if data.lstrip()[:4].startswith(head)), "bin")
        name = f"{stem}.{ending}"
        answer = KeptAnswer(**asdict(about), file=name, bytes=len(data), kept_at=time.time())
        record = json.dumps(asdict(answer), ensure_ascii=False).encode("utf-8", "backslashreplace")
        try:
            _write(self.folder, stem, ending, data, record)
        except OSError:
            _write(self._spare, stem, ending, data, record)
        return answer

    def of(self, request_key: str) -> list[KeptAnswer]:
        """The kept answers of a request, oldest first."""
        found = self._read(f"{request_key[:_KEY]}_*.about")
        return [answer for answer in found if answer.request_key == request_key]

    def all(self) -> list[KeptAnswer]:
        """All kept answers, oldest first."""
        return self._read("*.about")

    def path(self, answer: KeptAnswer) -> Path:
        """The file with its bytes."""
        kept = self.folder / answer.file
        return kept if kept.exists() else self._spare / answer.file

    def data(self, answer: KeptAnswer) -> bytes:
        """Its bytes.

        Raises:
            OSError: they cannot be read.
        """
        return self.path(answer).read_bytes()

    def drop(self, answers: Iterable[KeptAnswer]) -> None:
        """Delete kept answers that are not needed any more."""
        for answer in answers:
            path = self.path(answer)
            path.with_suffix(".about").unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def problem(self) -> str | None:
        """Why no more answers can be kept; then nothing may be bought. `None` where they can."""
        kept = self.all()
        size = sum(answer.bytes for answer in kept)
        if len(kept) < MAX_FILES and size < MAX_BYTES:
            return None
        return (
            f"{len(kept)} answers ({size // 1_000_000} MB) that could not be read are in {self.folder}: "
            "look at them, and delete what is not needed"
        )

    def _read(self, pattern: str) -> list[KeptAnswer]:
        found = []
        for folder in (self.folder, self._spare):
            if not _is_ours(folder):
                continue
            for path in folder.glob(pattern):
                try:
                    answer = _RECORD.validate_json(path.read_bytes(), strict=True)
                except (OSError, ValueError):
                    continue  # half written, or written by another program
                if answer.file.rpartition(".")[0] == path.stem and (folder / answer.file).is_file():
                    found.append(answer)
        return sorted(found, key=lambda answer: answer.kept_at)


def _is_ours(folder: Path) -> bool:
    """Whether a folder belongs to this user, so that no other user can place false pictures in it."""
    try:
        stat = folder.lstat()
    except OSError:
        return False
    return not folder.is_symlink() and (not hasattr(os, "getuid") or stat.st_uid in (os.getuid(), 0))


def _write(folder: Path, stem: str, ending: str, data: bytes, record: bytes) -> None:
    """Write the bytes before the `.about` file: without that file a kept answer does not count as existing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not _is_ours(folder):
        raise PermissionError(f"{folder} is somebody else's")
    file, half = folder / f"{stem}.{ending}", folder / f"{stem}.half"
    try:
        file.write_bytes(data)
        half.write_bytes(record)
        half.rename(folder / f"{stem}.about")
    except OSError:
        file.unlink(missing_ok=True)
        half.unlink(missing_ok=True)
        raise
