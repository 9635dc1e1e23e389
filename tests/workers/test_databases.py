"""The files of services that keep data of their own."""

from __future__ import annotations

import stat
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import TryLater
from launcelot.testing.site import memory_site
from launcelot.workers.database import script
from launcelot.workers.databases import Databases
from launcelot.workers.memory import InlineWorkers

MIGRATIONS = (script("CREATE TABLE notes (text TEXT NOT NULL) STRICT;"),)


class DatabasesTests(SynchronousTestCase):
    """One folder."""

    def setUp(self) -> None:
        """Name it."""
        self.folder = Path(self.mktemp())
        self.databases = Databases(self.folder, InlineWorkers(), InlineWorkers())

    def wait(self, name: str) -> None:
        """Open, or whatever the coroutine of that name does."""
        self.successResultOf(Deferred.fromCoroutine(getattr(self.databases, name)()))

    def test_same_file_each_time(self) -> None:
        """A service that is built anew goes on with what it had."""
        first = self.databases.get("guestbook", MIGRATIONS)
        self.assertIs(first, self.databases.get("guestbook", MIGRATIONS))
        self.assertIsNot(first, self.databases.get("other", MIGRATIONS))

    def test_nothing_asked_for_nothing_made(self) -> None:
        """A daemon without such services has no such folder."""
        self.wait("open")
        self.assertFalse(self.folder.exists())

    def test_kept(self) -> None:
        """What one run wrote the next one reads; others cannot enter."""
        database = self.databases.get("guestbook", MIGRATIONS)
        self.wait("open")
        self.successResultOf(database.write(lambda connection: connection.execute("INSERT INTO notes VALUES ('a')").rowcount))
        self.wait("close")
        self.assertEqual(0o700, stat.S_IMODE(self.folder.stat().st_mode))
        self.databases = Databases(self.folder, InlineWorkers(), InlineWorkers())
        again = self.databases.get("guestbook", MIGRATIONS)
        self.wait("open")
        self.assertEqual([("a",)], again.read(lambda connection: connection.execute("SELECT text FROM notes").fetchall()))
        self.wait("close")

    def test_opened_late(self) -> None:
        """A reload opens what is new and leaves the rest alone."""
        first = self.databases.get("guestbook", MIGRATIONS)
        self.wait("open")
        second = self.databases.get("other", MIGRATIONS)
        self.wait("open")
        for one in (first, second):
            self.assertEqual(0, one.read(lambda connection: connection.execute("SELECT count(*) FROM notes").fetchone()[0]))
        self.wait("close")

    def test_name_is_a_file_name(self) -> None:
        """No way out of the folder."""
        for name in ("", "../x", "a/b", "A", "a.b", "a" * 64, "a\n"):
            with self.assertRaises(ValueError):
                self.databases.get(name, MIGRATIONS)

    def test_folder_that_cannot_be_made(self) -> None:
        """A refusal with the reason."""
        self.folder.write_bytes(b"")
        self.databases.get("guestbook", MIGRATIONS)
        refused = self.failureResultOf(Deferred.fromCoroutine(self.databases.open()), TryLater)
        self.assertIn("cannot be made", refused.value.text)


class SiteTests(SynchronousTestCase):
    """What a service asks."""

    def test_site_without_a_folder(self) -> None:
        """Says so, instead of keeping nothing."""
        with self.assertRaises(LookupError):
            memory_site().site.database("guestbook", MIGRATIONS)

    def test_site_with_one(self) -> None:
        """Gives the file."""
        site = memory_site(data=Path(self.mktemp())).site
        self.assertIs(site.database("guestbook", MIGRATIONS), site.database("guestbook", MIGRATIONS))
