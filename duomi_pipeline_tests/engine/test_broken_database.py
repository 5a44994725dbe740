"""A connection to PostgreSQL that breaks in the midst of a step: the step is taken again where nothing was recorded."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text

from duomi_pipeline.engine import GENERATED_BY_ITSELF, Session
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.engine.home import Home

CLAIM, SEND = "INSERT INTO purchases", "INSERT INTO posts"
CAP = "SELECT coalesce(sum(posts.price)"


class Network:
    """A TCP proxy before a server. From `lose_answer` on, it breaks the next connection that is answered."""

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lose_answer = threading.Event()
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the thread
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._connect, args=(client,)))
                self._threads[-1].start()

    def _connect(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            answers = threading.Thread(target=self._answer, args=(server, client))
            answers.start()
            with contextlib.suppress(OSError):
                while data := client.recv(1 << 16):
                    server.sendall(data)
            _break(server)
            answers.join()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if self.lose_answer.is_set():
                    self.lose_answer.clear()
                    break
                client.sendall(data)
        _break(client)


def _break(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def network(postgres_url: str) -> Iterator[Network]:
    url = make_url(postgres_url)
    with closing(Network(url.host or "127.0.0.1", url.port or 5432)) as opened:
        yield opened


@pytest.fixture
def home(tmp_path: Path, sandbox: SandboxServer, postgres_url: str, network: Network) -> Iterator[Home]:
    path = tmp_path / "home"
    path.mkdir()
    url = make_url(postgres_url).set(host="127.0.0.1", port=network.port).render_as_string(hide_password=False)
    with closing(Home(path, sandbox, ledger_url=url, max_spend_per_run=5)) as opened:
        opened.write("a", "a lighthouse")
        yield opened


def cut_once(engine: Engine, server: str, before: str, *, commit: bool) -> None:
    """End the connection before a statement, or before the commit that follows it."""
    to_cut, ours = [before], create_engine(server, isolation_level="AUTOCOMMIT")

    def cut(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if to_cut and statement.startswith(to_cut[0]):
            if commit and to_cut != ["COMMIT"]:
                to_cut[:] = ["COMMIT"]
                return
            to_cut.clear()
            pid = connection.connection.dbapi_connection.info.backend_pid
            with ours.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            ours.dispose()

    event.listen(engine, "before_cursor_execute", cut)


def lose_answer_once(engine: Engine, network: Network, to: str) -> None:
    """Break the connection when the commit after a statement is done, before its answer arrives."""
    seen: list[str] = []

    def watch(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(to) and not seen:
            seen.append(statement)
        elif statement == "COMMIT" and len(seen) == 1:
            seen.append(statement)
            network.lose_answer.set()

    event.listen(engine, "before_cursor_execute", watch)


def generate(session: Session) -> tuple[int, str]:
    """How many pictures a run made, and what stopped it."""
    with session.generating(session.plan(read_sources(session.settings).prompts).wanted(GENERATED_BY_ITSELF)) as batch:
        made = sum(outcome.failure is None for outcome in batch)
        return made, batch.stop_reason.message if batch.stop_reason else ""


@pytest.mark.parametrize(("before", "commit"), [(CLAIM, False), (CLAIM, True), (CAP, False), (SEND, False)])
def test_a_step_of_which_nothing_was_recorded_is_taken_again(
    home: Home, postgres_url: str, before: str, commit: bool
) -> None:
    with home.session() as session:
        cut_once(session.ledger.database.engine, postgres_url, before, commit=commit)
        assert generate(session) == (1, "")
    assert (home.posts, home.billed) == (1, 1)
    assert (home.money().billed, home.money().maybe_billed, home.purchase_states()) == (1, 0, ["saved"])


def test_a_claim_whose_commit_arrived_and_whose_answer_was_lost_is_one_claim(home: Home, network: Network) -> None:
    with home.session() as session:
        lose_answer_once(session.ledger.database.engine, network, to=CLAIM)
        assert generate(session) == (1, "")
    assert (home.posts, home.purchase_states()) == (1, ["saved"])


@pytest.mark.parametrize(("arrives", "maybe_billed"), [(False, 0), (True, 1)])
def test_a_request_of_which_nobody_knows_whether_it_is_recorded_is_not_sent(
    home: Home, network: Network, postgres_url: str, arrives: bool, maybe_billed: int
) -> None:
    """Nor is it lost: the next run takes what is recorded for a lost answer, and sends it within what is allowed."""
    with home.session() as session:
        if arrives:
            lose_answer_once(session.ledger.database.engine, network, to=SEND)
        else:
            cut_once(session.ledger.database.engine, postgres_url, SEND, commit=True)
        made, stopped_by = generate(session)
    assert (made, home.posts) == (0, 0)
    assert "See that the server can be reached" in stopped_by
    assert ".." not in stopped_by
    with home.session() as session:
        assert generate(session) == (1, "")
    assert (home.posts, home.billed) == (1, 1)
    assert (home.money().billed, home.money().maybe_billed) == (1, maybe_billed)
