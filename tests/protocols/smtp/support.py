"""A world with an SMTP server and two accounts, and what the tests of this room say again and again."""

from __future__ import annotations

import base64
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.limits import ConnectionCount
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.service import Settings
from launcelot.protocols.smtp.session import Role
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Link
from launcelot.testing.site import memory_site

MESSAGE = b"From: eve@example.com\r\nSubject: x\r\n\r\n.dot\r\nbody\r\n"
STUFFED = MESSAGE.replace(b"\r\n.", b"\r\n..")
ENVELOPE = b"EHLO me\r\nMAIL FROM:<eve@example.com>\r\nRCPT TO:<ann@test>\r\n"


def plain(name: str, password: str) -> bytes:
    """PLAIN's one response."""
    return base64.b64encode(f"\0{name}\0{password}".encode())


class SmtpCase(SynchronousTestCase):
    """Servers for both roles in one memory world, with the accounts ann and bob."""

    settings = Settings(error_delay=0.0)
    tls: bool | Certificates = False

    def setUp(self) -> None:
        self.world = memory_site(tls=self.tls)
        self.ann = self.world.add_user("ann", "secret")
        self.bob = self.world.add_user("bob", "secret")
        self.count = ConnectionCount(100, 100)
        self.configure()

    def configure(self, **changes: object) -> None:
        """Serve with other settings from now on."""
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        self.mx = SmtpFactory(self.world.site, "smtp", self.count, self.settings, Role.MX)
        self.submission = SmtpFactory(self.world.site, "submission", self.count, self.settings, Role.SUBMISSION)

    def connect(self, factory: SmtpFactory | None = None, source: str = "127.0.0.1") -> Link:
        """A raw peer who has heard the greeting."""
        link = self.world.connect(factory or self.mx, source)
        self.assertEqual(link.take(), b"220 here.test ESMTP Launcelot\r\n")
        return link

    def ask(self, link: Link, data: bytes) -> list[bytes]:
        """Say something and give the lines of the answer."""
        link.say(data)
        return link.take().split(b"\r\n")[:-1]

    def codes(self, link: Link, data: bytes) -> list[int]:
        """Say something and give the codes of the answers."""
        return [int(line[:3]) for line in self.ask(link, data) if line[3:4] != b"-"]

    def logged_in(self, factory: SmtpFactory | None = None) -> Link:
        """A peer of submission who is ann."""
        link = self.connect(factory or self.submission)
        self.assertEqual(self.codes(link, b"EHLO me\r\nAUTH PLAIN " + plain("ann", "secret") + b"\r\n"), [250, 235])
        return link

    def inbox(self, name: str = "ann") -> list[bytes]:
        """The messages of an account, in order."""
        return self.world.result(self._inbox(name))

    async def _inbox(self, name: str) -> list[bytes]:
        account = await self.world.site.accounts.account(name)
        mailbox = await (await self.world.site.mail.mail(account.id)).mailbox("INBOX")
        states = await mailbox.states()
        return [await mailbox.read(state.uid, 0, 1 << 30) for state in states]

    def bodies(self, name: str = "ann") -> list[bytes]:
        """The messages of an account below the fields we wrote on top."""
        return [below_trace(message) for message in self.inbox(name)]


def below_trace(message: bytes) -> bytes:
    """A message without the Return-Path, Delivered-To and Received that were put on top of it."""
    for name in (b"Return-Path:", b"Delivered-To:", b"Received:"):
        if not message.startswith(name):
            raise AssertionError(f"{name!r} is missing: {message[:200]!r}")
        end = message.index(b"\r\n")
        while message[end + 2 : end + 3] in (b"\t", b" "):
            end = message.index(b"\r\n", end + 2)
        message = message[end + 2 :]
    return message
