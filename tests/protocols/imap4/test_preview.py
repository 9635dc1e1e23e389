"""PREVIEW.  RFC 8970."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.imap4.grammar.fetch import Attribute, Preview
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader
from launcelot.protocols.imap4.grammar.requests import read_fetch, read_uid_fetch
from launcelot.testing.link import every_split
from launcelot.workers.memory import SteppedWorkers
from launcelot.workers.staging import Staging
from tests.protocols.imap4.world import ImapCase

STYLED = b"Content-Type: text/html\r\n\r\n<style>" + b"p { color: red }\n" * 6_000 + b"</style><p>Late words</p>"


class GrammarTests(SynchronousTestCase):
    """The item and its modifier."""

    def test_item(self) -> None:
        """With and without LAZY, alone and in a list, before modifiers of FETCH; once, however often it is asked for."""
        for said, items in (
            (b" 1 PREVIEW", (Preview(),)),
            (b" 1 preview (lazy)", (Preview(lazy=True),)),
            (b" 1 (PREVIEW (LAZY) UID)", (Preview(lazy=True), Attribute.UID)),
            (b" 1 (PREVIEW PREVIEW (LAZY LAZY) PREVIEW)", (Preview(),)),
        ):
            self.assertEqual(read_fetch(Reader(said)).items, items)
        request = read_uid_fetch(Reader(b" 1 PREVIEW (CHANGEDSINCE 5)"))
        self.assertEqual((request.items, request.changed_since), ((Preview(),), 5))
        request = read_uid_fetch(Reader(b" 1 PREVIEW (LAZY) (CHANGEDSINCE 5)"))
        self.assertEqual((request.items, request.changed_since), ((Preview(lazy=True),), 5))

    def test_malformed(self) -> None:
        """Modifiers nobody knows, and none."""
        for said in (b" 1 PREVIEW (FUZZY)", b" 1 PREVIEW ()", b" 1 (PREVIEW (FUZZY))", b" 1 (PREVIEW(LAZY))"):
            self.assertRaises(Malformed, read_fetch, Reader(said))


class PreviewTests(ImapCase):
    """FETCH PREVIEW."""

    def test_examples_of_the_standard(self) -> None:
        """Quoted where it can be, a literal where it cannot; empty where there is nothing; nothing becomes seen."""
        latin = b'Content-Type: text/plain; charset=utf-8\r\n\r\ncaf\xc3\xa9 "x"'
        for body in (b"\r\nPreview text!\r\n", latin, b"a: b\r\n\r\n"):
            self.fill(1, body)
        link = self.log_in("INBOX")
        row = b'* 1 FETCH (RFC822.SIZE 17 PREVIEW "Preview text!")'
        self.assertEqual(self.ask(link, b"FETCH 1 (RFC822.SIZE PREVIEW)")[0], row)
        self.assertEqual(
            self.ask(link, b"FETCH 2:3 (PREVIEW (LAZY) UID)")[:-1],
            [b"* 2 FETCH (PREVIEW {9}", b'caf\xc3\xa9 "x" UID 2)', b'* 3 FETCH (PREVIEW "" UID 3)'],
        )
        self.ask(link, b"SEARCH RETURN (SAVE) ALL")
        self.assertEqual(len(self.ask(link, b"FETCH $ (UID PREVIEW (LAZY))")), 5)
        self.assertEqual(self.flags(), [frozenset()] * 3)

    def test_what_would_take_long(self) -> None:
        """LAZY tells NIL and leaves it alone; without, a worker looks further, and others are served meanwhile."""
        workers = SteppedWorkers()
        self.world.site.staging = Staging(None, workers)
        self.fill(1, STYLED)
        link = self.log_in("INBOX")
        self.assertEqual(self.ask(link, b"FETCH 1 PREVIEW (LAZY)")[0], b"* 1 FETCH (PREVIEW NIL)")
        link.say(b"t FETCH 1 PREVIEW\r\n")
        self.assertEqual((link.take(), len(workers.waiting)), (b"", 1))
        self.ask(self.log_in("INBOX"), b"FETCH 1 UID")
        workers.perform()
        self.assertEqual(link.take(), b'* 1 FETCH (PREVIEW "Late words")\r\nt OK FETCH completed\r\n')

    def test_far_too_late(self) -> None:
        """Words behind what anybody looks at are not found; the answer is no NIL."""
        self.fill(1, STYLED.replace(b"p {", b"p" * 60 + b" {"))
        link = self.log_in("INBOX")
        self.assertEqual(self.ask(link, b"FETCH 1 PREVIEW")[0], b'* 1 FETCH (PREVIEW "")')

    def test_removed_message(self) -> None:
        """It is passed over."""
        self.fill(2)
        link = self.log_in("INBOX")
        self.world.result(self.mailbox().remove([1]))
        lines = self.ask(link, b"FETCH 1:2 PREVIEW", b"NO [EXPUNGEISSUED]")
        self.assertEqual(lines[0], b'* 2 FETCH (PREVIEW "Hello Joe, do you think we can meet at 3:30 tomorrow?")')

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        self.fill(1)
        said = b"a LOGIN ann pw\r\nb SELECT INBOX\r\nc FETCH 1 (PREVIEW (LAZY) UID)\r\n"
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), rb'(?s)\* 1 FETCH \(PREVIEW "Hello[^"]*" UID 1\)\r\nc OK')
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), rb'(?s)\* 1 FETCH \(PREVIEW "Hello[^"]*" UID 1\)\r\nc OK')


class SqliteTests(PreviewTests):
    """The same on files."""

    in_files = True
