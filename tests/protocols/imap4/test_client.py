"""The client against our server, and against servers that are not what they should be."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from launcelot.protocols.imap4.answers import (
    Appended,
    CommandFailed,
    Confused,
    Disconnected,
    ImapError,
    Injected,
    NotSecure,
    TimedOut,
    Untrusted,
)
from launcelot.protocols.imap4.asking import Octets
from launcelot.protocols.imap4.client import ImapClient, ImapClientFactory
from launcelot.protocols.imap4.told import Exists, Listed, Told
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Pair, connect_pair
from tests.protocols.imap4.world import MESSAGE, ImapCase


class PairCase(ImapCase):
    """Our client joined to our server."""

    def setUp(self) -> None:
        super().setUp()
        self.pair: Pair[ImapClient, Any] = connect_pair(
            ImapClientFactory(self.world.clock, plaintext_login=True),
            self.factory,
            self.world.clock,
            self.world.network,
        )
        self.client = self.pair.client
        self.get(self.client.greeting())

    def get(self, deferred: Deferred[Any]) -> Any:
        """What a Deferred gives once everything has happened that can."""
        self.pair.flush()
        return self.successResultOf(deferred)

    def refused(self, deferred: Deferred[Any]) -> CommandFailed:
        """The refusal a command ended with."""
        self.pair.flush()
        error = self.failureResultOf(deferred, CommandFailed).value
        assert isinstance(error, CommandFailed)
        return error


class TalkTests(PairCase):
    """Every command."""

    def test_a_whole_session(self) -> None:
        """Log in, make mailboxes, append, fetch, store, search, copy, move, expunge, log out."""
        client = self.client
        self.get(client.login("ann", "pw"))
        self.assertIn(b"UIDPLUS", client.capabilities)
        self.get(client.create("caf\u00e9/A&B"))
        self.assertIn(Listed("caf\u00e9", "/", (b"\\HasChildren",)), self.get(client.mailboxes()))
        appended = self.get(client.append("INBOX", len(MESSAGE), [MESSAGE[:50], MESSAGE[50:]], ["\\Flagged", "kw"]))
        self.assertIsInstance(appended, Appended)
        self.assertEqual(self.get(client.status("INBOX", b"MESSAGES", b"UIDNEXT")), {b"MESSAGES": 1, b"UIDNEXT": 2})
        selected = self.get(client.select("INBOX"))
        self.assertEqual((selected.exists, selected.recent, selected.unseen, selected.uid_next), (1, 1, 1, 2))
        self.assertFalse(selected.read_only)
        (row,) = self.get(client.fetch("1:*", b"(FLAGS ENVELOPE BODY.PEEK[] BODY.PEEK[HEADER.FIELDS (To X-Y)]<0.3>)"))
        self.assertEqual(row.row[b"BODY[]"], MESSAGE)
        self.assertEqual(row.row[b"BODY[HEADER.FIELDS (TO X-Y)]<0>"], b"To:")
        self.assertEqual(row.row[b"ENVELOPE"][1], b"IMAP4rev1 WG mtg summary and minutes")
        self.assertEqual(set(row.row[b"FLAGS"]), {b"\\Flagged", b"\\Recent", b"kw"})
        self.assertEqual(self.get(client.search(b"SUBJECT", Octets(b"meet"), uid=False)), [])
        self.assertEqual(self.get(client.search(b"TEXT", Octets(b"3:30"))), [1])
        self.assertEqual(self.get(client.search(b"TEXT", Octets("\u00e9".encode()))), [])
        self.assertEqual(self.get(client.copy("1", "caf\u00e9")).code(b"COPYUID").split()[1:], [b"1", b"1"])
        (row,) = self.get(client.store("1", b"+FLAGS", ["\\Deleted"]))
        self.assertIn(b"\\Deleted", row.row[b"FLAGS"])
        self.assertEqual(self.get(client.expunge()), [1])
        self.get(client.select("caf\u00e9", read_only=True))
        self.get(client.close_mailbox())
        self.get(client.rename("caf\u00e9", "tea"))
        self.get(client.subscribe("tea"))
        self.get(client.delete("tea/A&B"))
        self.get(client.logout())
        self.assertEqual(self.factory.sessions, set())

    def test_authenticate_plain(self) -> None:
        """With the initial response and without."""
        self.get(self.client.authenticate_plain("ann", "pw"))
        self.setUp()
        self.client.capabilities = frozenset()
        self.get(self.client.authenticate_plain("ann", "pw"))

    def test_literals_of_both_kinds(self) -> None:
        """Strings that cannot be quoted and messages go over without LITERAL+ just as well."""
        self.world.add_user("bob", 'p\u00e4"ss')
        self.client.capabilities = frozenset()
        self.get(self.client.login("bob", 'p\u00e4"ss'))
        self.client.capabilities = frozenset()
        self.assertIsNotNone(self.get(self.client.append("INBOX", 3, [b"a", b"bc"])))

    def test_refusals(self) -> None:
        """NO and BAD are errors with their code; the connection goes on, and so do literals that were not wanted."""
        self.assertEqual(self.refused(self.client.login("ann", "nope")).code, b"AUTHENTICATIONFAILED")
        self.get(self.client.login("ann", "pw"))
        self.assertEqual(self.refused(self.client.append("nope", 3, [b"abc"])).code, b"TRYCREATE")
        self.client.capabilities = frozenset()
        self.assertEqual(self.refused(self.client.append("nope", 3, [b"abc"])).code, b"TRYCREATE")
        self.get(self.client.noop())

    def test_commands_given_at_once(self) -> None:
        """They are sent in order, and each gets its own answer."""
        waiting: list[Deferred[Any]] = [
            self.client.login("ann", "pw"),
            self.client.select("INBOX"),
            self.client.fetch("5", b"FLAGS", uid=False),
            self.client.noop(),
        ]
        self.pair.flush()
        for deferred in (waiting[0], waiting[1], waiting[3]):
            self.successResultOf(deferred)
        self.failureResultOf(waiting[2], CommandFailed)

    def test_octet_by_octet(self) -> None:
        """The same comes of it when octets arrive one at a time, both ways."""
        self.fill(2)
        self.pair.deliver_in(1)
        self.get(self.client.login("ann", "pw"))
        self.get(self.client.select("INBOX"))
        rows = self.get(self.client.fetch("1:*", b"(UID BODY.PEEK[])"))
        self.assertEqual([row.row[b"BODY[]"] for row in rows], [MESSAGE, MESSAGE])

    def test_bodies_to_a_sink(self) -> None:
        """A large body goes through in pieces and is not kept."""
        body = b"x" * 3_000_000
        self.fill(1, body)
        self.get(self.client.login("ann", "pw"))
        self.get(self.client.select("INBOX"))
        asked: list[tuple[int, bytes, int]] = []
        pieces: list[bytes] = []

        def opener(number: int, label: bytes, size: int) -> Any:
            asked.append((number, label, size))
            return pieces.append

        (row,) = self.get(self.client.fetch("1", b"(FLAGS BODY.PEEK[])", opener=opener))
        self.assertEqual(asked, [(1, b"BODY[]", len(body))])
        self.assertEqual(b"".join(pieces), body)
        self.assertLessEqual(max(map(len, pieces)), 65_536)
        self.assertEqual(row.row[b"BODY[]"], b"")

    def test_idle(self) -> None:
        """Events come as they happen; done ends it and the next command goes out."""
        self.get(self.client.login("ann", "pw"))
        self.get(self.client.select("INBOX"))
        events: list[Told] = []
        idling = self.client.idle(events.append)
        self.pair.flush()
        self.world.advance(600, step=60)
        self.fill(1)
        self.pair.flush()
        self.assertIn(Exists(1), events)
        self.assertNoResult(idling)
        after = self.client.noop()
        self.client.done()
        self.get(idling)
        self.get(after)

    def test_idle_that_is_over_before_it_began(self) -> None:
        """DONE may be said at once, before IDLE has been sent, and while nobody idles."""
        self.client.done()
        self.get(self.client.login("ann", "pw"))
        waiting: list[Deferred[Any]] = []

        def then(_: Any) -> None:
            waiting.append(self.client.idle(lambda _: None))
            self.client.done()
            waiting.append(self.client.noop())

        self.client.select("INBOX").addCallback(then)
        self.pair.flush()
        for deferred in waiting:
            self.get(deferred)
        self.get(self.client.logout())

    def test_append_whose_size_is_wrong(self) -> None:
        """The caller's mistake ends the connection: the server cannot be told otherwise."""
        self.get(self.client.login("ann", "pw"))
        for size in (2, 4):
            self.setUp()
            self.get(self.client.login("ann", "pw"))
            appending = self.client.append("INBOX", size, [b"abc"])
            self.pair.flush()
            self.failureResultOf(appending, Confused)
        self.assertEqual(self.flags(), [])

    def test_arguments_that_could_be_commands(self) -> None:
        """Raw arguments with a line end or a literal are refused before anything is sent; names are quoted."""
        self.get(self.client.login("ann", "pw"))
        for raw in (b"1\r\nx LOGOUT", b"(FLAGS)\n", b"x {5}", b"a\0"):
            self.assertRaises(ValueError, self.client.fetch, "1", raw)
        error = self.refused(self.client.delete("a\r\nx LOGOUT"))
        self.assertEqual(error.reply.condition, b"NO" if error.code else b"BAD")

    def test_cut_at_every_octet(self) -> None:
        """Whatever the server had said when the connection broke, every Deferred fires exactly once."""
        said = (
            b"* OK [CAPABILITY IMAP4rev1 LITERAL+] hi\r\nL1 OK in\r\n* 1 EXISTS\r\nL2 OK [READ-WRITE] open\r\n"
            b"* 1 FETCH (UID 1 BODY[] {5}\r\nabcde)\r\nL3 OK done\r\n* BYE\r\nL4 OK bye\r\n"
        )
        for end in range(len(said)):
            for how in ("loseConnection", "abortConnection"):
                server, client, pair = joined(self)
                outcomes: list[list[Any]] = []
                for waiting in (
                    client.greeting(),
                    client.login("ann", "pw"),
                    client.select("INBOX"),
                    client.fetch("1", b"BODY[]"),
                    client.logout(),
                ):
                    outcome: list[Any] = []
                    outcomes.append(outcome)
                    waiting.addBoth(outcome.append)
                server.say(said[:end])
                pair.flush()
                server.end(how)
                pair.flush()
                self.world.advance(6, step=6)
                for outcome in outcomes:
                    self.assertEqual(len(outcome), 1, said[:end])
                    self.assertTrue(not isinstance(outcome[0], Failure) or outcome[0].check(ImapError), outcome)
        self.assertEqual(self.flushLoggedErrors(), [])


class Puppet(Protocol):
    """A server that says what the test wants."""

    def __init__(self) -> None:
        self.heard = b""

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.heard += data

    def say(self, data: bytes) -> None:
        """Say octets."""
        transport: Any = self.transport
        transport.write(data)

    def end(self, how: str) -> None:
        """Close or abort."""
        getattr(self.transport, how)()


def joined(case: ImapCase, plaintext_login: bool = True) -> tuple[Puppet, ImapClient, Pair[Any, Any]]:
    """A client joined to a puppet."""
    factory = ImapClientFactory(case.world.clock, plaintext_login=plaintext_login)
    pair = connect_pair(factory, Factory.forProtocol(Puppet), case.world.clock, case.world.network)
    return pair.server, pair.client, pair


class HostileServerTests(ImapCase):
    """Servers that lie, stall or babble."""

    def setUp(self) -> None:
        super().setUp()
        self.server, self.client, self.pair = joined(self)

    def says(self, data: bytes) -> None:
        self.server.say(data)
        self.pair.flush()

    def test_silence(self) -> None:
        """No greeting, or no answer, ends in a minute."""
        greeting = self.client.greeting()
        self.world.advance(62)
        self.failureResultOf(greeting, TimedOut)
        self.failureResultOf(self.client.noop(), TimedOut)

    def test_no_imap_at_all(self) -> None:
        """Another protocol's greeting."""
        greeting = self.client.greeting()
        self.says(b"220 hello\r\n")
        self.failureResultOf(greeting, Confused)

    def test_bye_for_a_greeting(self) -> None:
        """The server has no room."""
        greeting = self.client.greeting()
        self.says(b"* BYE full\r\n")
        self.failureResultOf(greeting, Disconnected)

    def test_babble(self) -> None:
        """Malformed responses end the connection; unknown ones do not."""
        for said in (
            b"* 1 FETCH (UID\r\n",
            b"L1\r\n",
            b"L1 FOO x\r\n",
            b"L9 OK not asked\r\n",
            b"* 99999999999 EXISTS\r\n",
            b"+ go on\r\n",
            b"* OK\n",
            b"* 1 FETCH (X " + b"(" * 5000 + b"\r\n",
            b"x" * 2_000_000,
            b"* 1 FETCH (BODY[] {99999999999}\r\n",
        ):
            self.setUp()
            greeting, noop = self.client.greeting(), self.client.noop()
            self.says(b"* OK hi\r\n")
            self.successResultOf(greeting)
            self.says(said)
            self.failureResultOf(noop, Confused)
        self.setUp()
        greeting, noop = self.client.greeting(), self.client.noop()
        self.says(
            b"* OK hi\r\n* XYZZY [foo (\r\n* VANISHED (EARLIER) 1:5\r\n* OK [X-FOO bar] baz\r\n* LIST () NIL 5\r\nL1 OK\r\n"
        )
        self.assertEqual(len(self.successResultOf(noop).data), 3)

    def test_answers_injected_behind_starttls(self) -> None:
        """Plaintext behind the answer is never believed and no password follows it (T03)."""
        greeting = self.client.greeting()
        self.says(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n")
        self.successResultOf(greeting)
        securing = self.client.secure_with(Certificates("here.test").client("here.test"))
        login = self.client.login("ann", "secret")
        self.pair.flush()
        self.says(b"L1 OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nL2 OK in\r\n")
        self.failureResultOf(securing, Injected)
        self.failureResultOf(login, Injected)
        self.assertNotIn(b"secret", self.server.heard)
        self.assertEqual(self.client.capabilities, frozenset())

    def test_no_password_in_clear(self) -> None:
        """Unless it is allowed; not even when the server will not have STARTTLS, whatever else it offers."""
        server, client, pair = joined(self, plaintext_login=False)
        client.greeting()
        securing = client.secure_with(Certificates("here.test").client("here.test"))
        waiting = [client.login("ann", "secret"), client.authenticate_plain("ann", "secret"), client.authenticate("ann", "x")]
        noop = client.noop()
        server.say(b"* OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256 AUTH=PLAIN SASL-IR] hi\r\nL1 NO not here\r\n")
        pair.flush()
        self.failureResultOf(securing, CommandFailed)
        server.say(b"* CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256\r\nL2 OK\r\nL3 OK\r\n")
        pair.flush()
        for one in waiting:
            self.failureResultOf(one, NotSecure)
        self.successResultOf(noop)
        self.assertNotIn(b"AUTHENTICATE", server.heard)
        self.assertNotIn(b"secret", server.heard)

    def test_unsolicited_words_between_commands(self) -> None:
        """They are heard with the next command."""
        heard: list[Told] = []
        self.client.heard = heard.append
        greeting = self.client.greeting()
        self.says(b"* OK hi\r\n* 7 EXISTS\r\n")
        self.successResultOf(greeting)
        noop = self.client.noop()
        self.says(b"L1 OK\r\n")
        self.assertEqual(self.successResultOf(noop).number(b"EXISTS"), 7)
        self.assertIn(Exists(7), heard)


class ClientTLSTests(PairCase):
    """STARTTLS from both sides."""

    tls = Certificates("here.test", "localhost")

    def test_login_inside_tls(self) -> None:
        """Capabilities are forgotten and asked anew; the password goes inside."""
        self.assertIn(b"STARTTLS", self.client.capabilities)
        self.get(self.client.secure_with(self.world.tls.client("here.test")))  # type: ignore[union-attr]
        self.assertEqual(self.client.capabilities, frozenset())
        self.assertNotIn(b"STARTTLS", self.get(self.client.capability()))
        self.get(self.client.login("ann", "pw"))
        self.get(self.client.logout())

    def test_wrong_certificate(self) -> None:
        """A certificate of somebody else, or for another host: no password is sent."""
        for context in (
            Certificates("here.test").client("here.test"),
            self.world.tls.client("other.test"),  # type: ignore[union-attr]
        ):
            self.setUp()
            self.client.secure_with(context)
            login = self.client.login("ann", "pw")
            self.pair.flush()
            self.failureResultOf(login, Untrusted)
            self.assertEqual(self.world.site.counters.value("logins.imap.succeeded"), 0)
