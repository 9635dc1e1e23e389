"""SHA-256 that is kept: found for a file that nobody has touched, and never for one that somebody has, in whatever way."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from collections.abc import Callable, Coroutine
from pathlib import Path as FilePath
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from launcelot.filestore import digests
from launcelot.filestore.beneath import Descriptor
from launcelot.filestore.digests import PLACES, RECORD, STEP, Summing, before_all, is_settled
from launcelot.filestore.disk import DiskFileStore
from launcelot.filestore.filesystems import file_clock, keeps_time
from launcelot.workers.memory import InlineWorkers
from tests.filestore.contract import ANN

DATA = bytes(range(256)) * 400
OTHER = bytes(reversed(DATA))


class DigestCase(SynchronousTestCase):
    """A tree on disk."""

    def setUp(self) -> None:
        self.folder = FilePath(self.mktemp())
        self.folder.mkdir(mode=0o700)
        opened = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, opened)
        if not keeps_time(opened):
            raise SkipTest("the tests' folder is on a file system where nothing is kept")
        self.numbers = iter(range(10_000))
        self.store = self.opened()
        self.tree = self.get(self.store.tree(ANN))

    def opened(self) -> DiskFileStore:
        """A store on the folder."""
        return DiskFileStore(self.folder, InlineWorkers(), lambda: 5.0, lambda: f"u{next(self.numbers)}")

    def get(self, waiting: Coroutine[Any, Any, Any]) -> Any:
        """The result."""
        return self.successResultOf(Deferred.fromCoroutine(waiting))

    @property
    def file(self) -> FilePath:
        """What the tests change by hand."""
        return self.folder / "a1" / "files" / "f"

    @property
    def records(self) -> FilePath:
        """Where digests are kept."""
        return self.folder / "a1" / ".sums"

    def put(self, data: bytes, cut: bool = False, **how: Any) -> None:
        """Upload."""

        async def send() -> None:
            upload = await self.tree.upload(("f",), **how)
            await upload.write(data)
            if cut:
                await upload.abandon()
            else:
                await upload.publish()

        self.get(send())

    def known(self) -> bytes | None:
        """What is kept of the file as it is."""
        found: bytes | None = self.tree.place.digests.of(os.stat(self.file))
        return found

    def asked(self) -> bytes:
        """What a client is told."""

        async def ask() -> bytes:
            reader = await self.tree.read(("f",))
            try:
                digest: bytes = await reader.sha256()
                return digest
            finally:
                await reader.close()

        told: bytes = self.get(ask())
        return told

    def pass_tick(self) -> None:
        """Until the file's times are behind us."""
        found = self.file.stat()
        while file_clock() <= max(found.st_ctime_ns, found.st_mtime_ns):
            pass

    def is_kept(self, data: bytes) -> None:
        """Told without a reading."""
        self.assertEqual(self.known(), hashlib.sha256(data).digest())
        self.assertEqual(self.asked(), hashlib.sha256(data).digest())

    def is_not_kept(self) -> None:
        """Told right, but not from what is kept."""
        self.assertIsNone(self.known())
        self.assertEqual(self.asked(), hashlib.sha256(self.file.read_bytes()).digest())


class KeepingTests(DigestCase):
    """What is kept."""

    def test_uploads(self) -> None:
        """A file that came whole is summed up as it came, and so are the octets that are copied before what continues it."""
        self.put(DATA)
        self.is_kept(DATA)
        self.put(b"more", append=True)
        self.is_kept(DATA + b"more")
        self.put(b"!", offset=1_000)
        self.is_kept(DATA[:1_000] + b"!")
        self.put(DATA * 30)
        self.is_kept(DATA * 30)

    def test_continued_upload(self) -> None:
        """What was received earlier is not read again: its digest is found when somebody asks, and then kept."""
        self.put(DATA, cut=True)
        self.put(b"end", offset=len(DATA))
        self.pass_tick()
        self.assertIsNone(self.known())
        self.assertEqual(self.asked(), hashlib.sha256(DATA + b"end").digest())
        self.is_kept(DATA + b"end")

    def test_another_process(self) -> None:
        """It outlives the store."""
        self.put(DATA)
        self.store = self.opened()
        self.tree = self.get(self.store.tree(ANN))
        self.is_kept(DATA)

    def test_file_that_came_by_hand(self) -> None:
        """It is kept when it has been asked for once."""
        self.file.write_bytes(DATA)
        os.utime(self.file, (9.0, 9.0))
        self.pass_tick()
        self.is_not_kept()
        self.is_kept(DATA)

    def test_our_own_changes(self) -> None:
        """A new time, new permission bits and a new name leave it known."""
        self.put(DATA)
        self.pass_tick()
        self.get(self.tree.set_modified(("f",), 77.5))
        self.is_kept(DATA)
        self.get(self.tree.set_mode(("f",), 0o640))
        self.is_kept(DATA)
        self.get(self.tree.rename(("f",), ("g",)))
        self.get(self.tree.rename(("g",), ("f",)))
        self.is_kept(DATA)

    def test_new_time_while_somebody_may_write(self) -> None:
        """A file that somebody has open for writing loses it with a new time."""
        self.put(DATA)
        with self.file.open("r+b") as open_elsewhere:
            self.get(self.tree.set_modified(("f",), 77.5))
            self.assertIsNone(self.known())
            open_elsewhere.write(OTHER)
            open_elsewhere.flush()
            os.utime(self.file, (77.5, 77.5))
            self.is_not_kept()

    def test_table_is_small_and_later_wins(self) -> None:
        """The file is as long as its last record; two files with one place take turns, and are told right."""
        self.put(DATA)
        place = self.file.stat().st_ino % PLACES
        self.assertEqual(self.records.stat().st_size, (place + 1) * RECORD)
        self.assertLess(self.records.stat().st_blocks * 512, 1 << 20)
        self.patch(digests, "PLACES", 1)
        self.get(self.tree.rename(("f",), ("g",)))
        self.put(OTHER)
        self.is_kept(OTHER)
        self.get(self.tree.rename(("g",), ("f",)))
        self.assertEqual(self.asked(), hashlib.sha256(DATA).digest())


class ChangingTests(DigestCase):
    """What is not found any more."""

    def overwrite(self) -> None:
        """In place, as long as before."""
        with self.file.open("r+b") as file:
            file.write(OTHER)

    def overwrite_and_put_time_back(self) -> None:
        """As ``rsync --inplace --times`` does."""
        before = self.file.stat()
        self.overwrite()
        os.utime(self.file, ns=(before.st_atime_ns, before.st_mtime_ns))

    def cut_and_fill(self) -> None:
        """To nothing, and again."""
        os.truncate(self.file, 0)
        self.file.write_bytes(OTHER)

    def replace(self) -> None:
        """By a file with its times."""
        before, other = self.file.stat(), self.file.with_name("other")
        other.write_bytes(OTHER)
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.rename(self.file)

    def through_another_name(self) -> None:
        """A link elsewhere."""
        other = self.folder / "elsewhere"
        os.link(self.file, other)
        with other.open("r+b") as file:
            file.write(OTHER)
        other.unlink()

    def through_memory(self) -> None:
        """Mapped."""
        with self.file.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[:] = OTHER

    @property
    def ways(self) -> list[Callable[[], None]]:
        """All of them."""
        return [
            self.overwrite,
            self.overwrite_and_put_time_back,
            self.cut_and_fill,
            self.replace,
            self.through_another_name,
            self.through_memory,
        ]

    def test_changes_by_hand(self) -> None:
        """A file that was changed in any way is read."""
        for way in self.ways:
            self.put(DATA)
            self.pass_tick()
            self.is_kept(DATA)
            way()
            self.assertEqual(self.file.read_bytes(), OTHER)
            self.is_not_kept()

    def test_changes_at_once(self) -> None:
        """Also in the same instant in which it was put in place, as long as its time is not put back; many times."""
        ways = [way for way in self.ways if way != self.overwrite_and_put_time_back]
        for _ in range(15):
            for way in ways:
                self.put(DATA)
                way()
                self.assertEqual(self.asked(), hashlib.sha256(OTHER).digest(), way)

    def test_changes_in_memory_after_it_was_asked(self) -> None:
        """A page that stays mapped and was written to before is written to again: the kernel tells of both."""
        self.put(DATA)
        with self.file.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            for octet in range(1, 20):
                mapped[0] = octet
                self.pass_tick()
                self.assertEqual(self.asked(), hashlib.sha256(mapped[:]).digest())
                self.is_kept(mapped[:])
                mapped[0] = octet + 100
                self.assertEqual(self.asked(), hashlib.sha256(mapped[:]).digest())

    def test_change_while_it_is_read(self) -> None:
        """What was read of two states is not kept."""
        data = DATA * (2 * STEP // len(DATA))
        for between in (self.overwrite, lambda: None):
            self.file.write_bytes(data)
            self.pass_tick()
            opened = Descriptor(os.open(self.file, os.O_RDONLY))
            work = Summing(self.tree.place.digests, opened, len(data))
            self.assertIsNone(work.begin())
            self.assertIsNone(work.step())
            between()
            self.assertIsNotNone(work.step())
            self.assertEqual(self.known() is None, between == self.overwrite)
            opened.close()

    def test_file_that_gets_shorter(self) -> None:
        """Reading ends where the file does."""
        self.file.write_bytes(DATA)
        opened = Descriptor(os.open(self.file, os.O_RDONLY))
        work = Summing(self.tree.place.digests, opened, len(DATA))
        self.assertIsNone(work.begin())
        os.truncate(self.file, 10)
        self.assertEqual(work.step(), hashlib.sha256(DATA[:10]).digest())
        self.assertIsNone(self.known())
        opened.close()


class FailureTests(DigestCase):
    """Records that cannot be believed or made."""

    def test_damaged_records(self) -> None:
        """A record with any octet changed, or cut short, is none."""
        self.put(DATA)
        start = self.file.stat().st_ino % PLACES * RECORD
        with self.records.open("r+b") as file:
            file.seek(start)
            whole = file.read(RECORD)
            for position in range(RECORD):
                file.seek(start + position)
                file.write(bytes([whole[position] ^ 1]))
                file.flush()
                self.assertIsNone(self.known(), position)
                file.seek(start + position)
                file.write(whole[position : position + 1])
                file.flush()
            self.is_kept(DATA)
            file.truncate(start + RECORD - 1)
            self.assertIsNone(self.known())
        self.assertEqual(self.asked(), hashlib.sha256(DATA).digest())

    def test_full_disk(self) -> None:
        """An upload is not lost because its digest cannot be kept."""

        def full(*_: Any) -> int:
            raise OSError(errno.ENOSPC, "full")

        self.patch(os, "pwrite", full)
        self.put(DATA)
        self.is_not_kept()

    def test_unknown_file_system(self) -> None:
        """Where times cannot be believed nothing is kept."""
        self.patch(digests, "keeps_time", lambda _: False)
        self.put(DATA)
        self.is_not_kept()
        self.is_not_kept()

    def test_file_systems_that_are_not_believed(self) -> None:
        """Those that do not tell of every change: what is mapped from tmpfs is written to without moving a time."""
        for folder in ("/proc", "/dev/shm"):
            if os.path.isdir(folder):
                opened = os.open(folder, os.O_RDONLY)
                self.addCleanup(os.close, opened)
                self.assertFalse(keeps_time(opened), folder)
        self.assertFalse(keeps_time(-1))

    def test_times_that_can_be_believed(self) -> None:
        """A time from before, and one that is too coarse only when it is long ago."""
        now = 10_000_000_000_123
        self.assertTrue(is_settled(now - 1, now))
        self.assertFalse(is_settled(now, now))
        self.assertFalse(is_settled(now + 1, now))
        self.assertFalse(is_settled(9_999_000_000_000, now))
        self.assertTrue(is_settled(9_997_000_000_000, now))
        self.assertEqual(before_all(5), 5)
        self.assertLess(before_all(1 << 62), file_clock())
