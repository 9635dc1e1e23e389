"""Mail files from when ``message/global`` was a leaf."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import bodies as bodies_in_files
from launcelot.mailstore import checking, textindex
from launcelot.mailstore.query import Contains, Field
from launcelot.mailstore.schema import MIGRATIONS, global_parts
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.message import structure
from launcelot.message.sections import PartTable
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, Hands, all_messages, message, result_now

INNER = b"Subject: inner\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nsome=20hidden=20words\r\n" + b"x\r\n" * 100_000
GLOBAL = b"Subject: outer\r\nContent-Type: message/global\r\n\r\n" + INNER


class GlobalPartsTests(SynchronousTestCase):
    """The step that reads them as messages."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.path = self.folder / ANN / "mail.db"

    def open_store(self) -> SqliteMailStore:
        """A store on the folder."""
        workers, hands = InlineWorkers(), Hands()
        return SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id)

    def fill(self, *bodies: bytes) -> None:
        """Store messages as the version before did, with their texts in the index."""
        with patch.object(structure, "_IDENTITIES", ()), patch.object(bodies_in_files, "LARGE", 1 << 40):
            store = self.open_store()
            inbox = result_now(self, result_now(self, store.mail(ANN)).mailbox("INBOX"))
            for body in bodies:
                result_now(self, inbox.append(body, ()))
            result_now(self, store.close())
            connection = sqlite3.connect(self.path)
            connection.execute("DROP TABLE files")
            connection.execute(f"PRAGMA user_version = {MIGRATIONS.index(global_parts)}")
            if textindex.available():
                found = textindex.gather(connection)
                assert found is not None
                textindex.add(connection, found)
            connection.commit()
            connection.close()

    def test_a_file_of_the_version_before(self) -> None:
        """Structure, sections and text are as if the mail had just come; there is nothing for fsck to find."""
        self.fill(message("plain"), GLOBAL)
        store = self.open_store()
        inbox = result_now(self, result_now(self, store.mail(ANN)).mailbox("INBOX"))
        _, found = result_now(self, all_messages(inbox, [1, 2]))
        self.assertIn(b'(NIL "inner" NIL NIL', found.body)
        self.assertIn(b'(NIL "inner" NIL NIL', found.body_structure)
        start = len(GLOBAL) - len(INNER)
        self.assertEqual(PartTable.decode(found.parts).locate((1,), "HEADER"), (start, GLOBAL.index(b"some=20")))
        self.assertEqual(list(result_now(self, inbox.search(Contains(Field.BODY, "hidden words")))), [2])
        result_now(self, store.close())
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.assertEqual(checking.check(connection, lambda done, total: None).findings, [])
        connection.close()

    def test_others_keep_their_index(self) -> None:
        """Where there is no such part, nothing is done."""
        self.fill(message("plain"))
        store = self.open_store()
        result_now(self, store.mail(ANN))
        connection = sqlite3.connect(self.path)
        indexed = connection.execute("SELECT indexed_to FROM upkeep").fetchone()
        result_now(self, store.close())
        connection.close()
        self.assertEqual(indexed, (1 if textindex.available() else 0,))
