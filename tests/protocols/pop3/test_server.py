"""The POP3 server over a memory network: dialogues, limits, ends, and what must never happen."""

import base64
import poplib
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.dots import DotReader
from launcelot.core.errors import TryLater
from launcelot.mailstore.memorymailbox import MemoryMailbox
from launcelot.protocols.pop3.commands import COMMANDS
from launcelot.protocols.pop3.session import LAWFUL, Session, State, Unlawful
from launcelot.testing.link import every_split, random_cuts
from tests.protocols.pop3.world import FIRST, SECOND, Post

PLAIN = base64.b64encode(b"\0ann\0pw").decode()
WRONG = base64.b64encode(b"\0ann\0wrong").decode()


def message(said: bytes) -> bytes:
    """The message in a reply: its first line and the stuffing taken off."""
    first, _, rest = said.partition(b"\r\n")
    assert first.startswith(b"+OK"), first
    reader = DotReader()
    text = reader.feed(rest)
    assert reader.ended and not reader.rest, said
    return text


class LogInTests(SynchronousTestCase):
    """AUTHORIZATION state."""

    def setUp(self) -> None:
        self.post = Post()

    def play(self, text: str, chunk: int | None = None) -> None:
        """Play a dialogue with a new peer."""
        self.post.play(text, self.post.connect(), chunk).abort()

    def test_user_and_password(self) -> None:
        """In any case; also one octet at a time."""
        text = """
            C: user ann
            S: +OK *
            C: PaSs pw
            S: +OK 2 messages (69 octets)
            C: QUIT
            S: +OK goodbye, 0 messages removed
            -- closed
            """
        self.play(text)
        self.play(text, chunk=1)

    def test_a_password_with_spaces(self) -> None:
        """Everything behind the first space belongs to it."""
        self.post.world.add_user("bob", " two  words ")
        link = self.post.connect()
        link.say(b"USER bob\r\nPASS  two  words \r\n")
        self.assertIn(b"+OK 0 messages", link.take())

    def test_the_address_is_a_name_too(self) -> None:
        """As people type it."""
        self.play("C: USER ann@test\nS: +OK *\nC: PASS pw\nS: +OK *")

    def test_unknown_and_known_names_are_answered_alike(self) -> None:
        """USER tells nothing, and neither does PASS."""
        answers = []
        for name in (b"ann", b"nobody"):
            link = self.post.connect()
            link.say(b"USER " + name + b"\r\nPASS wrong\r\n")
            answers.append(link.take())
        self.assertEqual(answers[0], answers[1])
        self.assertIn(b"-ERR [AUTH] ", answers[0])

    def test_a_failed_log_in_does_not_hang_up(self) -> None:
        """QUIT is answered, and another try may succeed."""
        self.play("C: USER ann\nS: +OK *\nC: PASS wrong\nS: -ERR [AUTH] *\nC: QUIT\nS: +OK *\n-- closed")
        self.play("C: USER ann\nS: +OK *\nC: PASS wrong\nS: -ERR [AUTH] *\nC: USER ann\nS: +OK *\nC: PASS pw\nS: +OK 2*")

    def test_five_failures_hang_up(self) -> None:
        """With the last one."""
        text = "C: USER ann\nS: +OK *\nC: PASS wrong\nS: -ERR [AUTH] *\n"
        self.play(text * 2 + f"C: AUTH PLAIN {WRONG}\nS: -ERR [AUTH] *\n" * 2 + text + "-- closed")

    def test_password_before_name(self) -> None:
        """One USER is good for one PASS."""
        self.play("C: PASS pw\nS: -ERR USER*\nC: USER ann\nS: +OK*\nC: PASS no\nS: -ERR [AUTH]*\nC: PASS pw\nS: -ERR USER*")

    def test_password_after_a_name_that_was_refused(self) -> None:
        """PASS belongs to the USER directly before it, not to one before a USER or an AUTH that failed.  RFC 1939 section 7."""
        for refused in ("USER", "USER ", f"AUTH PLAIN {WRONG}", "AUTH CRAM-MD5", "APOP ann " + "0" * 32, "nonsense"):
            self.play(f"C: USER ann\nS: +OK*\nC: {refused}\nS: -ERR*\nC: PASS pw\nS: -ERR USER*")

    def test_malformed_names_and_passwords(self) -> None:
        """Octets that are no UTF-8, secrets without end; never anything but an error."""
        link = self.post.connect()
        link.say(b"USER \xff\xfe\r\nPASS pw\r\nUSER ann\r\nPASS \x80\r\nUSER ann\r\nPASS " + b"a" * 1500 + b"\r\n")
        self.assertEqual(link.take().count(b"-ERR [AUTH]"), 3)

    def test_plain_with_and_without_initial_response(self) -> None:
        """Both ways of RFC 5034."""
        self.play(f"C: AUTH PLAIN {PLAIN}\nS: +OK 2 messages*")
        self.play(f"C: AUTH plain\nS: + *\nC: {PLAIN}\nS: +OK 2 messages*")
        self.play(f"C: AUTH PLAIN\nS: + *\nC: {PLAIN}\nS: +OK 2 messages*", chunk=1)

    def test_login_mechanism(self) -> None:
        """Name and password, each asked for."""
        self.play("C: AUTH LOGIN\nS: + VXNlcm5hbWU6\nC: YW5u\nS: + UGFzc3dvcmQ6\nC: cHc=\nS: +OK 2 messages*")
        self.play("C: AUTH LOGIN YW5u\nS: + UGFzc3dvcmQ6\nC: cHc=\nS: +OK 2 messages*")

    def test_cancelled(self) -> None:
        """A star ends the exchange and nothing else."""
        self.play(f"C: AUTH PLAIN\nS: + *\nC: *\nS: -ERR cancelled\nC: AUTH PLAIN {PLAIN}\nS: +OK *")

    def test_bad_sasl(self) -> None:
        """Bad base64, wrong number of parts, empty response, unknown mechanism, acting as somebody else."""
        other = base64.b64encode(b"bob\0ann\0pw").decode()
        for words in ("!!!!", "YQ", "=", base64.b64encode(b"a\0b").decode(), other):
            self.play(f"C: AUTH PLAIN {words}\nS: -ERR *")
        self.play("C: AUTH CRAM-MD5\nS: -ERR *\nC: AUTH\nS: -ERR *\nC: AUTH PLAIN a b\nS: -ERR *")

    def test_a_response_too_long(self) -> None:
        """The protocol's error, then the end."""
        link = self.post.connect()
        link.say(b"AUTH PLAIN\r\n" + b"A" * 13_000 + b"\r\n")
        self.assertEqual(link.take(), b"+ \r\n-ERR line too long\r\n")
        self.assertTrue(link.closed)

    def test_blocked_after_many_failures(self) -> None:
        """From any number of connections; the right password does not help from there, with the code that says why."""
        for _ in range(3):
            link = self.post.connect()
            link.say(b"USER ann\r\nPASS wrong\r\n" * 4)
        self.play("C: USER ann\nS: +OK *\nC: PASS pw\nS: -ERR [LOGIN-DELAY] *")

    def test_commands_of_the_other_state(self) -> None:
        """Every verb is lawful where its table says, and nowhere else."""
        for verb, command in COMMANDS.items():
            for state, link in ((State.AUTHORIZATION, self.post.connect()), (State.TRANSACTION, self.post.logged_in())):
                if state not in command.states:
                    link.say(verb + b" 1\r\n")
                    self.assertEqual(link.take(), f"-ERR not in {state.value} state\r\n".encode())
                link.abort()


class CleartextTests(SynchronousTestCase):
    """Passwords without TLS."""

    def refused(self, post: Post, source: str) -> None:
        """USER, PASS and AUTH are refused, and CAPA does not offer them."""
        link = post.connect(source)
        link.say(f"USER ann\r\nPASS pw\r\nAUTH PLAIN {PLAIN}\r\nCAPA\r\n".encode())
        said = link.take()
        self.assertEqual(said.count(b"-ERR passwords are taken under TLS only"), 3)
        self.assertNotIn(b"\r\nUSER\r\n", said)
        self.assertNotIn(b"SASL", said)

    def test_loopback_only(self) -> None:
        """The default: this machine may, others must start TLS."""
        post = Post(tls=True)
        self.refused(post, "192.0.2.1")
        post.play("C: USER ann\nS: +OK *\nC: PASS pw\nS: +OK *", post.connect("127.0.0.9"))
        post.play("C: USER ann\nS: +OK *\nC: PASS pw\nS: -ERR [IN-USE] *", post.connect("::1"))

    def test_never(self) -> None:
        """Not even this machine."""
        self.refused(Post(tls=True, plaintext_login="never"), "127.0.0.1")

    def test_always(self) -> None:
        """Whoever wants it so."""
        post = Post(plaintext_login="always")
        post.play("C: USER ann\nS: +OK *\nC: PASS pw\nS: +OK *", post.connect("192.0.2.1"))


class CapabilityTests(SynchronousTestCase):
    """CAPA is complete and true."""

    def offered(self, post: Post, logged_in: bool, source: str = "127.0.0.1") -> set[str]:
        """What CAPA lists."""
        link = post.logged_in() if logged_in else post.connect(source)
        link.say(b"CAPA\r\n")
        lines = link.take().decode().split("\r\n")
        self.assertEqual((lines[0][:3], lines[-2:]), ("+OK", [".", ""]))
        return set(lines[1:-2])

    always = {
        "TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER", "IMPLEMENTATION Launcelot",
        "UTF8 USER", "LANG",
    }  # fmt: skip
    log_in = {"USER", "SASL SCRAM-SHA-256 PLAIN LOGIN"}

    def test_without_tls(self) -> None:
        """No STLS where there is no certificate."""
        self.assertEqual(self.offered(Post(), False), self.always | self.log_in)

    def test_with_tls(self) -> None:
        """STLS before log-in only."""
        self.assertEqual(self.offered(Post(tls=True), False), self.always | self.log_in | {"STLS"})
        self.assertEqual(self.offered(Post(tls=True), True), self.always | self.log_in)

    def test_from_elsewhere(self) -> None:
        """No way to log in is offered before STLS."""
        self.assertEqual(self.offered(Post(tls=True), False, "192.0.2.1"), self.always - {"UTF8 USER"} | {"UTF8", "STLS"})


class MaildropTests(SynchronousTestCase):
    """TRANSACTION state."""

    def test_stat_list_and_uidl(self) -> None:
        """All and one; after DELE the marked one is nowhere."""
        Post().play(
            """
            C: STAT
            S: +OK 2 69
            C: LIST
            S: +OK 2 messages (69 octets)
            S: 1 24
            S: 2 45
            S: .
            C: LIST 2
            S: +OK 2 45
            C: DELE 1
            S: +OK message 1 marked deleted
            C: STAT
            S: +OK 1 45
            C: LIST
            S: +OK 1 messages (45 octets)
            S: 2 45
            S: .
            C: LIST 1
            S: -ERR no such message
            C: UIDL 1
            S: -ERR no such message
            C: UIDL 2
            S: +OK 2 *
            C: UIDL
            S: +OK *
            S: 2 *
            S: .
            C: RSET
            S: +OK 2 messages (69 octets)
            C: NOOP
            S: +OK
            """
        )

    def test_an_empty_maildrop(self) -> None:
        """Lists of nothing are lists."""
        lists = "C: LIST\nS: +OK 0*\nS: .\nC: UIDL\nS: +OK 0*\nS: .\n"
        Post([]).play("C: STAT\nS: +OK 0 0\n" + lists + "C: RETR 1\nS: -ERR no such message")

    def test_numbers_are_strict(self) -> None:
        """Whatever is no message number is an error; nothing is marked by it."""
        post = Post()
        for argument in ("-1", "0", "1e3", "3", "4294967297", "01", "abc", "1 1", "+1", "\u0661"):
            link = post.logged_in()
            for verb in ("DELE", "RETR", "LIST", "UIDL"):
                post.play(f"C: {verb} {argument}\nS: -ERR *", link)
            post.play("C: STAT\nS: +OK 2 69\nC: QUIT\nS: +OK *", link)
            link.close()
        self.assertEqual(len(post.bodies()), 2)

    def test_retrieving_is_exact(self) -> None:
        """The octets of the store come back, in every shape that dots and line ends can have."""
        messages = [
            FIRST,
            SECOND,
            b".\r\n",
            b"..\r\n",
            b"Subject: x\r\n\r\n.\r\n.\r\n",
            b"\r\n.\r\n",
            b"a: b\r\n\r\n" + b"." * 100_000 + b"\r\n",
            b"a: b\r\n\r\n" + b"x" * 1_000_000 + b"\r\n.\r\n..x\r\n",
            b"a: b\r\n\r\n" + b"\r\n." * 70_000 + b"\r\n",
            bytes(set(range(256)) - {10, 13}) + b"\r\n",
        ]
        post = Post(messages)
        link = post.logged_in()
        for number, stored in enumerate(messages, 1):
            link.say(b"RETR %d\r\n" % number)
            self.assertEqual(message(link.take()), stored, number)
            link.say(b"TOP %d 999999999999\r\n" % number)
            self.assertEqual(message(link.take()), stored, number)

    def test_dots_at_every_piece_boundary(self) -> None:
        """Wherever the line end and the dot fall between two reads."""
        bodies = [b"x" * (65_536 - shift) + b"\r\n.\r\n" + b"y" * 10 + b"\r\n" for shift in range(8)]
        post = Post(bodies)
        link = post.logged_in()
        for number, stored in enumerate(bodies, 1):
            link.say(b"RETR %d\r\n" % number)
            self.assertEqual(message(link.take()), stored)

    def test_a_missing_last_line_end_is_added(self) -> None:
        """So that the end of the reply is one; also for no octets at all."""
        post = Post([b"a: b\r\n\r\nno end", b""])
        link = post.logged_in()
        link.say(b"RETR 1\r\n")
        self.assertEqual(message(link.take()), b"a: b\r\n\r\nno end\r\n")
        link.say(b"RETR 2\r\n")
        self.assertEqual(message(link.take()), b"")

    def test_bare_line_ends_cannot_end_the_reply(self) -> None:
        """A client that takes LF for a line end sees no end of reply inside the message."""
        link = Post([b"a: b\r\n\r\nx\n.\n-ERR me\r.\r+OK\r\n"]).logged_in()
        link.say(b"RETR 1\r\n")
        said = link.take()
        self.assertEqual(said.replace(b"\r\n", b"\n").count(b"\n.\n"), 1)
        self.assertEqual(message(said), b"a: b\r\n\r\nx\r\n.\r\n-ERR me\r\n.\r\n+OK\r\n")

    def test_top(self) -> None:
        """Header and lines; 0 lines end with the empty line."""
        link = Post().logged_in()
        link.say(b"TOP 2 0\r\nTOP 2 1\r\n")
        header = b"+OK top of message\r\nSubject: two\r\nX: y\r\n\r\n"
        self.assertEqual(link.take(), header + b".\r\n" + header + b"..\r\n.\r\n")

    def test_pipelined_commands_are_answered_in_order(self) -> None:
        """Whole, octet by octet, at every split and at random cuts."""
        said = b"STAT\r\nRETR 1\r\nDELE 1\r\nLIST\r\nRETR 1\r\nTOP 2 1\r\nRSET\r\nNOOP\r\nUIDL 2\r\nSTAT\r\n"
        post = Post()
        link = post.logged_in()
        link.say(said)
        expected = link.take()
        self.assertEqual(expected.count(b"+OK"), 9)
        random = Random(110)
        for cuts in [[cut] for cut in range(len(said))] + [random_cuts(said, random) for _ in range(20)] + [range(len(said))]:
            link.say(said, cuts=cuts)
            self.assertEqual(link.take(), expected)

    def test_flags_stay_as_they_are(self) -> None:
        """Reading by POP3 is not seeing."""
        post = Post()
        post.logged_in().say(b"RETR 1\r\nTOP 2 5\r\nQUIT\r\n")
        self.assertEqual([state.flags for state in post.world.result(post.inbox().states())], [frozenset()] * 2)

    def test_a_message_removed_by_others(self) -> None:
        """An error before anything is sent; the session goes on."""
        post = Post()
        link = post.logged_in()
        first = post.world.result(post.inbox().states())[0].uid
        post.world.result(post.inbox().remove([first]))
        post.play("C: RETR 1\nS: -ERR *\nC: STAT\nS: +OK 2 69\nC: DELE 1\nS: +OK *\nC: QUIT\nS: +OK goodbye, 0*", link)

    def test_a_store_that_fails_in_the_middle(self) -> None:
        """The connection is cut; half a message never passes for a whole one."""
        post = Post([b"a: b\r\n\r\n" + b"x" * 200_000 + b"\r\n"])
        link = post.logged_in()
        read = MemoryMailbox.read

        async def failing(mailbox: MemoryMailbox, uid: int, offset: int, length: int) -> bytes:
            if offset:
                raise TryLater
            return await read(mailbox, uid, offset, length)

        self.patch(MemoryMailbox, "read", failing)
        link.say(b"RETR 1\r\n")
        self.assertNotIn(b"\r\n.\r\n", link.take())
        self.assertTrue(link.closed)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_peer_that_does_not_read_is_bounded(self) -> None:
        """However much it asks for."""
        post = Post([b"a: b\r\n\r\n" + b"x" * 500_000 + b"\r\n"])
        link = post.logged_in()
        link.stop_reading()
        link.say(b"RETR 1\r\n" * 10_000)
        self.assertLess(link.server.sent, 600_000)
        self.assertLess(link.server.pending, 200_000)
        post.world.advance(125)
        self.assertEqual(post.count.open, 0)
        post.logged_in()


class UpdateTests(SynchronousTestCase):
    """What is removed, and when."""

    def test_quit_removes_the_marked(self) -> None:
        """And only those."""
        post = Post()
        post.play("C: DELE 1\nS: +OK *\nC: QUIT\nS: +OK goodbye, 1 messages removed\n-- closed")
        self.assertEqual(post.bodies(), [SECOND])

    def test_nothing_is_removed_without_quit(self) -> None:
        """Close, reset, silence, RSET, a stopping daemon: everything is still there."""
        post = Post()
        for ending in ("close", "abort", "half_close"):
            link = post.logged_in()
            link.say(b"DELE 1\r\nDELE 2\r\n")
            getattr(link, ending)()
            self.assertEqual(len(post.bodies()), 2)
        silent = post.logged_in()
        silent.say(b"DELE 1\r\n")
        post.world.advance(605)
        self.assertTrue(silent.closed)
        self.assertEqual(len(post.bodies()), 2)
        post.play("C: DELE 1\nS: +OK *\nC: RSET\nS: +OK *\nC: QUIT\nS: +OK goodbye, 0*")
        self.assertEqual(len(post.bodies()), 2)

    def test_cut_at_every_octet(self) -> None:
        """None are removed before QUIT is whole; all are after it."""
        said = b"DELE 1\r\nDELE 2\r\nQUIT\r\n"
        for first, second in every_split(said):
            post = Post()
            link = post.logged_in()
            link.say(first)
            link.abort()
            self.assertEqual(len(post.bodies()), 0 if not second else 2)

    def test_a_store_that_cannot_remove(self) -> None:
        """The peer is told, nothing is removed, and the lock is free."""
        post = Post()
        link = post.logged_in()

        async def failing(mailbox: MemoryMailbox, uids: object) -> list[int]:
            raise TryLater

        self.patch(MemoryMailbox, "remove", failing)
        post.play("C: DELE 1\nS: +OK *\nC: QUIT\nS: -ERR [SYS/TEMP] *\n-- closed", link)
        self.assertEqual(len(post.bodies()), 2)
        post.logged_in()

    def test_quit_before_log_in(self) -> None:
        """Nothing to remove."""
        post = Post()
        post.play("C: QUIT\nS: +OK goodbye\n-- closed", post.connect())

    def test_commands_behind_quit_are_not_heard(self) -> None:
        """The session is over."""
        link = Post().logged_in()
        link.say(b"QUIT\r\nSTAT\r\n")
        self.assertEqual(link.take(), b"+OK goodbye, 0 messages removed\r\n")


class LockTests(SynchronousTestCase):
    """One session at a time."""

    def test_the_second_is_told(self) -> None:
        """By USER/PASS and by AUTH; it may try again when the first has gone, however it went."""
        post = Post()
        for ending in ("close", "abort", "half_close"):
            first = post.logged_in()
            second = post.connect()
            post.play(f"C: USER ann\nS: +OK *\nC: PASS pw\nS: -ERR [IN-USE] *\nC: AUTH PLAIN {PLAIN}\nS: -ERR [IN-USE] *", second)
            getattr(first, ending)()
            post.play(f"C: AUTH PLAIN {PLAIN}\nS: +OK *", second)
            second.abort()

    def test_being_told_is_no_failed_log_in(self) -> None:
        """A client that polls is not hung up on."""
        post = Post()
        post.logged_in()
        post.play(f"C: AUTH PLAIN {PLAIN}\nS: -ERR [IN-USE] *\n" * 8, post.connect())

    def test_a_peer_that_leaves_while_logging_in(self) -> None:
        """The lock is free again."""
        post = Post()
        for _, second in every_split(b"USER ann\r\nPASS pw\r\n"):
            link = post.connect()
            link.say(b"USER ann\r\nPASS pw\r\n"[: -len(second) or None])
            link.abort()
        post.logged_in()

    def test_a_maildrop_that_cannot_be_opened_is_not_locked(self) -> None:
        """The next try may succeed."""
        post = Post()
        sizes = MemoryMailbox.sizes

        async def failing(mailbox: MemoryMailbox) -> list[object]:
            raise TryLater

        self.patch(MemoryMailbox, "sizes", failing)
        link = post.connect()
        post.play("C: USER ann\nS: +OK *\nC: PASS pw\nS: -ERR [SYS/TEMP] *", link)
        self.patch(MemoryMailbox, "sizes", sizes)
        post.play("C: USER ann\nS: +OK *\nC: PASS pw\nS: +OK *", link)

    def test_a_bug_frees_the_lock(self) -> None:
        """And is told in the protocol's words, once in the log."""
        post = Post()
        link = post.logged_in()

        async def broken(mailbox: MemoryMailbox, *args: object) -> bytes:
            raise ZeroDivisionError("secret")

        self.patch(MemoryMailbox, "sheet", broken)
        link.say(b"RETR 1\r\n")
        self.assertEqual(link.take(), b"-ERR [SYS/TEMP] internal error\r\n")
        self.assertTrue(link.closed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        link.close()
        post.logged_in()


class TLSTests(SynchronousTestCase):
    """STLS, and what must not pass through it."""

    def setUp(self) -> None:
        self.post = Post(tls=True, plaintext_login="never")
        tls = self.post.world.tls
        assert tls is not None
        self.context = tls.client("localhost")

    def test_log_in_under_tls(self) -> None:
        """CAPA changes with it."""
        link = self.post.connect("192.0.2.1")
        self.post.play("C: USER ann\nS: -ERR *\nC: STLS\nS: +OK *", link)
        link.start_tls(self.context)
        self.assertTrue(link.peer.shaken)
        link.say(b"CAPA\r\n")
        capabilities = link.take()
        self.assertIn(b"\r\nUSER\r\n", capabilities)
        self.assertNotIn(b"STLS", capabilities)
        self.post.play("C: STLS\nS: -ERR TLS is in use already\nC: USER ann\nS: +OK *\nC: PASS pw\nS: +OK 2*", link)
        self.post.play("C: RETR 1\nS: +OK*\n...\nS: .", link)

    def test_a_command_behind_stls_is_never_executed(self) -> None:
        """Whole or in pieces of one segment; the connection ends."""
        for injected in (b"CAPA\r\n", b"QUIT", b"\r\n", b"USER ann\r\nPASS pw\r\n"):
            link = self.post.connect()
            link.say(b"STLS\r\n" + injected)
            self.assertEqual(link.take(), b"-ERR nothing may follow STLS in the clear\r\n")
            self.assertTrue(link.closed)
        self.assertEqual(self.post.world.site.counters.value("pop3.tls.injected"), 4)

    def test_a_command_after_the_answer_is_not_executed_either(self) -> None:
        """It is no TLS handshake."""
        link = self.post.connect()
        link.say(b"STLS\r\n")
        link.take()
        link.say(b"CAPA\r\nQUIT\r\n")
        self.assertNotIn(b"+OK", link.take())
        self.assertTrue(link.closed)

    def test_a_name_given_before_stls_is_forgotten(self) -> None:
        """RFC 2595 section 4."""
        post = Post(tls=True)
        link = post.connect()
        post.play("C: USER ann\nS: +OK *\nC: STLS\nS: +OK *", link)
        assert post.world.tls is not None
        link.start_tls(post.world.tls.client("localhost"))
        post.play("C: PASS pw\nS: -ERR USER comes first", link)

    def test_no_certificate_no_stls(self) -> None:
        """It is refused, and the session goes on."""
        post = Post()
        post.play("C: STLS\nS: -ERR no TLS here\nC: CAPA\n...\nS: .", post.connect())


class LimitTests(SynchronousTestCase):
    """Bad input and slow peers."""

    def test_long_lines(self) -> None:
        """An error after a bounded number of octets, then the end."""
        for logged_in in (False, True):
            post = Post()
            link = post.logged_in() if logged_in else post.connect()
            link.say(b"NOOP " + b"x" * 3_000_000)
            self.assertEqual(link.take(), b"-ERR line too long\r\n")
            self.assertTrue(link.closed)
            self.assertEqual(link.server.pending, 0)

    def test_bare_newlines(self) -> None:
        """A line that ends in LF alone is an error and not a command."""
        post = Post()
        link = post.logged_in()
        link.say(b"DELE 1\nSTAT\r\n")
        self.assertEqual(link.take(), b"-ERR lines end with CRLF\r\n+OK 2 69\r\n")

    def test_nonsense(self) -> None:
        """Unknown verbs, NUL, other scripts, nothing: an error each, and what was said is not repeated."""
        post = Post()
        link = post.logged_in()
        link.say(b"XYZZY\r\n\0\r\n\xff\xfe\r\n\r\n RETR 1\r\nLAST\r\nAPOP ann 0123\r\nSTAT x\r\nUTF8\r\n")
        said = link.take()
        self.assertEqual((said.count(b"-ERR"), said.count(b"\r\n")), (9, 9))
        self.assertNotIn(b"XYZZY", said)
        post.play("C: STAT\nS: +OK 2 69", link)

    def test_ten_errors_hang_up(self) -> None:
        """The tenth says so."""
        link = Post().connect()
        link.say(b"BLAH\r\n" * 20)
        said = link.take().split(b"\r\n")
        self.assertEqual((len(said), said[9]), (11, b"-ERR too many errors"))
        self.assertTrue(link.closed)

    def test_browsers_are_not_listened_to(self) -> None:
        """What a page made them send is not executed."""
        link = Post().connect()
        link.say(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nUSER ann\r\nPASS pw\r\n")
        self.assertEqual(link.take(), b"")
        self.assertTrue(link.closed)

    def test_log_in_takes_a_minute_at_most(self) -> None:
        """However busy the peer looks."""
        post = Post()
        link = post.connect()
        for _ in range(6):
            post.world.advance(10)
            link.say(b"CAPA\r\n")
        post.world.advance(2)
        self.assertTrue(link.closed)

    def test_a_silent_session_ends_without_a_word(self) -> None:
        """RFC 1939 section 3; not before ten minutes, and commands start them anew."""
        post = Post()
        link = post.logged_in()
        for _ in range(3):
            post.world.advance(595)
            post.play("C: NOOP\nS: +OK", link)
        post.world.advance(602)
        self.assertEqual((link.take(), link.closed), (b"", True))
        self.assertEqual(link.server.outcome, "deadline (idle)")

    def test_stopping(self) -> None:
        """Sessions are told."""
        post = Post()
        link = post.logged_in()
        link.say(b"DELE 1\r\n")
        drained = post.factory.drain()
        self.assertTrue(link.take().endswith(b"-ERR [SYS/TEMP] shutting down\r\n"))
        link.close()
        self.successResultOf(drained)
        self.assertEqual(len(post.bodies()), 2)

    def test_too_many_connections(self) -> None:
        """In the protocol's words."""
        post = Post()
        post.count.per_source = 1
        post.connect()
        self.assertEqual(post.world.connect(post.factory).take(), b"-ERR [SYS/TEMP] too many connections\r\n")

    def test_no_timer_is_left(self) -> None:
        """A closed session leaves a clean clock."""
        post = Post()
        post.logged_in().close()
        self.assertEqual(post.world.clock.getDelayedCalls(), [])

    def test_large_listings_stay_small_in_memory(self) -> None:
        """They wait for a peer that reads slowly."""
        post = Post([b"\r\n"] * 20_000)
        link = post.logged_in()
        link.stop_reading()
        link.say(b"UIDL\r\n" * 20)
        self.assertLess(link.server.sent, 400_000)
        link.go_on_reading()
        said = link.take()
        self.assertEqual((said.count(b"\r\n.\r\n"), said.count(b"\r\n")), (20, 20 * 20_002))


class TableTests(SynchronousTestCase):
    """States and the command table."""

    def test_every_state_leads_where_the_table_says(self) -> None:
        """And nowhere else."""
        for state in State:
            for other in State:
                session = Session.__new__(Session)
                session.state = state
                if other in LAWFUL[state]:
                    session.become(other)
                else:
                    self.assertRaises(Unlawful, session.become, other)

    def test_every_command_states_its_rule(self) -> None:
        """Verb, help and section belong together."""
        for verb, command in COMMANDS.items():
            self.assertTrue(command.help.split()[0].encode() == verb == command.verb)
            self.assertRegex(command.section, r"\ARFC \d+ section")

    def test_pythons_client_agrees_about_line_lengths(self) -> None:
        """Replies fit what poplib reads."""
        self.assertGreaterEqual(poplib._MAXLINE, 512)  # type: ignore[attr-defined]
