"""A Site with an IMAP service in memory, and peers that speak to it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.limits import ConnectionCount
from launcelot.mailstore.interface import AccountMail, Mailbox
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.protocols.imap4.server import ImapFactory
from launcelot.protocols.imap4.settings import Settings
from launcelot.testing.certificates import Certificates
from launcelot.testing.dialogue import play
from launcelot.testing.link import Link
from launcelot.testing.site import World, memory_site
from launcelot.workers.memory import InlineWorkers
from tests.protocols.imap4.strict import check

MESSAGE = (
    b"From: Terry Gray <gray@cac.washington.edu>\r\n"
    b"To: imap@cac.washington.edu\r\n"
    b"Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
    b"Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
    b"\r\n"
    b"Hello Joe, do you think we can meet at 3:30 tomorrow?\r\n"
)


class ImapCase(SynchronousTestCase):
    """
    An account ``ann`` and a service.

    :cvar changes: settings that are not the default.
    :cvar tls: a certificate, or False.
    :cvar in_files: whether mail is kept in SQLite files.
    """

    changes: dict[str, Any] = {}
    in_files = False
    tls: bool | Certificates = False
    implicit_tls = False

    def setUp(self) -> None:
        self.speaks_utf8: set[Link] = set()
        self.world: World = memory_site(tls=self.tls)
        if self.in_files:
            site = self.world.site
            folder = Path(self.mktemp())
            site.mail = SqliteMailStore(folder, [InlineWorkers()], InlineWorkers(), site.now, site.new_id)
            self.addCleanup(lambda: self.world.result(site.mail.close()))
        self.account = self.world.add_user("ann", "pw")
        self.factory = self.make_factory(**self.changes)

    def make_factory(self, **changes: Any) -> ImapFactory:
        """A service with some settings changed."""
        settings = replace(Settings(), **changes)
        return ImapFactory(self.world.site, "imap", ConnectionCount(1000, 1000), settings, self.implicit_tls)

    def connect(self, factory: ImapFactory | None = None, source: str = "127.0.0.1") -> Link:
        """A raw peer that has heard the greeting."""
        link = self.world.connect(factory or self.factory, source)
        if not self.implicit_tls:
            self.assertTrue(link.take().startswith(b"* OK [CAPABILITY IMAP4rev1 "))
        return link

    def log_in(self, mailbox: str = "", read_only: bool = False) -> Link:
        """A raw peer that has logged in and opened a mailbox, if one is named."""
        link = self.connect()
        self.ask(link, b"LOGIN ann pw")
        if mailbox:
            self.ask(link, b"%b %b" % (b"EXAMINE" if read_only else b"SELECT", mailbox.encode()))
        return link

    def ask(self, link: Link, command: bytes, condition: bytes = b"OK") -> list[bytes]:
        """Say one command; the lines it was answered with, strictly read, the tagged one last and without its tag."""
        link.say(b"t " + command + b"\r\n")
        heard = link.take()
        if re.search(rb"\* ENABLED [^\r\n]*(?:UTF8=ACCEPT|IMAP4rev2)", heard):
            self.speaks_utf8.add(link)
        check(heard, link in self.speaks_utf8)
        lines = heard.split(b"\r\n")
        self.assertEqual(lines.pop(), b"", heard)
        self.assertTrue(lines and lines[-1].startswith(b"t " + condition), heard)
        lines[-1] = lines[-1][2:]
        return lines

    def play(self, text: str, link: Link | None = None, chunk: int | None = None) -> Link:
        """Play a dialogue; see :mod:`launcelot.testing.dialogue`."""
        return play(self.factory, self.world.clock, text, link or self.world.connect(self.factory), chunk)

    # -- the store behind ------------------------------------------------------------------------------------------

    @property
    def mail(self) -> AccountMail:
        """The account's mail."""
        return self.world.result(self.world.site.mail.mail(self.account.id))

    def mailbox(self, name: str = "INBOX") -> Mailbox:
        """One of its mailboxes."""
        return self.world.result(self.mail.mailbox(name))

    def fill(
        self, count: int = 1, body: bytes = MESSAGE, mailbox: str = "INBOX", flags: tuple[str, ...] = ()
    ) -> list[int]:
        """Put messages into a mailbox; their UIDs."""
        box = self.mailbox(mailbox)
        uids = [self.world.result(box.append(body, flags)).uid for _ in range(min(count, 10))]
        while len(uids) < count:
            uids.extend(self.world.result(box.copy(uids[: count - len(uids)], mailbox)).target)
        return uids

    def flags(self, mailbox: str = "INBOX") -> list[frozenset[str]]:
        """The flags of all messages, in order."""
        return [state.flags for state in self.world.result(self.mailbox(mailbox).states())]
