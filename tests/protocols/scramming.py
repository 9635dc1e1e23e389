"""A raw peer that logs in with SCRAM in any of the mail protocols, and the tests that all of them pass."""

from __future__ import annotations

import base64
import re
from typing import Any

from twisted.internet import ssl
from twisted.internet.defer import Deferred

from launcelot.hosting.binding import END_POINT, EXPORTER, channel_binding
from launcelot.hosting.proving import Prover
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Link
from launcelot.testing.site import World

CERTIFICATES = Certificates("here.test", "localhost")


class Spoken:
    """
    How one protocol carries an exchange.

    :ivar begin: the command, to be followed by the mechanism.
    :ivar more: what stands before a challenge.
    :ivar good: how success begins; :ivar failed: how a wrong password does; :ivar broken: how a broken exchange does.
    """

    def __init__(self, begin: bytes, more: bytes, good: bytes, failed: bytes, broken: bytes) -> None:
        self.begin = begin
        self.more = more
        self.good = good
        self.failed = failed
        self.broken = broken


def heard_before(client: Any) -> list[bytes]:
    """What a client writes from now on."""
    said: list[bytes] = []
    write = client.write

    def listen(data: bytes) -> None:
        said.append(data)
        write(data)

    client.write = listen
    return said


class ScramServerTests:
    """
    What every server does; a test case gives the connections.

    :cvar spoken: the protocol's words.
    """

    spoken: Spoken
    world: World

    def open_link(self, source: str = "127.0.0.1", tls: Any = None) -> Link:
        """A peer that may log in as ann with ``pw``, inside TLS where a client's context is given."""
        raise NotImplementedError

    def last_line(self, link: Link) -> bytes:
        """The last line that was heard."""
        return link.take().rstrip(b"\r\n").rpartition(b"\r\n")[2]

    def answer(self, link: Link, line: bytes, chunk: int | None = None) -> bytes:
        """Say a line; the last one heard."""
        link.say(line + b"\r\n", chunk)
        return self.last_line(link)

    def challenged(self: Any, heard: bytes) -> bytes:
        """A challenge's octets."""
        self.assertTrue(heard.startswith(self.spoken.more), heard)
        return base64.b64decode(heard[len(self.spoken.more) :])

    def proof(self: Any, client: Prover, challenge: bytes) -> bytes:
        """The answer to a challenge in base64."""
        response: bytes = self.successResultOf(Deferred.fromCoroutine(client.respond(challenge)))
        return base64.b64encode(response)

    def prover(self: Any, password: str = "pw", name: str = "ann", binding: tuple[str, bytes] | None = None) -> Prover:
        """A client's side; bound where a binding is given."""
        return Prover(name, password, binding, binding is not None)

    def scram(self: Any, link: Link, client: Prover, initial: bool = True, chunk: int | None = None) -> bytes:
        """A whole exchange; the last line heard."""
        first = base64.b64encode(client.first)
        begin = self.spoken.begin + client.mechanism
        if initial:
            heard = self.answer(link, begin + b" " + first, chunk)
        else:
            self.assertEqual(self.challenged(self.answer(link, begin, chunk)), b"")
            heard = self.answer(link, first, chunk)
        while heard.startswith(self.spoken.more):
            heard = self.answer(link, self.proof(client, self.challenged(heard)), chunk)
        return heard  # type: ignore[no-any-return]

    # -- without TLS ---------------------------------------------------------------------------------------------

    def test_whole_exchange(self: Any) -> None:
        """With and without an initial response, octet by octet; server and client are sure of each other."""
        for initial in (True, False):
            for chunk in (None, 1):
                client = self.prover()
                self.assertRegex(self.scram(self.open_link(), client, initial, chunk), self.spoken.good)
                self.assertTrue(client.proved)

    def test_wrong_password_and_unknown_name(self: Any) -> None:
        """The same words at the same step."""
        heard = {
            self.scram(self.open_link(), self.prover(password, name)).replace(b"\r\n", b"")
            for name, password in (("ann", "wrong"), ("nobody", "pw"), ("nobody@test", "pw"), ("ann@test", "PW"))
        }
        self.assertEqual(len(heard), 1, heard)
        self.assertRegex(heard.pop(), self.spoken.failed)

    def test_salt_of_unknown_names_is_steady(self: Any) -> None:
        """Two exchanges show the same terms, so names cannot be told apart."""
        terms = set()
        for name in ("nobody", "nobody@test") * 2:
            first = base64.b64encode(self.prover(name=name).first)
            challenge = self.challenged(self.answer(self.open_link(), self.spoken.begin + b"SCRAM-SHA-256 " + first))
            terms.add(re.sub(rb"r=[^,]+,", b"", challenge))
        self.assertEqual(len(terms), 1)

    def test_broken_exchanges(self: Any) -> None:
        """Malformed at each step, cancelled at each step; afterwards the connection can still log in."""
        first = base64.b64encode(self.prover().first)
        for lines in (
            (b" !!!!",),
            (b" bm90IHNjcmFt",),
            (b" " + first, b"*"),
            (b" " + first, b"!!!!"),
            (b" " + first, b"bm90IHNjcmFt"),
            (b" " + first, b""),
            (b" " + base64.b64encode(b"p=tls-exporter,,n=ann,r=x"),),
            (b"", b"*"),
        ):
            link = self.open_link()
            heard = self.answer(link, self.spoken.begin + b"SCRAM-SHA-256" + lines[0])
            for line in lines[1:]:
                self.challenged(heard)
                heard = self.answer(link, line)
            self.assertRegex(heard, self.spoken.broken, lines)
            self.assertRegex(self.scram(link, self.prover()), self.spoken.good)

    def test_last_step_must_be_empty(self: Any) -> None:
        """The client's word behind the server's proof; cancelling there logs nobody in."""
        for last in (b"*", b"bW9yZQ=="):
            link, client = self.open_link(), self.prover()
            begin = self.spoken.begin + b"SCRAM-SHA-256 " + base64.b64encode(client.first)
            heard = self.answer(link, self.proof(client, self.challenged(self.answer(link, begin))))
            self.challenged(heard)
            self.assertRegex(self.answer(link, last), self.spoken.broken)
            self.assertRegex(self.scram(link, self.prover()), self.spoken.good)

    def test_plus_needs_tls(self: Any) -> None:
        """It is not known without."""
        link = self.open_link()
        self.assertNotRegex(self.answer(link, self.spoken.begin + b"SCRAM-SHA-256-PLUS"), self.spoken.good)
        self.assertRegex(self.scram(link, self.prover()), self.spoken.good)

    def test_not_in_clear_from_afar(self: Any) -> None:
        """Where a password may not come, a proof may not either."""
        link = self.open_link("192.0.2.1")
        heard = self.answer(link, self.spoken.begin + b"SCRAM-SHA-256 " + base64.b64encode(self.prover().first))
        self.assertFalse(heard.startswith(self.spoken.more))
        self.assertNotRegex(heard, self.spoken.good)

    # -- inside TLS ----------------------------------------------------------------------------------------------

    def secured(self: Any, version: Any = None) -> Link:
        """A link inside TLS of a version, or of the latest."""
        trust = ssl.Certificate.loadPEM(CERTIFICATES.certificate)
        extra = {"lowerMaximumSecurityTo": version} if version else {}
        context = ssl.optionsForClientTLS("here.test", trustRoot=trust, extraCertificateOptions=extra)
        return self.open_link(tls=context)  # type: ignore[no-any-return]

    def test_every_binding(self: Any) -> None:
        """tls-exporter in TLS 1.3; tls-server-end-point in 1.2, too."""
        for version, kinds in ((None, (EXPORTER, END_POINT)), (ssl.TLSVersion.TLSv1_2, (END_POINT,))):
            for kind in kinds:
                link = self.secured(version)
                octets = channel_binding(link.peer.transport, kind, server=False)
                self.assertIsNotNone(octets)
                client = self.prover(binding=(kind, octets))
                self.assertRegex(self.scram(link, client), self.spoken.good)
                self.assertTrue(client.proved)

    def test_exporter_is_of_tls_1_3_only(self: Any) -> None:
        """RFC 9266 section 3: in 1.2 it would need what nobody checks."""
        link = self.secured(ssl.TLSVersion.TLSv1_2)
        self.assertIsNone(channel_binding(link.peer.transport, EXPORTER, server=False))
        self.assertRegex(self.scram(link, self.prover(binding=(EXPORTER, b"x" * 32))), self.spoken.broken)

    def test_other_channel(self: Any) -> None:
        """The octets of another connection, as a peer in the middle would have to bring them."""
        octets = channel_binding(self.secured().peer.transport, EXPORTER, server=False)
        self.assertRegex(self.scram(self.secured(), self.prover(binding=(EXPORTER, octets))), self.spoken.broken)

    def test_hidden_offer(self: Any) -> None:
        """A client that can bind and says that it was not offered."""
        client = Prover("ann", "pw", (EXPORTER, b"octets"), False)
        self.assertTrue(client.first.startswith(b"y,,"))
        self.assertRegex(self.scram(self.secured(), client), self.spoken.broken)

    def test_client_that_cannot_bind(self: Any) -> None:
        """It says so, and may."""
        self.assertRegex(self.scram(self.secured(), self.prover()), self.spoken.good)


