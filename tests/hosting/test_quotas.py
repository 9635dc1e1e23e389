"""One quota over mail and files, in memory and on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import OverQuota
from launcelot.core.ids import AccountId
from launcelot.filestore.disk import DiskFileStore
from launcelot.filestore.interface import FileStore
from launcelot.filestore.ledger import RUN, Ledger
from launcelot.filestore.memory import MemoryFileStore
from launcelot.hosting.quotas import share_quota
from launcelot.mailstore.interface import INBOX, MailStore
from launcelot.mailstore.memory import MemoryMailStore
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.protocols.ftp.session import Session
from launcelot.workers.memory import InlineWorkers
from tests.protocols.ftp.kit import Peer

ANN = AccountId("a1")
QUOTA = 10_000
MESSAGE = b"Subject: x\r\n\r\n" + b"m" * 3_986
"""4,000 octets."""


def fresh() -> Callable[[], str]:
    """Ids."""
    numbers = iter(range(10_000))
    return lambda: f"i{next(numbers):05d}"


class QuotaCase:
    """Both stores, joined."""

    mail: MailStore
    files: FileStore

    def result(self: Any, work: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine returns."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    async def append(self) -> None:
        """Put a message into INBOX."""
        mail = await self.mail.mail(ANN, QUOTA)
        await (await mail.mailbox(INBOX)).append(MESSAGE, frozenset(), datetime.now(UTC))

    async def put(self, octets: int, name: str = "f") -> None:
        """Put a file."""
        upload = await (await self.files.tree(ANN, QUOTA)).upload((name,))
        try:
            await upload.write(b"x" * octets)
            await upload.publish()
        except OverQuota:
            upload.offset = 0
            await upload.abandon()
            raise

    def over(self: Any, work: Coroutine[Any, Any, None]) -> None:
        """It does not fit."""
        self.failureResultOf(Deferred.fromCoroutine(work), OverQuota)

    def test_files_leave_less_for_mail(self: Any) -> None:
        """A message that does not fit beside the files is refused; when they go it fits."""
        self.result(self.put(6_500))
        self.over(self.append())
        self.assertEqual(self.files.octets(ANN), 6_500)

        async def remove() -> None:
            await (await self.files.tree(ANN, QUOTA)).remove(("f",))

        self.result(remove())
        self.result(self.append())

    def test_mail_leaves_less_for_files(self: Any) -> None:
        """An upload is refused before octets that do not fit beside the mail are taken, and what is free is told."""
        self.result(self.append())

        async def free() -> Any:
            return await (await self.files.tree(ANN, QUOTA)).available()

        taken = self.result(self.usage()).octets
        self.assertEqual(self.result(free()), QUOTA - taken)
        self.over(self.put(QUOTA - taken + 1))
        self.result(self.put(QUOTA - taken))
        self.assertEqual(self.result(free()), 0)
        self.over(self.append())

    async def usage(self) -> Any:
        """What is used."""
        return await (await self.mail.mail(ANN, QUOTA)).usage()

    def test_usage_tells_both(self: Any) -> None:
        """Who asks for the mail's usage is told of the files, where there is a quota."""
        self.result(self.put(1_234))
        self.assertEqual(self.result(self.usage()).beside, 1_234)

    def test_mail_that_comes_during_an_upload(self: Any) -> None:
        """Counts when it is published."""

        async def slow() -> None:
            upload = await (await self.files.tree(ANN, QUOTA)).upload(("f",))
            await upload.write(b"x" * 5_000)
            await self.append()
            self.over(self.append())
            await upload.publish()

        self.result(slow())
        self.over(self.append())

    def test_mail_that_came_first(self: Any) -> None:
        """An upload that began with room and has none when it ends is not published."""

        async def slow() -> None:
            upload = await (await self.files.tree(ANN, 0)).upload(("g",))
            await upload.write(b"x" * 4_000)
            await self.append()
            begun = await (await self.files.tree(ANN, QUOTA)).upload(("f",))
            await begun.write(b"x" * 1_000)
            await upload.publish()
            self.over(begun.write(b"x" * 2_000))
            begun.offset = 0
            await begun.abandon()

        self.result(slow())


class MemoryQuotaTests(QuotaCase, SynchronousTestCase):
    """In memory."""

    def setUp(self) -> None:
        """Join them."""
        self.mail = MemoryMailStore(lambda: datetime.now(UTC), fresh())
        self.files = MemoryFileStore(time.time, fresh())
        share_quota(self.mail, self.files)


class DiskQuotaTests(QuotaCase, SynchronousTestCase):
    """On disk, one process."""

    def ledger(self) -> Ledger | None:
        """Where processes count together."""
        return None

    def setUp(self) -> None:
        """Join them."""
        folder = Path(self.mktemp())
        self.mail = SqliteMailStore(folder / "mail", [InlineWorkers()], InlineWorkers(), lambda: datetime.now(UTC), fresh(), 10)
        self.files = DiskFileStore(folder / "files", InlineWorkers(), time.time, fresh(), ledger=self.ledger())
        share_quota(self.mail, self.files)
        self.addCleanup(lambda: self.result(self.files.close()))
        self.addCleanup(lambda: self.result(self.mail.close()))

    def test_files_nobody_has_asked_for_yet(self) -> None:
        """Files from before a restart count for mail although nobody has opened the tree since; who has none gets none."""
        self.result(self.put(6_500))
        folder = self.files.folder  # type: ignore[attr-defined]
        again = DiskFileStore(folder, InlineWorkers(), time.time, fresh(), ledger=self.ledger())
        share_quota(self.mail, again)
        self.over(self.append())
        self.assertEqual((again.octets(ANN), again.octets(AccountId("nobody")), again.octets(AccountId("../a1"))), (6_500, 0, 0))
        self.assertFalse((folder / "nobody").exists())


class LedgerQuotaTests(DiskQuotaTests):
    """On disk, several processes."""

    def ledger(self) -> Ledger | None:
        """A run."""
        return Ledger(b"r" * RUN)


class FtpTests(SynchronousTestCase):
    """As a peer sees it."""

    def test_upload_beside_mail(self) -> None:
        """STOR is 552 where mail has taken the room, AVBL tells what is left, and nothing is published."""
        peer = Peer(quota=QUOTA)

        async def append() -> None:
            mail = await peer.world.site.mail.mail(peer.account.id, QUOTA)
            await (await mail.mailbox(INBOX)).append(MESSAGE, frozenset(), datetime.now(UTC))

        peer.world.result(append())
        self.assertIn(b"552 ", peer.send("STOR f", b"x" * 7_000))
        self.assertEqual(peer.names(), [])
        [session] = peer.factory.sessions
        self.assertIsInstance(session.session, Session)  # type: ignore[attr-defined]
        free = int(peer.do("AVBL")[4:].strip())
        self.assertLessEqual(free, 6_000)
