"""Looking at many entries tells what ``os.stat`` tells of each."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.filestore import looks
from launcelot.filestore.interface import Look
from launcelot.filestore.looks import Looks, look_of

ODD = os.fsdecode(b"caf\xe9 \xff\n")


class LookTests(SynchronousTestCase):
    """A folder with all kinds of entries."""

    def setUp(self) -> None:
        """Fill it."""
        self.path = Path(self.mktemp())
        self.path.mkdir()
        for number in range(25):
            file = self.path / f"f{number}"
            file.write_bytes(b"x" * number)
            file.chmod(0o600 + number)
        os.truncate(self.path / "f9", 1 << 40)
        for number in range(25):
            os.utime(self.path / f"f{number}", ns=(0, (number - 3) * 10**9 + number * 37))
        (self.path / ODD).mkdir(mode=0o750)
        (self.path / "link").symlink_to("f3")
        os.mkfifo(self.path / "pipe")
        self.folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, self.folder)

    def wanted(self, names: list[str]) -> list[Look | None]:
        """One by one."""
        return [look_of(os.lstat(self.path / name)) if os.path.lexists(self.path / name) else None for name in names]

    def all_names(self) -> list[str]:
        """Those there are, and some that there are not."""
        return ["gone", *os.listdir(self.path), "gone", "link\uac00"]

    def test_as_stat_tells(self) -> None:
        """Files, folders, links, pipes, odd names and such as have gone, in order, whatever is looked at in one go."""
        names = self.all_names()
        for most in (1, 7, len(names), 100):
            looker = Looks(most)
            for few in (names, names[3:], names[:1], []):
                self.assertEqual(looker.at(self.folder, few), self.wanted(few))
        found = dict(zip(names, Looks(100).at(self.folder, names), strict=True))
        self.assertEqual([look is None for look in (found["gone"], found["f9"])], [True, False])
        self.assertEqual((found["f9"] or ())[2:5], (1 << 40, 6, 9 * 37))
        self.assertTrue(stat.S_ISLNK((found["link"] or (0,))[0]))

    def test_without_statx(self) -> None:
        """Where there is none, or it refuses to tell anything, ``os.stat`` does."""
        names = self.all_names()
        for call in (None, lambda *_: -1):
            self.patch(looks, "_statx", lambda call=call: call)
            self.assertEqual(Looks(100).at(self.folder, names), self.wanted(names))

    def test_failures_are_told(self) -> None:
        """What is no folder cannot be looked into."""
        file = os.open(self.path / "f1", os.O_RDONLY)
        self.addCleanup(os.close, file)
        with self.assertRaises(NotADirectoryError):
            Looks(3).at(file, ["a"])

    def test_what_was_seen_stays(self) -> None:
        """A second look does not change what the first has told."""
        looker = Looks(5)
        before = looker.at(self.folder, ["f1", "f2"])
        looker.at(self.folder, ["f3", "f4"])
        self.assertEqual(before, self.wanted(["f1", "f2"]))
