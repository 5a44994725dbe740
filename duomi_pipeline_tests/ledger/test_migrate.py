"""The ledger's tables have versions."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from duomi_pipeline.ledger import Ledger, LedgerError
from duomi_pipeline.ledger import migrate as migrate_module
from duomi_pipeline.ledger.schema import metadata
from duomi_pipeline_tests.ledger.test_leases import sql

URL = "sqlite:///ledger.db"


def test_a_fresh_ledger_has_exactly_the_tables_of_the_schema(ledger: Ledger) -> None:
    with ledger.database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_version_that_needs_no_work_is_the_newest_that_there_is() -> None:
    folder = Path(str(migrate_module.__file__)).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == migrate_module.VERSION


def test_a_ledger_of_a_newer_program_is_refused_and_left_as_it_is(url: str, tmp_path: Path) -> None:
    Ledger(url, tmp_path).close()
    sql(url, tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    try:
        for _ in range(2):
            with pytest.raises(LedgerError, match="newer version of this program"):
                Ledger(url, tmp_path)
    finally:
        sql(url, tmp_path, "UPDATE alembic_version SET version_num = :known", known=migrate_module.VERSION)
    Ledger(url, tmp_path).close()


def ledger_of_version(version: str, folder: Path, url: str = URL) -> None:
    """A ledger as an earlier program left it, with one run."""
    config = Config()
    config.set_main_option("script_location", "duomi_pipeline.ledger:migrations")
    config.set_main_option("path_separator", "os")
    engine = create_engine(url.replace("sqlite:///", f"sqlite:///{folder}/"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        connection.exec_driver_sql("INSERT INTO runs VALUES ('old', 'cli', 'here', 1, 1, 1, 1, NULL, NULL, NULL)")
    engine.dispose()


def test_an_upgrade_keeps_the_ledger_as_it_was(tmp_path: Path) -> None:
    ledger_of_version("0003", tmp_path)
    with closing(Ledger(URL, tmp_path)) as ledger:
        assert ledger.run("old") is not None
    with closing(sqlite3.connect(tmp_path / f"ledger.db.before-{migrate_module.VERSION}")) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003",)
        assert db.execute("SELECT id FROM runs").fetchone() == ("old",)
    with closing(Ledger(URL, tmp_path)):
        pass
    assert len(list(tmp_path.glob("*before*"))) == 1, "opened again, there is nothing to keep"


def test_a_ledger_that_cannot_be_kept_is_not_upgraded(tmp_path: Path) -> None:
    ledger_of_version("0003", tmp_path)
    (tmp_path / f"ledger.db.before-{migrate_module.VERSION}").mkdir()
    with pytest.raises(LedgerError, match="cannot be copied before its upgrade"):
        Ledger(URL, tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003",)
