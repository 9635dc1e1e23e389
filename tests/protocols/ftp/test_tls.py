"""FTP over TLS: RFC 4217, and what must never work."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.ftp import data
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Link, RawPeer
from tests.protocols.ftp.kit import Peer, make_factory

CERTIFICATES = Certificates("here.test")


def codes(replies: bytes) -> list[int]:
    """The codes of one-line replies."""
    return [int(line[:3]) for line in replies.splitlines()]


def start_tls(link: Link) -> None:
    """A handshake on a connection."""
    link.start_tls(CERTIFICATES.client("here.test"))
    link.flush()


class SecurePeer(Peer):
    """A client that speaks TLS on the control connection."""

    def __init__(self, login: bool = True, **settings: Any) -> None:
        super().__init__(login=False, tls=CERTIFICATES, **settings)
        self.auth()
        if login:
            self.login()

    def auth(self) -> None:
        """AUTH TLS and the handshake."""
        if self.do("AUTH TLS")[:3] != b"234":
            raise AssertionError
        start_tls(self.link)


class ControlTests(SynchronousTestCase):
    """The control connection."""

    def test_login_inside_tls(self) -> None:
        """AUTH TLS starts TLS, and the session works inside it, from any address."""
        peer = SecurePeer(source="192.0.2.7")
        self.assertTrue(peer.link.peer.shaken)
        self.assertEqual(codes(peer.do("PWD", "AUTH TLS")), [257, 503])

    def test_commands_behind_auth_are_not_executed(self) -> None:
        """Commands pipelined in clear behind AUTH TLS are refused, never executed, and the connection is closed.  F03, T01."""
        for injected in (b"USER ann\r\nPASS pw\r\nMKD evil\r\n", b"U", b"\x16\x03\x01"):
            peer = Peer(login=False, tls=CERTIFICATES)
            peer.link.say(b"AUTH TLS\r\n" + injected)
            self.assertEqual(codes(peer.link.take()), [503])
            self.assertTrue(peer.link.closed)
            self.assertEqual(peer.names(), [])
            self.assertEqual(peer.world.site.counters.value("ftp.tls.injected"), 1)

    def test_commands_behind_auth_during_a_transfer(self) -> None:
        """AUTH TLS that waits for a transfer is not followed by what was sent behind it either."""
        peer = Peer(tls=CERTIFICATES)
        data = peer.data()
        peer.do("STOR f", "AUTH TLS", "MKD evil")
        data.close()
        self.assertEqual(codes(peer.link.take()), [226, 503])
        self.assertTrue(peer.link.closed)
        self.assertEqual(peer.names(), ["f"])

    def test_auth_forgets_the_session(self) -> None:
        """What was said in clear does not count inside TLS."""
        peer = Peer(tls=CERTIFICATES)
        peer.do("MKD d", "CWD d", "AUTH TLS")
        start_tls(peer.link)
        self.assertEqual(codes(peer.do("PWD", "PASS pw")), [530, 503])

    def test_features_tell_the_truth(self) -> None:
        """FEAT offers AUTH TLS only where it works: with a certificate, and not twice."""
        self.assertNotIn(b"AUTH", Peer().do("FEAT"))
        self.assertIn(b" AUTH TLS\r\n", Peer(login=False, tls=CERTIFICATES).do("FEAT"))
        inside = SecurePeer().do("FEAT")
        self.assertNotIn(b"AUTH", inside)
        self.assertIn(b" PROT\r\n", inside)

    def test_other_mechanisms(self) -> None:
        """Other mechanisms are 504; without a certificate AUTH is 502."""
        self.assertEqual(codes(Peer(login=False, tls=CERTIFICATES).do("AUTH GSSAPI", "AUTH")), [504, 501])
        self.assertEqual(codes(Peer(login=False).do("AUTH TLS")), [502])

    def test_ccc_is_refused(self) -> None:
        """The control connection never leaves TLS."""
        self.assertEqual(codes(SecurePeer().do("CCC")), [534])

    def test_tls_may_be_required(self) -> None:
        """Where TLS is required no password is taken without it, and FTP works with it."""
        for required in ("control", "both"):
            peer = Peer(login=False, tls=CERTIFICATES, require_tls=required)
            self.assertEqual(codes(peer.do("USER ann", "PASS pw")), [530, 503])
            SecurePeer(require_tls=required)

    def test_handshake_that_fails(self) -> None:
        """Noise instead of a handshake ends the connection and nothing else."""
        peer = Peer(login=False, tls=CERTIFICATES)
        peer.do("AUTH TLS")
        peer.link.say(b"USER ann\r\nPASS pw\r\n")
        self.assertTrue(peer.link.closed)
        self.assertEqual(peer.factory.sessions, set())


class DataTests(SynchronousTestCase):
    """Data connections."""

    def protected(self, **settings: Any) -> SecurePeer:
        """A peer with PROT P."""
        peer = SecurePeer(**settings)
        self.assertEqual(codes(peer.do("PBSZ 0", "PROT P")), [200, 200])
        return peer

    def test_transfers_inside_tls(self) -> None:
        """With PROT P files go both ways inside TLS, early handshakes included."""
        peer = self.protected()
        payload = bytes(range(256)) * 2_000
        for early in (False, True):
            data = peer.data()
            if early:
                start_tls(data)
            self.assertEqual(codes(peer.do("STOR f")), [150])
            if not early:
                start_tls(data)
            data.say(payload)
            data.close()
            self.assertEqual(codes(peer.link.take()), [226])
            self.assertEqual(peer.content("f"), payload)
            data = peer.data()
            self.assertEqual(codes(peer.do("RETR f")), [150])
            start_tls(data)
            self.assertEqual(data.take(), payload)
            data.close()
            self.assertEqual(codes(peer.link.take()), [226])

    def test_what_comes_inside_tls_is_acknowledged_at_once(self) -> None:
        """The peer may send the rest, or the end, only when it has heard of that: 40 ms with Nagle's algorithm, twice."""
        asked: list[object] = []
        self.patch(data, "acknowledge", asked.append)
        peer = self.protected()
        channel = peer.data()
        peer.do("STOR f")
        self.assertEqual(len(asked), 0)
        start_tls(channel)
        self.assertEqual(len(asked), 1)
        channel.say(b"some")
        self.assertEqual(len(asked), 2)
        channel.close()
        self.assertEqual(codes(peer.link.take()), [226])
        peer.do("PROT C")
        channel = peer.data()
        peer.do("STOR f")
        channel.say(b"some")
        channel.close()
        self.assertEqual(codes(peer.link.take()), [226])
        self.assertEqual(len(asked), 2)

    def test_truncated_upload_is_not_published(self) -> None:
        """An upload inside TLS that ends without the closing notice is 426 and leaves the old file.  F03."""
        peer = self.protected()
        peer.put("f", data=b"old")
        for octets in (b"", b"x", b"new file"):
            data = peer.data()
            peer.do("STOR f")
            start_tls(data)
            data.say(octets)
            data.peer.transport.transport.loseConnection()  # type: ignore[union-attr]
            data.flush()
            self.assertEqual(peer.link.take(), b"426 Transfer incomplete: TLS ended without its closing notice.\r\n")
            self.assertEqual(peer.content("f"), b"old")

    def test_handshake_that_never_comes(self) -> None:
        """A data connection without handshake is 425 after thirty seconds, and nothing is published."""
        peer = self.protected()
        peer.data()
        self.assertEqual(codes(peer.do("STOR f")), [150])
        peer.world.advance(32)
        self.assertEqual(codes(peer.link.take()), [425])
        self.assertEqual(peer.names(), [])

    def test_clear_data_where_tls_was_agreed(self) -> None:
        """Octets in clear on a protected data connection are never taken for a file."""
        peer = self.protected()
        data = peer.data()
        peer.do("STOR f")
        data.say(b"in clear")
        data.close()
        self.assertEqual(codes(peer.link.take()), [425])
        self.assertEqual(peer.names(), [])

    def test_peer_that_does_not_answer_the_closing_notice(self) -> None:
        """A client that leaves the closing notice unanswered gets its file and its 226 at once."""
        peer = self.protected()
        peer.put("f", data=b"x" * 40_000)
        data = peer.data()
        peer.do("RETR f")
        silent = RawPeer()

        def go_silent() -> None:
            layer: Any = data.peer.transport
            layer.transport.protocol = silent

        data.peer.handshakeCompleted = go_silent  # type: ignore[method-assign]
        start_tls(data)
        self.assertEqual(codes(peer.link.take()), [226])
        self.assertGreater(len(silent.heard), 40_000)
        self.assertTrue(silent.ended)

    def test_levels(self) -> None:
        """PROT needs TLS and PBSZ, knows P and C, and C can be refused.  RFC 4217 section 9."""
        words = ("PROT P", "PBSZ 0", "PROT C", "PROT S", "PROT E", "PROT X")
        self.assertEqual(codes(SecurePeer().do(*words)), [503, 200, 200, 536, 536, 504])
        peer = SecurePeer(require_tls="both")
        self.assertEqual(codes(peer.do("PBSZ 0", "PROT C")), [200, 534])
        self.assertEqual(codes(peer.fetch("NLST")[1]), [521])

    def test_logging_in_again_keeps_protection(self) -> None:
        """USER does not silently turn data connections clear; REIN begins anew."""
        peer = self.protected()
        peer.do("USER ann", "PASS pw")
        self.assertTrue(peer.link.server.session.protected)
        peer.do("REIN")
        self.assertFalse(peer.link.server.session.protected)


class ImplicitTests(SynchronousTestCase):
    """TLS from the first octet."""

    def test_implicit_listener(self) -> None:
        """A session inside implicit TLS protects its data connections from the start."""
        world = Peer(login=False, tls=CERTIFICATES).world
        factory = make_factory(world, implicit_tls=True)
        link = world.connect(factory)
        start_tls(link)
        self.assertEqual(link.take()[:4], b"220 ")
        link.say(b"USER ann\r\nPASS pw\r\nFEAT\r\n")
        heard = link.take()
        self.assertIn(b"\r\n230 ", heard)
        self.assertNotIn(b"AUTH", heard)
        [session] = factory.sessions
        self.assertTrue(session.session.protected)  # type: ignore[attr-defined]
