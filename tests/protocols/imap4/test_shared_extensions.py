"""Extensions on mailboxes of other people: NOTIFY, MULTISEARCH, CATENATE, BINARY, PREVIEW."""

from __future__ import annotations

from launcelot.protocols.imap4.commands import following
from tests.protocols.imap4.test_sharing import BOX, SharingCase

EVENTS = b"(MessageNew MessageExpunge FlagChange)"


class SharedExtensionTests(SharingCase):
    """Bob looks at what Ann has shared."""

    def test_notify(self) -> None:
        """Shared mailboxes are followed by name, by subtree and by subscription, not as personal ones."""
        self.give(b"lr")
        for said in (b"(mailboxes %b %b)" % (BOX, EVENTS), b"(subtree Shared %b)" % EVENTS):
            self.ask(self.bob, b"NOTIFY SET " + said)
            self.fill(1, mailbox="work")
            self.assertRegex(self.bob.take(), rb'\A\* STATUS "Shared/ann/work" \(UIDVALIDITY \d+ UIDNEXT \d+ MESSAGES \d')
        self.ask(self.bob, b"NOTIFY SET (subscribed %b)" % EVENTS)
        self.fill(1, mailbox="work")
        self.assertEqual(self.bob.take(), b"")
        self.ask(self.bob, b"SUBSCRIBE " + BOX)
        self.fill(1, mailbox="work")
        self.assertIn(b'* STATUS "Shared/ann/work" (', self.bob.take())
        self.ask(self.bob, b"UNSUBSCRIBE " + BOX)
        self.ask(self.bob, b"NOTIFY SET (personal %b)" % EVENTS)
        self.fill(1, mailbox="work")
        self.assertEqual(self.bob.take(), b"")
        lines = self.ask(self.bob, b"NOTIFY SET STATUS (mailboxes %b %b)" % (BOX, EVENTS))
        self.assertRegex(lines[0], rb'\A\* STATUS "Shared/ann/work" \(UIDVALIDITY \d+ UIDNEXT 10 MESSAGES 9 HIGHESTMODSEQ \d+\)')

    def test_access_that_is_taken_away(self) -> None:
        """NoAccess once, then silence; without the right to look it up nothing is told at all."""
        self.give(b"lr")
        self.ask(self.bob, b"NOTIFY SET (mailboxes %b %b)" % (BOX, EVENTS))
        self.give(b"l")
        self.fill(2, mailbox="work")
        self.assertEqual(self.bob.take(), b'* LIST (\\NoAccess) "/" "Shared/ann/work"\r\n')
        self.fill(1, mailbox="work")
        self.assertEqual(self.bob.take(), b"")
        lines = self.ask(self.bob, b"NOTIFY SET STATUS (mailboxes %b %b)" % (BOX, EVENTS))
        self.assertEqual(lines[0], b'* LIST (\\NoAccess) "/" "Shared/ann/work"')
        self.give(b"")
        self.assertEqual(len(self.ask(self.bob, b"NOTIFY SET STATUS (mailboxes %b %b)" % (BOX, EVENTS))), 1)

    def test_selected_shared_mailbox(self) -> None:
        """Others' messages come at once, with what was asked for; the mailbox that goes away is BYE."""
        bob = self.opened(b"lrs")
        self.ask(bob, b"NOTIFY SET (selected (MessageNew (uid) MessageExpunge)) (mailboxes %b %b)" % (BOX, EVENTS))
        self.fill(1, mailbox="work")
        self.assertEqual(bob.take().partition(b"* 5 FETCH")[2], b" (UID 5)\r\n")

    def test_too_many(self) -> None:
        """They are bounded."""
        self.patch(following, "MAX_FOLLOWED", 0)
        self.give(b"lr")
        self.ask(self.bob, b"NOTIFY SET (mailboxes %b %b)" % (BOX, EVENTS), b"NO [NOTIFICATIONOVERFLOW]")

    def test_multisearch(self) -> None:
        """By name and subtree where they may be read; passed over where not; never as personal ones."""
        self.give(b"lr")
        for said in (b"mailboxes " + BOX, b"subtree Shared"):
            line = self.ask(self.bob, b"ESEARCH IN (%b) ALL" % said)[0]
            self.assertRegex(line, rb'MAILBOX "Shared/ann/work" UIDVALIDITY \d+\) UID ALL 1:4\Z')
        self.assertEqual(len(self.ask(self.bob, b"ESEARCH IN (personal inboxes) ALL")), 1)
        self.give(b"l")
        self.assertEqual(self.ask(self.bob, b"ESEARCH IN (mailboxes %b) ALL" % BOX), [b"OK ESEARCH completed"])

    def test_catenate(self) -> None:
        """Octets of a shared message where it may be read; BADURL where not."""
        self.give(b"lr")
        url = b"/%b/;UID=1/;PARTIAL=0.5" % BOX
        self.ask(self.bob, b"APPEND INBOX CATENATE (URL %b)" % url)
        self.ask(self.bob, b"SELECT INBOX")
        self.assertIn(b"BODY[] {5}", self.ask(self.bob, b"FETCH 1 BODY.PEEK[]")[0])
        for rights in (b"l", b""):
            self.give(rights)
            self.ask(self.bob, b"APPEND INBOX CATENATE (URL %b)" % url, b"NO [BADURL")
        self.give(b"lr")
        self.ask(self.bob, b"APPEND %b CATENATE (URL %b)" % (BOX, url), b"NO [NOPERM]")

    def test_binary_and_preview(self) -> None:
        """They read, and set no flags that may not be set."""
        bob = self.opened(b"lr")
        before = self.flags("work")
        self.assertIn(b"BINARY[1] {", self.ask(bob, b"FETCH 1 BINARY[1]")[0])
        self.assertIn(b'PREVIEW "Hello Joe', self.ask(bob, b"FETCH 1 PREVIEW")[0])
        self.assertEqual(self.flags("work"), before)


class SqliteTests(SharedExtensionTests):
    """The same on files."""

    in_files = True
