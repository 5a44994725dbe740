"""Upgrades a ledger's tables to this program's version, with alembic. The steps are in `migrations/versions`."""

from collections.abc import Callable

from sqlalchemy import Connection, inspect, text

# The newest file in `migrations/versions`; repeated here so that alembic is imported only for an upgrade.
VERSION = "0008"


class NewerLedgerError(Exception):
    """The ledger was written by a newer version of this program."""


def migrate(connection: Connection, lock: Callable[[Connection], None], save: Callable[[], None]) -> None:
    """Create or upgrade the tables; does nothing if they have this version.

    Args:
        connection: in a write transaction.
        lock: keeps other programs away until it ends; what they did before it is seen after it.
        save: keeps the tables of an older version as they are, for a way back.

    Raises:
        NewerLedgerError: their version is unknown to this program.
    """
    if _version(connection) == VERSION:
        return
    lock(connection)
    if (before := _version(connection)) is not None and before < VERSION:
        save()
    from alembic import command  # noqa: PLC0415 - see VERSION
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "duomi_pipeline.ledger:migrations")  # as a path, it may have no `%`
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise NewerLedgerError("it was written by a newer version of this program; upgrade the program") from error


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
