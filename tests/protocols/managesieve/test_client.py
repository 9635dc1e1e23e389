"""The ManageSieve client: against our server, and against peers that say what they should not."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.calling import CallError, Closed, Confused, TimedOut, Truncated
from launcelot.hosting.deadlines import Deadlines
from launcelot.mailstore.scripts import ScriptInfo
from launcelot.protocols.managesieve.client import (
    Declined,
    ManageSieveClient,
    ManageSieveClientFactory,
    NotSecure,
)
from launcelot.testing.link import Pair, RawPeer, connect_pair
from tests.protocols.managesieve.test_server import Office


class ClientCase(SynchronousTestCase):
    """Makes pairs."""

    def setUp(self) -> None:
        self.office = Office(tls=True)

    def pair(self, server: Any = None, **options: Any) -> Pair[ManageSieveClient, Any]:
        """A client joined with our server, or with another."""
        clock = self.office.world.clock
        factory = ManageSieveClientFactory(clock, Deadlines(clock), **options)
        return connect_pair(factory, server or self.office.factory, clock, self.office.world.network)

    def now(self, pair: Pair[ManageSieveClient, Any], waiting: Any) -> Any:
        """The result, after everything has moved."""
        done = Deferred.fromCoroutine(waiting)
        pair.flush()
        return self.successResultOf(done)

    def fails(self, pair: Pair[ManageSieveClient, Any], waiting: Any, kind: type[CallError]) -> Any:
        """The error."""
        done = Deferred.fromCoroutine(waiting)
        pair.flush()
        return self.failureResultOf(done, kind).value


class OwnServerTests(ClientCase):
    """Our client and our server."""

    def test_a_whole_session(self) -> None:
        """Everything, over TLS with SCRAM-SHA-256-PLUS, in pieces of any size."""
        for chunk in (65_536, 3):
            pair = self.pair()
            client = pair.client
            self.assertIn("STARTTLS", self.now(pair, client.greeting()))
            pair.deliver_in(chunk)
            self.now(pair, client.secure_with(self.office.world.client_tls()))
            self.assertNotIn("STARTTLS", client.capabilities)
            self.now(pair, client.log_in("ann", "pw"))
            self.assertEqual(self.now(pair, client.put('a "b"', b"keep;\r\n# \xc3\xa9\r\n")), "")
            self.now(pair, client.have_space("c", 10))
            self.now(pair, client.activate('a "b"'))
            self.assertEqual(self.now(pair, client.listing()), [ScriptInfo('a "b"', True, 0)])
            self.assertEqual(self.now(pair, client.get('a "b"')), b"keep;\r\n# \xc3\xa9\r\n")
            self.now(pair, client.rename('a "b"', "d"))
            self.now(pair, client.activate(""))
            self.now(pair, client.remove("d"))
            self.now(pair, client.log_out())
        self.assertEqual(self.office.world.site.counters.snapshot()["logins.managesieve.succeeded"], 2)

    def test_what_is_declined(self) -> None:
        """With the server's words and its code; the connection goes on."""
        pair = self.pair(plaintext_login=True)
        self.fails(pair, pair.client.log_in("ann", "wrong"), Declined)
        self.now(pair, pair.client.log_in("ann", "pw"))
        error = self.fails(pair, pair.client.put("a", b"keep"), Declined)
        self.assertIn("line 1", str(error))
        self.assertEqual(self.fails(pair, pair.client.get("none"), Declined).code, "NONEXISTENT")
        self.fails(pair, pair.client.check(b"nonsense;"), Declined)
        self.now(pair, pair.client.check(b"keep;"))

    def test_requests_take_turns(self) -> None:
        """Many at once, each answered with its own answer."""
        pair = self.pair(plaintext_login=True)
        self.now(pair, pair.client.log_in("ann", "pw"))
        for number in range(3):
            self.now(pair, pair.client.put(f"s{number}", b"# %d\r\n" % number))
        asked = [Deferred.fromCoroutine(pair.client.get(f"s{number}")) for number in range(3)]
        pair.flush()
        self.assertEqual([self.successResultOf(one) for one in asked], [b"# 0\r\n", b"# 1\r\n", b"# 2\r\n"])

    def test_no_password_without_tls(self) -> None:
        """Unless the caller says so."""
        pair = self.pair()
        self.fails(pair, pair.client.log_in("ann", "pw"), NotSecure)
        self.assertNotIn("logins.managesieve.succeeded", self.office.world.site.counters.snapshot())


class HostileServerTests(ClientCase):
    """Servers that are none."""

    def against(self, **options: Any) -> Pair[ManageSieveClient, RawPeer]:
        """A client and a raw peer."""
        pair: Pair[ManageSieveClient, RawPeer] = self.pair(Factory.forProtocol(RawPeer), **options)
        return pair

    def says(self, pair: Pair[ManageSieveClient, RawPeer], data: bytes) -> None:
        """The server says something."""
        transport: Any = pair.server.transport
        transport.write(data)
        pair.flush()

    def test_nonsense(self) -> None:
        """What no server may say ends the request and the connection."""
        for words in (b"OK (\r\n", b"\xff\r\n", b"{99999999}\r\n", b"x" * 20_000, b"NOPE\nOK\r\n"):
            pair = self.against()
            waiting = Deferred.fromCoroutine(pair.client.greeting())
            self.says(pair, words)
            self.failureResultOf(waiting, Confused)
            self.assertIsNotNone(pair.server.lost or pair.server.ended or None, words)

    def test_turned_away(self) -> None:
        """A BYE in place of a greeting."""
        pair = self.against()
        waiting = Deferred.fromCoroutine(pair.client.greeting())
        self.says(pair, b'BYE (TRYLATER) "full"\r\n')
        self.assertEqual(self.failureResultOf(waiting, Declined).value.code, "TRYLATER")

    def test_cut_at_every_octet(self) -> None:
        """Every request ends, once, and in order."""
        greeting = b'"SASL" "PLAIN"\r\nOK\r\n'
        answer = b'"a" ACTIVE\r\n{1}\r\nb\r\nOK (WARNINGS) "x"\r\n'
        for cut in range(len(answer)):
            pair = self.against()
            waiting = [Deferred.fromCoroutine(pair.client.listing()) for _ in range(2)]
            self.says(pair, greeting + answer[:cut])
            transport: Any = pair.server.transport
            transport.loseConnection()
            pair.flush()
            for one in waiting:
                self.failureResultOf(one, Closed, Truncated)

    def test_silence(self) -> None:
        """Nobody waits for ever."""
        pair = self.against(timeout=5)
        waiting = Deferred.fromCoroutine(pair.client.greeting())
        self.office.world.advance(6)
        self.failureResultOf(waiting, TimedOut)

    def test_plaintext_behind_starttls(self) -> None:
        """It is not read, and nothing is sent any more."""
        pair = self.against()
        waiting = Deferred.fromCoroutine(pair.client.secure_with(self.office.world.client_tls()))
        self.says(pair, b'"STARTTLS"\r\nOK\r\n')
        self.says(pair, b'OK\r\n"SASL" "PLAIN"\r\nOK\r\n')
        self.failureResultOf(waiting, NotSecure)
        self.assertEqual(bytes(pair.server.heard), b"STARTTLS\r\n")
