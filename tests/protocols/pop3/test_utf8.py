"""UTF8 and LANG of RFC 6856: what is sent to whom, and sizes that are true of it."""

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.dots import DotReader
from launcelot.message.surrogate import surrogate_section
from launcelot.protocols.pop3.grammar import SyntaxWrong, language
from launcelot.testing.link import Link
from tests.protocols.pop3.world import FIRST, Post

HEADER = "From: Jörg <jörg@köln.example>\r\nSubject: Grüße\r\nX-Note: ü\r\n\r\n".encode()
FOREIGN = HEADER + "Körper 1\r\n.Körper 2\r\nKörper 3\r\n".encode()
PARTS = (
    'Subject: parts\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
    'Content-Type: text/plain; name="ü"\r\n\r\none\r\ntwo\r\n--b--\r\n'
).encode()
RAGGED = b"Subject: bare\n\nline\nand\rlast"
BODY_ONLY = "Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nKörper\r\n".encode()


class Utf8Tests(SynchronousTestCase):
    """Messages with internationalized headers, one in a part, one with bare line ends, one with an 8-bit body only."""

    def setUp(self) -> None:
        self.post = Post((FIRST, FOREIGN, PARTS, RAGGED, BODY_ONLY), tls=True)

    def enter(self, utf8: bool) -> Link:
        """Log in."""
        link = self.post.connect()
        link.say((b"UTF8\r\n" if utf8 else b"") + b"USER ann\r\nPASS pw\r\n")
        self.assertNotIn(b"-ERR", link.take())
        return link

    def ask(self, link: Link, command: bytes) -> bytes:
        """The text of a reply of many lines, its dots taken off."""
        link.say(command + b"\r\n")
        first, _, rest = link.take().partition(b"\r\n")
        self.assertTrue(first.startswith(b"+OK"), first)
        reader = DotReader()
        text = reader.feed(rest)
        self.assertTrue(reader.ended)
        return text

    def check_sizes(self, link: Link) -> None:
        """LIST, LIST with a number and STAT tell what RETR sends."""
        sent = [len(self.ask(link, b"RETR %d" % number)) for number in range(1, 6)]
        listed = [line.split() for line in self.ask(link, b"LIST").splitlines()]
        self.assertEqual([int(size) for _, size in listed], sent)
        link.say(b"LIST 2\r\nSTAT\r\nDELE 2\r\nSTAT\r\nRSET\r\nSTAT\r\n")
        replies = link.take().splitlines()
        self.assertEqual(replies[0], b"+OK 2 %d" % sent[1])
        self.assertEqual(replies[1], b"+OK 5 %d" % sum(sent))
        self.assertEqual(replies[3], b"+OK 4 %d" % (sum(sent) - sent[1]))
        self.assertEqual(replies[5], replies[1])

    def test_with_utf8_messages_are_sent_as_they_are(self) -> None:
        """Their line ends made CRLF."""
        link = self.enter(utf8=True)
        self.assertEqual(self.ask(link, b"RETR 2"), FOREIGN)
        self.assertEqual(self.ask(link, b"RETR 3"), PARTS)
        self.assertEqual(self.ask(link, b"RETR 4"), b"Subject: bare\r\n\r\nline\r\nand\r\nlast\r\n")
        self.check_sizes(link)

    def test_without_utf8_headers_are_ascii(self) -> None:
        """Those of parts, too; bodies are as they were, and so are messages without such headers."""
        link = self.enter(utf8=False)
        self.assertEqual(self.ask(link, b"RETR 2"), surrogate_section(HEADER) + FOREIGN[len(HEADER) :])
        self.assertEqual(self.ask(link, b"RETR 3"), PARTS.replace('; name="ü"'.encode(), b""))
        self.assertEqual(self.ask(link, b"RETR 5"), BODY_ONLY)
        self.assertEqual(self.ask(link, b"RETR 1"), FIRST)
        self.check_sizes(link)

    def test_top_is_the_top_of_what_is_sent(self) -> None:
        """The same octets as the beginning of RETR, line for line, in both modes.  RFC 6858 section 4."""
        for utf8 in (False, True):
            link = self.enter(utf8)
            for number in (2, 3, 4):
                whole = self.ask(link, b"RETR %d" % number)
                header = whole.index(b"\r\n\r\n") + 4
                body = whole[header:].splitlines(keepends=True)
                for lines in range(len(body) + 2):
                    top = self.ask(link, b"TOP %d %d" % (number, lines))
                    self.assertEqual(top, whole[:header] + b"".join(body[:lines]))
            link.say(b"QUIT\r\n")
            link.take()

    def test_identifiers_do_not_depend_on_it(self) -> None:
        """A client that learns UTF8 does not fetch everything again."""
        first = self.enter(utf8=False)
        before = self.ask(first, b"UIDL")
        first.abort()
        self.assertEqual(self.ask(self.enter(utf8=True), b"UIDL"), before)

    def test_cut_off_where_the_message_is_removed_meanwhile(self) -> None:
        """Somebody has expunged it over IMAP: an error, not half a message."""
        link = self.enter(utf8=False)
        self.post.world.result(self.post.inbox().remove([2]))
        link.say(b"RETR 2\r\nTOP 2 1\r\n")
        self.assertEqual(link.take().count(b"-ERR"), 2)

    def test_utf8_comes_before_the_password_and_after_stls(self) -> None:
        """RFC 6856 section 2.1: no STLS after it; it is of no use in TRANSACTION state."""
        text = "C: UTF8\nS: +OK *\nC: STLS\nS: -ERR *\nC: UTF8 x\nS: -ERR *\nC: UTF8\nS: +OK *"
        self.post.play(text, self.post.connect())
        self.post.play("C: UTF8\nS: -ERR *")

    def test_names_and_passwords_in_utf8(self) -> None:
        """Composed or not, with and without the command.  Section 2.2."""
        self.post.world.add_user("j\u00f6rg", "g\u00e4nse")
        for name, word in (("j\u00f6rg", "g\u00e4nse"), ("jo\u0308rg", "ga\u0308nse")):
            link = self.post.connect()
            link.say(f"USER {name}\r\nPASS {word}\r\nQUIT\r\n".encode())
            self.assertEqual(link.take().count(b"+OK"), 3)

    def test_capabilities(self) -> None:
        """In both states."""
        link = self.post.connect()
        for _ in range(2):
            offered = self.ask(link, b"CAPA").splitlines()
            self.assertEqual([b"UTF8 USER" in offered, b"LANG" in offered], [True, True])
            link.say(b"USER ann\r\nPASS pw\r\n")
            link.take()


class LanguageTests(SynchronousTestCase):
    """RFC 6856 section 3."""

    def setUp(self) -> None:
        self.post = Post()

    def test_list_and_choice(self) -> None:
        """In both states; what is chosen stands behind +OK with a space on each side."""
        text = """
            C: LANG
            S: +OK languages
            S: i-default English for everybody
            S: en English
            S: .
            C: LANG en
            S: +OK en replies are in English
            C: lang EN-gb-oed
            S: +OK en *
            C: LANG *
            S: +OK en *
            C: LANG i-default
            S: +OK i-default *
            """
        self.post.play(text, self.post.connect())
        self.post.play(text)

    def test_what_is_not_there(self) -> None:
        """The language stays."""
        for wanted in ("de", "mul", "i", "x-klingon"):
            self.post.play(f"C: LANG {wanted}\nS: -ERR no such language*", self.post.connect())

    def test_malformed_ranges(self) -> None:
        """Of RFC 4647 section 2.1."""
        for argument in (b"*-de", b"e_n", b"en-", b"-", b"a" * 9, b"en gb", b"\xc3\xbc", b"en" + b"-a" * 50):
            self.assertRaises(SyntaxWrong, language, argument)
        self.assertEqual([language(b""), language(b" "), language(b" * "), language(b"zh-HANS-cn")], ["", "", "*", "zh-hans-cn"])
