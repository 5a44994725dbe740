"""The sensor `run_failures`: which failed runs it tells a chat of, in which words, and when. The chat is a real server."""

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time
from pydantic import SecretStr

from duomi_pipeline.orchestration.alerts.webhook import WebhookError, chat_of, post
from duomi_pipeline.orchestration.partition_ranges import RUN_TAG, PartitionRange
from duomi_pipeline.orchestration.resources import DuomiResource
from duomi_pipeline_tests.cli.quick import duomi
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.engine.home import wait_until
from duomi_pipeline_tests.orchestration.harness import ONE_MODEL, Project
from duomi_pipeline_tests.orchestration.test_run_logs import COMMAND_THAT_DIES
from duomi_pipeline_tests.processes import started

TOKEN = "T012/B345/very-secret-token"
NAME = "run_failures"


@pytest.fixture
def chat(project: Project) -> Iterator[ScriptedService]:
    """A webhook that takes everything, set in the project's settings."""
    with ScriptedService(Answer("ok")) as chat:
        project.configure(webhook_url=f"{chat.url}/services/{TOKEN}", price_per_image=0.5)
        yield chat


def messages(chat: ScriptedService) -> list[str]:
    """The texts that were posted, also those that were not taken."""
    found = [json.loads(asked.body) for asked in chat.asked]
    assert all(set(content) == {"text"} for content in found)
    return [content["text"] for content in found]


class Watcher:
    """The sensor's looks one after another; as in the daemon, a look that fails leaves the cursor as it was."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.cursor: str | None = None

    def look(self) -> str:
        """One look; returns what the tick says."""
        definitions = self.project.defs()
        with dg.build_sensor_context(
            instance=self.project.instance,
            cursor=self.cursor,
            repository_def=definitions.get_repository_def(),
            resources={"duomi": DuomiResource(home=str(self.project.home))},
        ) as context:
            tick = definitions.resolve_sensor_def(NAME).evaluate_tick(context)
        self.cursor = tick.cursor
        assert not tick.run_requests
        return tick.skip_message or ""


@pytest.fixture
def watcher(project: Project, chat: ScriptedService) -> Watcher:
    """A sensor that has been switched on."""
    watcher = Watcher(project)
    assert "From now on" in watcher.look()
    return watcher


def run(project: Project, first: str, last: str, tags: Mapping[str, str]) -> dg.ExecuteInProcessResult:
    """A run of the job of the UI over a range, started by somebody else than a person."""
    job = project.defs().resolve_job_def("regenerate_images")
    config = job.get_run_config_for_partition_key(first)
    return project.execute(job, run_config=config, tags={**PartitionRange(first, last).tags, **tags})


def test_it_is_on_by_itself_only_where_a_webhook_is_set(project: Project) -> None:
    def status() -> dg.DefaultSensorStatus:
        return project.defs().resolve_sensor_def(NAME).default_status

    assert status() is dg.DefaultSensorStatus.STOPPED
    assert "DUOMI_WEBHOOK_URL is not set" in Watcher(project).look()
    project.configure(webhook_url="https://hooks.example.com/services/x")
    assert status() is dg.DefaultSensorStatus.RUNNING


def test_the_runs_of_a_backfill_are_one_message(project: Project, chat: ScriptedService, watcher: Watcher) -> None:
    keys = project.write_many(5)
    project.look()
    project.service.change_faults(refuse=("p00", "p04"))
    status, runs = project.backfill([keys[0], keys[2], keys[4]])
    assert (status, len(runs)) == ("COMPLETED_FAILED", 3)

    assert "Posted" in watcher.look()
    assert watcher.look() == "No failures."

    (text,) = messages(chat)
    backfill_id = runs[0].tags["dagster/backfill"]
    assert text.startswith(f"*Duomi: 2 of 3 runs of backfill {backfill_id} failed*\n1 generated, 2 failed in ")
    assert "Cost: 0.50 CNY" in text
    assert "Failed: 2 refused" in text
    assert "json_p00: The prompt was rejected" in text
    assert "json_p04: The prompt was rejected" in text
    assert "Next: Refused: edit the prompt" in text


def test_it_waits_until_a_backfill_has_ended(project: Project, chat: ScriptedService, watcher: Watcher) -> None:
    keys = project.write_many(2)
    project.look()
    project.service.change_faults(refuse=("p00",))
    backfill = {"dagster/backfill": "abcdefgh"}
    run(project, keys[0], keys[0], backfill)
    project.start_run(dg.DagsterRunStatus.STARTED, {**PartitionRange(keys[1], keys[1]).tags, **backfill})

    assert "1 failure waiting" in watcher.look()
    assert messages(chat) == []

    (going_on,) = project.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    project.instance.report_run_failed(going_on, "The process of this run is gone.")
    watcher.look()
    (text,) = messages(chat)
    assert "2 of 2 runs of backfill abcdefgh failed" in text
    assert f"run {going_on.run_id[:8]}: The process of this run is gone." in text
    assert "json_p00" in text


def test_what_failed_before_it_was_switched_on_is_no_news(project: Project, chat: ScriptedService) -> None:
    key = project.write("p")
    project.look()
    project.service.change_faults(refuse=("p",))
    project.run(key)

    watcher = Watcher(project)

    assert "From now on" in watcher.look()
    assert watcher.look() == "No failures."
    assert messages(chat) == []


def test_what_failed_days_ago_while_it_was_off_is_no_news(
    project: Project, chat: ScriptedService, watcher: Watcher
) -> None:
    project.start_run(dg.DagsterRunStatus.STARTED, {})
    (old,) = project.instance.get_runs()
    week = 7 * 86_400
    assert watcher.cursor is not None
    watcher.cursor = json.dumps({**json.loads(watcher.cursor), "since": time.time() - 2 * week})
    with freeze_time(time.time() - week):
        project.instance.report_run_failed(old, "The process of this run is gone.")

    assert "too long ago" in watcher.look()
    assert watcher.look() == "No failures."
    assert messages(chat) == []


def test_a_webhook_that_is_down_fails_the_look_and_gets_the_message_once_it_is_up(
    project: Project, chat: ScriptedService, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    key = project.write("p")
    project.look()
    project.service.change_faults(refuse=("p",))
    project.run(key)
    working = chat.answers
    chat.answers = [Answer("invalid_token", 403)]

    for _ in range(2):
        with pytest.raises(WebhookError, match="HTTP 403") as caught:
            watcher.look()
        assert TOKEN not in "".join(traceback.format_exception(caught.value))
    chat.answers = working
    assert "Posted" in watcher.look()
    assert watcher.look() == "No failures."

    assert len(messages(chat)) == 3
    assert len(set(messages(chat))) == 1
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("is_listening", [True, False])
def test_no_answer_and_no_server_tell_nothing_of_the_address(
    project: Project, watcher: Watcher, caplog: pytest.LogCaptureFixture, is_listening: bool
) -> None:
    caplog.set_level(logging.INFO)
    project.start_run(dg.DagsterRunStatus.STARTED, {})
    (gone,) = project.instance.get_runs()
    project.instance.report_run_failed(gone, "The process of this run is gone.")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if is_listening:
            server.listen()
        host = f"http://127.0.0.1:{server.getsockname()[1]}"
        project.configure(webhook_url=f"{host}/services/{TOKEN}", timeout=0.3)
        before = watcher.cursor
        with pytest.raises(WebhookError, match="not answer in time" if is_listening else "cannot be reached") as caught:
            watcher.look()

    told = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in told + caplog.text
    assert host not in told
    assert watcher.cursor == before


def test_the_daemon_keeps_the_message_through_a_failed_tick(
    project: Project, chat: ScriptedService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    key = project.write("p")
    project.look()
    assert "From now on" in project.daemon_tick(NAME).skip_reason
    project.service.change_faults(refuse=("p",))
    project.run(key)
    working, chat.answers = chat.answers, [Answer("down", 503)]

    with freeze_time(time.time() + 60):
        failed = project.daemon_tick(NAME)
    chat.answers = working
    with freeze_time(time.time() + 120):
        posted = project.daemon_tick(NAME)

    assert failed.status.value == "FAILURE"
    assert "HTTP 503" in failed.error.to_string()
    assert TOKEN not in failed.error.to_string() + caplog.text
    assert "Posted" in posted.skip_reason
    assert TOKEN not in posted.cursor
    assert len(messages(chat)) == 2


@pytest.mark.parametrize(
    ("kind", "answer", "refusal"),
    [
        ("dingtalk", '{"errcode":0,"errmsg":"ok"}', '{"errcode":310000,"errmsg":"keywords not in content"}'),
        ("wecom", '{"errcode":0,"errmsg":"ok"}', '{"errcode":93000,"errmsg":"invalid webhook url"}'),
        ("feishu", '{"StatusCode":0,"StatusMessage":"success"}', '{"code":19024,"msg":"Key Words Not Found"}'),
        ("slack", "ok", '{"code":19001,"msg":"param invalid"}'),
    ],
)
def test_each_chat_gets_its_own_message_and_an_error_behind_http_200_is_no_delivery(
    project: Project, chat: ScriptedService, watcher: Watcher, kind: str, answer: str, refusal: str
) -> None:
    project.configure(webhook_chat=kind)
    key = project.write("p")
    project.look()
    project.service.change_faults(refuse=("p",))
    project.run(key)

    chat.answers = [Answer(refusal)]
    code = next(iter(json.loads(refusal).values()))
    with pytest.raises(WebhookError, match=f"HTTP 200 with the error {code}: "):
        watcher.look()
    chat.answers = [Answer(answer)]
    assert "Posted" in watcher.look()

    content = json.loads(chat.asked[-1].body)
    if kind == "slack":
        told = content["text"]
    elif kind == "feishu":
        assert content["msg_type"] == "text"
        told = content["content"]["text"]
    else:
        assert content["msgtype"] == "text"
        told = content["text"]["content"]
    assert "json_p" in told
    assert ("*" in told) == (kind == "slack")


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("hooks.slack.com", "slack"),
        ("oapi.dingtalk.com", "dingtalk"),
        ("open.feishu.cn", "feishu"),
        ("open.larksuite.com", "feishu"),
        ("qyapi.weixin.qq.com", "wecom"),
        ("chat.example.org", "slack"),
    ],
)
def test_the_address_tells_whose_messages_it_takes(host: str, kind: str) -> None:
    assert chat_of(SecretStr(f"https://{host}/robot/send?access_token=x")) == kind


def test_a_refusal_that_repeats_the_address_is_told_without_it(chat: ScriptedService) -> None:
    chat.answers = [Answer(json.dumps({"errcode": 1, "errmsg": f"no such robot: /services/{TOKEN}"}))]
    with pytest.raises(WebhookError) as caught:
        post(SecretStr(f"{chat.url}/services/{TOKEN}"), "text", 5)
    assert TOKEN.rsplit("/", maxsplit=1)[-1] not in str(caught.value)


def test_a_message_is_escaped_and_short_however_much_failed(
    project: Project, chat: ScriptedService, watcher: Watcher
) -> None:
    words = "<!channel> & \n" + "<b>&</b> " * 30
    keys = project.write_many(30)
    project.look()
    with ScriptedService(Answer(json.dumps({"code": 20021, "message": words}), 400)) as service:
        project.configure(base_url=service.url)
        project.run(keys[0], keys[-1])

    watcher.look()

    (text,) = messages(chat)
    assert len(text) < 3_000
    assert "&lt;!channel&gt; &amp;" in text
    assert "<" not in text
    assert ">" not in text
    named = text.count("failed: json_p")
    assert 1 <= named <= 10
    assert f"… and {30 - named} more" in text
    assert "Next: Refused" in text


def test_at_most_ten_failures_are_named(project: Project, chat: ScriptedService, watcher: Watcher) -> None:
    keys = project.write_many(12)
    project.look()
    project.service.change_faults(refuse=("picture",))
    project.run(keys[0], keys[-1])

    watcher.look()

    (text,) = messages(chat)
    assert text.count("failed: json_p") == 10
    assert "Failed: 12 refused" in text
    assert "… and 2 more" in text


def test_an_error_that_no_receipt_tells_of_is_told_in_its_own_words(
    project: Project, chat: ScriptedService, watcher: Watcher
) -> None:
    key = project.write("p")
    project.look()
    project.run(key, image_size="large")

    watcher.look()

    (text,) = messages(chat)
    assert "1080x1920" in text


def test_runs_of_one_tick_are_one_message_and_the_same_trouble_is_told_once_a_day(
    project: Project, chat: ScriptedService, watcher: Watcher
) -> None:
    keys = project.write_many(3)
    project.look()
    project.service.change_faults(refuse=("p01",))
    project.run(keys[1])
    watcher.look()
    project.service.change_faults(disabled_models=(ONE_MODEL,))

    project.daemon_tick()  # what is missing is one range before and one after the refused prompt
    assert "Posted" in watcher.look()
    _, text = messages(chat)
    assert "2 of 2 runs of tick " in text
    assert "Stopped: Model disabled." in text

    run(project, keys[0], keys[0], {"dagster/tick": "8", "dagster/sensor_name": "new_prompts"})
    assert "the same was posted already" in watcher.look()
    project.run(keys[0])
    assert "Posted" in watcher.look()  # what a person starts is always told
    assert len(messages(chat)) == 3


def test_a_run_that_a_person_interrupted_is_not_told(project: Project, chat: ScriptedService, watcher: Watcher) -> None:
    keys = project.write_many(3)
    project.look()
    project.configure(max_concurrency=1)
    project.service.change_faults(latency=0.4)

    def press_ctrl_c() -> None:
        wait_until(project.posts, "a request to be in flight")
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press_ctrl_c)
    presser.start()
    result = project.run(keys[0], keys[-1])
    presser.join()

    assert not result.success
    assert "interrupted by hand" in watcher.look()
    assert messages(chat) == []


def test_a_cap_that_stops_what_a_person_started_is_told(
    project: Project, chat: ScriptedService, watcher: Watcher
) -> None:
    keys = project.write_many(3)
    project.look()
    project.run(keys[0], keys[-1], max_images=1)

    watcher.look()

    (text,) = messages(chat)
    assert "1 generated, 2 not reached" in text
    assert "Next: Start again, each run may use as much; or raise max_images." in text


def test_runs_of_other_assets_are_none_of_its_business(
    project: Project, chat: ScriptedService, watcher: Watcher
) -> None:
    project.start_run(dg.DagsterRunStatus.STARTED, {}, asset="gallery")
    (other,) = project.instance.get_runs()
    project.instance.report_run_failed(other, "no room")

    assert watcher.look() == "No failures."
    assert messages(chat) == []


def test_the_dagster_runs_of_one_command_are_one_message(
    project: Project, chat: ScriptedService, watcher: Watcher, instance: Any
) -> None:
    project.write_many(3)
    project.look()
    project.service.change_faults(refuse=("picture",))
    folder = instance.root_directory
    command = duomi(project.home, "generate", "--prompt-id", "json_p00", "--prompt-id", "json_p02", DAGSTER_HOME=folder)
    assert command.returncode == 1, command.stderr

    watcher.look()

    (text,) = messages(chat)
    assert "2 of 2 runs of command " in text
    assert "Failed: 2 refused" in text


def test_a_command_that_was_killed_is_told(project: Project, chat: ScriptedService, watcher: Watcher) -> None:
    key = project.write("p")
    project.look()
    with started([sys.executable, "-c", COMMAND_THAT_DIES, str(project.home)]) as process:
        assert process.wait(timeout=30) == 0
    project.start_run(dg.DagsterRunStatus.STARTED, {**PartitionRange(key, key).tags, RUN_TAG: "c0ffee"})

    watcher.look()

    (text,) = messages(chat)
    assert "1 of 1 runs of command c0ffee failed" in text
    assert "The process of this run is gone." in text
