"""COMPRESS and UNAUTHENTICATE."""

from __future__ import annotations

import zlib

from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Link, every_split
from tests.protocols.imap4.world import MESSAGE, ImapCase

CERTIFICATES = Certificates("here.test", "localhost")


class Squeezed:
    """A raw peer whose two directions are compressed."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        self._inflater = zlib.decompressobj(-15)

    def squeeze(self, data: bytes) -> bytes:
        """As it goes over the wire."""
        return self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)

    def ask(self, data: bytes, chunk: int | None = None) -> bytes:
        """What is answered."""
        self.link.say(self.squeeze(data), chunk)
        return self.take()

    def take(self) -> bytes:
        """What was heard."""
        return self._inflater.decompress(self.link.take())


class CompressTests(ImapCase):
    """RFC 4978."""

    tls = CERTIFICATES

    def begin(self, tls: bool = False, mailbox: str = "") -> Squeezed:
        """A peer that is ann and compresses."""
        link = self.connect()
        if tls:
            self.ask(link, b"STARTTLS")
            link.start_tls(CERTIFICATES.client("here.test"))
        self.ask(link, b"LOGIN ann pw")
        if mailbox:
            self.ask(link, b"SELECT " + mailbox.encode())
        self.assertEqual(self.ask(link, b"COMPRESS DEFLATE"), [b"OK DEFLATE active"])
        return Squeezed(link)

    def test_compress(self) -> None:
        """Commands and answers both ways, in and out of TLS, in pieces of any size; it is offered behind the login."""
        self.fill(3)
        self.assertNotIn(b"COMPRESS", self.ask(self.connect(), b"CAPABILITY")[0])
        self.assertIn(b" COMPRESS=DEFLATE ", self.ask(self.log_in(), b"CAPABILITY")[0])
        for tls in (False, True):
            for chunk in (None, 1):
                peer = self.begin(tls)
                self.assertIn(b"* 3 EXISTS\r\n", peer.ask(b"a SELECT INBOX\r\n", chunk))
                rows = peer.ask(b"b FETCH 1:* BODY.PEEK[]\r\nc NOOP\r\n", chunk)
                self.assertEqual(rows.count(MESSAGE), 3)
                self.assertTrue(rows.endswith(b"\r\nc OK NOOP completed\r\n"))

    def test_append_with_literals(self) -> None:
        """Both kinds; the go-ahead is compressed, too."""
        peer = self.begin()
        self.assertTrue(peer.ask(b"a APPEND INBOX {%d}\r\n" % len(MESSAGE)).startswith(b"+ "))
        self.assertIn(b"a OK [APPENDUID ", peer.ask(MESSAGE + b"\r\n"))
        self.assertIn(b"b OK [APPENDUID ", peer.ask(b"b APPEND INBOX {%d+}\r\n" % len(MESSAGE) + MESSAGE + b"\r\n"))
        self.assertEqual(len(self.flags()), 2)

    def test_idle(self) -> None:
        """News come at once, each readable when it has come."""
        peer = self.begin(mailbox="INBOX")
        self.assertEqual(peer.ask(b"a IDLE\r\n"), b"+ idling\r\n")
        self.fill(1)
        self.assertIn(b"* 1 EXISTS\r\n", peer.take())
        self.assertIn(b"a OK ", peer.ask(b"DONE\r\n"))

    def test_every_split(self) -> None:
        """Of commands, compressed."""
        said = b"a SELECT INBOX\r\nb LOGOUT\r\n"
        for cut in range(len(Squeezed(self.connect()).squeeze(said)) + 1):
            peer = self.begin()
            data = peer.squeeze(said)
            peer.link.say(data[:cut])
            heard = peer.take()
            peer.link.say(data[cut:])
            self.assertTrue((heard + peer.take()).endswith(b"\r\nb OK LOGOUT completed\r\n"))

    def test_twice(self) -> None:
        """BAD, with the code; it is no longer offered."""
        peer = self.begin()
        self.assertEqual(peer.ask(b"a COMPRESS DEFLATE\r\n"), b"a BAD [COMPRESSIONACTIVE] compression is active\r\n")
        self.assertNotIn(b"COMPRESS", peer.ask(b"b CAPABILITY\r\n"))

    def test_other_algorithms_and_states(self) -> None:
        """BAD, and nothing is compressed."""
        link = self.log_in()
        for words in (b"COMPRESS GZIP", b"COMPRESS", b"COMPRESS DEFLATE x"):
            self.ask(link, words, b"BAD")
        self.ask(link, b"NOOP")
        self.ask(self.connect(), b"COMPRESS DEFLATE", b"BAD")

    def test_commands_behind_it_in_clear(self) -> None:
        """A client must wait for the answer; one that does not is told, and heard in clear."""
        link = self.log_in()
        link.say(b"a COMPRESS DEFLATE\r\nb NOOP\r\n")
        heard = link.take()
        self.assertTrue(heard.startswith(b"a BAD [CLIENTBUG] "))
        self.assertTrue(heard.endswith(b"b OK NOOP completed\r\n"))

    def test_bombs(self) -> None:
        """I06: lines and literals that inflate meet the same limits, and little is kept meanwhile."""
        limit = self.factory.settings.max_command_size
        for said in (
            b"a LOGIN " + b"x" * 100_000_000,
            b"a SEARCH TEXT {90000000+}\r\n" + b"x" * 90_000_000,
            b"a APPEND INBOX {4000000000+}\r\n" + b"x" * 100_000_000,
        ):
            peer = self.begin(mailbox="INBOX")
            deepest = 0
            data = peer.squeeze(said)
            self.assertLess(len(data), 120_000)
            peer.link.say(data)
            for _ in range(1_000):
                deepest = max(deepest, peer.link.server.pending)
                if peer.link.closed:
                    break
                self.world.clock.advance(0)
            self.assertIn(b"* BYE ", peer.take())
            self.assertLess(deepest, 4 * limit)
            self.assertTrue(peer.link.closed)

    def test_garbage(self) -> None:
        """The connection is dropped; nothing is executed."""
        peer = self.begin()
        peer.link.say(b"a LOGOUT\r\n")
        self.assertTrue(peer.link.closed)
        self.assertEqual(peer.take(), b"")


class UnauthenticateTests(ImapCase):
    """RFC 8437."""

    tls = CERTIFICATES

    def setUp(self) -> None:
        """A second account."""
        super().setUp()
        self.world.add_user("bob", "bob's")

    def test_unauthenticate(self) -> None:
        """Another login on the same connection; what the first had is gone."""
        self.fill(1)
        link = self.log_in()
        self.assertIn(b" UNAUTHENTICATE ", self.ask(link, b"CAPABILITY")[0])
        self.ask(link, b"ENABLE QRESYNC")
        self.ask(link, b"SELECT INBOX")
        self.ask(link, b"UID SEARCH RETURN (SAVE) ALL")
        self.assertEqual(self.ask(link, b"UNAUTHENTICATE"), [b"OK Logged out"])
        told = self.ask(link, b"CAPABILITY")[0]
        self.assertIn(b" AUTH=PLAIN ", told)
        self.assertNotIn(b"UNAUTHENTICATE", told)
        for command in (b"UNAUTHENTICATE", b"SELECT INBOX", b"FETCH 1 FLAGS", b"COMPRESS DEFLATE", b"IDLE"):
            self.ask(link, command, b"BAD")
        self.ask(link, b"LOGIN bob bob's")
        opened = b"\r\n".join(self.ask(link, b"SELECT INBOX"))
        self.assertIn(b"* 0 EXISTS", opened)
        self.assertNotIn(b"CLOSED", opened)
        self.assertEqual(self.ask(link, b"UID SEARCH UID $")[0], b"* SEARCH")
        self.assertEqual(link.server.user, "bob")

    def test_switched_off(self) -> None:
        """Neither told nor done where the operator does not want it.  RFC 8437 section 8."""
        self.factory = self.make_factory(unauthenticate=False)
        link = self.log_in()
        self.assertNotIn(b"UNAUTHENTICATE", self.ask(link, b"CAPABILITY")[0])
        self.ask(link, b"UNAUTHENTICATE", b"BAD")
        self.ask(link, b"SELECT INBOX")

    def test_pipelined(self) -> None:
        """With the next login behind it, at every split."""
        said = b"a UNAUTHENTICATE\r\nb LOGIN bob bob's\r\nc UNAUTHENTICATE\r\nd LOGIN ann pw\r\n"
        for first, second in every_split(said):
            link = self.log_in("INBOX")
            link.say(first)
            link.say(second)
            heard = link.take()
            self.assertEqual([line[:4] for line in heard.split(b"\r\n")], [b"a OK", b"b OK", b"c OK", b"d OK", b""])

    def test_inside_tls(self) -> None:
        """TLS stays; there is no second STARTTLS."""
        link = self.connect()
        self.ask(link, b"STARTTLS")
        link.start_tls(CERTIFICATES.client("here.test"))
        self.ask(link, b"LOGIN ann pw")
        self.ask(link, b"UNAUTHENTICATE")
        self.assertNotIn(b"STARTTLS", self.ask(link, b"CAPABILITY")[0])
        self.ask(link, b"STARTTLS", b"BAD")
        self.ask(link, b"LOGIN bob bob's")

    def test_compression_ends(self) -> None:
        """Behind the answer and behind the command, with plain octets pipelined, at every split; and it can begin again."""
        behind = b"b LOGIN bob bob's\r\nc COMPRESS DEFLATE\r\n"
        for cut in range(1, 60):
            link = self.log_in()
            self.ask(link, b"COMPRESS DEFLATE")
            peer = Squeezed(link)
            data = peer.squeeze(b"a UNAUTHENTICATE\r\n") + behind
            link.say(data[:cut])
            link.say(data[cut:])
            heard = link.take()
            end = heard.index(b"\0\0\xff\xff") + 4
            self.assertEqual(peer._inflater.decompress(heard[:end]), b"a OK Logged out\r\n")
            self.assertTrue(heard[end:].startswith(b"b OK "), heard[end:])
            self.assertTrue(heard.endswith(b"c OK DEFLATE active\r\n"))
            self.assertEqual(Squeezed(link).ask(b"d NOOP\r\n"), b"d OK NOOP completed\r\n")

    def test_time_for_logging_in_runs_again(self) -> None:
        """And ends when somebody has logged in."""
        link = self.log_in()
        self.world.advance(self.factory.settings.login_timeout + 60)
        self.ask(link, b"UNAUTHENTICATE")
        self.ask(link, b"LOGIN ann pw")
        self.world.advance(self.factory.settings.login_timeout + 60)
        self.ask(link, b"UNAUTHENTICATE")
        self.world.advance(self.factory.settings.login_timeout + 2)
        self.assertIn(b"* BYE ", link.take())

    def test_others_are_told_no_more(self) -> None:
        """The mailbox that was selected is let go."""
        link = self.log_in("INBOX")
        self.ask(link, b"UNAUTHENTICATE")
        self.fill(1)
        self.assertEqual(self.ask(link, b"NOOP"), [b"OK NOOP completed"])
