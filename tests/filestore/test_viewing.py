"""A tree for looking only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import NotPermitted
from launcelot.core.filerights import Right
from launcelot.filestore.interface import Tree
from launcelot.filestore.viewing import ViewedTree
from launcelot.testing.site import memory_site


class ViewedTests(SynchronousTestCase):
    """Ann's files, as somebody else looks at them."""

    def setUp(self) -> None:
        """One file in one folder."""
        self.world = memory_site()
        self.inner: Tree = self.world.result(self.world.site.files.tree(self.world.add_user("ann").id))
        self.world.result(self.fill())
        self.tree: Tree = ViewedTree(self.inner)

    async def fill(self) -> None:
        """What is in it."""
        await self.inner.make_folder(("d",))
        upload = await self.inner.upload(("d", "f"))
        await upload.write(b"octets")
        await upload.publish()

    def test_everything_that_changes_is_refused(self) -> None:
        """All methods of a tree but those that look; one that is added and forgotten here fails this test."""
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "upload": lambda: self.tree.upload(("new",)),
            "make_folder": lambda: self.tree.make_folder(("new",)),
            "remove_folder": lambda: self.tree.remove_folder(("d",)),
            "remove": lambda: self.tree.remove(("d", "f")),
            "rename": lambda: self.tree.rename(("d", "f"), ("g",)),
            "set_modified": lambda: self.tree.set_modified(("d", "f"), 0.0),
            "set_mode": lambda: self.tree.set_mode(("d", "f"), 0o600),
        }
        looks = {"entry", "entries", "lines", "read", "kept", "usage", "available"}
        self.assertEqual({name for name in vars(Tree) if not name.startswith("_")}, looks | set(calls))
        before = self.world.result(self.inner.entry(("d", "f")))
        for name, call in calls.items():
            self.failureResultOf(Deferred.fromCoroutine(call()), NotPermitted), name  # type: ignore[arg-type]
        self.assertEqual(self.world.result(self.inner.entry(("d", "f"))), before)

    def test_looking(self) -> None:
        """Entries have the rights of who looks, and files are read."""
        entry = self.world.result(self.tree.entry(("d", "f")))
        self.assertEqual((entry.size, entry.rights), (6, Right.LIST | Right.READ))
        self.assertTrue(self.world.result(self.tree.entry(())).fixed)
        self.assertEqual(self.world.result(self.tree.available()), 0)
        self.assertEqual(self.world.result(self.tree.kept(("d", "f"))), 0)
        self.assertEqual(self.world.result(self.tree.usage()), 6)
        reader = self.world.result(self.tree.read(("d", "f")))
        self.assertEqual(self.world.result(reader.read(0, 9)), b"octets")
        self.world.result(reader.close())
