"""The ledger's tables have versions."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from duomi_pipeline.ledger import Ledger, LedgerError
from duomi_pipeline.ledger import migrate as migrate_module
from duomi_pipeline.ledger.schema import metadata
from duomi_pipeline_tests.ledger.test_leases import sql


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
