"""Bodies on their way."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import TryLater
from launcelot.workers import staging
from launcelot.workers.memory import InlineWorkers, SteppedWorkers
from launcelot.workers.staging import IN_MEMORY, LARGEST_SPARED, MAX_PIECES, SPARE, WINDOW, Mapped, Staged, Staging


class StagingTests(SynchronousTestCase):
    """Small ones in memory, large ones in a file without a name."""

    def setUp(self) -> None:
        """A folder of our own."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def begin(self, in_memory: bool = False) -> Staged:
        """A body that is let go of at the end."""
        staged = Staging(None if in_memory else self.folder, InlineWorkers(), spare=0).begin()
        self.addCleanup(staged.close)
        return staged

    def done(self, asked: Coroutine[Any, Any, None]) -> None:
        """Something that does not wait."""
        self.successResultOf(Deferred.fromCoroutine(asked))

    def test_small_body_stays_in_memory(self) -> None:
        """Up to the bound, whatever its pieces; empty, too."""
        for pieces in ([], [b""], [b"a", b"", b"bc"], [b"x" * IN_MEMORY]):
            staged = self.begin()
            for piece in pieces:
                self.done(staged.write(piece))
            self.assertEqual(staged.view(), b"".join(pieces))
            self.assertEqual(staged.size, len(b"".join(pieces)))
            self.assertIsNone(staged._file)

    def test_large_body_goes_to_a_file_without_a_name(self) -> None:
        """One octet past the bound; memory is let go of, nothing is seen in the folder, all octets come back."""
        staged = self.begin()
        body = bytes(range(256)) * (IN_MEMORY // 256) + b"!"
        for start in range(0, len(body), 50_000):
            self.done(staged.write(body[start : start + 50_000]))
        self.assertIsNotNone(staged._file)
        self.assertEqual(staged._pieces, [])
        self.assertEqual(list(self.folder.iterdir()), [])
        view = staged.view()
        self.assertEqual(view[:], body)
        self.assertEqual(view.find(b"\xff!"), len(body) - 2)
        self.assertEqual(b"".join(staged.chunks(65_536)), body)

    def test_body_without_a_folder_stays_in_memory(self) -> None:
        """Whatever its size."""
        staged = self.begin(in_memory=True)
        self.done(staged.write(b"x" * (IN_MEMORY + 1)))
        self.assertEqual(len(staged.view()), IN_MEMORY + 1)

    def test_body_that_trickles_costs_little_memory(self) -> None:
        """Octet by octet there are never more than a bounded number of pieces."""
        staged = self.begin()
        for number in range(5 * MAX_PIECES):
            self.done(staged.write(b"%d" % (number % 10)))
            self.assertLess(len(staged._pieces), MAX_PIECES + 1)
        self.assertEqual(staged.view(), b"0123456789" * (MAX_PIECES // 2))

    def test_memory_that_is_to_spare_is_shared(self) -> None:
        """Beyond its own each takes of it what it needs and there is; whatever becomes of a body, all of it comes back."""
        staging = Staging(self.folder, InlineWorkers(), spare=IN_MEMORY + 10)
        one, two, three = staging.begin(), staging.begin(), staging.begin()
        self.done(one.write(b"x" * (2 * IN_MEMORY)))
        self.done(two.write(b"y" * IN_MEMORY))
        self.done(two.write(b"y" * 10))
        self.done(three.write(b"z" * (IN_MEMORY + 1)))
        self.assertEqual([body._file is None for body in (one, two, three)], [True, True, False])
        self.assertEqual(staging._spare.octets, 0)
        self.done(two.write(b"y"))
        self.assertIsNotNone(two._file)
        self.assertEqual(staging._spare.octets, 10)
        self.assertEqual(two.view()[:], b"y" * (IN_MEMORY + 11))
        one.close()
        one.close()
        self.assertEqual(staging._spare.octets, IN_MEMORY + 10)
        two.close()
        three.close()
        self.assertEqual(staging._spare.octets, IN_MEMORY + 10)

    def test_no_body_has_more_than_some_mebibytes_of_it(self) -> None:
        """A large one goes to its file as before, and gives back what it had."""
        staging = Staging(self.folder, InlineWorkers())
        staged = staging.begin()
        self.addCleanup(staged.close)
        self.done(staged.write(b"x" * LARGEST_SPARED))
        self.assertIsNone(staged._file)
        self.done(staged.write(b"x"))
        self.assertIsNotNone(staged._file)
        self.assertEqual((staging._spare.octets, staged._pieces), (SPARE, []))

    @given(st.lists(st.binary(max_size=100), max_size=20), st.integers(1, 120), st.integers(0, 300))
    def test_chunks_are_the_body(self, pieces: list[bytes], length: int, bound: int) -> None:
        """In memory or in a file, cut anywhere."""
        before, staging.IN_MEMORY = staging.IN_MEMORY, bound
        staged = Staging(Path("."), InlineWorkers(), spare=bound).begin()
        try:
            for piece in pieces:
                self.done(staged.write(piece))
            chunks = list(staged.chunks(length))
            self.assertEqual(b"".join(chunks), b"".join(pieces))
            self.assertTrue(all(len(one) == length for one in chunks[:-1]))
        finally:
            staging.IN_MEMORY = before
            staged.close()

    def test_folder_that_is_gone_is_a_temporary_failure(self) -> None:
        """So is a full disk, in the first or a later piece; the file is let go of."""
        staged = Staging(self.folder / "missing", InlineWorkers(), spare=0).begin()
        asked = Deferred.fromCoroutine(staged.write(b"x" * (IN_MEMORY + 1)))
        self.failureResultOf(asked, TryLater)
        staged.close()

    def test_full_disk_is_a_temporary_failure(self) -> None:
        """In the first piece or a later one; no descriptor is kept behind."""
        before = len(os.listdir("/proc/self/fd"))
        for earlier in (0, 1):
            staged = self.begin()
            for _ in range(earlier):
                self.done(staged.write(b"x" * (IN_MEMORY + 1)))

            def full(descriptor: int, data: bytes) -> int:
                raise OSError(28, "No space left on device")

            patch = self.patch(os, "write", full)
            self.failureResultOf(Deferred.fromCoroutine(staged.write(b"x" * (IN_MEMORY + 1))), TryLater)
            patch.restore()
            staged.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_short_writes_are_finished(self) -> None:
        """A disk that takes a little at a time gets everything in order."""
        real = os.write
        self.patch(os, "write", lambda descriptor, data: real(descriptor, data[:70_000]))
        staged = self.begin()
        body = os.urandom(IN_MEMORY + 12_345)
        self.done(staged.write(body))
        self.assertEqual(staged.view()[:], body)


class MappedTests(SynchronousTestCase):
    """A large body that is read."""

    def setUp(self) -> None:
        """Six windows and a bit, with needles across their edges."""
        octets = bytearray(os.urandom(1_024) * (6 * WINDOW // 1_024) + b"end")
        for place in (0, WINDOW - 1, WINDOW, 2 * WINDOW - 2, 3 * WINDOW + 5, len(octets) - 6):
            octets[place : place + 6] = b"<here>"
        self.octets = bytes(octets)
        folder = Path(self.mktemp())
        folder.mkdir()
        staged = Staging(folder, InlineWorkers()).begin()
        self.addCleanup(staged.close)
        self.successResultOf(Deferred.fromCoroutine(staged.write(self.octets)))
        view = staged.view()
        self.assertIsInstance(view, Mapped)
        self.view = view

    def resident(self) -> int:
        """KiB of the body that count as ours."""
        maps = Path("/proc/self/smaps").read_text().split("\n")
        place = next(place for place, line in enumerate(maps) if "(deleted)" in line and self.is_it(line))
        return next(int(line.split()[1]) for line in maps[place:] if line.startswith("Rss:"))

    def is_it(self, line: str) -> bool:
        """Whether a line of the list begins with our mapping."""
        first, _, last = line.split()[0].partition("-")
        return 0 <= int(last, 16) - int(first, 16) - len(self.octets) < 4_096

    def test_it_is_what_it_is(self) -> None:
        """Slices and finds are those of the octets, wherever they begin and end."""
        edges = [0, 1, WINDOW - 7, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW, 3 * WINDOW + 6, len(self.octets)]
        for start in edges:
            for end in edges:
                if start <= end:
                    self.assertEqual(self.view[start:end], self.octets[start:end])
                    for needle in (b"<here>", b"<her>", b"", b"d"):
                        self.assertEqual(self.view.find(needle, start, end), self.octets.find(needle, start, end))
        self.assertEqual(self.view.find(b"<here>"), 0)
        self.assertEqual(self.view.find(b"<here>", WINDOW + 1), 2 * WINDOW - 2)
        self.assertEqual((self.view[3], self.view[-1]), (self.octets[3], self.octets[-1]))

    def test_pages_are_let_go(self) -> None:
        """However it is read: in slices, by one find, by many."""
        for start in range(0, len(self.octets), 65_536):
            self.view[start : start + 65_536]
        self.assertLess(self.resident(), 512)
        self.view.find(b"nowhere")
        self.assertLess(self.resident(), 1_536)
        place = 0
        while place >= 0:
            place = self.view.find(self.octets[500:504], place + 1)
        self.assertLess(self.resident(), 3_072)


class GivingUpTests(SynchronousTestCase):
    """The peer goes away at the worst moment."""

    def setUp(self) -> None:
        """A body whose first piece is on its way to the disk."""
        self.workers = SteppedWorkers()
        self.staged = Staged(Path("."), self.workers)
        self.writing = Deferred.fromCoroutine(self.staged.write(b"x" * (IN_MEMORY + 1)))

    def test_close_before_the_worker_began(self) -> None:
        """Nothing is written and no file is made."""
        before = len(os.listdir("/proc/self/fd"))
        self.staged.close()
        self.workers.perform()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertIsNone(self.staged._file)
        self.successResultOf(self.writing)

    def test_close_while_the_worker_writes(self) -> None:
        """The descriptor stays the worker's until it has ended, then it is closed: it is never another file's."""
        before = len(os.listdir("/proc/self/fd"))
        real = os.write
        written: list[int] = []

        def write(descriptor: int, data: bytes) -> int:
            self.staged.close()
            self.staged.close()
            os.fstat(descriptor)
            written.append(descriptor)
            return real(descriptor, data[:100_000])

        self.patch(os, "write", write)
        self.workers.perform()
        self.assertEqual(len(set(written)), 1)
        self.assertEqual(len(written), 3)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_cancelled_write_can_be_closed(self) -> None:
        """As a session's end does."""
        self.writing.cancel()
        self.failureResultOf(self.writing, CancelledError)
        self.staged.close()
        self.staged.close()
        self.assertFalse(self.workers.perform())


class StillReadTests(SynchronousTestCase):
    """A body that is let go of while somebody looks at it."""

    def test_close_while_a_part_is_held(self) -> None:
        """Closing a spilled body of which a worker still holds a part raises nothing, and the part stays readable."""
        folder = Path(self.mktemp())
        folder.mkdir()
        staged = Staged(folder, InlineWorkers())
        Deferred.fromCoroutine(staged.write(b"x" * (IN_MEMORY + 1)))
        part = memoryview(staged.view())[:10]
        staged.close()
        staged.close()
        self.assertEqual(bytes(part), b"x" * 10)
