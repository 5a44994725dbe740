"""Looking at the sources of prompts: what they say now goes into the register, from which everybody else reads.

Conclusions need evidence: a source that cannot be read, gives nothing, or from which many prompts are gone at once is
more likely not mounted, or another one, than emptied by hand. It retires nothing.
"""

import json
import socket
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cached_property
from typing import cast

from duomi_pipeline.common.text import counted
from duomi_pipeline.engine.folder import MANY, SHARE
from duomi_pipeline.engine.prompt_ids import with_known_ids
from duomi_pipeline.ledger import Changes, Known, Ledger, Look, RegisteredPrompt, Source, Standing
from duomi_pipeline.prompts import Problem, Prompt, Reading, SourceError
from duomi_pipeline.prompts.marks import Before
from duomi_pipeline.prompts.prompt import NO_OVERRIDES, SourceKind
from duomi_pipeline.prompts.sources import (
    Sources,
    read_sources,
    recorded_overrides,
    shown_database,
    shown_folder,
    table_stamp,
)
from duomi_pipeline.settings import ParameterOverrides, Settings

PREFIXES = {Source.TABLE: "db_", Source.FILES: "json_"}  # of prompt ids
ASSETS = {Source.TABLE: "prompt_table", Source.FILES: "prompt_files"}  # that look at one source, in Dagster
RETIRE_LOST = "retire_lost"  # the field of both assets that says that many prompts gone at once are meant
_TRIES = 3  # looks that another look overtook
_THERE = {Standing.ACTIVE, Standing.UNUSABLE}
_USABLE = {Standing.ACTIVE, Standing.VISITING}


class Manner(Enum):
    """How a look takes what it finds."""

    CAUTIOUS = auto()  # a source from which many prompts are gone is not believed: nothing of it is taken
    ATTENDED = auto()  # a person sees what it finds: what is there is taken; where many are gone, none is retired
    VISITING = auto()  # a folder named for one command: what is there is taken, nothing is retired
    MEANT = auto()  # the user says that what is gone is gone: all of it is retired


@dataclass(frozen=True)
class Looked:
    """The result of a look.

    Attributes:
        sources: what they say: all of it, or only what had changed; the register has the rest.
        doubts: why a source is not believed, by the prefix of its ids.
    """

    sources: Sources
    doubts: Mapping[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All sources, rows and files that are left out, or not believed; whole sources first."""
        lost = (why for prefix, why in self.doubts.items() if prefix not in self.sources.unknown)
        return (*(Problem("source", why) for why in lost), *self.sources.problems)

    @property
    def believed(self) -> tuple[Source, ...]:
        """The sources that were read and are believed: the register has just what they say."""
        unknown = {**self.sources.unknown, **self.doubts}
        return tuple(source for source in Source if PREFIXES[source] not in unknown)

    def said(self, ledger: Ledger, settings: Settings) -> Sources:
        """All that the sources say, also of one that is not believed."""
        if self.sources.table.gone is None and self.sources.files.gone is None:  # all was read
            return self.sources
        if self.doubts:
            return read_sources(settings)
        known = registered(ledger)
        table, files = (
            replace(_of(known, source), problems=_of(self.sources, source).problems)
            if source in self.believed
            else Reading()
            for source in (Source.TABLE, Source.FILES)
        )
        return replace(self.sources, table=table, files=files)

    def completed(self, ledger: Ledger) -> Sources:
        """All that the sources say; of one that is not believed, what the register has of it, if it has anything."""
        now, known = self.sources, registered(ledger)
        has_any = {PREFIXES[source] for source in Source if _of(known, source) != Reading()}
        replaced = {prefix: why for prefix, why in self.doubts.items() if prefix in has_any}
        table, files = (
            replace(_of(known, source), problems=(Problem("source", replaced[prefix]), *_of(known, source).problems))
            if (prefix := PREFIXES[source]) in replaced
            else replace(_of(known, source), problems=_of(now, source).problems)
            for source in (Source.TABLE, Source.FILES)
        )
        unreadable = {prefix: why for prefix, why in now.unreadable.items() if prefix not in replaced}
        return Sources(table, files, unreadable, {p: why for p, why in now.absent.items() if p not in replaced})


def look(
    ledger: Ledger, settings: Settings, manner: Manner = Manner.CAUTIOUS, partitions: Collection[str] = ()
) -> Looked:
    """Look at both sources, and record what they say. Only what has changed since the last look is read.

    Args:
        ledger: with the register.
        settings: name the sources.
        manner: how what is found is taken.
        partitions: ids that are known elsewhere, from before there was a register.
    """

    def read() -> Sources:
        if manner is Manner.VISITING:
            return read_sources(settings)
        stamp = table_stamp(settings)  # first: what is changed from now on, another look sees
        last = ledger.register.last_looks()
        table, files = (_before(ledger, settings, source, last.get(source)) for source in (Source.TABLE, Source.FILES))
        changed = read_sources(settings, table, files, stamp)
        return read_sources(settings) if _are_twins(ledger, changed) else changed

    return look_at(ledger, settings, read, tuple(Source), manner, partitions)


def look_at(
    ledger: Ledger,
    settings: Settings,
    read: Callable[[], Sources],
    which: Collection[Source],
    manner: Manner = Manner.CAUTIOUS,
    partitions: Collection[str] = (),
) -> Looked:
    """Look at some sources, and record what they say in one transaction.

    Args:
        ledger, settings, manner, partitions: as in `look`.
        read: reads them; called again where another look was recorded meanwhile.
        which: those that `read` reads.
    """
    for attempt in range(1, _TRIES + 1):
        last, held, began = ledger.register.last_look(), _Held(ledger, partitions), time.time()
        sources = with_known_ids(read(), ledger, settings, partitions)
        found = [
            changes for source in which if (changes := _changes(ledger, settings, source, sources, held, began, manner))
        ]
        if ledger.register.record(found, last if attempt < _TRIES else None):
            break
    return Looked(sources, {PREFIXES[one.look.source]: one.look.problem for one in found if one.look.problem})


def _are_twins(ledger: Ledger, sources: Sources) -> bool:
    """Whether something that was read has the id of something unchanged: only all together tell which counts."""
    for source in Source:
        reading = _of(sources, source)
        if not reading.prompts:
            continue
        known = ledger.register.known(source, [prompt.id for prompt in reading.prompts], ())
        gone = frozenset(reading.gone or ())
        for prompt in reading.prompts:
            entry = known.get(prompt.id)
            if entry and entry.standing is Standing.ACTIVE and entry.origin not in gone | {prompt.origin}:
                return True
    return False


def _before(ledger: Ledger, settings: Settings, source: Source, last: Look | None) -> Before | None:
    """What the register has of a source; `None` if nothing can be told by it."""
    try:
        overridden = recorded_overrides(settings).ids
    except SourceError:  # the look says so
        return None
    is_good = last is not None and last.problem is None
    return Before(
        (last.stamp or "") if last is not None and is_good else "",
        last.prompts if last is not None else 0,
        tuple(Problem(*problem) for problem in last.problems) if last is not None else (),
        lambda: ledger.register.marks(source, overridden),
    )


def registered(ledger: Ledger, ids: Collection[str] | None = None) -> Sources:
    """What the register has of some prompts, or of all: what the sources said when they were last read."""
    found: dict[Source, list[RegisteredPrompt]] = {source: [] for source in Source}
    for prompt in ledger.register.prompts(ids):
        found[prompt.source].append(prompt)
    looks = ledger.register.last_good_looks()
    table, files = (_reading(found[source], looks.get(source)) for source in (Source.TABLE, Source.FILES))
    never = {PREFIXES[source]: _NEVER[source] for source in Source if source not in looks and not found[source]}
    return Sources(table, files, {}, never)


def in_order(ledger: Ledger, ids: Collection[str]) -> list[str]:
    """Ids of prompts in the order of their sources: the table's rows by id, then the files by name."""
    return [key for *_, key in sorted((*_place(source, at), key) for key, source, at in ledger.register.origins(ids))]


def why_unusable(ledger: Ledger, ids: Collection[str]) -> dict[str, str]:
    """Why the register has no prompt to draw under these ids, each with what to do."""
    known = {prompt.prompt_id: prompt.standing for prompt in ledger.register.prompts(ids)}
    return {prompt_id: _why(prompt_id, known.get(prompt_id)) for prompt_id in ids}


_NEVER = {
    source: f"nobody has looked at the {source.value} yet: materialize `{ASSETS[source]}`, or start the sensor "
    "`new_prompts`"
    for source in Source
}


def _why(prompt_id: str, standing: Standing | None) -> str:
    source = Source.TABLE if prompt_id.startswith(PREFIXES[Source.TABLE]) else Source.FILES
    if standing is None:
        return (
            f"it is not in the register of prompts: materialize `{ASSETS[source]}`, or start the sensor `new_prompts`"
        )
    if standing is Standing.UNUSABLE:
        return "its row, file or recorded override cannot be read; see `duomi doctor`"
    return "there is no such prompt any more: its row or file is gone"


class _Held:
    """How much was known before a look. Counted when somebody asks: of 100,000 prompts that takes a while.

    Args:
        partitions: as in `look`.
    """

    def __init__(self, ledger: Ledger, partitions: Collection[str]) -> None:
        self._ledger, self._partitions = ledger, partitions

    def unregistered(self, source: Source) -> list[str]:
        """Partitions of a source from before there was a register."""
        mine = [key for key in self._partitions if key.startswith(PREFIXES[source])]
        return [] if not mine or any(self._counts[source].values()) else mine

    def prompts(self, source: Source) -> int:
        """How many prompts a source had."""
        return sum(self._counts[source][standing] for standing in _THERE) + len(self.unregistered(source))

    @cached_property
    def _counts(self) -> Mapping[Source, Mapping[Standing, int]]:
        return self._ledger.register.holdings().counts


def _changes(
    ledger: Ledger,
    settings: Settings,
    source: Source,
    sources: Sources,
    held: _Held,
    began: float,
    manner: Manner,
) -> Changes | None:
    """What a look changes in the register; `None` for a source that is not used here."""
    reading = _of(sources, source)
    place = shown_database(settings) if source is Source.TABLE else shown_folder(settings)
    made = Look(source, place, began, socket.gethostname())
    if problem := sources.unreadable.get(PREFIXES[source]):
        return Changes(replace(made, problem=problem))
    if (problem := sources.absent.get(PREFIXES[source])) and manner is not Manner.MEANT:
        return Changes(replace(made, problem=problem)) if held.prompts(source) else None
    here = {prompt.id for prompt in reading.prompts} | reading.present
    known = ledger.register.known(source, here, reading.gone)
    gone = _gone(known, here, reading) + [key for key in held.unregistered(source) if key not in here]
    is_any_here = bool(here or reading.unchanged)
    lost = _why_lost(source, place, len(gone), held.prompts(source), anything_here=is_any_here) if gone else ""
    made = replace(
        made,
        prompts=len(reading.prompts) + reading.unchanged,
        left_out=len(reading.problems),
        problems=tuple((problem.origin, problem.reason) for problem in reading.problems),
        stamp=None if manner is Manner.VISITING else reading.stamp or None,
    )
    if reading.is_as_before:
        return Changes(made)
    if lost and manner is Manner.CAUTIOUS:
        return Changes(replace(made, problem=lost, problems=(), stamp=None))
    entries = {prompt.id: _entry(source, prompt, known.get(prompt.id), reading, manner) for prompt in reading.prompts}
    said = [entry for key, entry in entries.items() if not _says_the_same(entry, known.get(key))]
    same = entries.keys() - {entry.prompt_id for entry in said}
    marks = {key: entries[key].mark for key in same if entries[key].mark != known[key].mark}
    made = replace(made, problem=lost if lost and manner is Manner.ATTENDED else None)
    standings = (
        {}
        if manner is Manner.VISITING
        else _standings(known, here, gone, reading, retires=not lost or manner is Manner.MEANT)
    )
    return Changes(replace(made, changes=len(said) + len(standings)), said, standings, marks)


def _gone(known: Mapping[str, Known], here: Collection[str], reading: Reading) -> list[str]:
    """The ids of prompts that were there, and are not any more."""
    origins = None if reading.gone is None else set(reading.gone)
    return [
        prompt_id
        for prompt_id, entry in known.items()
        if entry.standing in _THERE
        and prompt_id not in here
        and (origins is None or entry.standing is Standing.UNUSABLE or entry.origin in origins)
    ]


def _of(sources: Sources, source: Source) -> Reading:
    return sources.table if source is Source.TABLE else sources.files


def _why_lost(source: Source, place: str, gone: int, before: int, *, anything_here: bool) -> str:
    """Why a source looks lost: the rule of the folder of pictures. Empty where it does not."""
    if anything_here and (gone <= MANY or gone <= SHARE * before):
        return ""
    what = (
        f"{gone:,} of {counted(before, 'prompt')} are gone at once"
        if anything_here
        else (f"gives no prompt, but had {counted(before, 'prompt')} before")
    )
    return (
        f"{place}{':' if anything_here else ''} {what}. Nothing was retired. Mount or restore it, and look again; "
        f"or, if they are to go: materialize `{ASSETS[source]}` with `{RETIRE_LOST}: true` in Dagster's launchpad."
    )


def _standings(
    known: Mapping[str, Known], here: Collection[str], gone: Collection[str], reading: Reading, *, retires: bool
) -> dict[str, Standing]:
    """The prompts that cannot be used now, and those that are gone."""
    usable = {prompt.id for prompt in reading.prompts}
    broken = {key for key in reading.present - usable if key in known and known[key].standing in _USABLE}
    found = dict.fromkeys(broken, Standing.UNUSABLE)
    visitors = [key for key, entry in known.items() if entry.standing is Standing.VISITING and key not in here]
    return {**found, **dict.fromkeys([*visitors, *(key for key in gone if retires and key in known)], Standing.RETIRED)}


def _entry(source: Source, prompt: Prompt, known: Known | None, reading: Reading, manner: Manner) -> RegisteredPrompt:
    visits = manner is Manner.VISITING and (known is None or known.standing not in _THERE)
    return RegisteredPrompt(
        prompt.id,
        source,
        Standing.VISITING if visits else Standing.ACTIVE,
        prompt.version,
        prompt.source,
        prompt.origin,
        prompt.file_prefix,
        prompt.image_id,
        prompt.name,
        prompt.text,
        json.dumps(overrides) if (overrides := prompt.overrides.explicit()) else "{}",
        # Of a file in a folder that was named for one command nothing is concluded later.
        None if manner is Manner.VISITING else reading.marks.get(prompt.id),
    )


def _says_the_same(entry: RegisteredPrompt, known: Known | None) -> bool:
    return known is not None and Known(*(getattr(entry, name) for name in Known._fields))._replace(mark=None) == (
        known._replace(mark=None)
    )


def _reading(entries: Collection[RegisteredPrompt], last: Look | None) -> Reading:
    problems = tuple(Problem(origin, reason) for origin, reason in last.problems) if last else ()
    usable = sorted((e for e in entries if e.standing in _USABLE), key=lambda e: _place(e.source, e.origin))
    unusable = frozenset(entry.prompt_id for entry in entries if entry.standing is Standing.UNUSABLE)
    return Reading(tuple(map(_prompt, usable)), problems, unusable)


def _place(source: Source, origin: str) -> tuple[int, int, str]:
    """The order of the sources: rows by id, numbers before texts; then files by name."""
    if source is Source.FILES:
        return 2, 0, origin
    row = origin.removeprefix("prompts.id=")
    is_number = row.removeprefix("-").isdecimal()
    return (0 if is_number else 1, int(row) if is_number else 0, origin)


def _prompt(entry: RegisteredPrompt) -> Prompt:
    overrides = NO_OVERRIDES if entry.overrides == "{}" else ParameterOverrides(**json.loads(entry.overrides))
    return Prompt(
        entry.prompt_id,
        entry.text,
        cast(SourceKind, entry.kind),
        entry.origin,
        entry.file_prefix,
        overrides,
        entry.image_id,
        entry.name,
    )
