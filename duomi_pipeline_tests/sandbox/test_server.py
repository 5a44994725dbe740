"""Starting and stopping the service."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.processes import started
from duomi_pipeline_tests.sandbox.client import Client


def test_it_starts_and_stops_at_once_beside_idle_and_waiting_clients() -> None:
    began = time.monotonic()
    server = SandboxServer()
    with server:
        client = Client(server)
        client.get("/sandbox/books")
        client.set(latency=60)
        waiting = threading.Thread(target=_give_up, args=(server,))
        waiting.start()
        while not server.books.totals().posts:
            time.sleep(0.001)
    waiting.join(timeout=2)
    assert not waiting.is_alive()
    assert time.monotonic() - began < 1
    with pytest.raises(requests.ConnectionError):
        client.get("/sandbox/books")


def _give_up(server: SandboxServer) -> None:
    with pytest.raises(requests.ConnectionError):
        Client(server).siliconflow()


def test_a_server_that_was_never_started_can_be_closed() -> None:
    SandboxServer().close()


def test_a_taken_port_is_reported() -> None:
    with SandboxServer() as server, pytest.raises(OSError, match="in use"):
        SandboxServer(port=int(server.url.rpartition(":")[2]))


def test_faults_can_be_changed_from_the_program(client: Client) -> None:
    client.server.change_faults(rate_503=1)
    assert client.siliconflow().status_code == 503
    with pytest.raises(ValueError, match="rate_503"):
        client.server.change_faults(rate_503=2)


def test_it_logs_nothing_even_when_connections_break(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client.set(rate_reset_after=1)
    with pytest.raises(requests.ConnectionError):
        client.siliconflow()
    client.set(rate_truncated_answer=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.siliconflow()
    client.get("/sandbox/books")
    own = [record for record in caplog.records if not record.name.startswith("urllib3")]
    assert [record for record in own if record.levelno > logging.DEBUG] == []


def test_in_the_foreground_it_says_its_url_and_ends_with_ctrl_c() -> None:
    program = "from duomi_pipeline.sandbox.server import serve; serve(port=0)"
    with started([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        url = next(word for word in line.replace(",", " ").split() if word.startswith("http://"))
        session = requests.Session()
        session.trust_env = False
        assert session.get(url + "/sandbox/books", timeout=5).json()["posts"] == 0
        os.kill(process.pid, signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_client_that_dies_while_it_sends_leaves_no_traceback_and_is_not_billed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with SandboxServer() as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as dying:
            dying.sendall(b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
        # The end of the connection comes before these requests, in the loop that serves both.
        billed = [requests.get(f"{server.url}/sandbox/books", timeout=5).json()["billed"] for _ in range(5)]
    assert billed == [0] * 5
    assert not [record for record in caplog.records if record.exc_info]
