"""Sessions whose account has another password, is disabled or removed: ended in their protocol's words, with nothing done."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.server import DISMISS_LIMIT
from launcelot.testing.link import Link
from tests.protocols.ftp.kit import Peer
from tests.protocols.imap4.world import MESSAGE, ImapCase
from tests.protocols.managesieve.test_server import Office
from tests.protocols.pop3.world import Post
from tests.protocols.smtp.support import ENVELOPE, SmtpCase

BIG = b"x" * 76 + b"\r\n"


def dismissed(link: Link, factory: object, user: str = "ann") -> bytes:
    """What a peer hears of it; how many sessions there were is in the factory's hands."""
    count = factory.dismiss(user)  # type: ignore[attr-defined]
    if count != 1:
        raise AssertionError(count)
    return link.take()


class ImapTests(ImapCase):
    """BYE, whatever the session does."""

    def test_waiting(self) -> None:
        """Between commands and in IDLE; others stay."""
        self.world.add_user("bob", "pw")
        bob = self.connect()
        self.ask(bob, b"LOGIN bob pw")
        for command in (b"", b"t IDLE\r\n"):
            link = self.log_in("INBOX")
            link.say(command)
            link.take()
            self.assertEqual(dismissed(link, self.factory), b"* BYE Log in again, the account has been changed\r\n")
            self.assertTrue(link.closed)
            link.close()
        self.ask(bob, b"NOOP")

    def test_half_a_message(self) -> None:
        """APPEND is not waited for, and what comes of it later is nothing."""
        link = self.log_in("INBOX")
        link.say(b"t APPEND INBOX {%d}\r\n" % len(MESSAGE))
        link.say(MESSAGE[:20])
        link.take()
        self.assertTrue(dismissed(link, self.factory).startswith(b"* BYE "))
        link.say(MESSAGE[20:] + b"\r\n")
        other = self.log_in()
        self.assertIn(b"* STATUS \"INBOX\" (MESSAGES 0)", self.ask(other, b"STATUS INBOX (MESSAGES)"))

    def test_peer_that_does_not_read(self) -> None:
        """What has more to send than its peer takes cannot say it; it is cut off."""
        link = self.log_in("INBOX")
        self.ask_for_much(link)
        self.assertEqual(self.factory.dismiss("ann"), 1)
        self.world.advance(DISMISS_LIMIT - 1)
        self.assertEqual(len(self.factory.sessions), 1)
        self.world.advance(2)
        self.assertEqual(len(self.factory.sessions), 0)

    def ask_for_much(self, link: Link) -> None:
        """Have 4 MiB under way to a peer that does not take them."""
        body = MESSAGE + BIG * 14_000
        link.say(b"t APPEND INBOX {%d+}\r\n" % len(body) + body + b"\r\n")
        link.take()
        link.stop_reading()
        link.say(b"t FETCH 1 (BODY[] BODY[] BODY[] BODY[])\r\n" * 4)

    def test_ended_twice(self) -> None:
        """A password that is changed twice ends a session once, and no timer is left."""
        link = self.log_in("INBOX")
        self.ask_for_much(link)
        for _ in range(2):
            self.factory.dismiss("ann")
        link.abort()
        self.assertEqual([call for call in self.world.clock.getDelayedCalls() if call.getTime() < 60], [])

    def test_nobody(self) -> None:
        """Who has not logged in is nobody's session, and stays."""
        link = self.connect()
        self.assertEqual((self.factory.dismiss(""), self.factory.dismiss("ann")), (0, 0))
        self.ask(link, b"NOOP")


class Pop3Tests(SynchronousTestCase):
    """-ERR; messages stay, and the maildrop is free."""

    def test_deletions_are_forgotten(self) -> None:
        """It is no QUIT, even if that has been sent."""
        post = Post()
        link = post.logged_in()
        link.say(b"DELE 1\r\n")
        link.take()
        self.assertEqual(
            dismissed(link, post.factory), b"-ERR [AUTH] log in again, the account has been changed\r\n"
        )
        self.assertTrue(link.closed)
        link.say(b"QUIT\r\n")
        self.assertEqual(len(post.bodies()), 2)
        post.logged_in()


    def test_password_that_was_right_a_moment_ago(self) -> None:
        """A log-in that is proved, but not through when its account is dismissed, is let in and sent away; the next stays."""
        post = Post()
        gate: Deferred[None] = Deferred()
        opened = post.world.site.mail.mail

        async def opening(*arguments: Any) -> Any:
            await gate
            return await opened(*arguments)

        self.patch(post.world.site.mail, "mail", opening)
        link = post.connect()
        for line in (b"USER ann\r\n", b"PASS pw\r\n"):
            link.take()
            link.say(line)
        post.world.advance(1)
        self.assertEqual(post.factory.dismiss("ann"), 0)
        post.world.advance(1)
        gate.callback(None)
        self.assertEqual([line[:10] for line in link.take().split(b"\r\n")], [b"+OK 2 mess", b"-ERR [AUTH", b""])
        self.assertTrue(link.closed)
        post.world.advance(DISMISS_LIMIT + 1)
        post.logged_in().say(b"NOOP\r\n")


class FtpTests(SynchronousTestCase):
    """421, and no transfer outlives it."""

    WORDS = b"421 Log in again, the account has been changed.\r\n"

    def test_waiting(self) -> None:
        """Between commands."""
        peer = Peer()
        self.assertEqual(dismissed(peer.link, peer.factory), self.WORDS)
        self.assertTrue(peer.link.closed)

    def test_upload(self) -> None:
        """426 first; the old file stays, and commands that wait behind the upload are not done."""
        peer = Peer()
        peer.put("f", data=b"old")
        peer.put("g", data=b"g")
        data = peer.data()
        peer.do("STOR f")
        data.say(b"new")
        self.assertEqual(peer.do("DELE g"), b"")
        heard = dismissed(peer.link, peer.factory)
        self.assertEqual([line[:3] for line in heard.split(b"\r\n")], [b"426", b"421", b""])
        data.close()
        self.assertEqual((peer.content("f"), peer.content("g")), (b"old", b"g"))

    def test_download(self) -> None:
        """It is cut."""
        peer = Peer()
        peer.put("f", data=BIG * 50_000)
        data = peer.data()
        data.stop_reading()
        peer.do("RETR f")
        heard = dismissed(peer.link, peer.factory)
        self.assertEqual([line[:3] for line in heard.split(b"\r\n")], [b"426", b"421", b""])
        data.go_on_reading()
        self.assertIsNotNone(data.peer.lost)


class SmtpTests(SmtpCase):
    """421 4.7.0, and a message that has not come whole is nobody's."""

    def test_in_a_message(self) -> None:
        """Of a client who logged in; servers that bring mail are not concerned."""
        other = self.connect(self.mx)
        self.assertEqual(self.codes(other, ENVELOPE), [250, 250, 250])
        link = self.logged_in()
        self.assertEqual(
            self.codes(link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\n"), [250, 250, 354]
        )
        link.say(b"From: ann@test\r\n\r\nhalf")
        self.assertEqual(
            dismissed(link, self.submission), b"421 4.7.0 here.test Log in again, the account has been changed\r\n"
        )
        link.say(b"\r\n.\r\n")
        self.assertEqual((link.take(), self.inbox("bob")), (b"", []))
        self.assertEqual(self.mx.dismiss("ann"), 0)


class ManageSieveTests(SynchronousTestCase):
    """BYE."""

    def test_waiting(self) -> None:
        """In a script that has not come whole."""
        office = Office()
        link = office.logged_in()
        link.say(b'PUTSCRIPT "a" {100+}\r\n# ')
        self.assertEqual(dismissed(link, office.factory), b'BYE "log in again, the account has been changed"\r\n')
        self.assertTrue(link.closed)
