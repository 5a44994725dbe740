"""A backfill over two machines, one of which dies: whole by itself, each picture paid once but for the wire."""

import importlib.util
import os
from pathlib import Path

import pytest

from duomi_pipeline_tests.deploy.two_workers import prove

_MISSING = [
    name for name in ("dagster_celery", "dagster_postgres", "moto", "s3fs") if not importlib.util.find_spec(name)
]
_SERVERS = [name for name in ("TEST_POSTGRES_URL", "TEST_REDIS_URL") if not os.environ.get(name)]


@pytest.mark.timeout(900)
@pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")
@pytest.mark.skipif(bool(_SERVERS), reason=f"{' and '.join(_SERVERS)}: no server named")
def test_a_backfill_over_two_workers_is_whole_though_one_is_killed(tmp_path: Path) -> None:
    proof = prove(tmp_path, os.environ["TEST_POSTGRES_URL"], os.environ["TEST_REDIS_URL"], prompts=60, rate=40)

    print(proof.table())
    assert list(proof.failures()) == []
