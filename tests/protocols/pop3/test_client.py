"""The POP3 client: against our server, and against peers that say what they should not."""

from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.calling import CallError, Closed, Confused, Reset, TimedOut, Truncated, Untrusted
from launcelot.protocols.pop3.client import Declined, NotSecure, Pop3Client, Pop3ClientFactory, SinkFailed, Status
from launcelot.testing.link import Pair, RawPeer, connect_pair
from tests.protocols.pop3.world import FIRST, SECOND, Post


def nowhere(data: bytes) -> None:
    """A sink that keeps nothing."""


class OwnServerTests(SynchronousTestCase):
    """Our client and our server."""

    def setUp(self) -> None:
        self.post = Post(tls=True)

    def pair(self, **options: Any) -> Pair[Pop3Client, Any]:
        """Joined in the post's network."""
        factory = Pop3ClientFactory(self.post.world.clock, **options)
        return connect_pair(factory, self.post.factory, self.post.world.clock, self.post.world.network)

    def now(self, pair: Pair[Pop3Client, Any], waiting: Deferred[Any]) -> Any:
        """The result, after everything has moved."""
        pair.flush()
        return self.successResultOf(waiting)

    def logged_in(self, **options: Any) -> Pair[Pop3Client, Any]:
        """A client logged in as Ann."""
        pair = self.pair(plaintext_login=True, **options)
        self.now(pair, pair.client.login("ann", "pw"))
        return pair

    def test_a_whole_session(self) -> None:
        """Everything a mail reader does."""
        pair = self.logged_in()
        client = pair.client
        self.assertEqual(self.now(pair, client.capabilities())["SASL"], "SCRAM-SHA-256 PLAIN LOGIN")
        self.assertTrue(client.pipelining)
        self.assertEqual(self.now(pair, client.status()), Status(2, 69))
        self.assertEqual(self.now(pair, client.sizes()), {1: 24, 2: 45})
        unique_ids = self.now(pair, client.unique_ids())
        self.assertEqual((list(unique_ids), len(set(unique_ids.values()))), ([1, 2], 2))
        pieces: list[bytes] = []
        self.now(pair, client.retrieve(2, pieces.append))
        self.assertEqual(b"".join(pieces), SECOND)
        pieces.clear()
        self.now(pair, client.top(1, 0, pieces.append))
        self.assertEqual(b"".join(pieces), b"Subject: one\r\n\r\n")
        self.now(pair, client.delete(1))
        self.now(pair, client.reset())
        self.now(pair, client.delete(2))
        self.now(pair, client.nothing())
        self.now(pair, client.quit())
        self.assertEqual(self.post.bodies(), [FIRST])
        self.assertEqual(self.post.world.clock.getDelayedCalls(), [])

    def test_pipelined(self) -> None:
        """All at once, in pieces of any size; each answer reaches its own request."""
        for chunk in (1, 7, 65_536):
            pair = self.logged_in()
            self.now(pair, pair.client.capabilities())
            pair.deliver_in(chunk)
            bodies: dict[int, list[bytes]] = {}
            asked: list[Deferred[Any]] = []
            for turn in range(60):
                bodies[turn] = []
                asked.append(pair.client.retrieve(turn % 2 + 1, bodies[turn].append))
            status = pair.client.status()
            self.assertEqual(self.now(pair, status), Status(2, 69))
            for turn, waiting in enumerate(asked):
                self.successResultOf(waiting)
                self.assertEqual(b"".join(bodies[turn]), (FIRST, SECOND)[turn % 2])
            pair.client.abort()
            pair.flush()

    def test_a_declined_request_leaves_the_others(self) -> None:
        """With its code, if it has one."""
        pair = self.logged_in()
        self.now(pair, pair.client.capabilities())
        missing, status = pair.client.retrieve(9, nowhere), pair.client.status()
        pair.flush()
        self.failureResultOf(missing, Declined)
        self.assertEqual(self.successResultOf(status), Status(2, 69))

    def test_a_wrong_password(self) -> None:
        """Its code tells it from a busy maildrop."""
        pair = self.pair(plaintext_login=True)
        wrong = pair.client.login("ann", "nope")
        pair.flush()
        self.assertEqual(self.failureResultOf(wrong, Declined).value.code, "AUTH")
        self.logged_in()
        busy = pair.client.authenticate("ann", "pw")
        pair.flush()
        self.assertEqual(self.failureResultOf(busy, Declined).value.code, "IN-USE")

    def test_plain_in_one_line_or_two(self) -> None:
        """A password too long for one line goes in its own."""
        password = "p" * 300
        self.post.world.add_user("bob", password)
        for name, secret in (("ann", "pw"), ("bob", password)):
            pair = self.pair(plaintext_login=True)
            self.now(pair, pair.client.authenticate(name, secret))

    def test_no_password_in_the_clear(self) -> None:
        """Unless the factory says so."""
        pair = self.pair()
        self.failureResultOf(pair.client.login("ann", "pw"), NotSecure)
        self.failureResultOf(pair.client.authenticate("ann", "pw"), NotSecure)
        pair.flush()
        self.assertEqual(pair.server.commands, 0)

    def test_starting_tls(self) -> None:
        """Then the password may go."""
        pair = self.pair()
        assert self.post.world.tls is not None
        self.now(pair, pair.client.stls(self.post.world.tls.client("localhost")))
        self.now(pair, pair.client.login("ann", "pw"))
        pieces: list[bytes] = []
        self.now(pair, pair.client.retrieve(2, pieces.append))
        self.assertEqual((b"".join(pieces), pair.server.secure), (SECOND, True))

    def test_a_wrong_certificate(self) -> None:
        """The password does not leave."""
        pair = self.pair()
        assert self.post.world.tls is not None
        self.now(pair, pair.client.stls(self.post.world.tls.client("other.test")))
        login = pair.client.login("ann", "pw")
        pair.flush()
        self.failureResultOf(login, Untrusted)
        self.assertEqual(pair.server.commands, 1)

    def test_a_sink_that_is_slow(self) -> None:
        """Nothing more is read until it is done; the next answer keeps its place."""
        self.post.deliver(b"a: b\r\n\r\n" + b"x" * 2_000_000 + b"\r\n")
        pair = self.logged_in()
        gates: list[Deferred[None]] = []

        def sink(data: bytes) -> Awaitable[None]:
            gates.append(Deferred())
            return gates[-1]

        body = pair.client.retrieve(3, sink)
        status = pair.client.status()
        pair.flush()
        self.assertEqual(len(gates), 1)
        self.assertLess(pair.client.received, 300_000)
        while not body.called:
            gates[-1].callback(None)
            pair.flush()
        self.successResultOf(body)
        self.assertEqual(self.successResultOf(status).messages, 3)

    def test_line_ends_in_names_are_refused(self) -> None:
        """They would be commands."""
        client = self.pair(plaintext_login=True).client
        for name, password in (("ann\r\nQUIT", "pw"), ("ann", "p\nw"), ("", "pw"), ("ann", "p\0")):
            self.assertRaises(ValueError, client.login, name, password)
            self.assertRaises(ValueError, client.authenticate, name, password)


class StrangeServerTests(SynchronousTestCase):
    """Our client and a peer that says what a test wants."""

    def setUp(self) -> None:
        self.post = Post(tls=True)

    def pair(self, greeting: bytes = b"+OK hello\r\n") -> Pair[Pop3Client, RawPeer]:
        """A client and a raw server that has said its greeting."""
        factory = Pop3ClientFactory(self.post.world.clock, 10, plaintext_login=True)
        world = self.post.world
        pair: Pair[Pop3Client, RawPeer] = connect_pair(
            factory, Factory.forProtocol(RawPeer), world.clock, world.network
        )
        self.say(pair, greeting)
        return pair

    def say(self, pair: Pair[Pop3Client, RawPeer], data: bytes) -> None:
        """The server says something."""
        self.transport(pair).write(data)
        pair.flush()

    def transport(self, pair: Pair[Pop3Client, RawPeer]) -> Any:
        """The server's end."""
        return pair.server.transport

    def test_plaintext_behind_stls_is_not_believed(self) -> None:
        """The connection is dropped, nothing else is said, everything fails."""
        pair = self.pair()
        assert self.post.world.tls is not None
        waiting = [pair.client.stls(self.post.world.tls.client("localhost")), pair.client.login("ann", "pw")]
        pair.flush()
        self.say(pair, b"+OK begin\r\n+OK injected\r\n")
        for one in waiting:
            self.failureResultOf(one, NotSecure)
        self.assertEqual(bytes(pair.server.heard), b"STLS\r\n")
        self.assertIsNotNone(pair.server.lost)

    def test_nothing_is_sent_behind_stls(self) -> None:
        """Later requests wait for the handshake; when TLS is declined they are the caller's again."""
        pair = self.pair()
        assert self.post.world.tls is not None
        starting, status = pair.client.stls(self.post.world.tls.client("localhost")), pair.client.status()
        pair.flush()
        self.assertEqual(bytes(pair.server.heard), b"STLS\r\n")
        self.say(pair, b"-ERR no\r\n")
        self.failureResultOf(starting, Declined)
        self.say(pair, b"+OK 1 2\r\n")
        self.assertEqual(self.successResultOf(status), Status(1, 2))

    def test_turned_away_at_the_door(self) -> None:
        """A greeting of -ERR ends every request with its code."""
        pair = self.pair(b"")
        status = pair.client.status()
        self.say(pair, b"-ERR [SYS/TEMP] too many\r\n")
        self.assertEqual(self.failureResultOf(status, Declined).value.code, "SYS/TEMP")
        self.assertEqual(self.failureResultOf(pair.client.status(), Declined).value.code, "SYS/TEMP")

    def test_no_greeting(self) -> None:
        """It is waited for no longer than for an answer."""
        pair = self.pair(b"")
        status = pair.client.status()
        self.post.world.advance(12)
        self.failureResultOf(status, TimedOut)

    def test_a_body_in_every_piece(self) -> None:
        """Un-stuffed wherever it is cut, and the next reply is found behind it."""
        said = b"+OK\r\n..\r\n...\r\nx\r\n.\r\n+OK 3 4\r\n"
        for cut in range(len(said) + 1):
            pair = self.pair()
            pair.client.pipelining = True
            pieces: list[bytes] = []
            body, status = pair.client.retrieve(1, pieces.append), pair.client.status()
            pair.flush()
            self.say(pair, said[:cut])
            self.say(pair, said[cut:])
            self.successResultOf(body)
            self.assertEqual(b"".join(pieces), b".\r\n..\r\nx\r\n")
            self.assertEqual(self.successResultOf(status), Status(3, 4))

    def test_cut_at_every_octet(self) -> None:
        """Every request ends once, with what happened; no timer is left."""
        said = b"+OK\r\nhello\r\n.\r\n+OK 3 4\r\n"
        whole = said.index(b".\r\n") + 3
        for cut in range(len(said) + 1):
            for leave in ("loseConnection", "abortConnection"):
                pair = self.pair()
                pair.client.pipelining = True
                body, status = pair.client.retrieve(1, nowhere), pair.client.status()
                pair.flush()
                self.say(pair, said[:cut])
                getattr(self.transport(pair), leave)()
                pair.flush()
                if cut < whole:
                    kind = Reset if leave == "abortConnection" else Closed if cut < 5 else Truncated
                    self.failureResultOf(body, kind)
                else:
                    self.successResultOf(body)
                if cut < len(said):
                    self.failureResultOf(status, CallError)
                else:
                    self.successResultOf(status)
                self.assertEqual(self.post.world.clock.getDelayedCalls(), [])

    def test_a_whole_session_cut_at_every_octet(self) -> None:
        """Whatever is asked: every request ends once, those that were answered with their answers, the rest with our errors."""
        listed = b"+OK\r\n1 4\r\n2 5\r\n.\r\n"
        said = (
            b"+OK\r\nUIDL\r\nPIPELINING\r\n.\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK 2 9\r\n", listed, listed,
            b"+OK\r\nhead\r\n\r\n.\r\n", b"-ERR gone\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK bye\r\n",
        )  # fmt: skip
        total = len(b"".join(said))
        for cut in range(total + 1):
            pair = self.pair()
            client = pair.client
            ends: list[object] = []
            asked: list[Deferred[Any]] = [
                client.capabilities(), client.use_utf8(), client.login("ann", "pw"), client.status(), client.sizes(),
                client.unique_ids(), client.top(1, 0, nowhere), client.retrieve(2, nowhere), client.delete(1), client.reset(),
                client.nothing(), client.quit(),
            ]  # fmt: skip
            for one in asked:
                one.addBoth(ends.append)
            pair.flush()
            left = cut
            for reply in said:
                self.say(pair, reply[: max(0, left)])
                left -= len(reply)
            self.transport(pair).loseConnection()
            pair.flush()
            self.assertEqual(len(ends), len(asked), cut)
            failed = [end.value for end in ends if isinstance(end, Failure)]
            self.assertTrue(all(isinstance(error, CallError) for error in failed), failed)
            if cut == total:
                self.assertEqual([type(error) for error in failed], [Declined])
            else:
                self.assertIsInstance(failed[-1], (Closed, Truncated))
            self.assertEqual(self.post.world.clock.getDelayedCalls(), [])

    def test_silence(self) -> None:
        """In a reply and in a body."""
        for said in (b"", b"+O", b"+OK\r\nhalf"):
            pair = self.pair()
            body = pair.client.retrieve(1, nowhere)
            pair.flush()
            self.say(pair, said)
            self.post.world.advance(12)
            self.failureResultOf(body, TimedOut)

    def test_an_idle_client_waits_for_ever(self) -> None:
        """Only a request has a deadline."""
        pair = self.pair()
        self.post.world.advance(600)
        status = pair.client.status()
        pair.flush()
        self.say(pair, b"+OK 1 2\r\n")
        self.successResultOf(status)

    def test_nonsense(self) -> None:
        """What is no reply, or not the reply to this, breaks the connection off."""
        for said in (b"* OK\r\n", b"+OK 1 2\n", b"x" * 5000, b"\xff\r\n"):
            pair = self.pair()
            status, later = pair.client.status(), pair.client.status()
            pair.flush()
            self.say(pair, said)
            self.failureResultOf(status, Confused)
            self.failureResultOf(later, Confused)
            self.assertIsNotNone(pair.server.lost)

    def test_numbers_that_are_none(self) -> None:
        """In STAT, LIST and UIDL."""
        asks: list[tuple[Any, bytes]] = [
            (Pop3Client.status, b"+OK x y\r\n"),
            (Pop3Client.status, b"+OK 1\r\n"),
            (Pop3Client.sizes, b"+OK\r\n1 -5\r\n.\r\n"),
            (Pop3Client.unique_ids, b"+OK\r\n1\r\n.\r\n"),
        ]
        for ask, said in asks:
            pair = self.pair()
            waiting = ask(pair.client)
            pair.flush()
            self.say(pair, said)
            self.failureResultOf(waiting, Confused)

    def test_more_than_was_asked_for(self) -> None:
        """It is not taken for the next answer."""
        pair = self.pair()
        status = pair.client.status()
        pair.flush()
        self.say(pair, b"+OK 1 2\r\n+OK 6 6\r\n")
        self.assertEqual(self.successResultOf(status), Status(1, 2))
        self.failureResultOf(pair.client.status(), Confused)
        pair = self.pair()
        first, second = pair.client.status(), pair.client.status()
        pair.flush()
        self.say(pair, b"+OK 1 2\r\n+OK 6 6\r\n")
        self.assertEqual(self.successResultOf(first), Status(1, 2))
        self.failureResultOf(second, Confused)
        self.assertEqual(bytes(pair.server.heard), b"STAT\r\n")
        pair = self.pair()
        self.say(pair, b"+OK 6 6\r\n")
        self.failureResultOf(pair.client.status(), Confused)

    def test_a_challenge_nobody_expects(self) -> None:
        """It is cancelled, and its end is the answer."""
        pair = self.pair()
        login = pair.client.authenticate("ann", "pw")
        pair.flush()
        self.say(pair, b"+ more\r\n")
        self.assertTrue(bytes(pair.server.heard).endswith(b"\r\n*\r\n"))
        self.say(pair, b"-ERR cancelled\r\n")
        self.failureResultOf(login, Declined)

    def test_a_listing_without_end(self) -> None:
        """Memory is bounded."""
        pair = self.pair()
        sizes = pair.client.sizes()
        pair.flush()
        self.say(pair, b"+OK\r\n")
        for _ in range(20):
            self.say(pair, b"1 2\r\n" * 200_000)
        self.failureResultOf(sizes, Confused)
        self.assertIsNotNone(pair.server.lost)

    def test_a_server_that_leaves_an_idle_client(self) -> None:
        """The client goes, too, and says so to whoever asks later."""
        pair = self.pair()
        self.transport(pair).loseWriteConnection()
        pair.flush()
        self.assertTrue(pair.server.ended)
        self.failureResultOf(pair.client.status(), Closed)

    def test_a_sink_that_fails(self) -> None:
        """The request says so, and the connection is of no more use."""
        pair = self.pair()

        def sink(data: bytes) -> None:
            raise OSError("disk full")

        body = pair.client.retrieve(1, sink)
        pair.flush()
        self.say(pair, b"+OK\r\nhello\r\n.\r\n")
        self.assertIsInstance(self.failureResultOf(body, SinkFailed).value.__cause__, OSError)
        self.failureResultOf(pair.client.status(), SinkFailed)
