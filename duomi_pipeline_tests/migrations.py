"""Migration scripts, read once per process, as modules are."""

from alembic.config import Config
from alembic.script import ScriptDirectory

_from_config = ScriptDirectory.from_config
_known: dict[tuple[str | None, str | None], ScriptDirectory] = {}


def read_once() -> None:
    """From now on alembic reads a folder of migrations once, not each time that it asks a database for its revision.

    Dagster asks a dozen times in each run, and each time alembic executes eighty files again: a third of the time that
    a short run takes. The files do not change; databases are asked and stamped as ever.
    """
    ScriptDirectory.from_config = _known_or_read  # type: ignore[method-assign]


def _known_or_read(config: Config) -> ScriptDirectory:
    source = config.config_file_name, config.get_main_option("script_location")
    if source not in _known:
        _known[source] = _from_config(config)
        _known[source].get_heads()  # reads all files
    return _known[source]
