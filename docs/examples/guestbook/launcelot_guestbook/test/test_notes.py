"""The notes on their disk."""

from __future__ import annotations

from pathlib import Path

from launcelot.core.errors import TryLater
from launcelot.testing.site import World, memory_site
from twisted.trial.unittest import SynchronousTestCase

from launcelot_guestbook.notes import MIGRATIONS, Notes


class NotesTests(SynchronousTestCase):
    """One book."""

    def setUp(self) -> None:
        """Name its folder."""
        self.data = Path(self.mktemp())

    def opened(self, keep: int = 3) -> tuple[World, Notes]:
        """The book as a daemon that has just started finds it."""
        world = memory_site(data=self.data)
        notes = Notes(world.site.database("guestbook", MIGRATIONS), keep)
        world.open()
        self.addCleanup(world.close)
        return world, notes

    def test_newest_last(self) -> None:
        """In the order they were written, with who and when."""
        world, notes = self.opened()
        for text in ("one", "two"):
            world.result(notes.write("ann", text, world.site.now()))
        found = world.result(notes.latest(10))
        self.assertEqual([(1, "ann", "one"), (2, "ann", "two")], [(one.number, one.author, one.text) for one in found])
        self.assertEqual("2023-11-14T22:13:20Z", found[0].written)
        self.assertEqual(["two"], [one.text for one in world.result(notes.latest(1))])

    def test_kept(self) -> None:
        """The next daemon finds them, and goes on counting."""
        world, notes = self.opened()
        world.result(notes.write("ann", "one", world.site.now()))
        world, notes = self.opened()
        self.assertEqual(["one"], [one.text for one in world.result(notes.latest(10))])
        self.assertEqual(2, world.result(notes.write("ann", "two", world.site.now())))

    def test_oldest_dropped(self) -> None:
        """The file does not grow for ever; no number comes twice."""
        world, notes = self.opened(keep=3)
        numbers = [world.result(notes.write("ann", str(one), world.site.now())) for one in range(5)]
        self.assertEqual([1, 2, 3, 4, 5], numbers)
        self.assertEqual([3, 4, 5], [one.number for one in world.result(notes.latest(10))])

    def test_no_disk(self) -> None:
        """A refusal, not a traceback."""
        world, notes = self.opened()
        world.close()
        with self.assertRaises(TryLater):
            world.result(notes.write("ann", "one", world.site.now()))
        with self.assertRaises(TryLater):
            world.result(notes.latest(1))
