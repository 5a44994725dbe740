"""`duomi metrics`: what Prometheus would read, over HTTP and from a file, of a home in which pictures were bought."""

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, write_prompts
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.processes import started

DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"
Samples = Mapping[str, float]


def samples(text: str) -> Samples:
    """The values by name and labels, as Prometheus' own parser reads them: `name{label="value"}`."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of the metrics that `duomi metrics --port` serves."""
    line, env = command(home, "metrics", "--port", "0")
    with started(line, env=env, cwd=home, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/metrics", process.stdout.readline())
        assert found
        yield found[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_the_figures_are_those_of_the_service_and_new_at_each_scrape(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(refuse=("fox",))
    (home / "duomi.toml").write_text(
        f'base_url = "{sandbox.url}"\nprice_per_image = 0.1\nmax_spend_per_day = 5\nrequests_per_day = 100\n'
    )
    duomi(home, "generate")
    with served(home) as url:
        first = samples(requests.get(url, timeout=20).text)
        books = sandbox.books.totals()
        assert first['duomi_pictures_billed_total{currency="CNY"}'] == books.billed == 3
        assert first['duomi_spent_total{currency="CNY"}'] == pytest.approx(0.3)
        assert first['duomi_spent_today{currency="CNY"}'] == pytest.approx(0.3)
        assert first["duomi_spent_today_cap"] == 5
        assert first["duomi_requests_today"] == books.posts
        assert first["duomi_requests_today_cap"] == 100
        assert first['duomi_pictures_saved_total{origin="generated"}'] == 3
        assert first["duomi_pictures_per_minute"] == pytest.approx(3 / 5)
        assert first['duomi_requests_failed{error_class="refused"}'] == 1
        assert (first['duomi_prompts{state="current"}'], first['duomi_prompts{state="failed_for_good"}']) == (3, 1)
        assert (first["duomi_runs_alive"], first["duomi_requests_in_flight"]) == (0, 0)
        assert first['duomi_last_run_stopped{by=""}'] == 0

        write_prompts(home, {"whale": "A whale under the northern lights"})
        duomi(home, "generate")
        second = samples(requests.get(url, timeout=20).text)
        assert second['duomi_pictures_billed_total{currency="CNY"}'] == sandbox.books.totals().billed == 4


def test_a_lost_answer_is_maybe_billed_and_a_run_at_work_is_alive(home: Path, sandbox: SandboxServer) -> None:
    sandbox.change_faults(rate_reset_after=1.0)
    duomi(home, "generate", "--limit", "1", DUOMI_AMBIGUOUS_RETRIES="0")
    lost = samples(duomi(home, "metrics").stdout)
    assert lost['duomi_pictures_maybe_billed_total{currency="CNY"}'] == sandbox.books.totals().billed > 0
    assert lost['duomi_pictures_billed_total{currency="CNY"}'] == 0

    sandbox.change_faults(rate_reset_after=0.0, latency=60)
    line, env = command(home, "generate")
    with started(line, env=env, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        asked = sandbox.books.totals().posts
        while sandbox.books.totals().posts == asked:
            assert run.poll() is None
        at_work = samples(duomi(home, "metrics").stdout)
        assert at_work["duomi_runs_alive"] == 1
        assert at_work["duomi_requests_in_flight"] >= 1
        run.kill()
    killed = samples(duomi(home, "metrics").stdout)
    assert killed["duomi_runs_alive"] == 0, "the process is gone, although no end of the run is recorded"
    assert killed["duomi_requests_in_flight"] >= 1, "and nobody knows yet what became of its requests"


def test_the_file_is_replaced_as_a_whole_and_other_users_can_read_it(home: Path, tmp_path: Path) -> None:
    duomi(home, "generate")
    file = tmp_path / "collector" / "duomi.prom"
    assert duomi(home, "metrics", "--file", str(file)).returncode == 2, "its folder is not there"
    file.parent.mkdir()
    file.write_text("old")
    with file.open() as reader:
        assert duomi(home, "metrics", "--file", str(file)).returncode == 0
        assert reader.read() == "old"
    assert samples(file.read_text())['duomi_pictures_billed_total{currency="CNY"}'] == 4
    assert [path.name for path in file.parent.iterdir()] == ["duomi.prom"]
    assert file.stat().st_mode & 0o444 == 0o444


def test_prompts_are_those_of_the_register_and_a_lost_source_is_told(home: Path) -> None:
    duomi(home, "generate")
    seen = samples(duomi(home, "metrics").stdout)
    assert seen['duomi_prompts{state="current"}'] == 4
    assert seen['duomi_source_believed{source="files"}'] == 1
    folder = home / "out" / "prompt_json"
    folder.rename(home / "elsewhere")
    folder.write_text("no folder")
    duomi(home, "plan")
    lost = samples(duomi(home, "metrics").stdout)
    assert lost['duomi_source_believed{source="files"}'] == 0
    when = 'duomi_source_looked_timestamp_seconds{source="files"}'
    assert lost[when] == seen[when], "of the last look that was believed"
    assert lost['duomi_prompts{state="current"}'] == 4


def test_a_ledger_that_cannot_be_read_has_no_figures_and_never_zero(home: Path) -> None:
    duomi(home, "generate")
    (home / "out" / "ledger.db").write_text("these are the notes of somebody " * 200)
    lost = samples(duomi(home, "metrics").stdout)
    assert lost["duomi_ledger_readable"] == 0
    assert not any(
        name.startswith(("duomi_pictures", "duomi_spent", "duomi_requests", "duomi_prompts")) for name in lost
    )


def test_the_page_on_monitoring_explains_every_metric(home: Path) -> None:
    (home / "duomi.toml").write_text(
        (home / "duomi.toml").read_text() + "max_spend_per_day = 5\nrequests_per_day = 9\n"
    )
    duomi(home, "generate")
    told = {name.partition("{")[0] for name in samples(duomi(home, "metrics").stdout)}
    explained = set(re.findall(r"\bduomi_[a-z_]+\b", DOCS.read_text(encoding="utf-8")))
    assert told <= explained
