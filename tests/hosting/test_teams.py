"""What a Site hands to its protocols: an account's files with its team folders."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.accounts.passwords import CHEAPEST, Hasher
from launcelot.accounts.sqlite import MIGRATIONS, SqliteDirectory
from launcelot.core.errors import Exists, NotFound, NotPermitted, OverQuota, TryLater
from launcelot.core.filerights import ALL, Right
from launcelot.filestore.disk import DiskFileStore
from launcelot.hosting.teams import tree_with_teams
from launcelot.message.address import Address
from launcelot.testing.site import memory_site
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers, SteppedWorkers

T = TypeVar("T")


class SiteTests(SynchronousTestCase):
    """``Site.tree``."""

    def setUp(self) -> None:
        """Ann, and a folder of hers."""
        self.world = memory_site()
        self.ann = self.world.add_user("ann", quota=10)
        self.world.add_team("Plans", {"ann": "editor"}, quota=5, files={"f": b"123"})

    def test_place_is_a_setting(self) -> None:
        """Team folders are where it says, or nowhere; then the name is one like any other."""
        self.world.site.team_place = "Shared"
        tree = self.world.result(self.world.site.tree(self.ann))
        self.assertEqual(self.world.result(tree.entry(("Shared", "Plans", "f"))).size, 3)
        self.assertRaises(Exists, self.world.result, tree.make_folder(("Shared",)))
        self.world.site.team_place = ""
        tree = self.world.result(self.world.site.tree(self.ann))
        self.assertRaises(NotFound, self.world.result, tree.entry(("team",)))
        self.world.result(tree.make_folder(("team",)))

    def test_quota_of_a_folder_that_changes(self) -> None:
        """An open session has the new one with its next upload; mail beside somebody's own files counts for those alone."""
        tree = self.world.result(self.world.site.tree(self.ann))
        path = ("team", "Plans", "g")
        asked: list[str] = []

        async def beside(account: str) -> int:
            asked.append(account)
            return 8

        self.world.site.files.beside = beside
        upload = self.world.result(tree.upload(path))
        self.assertRaises(OverQuota, self.world.result, upload.write(b"456"))
        self.world.result(upload.abandon())
        self.world.result(self.world.site.accounts.change_team_folder("Plans", quota=6))
        upload = self.world.result(tree.upload(path))
        self.world.result(upload.write(b"456"))
        self.world.result(upload.publish())
        self.assertEqual((self.world.result(tree.available(path)), asked), (0, []))
        self.assertEqual((self.world.result(tree.available()), asked), (2, [self.ann.id]))


class PublishingTests(SynchronousTestCase):
    """Accounts and files on disk, where the test lets each job in a worker run when it says so."""

    def setUp(self) -> None:
        """An upload of Ann's that has all its octets, and another process at the same account base."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.disk = SteppedWorkers()
        self.here, self.there = self.opened(folder), self.opened(folder)
        ann = self.now(self.there.add("ann", Address("ann", "example.org"), "pw"))
        self.plans = self.now(self.there.add_team_folder("Plans"))
        self.now(self.there.grant("Plans", "ann", ALL))
        ids = iter(map("i{:05d}".format, range(1_000)))
        self.store = DiskFileStore(folder / "files", self.disk, lambda: 1e9, ids.__next__)
        self.tree = self.step(tree_with_teams(ann, self.store, self.here))
        self.upload = self.step(self.tree.upload(("team", "Plans", "f")))
        self.step(self.upload.write(b"octets"))

    def opened(self, folder: Path) -> SqliteDirectory:
        """The account base as one process has it."""
        workers = InlineWorkers()
        file = Database(folder / "accounts.sqlite", MIGRATIONS, workers, workers)
        directory = SqliteDirectory(file, ["example.org"], Hasher(workers, CHEAPEST))
        self.now(directory.open())
        self.addCleanup(lambda: self.now(directory.close()))
        return directory

    def now(self, asked: Coroutine[Any, Any, T]) -> T:
        """What comes at once."""
        return self.successResultOf(Deferred.fromCoroutine(asked))

    def step(self, asked: Coroutine[Any, Any, T]) -> T:
        """What comes when all jobs have run."""
        waiting = Deferred.fromCoroutine(asked)
        while self.disk.waiting:
            self.disk.perform()
        return self.successResultOf(waiting)

    def publishing(self) -> Deferred[object]:
        """The upload is on its way into its place; the job waits for its worker."""
        waiting: Deferred[object] = Deferred.fromCoroutine(self.upload.publish())
        self.assertNoResult(waiting)
        return waiting

    def finish(self, waiting: Deferred[object]) -> Deferred[object]:
        """Let the worker do it."""
        while self.disk.waiting:
            self.disk.perform()
        return waiting

    def names(self) -> list[str]:
        """What is on the disk."""
        return sorted(path.name for path in (self.store.folder / self.plans.id / "files").iterdir())

    def test_revoked_while_it_waits_for_its_worker(self) -> None:
        """Another process takes the right away after the last question of this one's thread; it is not published."""
        waiting = self.publishing()
        self.now(self.there.revoke("Plans", "ann", Right.CREATE))
        self.failureResultOf(self.finish(waiting), NotPermitted)
        self.assertEqual(self.names(), [])
        self.step(self.upload.abandon())
        self.assertEqual(list((self.store.folder / self.plans.id / ".uploads").iterdir()), [])

    def test_folder_or_account_that_goes_while_it_waits(self) -> None:
        """Nobody has rights in a folder that is no more, nor has an account that is no more."""
        for gone in (self.there.remove_team_folder, lambda _: self.there.remove("ann")):
            waiting = self.publishing()
            self.now(gone("Plans"))
            self.failureResultOf(self.finish(waiting), NotPermitted)
            self.assertEqual(self.names(), [])
            self.doCleanups()
            self.setUp()

    def test_account_base_that_cannot_be_asked(self) -> None:
        """It is not published, and may be tried again later."""
        waiting = self.publishing()
        self.now(self.here.close())
        self.failureResultOf(self.finish(waiting), TryLater)
        self.assertEqual(self.names(), [])

    def test_granted_again(self) -> None:
        """What counts is the moment of publishing, not what was in between."""
        self.now(self.there.revoke("Plans", "ann"))
        self.now(self.there.grant("Plans", "anyone", Right.CREATE))
        self.finish(self.publishing())
        self.assertEqual(self.names(), ["f"])
