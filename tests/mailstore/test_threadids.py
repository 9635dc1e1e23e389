"""THREADID on every store, and how a file keeps threads."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import sqlthreadids
from launcelot.mailstore.schema import MIGRATIONS
from launcelot.mailstore.threadids import MOST, keys_of, named_after
from launcelot.workers.database import connect, migrate
from tests.mailstore.kit import result_now
from tests.mailstore.test_memory import InMemory
from tests.mailstore.test_sqlite import Inline
from tests.mailstore.threadidcontract import ThreadIdContract, mail, thread_ids


class MemoryThreadIdTests(ThreadIdContract, InMemory):
    """In memory."""


class SqliteThreadIdTests(ThreadIdContract, Inline):
    """In files."""

    def test_deliveries_keep_nothing_for_it(self) -> None:
        """A file whose owner never asks has no tables of threads; who asks has them, and keys go with their threads."""

        async def run() -> None:
            _, inbox = await self.begun(mail("a"), mail("b", "a", "x"), mail("c"))
            (path,) = self.folder.glob("*/mail.db")
            tables = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'thread%'"
            self.assertEqual(self.look(path, tables), 0)
            await inbox.find_threads()
            self.assertEqual(self.look(path, tables), 4)
            self.assertEqual(self.look(path, "SELECT count(*) FROM thread_keys"), 4)
            await inbox.remove([1])
            self.assertEqual(self.look(path, "SELECT count(*) FROM thread_keys"), 4)
            await inbox.remove([2])
            self.assertEqual(self.look(path, "SELECT count(*) FROM thread_keys"), 1)

        result_now(self, run())

    def test_gathered_anew(self) -> None:
        """Tables that were lost are made again, and change nobody's thread; so do those that were half made."""

        async def run() -> None:
            _, inbox = await self.begun(mail("a"), mail("b"), mail("c", "a", "b"))
            before = await thread_ids(inbox)
            (path,) = self.folder.glob("*/mail.db")
            for loss in ("DROP TABLE thread_mark", "DROP TRIGGER thread_gone", "DROP TABLE thread_keys"):
                connection = connect(path)
                connection.execute(loss)
                connection.close()
                self.assertEqual(await thread_ids(inbox), before)
                await inbox.append(mail("", "a"), ())
                before.append(before[0])
                self.assertEqual(await thread_ids(inbox), before)

        result_now(self, run())

    def test_in_slices(self) -> None:
        """However many there are, in pieces."""
        self.patch(sqlthreadids, "SLICE", 3)

        async def run() -> None:
            _, inbox = await self.begun(*[mail(str(number), str(number // 2)) for number in range(1, 30)])
            self.assertEqual(len(set(await thread_ids(inbox))), 1)

        result_now(self, run())

    def look(self, path: Path, statement: str) -> int:
        """A number in the file."""
        connection = connect(path)
        try:
            number: int = connection.execute(statement).fetchone()[0]
            return number
        finally:
            connection.close()


class KeyTests(SynchronousTestCase):
    """What messages have in common."""

    def test_keys(self) -> None:
        """By base subject and id, the message that is answered first and its own id last, each once."""
        keys = keys_of("lunch", "<c>", ["<a>", "<b>", "<c>"])
        self.assertEqual(keys, [*keys_of("lunch", "<c>", []), *keys_of("lunch", None, ["<b>"]), *keys_of("lunch", "<a>", [])])
        self.assertNotEqual(keys, keys_of("dinner", "<c>", ["<a>", "<b>", "<c>"]))
        self.assertEqual(keys_of("", None, []), [])
        self.assertTrue(all(0 <= key < 1 << 63 for key in keys))
        self.assertEqual(len(keys_of("\ud800", "\udcff", ["\udcff\ud800"])), 2)

    def test_many_references(self) -> None:
        """Of ten thousand the first and the last are looked at."""
        many = [str(number) for number in range(10_000)]
        keys = keys_of("", None, many)
        self.assertEqual(len(keys), MOST + 1)
        self.assertEqual((keys[0], keys[-1]), (*keys_of("", "9999", []), *keys_of("", "0", [])))

    def test_names(self) -> None:
        """After the first message, and never what it is called itself."""
        self.assertEqual(named_after("M123"), "T123")

    def test_an_empty_file(self) -> None:
        """There is nothing to be done."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(connection, MIGRATIONS)
        self.assertFalse(sqlthreadids.behind(connection))
        sqlthreadids.extend(connection)
        self.assertFalse(sqlthreadids.behind(connection))
        connection.close()
