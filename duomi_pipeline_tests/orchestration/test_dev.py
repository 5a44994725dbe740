"""`duomi dev`: what other web pages try, what the UI itself does, and that nothing is left running."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from duomi_pipeline_tests.cli.harness import command, duomi, write_prompts
from duomi_pipeline_tests.gallery.browser import start_chromium
from duomi_pipeline_tests.orchestration.ui import RUNS, Ui, duomi_dev

PROTOCOL = Subprotocol("graphql-ws")
ALLOWED = "studio.example"
START_A_RUN = """
mutation { launchRun(executionParams: {
  selector: {repositoryLocationName: "duomi_pipeline", repositoryName: "__repository__", jobName: "regenerate_images"},
  runConfigData: "{ops: {generated_images: {config: {force: true}}}}",
  executionMetadata: {tags: [{key: "dagster/asset_partition_range_start", value: "json_boat"},
                             {key: "dagster/asset_partition_range_end", value: "json_boat"}]}
}) { __typename ... on LaunchRunSuccess { run { id } } ... on PythonError { message }
     ... on RunConfigValidationInvalid { errors { message } } } }
"""
PAGE = """
const graphql = "%s/graphql", mutation = %s, body = JSON.stringify({query: mutation});
const at = graphql + "?query=" + encodeURIComponent(mutation);
const settled = [
  ...["application/json", "text/plain", "text/plain; application/json", "application/x-www-form-urlencoded"].flatMap(
    type => ["cors", "no-cors"].flatMap(mode => [graphql, at].map(
      url => fetch(url, {method: "POST", mode, headers: {"Content-Type": type}, body}).then(() => 0, () => 0)))),
  fetch(at, {mode: "no-cors"}).then(() => 0, () => 0),
  new Promise(done => { const image = new Image(); image.onload = image.onerror = done; image.src = at; }),
  ...["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"].map((enctype, number) =>
    new Promise(done => {
      const frame = document.createElement("iframe"), form = document.createElement("form");
      frame.name = form.target = "frame" + number;
      Object.assign(form, {method: "POST", action: at, enctype});
      form.innerHTML = "<input name='{\\"query\\": \\"x'>";
      document.body.append(frame, form);
      frame.onload = done;
      form.submit();
    })),
  new Promise(done => {
    const socket = new WebSocket(graphql.replace("http", "ws"), "graphql-ws");
    socket.onclose = socket.onopen = done;
  }),
];
Promise.all(settled).then(() => document.title = "all tried");
"""


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("home")
    write_prompts(home, {"boat": "A red boat"})
    made = duomi(home, "generate", DUOMI_BASE_URL="sandbox", DUOMI_IMAGE_SIZE="108x192")
    assert made.returncode == 0, made.stderr
    with duomi_dev(home, "--allow-host", ALLOWED, DUOMI_BASE_URL="sandbox") as opened:
        assert opened.runs()
        yield opened


# --- other pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"Origin": "http://evil.example"}, 403, "another page, 'http://evil.example'"),
        ({"Origin": "http://127.0.0.1:1"}, 403, "another page"),
        ({"Origin": "http://localhost"}, 403, "another page"),
        ({"Origin": "null"}, 403, "another page, 'null'"),
        ({"Origin": "http://evil.example", "Host": "evil.example"}, 403, "not known as 'evil.example'"),
        ({"Origin": "http://evil.example:80", "Host": "evil.example:80"}, 403, "--allow-host"),
        ({"Host": "127.0.0.1.evil.example"}, 403, "not known as"),
        ({"Host": "[::1"}, 403, "not known as"),
        ({"Content-Type": "text/plain"}, 415, "application/json"),
        ({"Content-Type": "text/plain; application/json"}, 415, "application/json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        ({"Content-Type": ""}, 415, "application/json"),
    ],
)
def test_a_request_that_is_not_the_uis_own_is_refused_in_plain_words(
    ui: Ui, headers: Mapping[str, str], status: int, words: str
) -> None:
    before = ui.runs()
    refused = ui.post(START_A_RUN, headers)
    assert refused.status_code == status
    assert refused.headers["Content-Type"].startswith("text/plain")
    assert words in refused.text
    assert ui.runs() == before


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("path", ["/graphql", "/%67raphql"])
def test_a_mutation_in_an_address_starts_nothing(ui: Ui, method: str, path: str) -> None:
    before = ui.runs()
    refused = requests.request(method, ui.url + path, params={"query": START_A_RUN}, timeout=60)
    assert refused.status_code in (403, 415)
    assert ui.runs() == before


@pytest.mark.parametrize("path", ["report_asset_materialization", "report_asset_check", "report_asset_observation"])
def test_a_foreign_form_reports_nothing_of_an_asset(ui: Ui, path: str) -> None:
    refused = requests.post(f"{ui.url}/{path}/generated_images", data={"partition": "json_boat"}, timeout=60)
    assert refused.status_code == 415


def test_no_other_page_may_show_the_ui_in_a_frame(ui: Ui) -> None:
    assert requests.get(ui.url, timeout=60).headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"Host": "evil.example", "origin": "http://evil.example"}],
)
def test_a_websocket_of_another_page_is_not_opened(ui: Ui, headers: dict[str, str]) -> None:
    host = headers.get("Host", ui.url.removeprefix("http://"))
    with (
        socket.create_connection(("127.0.0.1", int(ui.url.rpartition(":")[2]))) as connection,
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://{host}/graphql", sock=connection, origin=Origin(headers["origin"]), subprotocols=[PROTOCOL]),
    ):
        pass
    assert refused.value.response.status_code == 403


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Any]:
    opened = start_chromium(tmp_path / "chromium")
    yield opened
    opened.quit()


def test_whatever_a_foreign_page_in_the_browser_tries_no_run_starts_and_the_ui_itself_works(
    ui: Ui, driver: Any, tmp_path: Path
) -> None:
    wait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait(driver, 60)
    before = ui.runs()
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<body><script src=attack.js></script>")
    (site / "attack.js").write_text(PAGE % (ui.url, json.dumps(START_A_RUN)))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        driver.get(f"http://127.0.0.1:{server.server_port}/index.html")
        wait.until(lambda page: page.title == "all tried")
        server.shutdown()
    assert ui.runs() == before

    driver.get(f"{ui.url}/asset-groups")
    wait.until(lambda page: "generated_images" in page.find_element("css selector", "body").text)


# --- the UI itself, and programs ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://{}", "{}"),
        ("http://localhost:3000", "localhost:3000"),
        ("http://[::1]:3000", "[::1]:3000"),
        (f"https://{ALLOWED}", ALLOWED),
        (f"https://{ALLOWED.upper()}", f"{ALLOWED}:443"),
        (None, "{}"),
    ],
)
def test_the_uis_own_pages_and_programs_are_answered(ui: Ui, origin: str | None, host: str) -> None:
    own = ui.url.removeprefix("http://")
    headers = {"Host": host.format(own), **({"Origin": origin.format(own)} if origin else {})}
    answer = requests.post(f"{ui.url}/graphql", json={"query": RUNS}, headers=headers, timeout=60)
    assert answer.json()["data"]


def test_a_subscription_of_the_ui_over_its_websocket_works(ui: Ui) -> None:
    run = ui.runs()[0]
    query = f'subscription {{ pipelineRunLogs(runId: "{run}") {{ __typename }} }}'
    with connect(f"{ui.url.replace('http', 'ws')}/graphql", origin=Origin(ui.url), subprotocols=[PROTOCOL]) as page:
        page.send(json.dumps({"type": "connection_init"}))
        assert json.loads(page.recv(30))["type"] == "connection_ack"
        page.send(json.dumps({"type": "start", "id": "1", "payload": {"query": query}}))
        answer = json.loads(page.recv(30))
    assert answer["payload"]["data"]["pipelineRunLogs"]["__typename"] == "PipelineRunLogsSubscriptionSuccess"


def test_the_uis_own_mutation_starts_a_run(ui: Ui) -> None:
    before = ui.runs()
    assert ui.post(START_A_RUN).json()["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"
    assert len(ui.runs()) == len(before) + 1


# --- start and end -----------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_said(ui: Ui) -> None:
    port = ui.url.rpartition(":")[2]
    second = duomi(ui.home, "dev", "--port", port)
    assert second.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in second.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_its_end_is_the_end_of_all_that_it_started(tmp_path: Path, how: signal.Signals) -> None:
    line, env = command(tmp_path, "dev", "--port", "0", DUOMI_BASE_URL="sandbox")
    with subprocess.Popen(
        line, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    ) as process:
        assert process.stdout
        assert any("daemon" in text for text in process.stdout)  # up to the first that the daemon says
        process.send_signal(how)  # to it alone, as an init system does
        process.stdout.read()  # ends when the last process that holds it has ended
        assert process.wait(60) == 0
    deadline = time.monotonic() + 60
    with pytest.raises(ProcessLookupError):  # code servers end by themselves, a moment after being told to
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.1)


# --- duomi generate --launch -------------------------------------------------------------------------


def test_launch_leaves_the_work_to_the_workers_and_wait_follows_it_to_the_end(ui: Ui) -> None:
    write_prompts(ui.home, {"kite": "A red kite"})

    found = duomi(ui.home, "generate", "--launch", "--wait", DUOMI_BASE_URL="sandbox")

    assert found.returncode == 0, found.stderr
    (run, *_), said = found.stdout.split(), found.stderr.splitlines()
    assert found.stdout == f"{run}  json_kite to json_kite\n"
    assert any(line.startswith("1 run in the queue. In Dagster's UI: Runs, tag duomi/command=") for line in said)
    assert said[-1] == f"{run}  success"
    assert run in ui.runs()
    assert len(list((ui.home / "out/generated_images").glob("kite_*.png"))) == 1


def test_workers_with_other_settings_refuse_what_was_launched(ui: Ui) -> None:
    write_prompts(ui.home, {"owl": "An owl"})

    found = duomi(
        ui.home, "generate", "--launch", "--wait", "--prompt-id", "json_owl", DUOMI_BASE_URL="sandbox", DUOMI_SEED="7"
    )

    assert found.returncode == 1
    assert found.stderr.splitlines()[-1] == f"{found.stdout.split()[0]}  failure"
    assert list((ui.home / "out/generated_images").glob("owl_*.png")) == []


@pytest.mark.parametrize("flag", ["--max-images=3", "--max-spend=1", "--api-key=k", "--json"])
def test_what_holds_for_one_process_cannot_be_launched(ui: Ui, flag: str) -> None:
    before = ui.runs()

    found = duomi(ui.home, "generate", "--launch", flag, DUOMI_BASE_URL="sandbox")

    assert found.returncode == 2
    assert f"{flag.partition('=')[0]} holds for this command alone" in found.stderr
    assert ui.runs() == before
