"""SCRAM in AUTH.  RFC 5034 section 4."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core import scram
from launcelot.core.limits import ConnectionCount
from launcelot.protocols.pop3.client import Declined, NotSecure, Pop3Client, Pop3ClientFactory
from launcelot.protocols.pop3.server import Pop3Factory
from launcelot.protocols.pop3.service import Settings
from launcelot.testing.link import Link, Pair, connect_pair
from launcelot.testing.site import memory_site
from tests.protocols.scramming import CERTIFICATES, ScramServerTests, Spoken, heard_before


class Pop3Case(SynchronousTestCase):
    """A service with TLS."""

    def setUp(self) -> None:
        """An account ``ann``."""
        self.world = memory_site(tls=CERTIFICATES)
        self.world.add_user("ann", "pw")
        self.factory = Pop3Factory(self.world.site, "pop3", ConnectionCount(1000, 1000), Settings())


class Pop3ScramTests(ScramServerTests, Pop3Case):
    """The server."""

    spoken = Spoken(b"AUTH ", b"+ ", rb"^\+OK 0 messages", rb"^-ERR \[AUTH\] ", rb"^-ERR ")

    def open_link(self, source: str = "127.0.0.1", tls: Any = None) -> Link:
        """Beyond the greeting; a maildrop has one reader, so whoever came before leaves."""
        for session in list(self.factory.sessions):
            session.abort()
        self.world.network.pump()
        link = self.world.connect(self.factory, source)
        link.take()
        if tls is not None:
            link.say(b"STLS\r\n")
            self.assertEqual(link.take()[:3], b"+OK")
            link.start_tls(tls)
        return link

    def test_capabilities_tell(self) -> None:
        """-PLUS inside TLS only."""
        for opened, told in (
            (self.open_link, b"\r\nSASL SCRAM-SHA-256 PLAIN LOGIN\r\n"),
            (self.secured, b"\r\nSASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\r\n"),
        ):
            link = opened()
            link.say(b"CAPA\r\n")
            self.assertIn(told, link.take())

    def test_failures_end_the_connection(self) -> None:
        """Wrong proofs like wrong passwords."""
        link = self.open_link()
        while not link.closed:
            self.scram(link, self.prover("wrong"))
        self.assertEqual(self.world.site.counters.value("logins.pop3.failed"), 5)


class Pop3ClientTests(Pop3Case):
    """Our client."""

    def pair(self, server: Any = None) -> Pair[Pop3Client, Any]:
        """Joined with our server, or another."""
        factory = Pop3ClientFactory(self.world.clock, plaintext_login=True)
        return connect_pair(factory, server or self.factory, self.world.clock, self.world.network)

    def now(self, pair: Pair[Pop3Client, Any], waiting: Deferred[Any]) -> Any:
        """The result, after everything has moved."""
        pair.flush()
        return self.successResultOf(waiting)

    def test_best_mechanism_is_chosen(self) -> None:
        """-PLUS inside TLS, SCRAM without, PLAIN where nothing is known or it is asked for; in pieces of any size."""
        for tls, ask, plain, expected in (
            (True, True, False, scram.PLUS),
            (False, True, False, scram.NAME),
            (False, False, False, b"PLAIN"),
            (False, True, True, b"PLAIN"),
        ):
            for chunk in (1, 1000):
                pair = self.pair()
                pair.deliver_in(chunk)
                if tls:
                    self.now(pair, pair.client.stls(CERTIFICATES.client("here.test")))
                if ask:
                    self.now(pair, pair.client.capabilities())
                said = heard_before(pair.client)
                self.now(pair, pair.client.authenticate("ann", "pw", plain))
                self.assertEqual(said[0].split()[1], expected)
                self.now(pair, pair.client.quit())

    def test_long_names(self) -> None:
        """A first message that has no room in the command line is sent behind it."""
        pair = self.pair()
        self.now(pair, pair.client.capabilities())
        refused = pair.client.authenticate("n" * 200, "pw")
        pair.flush()
        self.assertEqual(self.failureResultOf(refused, Declined).value.code, "AUTH")

    def test_wrong_password(self) -> None:
        """Declined like any other, and the connection lives."""
        pair = self.pair()
        self.now(pair, pair.client.capabilities())
        refused = pair.client.authenticate("ann", "wrong")
        pair.flush()
        self.assertEqual(self.failureResultOf(refused, Declined).value.code, "AUTH")
        self.now(pair, pair.client.authenticate("ann", "pw"))

    def test_server_that_does_not_know_the_password(self) -> None:
        """Whatever it answers in the place of its proof, it is not believed, and nothing else is said to it."""
        keys = scram.nobody(b"s", "ann", 4096)

        def terms(first: bytes) -> bytes:
            side = scram.Server(False, False, lambda kind: None, b"nonce")
            side.first(first)
            return b"+ " + base64.b64encode(side.challenge(keys)) + b"\r\n"

        lies: tuple[tuple[Callable[[bytes], bytes], bytes], ...] = (
            (lambda _: b"+OK come in\r\n", b""),
            (terms, b"+OK come in\r\n"),
            (terms, b"+ " + base64.b64encode(b"v=" + base64.b64encode(keys.server)) + b"\r\n"),
            (lambda _: b"+ " + base64.b64encode(b"r=another,s=c2FsdA==,i=4096") + b"\r\n", b""),
        )
        for first, second in lies:
            client = Pop3ClientFactory(self.world.clock, plaintext_login=True).buildProtocol(None)
            link = self.world.connect(_Once(client))
            link.say(b"+OK\r\n")
            told = client.capabilities()
            link.say(b"+OK\r\nSASL SCRAM-SHA-256\r\n.\r\n")
            self.successResultOf(told)
            waiting = client.authenticate("ann", "pw")
            link.flush()
            said = link.take().split()[-1]
            link.say(first(base64.b64decode(said)))
            link.take()
            if second:
                link.say(second)
            self.failureResultOf(waiting, NotSecure)
            self.assertEqual(link.take(), b"")
            self.assertTrue(link.closed)

    def test_terms_that_no_client_takes(self) -> None:
        """Too few iterations, or too many: the exchange is cancelled, and the server's refusal is the result."""
        for number in (1, 10_000_000):
            client = Pop3ClientFactory(self.world.clock, plaintext_login=True).buildProtocol(None)
            link = self.world.connect(_Once(client))
            link.say(b"+OK\r\n")
            client.capabilities()
            link.say(b"+OK\r\nSASL SCRAM-SHA-256\r\n.\r\n")
            waiting = client.authenticate("ann", "pw")
            nonce = base64.b64decode(link.take().split()[-1]).rpartition(b"r=")[2]
            link.say(b"+ " + base64.b64encode(b"r=%bx,s=c2FsdA==,i=%d" % (nonce, number)) + b"\r\n")
            self.assertEqual(link.take(), b"*\r\n")
            link.say(b"-ERR cancelled\r\n")
            self.failureResultOf(waiting, Declined)


class _Once:
    """Hands out one protocol."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> Any:
        """The one."""
        return self._protocol
