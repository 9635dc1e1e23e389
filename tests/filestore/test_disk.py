"""The disk store keeps the contract with both ways of opening, and nothing on the disk can lead it astray."""

from __future__ import annotations

import errno
import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path as FilePath
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from launcelot.core.errors import Invalid, NotFound, NotPermitted, OverQuota, Refusal, TryLater
from launcelot.core.ids import AccountId
from launcelot.filestore import calls, place
from launcelot.filestore.beneath import OpenAt2, Opener, Walk, best_opener
from launcelot.filestore.disk import DiskFileStore
from launcelot.filestore.interface import FileStore
from launcelot.filestore.limits import STAGED, VECTOR, StorageFull
from launcelot.filestore.place import QUICK
from launcelot.workers.memory import InlineWorkers, SteppedWorkers
from tests.filestore.contract import ANN, Contract, Told

SECRET = b"outside"


class DiskFileStoreTests(Contract, SynchronousTestCase):
    """The contract on disk, walking component by component."""

    def opener(self) -> Opener:
        return Walk()

    def make_store(self) -> FileStore:
        assert isinstance(self, SynchronousTestCase)
        self.disk = FilePath(self.mktemp())
        return self.reopened()

    def reopened(self) -> DiskFileStore:
        """Another store over the same folder, as after a restart."""
        return DiskFileStore(self.disk, InlineWorkers(), self.now, self.ids, self.largest, self.opener())

    @property
    def files(self) -> FilePath:
        """Ann's files as the system sees them."""
        return self.disk / "a1" / "files"

    @property
    def uploads(self) -> list[str]:
        """What is staged or kept."""
        return sorted(os.listdir(self.disk / "a1" / ".uploads"))

    def plant(self) -> FilePath:
        """Links in the tree: to a file outside, to a folder outside, to nothing, and to a file inside."""
        outside = FilePath(self.mktemp()).absolute()
        outside.mkdir()
        (outside / "secret").write_bytes(SECRET)
        (self.files / "file").symlink_to(outside / "secret")
        (self.files / "folder").symlink_to(outside)
        (self.files / "nothing").symlink_to("/nonexistent")
        (self.files / "real").write_bytes(b"inside")
        (self.files / "inner").symlink_to("real")
        return outside

    # -- links and special files ---------------------------------------------------------------------------------

    def test_planted_links_are_not_there(self) -> None:
        """A symbolic link is neither listed nor read, entered, described or changed, wherever it points."""
        outside = self.plant()
        self.assertEqual(self.names(), ["real"])
        for bare in (True, False):
            self.assertEqual(self.lines((), Told(bare)).count(b"\n"), 1)
        for path in (("file",), ("folder",), ("nothing",), ("inner",), ("folder", "secret")):
            self.refused(NotFound, self.tree.entry(path))
            self.refused(NotFound, self.tree.read(path))
            self.refused(NotFound, self._first_batch(path))
            self.refused(NotFound, self.tree.set_mode(path, 0o600))
            self.refused(NotFound, self.tree.set_modified(path, 1.0))
            self.refused(NotFound, self.tree.rename(path, ("moved",)))
        for path in (("folder", "new"), ("nothing", "new")):
            self.refused(NotFound, self.tree.upload(path))
            self.refused(NotFound, self.tree.make_folder(path))
            self.refused(NotFound, self.tree.rename(("real",), path))
        self.refused(NotFound, self.tree.remove(("folder", "secret")))
        self.assertEqual(os.listdir(outside), ["secret"])
        self.assertEqual((outside / "secret").read_bytes(), SECRET)
        self.assertEqual(self.get(self.tree.usage()), 6)

    def test_publishing_replaces_a_link_and_not_what_it_points_to(self) -> None:
        """An upload to a planted link's name takes the name and leaves the file outside as it was."""
        outside = self.plant()
        self.put(("file",), b"mine")
        self.assertEqual(self.content(("file",)), b"mine")
        self.assertEqual((outside / "secret").read_bytes(), SECRET)
        self.refused(Invalid, self.tree.upload(("inner",), offset=3))
        self.put(("inner",), b"x", append=True)
        self.assertEqual(self.content(("inner",)), b"x")

    def test_removing_a_link_spares_what_it_points_to(self) -> None:
        """A planted link can be removed, so that its folder can; the file outside stays."""
        outside = self.plant()
        self.get(self.tree.remove(("file",)))
        self.get(self.tree.remove(("folder",)))
        self.assertEqual((outside / "secret").read_bytes(), SECRET)
        self.assertFalse((self.files / "folder").is_symlink())

    def test_special_files_are_not_opened(self) -> None:
        """A pipe in the tree is not there, and opening it does not wait for a writer."""
        os.mkfifo(self.files / "pipe")
        self.assertEqual(self.names(), [])
        self.assertEqual((self.lines((), Told(True)), self.lines((), Told(False))), (b"", b""))
        self.refused(NotFound, self.tree.read(("pipe",)))
        self.refused(NotFound, self.tree.entry(("pipe",)))

    def test_names_that_mean_something_else_are_refused(self) -> None:
        """Names that resolve never makes are refused even here."""
        for name in ("..", ".", "", "a/b", "a\0b"):
            self.refused(Invalid, self.tree.entry((name,)))
            self.refused(Invalid, self.tree.upload((name,)))

    def test_account_ids_are_file_names(self) -> None:
        """An account id that is a path is refused before anything is opened."""
        for account in ("..", "a/b", "", ".hidden", "x\0"):
            self.refused(Invalid, self.store.tree(AccountId(account)))

    def test_swapping_a_folder_for_a_link_never_escapes(self) -> None:
        """While another thread swaps a folder and a link to the outside, nothing outside is read, made or removed."""
        outside = FilePath(self.mktemp()).absolute()
        outside.mkdir()
        (outside / "f").write_bytes(SECRET)
        os.mkdir(self.files / "d")
        (self.files / "d" / "f").write_bytes(b"inside")
        (self.files / "link").symlink_to(outside)
        stop = threading.Event()

        def swap() -> None:
            names = [str(self.files / name) for name in ("d", "aside", "link")]
            pauses = random.Random(1)
            while not stop.is_set():
                for old, new in ((0, 1), (2, 0), (0, 2), (1, 0)):
                    os.rename(names[old], names[new])
                    sum(range(pauses.randrange(3_000)))

        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1e-4)
        thread = threading.Thread(target=swap)
        thread.start()
        succeeded = 0
        try:
            for number in range(20_000):
                succeeded += self._everything_in_d(number)
                if number >= 300 and succeeded >= 20:
                    break
        finally:
            stop.set()
            thread.join()
        self.assertEqual(os.listdir(outside), ["f"])
        self.assertEqual((outside / "f").read_bytes(), SECRET)
        self.assertGreater(succeeded, 0)

    def _everything_in_d(self, number: int) -> int:
        done = 0
        for step in (self._read_f, self._upload_g, self._make_and_remove, self._move_about):
            try:
                step(number)
                done += 1
            except Refusal:
                continue
        return done

    def try_get(self, waiting: object) -> object:
        """The result, or the refusal raised."""
        found: list[object] = []
        Deferred.fromCoroutine(waiting).addBoth(found.append)  # type: ignore[arg-type]
        if hasattr(found[0], "raiseException"):
            found[0].raiseException()
        return found[0]

    def _read_f(self, number: int) -> None:
        reader = self.try_get(self.tree.read(("d", "f")))
        self.assertEqual(self.try_get(reader.read(0, 100)), b"inside")  # type: ignore[attr-defined]

    def _upload_g(self, number: int) -> None:
        upload = self.try_get(self.tree.upload(("d", "g")))
        self.try_get(upload.write(b"x"))  # type: ignore[attr-defined]
        self.try_get(upload.publish())  # type: ignore[attr-defined]

    def _make_and_remove(self, number: int) -> None:
        self.try_get(self.tree.make_folder(("d", f"m{number}")))
        self.try_get(self.tree.remove_folder(("d", f"m{number}")))

    def _move_about(self, number: int) -> None:
        self.try_get(self.tree.rename(("d", "g"), ("d", "h")))
        self.try_get(self.tree.remove(("d", "h")))

    # -- crashes and failures ------------------------------------------------------------------------------------

    def test_restart_finds_files_quota_and_kept_uploads(self) -> None:
        """A new store over the folder sees the files, counts what was stored and kept, and continues what was cut."""
        self.put(("f",), b"12345")
        self.cut(("g",), b"678")
        tree = self.get(self.reopened().tree(ANN, 10))
        self.assertEqual(self.get(tree.usage()), 5)
        self.assertEqual(self.get(tree.available()), 2)
        self.put(("g",), b"9", offset=3, tree=tree)
        self.assertEqual(self.content(("g",), tree), b"6789")
        self.assertEqual(self.uploads, [])

    def test_staged_file_of_a_dead_process_is_reaped(self) -> None:
        """What a killed process was receiving is never seen or continued, and goes when it is old."""
        upload = self.get(self.tree.upload(("f",)))
        self.get(upload.write(b"x" * STAGED))
        del upload  # and with it its descriptor, as when a process dies
        store = self.reopened()
        tree = self.get(store.tree(ANN))
        self.assertEqual(self.names((), tree), [])
        self.refused(Invalid, tree.upload(("f",), offset=5))
        self.assertEqual(self.get(store.reap(self.seconds - 1e9)), 0)
        self.assertEqual(self.get(store.reap(self.seconds + 1e9)), 1)
        self.assertEqual(self.uploads, [])

    def test_nothing_is_left_staged(self) -> None:
        """Published, refused and empty abandoned uploads leave no file behind."""
        self.put(("f",), b"x")
        self.cut(("g",))
        self.refused(Invalid, self.tree.upload(("g",), offset=9))
        tree = self.get(self.store.tree(ANN, 3))
        self.refused(OverQuota, self.get(tree.upload(("f",), unique=True)).write(b"long"))
        self.refused(NotFound, self.tree.upload(("no", "f")))
        self.assertEqual([name for name in self.uploads if not name.endswith(".new")], [])
        self.assertEqual(len(self.uploads), 1)

    def test_failed_sync_is_not_answered_nor_tried_again(self) -> None:
        """If the disk fails at the sync the upload is refused for good and the old file stays."""
        self.put(("f",), b"old")
        upload = self.get(self.tree.upload(("f",)))
        self.get(upload.write(b"new"))
        calls: list[int] = []

        def fail(descriptor: int) -> None:
            calls.append(descriptor)
            raise OSError(errno.EIO, "broken")

        self.patch(os, "fsync", fail)
        self.refused(TryLater, upload.publish())
        self.refused(TryLater, upload.publish())
        self.get(upload.abandon())
        self.assertEqual(len(calls), 1)
        self.assertEqual(self.content(("f",)), b"old")
        self.assertEqual(self.uploads, [])

    def test_full_disk_is_told_and_leaves_the_old_file(self) -> None:
        """If octets cannot be written the upload is refused and nothing is published or kept."""
        self.put(("f",), b"old")
        upload = self.get(self.tree.upload(("f",)))

        def full(descriptor: int, pieces: Any) -> int:
            raise OSError(errno.ENOSPC, "full")

        self.patch(os, "write", full)
        self.refused(StorageFull, upload.write(b"x" * STAGED))
        self.refused(TryLater, upload.publish())
        self.get(upload.abandon())
        self.assertEqual(self.content(("f",)), b"old")
        self.assertEqual(self.uploads, [])

    def test_modes_survive_replacing(self) -> None:
        """A file that is replaced keeps the permission bits it was given."""
        self.put(("f",), b"1")
        self.get(self.tree.set_mode(("f",), 0o600))
        self.assertEqual(self.put(("f",), b"2").mode, 0o600)

    def test_killed_process_leaves_old_or_new(self) -> None:
        """Killed at any moment while it replaces a file, the file is one whole version, no older than what was answered."""
        for number in range(5):
            answered = self._kill_writer(number)
            tree = self.get(self.reopened().tree(ANN))
            data = self.content(("f",), tree)
            self.assertEqual(len(data), 100_000)
            self.assertEqual(len(set(data)), 1, "torn")
            self.assertGreaterEqual(data[0], answered)

    def _kill_writer(self, number: int) -> int:
        script = [sys.executable, "-m", "tests.filestore.writer", str(self.disk), type(self.opener()).__name__]
        environment = {**os.environ, "PYTHONPATH": str(FilePath(__file__).resolve().parents[2])}
        writer = subprocess.Popen(script, stdout=subprocess.PIPE, env=environment)
        assert writer.stdout is not None
        answered = 0
        for _ in range(random.Random(number).randrange(3, 40)):
            answered = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.stdout.close()
        writer.wait()
        return int(rest[-1]) if rest else answered

    # -- waiting -------------------------------------------------------------------------------------------------

    def test_cancelled_publish_is_still_carried_out_and_counted(self) -> None:
        """Whoever waits for a publish may go; the job that has been handed over ends, and the octets are counted right."""
        workers = SteppedWorkers()
        store = DiskFileStore(self.disk, workers, self.now, self.ids, opener=self.opener())

        def stepped(waiting: object) -> object:
            found: list[object] = []
            Deferred.fromCoroutine(waiting).addBoth(found.append)  # type: ignore[arg-type]
            while not found and workers.perform():
                pass
            return found[0]

        tree = stepped(store.tree(ANN, 100))
        upload = stepped(tree.upload(("f",)))  # type: ignore[attr-defined]
        stepped(upload.write(b"12345"))  # type: ignore[attr-defined]
        waiting = Deferred.fromCoroutine(upload.publish())  # type: ignore[attr-defined]
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        while workers.perform():
            pass
        self.assertEqual((self.files / "f").read_bytes(), b"12345")
        self.assertEqual(tree.place.room.taken, 5)  # type: ignore[attr-defined]
        self.assertEqual(tree.place.active, set())  # type: ignore[attr-defined]

    def test_descriptors_are_given_back(self) -> None:
        """After many operations, refused ones included, no descriptor is left open."""
        self._busy()
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            self._busy()
        gc.collect()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def _busy(self) -> None:
        self.put(("f",), b"x" * 400_000)
        self.content(("f",))
        self.cut(("g",), b"12")
        self.put(("g",), b"3", offset=2)
        self.put(("f",), b"y", append=True)
        self.listed()
        for path in (("no",), ("f", "below")):
            self.refused(NotFound, self.tree.read(path))
        self.refused(NotPermitted, self.tree.remove_folder(("f",)))
        self.get(self.tree.remove(("g",)))

    def test_closed_store_refuses(self) -> None:
        """After close, new requests are TryLater."""
        self.get(self.store.close())
        self.refused(TryLater, self.store.tree(ANN))


class OpenAt2FileStoreTests(DiskFileStoreTests):
    """The contract on disk, with the kernel's resolution."""

    def opener(self) -> Opener:
        return OpenAt2()

    def test_known_files_need_no_worker(self) -> None:
        """A small file that was just written is described and read whole at once, a large one opened, by no other name."""
        self.put(("f",), b"octets")
        self.put(("large",), b"x" * (QUICK + 1))
        place = self.get(self.reopened().tree(ANN)).place
        found = place.open_file_at_once(("f",))
        if found is None:
            raise SkipTest("this kernel does not say what it remembers (Linux 5.12)")
        entry, opened, head = found
        self.assertEqual((entry.size, opened.number, head), (6, -1, b"octets"))
        known = place.entry_at_once(("f",))
        self.assertEqual(known, self.get(self.tree.entry(("f",))))
        large = place.open_file_at_once(("large",))
        self.assertIsNotNone(large)
        if large is not None:
            self.assertEqual((large[0].size, large[2]), (QUICK + 1, b""))
            self.assertGreaterEqual(large[1].number, 0)

    def test_nothing_leads_out_at_once(self) -> None:
        """Links, folders and what is missing are left to the workers, which refuse them."""
        self.plant()
        self.get(self.tree.make_folder(("d",)))
        place = self.get(self.reopened().tree(ANN)).place
        for path in (("file",), ("folder",), ("inner",), ("folder", "secret"), ("missing",), ("d", "missing")):
            self.assertIsNone(place.open_file_at_once(path), path)
            self.assertIsNone(place.entry_at_once(path), path)
        self.assertIsNone(place.open_file_at_once(("d",)))
        for outside in (("..",), ("d", "..", "real"), ("a/b",)):
            self.refused(Invalid, self.tree.read(outside))


class OpenerTests(SynchronousTestCase):
    """Both openers refuse the same things."""

    def setUp(self) -> None:
        self.folder = FilePath(self.mktemp()).absolute()
        # Deeper than a path can be long, so trial could not remove it.
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "in" / "a" / "b").mkdir(parents=True)
        (self.folder / "in" / "a" / "f").write_bytes(b"x")
        (self.folder / "secret").write_bytes(SECRET)
        (self.folder / "in" / "up").symlink_to("..")
        (self.folder / "in" / "abs").symlink_to("/")
        (self.folder / "in" / "same").symlink_to("a")
        self.root = os.open(self.folder / "in", os.O_PATH | os.O_DIRECTORY)
        self.addCleanup(os.close, self.root)

    def each(self) -> list[Opener]:
        """Both."""
        return [Walk(), OpenAt2()]

    def test_paths_below_are_opened(self) -> None:
        """The root, a folder and a file, also at a depth that no single path could name."""
        deep = [b"x" * 250] * 40
        below = os.dup(self.root)
        for name in deep:
            os.mkdir(name, dir_fd=below)
            step = os.open(name, os.O_PATH | os.O_DIRECTORY, dir_fd=below)
            os.close(below)
            below = step
        os.close(below)
        for opener in self.each():
            for names in ([], [b"a"], [b"a", b"f"], deep):
                os.close(opener.open(self.root, names, os.O_RDONLY))

    def test_links_are_refused_anywhere(self) -> None:
        """A link as the first, middle or last name is an error, even one that stays inside."""
        for opener in self.each():
            for names in ([b"up", b"secret"], [b"abs", b"etc"], [b"same", b"f"], [b"up"], [b"same"]):
                with self.assertRaises(OSError) as caught:
                    opener.open(self.root, names, os.O_RDONLY)
                self.assertIn(caught.exception.errno, (errno.ELOOP, errno.ENOTDIR), (opener, names))

    def test_best_is_openat2_here(self) -> None:
        """This kernel has openat2, so it is what a store takes."""
        self.assertIsInstance(best_opener(), OpenAt2)

    def test_walk_is_taken_where_openat2_is_missing(self) -> None:
        """On a machine whose call number is not known the walk takes over."""
        self.patch(os, "uname", lambda: os.uname_result(("Linux", "n", "5", "v", "riscv64")))
        self.assertIsInstance(best_opener(), Walk)

    def test_walking_tells_nothing_at_once(self) -> None:
        """Where names are walked nobody knows whether that waits."""
        self.assertRaises(BlockingIOError, Walk().open_at_once, 0, (), 0)


class WritingTests(SynchronousTestCase):
    """What is written while the next octets come, with workers stepped by hand."""

    def setUp(self) -> None:
        """A tree whose disk waits."""
        self.workers = SteppedWorkers()
        numbers = iter(range(1000))
        self.store = DiskFileStore(FilePath(self.mktemp()), self.workers, lambda: 5.0, lambda: f"u{next(numbers)}")
        self.tree = self.done(Deferred.fromCoroutine(self.store.tree(ANN)))
        self.upload = self.done(Deferred.fromCoroutine(self.tree.upload(("f",))))

    def done(self, waiting: Deferred[Any]) -> Any:
        """The result, after all that the disk has to do."""
        while self.workers.perform():
            pass
        return self.successResultOf(waiting)

    def test_next_octets_do_not_wait(self) -> None:
        """While a megabyte is on its way to the disk the next one is taken; the one behind it waits."""
        first = Deferred.fromCoroutine(self.upload.write(b"a" * STAGED))
        self.successResultOf(first)
        self.successResultOf(Deferred.fromCoroutine(self.upload.write(b"b" * (STAGED - 1))))
        second = Deferred.fromCoroutine(self.upload.write(b"b"))
        self.assertNoResult(second)
        self.done(second)
        self.done(Deferred.fromCoroutine(self.upload.write(b"end")))
        entry = self.done(Deferred.fromCoroutine(self.upload.publish()))
        self.assertEqual(entry.size, 2 * STAGED + 3)
        reader = self.done(Deferred.fromCoroutine(self.tree.read(("f",))))
        self.assertEqual(self.done(Deferred.fromCoroutine(reader.read(STAGED - 1, 2))), b"ab")
        self.assertEqual(self.done(Deferred.fromCoroutine(reader.read(2 * STAGED - 1, 9))), b"bend")
        self.done(Deferred.fromCoroutine(reader.close()))

    def test_failure_is_told_in_the_end(self) -> None:
        """A write that failed meanwhile is told by the next call, nothing is published or kept, and nothing is left unheard."""
        for ends in ("write", "publish", "abandon"):
            upload = self.done(Deferred.fromCoroutine(self.tree.upload(("f",))))
            self.successResultOf(Deferred.fromCoroutine(upload.write(b"a" * STAGED)))
            broken = self.patch(os, "write", self.fail_to_write)
            call = {"write": lambda one=upload: one.write(b"b" * STAGED)}.get(ends, getattr(upload, ends))
            waiting = Deferred.fromCoroutine(call())
            while self.workers.perform():
                pass
            broken.restore()
            if ends == "abandon":
                self.successResultOf(waiting)
            else:
                self.failureResultOf(waiting, Refusal)
                self.done(Deferred.fromCoroutine(upload.abandon()))
            self.assertEqual(self.done(Deferred.fromCoroutine(self.tree.kept(("f",)))), 0)
        self.flushLoggedErrors()

    def test_disk_begins_early(self) -> None:
        """While the next octets come the disk takes those before, each once and in order, and where an upload goes on."""
        begun: list[tuple[int, int]] = []
        self.patch(place, "begin_writeback", lambda _, offset, length: begun.append((offset, length)))
        self.patch(place, "WRITEBACK", 2 * STAGED)
        for _ in range(5):
            self.done(Deferred.fromCoroutine(self.upload.write(b"a" * STAGED)))
        self.done(Deferred.fromCoroutine(self.upload.abandon()))
        self.assertEqual(begun, [(0, 2 * STAGED), (2 * STAGED, 2 * STAGED)])
        begun.clear()
        upload = self.done(Deferred.fromCoroutine(self.tree.upload(("f",), offset=STAGED // 2)))
        for _ in range(2):
            self.done(Deferred.fromCoroutine(upload.write(b"b" * STAGED)))
        self.done(Deferred.fromCoroutine(upload.publish()))
        self.assertEqual(begun, [(STAGED // 2, 2 * STAGED)])

    def test_disk_that_begins_early(self) -> None:
        """The system is asked for it, and a descriptor with which it cannot be done is no error."""
        self.patch(place, "WRITEBACK", STAGED)
        for _ in range(3):
            self.done(Deferred.fromCoroutine(self.upload.write(b"a" * STAGED)))
        entry = self.done(Deferred.fromCoroutine(self.upload.publish()))
        self.assertEqual(entry.size, 3 * STAGED)
        calls.begin_writeback(-1, 0, 1)

    def fail_to_write(self, descriptor: int, data: Any) -> int:
        """A disk that breaks."""
        raise OSError(errno.EIO, "broken")

    def test_many_small_pieces(self) -> None:
        """Pieces of an octet are written when there are many, in order."""
        data = bytes(number % 251 for number in range(3 * VECTOR + 7))
        for octet in data:
            self.done(Deferred.fromCoroutine(self.upload.write(bytes([octet]))))
        self.done(Deferred.fromCoroutine(self.upload.publish()))
        reader = self.done(Deferred.fromCoroutine(self.tree.read(("f",))))
        self.assertEqual(self.done(Deferred.fromCoroutine(reader.read(0, 10_000))), data)

    def test_reading_what_lies_in_memory(self) -> None:
        """A piece that is all there is read at once; one of which the kernel has none or a part, or cannot tell, by a worker."""
        data = random.Random(3).randbytes(3 * QUICK)
        self.done(Deferred.fromCoroutine(self.upload.write(data)))
        self.done(Deferred.fromCoroutine(self.upload.publish()))
        reader = self.done(Deferred.fromCoroutine(self.tree.read(("f",))))
        self.addCleanup(lambda: self.done(Deferred.fromCoroutine(reader.close())))

        def there(descriptor: int, buffers: list[Any], offset: int, flags: int) -> int:
            found = os.pread(descriptor, len(buffers[0]), offset)
            buffers[0][: len(found)] = found
            return len(found)

        def partly(descriptor: int, buffers: list[Any], offset: int, flags: int) -> int:
            buffers[0][:1] = b"?"
            return 1

        def unknown(descriptor: int, buffers: list[Any], offset: int, flags: int) -> int:
            raise OSError(errno.EOPNOTSUPP, "no")

        for preadv in (there, partly, unknown):
            self.patch(os, "preadv", preadv)
            for offset, length in ((0, QUICK), (7, 2 * QUICK), (2 * QUICK, 4 * QUICK), (3 * QUICK - 2, 9)):
                waiting = Deferred.fromCoroutine(reader.read(offset, length))
                if preadv is there:
                    self.assertEqual(self.successResultOf(waiting), data[offset : offset + length])
                else:
                    self.assertNoResult(waiting)
                    self.assertEqual(self.done(waiting), data[offset : offset + length])
            self.assertEqual(self.done(Deferred.fromCoroutine(reader.read(3 * QUICK, 9))), b"")
