"""Syncs that fail: what was acknowledged is there afterwards, whatever was refused; in memory, and on a disk after a crash."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.configuration import Configuration
from launcelot.app.settings import AccountSettings, DaemonSettings
from launcelot.app.site import build_site
from launcelot.app.stores import Stores, build_stores, inline
from launcelot.core.errors import TryLater
from launcelot.core.limits import ConnectionCount
from launcelot.message.address import Address
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.service import Settings
from launcelot.protocols.smtp.session import Role
from launcelot.testing import at
from launcelot.testing.faulting import FaultyTaps
from launcelot.testing.faults import Fault
from launcelot.testing.link import Link, connect
from launcelot.testing.network import MemoryNetwork, MemoryReactor
from launcelot.testing.post import Post
from launcelot.testing.sentences import parse
from launcelot.testing.storing import guard
from launcelot.testing.trial import WorldMixin
from launcelot.testing.worlds import TrialWorld
from tests.testing.foreign import inbox

T = TypeVar("T")

MAILS = 4
HOUR = 3_600.0


def send(link: Link, number: int, *recipients: str) -> bool:
    """Send a mail; whether it was acknowledged."""
    said = b"".join(b"RCPT TO:<%s>\r\n" % one.encode() for one in recipients)
    link.say(b"MAIL FROM:<eve@sender.example>\r\n" + said + b"DATA\r\n")
    link.take()
    link.say(b"Subject: %d\r\n\r\nhi\r\n.\r\n" % number)
    return link.take().startswith(b"250")


class SentenceTests(SynchronousTestCase):
    """What can be said of syncs."""

    def test_text_is_the_sentence(self) -> None:
        """And back."""
        for fault in (at.storage("mail").sync.nth(3).fails("EIO").times(1), at.storage().sync.fails("ENOSPC")):
            self.assertEqual(parse(str(fault)), fault)
        self.assertEqual(str(at.storage("mail").sync.fails()), "at.storage('mail').sync.fails('EIO')")

    def test_nonsense(self) -> None:
        """Only storage syncs, and a sync can only fail."""
        self.assertRaises(ValueError, lambda: at.smtp("DATA").sync)
        for wrong in (at.storage("mail").sync.stalls, at.storage("mail").stalls, at.storage("mail").reply.fails):
            self.assertRaises(ValueError, wrong)
        self.assertRaises(ValueError, at.storage("mail").sync.delays, 1)


class MemoryTests(WorldMixin, SynchronousTestCase):
    """Stores of a world."""

    def begin(self, fault: Fault) -> tuple[TrialWorld, Link]:
        """A greeted peer of SMTP."""
        world = self.world()
        world.add_user("ann")
        world.add_user("bob")
        world.fault(fault)
        link = world.serve("smtp", delivery_grace=0.0).connect()
        link.say(b"EHLO me\r\n")
        link.take()
        return world, link

    def test_append(self) -> None:
        """Is refused, and the message is there: who tries again has it twice."""
        world = self.world()
        world.add_user("ann")
        armed = world.fault(at.storage("mail").sync.nth(2).fails().times(1))
        link = world.serve("imap").connect()
        link.say(b"a LOGIN ann pw\r\n")
        link.take()
        answers = []
        for tag in (b"b", b"c", b"d"):
            link.say(tag + b" APPEND INBOX {4+}\r\nx: y\r\n")
            answers.append(link.take()[2:4])
        self.assertEqual((answers, armed.struck), ([b"OK", b"NO", b"OK"], 1))
        self.assertEqual(len(world.result(inbox(world).sizes())), 3)

    def test_accepted_mail_is_delivered_once(self) -> None:
        """Where the sync of its delivery failed it is tried again, and known again."""
        world, link = self.begin(at.storage("mail").sync.fails().times(1))
        self.assertTrue(send(link, 1, "ann@test"))
        self.assertDelivered(world, times=0)
        world.advance(HOUR, 60.0)
        self.assertDelivered(world, times=1)
        self.assertEqual(len(world.result(inbox(world).sizes())), 1)

    def test_refused_mail_may_be_there(self) -> None:
        """So a client that tries again doubles it, as it must."""
        world, link = self.begin(at.storage("spool").sync.fails().times(1))
        self.assertEqual([send(link, 1, "ann@test"), send(link, 1, "ann@test")], [False, True])
        self.assertDelivered(world, times=2)

    def test_files(self) -> None:
        """An upload is refused, and the file is there."""
        world = self.world()
        ann = world.add_user("ann")
        world.fault(at.storage("files").sync.fails("EIO").times(1))

        async def put() -> Any:
            tree = await world.site.files.tree(ann.id, 0)
            upload = await tree.upload(("a.bin",))
            await upload.write(b"x")
            try:
                await upload.publish()
            except TryLater:
                return [entry.name async for batch in tree.entries(()) for entry in batch]

        self.assertEqual(world.result(put()), ["a.bin"])


class DurableTests(SynchronousTestCase):
    """The daemon's stores, in a folder; a crash is a copy of it, from which they are opened again."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of what ends without waiting."""
        found: T = self.successResultOf(Deferred.fromCoroutine(coroutine))
        return found

    def open(self, folder: Path) -> Stores:
        """Stores in a folder, closed at the end."""
        self.configuration = Configuration(
            daemon=DaemonSettings(domains=("test",), data=str(folder), hostname="here.test"),
            accounts=replace(AccountSettings(), hash_memory=8_192, hash_passes=1),
        )
        stores = build_stores(self.configuration, inline, self.clock)
        self.wait(stores.open())
        self.addCleanup(lambda: self.wait(stores.close()))
        return stores

    def begin(self, fault: Fault) -> tuple[Stores, Link, Any]:
        """Stores with ann and bob, a greeted peer, and the fault."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        stores = self.open(self.folder)
        for name in ("ann", "bob"):
            self.wait(stores.accounts.add(name, Address(name, "test"), "pw"))
        site = build_site(MemoryReactor(self.clock, self.network), self.configuration, stores, None)
        taps = FaultyTaps(self.clock.seconds, Post(self.clock.seconds, self.network.soon), self.clock.callLater)
        guard(site, taps)
        armed = taps.arm(fault)
        factory = SmtpFactory(site, "smtp", ConnectionCount(10, 10), Settings(delivery_grace=0), Role.MX)
        link = connect(factory, self.clock, "127.0.0.1", self.network)
        link.say(b"EHLO client.example\r\n")
        link.take()
        return stores, link, armed

    def crashed(self) -> Stores:
        """The machine is off, and on again; what waits is delivered."""
        copy = Path(self.mktemp()).absolute()
        shutil.copytree(self.folder, copy)
        stores = self.open(copy)
        for _ in range(60):
            self.clock.advance(60.0)
            self.network.pump()
        return stores

    def found(self, stores: Stores, name: str) -> Counter[int]:
        """How often each mail is in somebody's inbox."""

        async def look() -> Counter[int]:
            account = await stores.accounts.account(name)
            box = await (await stores.mail.mail(account.id)).mailbox("INBOX")
            octets = [await box.read(uid, 0, size) for uid, size in await box.sizes()]
            return Counter(int(number) for one in octets for number in re.findall(rb"(?m)^Subject: (\d+)\r$", one))

        return self.wait(look())

    def play(self, fault: Fault, *recipients: str) -> tuple[list[int], int]:
        """Send some; which were acknowledged, and how often the fault struck.  Those are there once for each recipient."""
        stores, link, armed = self.begin(fault)
        kept = [number for number in range(MAILS) if send(link, number, *(f"{one}@test" for one in recipients))]
        self.clock.advance(0)
        for where in (self.crashed(), stores):
            for name in recipients:
                there = self.found(where, name)
                self.assertEqual({number: there[number] for number in kept}, dict.fromkeys(kept, 1), (str(fault), name))
                self.assertLessEqual(max(there.values(), default=0), 1, str(fault))
        return kept, armed.struck

    def test_each_sync_of_a_mailbox(self) -> None:
        """Fails once: the queue takes the mail then, and the mailbox knows it again."""
        for use in range(1, MAILS + 1):
            kept, struck = self.play(at.storage("mail").sync.nth(use).fails().times(1), "ann")
            self.assertEqual((kept, struck), (list(range(MAILS)), 1))

    def test_each_sync_of_the_spool(self) -> None:
        """Fails once: its mail is refused, all others are in both mailboxes."""
        refused = 0
        for use in range(1, MAILS + 1):
            kept, struck = self.play(at.storage("spool").sync.nth(use).fails().times(1), "ann", "bob")
            refused += MAILS - len(kept)
            self.assertEqual(struck, 1)
        self.assertGreater(refused, 0)

    def test_all_syncs(self) -> None:
        """Nothing is acknowledged."""
        kept, _ = self.play(at.storage().sync.fails("EIO"), "ann")
        self.assertEqual(kept, [])
