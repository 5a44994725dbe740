"""What `duomi clean` removes of files: found and measured first, removed when asked. Dagster's runs: `old_runs`.

The age of a file is the time in its name. Only regular files with a name that this package gives are ours; links and
everything else are left.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from duomi_pipeline.common.files import bytes_of
from duomi_pipeline.reporting.log_file import OLD_LOG_PREFIX
from duomi_pipeline.reporting.results import RESULTS_PREFIX
from duomi_pipeline.settings import Settings

_FORMER_CACHE = "out/prompt_files.db"  # before there was a register
_STAMP = "%Y%m%d_%H%M%S"


class Kind(StrEnum):
    """A kind of removable data."""

    RUNS = "runs"
    RESULTS = "results"
    LOGS = "logs"
    PROMPT_CACHE = "prompt_cache"


@dataclass(frozen=True)
class Removable:
    """What of one kind can be removed.

    Attributes:
        what: describes it, with its age.
        count: how many there are.
        bytes: what they take on disk.
        remove: removes them; may be called again where it was interrupted.
    """

    kind: Kind
    what: str
    count: int
    bytes: int
    remove: Callable[[], None]


def old_files(settings: Settings, now: datetime) -> list[Removable]:
    """What can be removed, except Dagster's runs."""
    folder, days = settings.path(settings.log_dir), settings.keep_logs_days
    before = now - timedelta(days=days)
    cache = settings.home / _FORMER_CACHE
    former = [cache] if cache.is_file() and not cache.is_symlink() else []
    return [
        _removable(
            Kind.RESULTS, f"results files over {days} days old", _stamped(folder, RESULTS_PREFIX, "json", before)
        ),
        _removable(Kind.LOGS, f"log files over {days} days old", _stamped(folder, OLD_LOG_PREFIX, "log", before)),
        _removable(Kind.PROMPT_CACHE, f"cache of prompt files, {_FORMER_CACHE}, which is no longer used", former),
    ]


def _removable(kind: Kind, what: str, files: Sequence[Path]) -> Removable:
    def remove() -> None:
        for file in files:
            file.unlink(missing_ok=True)

    return Removable(kind, what, len(files), bytes_of(files), remove)


def _stamped(folder: Path, prefix: str, ending: str, before: datetime) -> list[Path]:
    """Files with a time in their name that lies before a moment."""
    pattern = re.compile(rf"{prefix}_(\d{{8}}_\d{{6}})_\d{{3}}\.{ending}")
    found = []
    for path in folder.glob(f"{prefix}_*.{ending}"):
        name = pattern.fullmatch(path.name)
        if name and path.is_file() and not path.is_symlink() and _is_before(name[1], before):
            found.append(path)
    return sorted(found)


def _is_before(stamp: str, moment: datetime) -> bool:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC) < moment
    except ValueError:  # such as month 13: not one of ours
        return False
