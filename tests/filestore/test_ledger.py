"""Several stores on one folder, as several processes have them: locks of flock(2) tell open files apart, not processes."""

from __future__ import annotations

import os
from pathlib import Path

from launcelot.core.errors import NotPermitted, OverQuota
from launcelot.filestore.disk import DiskFileStore
from launcelot.filestore.interface import Tree
from launcelot.filestore.ledger import Ledger
from launcelot.workers.memory import InlineWorkers
from tests.filestore import test_disk
from tests.filestore.contract import ANN

RUN = b"sixteen octets.."


class LedgerTests(test_disk.DiskFileStoreTests):
    """The whole contract with a ledger, and what it is for."""

    def reopened(self, run: bytes = RUN) -> DiskFileStore:
        """A store in another process, of the same run of the daemon if nothing else is said."""
        return DiskFileStore(
            self.disk, InlineWorkers(), self.now, self.ids, self.largest, self.opener(), Ledger(run)
        )

    def trees(self, quota: int = 10) -> tuple[Tree, Tree]:
        """Ann's tree in two processes."""
        return self.get(self.store.tree(ANN, quota)), self.get(self.reopened().tree(ANN, quota))

    @property
    def ledger(self) -> Path:
        """The file."""
        return self.disk / "a1" / ".stored"

    def test_what_others_store_counts(self) -> None:
        """When an upload begins and when it is published, and for whoever looks later; so does what they remove."""
        one, other = self.trees()
        late = self.get(other.upload(("h",)))
        self.put(("f",), b"123456", tree=one)
        self.get(late.write(b"12345"))
        self.refused(OverQuota, late.publish())
        self.get(late.abandon())
        early = self.get(other.upload(("g",)))
        self.refused(OverQuota, early.write(b"12345"))
        self.get(early.abandon())
        self.assertEqual(6, self.get(other.usage()))
        self.get(other.remove(("f",)))
        self.put(("g",), b"1234567890", tree=one)
        self.assertEqual(10, self.get(other.usage()))

    def test_two_that_fit_alone_do_not_fit_together(self) -> None:
        """Whoever publishes first has room; what the other has staged counts, so he must give up first."""
        one, other = self.trees()
        first, second = self.get(one.upload(("f",))), self.get(other.upload(("g",)))
        self.get(first.write(b"123456"))
        self.get(second.write(b"123456"))
        self.get(second.publish())
        self.refused(OverQuota, first.publish())
        self.assertEqual(["g"], self.names((), one))

    def test_an_upload_cut_here_is_continued_there(self) -> None:
        """And counted once, by both."""
        one, other = self.trees()
        upload = self.get(one.upload(("f",)))
        self.get(upload.write(b"1234"))
        self.get(upload.abandon())
        self.assertEqual(0, self.get(other.usage()))
        self.assertEqual(6, self.get(other.available()))
        self.put(("f",), b"5678", offset=4, tree=other)
        self.assertEqual(8, self.get(one.usage()))
        self.assertEqual(2, self.get(one.available()))

    def test_what_another_process_receives_is_not_reaped(self) -> None:
        """However old it is; what a killed one was receiving is."""
        one, _ = self.trees()
        upload = self.get(one.upload(("f",)))
        self.get(upload.write(b"x"))
        store = self.reopened()
        self.assertEqual(0, self.get(store.reap(self.seconds + 1e9)))
        self.get(upload.publish())
        self.assertEqual(b"x", self.content(("f",), one))

    def test_a_process_killed_at_it_has_the_tree_counted_anew(self) -> None:
        """The ledger tells that somebody was; so does one of an earlier run, or half of one."""
        one, other = self.trees(1_000)
        self.put(("f",), b"123", tree=one)
        (self.files / "g").write_bytes(b"4567")
        self.assertEqual(3, self.get(other.usage()))
        whole = self.ledger.read_bytes()
        for found in (bytes(len(whole)), whole[:5], b"another run....." + whole[16:], b""):
            self.ledger.write_bytes(found)
            self.assertEqual(7, self.get(other.usage()))
            self.assertEqual(7, self.get(one.usage()))

    def test_a_refused_change_leaves_the_ledger_whole(self) -> None:
        """Nobody has to count because of it."""
        one, other = self.trees()
        self.put(("f",), b"123", tree=one)
        os.mkdir(self.files / "folder")
        self.refused(NotPermitted, one.remove(("folder",)))
        (self.files / "g").write_bytes(b"4567")
        self.assertEqual(3, self.get(other.usage()))
