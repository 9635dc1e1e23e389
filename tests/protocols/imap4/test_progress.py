"""INPROGRESS.  RFC 9585."""

from __future__ import annotations

from launcelot.protocols.imap4.progress import INTERVAL
from launcelot.testing.link import Link
from tests.protocols.imap4.test_waiting import SlowStoreCase
from tests.protocols.imap4.world import MESSAGE


class ProgressTests(SlowStoreCase):
    """Commands on a store that takes its time."""

    def ready(self, mailbox: str = "INBOX") -> Link:
        """A peer with a mailbox selected that has two messages."""
        link = self.connect()
        self.do(link, b"LOGIN ann pw")
        for _ in range(2):
            self.do(link, b"APPEND INBOX {%d+}\r\n%b" % (len(MESSAGE), MESSAGE))
        self.do(link, b"SELECT " + mailbox.encode())
        return link

    def do(self, link: Link, command: bytes) -> bytes:
        """Say a command and let the store work until it is answered."""
        link.say(b"t " + command + b"\r\n")
        self.perform(link)
        heard = link.take()
        self.assertIn(b"t OK ", heard)
        return heard

    def test_search_that_takes_long(self) -> None:
        """A word every ten seconds, none before, none after; it stands between responses."""
        link = self.ready()
        link.say(b"a.1 SEARCH TEXT meet\r\n")
        self.world.advance(INTERVAL - 1)
        self.assertEqual(link.take(), b"")
        self.world.advance(2)
        word = b'* OK [INPROGRESS ("a.1" NIL NIL)] Still working\r\n'
        self.assertEqual(link.take(), word)
        self.world.advance(2 * INTERVAL)
        self.assertEqual(link.take(), 2 * word)
        self.perform(link)
        self.assertEqual(link.take(), b"* SEARCH 1 2\r\na.1 OK SEARCH completed\r\n")
        self.world.advance(10 * INTERVAL)
        self.assertEqual(link.take(), b"")

    def test_commands(self) -> None:
        """Whatever waits for the store is told of, a tag with a bracket is not repeated."""
        link = self.ready()
        for command in (
            b"SORT (DATE) UTF-8 TEXT meet", b"THREAD REFERENCES UTF-8 TEXT meet", b"UID STORE 1 +FLAGS (\\Deleted)",
            b"COPY 1 INBOX", b"EXPUNGE", b"APPEND INBOX {3+}\r\nabc", b"UID EXPUNGE 2", b"MOVE 1 INBOX", b"DELETE a",
            b"RENAME b c", b"ESEARCH TEXT meet", b"REPLACE 1 INBOX {3+}\r\nabc",
        ):  # fmt: skip
            if command.startswith((b"DELETE", b"RENAME")):
                self.do(link, b"CREATE " + command.split()[1])
            link.say(b"t]x " + command + b"\r\n")
            self.world.advance(INTERVAL)
            heard = link.take()
            self.assertRegex(heard, rb"\A\* OK \[INPROGRESS \(NIL (NIL NIL|0 1)\)\] Still working\r\n\Z", command)
            self.perform(link)
            self.world.advance(0.1)
            self.perform(link)
            self.assertRegex(link.take(), rb"(?m)^t\]x OK ")

    def test_counted_mailboxes(self) -> None:
        """ESEARCH tells how many of how many mailboxes have been searched."""
        link = self.ready()
        for name in (b"a", b"b"):
            self.do(link, b"CREATE " + name)
        link.say(b"t ESEARCH IN (personal) TEXT meet\r\n")
        told = []
        while b"t OK" not in (heard := link.take()):
            told.append(heard)
            self.world.advance(INTERVAL)
            self.perform(link, 1)
        numbers = [line.split(b'"t" ')[1].split(b")")[0] for line in b"".join(told).split(b"\r\n") if b"INPROGRESS" in line]
        self.assertEqual(numbers, sorted(numbers))
        self.assertTrue({b"0 3", b"1 3", b"2 3"} >= set(numbers) >= {b"0 3", b"1 3"}, numbers)

    def test_client_that_vanishes(self) -> None:
        """Nothing ticks for it any more."""
        link = self.ready()
        link.say(b"t SEARCH TEXT meet\r\n")
        link.abort()
        self.world.advance(INTERVAL * 3)
        self.perform(link)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual([call for call in self.world.clock.getDelayedCalls() if call.getTime() < 60], [])
