"""Writers of this process on SQLite, one at a time. What arrives while the disk is waited for shares one commit.

Answers arrive together where requests went out together, and each commit waits for the disk. So a transaction is handed
on to the next writer, and the last one commits for all. Each is undone by itself if it fails, and none of them ends
before the commit.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from duomi_pipeline.ledger.turns import Turns

_MOST = 16  # writers in one transaction: other programs wait for it


class _Group:
    """One transaction and its writers."""

    def __init__(self, connection: Connection, check: Callable[[], None]) -> None:
        self.connection = connection
        self._check = check
        self.writers = 0
        self.is_over = threading.Event()
        self.error: BaseException | None = None

    def undo_part(self, error: BaseException) -> BaseException | None:
        """Undo what a writer wrote that failed. Returns why the earlier ones have failed, too; `None` if they have not.

        They have where the disk is full: SQLite undoes all of the transaction then.
        """
        try:
            self.connection.exec_driver_sql("ROLLBACK TO part")
        except DBAPIError as failed:
            return error if isinstance(error, DBAPIError) else failed
        return None

    def end(self, error: BaseException | None = None) -> None:
        """Commit, or undo all of it because of an error."""
        self.error = error
        try:
            if error is None:
                # Python's commit() says nothing where SQLite has undone all: nothing may be sent then.
                self.connection.exec_driver_sql("COMMIT")
                self.connection.commit()
                self._check()
        except BaseException as failed:  # noqa: BLE001 - raised by each of its writers
            self.error = failed
        finally:
            with suppress(DBAPIError):
                self.connection.close()
            self.is_over.set()


class GroupCommit:
    """The write transactions of an SQLite ledger.

    Args:
        check: raises where the ledger is lost; called before and after each transaction.

    Attributes:
        turns: one writer at a time.
    """

    def __init__(self, engine: Engine, check: Callable[[], None]) -> None:
        self._engine = engine
        self._check = check
        self._group: _Group | None = None
        self.turns = Turns(1, self._finish, self._can_continue)

    @contextmanager
    def write(self, *, urgent: bool) -> Iterator[Connection]:
        """A transaction, or a part of one; it is on disk when the block ends.

        Raises:
            DatabaseError: it could not be committed; nothing of it was written.
        """
        with self.turns.turn(urgent=urgent):
            group = self._group = self._group or self._begin()
            group.writers += 1
            is_part = not self.is_first
            if is_part:
                group.connection.exec_driver_sql("SAVEPOINT part")
            try:
                yield group.connection
                if is_part:
                    group.connection.exec_driver_sql("RELEASE part")
            except BaseException as error:
                why = group.undo_part(error) if is_part else error
                if why is not None:
                    self._group = None
                    group.end(why)
                raise
        group.is_over.wait()
        if group.error is not None:
            raise group.error

    @property
    def is_first(self) -> bool:
        """Whether the writer whose turn it is has begun the transaction."""
        return self._group is not None and self._group.writers == 1

    def _begin(self) -> _Group:
        self._check()
        return _Group(self._engine.connect(), self._check)

    def _finish(self) -> None:
        group, self._group = self._group, None
        if group is not None:
            group.end()

    def _can_continue(self) -> bool:
        return self._group is not None and self._group.writers < _MOST
