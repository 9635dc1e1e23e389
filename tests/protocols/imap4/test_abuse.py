"""Cases I07 (who never reads while much happens) and I10 (what is hidden) of the security catalogue."""

from __future__ import annotations

import re

from launcelot.mailstore.interface import StoreMode
from launcelot.testing.link import Link
from tests.protocols.imap4.strict import check
from tests.protocols.imap4.world import ImapCase

HIDDEN, ABSENT, STRANGER = b"Shared/ann/work", b"Shared/ann/nope", b"Shared/zoe/work"
COMMANDS = (
    b"SELECT %b", b"EXAMINE %b", b"SELECT %b (CONDSTORE)", b"STATUS %b (MESSAGES UIDNEXT)", b"DELETE %b", b"RENAME %b mine",
    b"SUBSCRIBE %b", b"UNSUBSCRIBE %b", b'LIST "" %b', b'LIST "" %b* RETURN (STATUS (MESSAGES) MYRIGHTS)', b'LSUB "" %b',
    b"APPEND %b {1+}\r\nx", b"APPEND %b {1}", b"APPEND %b {99999999999}", b"GETACL %b", b"SETACL %b bob lr", b"DELETEACL %b bob",
    b"LISTRIGHTS %b bob", b"MYRIGHTS %b", b"GETMETADATA %b /shared/comment", b'SETMETADATA %b (/private/comment "x")',
    b'SETMETADATA %b (/shared/comment "x")', b"GETQUOTAROOT %b", b"ESEARCH IN (mailboxes %b) ALL",
    b"ESEARCH IN (subtree %b) RETURN (COUNT) ALL", b"NOTIFY SET STATUS (mailboxes %b (MessageNew MessageExpunge FlagChange))",
    b"APPEND INBOX CATENATE (URL /%b/;UID=1)", b"RENAME INBOX/x %b", b"CREATE %b/below", b'LIST (SUBSCRIBED) "" %b',
)  # fmt: skip
OPENED = (
    b"COPY 1 %b", b"UID COPY 1 %b", b"UID COPY 77 %b", b"MOVE 1 %b", b"UID MOVE 1 %b", b"REPLACE 1 %b {1+}\r\nx",
    b"UID REPLACE 1 %b {1+}\r\nx",
)  # fmt: skip


COUNT = 4_000
"""Times that something happens; told one by one it would be 260,000 octets at least."""
MOST = 140_000
"""Octets that may wait in our buffer and the system's."""


class HiddenTests(ImapCase):
    """I10: to whom a mailbox is hidden it is as if it were not there.  RFC 4314 section 6."""

    def setUp(self) -> None:
        super().setUp()
        self.world.add_user("bob", "pw")
        self.ann = self.log_in()
        self.ask(self.ann, b"CREATE work")
        self.ask(self.ann, b"CREATE seen")
        self.ask(self.ann, b"SETACL seen bob lr")
        self.fill(2, mailbox="work")

    def bob(self) -> Link:
        """A session of somebody who sees one other mailbox of Ann's."""
        link = self.connect()
        self.ask(link, b"LOGIN bob pw")
        return link

    def answer(self, link: Link, command: bytes, name: bytes) -> bytes:
        """What is answered about a name, which itself is left out."""
        link.say(b"t " + command % name + b"\r\n")
        heard = link.take()
        check(heard)
        for one in (HIDDEN, ABSENT, STRANGER):
            heard = heard.replace(one, b"NAME").replace(one.upper(), b"NAME")
        return re.sub(rb"UIDVALIDITY \d+", b"UIDVALIDITY n", heard)

    def test_hidden_is_absent(self) -> None:
        """Whatever is said about it, with every right that does not show it; nothing of it changes."""
        for rights in (b"", b"p", b"s", b"w", b"t", b"e", b"pswte"):
            self.ask(self.ann, b'SETACL work bob "%b"' % rights)
            for command in COMMANDS:
                link = self.bob()
                hidden, absent = (self.answer(link, command, name) for name in (HIDDEN, ABSENT))
                self.assertEqual(hidden, absent, (rights, command))
                link.close()
            for command in OPENED:
                link = self.bob()
                self.ask(link, b"APPEND INBOX {1+}\r\nx")
                self.ask(link, b"SELECT INBOX")
                hidden, absent = (self.answer(link, command, name) for name in (HIDDEN, ABSENT))
                self.assertEqual(hidden, absent, (rights, command))
                self.assertIn(b"t NO ", hidden, command)
                link.close()
        self.assertEqual(len(self.flags("work")), 2)

    def test_accounts_that_share_nothing_are_absent(self) -> None:
        """Whether an account exists is not told either."""
        self.world.add_user("zoe", "pw")
        for command in COMMANDS:
            link = self.bob()
            there = self.answer(link, command, STRANGER)
            link.close()
            link = self.bob()
            nowhere = self.answer(link, command, b"Shared/nobody/work").replace(b"Shared/nobody/work", b"NAME")
            self.assertEqual(there, nowhere, command)
            link.close()


class NeverReadingTests(ImapCase):
    """I07: what happens while a client does not read is told together, and costs little until then."""

    def test_idle(self) -> None:
        """A thousand messages and as many changes of flags are a few lines."""
        self.fill(1)
        inbox = self.mailbox()
        link = self.log_in("INBOX")
        link.say(b"t IDLE\r\n")
        link.take()
        link.stop_reading()
        for number in range(COUNT):
            self.world.result(inbox.append(b"x", ()))
            self.world.result(inbox.store([1], (StoreMode.ADD, StoreMode.REMOVE)[number % 2], ("\\Flagged",)))
            link.flush()
        link.go_on_reading()
        heard = link.take()
        check(heard)
        self.assertIn(b"* %d EXISTS\r\n" % (COUNT + 1), heard)
        self.assertLess(len(heard), MOST)

    def test_notify(self) -> None:
        """The same for who has asked to be told of another mailbox."""
        self.world.result(self.mail.create("busy"))
        link = self.log_in()
        self.ask(link, b"NOTIFY SET (mailboxes busy (MessageNew MessageExpunge FlagChange))")
        link.stop_reading()
        busy = self.mailbox("busy")
        for _ in range(COUNT):
            self.world.result(busy.append(b"x", ()))
            link.flush()
        link.go_on_reading()
        heard = link.take()
        check(heard)
        self.assertRegex(heard, rb"MESSAGES %d[^\r]*\r\n\Z" % COUNT)
        self.assertLess(len(heard), MOST)
