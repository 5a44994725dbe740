"""The ledger's tables have versions."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from duomi_pipeline.ledger import Ledger, LedgerError
from duomi_pipeline.ledger import migrate as migrate_module
from duomi_pipeline.ledger.schema import metadata

URL = "sqlite:///ledger.db"


def test_a_fresh_ledger_has_exactly_the_tables_of_the_schema(tmp_path: Path) -> None:
    ledger = Ledger(URL, tmp_path)
    with ledger.database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    ledger.close()


def test_the_version_that_needs_no_work_is_the_newest_that_there_is() -> None:
    folder = Path(str(migrate_module.__file__)).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == migrate_module.VERSION


def test_a_ledger_of_a_newer_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Ledger(URL, tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    with pytest.raises(LedgerError, match="newer version of this program"):
        Ledger(URL, tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
