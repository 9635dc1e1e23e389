"""Whose mail is signed: that of accounts, in every way it may come, and nobody else's."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.checks.keys import KeyFolder, make_key
from launcelot.checks.signing import Signer
from launcelot.core.limits import ConnectionCount
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.service import Settings
from launcelot.protocols.smtp.session import Role
from launcelot.testing.site import memory_site
from launcelot.workers.memory import InlineWorkers
from tests.protocols.smtp.support import plain

FIELD = b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=e.example; s=s;"
LETTER = b"From: ann@e.example\r\nSubject: x\r\n\r\n\xc3\xa4\r\n"


class SigningTests(SynchronousTestCase):
    """A Site of e.example with a key."""

    def setUp(self) -> None:
        self.world = memory_site(domain="e.example")
        self.ann = self.world.add_user("ann", "secret")
        folder = KeyFolder(Path(self.mktemp()))
        folder.add(make_key("e.example", "s", "ed25519"))
        self.site = self.world.site
        self.site.signer = Signer(folder, self.site.staging, InlineWorkers())

    def send(self, *, role: Role = Role.SUBMISSION, login: bool = True, how: str = "DATA", parameters: bytes = b"") -> bytes:
        """One mail to ann; what is in her mailbox then."""
        factory = SmtpFactory(self.site, "x", ConnectionCount(10, 10), Settings(error_delay=0.0), role)
        link = self.world.connect(factory)
        link.say(b"EHLO me\r\n")
        if login:
            link.say(b"AUTH PLAIN " + plain("ann", "secret") + b"\r\n")
        link.say(b"MAIL FROM:<ann@e.example>" + parameters + b"\r\nRCPT TO:<ann@e.example>\r\n")
        if how == "DATA":
            link.say(b"DATA\r\n" + LETTER + b".\r\n")
        else:
            link.say(b"BDAT %d LAST\r\n" % len(LETTER) + LETTER)
        self.assertIn(b"\r\n250 2.0.0 Accepted", link.take())
        return self.latest()

    def latest(self) -> bytes:
        """The newest message of ann's, below what delivery wrote on top."""

        async def read() -> bytes:
            box = await (await self.site.mail.mail(self.ann.id)).mailbox("INBOX")
            return await box.read((await box.states())[-1].uid, 0, 1 << 20)

        whole = self.world.result(read())
        return whole.partition(b"Delivered-To: ann@e.example\r\n")[2]

    def test_submitted_mail_is_signed(self) -> None:
        """On every listener where somebody has logged in, by DATA and by BDAT; what we added is signed with it."""
        for role in (Role.SUBMISSION, Role.MX):
            for how, parameters in (("DATA", b" BODY=8BITMIME"), ("BDAT", b" BODY=BINARYMIME"), ("DATA", b" SMTPUTF8")):
                found = self.send(role=role, how=how, parameters=parameters)
                self.assertTrue(found.startswith(FIELD), found[:200])
                names = found.partition(b"h=")[2].partition(b";")[0]
                self.assertEqual([names.count(one) for one in (b"date:", b"message-id:", b"from:")], [2, 2, 2])
                self.assertIn(b"\r\nReceived: from me", found)

    def test_mail_of_strangers_is_not_signed(self) -> None:
        """Whatever its From says."""
        self.assertTrue(self.send(role=Role.MX, login=False).startswith(b"Received: from me"))

    def test_without_a_key(self) -> None:
        """Mail goes on as it is."""
        self.site.signer = Signer(KeyFolder(Path(self.mktemp())), self.site.staging, InlineWorkers())
        self.assertTrue(self.send().startswith(b"Received: from me"))
