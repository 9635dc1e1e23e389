"""A world with a POP3 service and a user who has mail."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcelot.core.ids import AccountId
from launcelot.core.limits import ConnectionCount
from launcelot.mailstore.interface import INBOX, Mailbox
from launcelot.protocols.pop3.server import Pop3Factory
from launcelot.protocols.pop3.service import Settings, policy_of
from launcelot.testing.certificates import Certificates
from launcelot.testing.dialogue import play
from launcelot.testing.link import Link
from launcelot.testing.site import World, memory_site

FIRST = b"Subject: one\r\n\r\nHello.\r\n"
SECOND = b"Subject: two\r\nX: y\r\n\r\n.\r\n..\r\nline 3\r\nline 4\r\n"


class Post:
    """
    One account ``ann`` with a password ``pw``, and the service.

    :param data: a folder for the service's own file, where a setting needs one.
    """

    def __init__(
        self,
        messages: Sequence[bytes] = (FIRST, SECOND),
        tls: bool | Certificates = False,
        data: Path | None = None,
        **settings: Any,
    ) -> None:
        self.world: World = memory_site(tls=tls, data=data)
        self.account = self.world.add_user("ann", "pw")
        self.settings = replace(Settings(), **settings)
        self.count = ConnectionCount(100, 100)
        policy = policy_of(self.world.site, self.settings)
        self.factory = Pop3Factory(self.world.site, "pop3", self.count, self.settings, policy=policy)
        self.world.open()
        for message in messages:
            self.deliver(message)

    def inbox(self) -> Mailbox:
        """Ann's INBOX."""
        mail = self.world.result(self.world.site.mail.mail(AccountId(self.account.id)))
        return self.world.result(mail.mailbox(INBOX))

    def deliver(self, message: bytes) -> None:
        """Put a message into it."""
        self.world.result(self.inbox().append(message, ()))

    def bodies(self) -> list[bytes]:
        """What is in it now."""
        inbox = self.inbox()
        uids = [state.uid for state in self.world.result(inbox.states())]
        return [self.world.result(inbox.read(uid, 0, 1 << 30)) for uid in uids]

    def connect(self, source: str = "127.0.0.1") -> Link:
        """A raw peer that has heard the greeting."""
        link = self.world.connect(self.factory, source)
        assert link.take().startswith(b"+OK "), "no greeting"
        return link

    def logged_in(self) -> Link:
        """A raw peer logged in as Ann."""
        link = self.connect()
        link.say(b"USER ann\r\nPASS pw\r\n")
        replies = link.take().split(b"\r\n")
        assert [reply[:3] for reply in replies] == [b"+OK", b"+OK", b""], replies
        return link

    def play(self, text: str, link: Link | None = None, chunk: int | None = None) -> Link:
        """Play a dialogue, in TRANSACTION state unless a link is given."""
        return play(self.factory, self.world.clock, text, link or self.logged_in(), chunk)
