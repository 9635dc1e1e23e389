"""Mail files of earlier versions: brought up to date whatever happens meanwhile; those of later ones are refused."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import checking
from launcelot.mailstore.interface import Changes, MessageState
from launcelot.mailstore.mending import pattern
from launcelot.mailstore.query import Contains, Field
from launcelot.mailstore.schema import MIGRATIONS
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.mailstore.sqlrows import states_of
from launcelot.mailstore.sqlwriting import CONTENT_COLUMNS, content_values
from launcelot.message.analysis import analyse
from launcelot.workers.database import NewerSchema, connect, migrate
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, Hands, all_messages, check_counters, message, result_now

BODY = message("old", "Hello from the first version.\r\n")
# The highest keyword is the sign of SQLite's integers.
_ROWS = ((1, 2, 8, 0), (2, 9, 4, 1 - (1 << 63)), (300, 5, 1, 0))
STATES = {1: (2, {"\\Seen"}), 2: (9, {"\\Deleted", "$low", "$high"}), 300: (5, {"\\Answered"})}
"""MODSEQs and flags by UID."""


def old_file(path: Path, body: bytes = BODY, steps: int = 1) -> None:
    """A file of the first version, or of a later one, with a message in it, three times."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    migrate(connection, MIGRATIONS[:steps])
    there = {row[1] for row in connection.execute("PRAGMA table_info(contents)")}
    kept = {
        name: value for name, value in zip(CONTENT_COLUMNS, content_values(analyse(body)), strict=True) if name in there
    }
    names, marks = ", ".join(kept), ", ".join("?" * len(kept))
    connection.execute("BEGIN")
    octets, count = len(body) * len(STATES), len(STATES)
    connection.execute(
        """
        INSERT INTO mailboxes (number, id, name, special_use, uid_validity, uid_next, modseq, messages, unseen, deleted, size)
        VALUES (1, 'F1', 'INBOX', '', 5, 301, 9, ?, 2, 1, ?)
        """,
        (count, octets),
    )
    connection.execute("UPDATE account SET uid_validity = 5, octets = ?, messages = ?", (octets, count))
    connection.execute(
        f"INSERT INTO contents (number, uses, email_id, {names}) VALUES (1, ?, 'M1', {marks})",
        (count, *kept.values()),
    )
    connection.execute("INSERT INTO chunks VALUES (1 << 20, ?)", (body,))
    connection.execute("INSERT INTO keywords VALUES (1, 0, '$low'), (1, 63, '$high')")
    connection.executemany(
        "INSERT INTO messages VALUES (1, ?, ?, ?, ?, 1, ?, 0, 0, 719163, 0)", [(*row, len(body)) for row in _ROWS]
    )
    connection.execute("COMMIT")
    connection.close()


def objects(connection: sqlite3.Connection) -> dict[str, str]:
    """Every table and index of a file."""
    return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"))


class Cut(Exception):
    """A step that ends where it should not."""


class MigrationTests(SynchronousTestCase):
    """From the first version to today's."""

    def setUp(self) -> None:
        """An old file."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.old = self.folder / "old.db"
        old_file(self.old)
        self.count = 0

    def copy(self, name: str) -> Path:
        """A copy of the old file."""
        path = self.folder / name
        shutil.copyfile(self.old, path)
        return path

    def statements(self) -> int:
        """How many there are on the way to today's version."""
        seen: list[str] = []
        connection = connect(self.copy("counted"))
        connection.set_trace_callback(seen.append)
        migrate(connection, MIGRATIONS)
        connection.close()
        self.assertGreater(len(seen), 10)
        return len(seen)

    def assert_whole(self, path: Path) -> None:
        """It can be brought up to date, has today's tables then, and all it held."""
        connection = connect(path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        self.assertIn(version, range(1, len(MIGRATIONS) + 1))
        migrate(connection, MIGRATIONS)
        right = pattern()
        self.assertEqual(objects(connection), objects(right))
        right.close()
        report = checking.check(connection, lambda done, total: None)
        self.assertEqual([one.kind for one in report.findings], ["checksum"])
        self.assertEqual(connection.execute("SELECT octets FROM chunks").fetchall(), [(BODY,)])
        self.assertEqual({one.uid: (one.modseq, set(one.flags)) for one in states_of(connection, 1)}, STATES)
        connection.close()

    def test_raising_at_every_statement(self) -> None:
        """What was begun is undone, and the next attempt does it all."""
        for place in range(self.statements()):
            path = self.copy(f"raised{place}")
            connection = sqlite3.connect(path, isolation_level=None, factory=_Breaking)
            connection.place = place
            try:
                migrate(connection, MIGRATIONS)
            except Cut:
                pass
            connection.close()
            self.assert_whole(path)

    def test_killed_at_every_statement(self) -> None:
        """SIGKILL as each statement begins; nothing of the process is left but the file and its log."""
        for place in range(self.statements()):
            path = self.copy(f"killed{place}")
            child = os.fork()
            if child == 0:
                _migrate_and_die(path, place)
            _, status = os.waitpid(child, 0)
            self.assertEqual(os.WTERMSIG(status), signal.SIGKILL)
            self.assert_whole(path)

    def test_the_store_serves_an_old_file(self) -> None:
        """Everything of it, and its text is found."""
        (self.folder / ANN).mkdir()
        shutil.copyfile(self.old, self.folder / ANN / "mail.db")
        workers, hands = InlineWorkers(), Hands()
        store = SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id)

        async def run() -> Any:
            inbox = await (await store.mail(ANN)).mailbox("INBOX")
            await check_counters(inbox)
            one = (await all_messages(inbox, [1, 2, 300]))[0]
            found = await inbox.search(Contains(Field.BODY, "first version"))
            changes = await inbox.changes(5)
            return one.email_id, await inbox.read(1, 0, 1000), list(found), changes, (await inbox.append(b"", ())).uid

        changes = Changes(9, 301, (MessageState(2, 9, frozenset(STATES[2][1])),), ())
        self.assertEqual(result_now(self, run()), ("M1", BODY, [1, 2, 300], changes, 301))
        result_now(self, store.close())

    def test_a_newer_file_is_refused_and_left_alone(self) -> None:
        """By the store, with a sentence for people."""
        (self.folder / ANN).mkdir()
        path = self.folder / ANN / "mail.db"
        shutil.copyfile(self.old, path)
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        before = path.read_bytes()
        workers, hands = InlineWorkers(), Hands()
        store = SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id)
        refusal = self.failureResultOf(Deferred.fromCoroutine(store.mail(ANN)), NewerSchema).value
        self.assertEqual(
            refusal.text, "the database was written by a newer version of Launcelot; upgrade, or restore an older copy"
        )
        result_now(self, store.close())
        self.assertEqual(path.read_bytes(), before)


class _Breaking(sqlite3.Connection):
    """Raises at one of its statements."""

    place = -1

    def execute(self, *given: Any) -> Any:
        """Count, then do it or not; what undoes is always done."""
        if given[0] != "ROLLBACK":
            if self.place == 0:
                self.place -= 1
                raise Cut
            self.place -= 1
        return super().execute(*given)


def _migrate_and_die(path: Path, place: int) -> None:
    """In a child: run the steps, and be killed at one statement."""
    left = [None] * place

    def count(statement: str) -> None:
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left.pop()

    try:
        connection = connect(path)
        connection.set_trace_callback(count)
        migrate(connection, MIGRATIONS)
    finally:
        os._exit(0)
