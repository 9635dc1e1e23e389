"""The session: sample dialogue, states, login, limits."""

from __future__ import annotations

from base64 import b64encode

from launcelot.core.sasl import MAX_SECRET
from launcelot.mailstore.memorymailbox import MemoryMailbox
from launcelot.testing.link import every_split
from tests.protocols.imap4.world import ImapCase


class SampleTests(ImapCase):
    """The sample connection of RFC 3501 section 8, message for message."""

    DIALOGUE = r"""
S: * OK [CAPABILITY *
C: a001 login ann pw
S: a001 OK [CAPABILITY *
C: a002 select inbox
S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft)
S: * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft \*)] *
S: * 2 EXISTS
S: * 2 RECENT
S: * OK [UNSEEN 2] *
S: * OK [UIDVALIDITY *
S: * OK [UIDNEXT 3] *
S: * OK [HIGHESTMODSEQ *
S: * OK [MAILBOXID *
S: a002 OK [READ-WRITE] *
C: a003 fetch 1 full
S: * 1 FETCH (FLAGS (\Seen \Recent) INTERNALDATE "14-Nov-2023 22:13:20 +0000" RFC822.SIZE 271 ENVELOPE ("Wed, 17 Jul 1996 *
S: a003 OK *
C: a004 fetch 2 body[header]
S: * 2 FETCH (FLAGS (\Seen \Recent) BODY[HEADER] {216}
S: From: Terry Gray <gray@cac.washington.edu>
S: To: imap@cac.washington.edu
S: Subject: IMAP4rev1 WG mtg summary and minutes
S: Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
S: Message-Id: <B27397-0100000@cac.washington.edu>
S: *
S: )
S: a004 OK *
C: a005 store 2 +flags \deleted
S: * 2 FETCH (FLAGS (\Deleted \Seen \Recent))
S: a005 OK *
C: a006 logout
S: * BYE *
S: a006 OK *
-- closed
"""

    def setUp(self) -> None:
        super().setUp()
        self.fill(1, flags=("\\Seen",))
        self.fill(1)

    def test_whole(self) -> None:
        """It goes as the standard says."""
        self.play(self.DIALOGUE)

    def test_octet_by_octet(self) -> None:
        """It goes the same when the client's octets come one by one."""
        self.play(self.DIALOGUE, chunk=1)


class AnyStateTests(ImapCase):
    """CAPABILITY, NOOP, ID, LOGOUT and what is no command."""

    def test_commands_that_are_not_understood(self) -> None:
        """Each gets BAD with its tag, or untagged where there is none, and the next command works."""
        self.play(r"""
S: * OK *
C: a FOO
S: a BAD unknown command
C: b
S: b BAD expected a space
C:
S: * BAD expected a tag
C: + NOOP
S: * BAD expected a tag
C: c NOOP x
S: c BAD too many arguments
C: d UID
S: d BAD *
C: e UID NOOP
S: e BAD unknown command
C: f  NOOP
S: f BAD *
C| g NOO\x00P\r\n
S: g BAD *
C: h noop
S: h OK NOOP completed
""")

    def test_wrong_states(self) -> None:
        """A command in the wrong state is BAD, before login, after it and without a mailbox."""
        link = self.connect()
        for command in (b"SELECT INBOX", b"FETCH 1 FLAGS", b"IDLE", b"NAMESPACE", b"APPEND INBOX {5}"):
            self.assertEqual(self.ask(link, command, b"BAD"), [b"BAD [CLIENTBUG] command is not valid in this state"])
        self.ask(link, b"LOGIN ann pw")
        for command in (
            b"LOGIN ann pw",
            b"STARTTLS",
            b"AUTHENTICATE PLAIN",
            b"FETCH 1 FLAGS",
            b"CLOSE",
            b"UID EXPUNGE 1",
        ):
            self.assertEqual(self.ask(link, command, b"BAD"), [b"BAD [CLIENTBUG] command is not valid in this state"])

    def test_bare_newline(self) -> None:
        """A line that ends in LF alone is refused and the next one is read."""
        link = self.connect()
        link.say(b"a NOOP\nb NOOP\r\n")
        self.assertEqual(link.take(), b"* BAD line does not end in CRLF\r\nb OK NOOP completed\r\n")

    def test_bare_newline_behind_a_literal(self) -> None:
        """The command is refused with its tag."""
        link = self.connect()
        link.say(b"a LOGIN {3+}\r\nann pw\nb NOOP\r\nc FOO {3+}\r\nx\ny\nd NOOP\r\n")
        self.assertEqual(
            link.take(),
            b"a BAD line does not end in CRLF\r\nb OK NOOP completed\r\nc BAD unknown command\r\nd OK NOOP completed\r\n",
        )

    def test_too_long_a_line(self) -> None:
        """Before login a line has 8 KiB; past them the connection closes with a word."""
        link = self.connect()
        link.say(b"a NOOP " + b"(" * 9000)
        self.assertEqual(link.take(), b"* BAD Command line is too long\r\n* BYE command line is too long\r\n")
        self.assertTrue(link.closed)

    def test_many_bad_commands(self) -> None:
        """Twenty in a row end the session; a good one in between starts the count anew."""
        link = self.connect()
        link.say(b"a FOO\r\n" * 19 + b"a NOOP\r\n" + b"a FOO\r\n" * 19)
        self.assertFalse(link.closed)
        link.say(b"a FOO\r\n" + b"b NOOP\r\n")
        self.assertTrue(link.take().endswith(b"a BAD unknown command\r\n* BYE too many bad commands\r\n"))
        self.assertTrue(link.closed)

    def test_browsers_are_sent_away(self) -> None:
        """A request of HTTP ends the session; what a page's author put behind it is not looked at."""
        for verb in (b"GET", b"POST", b"PUT", b"OPTIONS", b"CONNECT"):
            link = self.connect()
            link.say(verb + b" / HTTP/1.1\r\nHost: x\r\n\r\na CAPABILITY\r\n")
            self.assertEqual(link.take(), b"* BYE this is IMAP\r\n")
            self.assertTrue(link.closed)
        link = self.connect()
        link.say(b"GET NOOP\r\n")
        self.assertEqual(link.take(), b"GET OK NOOP completed\r\n")

    def test_pipelined_commands_in_order(self) -> None:
        """Commands sent at once are answered one after another, each split of them alike."""
        self.fill(2)
        said = (
            b"a LOGIN ann pw\r\nb SELECT INBOX\r\nc FETCH 1 UID\r\n"
            b"d STORE 1 +FLAGS.SILENT (\\Deleted)\r\ne EXPUNGE\r\nf LOGOUT\r\n"
        )
        tags = [b"a OK", b"b OK", b"* 1 FETCH (UID", b"c OK", b"d OK", b"* 1 EXPUNGE", b"e OK", b"* BYE", b"f OK"]
        for first, second in list(every_split(said))[::7]:
            self.setUp()
            self.fill(2)
            link = self.connect()
            link.say(first)
            link.say(second)
            heard = link.take()
            places = [heard.index(tag) for tag in tags]
            self.assertEqual(places, sorted(places))
            self.assertTrue(link.closed)

    def test_client_leaves_in_the_middle(self) -> None:
        """A peer that vanishes inside a command leaves nothing behind, and others go on."""
        other = self.log_in("INBOX")
        for said in (
            b"a LOG",
            b"a LOGIN {3}\r\na",
            b"a LOGIN ann pw\r\nb APPEND INBOX {100}\r\nxyz",
            b"a LOGIN ann pw\r\nb SELECT INBOX\r\nc IDLE\r\n",
        ):
            link = self.connect()
            link.say(said)
            link.abort()
        self.assertEqual(len(self.factory.sessions), 1)
        self.assertEqual(self.ask(other, b"NOOP"), [b"OK NOOP completed"])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_our_own_mistakes(self) -> None:
        """The peer hears that it was one, not which; it is logged once and counted; others go on."""
        other, link = self.log_in("INBOX"), self.log_in("INBOX")

        async def broken(*_: object) -> None:
            raise RuntimeError("secret detail")

        self.patch(MemoryMailbox, "status", broken)
        link.say(b"a STATUS INBOX (MESSAGES)\r\nb NOOP\r\n")
        self.assertEqual(link.take(), b"* BYE [SERVERBUG] Internal error\r\n")
        self.assertTrue(link.closed)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.world.site.counters.value("imap.errors.internal"), 1)
        self.ask(other, b"FETCH 1 FLAGS", b"BAD")

    def test_id_tells_our_name(self) -> None:
        """RFC 2971, before and after login."""
        link = self.connect()
        self.assertIn(b'* ID ("name" "Launcelot"', self.ask(link, b'ID ("name" "x\\"y" "os" NIL)')[0])
        self.ask(link, b"LOGIN ann pw")
        self.ask(link, b"ID NIL")


class LoginTests(ImapCase):
    """LOGIN and AUTHENTICATE."""

    def test_strings_of_all_kinds(self) -> None:
        """Name and password may be atoms, quoted strings with escapes or literals."""
        self.world.add_user("bob", 'p"a\\s s')
        for said in (
            b'a LOGIN bob "p\\"a\\\\s s"\r\n',
            b'a LOGIN {3+}\r\nbob {8+}\r\np"a\\s s'[:-1] + b"s\r\n",
            b'a LOGIN "bob" {7+}\r\np"a\\s s\r\n',
        ):
            link = self.connect()
            link.say(said)
            heard = link.take()
            wanted = b"a OK" if b"{8+}" not in said else b""
            self.assertTrue(heard.startswith(wanted), heard)

    def test_synchronizing_literals(self) -> None:
        """Each is asked for with a continuation; RFC 3501 section 4.3."""
        self.play("S: * OK *\nC: a LOGIN {3}\nS: + OK\nC| ann {2}\\r\\n\nS: + OK\nC| pw\\r\\n\nS: a OK *")

    def test_wrong_password(self) -> None:
        """Unknown names and wrong passwords are told in the same words; the session goes on."""
        link = self.connect()
        wrong = self.ask(link, b"LOGIN ann nope", b"NO")
        self.assertEqual(wrong, self.ask(link, b"LOGIN nobody nope", b"NO"))
        self.assertEqual(wrong, [b"NO [AUTHENTICATIONFAILED] authentication failed"])
        self.ask(link, b"LOGIN ann pw")

    def test_names_and_passwords_that_cannot_be(self) -> None:
        """Over-long, empty and undecodable ones fail like wrong ones."""
        link = self.connect()
        for said in (b"LOGIN ann " + b"x" * (MAX_SECRET + 1), b'LOGIN ann ""', b'LOGIN "" pw', b"LOGIN ann {1+}\r\n\xff"):
            self.assertEqual(self.ask(link, said, b"NO"), [b"NO [AUTHENTICATIONFAILED] authentication failed"])

    def test_many_wrong_passwords(self) -> None:
        """After ten from one source nothing is checked any more; the right password from another source works."""
        link = self.connect()
        for _ in range(10):
            self.ask(link, b"LOGIN ann nope", b"NO [AUTHENTICATIONFAILED]")
        self.ask(link, b"LOGIN ann pw", b"NO [LIMIT]")
        other = self.connect(source="127.0.0.2")
        self.ask(other, b"LOGIN ann pw")

    def test_plain_with_and_without_initial_response(self) -> None:
        """RFC 4959 and the two-step form."""
        secret = b64encode(b"\0ann\0pw").decode()
        self.play(f"S: * OK *\nC: a AUTHENTICATE PLAIN {secret}\nS: a OK [CAPABILITY *")
        self.play(f"S: * OK *\nC: a authenticate plain\nS: +*\nC: {secret}\nS: a OK [CAPABILITY *")

    def test_login_mechanism(self) -> None:
        """The mechanism LOGIN asks for name and password."""
        name, password = b64encode(b"ann").decode(), b64encode(b"pw").decode()
        self.play(
            f"S: * OK *\nC: a AUTHENTICATE LOGIN\nS: + VXNlcm5hbWU6\nC: {name}\nS: + UGFzc3dvcmQ6\nC: {password}\nS: a OK *"
        )

    def test_exchanges_that_go_wrong(self) -> None:
        """Cancelled, undecodable, malformed, for somebody else, or with a mechanism nobody has."""
        other = b64encode(b"bob\0ann\0pw").decode()
        self.play(f"""
S: * OK *
C: a AUTHENTICATE PLAIN
S: +*
C: *
S: a BAD cancelled
C: b AUTHENTICATE PLAIN =
S: b BAD *
C: c AUTHENTICATE PLAIN !!!
S: c BAD *
C: d AUTHENTICATE PLAIN {other}
S: d NO [AUTHORIZATIONFAILED] *
C: e AUTHENTICATE GSSAPI
S: e NO [CANNOT] *
C: f AUTHENTICATE PLAIN
S: +*
C| AAAA\\n
S: f BAD *
C: g NOOP
S: g OK *
""")

    def test_login_has_a_deadline(self) -> None:
        """A minute after connecting it is over, however much is said; commands do not help."""
        link = self.connect()
        for _ in range(59):
            self.world.advance(1)
            self.ask(link, b"NOOP")
        self.world.advance(2)
        self.assertEqual(link.take(), b"* BYE Too slow or idle for too long\r\n")
        self.assertTrue(link.closed)

    def test_sessions_may_idle_for_half_an_hour(self) -> None:
        """RFC 3501 section 5.4: not less than 30 minutes; then a BYE."""
        link = self.log_in("INBOX")
        self.world.advance(1799, step=600)
        self.ask(link, b"NOOP")
        self.world.advance(1802, step=600)
        self.assertEqual(link.take(), b"* BYE Too slow or idle for too long\r\n")


class PlaintextTests(ImapCase):
    """Passwords without TLS."""

    def test_not_from_afar(self) -> None:
        """By default only peers on this machine may send one; the capabilities say so."""
        link = self.world.connect(self.factory, "192.0.2.1")
        greeting = link.take()
        self.assertIn(b" LOGINDISABLED", greeting)
        self.assertNotIn(b"AUTH=", greeting)
        for said in (b"LOGIN ann pw", b"AUTHENTICATE PLAIN " + b64encode(b"\0ann\0pw"), b"AUTHENTICATE LOGIN"):
            self.ask(link, said, b"NO [PRIVACYREQUIRED]")

    def test_never_and_always(self) -> None:
        """The setting decides."""
        never = self.connect(self.make_factory(plaintext_login="never"))
        self.ask(never, b"LOGIN ann pw", b"NO [PRIVACYREQUIRED]")
        always = self.connect(self.make_factory(plaintext_login="always"), "192.0.2.1")
        self.ask(always, b"LOGIN ann pw")


class LiteralLimitTests(ImapCase):
    """Literals that are refused (I02, RFC 7888 section 4)."""

    def test_before_login(self) -> None:
        """4 KiB in all; what is refused is never read, and never run when it comes anyway."""
        link = self.connect()
        self.ask(link, b"LOGIN {2000000000}", b"NO [TOOBIG]")
        self.ask(link, b"LOGIN {4097}", b"NO [TOOBIG]")
        link.say(b"t LOGIN {5000+}\r\n" + b"x LOGOUT\r\n" * 500 + b" pw\r\nz NOOP\r\n")
        self.assertEqual(link.take(), b"t NO [TOOBIG] literal is too large\r\nz OK NOOP completed\r\n")
        link.say(b"t FOO {10+}\r\nx LOGOUT\r\n {3}\r\nz NOOP\r\n")
        self.assertEqual(link.take(), b"t BAD unknown command\r\nz OK NOOP completed\r\n")
        link.say(b"t LOGIN {2000000000+}\r\nx LOGOUT\r\n")
        self.assertEqual(link.take(), b"* BYE literal is too large\r\n")
        self.assertTrue(link.closed)

    def test_many_small_ones(self) -> None:
        """A hundred thousand literals of one octet end with a word and a close, not with memory."""
        link = self.connect()
        link.say(b"t LOGIN " + b"{1+}\r\nx" * 100_000)
        self.assertTrue(link.closed)
        self.assertRegex(link.take(), rb"BYE|BAD|NO")
        link = self.log_in("INBOX")
        link.say(b"t SEARCH " + b"OR TEXT {1+}\r\nx " * 20_000 + b"\r\n")
        self.assertTrue(link.closed or link.take())

    def test_after_login(self) -> None:
        """Commands have 64 KiB, their literals included."""
        link = self.log_in("INBOX")
        link.say(b"t SEARCH TEXT {60000+}\r\n" + b"x" * 60_000 + b"\r\n")
        self.assertEqual(link.take(), b"* SEARCH\r\nt OK SEARCH completed\r\n")
        self.ask(link, b"SEARCH TEXT {65537}", b"NO [TOOBIG]")
        link.say(b"t SEARCH TEXT {100000+}\r\n" + b"x" * 100_000 + b"\r\nz NOOP\r\n")
        self.assertEqual(link.take(), b"t NO [TOOBIG] literal is too large\r\nz OK NOOP completed\r\n")

    def test_negative_and_open(self) -> None:
        """A negative size announces nothing; it is a syntax error, and nobody waits for octets (twisted-audit)."""
        link = self.connect()
        self.ask(link, b"LOGIN {-5}", b"BAD")
        self.ask(link, b"LOGIN {-1} x", b"BAD")
        self.ask(link, b"LOGIN {5} {5", b"BAD")

    def test_deep_lists(self) -> None:
        """Thousands of parentheses are refused in a moment."""
        link = self.log_in("INBOX")
        for said in (
            b"SEARCH " + b"(" * 8000,
            b"FETCH 1 " + b"(" * 8000,
            b"STORE 1 FLAGS " + b"(" * 8000,
            b"ID " + b"(" * 8000,
        ):
            self.ask(link, said, b"BAD")


class SlowReaderTests(ImapCase):
    """R03: a client that sends and never reads."""

    def test_replies_are_bounded(self) -> None:
        """It is paused, and cut after two minutes."""
        link = self.connect()
        link.stop_reading()
        for _ in range(200):
            link.say(b"a CAPABILITY\r\n" * 1000)
        self.assertLess(link.server.sent, 400_000)
        self.assertLess(link.server.pending, 200_000)
        self.world.advance(125)
        self.assertEqual(self.factory.sessions, set())
