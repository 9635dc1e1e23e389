"""IMAP: literals, nesting, wildcards, sets and sections that are larger than anybody means."""

from __future__ import annotations

from tests.attacks.harness import AttackCase
from tests.attacks.peer import Peer, Silent


class ImapAttackCase(AttackCase):
    """Peers who have logged in."""

    def logged_in(self, user: str = "brandon", mailbox: bytes = b"INBOX") -> Peer:
        """Somebody with a mailbox selected; plain passwords are taken from loopback."""
        peer = self.peer("imap")
        heard = peer.ask(b"l LOGIN %b %b\r\n" % (user.encode(), self.demo.accounts[user].encode()), b"l OK")
        self.assertNotIn(b"NO", heard)
        peer.hear()
        if mailbox:
            self.done(peer, b"SELECT " + mailbox)
        return peer

    def done(self, peer: Peer, command: bytes, limit: float = 10.0) -> bytes:
        """Everything up to and including the tagged line of a command."""
        peer.say(b"q " + command + b"\r\n")
        heard = b""
        while not heard.startswith(b"q ") and b"\r\nq " not in heard:
            heard += peer.hear(b"\r\n", limit)
        return heard


EARLY_LITERALS = (
    b"a LOGIN {4294967295}\r\n",
    b"a LOGIN {99999999999999999999}\r\n",
    b"a LOGIN {2000000000}\r\n",
    b"a LOGIN {4097}\r\n",
    b"a LOGIN {" + b"9" * 3_000 + b"}\r\n",
    b"a LOGIN x {4294967295}\r\n",
    b"a AUTHENTICATE {4294967295}\r\n",
    b"a APPEND INBOX {4294967295}\r\n",
    b"a ID ({4294967295}\r\n",
    b"a NOOP {4294967295}\r\n",
    b"{4294967295}\r\n",
)
"""Literals that wait for a word to go on; it must not come."""

NO_LITERALS = (b"{-1}", b"{1e3}", b"{+1}", b"{ 1}", b"{1 }", b"{0x10}", b"{1++}", b"{+}", b"{}", b"{1", b"1}", b"{\xd9\xa1}")
"""Spellings that are no literal, so the line is the whole command."""


class LiteralTests(ImapAttackCase):
    """I02."""

    memory = 16 << 20

    def test_huge_literals_before_login_are_refused_unread(self) -> None:
        """Each is answered NO or BAD without the continuation, and the session goes on."""
        for command in EARLY_LITERALS:
            with self.subTest(command=command[:60]):
                peer = self.peer("imap")
                heard = peer.ask(command)
                self.assertRegex(heard, rb"^(?:a|\*) (?:NO \[TOOBIG\]|BAD) ")
                self.assertEqual(peer.ask(b"p NOOP\r\n"), b"p OK NOOP completed\r\n")

    def test_what_is_no_literal_is_no_literal(self) -> None:
        """BAD at once, nothing awaited."""
        for spelling in NO_LITERALS:
            with self.subTest(spelling=spelling):
                peer = self.peer("imap")
                peer.say(b"a LOGIN " + spelling + b"\r\np NOOP\r\n")
                self.assertRegex(peer.hear(), rb"^a (?:BAD|NO) ")
                self.assertEqual(peer.hear(), b"p OK NOOP completed\r\n")

    def test_refused_literals_are_never_commands(self) -> None:
        """RFC 7888: the octets of a non-synchronizing literal that is refused are thrown away, or the link ends."""
        hidden = b"z NOOP\r\n" * 1_000
        for command in (b"a LOGIN {%d+}", b"a XYZZY {%d+}", b"a SELECT {%d+}", b"a APPEND INBOX {%d+}", b"{%d+}"):
            for size in (len(hidden), 4_294_967_295):
                with self.subTest(command=command, size=size):
                    peer = self.peer("imap")
                    peer.say(command % size + b"\r\n" + hidden + b"\r\np NOOP\r\nl LOGOUT\r\n")
                    heard = peer.rest()
                    self.assertNotIn(b"z OK", heard)
                    self.assertIn(b"p OK" if size == len(hidden) else b"* BYE literal is too large", heard)

    def test_floods_of_small_literals_before_login(self) -> None:
        """100,000 literals of one octet in one command: refused within the limit of a command, then cut."""
        peer = self.peer("imap")
        came = peer.pump(b"a LOGIN " + b"{1+}\r\nx" * 100_000 + b"\r\n")
        self.assertRegex(came.heard + peer.rest(), rb"^(?:a|\*) (?:NO|BAD|BYE) [^\r\n]+\r\n(?:\* BYE [^\r\n]+\r\n)?$")

    def test_floods_of_small_literals_after_login(self) -> None:
        """The same of every command that takes them: one answer each, or the end."""
        for command in (b"SEARCH SUBJECT ", b"APPEND ", b"STATUS ", b'LIST "" ', b"FETCH 1 (BODY[HEADER.FIELDS (", b"XYZZY "):
            with self.subTest(command=command):
                peer = self.logged_in()
                came = peer.pump(b"a " + command + b"{1+}\r\nx" * 20_000 + b"\r\nl LOGOUT\r\n")
                heard = came.heard + peer.rest()
                self.assertLess(len(heard), 400)

    def test_a_password_of_a_megabyte(self) -> None:
        """A09: refused before it is read, or thrown away."""
        peer = self.peer("imap")
        self.assertRegex(peer.ask(b"a LOGIN brandon {1048576}\r\n"), rb"^a NO \[TOOBIG\]")
        came = peer.pump(b"a LOGIN brandon {1048576+}\r\n" + b"x" * 1_048_576 + b"\r\np NOOP\r\n")
        self.assertIn(b"* BYE literal is too large", came.heard + peer.rest())

    def test_appends_that_are_too_large_or_cut(self) -> None:
        """10 GB is refused before the continuation; a literal cut by RST or FIN leaves nothing behind."""
        peer = self.logged_in()
        self.assertRegex(peer.ask(b"a APPEND INBOX {10737418240}\r\n"), rb"^a NO \[TOOBIG\]")
        before = len(self.inbox("brandon"))
        for vanish in (Peer.reset, Peer.close, Peer.finish):
            victim = self.logged_in()
            victim.ask(b"a APPEND INBOX {100000}\r\n")
            victim.say(b"Subject: half\r\n\r\n" + b"x" * 60_000)
            vanish(victim)
        self.assertRegex(self.done(peer, b"STATUS INBOX (MESSAGES)"), rb"MESSAGES %d\)" % before)


class BombTests(ImapAttackCase):
    """I01, I03, I04, I05, I09."""

    def names(self, peer: Peer, count: int) -> None:
        """Many mailboxes with names a wildcard bomb likes."""
        name = b"a" * 190
        peer.say(b"".join(b"c CREATE %b%04d\r\n" % (name, number) for number in range(count)))
        for _ in range(count):
            self.assertEqual(peer.hear()[:5], b"c OK ")

    def test_wildcard_bombs(self) -> None:
        """Forty times ``*a`` and a ``b`` against 300 long names, and their like, in LIST and LSUB."""
        peer = self.logged_in()
        self.names(peer, 300)
        bombs = (b"*a" * 40 + b"b", b"%" * 500, b"*" * 500 + b"b", b"%a" * 90 + b"b", b"*%" * 200 + b"b", b"(*a)*" * 30)
        for command in (b"LIST", b"LSUB"):
            for bomb in bombs:
                for form in (b'%b "" "%b"', b'%b "%b" ""', b'%b "a*" "%b"'):
                    heard = self.done(peer, form % (command, bomb), 2.0)
                    self.assertIn(b"q ", heard)

    def test_nesting_bombs(self) -> None:
        """Lists, NOT and OR inside each other, open or closed: BAD, and a thousand times no harm."""
        peer = self.logged_in()
        deep = 8_000
        for bomb in (
            b"SEARCH " + b"(" * deep + b"ALL" + b")" * deep,
            b"SEARCH " + b"NOT " * deep + b"ALL",
            b"SEARCH " + b"OR ALL " * deep + b"ALL",
            b"SEARCH " + b"(" * 30_000,
            b"SEARCH " + b"OR NOT ( " * 7_000,
            b"FETCH 1 " + b"(" * 30_000,
            b"FETCH 1 (BODY[" + b"1." * 20_000 + b"])",
            b"FETCH 1 (BODY[HEADER.FIELDS (" + b"(" * 20_000,
            b"STORE 1 FLAGS " + b"(" * 30_000,
            b"STATUS INBOX " + b"(" * 30_000,
            b"ID " + b"(" * 30_000,
            b"LIST " + b"(" * 30_000,
        ):
            with self.subTest(bomb=bomb[:20]):
                self.assertRegex(self.done(peer, bomb, 2.0), rb"q BAD ")
                self.assertRegex(self.done(peer, b"NOOP"), rb"q OK ")
        for _ in range(200):
            self.peer("imap").say(b"a NOOP " + b"(" * 4_000)

    def test_sets_of_everything(self) -> None:
        """Ranges over four thousand million numbers and 60 KB of overlapping ranges cost what the mailbox holds."""
        peer = self.logged_in()
        overlapping = b",".join(b"%d:4294967295" % number for number in range(1, 4_000))
        singles = b",".join(b"%d" % (number % 9 + 1) for number in range(30_000))
        verbs = (b"UID FETCH %b UID", b"UID SEARCH %b", b"UID SEARCH UID %b", b"UID STORE %b +FLAGS (x)", b"UID COPY %b INBOX")
        for numbers in (b"1:4294967295", b"1:*", b"*:1", b"4294967295:1", b"*:*", overlapping, singles, b"*:1," * 9_000 + b"1"):
            for command in verbs:
                with self.subTest(numbers=numbers[:20], command=command):
                    self.assertRegex(self.done(peer, command % numbers, 2.0)[-200:], rb"q (?:OK|NO|BAD) ")
        for wrong in (b"0", b"1:0", b"4294967296", b"1:99999999999999999999", b"-1", b"1,", b",1", b":", b"1::2", b"1:2:3", b"#"):
            with self.subTest(wrong=wrong):
                self.assertRegex(self.done(peer, b"FETCH %b UID" % wrong), rb"^q BAD ")

    def test_searches_that_hog(self) -> None:
        """A thousand keys, long strings, charsets nobody has: answered within limits while others are served."""
        peer = self.logged_in()
        for query in (
            b"OR " * 40 + b"ALL " * 41,
            b" ".join([b'BODY "%d"' % number for number in range(900)]),
            b" ".join([b"TEXT x"] * 1_000),
            b" ".join([b"NOT BODY x"] * 900),
            b'SUBJECT "' + b"a" * 60_000 + b'"',
            b"HEADER " + b"X" * 30_000 + b" y",
            b"CHARSET " + b"X" * 1_000 + b" ALL",
            b"CHARSET UTF-8 SUBJECT {3+}\r\n\xff\xfe\xfd",
            b"LARGER 4294967296",
            b"SINCE 99-Foo-99999",
            b"UID 1:* " * 900,
        ):
            with self.subTest(query=query[:20]):
                self.assertRegex(self.done(peer, b"SEARCH " + query.strip(), 5.0)[-300:], rb"q (?:OK|NO|BAD) ")

    def test_fetch_of_far_too_much(self) -> None:
        """Many items, impossible partials and the same message again and again: streamed, bounded."""
        peer = self.logged_in()
        for items in (
            b"(" + b" ".join([b"BODY.PEEK[]<%d.4294967295>" % number for number in range(200)]) + b")",
            b"(" + b" ".join([b"BODY.PEEK[]<%d.1>" % number for number in range(2_000)]) + b")",
            b"BODY.PEEK[]<4294967295.4294967295>",
            b"BODY.PEEK[]<0.0>",
            b"BODY.PEEK[]<1.99999999999999999999>",
            b"BODY.PEEK[4294967295.4294967295.MIME]",
            b"BODY.PEEK[0]",
            b"BODY.PEEK[HEADER.FIELDS (" + b" ".join([b"X%d" % number for number in range(5_000)]) + b")]",
            b"BODY.PEEK[HEADER.FIELDS (" + b"X" * 50_000 + b")]",
        ):
            with self.subTest(items=items[:40]):
                self.assertRegex(self.done(peer, b"FETCH 1:* " + items, 5.0)[-300:], rb"q (?:OK|BAD) ")

    def test_hostile_names(self) -> None:
        """I08, I09: ways out of the store, empty levels, deep trees, control octets; refused or a plain name."""
        peer = self.logged_in()
        names = (
            b"../x", b"a/../b", b"/etc/passwd", b"~root", b"..", b".", b"a//b", b"/", b"//", b"a/./b",
            b"&AC8-", b"&AC4ALg-/x", b"&AGE-", b"&", b"&AA", b"&AAA-", b"&2AA-", b"&ZeU", b"x" * 5_000,
            b"/".join([b"d"] * 1_000), b"InBoX/../x", b"a\xff", b"a%b", b"a*b", b"CON", b"a;DROP TABLE message",
        )  # fmt: skip
        verbs = (b"CREATE %b", b"SELECT %b", b"RENAME INBOX %b", b"DELETE %b", b"SUBSCRIBE %b", b"STATUS %b (UIDNEXT)")
        for name in names:
            for command in verbs:
                with self.subTest(name=name[:30], command=command):
                    self.assertRegex(self.done(peer, command % (b'"%b"' % name))[-300:], rb"q (?:OK|NO|BAD) ")
                    self.done(peer, b"NOOP")  # twenty BADs in a row would end the session
        listed = self.done(peer, b'LIST "" *')
        self.assertNotIn(b"..", listed)
        self.done(peer, b"LOGOUT")

    def test_many_bad_commands_end_the_session(self) -> None:
        """R07 after login: twenty in a row."""
        peer = self.logged_in()
        came = peer.pump(b"x XYZZY\r\n" * 10_000)
        heard = came.heard + peer.rest()
        self.assertEqual(heard.count(b"x BAD"), 20)
        self.assertTrue(heard.endswith(b"* BYE too many bad commands\r\n"))

    def test_idle_with_anything_but_done(self) -> None:
        """A flood in IDLE ends it, with BAD or with the connection."""
        for data in (b"x" * 100_000, b"NOPE\r\n", b"DONE\n", b"\0\r\n", b"DONE DONE\r\n"):
            with self.subTest(data=data[:10]):
                peer = self.logged_in()
                peer.ask(b"i IDLE\r\n")
                peer.say(data)
                try:
                    self.assertRegex(peer.hear(), rb"^(?:i BAD|\* BAD|\* BYE) ")
                except Silent as silent:
                    self.assertIn("closed", str(silent))
