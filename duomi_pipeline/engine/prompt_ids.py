"""Ids that stay: a prompt file that is on record under its former id, in ASCII, keeps it.

Its pictures, history, marks and Dagster's partitions have that id; a seed derived from the id would change with it.
"""

from collections.abc import Collection
from dataclasses import replace

from duomi_pipeline.common.places import place_of
from duomi_pipeline.engine.adoption import adopt
from duomi_pipeline.images import ImageStore
from duomi_pipeline.ledger import Ledger
from duomi_pipeline.prompts.sources import Sources
from duomi_pipeline.settings import Settings


def with_known_ids(sources: Sources, ledger: Ledger, settings: Settings, known: Collection[str] = ()) -> Sources:
    """The sources with former ids where these are on record.

    Before a new file gets its id, unknown pictures in the folder are adopted: after a lost ledger they say which ids
    there were.

    Args:
        sources: as they were read.
        ledger: in which prompts and pictures are on record.
        settings: name the folder of pictures.
        known: ids that are known already: in the register, or elsewhere.
    """
    former = {p.id: p.former_id for p in sources.files.prompts if p.former_id and p.former_id != p.id}
    if not former:
        return sources
    kept = {new: old for new, old in former.items() if old in known}
    unseen = {new: old for new, old in former.items() if old not in known and new not in known}
    if unseen:
        recorded = ledger.known_ids([*unseen, *unseen.values()])
        if any(new not in recorded and old not in recorded for new, old in unseen.items()):
            store = ImageStore(place_of(settings.image_dir, settings.home))
            adopt(ledger, store, store.listing(), ledger.recorded_files())
            recorded = ledger.known_ids(unseen.values())
        kept |= {new: old for new, old in unseen.items() if old in recorded}
    prompts = tuple(replace(p, id=kept[p.id]) if p.id in kept else p for p in sources.files.prompts)
    marks = {kept.get(prompt_id, prompt_id): mark for prompt_id, mark in sources.files.marks.items()}
    return replace(sources, files=replace(sources.files, prompts=prompts, marks=marks))
