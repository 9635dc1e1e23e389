"""The trail of mail: what was noted is found again, in bounded files, whatever the disk does."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.workers.trail import DAY, LINE, MAGIC, FileTrail, files, read_line, steps_of, steps_with


class TrailTests(SynchronousTestCase):
    """One folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.time = 1_700_000_000.0

    def trail(self, size: int = 1 << 20, days: float = 30, part: int = 0, of: int = 1) -> FileTrail:
        """An open one."""
        made = FileTrail(self.folder, size, days, lambda: self.time, part, of)
        made.open()
        self.addCleanup(made.close)
        return made

    def found(self, *ids: str) -> list[tuple[str, str, object]]:
        """What is known of some mails."""
        return [(one.id, one.event, one.fields) for one in steps_of(self.folder, ids)]

    def test_what_was_noted_is_found(self) -> None:
        """At once, of that mail alone, in order; and after another start, in the same file."""
        first = self.trail()
        first.note("one", "accepted", size=7)
        first.note("one.s0", "queued")
        first.note("two", "delivered", to="x\ny\t\u00e9\udc80")
        self.time += 1
        self.trail().note("one", "delivered", where=["INBOX"])
        self.assertEqual(
            self.found("one"), [("one", "accepted", {"size": 7}), ("one", "delivered", {"where": ["INBOX"]})]
        )
        self.assertEqual(self.found("two"), [("two", "delivered", {"to": "x\ny\t\u00e9\udc80"})])
        self.assertEqual([one[0] for one in self.found("one", "one.s0")], ["one", "one.s0", "one"])
        self.assertEqual(len(files(self.folder)), 1)
        self.assertEqual(files(self.folder)[0].path.stat().st_mode & 0o777, 0o600)

    def test_search_by_what_stands_in_it(self) -> None:
        """In one kind of event, in whatever case, all texts together."""
        one = self.trail()
        one.note("a", "accepted", sender="Ann@x.example", to=["bob@y.example"])
        one.note("b", "accepted", sender="ann@x.example", to=["eve@y.example"])
        one.note("c", "deferred", sender="ann@x.example", to=["bob@y.example"])
        self.assertEqual([step.id for step in steps_with(self.folder, ["ann@X.example", "bob"], {"accepted"})], ["a"])

    def test_size_is_bounded(self) -> None:
        """However much is noted, it stays within its share, and what is left is the end."""
        one = self.trail(size=1 << 18)
        for number in range(9_000):
            self.time += 0.01
            one.note(f"m{number}", "accepted", text="x" * 50)
        self.assertLessEqual(sum(file.path.stat().st_size for file in files(self.folder)), 1 << 18)
        self.assertEqual(self.found("m0"), [])
        self.assertEqual(len(self.found("m8999")), 1)
        self.assertEqual(len(self.found(*[f"m{number}" for number in range(7_500, 9_000)])), 1_500)

    def test_age_is_bounded(self) -> None:
        """A file is a day long at most, and goes when its last line is old enough."""
        one = self.trail(days=3)
        for number in range(6):
            one.note(f"m{number}", "accepted")
            self.time += DAY + 1
        one.note("last", "accepted")
        self.assertEqual([bool(self.found(f"m{number}")) for number in range(6)], [False] * 4 + [True] * 2)

    def test_clock_that_jumps(self) -> None:
        """Back to 1970 and far ahead: every line is found, and none is lost."""
        one = self.trail(days=36_500)
        for number, moment in enumerate((self.time, 0.0, 2.2e9, self.time)):
            self.time = moment
            one.note(f"m{number}", "accepted")
        self.assertEqual([len(self.found(f"m{number}")) for number in range(4)], [1, 1, 1, 1])
        self.assertEqual(one.lost, 0)

    def test_processes_have_files_of_their_own(self) -> None:
        """All are searched; each removes its own, and the first also those of processes that are no more."""
        for part in range(3):
            self.trail(part=part, of=3).note("one", "accepted", part=part)
        self.assertEqual(sorted(str(one[2]) for one in self.found("one")), ["{'part': 0}", "{'part': 1}", "{'part': 2}"])
        for file in files(self.folder):
            os.utime(file.path, (0, 0))
        self.trail(part=0, of=2)
        self.assertEqual([file.part for file in files(self.folder)], [0, 1])

    def test_lines_that_were_cut_short(self) -> None:
        """By a full disk or the end of the machine: they are left out, and nothing else is."""
        self.trail().note("one", "accepted", text="x" * 40)
        path = files(self.folder)[0].path
        whole = path.read_bytes().rstrip(b"\0")
        for cut in range(len(MAGIC), len(whole) - 1):
            path.write_bytes(whole[:cut])
            self.trail().note("two", "accepted")
            self.assertEqual((len(self.found("one")), len(self.found("two"))), (0, 1), cut)
        path.write_bytes(b"\0" * 100)
        self.trail().note("two", "accepted")
        self.assertEqual(len(self.found("two")), 1)

    def test_killed(self) -> None:
        """What was noted before is there, behind zeros or not, and the next process goes on where the last one ended."""
        for number in range(3):
            self.trail().note(f"m{number}", "accepted")
        (file,) = files(self.folder)
        self.assertTrue(file.path.read_bytes().endswith(b"\0"))
        self.assertEqual([len(self.found(f"m{number}")) for number in range(3)], [1, 1, 1])
        self.assertEqual([one.id for one in steps_with(self.folder, [], {"accepted"})], ["m0", "m1", "m2"])
        last = self.trail()
        last.close()
        last.close()
        self.assertTrue(file.path.read_bytes().endswith(b"\n"))

    def test_full_disk(self) -> None:
        """What has room already is used up, then lines are lost and counted, and it goes on when there is room again."""
        one = self.trail()

        def full(file: int, start: int, length: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch = self.patch(os, "posix_fallocate", full)
        for number in range(3_000):
            one.note(f"m{number}", "accepted", text="x" * 40)
        patch.restore()
        one.note("after", "accepted")
        written = [number for number in range(3_000) if self.found(f"m{number}")]
        self.assertEqual(written, list(range(len(written))))
        self.assertEqual((one.lost, len(self.found("after"))), (3_000 - len(written), 1))
        self.assertLess(len(written), 3_000)
        self.flushLoggedErrors()

    def test_folder_that_cannot_be_used(self) -> None:
        """Nothing is kept, and nothing fails."""
        self.folder.write_bytes(b"")
        self.trail().note("one", "accepted")
        self.assertRaises(NotADirectoryError, files, self.folder)

    def test_long_lines(self) -> None:
        """Of one that is too long the event is kept."""
        self.trail().note("one", "accepted", text="x" * LINE)
        self.assertEqual(self.found("one"), [("one", "accepted", {})])

    def test_lines_that_are_none(self) -> None:
        """What is no line is nothing, whatever it is."""
        lines = [b"", b"\t", b"a\tb\tc\t{}", b"a\t1\tc", b"a\t1\tc\t[]", b"a\t1\tc\t{", b"\xff\t1\tc\t{}"]
        for wrong in [*lines, b"a\t1\tc\t" + b"[" * 9_999]:
            self.assertIsNone(read_line(wrong), wrong[:20])
