"""When a manifest may be written: a failed read is not an empty source."""

from duomi_pipeline.engine import Session
from duomi_pipeline.prompts import SourceError
from duomi_pipeline.prompts.sources import Sources


def check_readable(sources: Sources, session: Session) -> None:
    """Make sure that no prompt with pictures is left out because its source cannot be read now.

    Raises:
        SourceError: such rows would vanish from the manifest.
    """
    if not sources.unknown:
        return
    pictured = session.ledger.selections()
    for prefix, reason in sources.unknown.items():
        if any(prompt_id.startswith(prefix) for prompt_id in pictured):
            raise SourceError(reason)
