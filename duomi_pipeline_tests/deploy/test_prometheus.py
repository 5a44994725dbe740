"""The alerts of deploy/prometheus: what they ask for is measured, each is explained, and Prometheus takes them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
RULES = PROJECT / "deploy" / "prometheus" / "alerts.yaml"
STORIES = Path(__file__).parent / "alerts_test.yaml"
PAGE = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_every_alert_asks_for_metrics_that_the_page_explains_and_is_itself_explained() -> None:
    metrics, alerts = PAGE.split("## Alerts")
    for rule in ALERTS:
        assert set(re.findall(r"\bduomi_[a-z_]+", rule["expr"])) <= set(re.findall(r"\bduomi_[a-z_]+", metrics))
    assert {rule["alert"] for rule in ALERTS} == set(re.findall(r"\bDuomi[A-Z]\w+", alerts))


def test_every_alert_fires_in_one_of_the_stories() -> None:
    assert {rule["alert"] for rule in ALERTS} == set(re.findall(r"\bDuomi[A-Z]\w+", STORIES.read_text()))


@pytest.mark.parametrize("line", [("check", "rules", str(RULES)), ("test", "rules", str(STORIES))])
def test_prometheus_takes_the_alerts_and_fires_them_where_the_stories_say(line: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    run = subprocess.run([promtool, *line], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
