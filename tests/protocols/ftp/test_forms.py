"""What is written of many entries at once is what is written of each of them."""

from __future__ import annotations

import os
import random
import stat

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.filerights import ALL, Right
from launcelot.filestore.calls import entry_of
from launcelot.filestore.interface import Form, with_rights
from launcelot.filestore.looks import look_of
from launcelot.protocols.ftp import forms
from launcelot.protocols.ftp.forms import FactsLines, ListLines, NameLines
from launcelot.protocols.ftp.listing import ALL_FACTS, RECENT, Pattern, choose_facts, facts_line, list_line, name_line

NOW = 1_700_000_000.25
NAMES = ("a", "%s %d", "\u00e9\u4e2d", "caf\udce9", "x" * 255, "\u2028\xa0", "a b", " ")
ODD = ("a\r\n226 ok", "\x1b[2J", "\x7f", "\t")


def looked(mode: int, size: int, modified: float, inode: int = 77, device: int = 2050) -> os.stat_result:
    """What the system might tell."""
    second, rest = divmod(modified, 1)
    times = {"st_mtime": modified, "st_mtime_ns": int(second) * 10**9 + int(rest * 10**9)}
    return os.stat_result((mode, inode, device, 1, 0, 0, size, 0, int(second), 0), times)


def moments() -> list[float]:
    """Times around everything that changes how they are written."""
    edges = (NOW, NOW - RECENT, 0.0, 60.0, 86_400.0, -1.0, 253_402_300_799.0, NOW - NOW % 60, (NOW - RECENT) // 60 * 60)
    return [edge + step for edge in edges for step in (-86_400, -61, -60, -59.5, -1, -0.25, 0, 0.25, 1, 30, 59.9, 60, 61)]


class FormTests(SynchronousTestCase):
    """Each form, the quick way and the slow."""

    def all_forms(self) -> list[Form]:
        """Fresh ones."""
        facts = [choose_facts(words) for words in ("type;size;", "modify;", "unique;UNIX.mode;", "perm;", "")]
        made: list[Form] = [FactsLines(one) for one in (ALL_FACTS, *facts)]
        return [*made, ListLines(NOW), ListLines(NOW, None, " "), NameLines(b""), NameLines(b"d \xff/")]

    def same(self, names: list[str], found: list[os.stat_result]) -> None:
        """Both ways, of the same form and of a new one."""
        entries = [entry_of(name, one) for name, one in zip(names, found, strict=True)]
        for quick, slow in zip(self.all_forms(), self.all_forms(), strict=True):
            wanted = slow.of_entries(entries)
            self.assertEqual(quick.of_looks(names, list(map(look_of, found))), wanted)
            self.assertEqual(quick.of_looks(names, list(map(look_of, found))), wanted)
            if quick.bare:
                self.assertEqual(quick.of_names(names), wanted)
            self.assertEqual(wanted.count(b"\r\n"), len(names))

    def test_times(self) -> None:
        """Recent, old and future ones, to the second; one after the other and all together."""
        found = [looked(stat.S_IFREG | 0o644, 5, moment) for moment in moments()]
        self.same(["f"] * len(found), found)
        for one in found:
            self.same(["f"], [one])

    def test_modes_and_sizes(self) -> None:
        """All permission bits of files and folders, on several devices, and sizes of any length."""
        found = [
            looked(kind | bits, size, NOW - bits, inode, device)
            for kind in (stat.S_IFREG, stat.S_IFDIR)
            for bits in (0, 0o644, 0o755, 0o777, 0o4755, 0o1777)
            for size, inode, device in ((0, 1, 1), (4_096, 1 << 40, 64_768), (10**15, (1 << 64) - 1, 1))
        ]
        self.same([f"n{number}" for number in range(len(found))], found)

    def test_rights(self) -> None:
        """What an account may do shows as in lines of single entries, for each combination of rights."""
        names = ["f", "x", "d"]
        found = [looked(kind, 5, NOW) for kind in (stat.S_IFREG | 0o644, stat.S_IFREG | 0o755, stat.S_IFDIR | 0o777)]
        entries = [entry_of(name, one) for name, one in zip(names, found, strict=True)]
        for number in range(1, int(ALL) + 1):
            seen = [with_rights(entry, Right(number)) for entry in entries]
            for form, line in (
                (ListLines(NOW), lambda entry: list_line(entry, NOW)),
                (FactsLines(ALL_FACTS), lambda entry: facts_line(entry, ALL_FACTS)),
                (FactsLines(("perm",)), lambda entry: facts_line(entry, ("perm",))),
                (NameLines(b""), lambda entry: name_line(b"", entry)),
            ):
                form.rights = Right(number)
                wanted = b"".join(map(line, seen))
                self.assertEqual((form.of_looks(names, list(map(look_of, found))), form.of_entries(entries)), (wanted, wanted))

    def test_names(self) -> None:
        """Of any octets; a control character anywhere is a question mark, and the other names stay as they are."""
        for names in (list(NAMES), list(ODD), [*NAMES, *ODD], []):
            self.same(names, [looked(stat.S_IFREG | 0o644, 5, NOW)] * len(names))

    def test_many_minutes(self) -> None:
        """More minutes than are remembered; memory does not grow with them."""
        self.patch(forms, "MOST", 50)
        choose = random.Random(5)
        found = [looked(stat.S_IFREG | 0o644, 1, NOW - choose.randrange(10**8)) for _ in range(500)]
        self.same(["f"] * 500, found)
        form = ListLines(NOW)
        form.of_looks(["f"] * 500, list(map(look_of, found)))
        self.assertLessEqual(len(form._times), 50)

    def test_patterns(self) -> None:
        """What does not fit is told, and left out of entries."""
        for form in (ListLines(NOW, Pattern("*.txt")), NameLines(b"", Pattern("*.txt"))):
            self.assertEqual([form.fits(name) for name in ("a.txt", "a.c")], [True, False])
            found = [entry_of(name, looked(stat.S_IFREG, 0, 0.0)) for name in ("a.txt", "a.c")]
            self.assertEqual(form.of_entries(found).count(b"\n"), 1)
            self.assertIn(b"a.txt\r\n", form.of_entries(found))
