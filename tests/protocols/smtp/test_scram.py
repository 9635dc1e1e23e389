"""SCRAM in AUTH.  RFC 4954 section 4."""

from __future__ import annotations

import base64
from typing import Any

from twisted.internet.defer import Deferred

from launcelot.core import scram
from launcelot.protocols.smtp.client import SmtpClient, SmtpClientFactory
from launcelot.protocols.smtp.failures import BadReply, LoginRefused, TlsFailed
from launcelot.testing.link import Link, Pair, connect_pair
from tests.protocols.scramming import CERTIFICATES, ScramServerTests, Spoken, heard_before
from tests.protocols.smtp.support import SmtpCase


class Case(SmtpCase):
    """Submission with TLS and an account ``ann`` whose password is ``pw``."""

    tls = CERTIFICATES

    def setUp(self) -> None:
        """Another password than elsewhere here."""
        super().setUp()
        self.world.result(self.world.site.accounts.set_password("ann", "pw"))


class SmtpScramTests(ScramServerTests, Case):
    """The server."""

    spoken = Spoken(b"AUTH ", b"334 ", rb"^235 ", rb"^535 5.7.8 ", rb"^5(01|35) ")

    def open_link(self, source: str = "127.0.0.1", tls: Any = None) -> Link:
        """Behind EHLO."""
        link = self.connect(self.submission, source)
        self.ask(link, b"EHLO me\r\n")
        if tls is not None:
            self.ask(link, b"STARTTLS\r\n")
            link.start_tls(tls)
            self.ask(link, b"EHLO me\r\n")
        return link

    def test_capabilities_tell(self) -> None:
        """-PLUS inside TLS only."""
        for link, told in (
            (self.open_link(), b"250-AUTH SCRAM-SHA-256 PLAIN LOGIN"),
            (self.secured(), b"250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"),
        ):
            self.assertIn(told, self.ask(link, b"EHLO me\r\n"))


class SmtpClientTests(Case):
    """Our client."""

    def pair(self) -> Pair[SmtpClient, Any]:
        """Joined with our server."""
        factory = SmtpClientFactory(self.world.clock, self.world.site.deadlines, "me")
        return connect_pair(factory, self.submission, self.world.clock, self.world.network)

    def now(self, pair: Pair[SmtpClient, Any], asked: Any) -> Any:
        """The result, after everything has moved."""
        waiting = Deferred.fromCoroutine(asked)
        pair.flush()
        return self.successResultOf(waiting)

    def test_best_mechanism_is_chosen(self) -> None:
        """-PLUS inside TLS, SCRAM without, PLAIN where it is asked for; in pieces of any size."""
        for tls, plain, expected in ((True, False, scram.PLUS), (False, False, scram.NAME), (False, True, b"PLAIN")):
            for chunk in (1, 1000):
                pair = self.pair()
                pair.deliver_in(chunk)
                self.now(pair, pair.client.hello())
                if tls:
                    self.now(pair, pair.client.secure_with(CERTIFICATES.client("here.test")))
                said = heard_before(pair.client)
                self.now(pair, pair.client.log_in("ann", "pw", True, plain))
                self.assertEqual(said[0].split()[1], expected)

    def test_long_names(self) -> None:
        """A first message that has no room in the command line is sent behind it."""
        name = "n" * 400
        pair = self.pair()
        self.now(pair, pair.client.hello())
        waiting = Deferred.fromCoroutine(pair.client.log_in(name, "pw", True))
        pair.flush()
        self.failureResultOf(waiting, LoginRefused)

    def test_wrong_password(self) -> None:
        """Refused like any other, and the connection lives."""
        pair = self.pair()
        self.now(pair, pair.client.hello())
        waiting = Deferred.fromCoroutine(pair.client.log_in("ann", "wrong", True))
        pair.flush()
        self.assertEqual(self.failureResultOf(waiting, LoginRefused).value.reply.code, 535)
        self.now(pair, pair.client.log_in("ann", "pw", True))

    def fooled(self, *answers: bytes) -> tuple[Link, Deferred[Any]]:
        """A client in front of a server that says these things; ``NONCE`` in them is its nonce."""
        client = SmtpClientFactory(self.world.clock, self.world.site.deadlines, "me").buildProtocol(None)
        link = self.world.connect(_Once(client))
        greeted = Deferred.fromCoroutine(client.hello())
        link.say(b"220 x\r\n")
        link.take()
        link.say(b"250-x\r\n250 AUTH SCRAM-SHA-256\r\n")
        self.successResultOf(greeted)
        waiting: Deferred[Any] = Deferred.fromCoroutine(client.log_in("ann", "pw", True))
        link.flush()
        nonce = base64.b64decode(link.take().split()[-1]).rpartition(b"r=")[2]
        for answer in answers:
            code, _, text = answer.partition(b" ")
            if code == b"334":
                text = base64.b64encode(text.replace(b"NONCE", nonce))
            link.take()
            link.say(code + b" " + text + b"\r\n")
        return link, waiting

    def test_server_that_does_not_know_the_password(self) -> None:
        """Whatever it answers in the place of its proof, it is not believed, and nothing else is said to it."""
        terms = b"334 r=NONCEx,s=c2FsdA==,i=4096"
        for answers in (
            (b"235 come in",),
            (terms, b"235 come in"),
            (terms, b"334 v=" + b"A" * 43 + b"="),
            (b"334 r=x,s=c2FsdA==,i=4096",),
        ):
            link, waiting = self.fooled(*answers)
            self.failureResultOf(waiting, TlsFailed)
            self.assertTrue(link.closed)

    def test_terms_that_no_client_takes(self) -> None:
        """Too few iterations, or too many: the exchange is cancelled."""
        for number in (b"1", b"10000000"):
            link, waiting = self.fooled(b"334 r=NONCEx,s=c2FsdA==,i=" + number)
            self.assertEqual(link.take(), b"*\r\n")
            link.say(b"501 cancelled\r\n")
            self.failureResultOf(waiting, BadReply)


class _Once:
    """Hands out one protocol."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> Any:
        """The one."""
        return self._protocol
