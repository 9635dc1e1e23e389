"""Large bodies in files of their own: what is on disk when, who removes them, and who reads them meanwhile."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Gone, OverQuota, TryLater
from launcelot.mailstore import bodies, checking, sqlfile, tending
from launcelot.mailstore.checksums import checksum_of
from launcelot.mailstore.interface import Draft
from launcelot.mailstore.query import Contains, Field
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.database import connect, sync_directory
from launcelot.workers.memory import InlineWorkers, SteppedWorkers
from tests.mailstore.contract import MessageContract, TransferContract
from tests.mailstore.kit import ANN, Contract, Hands, check_counters, message, result_now, uids_of
from tests.mailstore.scriptcontract import FilingContract
from tests.mailstore.test_sqlite import Inline

LARGE = bodies.LARGE
BODY = message("large", "Needle.\r\n" + "x" * 70 + "\r\n" * LARGE)


def descriptors() -> int:
    """How many we have open."""
    return len(os.listdir("/proc/self/fd"))


class KeepTests(SynchronousTestCase):
    """One file."""

    def setUp(self) -> None:
        """An account's folder."""
        self.folder = Path(self.mktemp()) / bodies.FOLDER
        self.folder.parent.mkdir()

    def test_octets_and_name_are_on_disk_before_it_is_kept(self) -> None:
        """Written, synced, and its folder after it; the folder itself in the one above, when it is made."""
        said: list[str] = []

        def noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(first: Any, *rest: Any) -> Any:
                path = Path(os.readlink(f"/proc/self/fd/{first}")) if isinstance(first, int) else first
                said.append(f"{name} {path.name}")
                return real(first, *rest)

            return call

        self.patch(os, "write", noting("write", os.write))
        self.patch(os, "fdatasync", noting("sync", os.fdatasync))
        self.patch(bodies, "sync_directory", noting("folder", sync_directory))
        first = bodies.keep(self.folder, [b"one", b"two"])
        second = bodies.keep(self.folder, [b"three"])
        above = self.folder.parent.name
        self.assertEqual(
            said,
            [
                f"folder {above}", f"write {first.name}", f"write {first.name}", f"sync {first.name}", "folder bodies",
                f"write {second.name}", f"sync {second.name}", "folder bodies",
            ],
        )  # fmt: skip
        self.assertEqual((self.folder / first.name).read_bytes(), b"onetwo")
        self.assertEqual((self.folder / first.name).stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)
        self.assertEqual(first.checksum, checksum_of([b"onetwo"]))
        self.assertTrue(bodies.is_name(first.name))
        for kept in (first, second, first):
            kept.release()

    def test_a_disk_that_is_full_or_fails(self) -> None:
        """Nothing is left of it, no descriptor either."""
        before = descriptors()
        for name in ("mkdir", "write", "fdatasync", "fsync"):

            def fails(*arguments: object, **more: object) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

            patch = self.patch(os, name, fails)
            self.assertRaises(TryLater, bodies.keep, self.folder, [b"octets"])
            patch.restore()
            self.assertEqual(list(self.folder.iterdir()) if self.folder.exists() else [], [])
        self.assertEqual(descriptors(), before)

    def test_short_writes_are_finished(self) -> None:
        """A disk that takes a little at a time gets everything in order."""
        real = os.write
        self.patch(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
        kept = bodies.keep(self.folder, [BODY[:1_000]])
        kept.release()
        self.assertEqual((self.folder / kept.name).read_bytes(), BODY[:1_000])

    def test_a_file_that_is_swept_before_it_is_held(self) -> None:
        """Another one is made."""
        real = bodies.fcntl.flock  # type: ignore[attr-defined]
        gone: list[str] = []

        def late(descriptor: int, how: int) -> None:
            if not gone:
                (path,) = self.folder.iterdir()
                gone.append(path.name)
                path.unlink()
            real(descriptor, how)

        self.patch(bodies.fcntl, "flock", late)  # type: ignore[attr-defined]
        kept = bodies.keep(self.folder, [b"octets"])
        kept.release()
        self.assertEqual([path.name for path in self.folder.iterdir()], [kept.name])
        self.assertNotEqual(gone, [kept.name])

    def test_every_window(self) -> None:
        """Fewer octets than asked for are only given at the end."""
        octets = bytes(range(200))
        kept = bodies.keep(self.folder, [octets])
        kept.release()
        for start in (0, 1, 99, 199, 200, 300):
            for end in (0, 1, 100, 200, 201, 1_000):
                self.assertEqual(bodies.read(self.folder, kept.name, start, end), octets[start:end])
        self.assertRaises(bodies.Missing, bodies.read, self.folder, "0" * 24, 0, 1)


class FiledCase(Contract, Inline):
    """A store whose large bodies can be counted."""

    def files(self) -> list[str]:
        """Names of files of bodies."""
        folder = self.folder / ANN / bodies.FOLDER
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def connection(self) -> closing[sqlite3.Connection]:
        """What a program beside us has."""
        return closing(connect(self.folder / ANN / "mail.db"))

    def is_right(self) -> None:
        """Nothing is wrong with the account, and no file too many."""
        with self.connection() as connection:
            self.assertEqual(checking.check(connection, lambda done, total: None).findings, [])


class FileTests(FiledCase):
    """Files come and go with messages."""

    def test_from_which_size_on(self) -> None:
        """One octet more than the bound."""

        async def run() -> None:
            inbox = await self.inbox(b"y" * LARGE)
            self.assertEqual(self.files(), [])
            await inbox.append(b"z" * (LARGE + 1), ())
            self.assertEqual(len(self.files()), 1)
            self.assertEqual(await inbox.read(1, 0, LARGE), b"y" * LARGE)
            self.assertEqual(await inbox.read(2, 1, LARGE), b"z" * LARGE)

        result_now(self, run())
        self.is_right()

    def test_copies_share_it_and_the_last_takes_it_along(self) -> None:
        """It is removed only after the commit that lets go of it."""
        seen: list[list[Any]] = []
        discard = bodies.discard

        def looking(folder: Path, names: Any) -> bool:
            with self.connection() as connection:
                seen.append(connection.execute("SELECT * FROM files").fetchall())
            return discard(folder, names)

        self.patch(bodies, "discard", looking)

        async def run() -> None:
            inbox = await self.inbox(BODY)
            names = self.files()
            await (await self.account()).create("a")
            await inbox.copy([1], "a")
            await inbox.move([1], "a")
            other = await (await self.account()).mailbox("a")
            self.assertEqual(await other.read(2, 0, len(BODY)), BODY)
            await other.remove([1])
            self.assertEqual((self.files(), seen), (names, []))
            await (await self.account()).delete("a")
            self.assertEqual((self.files(), seen), ([], [[]]))

        result_now(self, run())
        self.is_right()

    def test_what_is_refused_leaves_none(self) -> None:
        """For want of room, because it came before, because its mailbox is gone; one of several is enough."""

        async def run() -> None:
            before = descriptors()
            mail = await self.account(quota=LARGE + 1_000)
            inbox = await mail.mailbox("INBOX")
            large = b"y" * (LARGE + 1)
            await self.refused(OverQuota, inbox.append_all([Draft(lambda: large, len(large))] * 2))
            self.assertEqual(self.files(), [])
            self.assertIsNotNone(await mail.deliver(large, "key"))
            names = self.files()
            self.assertIsNone(await mail.deliver(large, "key"))
            await self.refused(OverQuota, mail.deliver(large, "other"))
            await mail.create("gone")
            gone = await mail.mailbox("gone")
            await mail.delete("gone")
            await self.refused(Gone, gone.append(large, ()))
            self.assertEqual(self.files(), names)
            self.assertLess(descriptors() - before, 8)

        result_now(self, run())
        self.is_right()

    def test_more_at_once_than_are_held(self) -> None:
        """Those beyond are written with the rows."""
        self.patch(sqlfile, "AT_ONCE", 2)
        bodies_given = [message(str(number), f"{number}" * (LARGE + 5)) for number in range(4)]
        drafts = [Draft(lambda body=body: body, len(body)) for body in bodies_given]  # type: ignore[misc]

        async def run() -> None:
            inbox = await self.inbox()
            await inbox.append_all([*drafts[:3], Draft(lambda: b"small", 5), drafts[3]])
            for uid, body in zip((1, 2, 3, 5), bodies_given, strict=True):
                self.assertEqual(await inbox.read(uid, 0, len(body)), body)
            await check_counters(inbox)

        result_now(self, run())
        self.assertEqual(len(self.files()), 4)
        self.is_right()

    def test_a_replacement(self) -> None:
        """The old one's file goes, the new one's stays."""

        async def run() -> None:
            inbox = await self.inbox(BODY)
            before = self.files()
            other = BODY.replace(b"large", b"other")
            await inbox.replace(1, other, "INBOX", Draft(lambda: other, len(other)))
            self.assertEqual(len(self.files()), 1)
            self.assertNotEqual(self.files(), before)
            self.assertEqual(await inbox.read(2, 0, len(other)), other)

        result_now(self, run())
        self.is_right()

    def test_an_account_that_is_removed(self) -> None:
        """Takes its files along."""

        async def run() -> None:
            await self.inbox(BODY)
            await self.store.remove(ANN)

        result_now(self, run())
        self.assertEqual(list(self.folder.iterdir()), [])


class ReadingTests(FiledCase):
    """Somebody removes what others read."""

    def removing_meanwhile(self) -> None:
        """The next time a body is read, somebody beside us has just removed message 1."""
        read = bodies.read
        other = self.open_store()

        async def remove() -> None:
            await (await (await other.mail(ANN)).mailbox("INBOX")).remove([1])

        def late(*arguments: Any) -> bytes:
            patch.restore()
            result_now(self, remove())
            return read(*arguments)

        patch = self.patch(bodies, "read", late)

    def test_a_message_that_goes_while_it_is_read(self) -> None:
        """It is gone, as it is when that is seen at once."""

        async def run() -> None:
            inbox = await self.inbox(BODY)
            self.removing_meanwhile()
            await self.refused(Gone, inbox.read(1, 0, len(BODY)))

        result_now(self, run())

    def test_a_message_that_goes_while_it_is_searched(self) -> None:
        """It does not match, others do."""

        async def run() -> None:
            inbox = await self.inbox(BODY, message("small", "Needle.\r\n"), BODY)
            self.removing_meanwhile()
            self.assertEqual(list(await inbox.search(Contains(Field.BODY, "needle"))), [2, 3])

        result_now(self, run())

    def test_a_file_that_is_lost(self) -> None:
        """That is damage, and nobody is told that the message was removed."""

        async def run() -> None:
            inbox = await self.inbox(BODY)
            (name,) = self.files()
            path = self.folder / ANN / bodies.FOLDER / name
            os.truncate(path, 1_000)
            await self.refused(TryLater, inbox.read(1, 0, len(BODY)))
            path.unlink()
            await self.refused(TryLater, inbox.read(1, 0, len(BODY)))
            self.assertEqual(await uids_of(inbox), [1])

        result_now(self, run())


class SweepTests(FiledCase):
    """What a crash leaves."""

    def setUp(self) -> None:
        """A store that tends its files."""
        self.clock = Clock()
        super().setUp()

    def open_store(self, open_files: int = 500) -> SqliteMailStore:
        """A store with a clock."""
        workers = InlineWorkers()
        store = SqliteMailStore(self.folder, [workers], workers, self.hands.now, self.hands.new_id, clock=self.clock)
        self.addCleanup(lambda: result_now(self, store.close()))
        return store

    def left(self) -> str:
        """A file that nobody names."""
        kept = bodies.keep(self.folder / ANN / bodies.FOLDER, [b"left"])
        kept.release()
        return kept.name

    def test_it_is_removed_after_the_next_opening(self) -> None:
        """In a quiet moment; once is enough for as long as we run."""
        result_now(self, self.inbox(BODY))
        result_now(self, self.store.close())
        left = self.left()
        self.store = self.open_store()
        result_now(self, self.inbox())
        self.assertIn(left, self.files())
        self.clock.pump([tending.QUIET] * 3)
        self.assertNotIn(left, self.files())
        self.assertEqual(len(self.files()), 1)
        left = self.left()
        result_now(self, self.inbox(BODY))
        self.clock.pump([tending.QUIET] * 3)
        self.assertIn(left, self.files())

    def test_what_somebody_is_about_to_name_stays(self) -> None:
        """In this or another process."""
        result_now(self, self.inbox(BODY))
        kept = bodies.keep(self.folder / ANN / bodies.FOLDER, [b"mine"])
        self.assertEqual(sqlfile.swept(self.folder / ANN), 0)
        kept.release()
        self.assertEqual(sqlfile.swept(self.folder / ANN), 1)
        self.assertEqual(len(self.files()), 1)

    def test_a_row_that_comes_while_it_is_looked(self) -> None:
        """Whoever names a file has it, although it was seen without a name."""
        result_now(self, self.inbox(BODY))
        with self.connection() as connection:
            connection.execute("PRAGMA synchronous=FULL")
            name = self.left()
            found = bodies.orphans(connection)
            self.assertEqual(found, [name])
            connection.execute(f"INSERT INTO files VALUES (77, '{name}')")
            self.assertEqual(bodies._sweep(connection, self.folder / ANN / bodies.FOLDER, found), 0)
        self.assertIn(name, self.files())

    def test_a_commit_that_failed(self) -> None:
        """Its row may come back with a crash, so its file stays until something else is committed."""
        real = bodies.name_it

        def fails(*arguments: Any) -> None:
            real(*arguments)
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

        async def run() -> None:
            inbox = await self.inbox(b"first")
            patch = self.patch(bodies, "name_it", fails)
            await self.refused(TryLater, inbox.append(BODY, ()))
            patch.restore()
            self.assertEqual(len(self.files()), 1)
            with self.connection() as connection:
                before = connection.execute("PRAGMA data_version").fetchone()
                self.assertEqual(sqlfile.swept(self.folder / ANN), 1)
                self.assertNotEqual(connection.execute("PRAGMA data_version").fetchone(), before)
            self.assertEqual(self.files(), [])
            await inbox.append(BODY, ())
            self.assertEqual(await inbox.read(2, 0, len(BODY)), BODY)

        result_now(self, run())

    def test_files_that_a_backup_wants(self) -> None:
        """They stay while it is made, and are found when that is over."""
        result_now(self, self.inbox(BODY))
        with self.connection() as connection:
            with bodies.held(connection):
                result_now(self, self.removed())
                self.assertEqual(len(self.files()), 1)
                self.assertEqual(sqlfile.swept(self.folder / ANN), 0)
            self.clock.pump([tending.QUIET] * 3)
            self.assertEqual(self.files(), [])

    async def removed(self) -> None:
        """Remove message 1."""
        await (await self.inbox()).remove([1])


class WaitingTests(SynchronousTestCase):
    """Who adds a large body gives up at some moment."""

    def setUp(self) -> None:
        """A store whose threads run when they are told to."""
        self.folder = Path(self.mktemp())
        self.writer, self.disk = InlineWorkers(), SteppedWorkers()
        hands = Hands()
        self.store = SqliteMailStore(
            self.folder, [self.writer], InlineWorkers(), hands.now, hands.new_id, disk=self.disk
        )
        self.mail = result_now(self, self.store.mail(ANN))

    def test_giving_up_before_and_while_it_is_written(self) -> None:
        """The message is there then, once; or it is not, and no file."""
        for _ in range(2):
            waiting = Deferred.fromCoroutine(self.mail.deliver(BODY, "key"))
            self.assertNoResult(waiting)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
        while self.disk.perform():
            pass
        inbox = result_now(self, self.mail.mailbox("INBOX"))
        self.assertEqual(result_now(self, uids_of(inbox)), [1])
        self.assertEqual(len(list((self.folder / ANN / bodies.FOLDER).iterdir())), 1)
        result_now(self, self.store.close())

    def test_an_account_that_is_removed_meanwhile(self) -> None:
        """The removal waits; nothing of the account is made again."""
        waiting = Deferred.fromCoroutine(self.mail.deliver(BODY, "key"))
        removal = Deferred.fromCoroutine(self.store.remove(ANN))
        self.assertNoResult(removal)
        while self.disk.perform():
            pass
        self.failureResultOf(waiting, Gone)
        self.successResultOf(removal)
        self.assertEqual(list(self.folder.iterdir()), [])
        result_now(self, self.store.close())


class Everything:
    """All bodies are in files, down to the empty one; what may be asked for as a whole is all of it in ``chunks``, too."""

    def setUp(self) -> None:
        """Make the store with other bounds."""
        self.patch(sqlfile, "PREPARE_ASIDE", 0)  # type: ignore[attr-defined]
        self.patch(bodies, "LARGE", -1)  # type: ignore[attr-defined]
        self.patch(bodies, "LEAST", -1)  # type: ignore[attr-defined]
        self.patch(bodies, "head_of", lambda body, header_size: body[:])  # type: ignore[attr-defined]
        super().setUp()  # type: ignore[misc]


class FiledMessageTests(Everything, MessageContract, Inline):
    """Messages."""


class FiledTransferTests(Everything, TransferContract, Inline):
    """COPY and MOVE."""


class FiledFilingTests(Everything, FilingContract, Inline):
    """Deliveries through a script."""
