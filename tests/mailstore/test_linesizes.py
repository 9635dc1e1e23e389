"""Mail files from before there were sizes in lines."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import bodies
from launcelot.mailstore.schema import MIGRATIONS, line_sizes
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, Hands, message, result_now

BODIES = (
    message("plain"),
    message("bare").replace(b"\r\n", b"\n"),
    message("Grüße"),
    message("large") + b"x\r\n" * 200_000 + b"end",
)


class LineSizesTests(SynchronousTestCase):
    """The step that adds them."""

    def open_store(self) -> SqliteMailStore:
        """A store on the folder."""
        workers, hands = InlineWorkers(), Hands()
        return SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id)

    def test_a_file_of_the_version_before(self) -> None:
        """What it holds is looked at once, and then told as of new mail."""
        self.folder = Path(self.mktemp())
        self.patch(bodies, "LARGE", 1 << 40)
        store = self.open_store()
        inbox = result_now(self, result_now(self, store.mail(ANN)).mailbox("INBOX"))
        for body in BODIES:
            result_now(self, inbox.append(body, ()))
        expected = result_now(self, inbox.line_sizes())
        self.assertEqual(list(expected), [2, 3, 4])
        result_now(self, store.close())
        connection = sqlite3.connect(self.folder / ANN / "mail.db")
        connection.execute("DROP INDEX contents_in_lines")
        for column in ("line_size", "ascii_size"):
            connection.execute(f"ALTER TABLE contents DROP COLUMN {column}")
        connection.execute("DROP TABLE states")
        connection.execute("DROP TABLE files")
        for column in ("modseq", "flags", "keywords"):
            connection.execute(f"ALTER TABLE messages ADD COLUMN {column} INTEGER NOT NULL DEFAULT 1")
        connection.execute(f"PRAGMA user_version = {MIGRATIONS.index(line_sizes)}")
        connection.commit()
        connection.close()
        store = self.open_store()
        inbox = result_now(self, result_now(self, store.mail(ANN)).mailbox("INBOX"))
        self.assertEqual(result_now(self, inbox.line_sizes()), expected)
        result_now(self, store.close())
