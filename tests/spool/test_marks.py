"""Marks of mail that is about to be sent: they outlive the process, and after a power cut nobody believes them."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.spool.marks import HEADER, Marks, boot_id

BOOT = b"first"


class MarksTests(SynchronousTestCase):
    """One file, opened again and again as after kills."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def marks(self, boot: bytes = BOOT, slots: int = 4) -> tuple[Marks, bool]:
        """What a start finds, and whether it is to be believed; the one before was not closed."""
        found = Marks(self.path, boot, slots)
        sure = found.open()
        found.begin()
        self.addCleanup(found.close, False)
        return found, sure

    def test_marks_outlive_a_kill(self) -> None:
        """Each as often as it was made; what was cleared is gone."""
        first, sure = self.marks()
        self.assertTrue(sure)
        self.assertTrue(first.put([7, 8]) and first.put([8]))
        first.clear(first.of([7]))
        for _ in range(2):
            again, sure = self.marks()
            self.assertEqual((sure, [again.count(key) for key in (7, 8, 9)]), (True, [0, 2, 0]))
        self.assertTrue(again.put([7, 7]))
        self.assertFalse(again.put([9]))
        self.assertEqual(self.marks()[0].count(7), 2)

    def test_only_the_marks_that_were_meant_are_cleared(self) -> None:
        """One that is made while another is written down elsewhere stays."""
        marks, _ = self.marks()
        marks.put([7])
        before = marks.of([7])
        marks.put([7])
        marks.clear(before)
        marks.clear(before)
        self.assertEqual((marks.count(7), self.marks()[0].count(7)), (1, 1))

    def test_all_or_none_where_there_is_little_room(self) -> None:
        """Of three recipients and two slots none is marked."""
        marks, _ = self.marks(slots=2)
        self.assertFalse(marks.put([1, 2, 3]))
        self.assertEqual([marks.count(key) for key in (1, 2, 3)], [0, 0, 0])

    def test_power_cut(self) -> None:
        """Another run of the kernel: not to be believed, once; a clean end needs no belief."""
        marks, _ = self.marks()
        marks.put([7])
        later, sure = self.marks(b"second")
        self.assertEqual((sure, later.count(7)), (False, 0))
        self.assertTrue(self.marks(b"second")[1])
        later.close(clean=True)
        self.assertTrue(self.marks(b"third")[1])

    def test_kernel_that_has_no_name(self) -> None:
        """Nobody can tell whether it is the same: not to be believed."""
        self.marks(b"")
        self.assertFalse(self.marks(b"")[1])
        self.assertEqual(len(boot_id()), 36)

    def test_files_that_are_none(self) -> None:
        """Every length of a header, and another program's file: not to be believed, and made anew."""
        self.marks()
        whole = self.path.read_bytes()
        for wrong in [whole[:length] for length in range(1, HEADER)] + [b"x" * 500]:
            self.path.write_bytes(wrong)
            self.assertFalse(self.marks()[1], wrong[:70])
            self.assertEqual(len(self.path.read_bytes()), max(len(whole), len(wrong)))
        self.path.write_bytes(b"")
        self.assertTrue(self.marks()[1])

    def test_descriptor_that_fails(self) -> None:
        """Nothing is marked, and nothing raised."""
        marks, _ = self.marks()
        os.close(marks._file)
        marks._file = os.open(self.path, os.O_RDONLY)
        self.assertFalse(marks.put([1]))
        marks.close(clean=False)
        self.assertFalse(marks.put([1]))
        self.assertEqual(self.marks()[0].count(1), 0)
