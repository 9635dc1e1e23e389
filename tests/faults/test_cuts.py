"""
C15, C30: a connection that ends at any octet, in either direction, leaves nothing open about what became of a mail but what
nobody can know.  ``LAUNCELOT_FAULTS=full`` cuts in all three ways at each octet.
"""

from __future__ import annotations

import base64
import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.limits import ConnectionCount
from launcelot.message.address import Address
from launcelot.protocols.smtp.client import Message, SmtpClientFactory, Timeouts
from launcelot.protocols.smtp.failures import Disconnected, SmtpError
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.service import Settings
from launcelot.protocols.smtp.session import Role
from launcelot.testing.cuts import Kind, every_cut
from launcelot.testing.link import connect, connect_pair
from launcelot.testing.site import World, memory_site

FULL = os.environ.get("LAUNCELOT_FAULTS") == "full"
EVE, ANN, NOBODY = Address("eve", "example.com"), Address("ann", "test"), Address("nobody", "test")
TEXT = b"Subject: x\r\n\r\n.dot\r\nbody\r\n"


def made() -> World:
    """A world with ann in it."""
    world = memory_site()
    world.add_user("ann", "secret")
    return world


def server(world: World, role: Role = Role.MX) -> SmtpFactory:
    """A listener there."""
    return SmtpFactory(world.site, "smtp", ConnectionCount(10, 10), Settings(delivery_grace=0), role)


def stored(world: World) -> int:
    """Messages in ann's inbox."""

    async def count() -> int:
        account = await world.site.accounts.account("ann")
        mailbox = await (await world.site.mail.mail(account.id)).mailbox("INBOX")
        return len(await mailbox.states())

    return world.result(count())


class ClientTests(SynchronousTestCase):
    """Our client and our server, over a network that is cut."""

    def run_once(self, world: World) -> str:
        """One mail; what the client takes to have become of it, and what is in the mailbox."""
        factory = server(world)
        timeouts = Timeouts(greeting=10, command=10, data=10, end_of_data=10, goodbye=10)
        pair = connect_pair(
            SmtpClientFactory(world.clock, world.site.deadlines, "client.test", timeouts), factory, world.clock, world.network
        )
        ends: list[list[Any]] = [[], [], []]
        marked: list[bool] = []

        async def last() -> None:
            marked.append(True)

        message = Message(Message.of(TEXT).source, len(TEXT), False, last=last)
        asked = (pair.client.hello(), pair.client.send(EVE, [ANN, NOBODY], message), pair.client.quit())
        for end, question in zip(ends, asked, strict=True):
            Deferred.fromCoroutine(question).addBoth(end.append)
        world.network.settle()
        world.advance(70, step=10.0)
        self.assertEqual([len(end) for end in ends], [1, 1, 1], "each ends exactly once")
        world.advance(Settings().idle_timeout + 200, step=100.0)
        self.assertEqual(factory.sessions, set())
        return f"{self.judged(ends[1][0], bool(marked))}, {stored(world)} stored"

    def judged(self, end: Any, marked: bool) -> str:
        """What the client says of the mail."""
        error = getattr(end, "value", None)
        if error is None:
            self.assertEqual((end.accepted, marked), ((ANN,), True))
            return "sent"
        self.assertIsInstance(error, SmtpError)
        ambiguous = isinstance(error, Disconnected) and error.ambiguous
        self.assertLessEqual(ambiguous, marked, "nothing is open before it was marked")
        return "unsure" if ambiguous else "not sent"

    def test_every_cut(self) -> None:
        """Who says sent is right, who says not sent is right, and unsure is only whoever sent the dot and heard no reply."""
        for kind, step in ((Kind.RST, 1), (Kind.FIN, 7), (Kind.STALL, 7)):
            table = every_cut(made, self.run_once, kinds=[kind], step=1 if FULL else step)
            self.assertEqual(table.whole, "sent, 1 stored")
            allowed = ("sent, 1 stored", "not sent, 0 stored", "unsure, 0 stored", "unsure, 1 stored")
            self.assertEqual(table.other_than(allowed), [], table.report())


class ServerTests(SynchronousTestCase):
    """Whoever vanishes: a message is there if its end has come, and not otherwise."""

    def sessions(self) -> list[tuple[Role, bytes, int]]:
        """What is said, and how many octets of it make the message."""
        login = b"AUTH PLAIN " + base64.b64encode(b"\0ann\0secret") + b"\r\n"
        stuffed = TEXT.replace(b"\r\n.", b"\r\n..")
        found = []
        for role, begin, text in (
            (Role.MX, b"EHLO c.test\r\n", b"DATA\r\n" + stuffed + b".\r\n"),
            (Role.MX, b"HELO c.test\r\n", b"DATA\r\n.\r\n"),
            (Role.MX, b"EHLO c.test\r\n", b"BDAT 8\r\n%bBDAT %d LAST\r\n%b" % (TEXT[:8], len(TEXT) - 8, TEXT[8:])),
            (Role.SUBMISSION, b"EHLO c.test\r\n" + login, b"BDAT %d\r\n%bBDAT 0 LAST\r\n" % (len(TEXT), TEXT)),
            (Role.LMTP, b"LHLO c.test\r\n", b"DATA\r\n" + stuffed + b".\r\n"),
        ):
            sender = b"ann@test" if role is Role.SUBMISSION else b"eve@example.com"
            said = begin + b"MAIL FROM:<%b>\r\nRCPT TO:<ann@test>\r\n" % sender + text
            found.append((role, said + b"NOOP\r\nQUIT\r\n", len(said)))
        return found

    def test_every_cut(self) -> None:
        """Reset behind each octet of each session; no session is left."""
        for role, said, end in self.sessions():
            world = made()
            factory = server(world, role)
            for octets in range(len(said) + 1):
                before = stored(world)
                link = connect(factory, world.clock, "127.0.0.1", world.network)
                link.say(said[:octets])
                link.abort()
                world.network.settle()
                self.assertEqual(stored(world) - before, octets >= end, (role, said[:octets]))
            self.assertEqual(factory.sessions, set())
