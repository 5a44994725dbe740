"""The second place of paid answers: bytes without a picture, answers that the ledger has not taken.

Each is a file with a reason. Before anything is bought for a request, what is kept of it is looked at again; that is
`keeping`'s.
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
    """There is no more room among the kept answers: somebody has to look at them first."""


@dataclass(frozen=True, kw_only=True)
class About:
    """Whose bytes they are, and why there is no picture of them.

    Attributes:
        kind: the whole answer to a POST, the bytes of one picture of it, or an understood answer (task, addresses,
            pictures) that the ledger does not know.
        sent_at, pictures, price, currency, service: as in `ledger.PaidAnswer`.
        position: of the picture in its answer.
        seed: that the service told, `None` where it told none or where the answer is not understood.
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
    """Bytes that are kept.

    Attributes:
        file: name of the file that holds them.
        bytes: how many.
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
    """The folder of one home, and one in the machine's temporary folder for when its disk is full.

    Args:
        home: of the project.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER
        mark = zlib.crc32(str(home).encode("utf-8", "surrogateescape"))
        self._spare = Path(tempfile.gettempdir()) / f"duomi-kept-answers-{mark:08x}"

    def keep(self, data: bytes, about: About) -> KeptAnswer:
        """Write bytes down; they are in a file when this returns.

        Raises:
            KeptFullError: there are too many already.
            OSError: they can be written nowhere.
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
        """What is kept of a request, oldest first."""
        found = self._read(f"{request_key[:_KEY]}_*.about")
        return [answer for answer in found if answer.request_key == request_key]

    def all(self) -> list[KeptAnswer]:
        """What is kept, oldest first."""
        return self._read("*.about")

    def path(self, answer: KeptAnswer) -> Path:
        """Where its bytes are."""
        kept = self.folder / answer.file
        return kept if kept.exists() else self._spare / answer.file

    def data(self, answer: KeptAnswer) -> bytes:
        """Its bytes.

        Raises:
            OSError: they cannot be read.
        """
        return self.path(answer).read_bytes()

    def drop(self, answers: Iterable[KeptAnswer]) -> None:
        """Forget some: they became pictures."""
        for answer in answers:
            path = self.path(answer)
            path.with_suffix(".about").unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def problem(self) -> str | None:
        """Why no more can be kept; then nothing may be bought that might have to be."""
        kept = self.all()
        size = sum(answer.bytes for answer in kept)
        if len(kept) < MAX_FILES and size < MAX_BYTES:
            return None
        return (
            f"{len(kept)} answers ({size // 1_000_000} MB) that could not be read are in {self.folder}: "
            "look at them, and delete what is of no use"
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
                    continue  # half written, or somebody else's
                if answer.file.rpartition(".")[0] == path.stem and (folder / answer.file).is_file():
                    found.append(answer)
        return sorted(found, key=lambda answer: answer.kept_at)


def _is_ours(folder: Path) -> bool:
    """Whether nobody else on this machine could have put there what we would take for a paid picture."""
    try:
        stat = folder.lstat()
    except OSError:
        return False
    return not folder.is_symlink() and (not hasattr(os, "getuid") or stat.st_uid in (os.getuid(), 0))


def _write(folder: Path, stem: str, ending: str, data: bytes, record: bytes) -> None:
    """The bytes first: what is not yet told about is not there."""
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
