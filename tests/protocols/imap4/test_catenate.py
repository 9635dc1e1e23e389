"""CATENATE.  RFC 4469, RFC 5092."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.imap4.commands.assembling import MAX_PARTS
from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.urls import MAX_URL, parse_url, printable
from launcelot.testing.link import Link, every_split
from tests.protocols.imap4.world import ImapCase

BOUNDARY = b"------------030308070208000400050907"
DRAFT = (
    b"From: Bob Ar <bar@example.org>\r\nMIME-Version: 1.0\r\nTo: foo@example.net\r\nSubject: About our holiday trip\r\n"
    b'Content-Type: multipart/mixed;\r\n boundary="----------030308070208000400050907"\r\n\r\n'
    b"%b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nOur travel agent has sent the schedule.\r\n"
    b"%b\r\nContent-Type: application/x-zip-compressed\r\n\r\nzipped octets\r\n%b--\r\n"
) % (b"--" + BOUNDARY[2:], b"--" + BOUNDARY[2:], b"--" + BOUNDARY[2:])


class UrlTests(SynchronousTestCase):
    """URLs alone."""

    def test_parts_of_a_url(self) -> None:
        """Mailbox, UIDVALIDITY, UID, section and partial, in any case, percent-encoded."""
        found = parse_url(b"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME/;Partial=5.10")
        section = found.section
        self.assertEqual((found.mailbox, found.uid_validity, found.uid), ("Drafts", 385_759_045, 20))
        self.assertEqual((section.numbers, section.what, section.offset, section.length), ((1,), "MIME", 5, 10))
        found = parse_url(b"/%E6%97%A5%E6%9C%AC/a%3Bb/;uid=4294967295")
        self.assertEqual((found.mailbox, found.uid_validity, found.uid), ("日本/a;b", None, 4_294_967_295))
        self.assertEqual((found.section.numbers, found.section.what, found.section.length), ((), "BODY", None))
        found = parse_url(b"/INBOX/;UID=1/;SECTION=2.HEADER.FIELDS%20(Date%20%22From%22)")
        self.assertEqual((found.section.numbers, found.section.fields), ((2,), (b"Date", b"From")))
        self.assertEqual(parse_url(b"/a/./x/../b/;UID=1/;PARTIAL=3").mailbox, "a/b")
        self.assertEqual(parse_url(b"/a/%2e%2E/b/;UID=1").mailbox, "a/../b")

    def test_what_is_refused(self) -> None:
        """Servers, relative paths, mailboxes, searches, authorization, bad numbers, bad sections, bad encodings."""
        for url in (
            b"", b"/", b"//server/INBOX/;UID=1", b"imap://ann@here.test/INBOX/;UID=1", b"INBOX/;UID=1", b";UID=1", b"/INBOX",
            b"/INBOX;UIDVALIDITY=1", b"/INBOX?TEXT%20x", b"/INBOX/;UID=0", b"/INBOX/;UID=4294967296", b"/INBOX/;UID=1x",
            b"/INBOX/;UID=1/;SECTION=", b"/INBOX/;UID=1/;SECTION=1.", b"/INBOX/;UID=1/;SECTION=FOO", b"/INBOX/;UID=-1",
            b"/INBOX/;UID=1/;SECTION=1%5D%3C0.5%3E", b"/INBOX/;UID=1/;SECTION=HEADER.FIELDS%20(%7B3%7D",
            b"/INBOX/;UID=1/;PARTIAL=1.0", b"/INBOX/;UID=1/;PARTIAL=x", b"/INBOX/;UID=1;URLAUTH=anonymous", b"/;UID=1",
            b"/INBOX/;UID=1/;SECTION=1/..", b"/IN BOX/;UID=1", b"/%FF/;UID=1", b"/%G0/;UID=1", b"/INBOX/;UID=1/..",
            b"/\xc3\xa9/;UID=1", b"/INBOX;UIDVALIDITY=0/;UID=1", b"/a\0b/;UID=1", b"/" + b"a" * MAX_URL + b"/;UID=1",
        ):  # fmt: skip
            self.assertRaises(Malformed, parse_url, url)

    def test_url_in_a_response_code(self) -> None:
        """Nothing in it ends the code, the string or the line."""
        self.assertEqual(printable(b'/a]"\\ \r\n\xff;UID=1'), b"/a%5D%22%5C%20%0D%0A%FF;UID=1")

    def test_long_paths(self) -> None:
        """The longest ones that fail take no time to speak of."""
        for url in (b"/" + b"a/" * 2_000 + b";", b"/../" * 1_000, b"/" + b"%41" * 1_300 + b"%", b"/." * 2_000):
            self.assertRaises(Malformed, parse_url, url)


class CatenateTests(ImapCase):
    """APPEND with CATENATE."""

    changes = {"max_append_size": 100_000}

    def setUp(self) -> None:
        super().setUp()
        self.world.result(self.mail.create("Drafts"))
        self.fill(1, DRAFT, "Drafts")
        self.validity = self.world.result(self.mailbox("Drafts").status()).uid_validity
        self.link = self.log_in()

    def url(self, rest: bytes, uid: int = 1) -> bytes:
        """A URL as the standard's examples have them."""
        return b'URL "/Drafts;UIDVALIDITY=%d/;UID=%d%b"' % (self.validity, uid, rest)

    def stored(self, uid: int, mailbox: str = "Drafts") -> bytes:
        """A message's octets."""
        return self.world.result(self.mailbox(mailbox).read(uid, 0, 1_000_000))

    def test_examples_of_the_standard(self) -> None:
        """An attachment replaced without being sent, with every continuation; nothing becomes seen."""
        link = self.link
        self.fill(1, b"a new attachment", "Drafts")
        first = b"\r\n--" + BOUNDARY[2:] + b"\r\n"
        last = b"\r\n--" + BOUNDARY[2:] + b"--\r\n"
        link.say(
            b"A003 APPEND Drafts (\\Seen \\Draft $MDNSent) CATENATE (%b TEXT {%d}\r\n"
            % (self.url(b"/;section=HEADER"), len(first))
        )
        self.assertEqual(link.take(), b"+ OK\r\n")
        link.say(first + b" %b %b TEXT {%d}\r\n" % (self.url(b"/;section=1.MIME"), self.url(b"/;section=1"), len(first)))
        self.assertEqual(link.take(), b"+ OK\r\n")
        link.say(first + b" %b TEXT {%d}\r\n" % (self.url(b"", 2), len(last)))
        self.assertEqual(link.take(), b"+ OK\r\n")
        link.say(last + b")\r\n")
        self.assertRegex(link.take(), rb"\AA003 OK \[APPENDUID %d 3\] " % self.validity)
        header, _, rest = DRAFT.partition(b"\r\n\r\n")
        part = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nOur travel agent has sent the schedule."
        self.assertEqual(
            self.stored(3), header + b"\r\n\r\n" + first + part + first + b"a new attachment" + last
        )
        self.assertEqual(self.flags("Drafts"), [frozenset(), frozenset(), {"\\Seen", "\\Draft", "$MDNSent"}])

    def test_urls_only(self) -> None:
        """No literal at all; sections, partials, header fields, the whole; a URL as a literal."""
        for part, octets in (
            (self.url(b""), DRAFT),
            (self.url(b"/;SECTION=2"), b"zipped octets"),
            (self.url(b"/;SECTION=2/;PARTIAL=3.4"), b"ped "),
            (self.url(b"/;PARTIAL=6.6"), b"Bob Ar"),
            (self.url(b"/;SECTION=HEADER.FIELDS%20(to)/;PARTIAL=0.3"), b"To:"),
            (b"URL /Drafts/;uid=1/;section=2", b"zipped octets"),
            (b"URL {25+}\r\n/Drafts/;uid=1/;SECTION=2", b"zipped octets"),
            (b"TEXT {3+}\r\nabc", b"abc"),
            (b"TEXT {0+}\r\n TEXT {1+}\r\nx", b"x"),
            (b"TEXT {3+}\r\nabc %b TEXT {3+}\r\ndef" % self.url(b"/;SECTION=2"), b"abczipped octetsdef"),
        ):
            line = self.ask(self.link, b"APPEND INBOX CATENATE (%b)" % part)[-1]
            uid = int(line.split(b"]")[0].split()[-1])
            self.assertEqual(self.stored(uid, "INBOX"), octets, part)

    def test_bad_urls(self) -> None:
        """NO with the first that is wrong; what comes behind it is thrown away, nothing is added."""
        for url in (
            b"/nope/;UID=1", b"/Drafts/;UID=9", b"/Drafts;UIDVALIDITY=1/;UID=1", b"/Drafts/;UID=1/;SECTION=7",
            b"/Drafts/;UID=1/;SECTION=1.HEADER", b"imap://here.test/Drafts/;UID=1", b";UID=1", b"/Drafts/..", b"x]y",
            b"/Drafts/;UID=1/;SECTION=[", b"/%00/;UID=1",
        ):  # fmt: skip
            for rest in (b"", b" TEXT {10+}\r\nx LOGOUT\r\n", b' URL "/Drafts/;UID=1" TEXT {10+}\r\nx LOGOUT\r\n'):
                self.link.say(b't APPEND Drafts CATENATE (TEXT {1+}\r\nx URL "%b"%b)\r\nz NOOP\r\n' % (url, rest))
                code = b't NO [BADURL "%b"] ' % printable(url)
                heard = self.link.take()
                self.assertTrue(heard.startswith(code), heard)
                self.assertTrue(heard.endswith(b"\r\nz OK NOOP completed\r\n"), heard)
        self.link.say(b'z APPEND Drafts CATENATE (URL "/nope/;UID=1" TEXT {100}\r\n')
        self.assertRegex(self.link.take(), rb'\Az NO \[BADURL "/nope/;UID=1"\] ')
        self.assertEqual(len(self.flags("Drafts")), 1)

    def test_malformed(self) -> None:
        """Words nobody knows, parts that are none, parentheses that do not close."""
        for rest in (
            b"CATENATE ()", b"CATENATE (TEXT abc)", b"CATENATE TEXT {3+}\r\nabc", b"CATENATE (TEXT {3+}\r\nabc",
            b"CATENATE (TEXT {3+}\r\nabcTEXT {3+}\r\nabc)", b"CATENATE (FOO {3+}\r\nabc)", b"CATENATE (URL)",
            b"CATENATE (TEXT {3+}\r\nabc) x", b"CATENATE (TEXT {3+}\r\nabc))", b'CATENATE (URL "/Drafts/;UID=1"',
            b"CATENATE (TEXT {3+}\r\na\0c)", b"CATENATE(TEXT {3+}\r\nabc)", b"CATENATE", b"CATENATE (",
            b"CATENATE (URL {5+}\r\nab\0de)", b"CATENATE (TEXT  {3+}\r\nabc)",
        ):  # fmt: skip
            self.link.say(b"t APPEND INBOX %b\r\nz NOOP\r\n" % rest)
            self.assertRegex(self.link.take(), rb"\At BAD [^\r\n]*\r\nz OK NOOP completed\r\n\Z", rest)
        self.assertEqual(self.flags(), [])

    def test_together_with_other_forms(self) -> None:
        """In MULTIAPPEND and in REPLACE, beside literals, literal8s and NULs."""
        link = self.link
        whole = self.url(b"/;SECTION=2")
        line = self.ask(
            link,
            b"APPEND INBOX (a) CATENATE (%b) {3+}\r\nabc (b) CATENATE (TEXT {1+}\r\nx %b) ~{9+}\r\nA: b\r\n\r\n\0"
            % (whole, whole),
        )[-1]
        self.assertIn(b" 1:4]", line)
        self.assertEqual([self.stored(uid, "INBOX")[:20] for uid in (1, 2, 3)], [b"zipped octets", b"abc", b"xzipped octets"])
        self.assertEqual(self.flags()[:3], [{"a"}, frozenset(), {"b"}])
        self.ask(link, b"SELECT INBOX")
        self.ask(link, b"REPLACE 2 INBOX (c) CATENATE (TEXT {4+}\r\nnew  %b)" % whole)
        self.assertEqual(self.stored(5, "INBOX"), b"new zipped octets")
        self.ask(link, b"REPLACE 1 INBOX CATENATE (URL /nope/;UID=1)", b"NO [BADURL")
        self.ask(link, b"REPLACE 1 INBOX CATENATE (%b) {3+}\r\nabc" % whole, b"BAD one message")
        self.assertEqual(len(self.flags()), 4)

    def test_limits(self) -> None:
        """The whole message counts, quota too; parts are bounded; a missing mailbox is told at once; nothing is nothing."""
        link = self.link
        self.fill(1, b"x" * 60_000, "Drafts")
        self.ask(link, b"APPEND INBOX CATENATE (%b %b)" % (self.url(b"", 2), self.url(b"", 2)), b"NO [TOOBIG]")
        self.ask(link, b"APPEND INBOX CATENATE (%b TEXT {40001})" % self.url(b"", 2), b"BAD")
        link.say(b"t APPEND INBOX CATENATE (%b TEXT {40001}\r\n" % self.url(b"", 2))
        self.assertRegex(link.take(), rb"\At NO \[TOOBIG\]")
        self.ask(link, b"APPEND INBOX CATENATE (TEXT {4294967295}", b"NO [TOOBIG]")
        self.ask(link, b"APPEND nope CATENATE (TEXT {3}", b"NO [TRYCREATE]")
        self.ask(link, b"APPEND nope CATENATE (%b)" % self.url(b""), b"NO [TRYCREATE]")
        self.ask(link, b"APPEND INBOX CATENATE (TEXT {0+}\r\n)", b"NO [CANNOT]")
        self.ask(link, b"APPEND INBOX CATENATE (URL {5000}", b"NO [TOOBIG]")
        parts = b" ".join([b"TEXT {0+}\r\n"] * (MAX_PARTS + 1))
        self.ask(link, b"APPEND INBOX CATENATE (%b)" % parts, b"NO [LIMIT]")
        self.assertEqual(self.flags(), [])
        self.world.add_user("tom", "pw", quota=250)
        link = self.connect()
        self.ask(link, b"LOGIN tom pw")
        self.ask(link, b"APPEND INBOX {100+}\r\n" + b"x" * 100)
        self.ask(link, b"APPEND INBOX CATENATE (URL /INBOX/;UID=1 URL /INBOX/;UID=1)", b"NO [OVERQUOTA]")
        self.ask(link, b"APPEND INBOX CATENATE (URL /INBOX/;UID=1 TEXT {50+}\r\n%b)" % (b"y" * 50))

    def test_a_message_that_grows_from_itself(self) -> None:
        """Each made of two of the last: it ends at the limit, not at the end of memory."""
        self.fill(1, b"x" * 30_000)
        self.ask(self.link, b"APPEND INBOX CATENATE (URL /INBOX/;UID=1 URL /INBOX/;UID=1)")
        self.ask(self.link, b"APPEND INBOX CATENATE (URL /INBOX/;UID=2 URL /INBOX/;UID=2)", b"NO [TOOBIG]")

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = (
            b"a LOGIN ann pw\r\nb APPEND INBOX (kw) CATENATE (TEXT {3+}\r\na\r\n URL {25+}\r\n/Drafts/;UID=1/;SECTION=2"
            b' URL "/Drafts/;UID=1/;PARTIAL=0.4") {1+}\r\nx\r\nc NOOP\r\n'
        )
        wanted = rb"(?s)a OK .*b OK \[APPENDUID .*c OK"
        splits = list(every_split(said))

        def check(link: Link) -> None:
            self.assertRegex(link.take(), wanted)
            link.close()

        for first, second in splits:
            link = self.connect()
            link.say(first)
            link.say(second)
            check(link)
        link = self.connect()
        link.say(said, chunk=1)
        check(link)
        self.assertEqual(len(self.flags()), 2 * len(splits) + 2)
        self.assertEqual(self.stored(2 * len(splits) + 1, "INBOX"), b"a\r\nzipped octetsFrom")

    def test_client_that_vanishes(self) -> None:
        """Nothing is added and nothing logged."""
        for cut in (
            b"(", b"(TEXT {3}\r\n", b"(TEXT {3+}\r\na", b"(URL {20+}\r\n/Dr", b"(URL /Drafts/;UID=1 TEXT {3+}\r\nabc",
            b"(TEXT {3+}\r\nabc)",
        ):  # fmt: skip
            link = self.log_in()
            link.say(b"t APPEND INBOX CATENATE " + cut)
            link.abort()
        self.assertEqual((self.flags(), self.flushLoggedErrors()), ([], []))


class SqliteTests(CatenateTests):
    """The same on files."""

    in_files = True
