"""A backfill over two machines, one of which dies: whole by itself, each picture paid once but for the wire."""

import importlib.util
import os
from pathlib import Path

import pytest

from duomi_pipeline_tests.deploy.installation import installation, wait_for
from duomi_pipeline_tests.deploy.two_workers import prove

_MISSING = [
    name for name in ("dagster_celery", "dagster_postgres", "moto", "s3fs") if not importlib.util.find_spec(name)
]
_SERVERS = [name for name in ("TEST_POSTGRES_URL", "TEST_REDIS_URL") if not os.environ.get(name)]


pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
    pytest.mark.skipif(bool(_SERVERS), reason=f"{' and '.join(_SERVERS)}: no server named"),
]
_CANCEL = "mutation ($id: String!) { terminateRun(runId: $id) { __typename ... on PythonError { message } } }"
_EVENTS = """
query ($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { ... on MessageEvent { message } } } } }
"""
_RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"


def test_a_backfill_over_two_workers_is_whole_though_one_is_killed(tmp_path: Path) -> None:
    proof = prove(tmp_path, os.environ["TEST_POSTGRES_URL"], os.environ["TEST_REDIS_URL"], prompts=60, rate=40)

    print(proof.table())
    assert list(proof.failures()) == []


def test_a_run_that_is_cancelled_in_the_ui_finishes_what_is_on_the_wire_and_is_not_started_again(
    tmp_path: Path,
) -> None:
    servers = os.environ["TEST_POSTGRES_URL"], os.environ["TEST_REDIS_URL"]
    with installation(tmp_path, *servers, latency=1.0, max_concurrency=4) as all_of_it:
        keys = all_of_it.write(0, 50)
        all_of_it.start_main()
        all_of_it.start_worker("worker-one")
        backfill = all_of_it.backfill(keys)
        wait_for(lambda: all_of_it.books.billed() >= 8, 200, "the first pictures", every=0.02)
        (run,) = all_of_it.status(backfill).runs

        assert all_of_it.graphql(_CANCEL, id=run)["terminateRun"]["__typename"] == "TerminateRunSuccess"
        wait_for(lambda: all_of_it.status(backfill).runs[run] in ("FAILURE", "CANCELED"), 100, "its end", every=0.5)

        billed = all_of_it.books.billed()
        assert billed < 50
        assert billed == len(all_of_it.pictures()) == all_of_it.status(backfill).materialized
        assert all_of_it.ask_ledger("SELECT billing, count(*) FROM posts GROUP BY 1") == [("billed", billed)]
        tags = {tag["key"]: tag["value"] for tag in all_of_it.graphql(_RUN, id=run)["runOrError"]["tags"]}
        assert tags.get("dagster/will_retry") != "true"
        all_of_it.stop()


def test_a_task_that_redis_hands_out_again_to_another_worker_buys_nothing(tmp_path: Path) -> None:
    servers = os.environ["TEST_POSTGRES_URL"], os.environ["TEST_REDIS_URL"]
    with installation(tmp_path, *servers, latency=3.0, hand_out_again=5, max_concurrency=2) as all_of_it:
        keys = all_of_it.write(0, 30)
        all_of_it.start_main()
        for host in ("worker-one", "worker-two"):
            all_of_it.start_worker(host)
        backfill = all_of_it.backfill(keys)
        wait_for(lambda: all_of_it.status(backfill).backfill != "REQUESTED", 300, "the end of the backfill", every=1)

        (run,) = all_of_it.status(backfill).runs
        events = all_of_it.graphql(_EVENTS, id=run)["logsForRun"]["events"]
        assert any("Ignoring a duplicate run" in event.get("message", "") for event in events)
        assert all_of_it.status(backfill).backfill == "COMPLETED_SUCCESS"
        assert all_of_it.books.billed() == len(all_of_it.pictures()) == 30
        all_of_it.stop()
