"""STARTTLS, STLS and AUTH TLS: what is said in clear is neither executed nor remembered, what is cut is not delivered."""

from __future__ import annotations

import base64
import socket
import ssl
import warnings
from collections.abc import Mapping

from tests.attacks.dialects import DIALECTS, LINES
from tests.attacks.harness import AttackCase
from tests.attacks.peer import Peer, Records, Silent

INJECTED: Mapping[str, tuple[bytes, ...]] = {
    "smtp": (b"NOOP\r\n", b"EHLO evil\r\n", b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n", b"N", b"\r\n", b"\n", b"QUIT\r\n"),
    "submission": (b"NOOP\r\n", b"EHLO evil\r\nAUTH PLAIN\r\n", b"N", b"\r\n", b"STARTTLS\r\n"),
    "pop3": (b"CAPA\r\n", b"USER evil\r\n", b"C", b"\r\n", b"STLS\r\n"),
    "imap": (b"p NOOP\r\n", b"p CAPABILITY\r\n", b"p LOGIN evil ", b"p", b"\r\n", b"s STARTTLS\r\n", b"p LOGIN {2+}\r\nxx y\r\n"),
    "ftp": (b"NOOP\r\n", b"FEAT\r\n", b"USER evil\r\n", b"N", b"\r\n", b"AUTH TLS\r\n", b"\xff\xf4"),
}
"""What a man in the middle puts behind the command."""


class TlsAttackCase(AttackCase):
    """Peers on the way to TLS."""

    def ready(self, name: str) -> Peer:
        """Somebody who may start TLS now."""
        peer = self.peer(name)
        if name in ("smtp", "submission"):
            peer.ask(b"EHLO x\r\n", b"250 HELP\r\n")
        return peer

    def upgraded(self, name: str) -> Peer:
        """Somebody who has."""
        peer = self.ready(name)
        self.assertTrue(peer.ask(DIALECTS[name].start_tls).startswith(DIALECTS[name].go_ahead))
        peer.start_tls(self.demo.ca_file)
        return peer

    def plain(self, user: str = "brandon") -> bytes:
        """A response of PLAIN."""
        return base64.b64encode(f"\0{user}\0{self.demo.accounts[user]}".encode())


class InjectionTests(TlsAttackCase):
    """T01."""

    def test_what_is_glued_to_the_command_is_not_executed(self) -> None:
        """In one segment: the go-ahead is not given, or the octets are gone; never an answer to them, in clear or in TLS."""
        for name, injections in INJECTED.items():
            for injected in injections:
                with self.subTest(service=name, injected=injected):
                    peer = self.ready(name)
                    peer.say(DIALECTS[name].start_tls + injected)
                    self.check_silence(name, peer)

    def test_what_comes_behind_the_command_is_not_executed(self) -> None:
        """In a segment of its own, before or after the go-ahead: TLS cannot come up, and nothing is answered."""
        for name, injections in INJECTED.items():
            for injected in injections:
                for after in (False, True):
                    with self.subTest(service=name, injected=injected, after=after):
                        peer = self.ready(name)
                        peer.say(DIALECTS[name].start_tls)
                        heard = peer.hear() if after else b""
                        peer.say(injected)
                        self.check_silence(name, peer, heard)

    def test_a_full_buffer_before_the_command_hides_nothing(self) -> None:
        """The command at the very end of what one read takes, the injection in the next: not executed."""
        for name in LINES:
            dialect = DIALECTS[name]
            for beyond in range(-2, 3):
                peer = self.ready(name)
                size = 65_536 + beyond - len(dialect.start_tls)
                filler = dialect.cheap * (size // len(dialect.cheap))
                peer.say(filler + dialect.start_tls + INJECTED[name][0] * 3_000)
                with self.subTest(service=name, beyond=beyond):
                    came = peer.rest()
                    behind = came[came.rfind(dialect.go_ahead) :] if name == "imap" else came
                    self.assertLessEqual(came.count(dialect.answer), size // len(dialect.cheap), behind[-200:])

    def check_silence(self, name: str, peer: Peer, heard: bytes = b"") -> None:
        """At most one answer in clear, and none in TLS, if it comes up at all."""
        dialect = DIALECTS[name]
        heard = heard or peer.hear()
        if not heard.startswith(dialect.go_ahead):
            heard += peer.rest()
            self.assertLessEqual(heard.count(b"\n"), 2, heard)
            self.assertNotIn(dialect.answer, heard)
            return
        records = Records(peer, self.demo.ca_file)
        try:
            records.shake_hands()
        except Silent:
            return
        self.assertEqual(records.ask(dialect.cheap, dialect.answer).count(b"\n"), dialect.answer.count(b"\n"))


class HelloTests(TlsAttackCase):
    """T02, T12."""

    def test_a_hello_glued_to_the_command_ends_cleanly(self) -> None:
        """In one segment and cut around the line end: a close or a handshake, never a hang."""
        for name in LINES:
            command = DIALECTS[name].start_tls
            for cut in (0, 1, len(command) - 2, len(command) - 1, len(command), len(command) + 1, len(command) + 5):
                with self.subTest(service=name, cut=cut):
                    peer = self.ready(name)
                    records = Records(peer, self.demo.ca_file)
                    data = command + records.hello()
                    peer.say(data[:cut])
                    peer.say(data[cut:])
                    heard = peer.hear()
                    if heard.startswith(DIALECTS[name].go_ahead):
                        records.shake_hands(sent=True)
                        records.ask(DIALECTS[name].cheap, DIALECTS[name].answer)
                    else:
                        self.assertLessEqual(len(heard + peer.rest()), 200)

    def test_a_hello_in_single_octets(self) -> None:
        """Behind the go-ahead each cut will do."""
        for name in LINES:
            peer = self.ready(name)
            peer.ask(DIALECTS[name].start_tls)
            records = Records(peer, self.demo.ca_file)
            hello = records.hello()
            for at in range(len(hello)):
                peer.say(hello[at : at + 1])
            records.shake_hands(sent=True)
            records.ask(DIALECTS[name].cheap, DIALECTS[name].answer)

    def test_nonsense_instead_of_a_hello(self) -> None:
        """Alerts, huge records, old versions and noise on every port with TLS: closed."""
        noise = (
            b"\x15\x03\x01\x00\x02\x02\x28",
            b"\x16\x03\x01\xff\xff" + bytes(65_535),
            b"\x16\x03\x00\x00\x04\x01\x00\x00\x00",
            b"\x80\x2e\x01\x00\x02" + bytes(44),
            b"\x17\x03\x03\x40\x00" + bytes(16_384),
            b"\x14\x03\x03\x00\x01\x01" * 1_000,
            bytes(range(256)) * 64,
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
        for name in ("submissions", "imaps", "pop3s", "ftps", "questions-tls"):
            for data in noise:
                with self.subTest(service=name, data=data[:8]):
                    peer = self.peer(name, greeted=False)
                    peer.say(data)
                    peer.finish()
                    self.assertLessEqual(len(peer.rest()), 100)

    def test_old_versions_and_foreign_protocols(self) -> None:
        """T06, T09: TLS 1.1 is not spoken, and no ALPN of another protocol is agreed to."""
        for name in ("submissions", "imaps", "pop3s", "ftps"):
            context = ssl.create_default_context(cafile=self.demo.ca_file)
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = ssl.TLSVersion.TLSv1_1
            with self.subTest(service=name), self.assertRaises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(self.peer(name, greeted=False).socket, server_hostname="localhost")
            context = ssl.create_default_context(cafile=self.demo.ca_file)
            context.set_alpn_protocols(["http/1.1", "h2"])
            try:
                wrapped = context.wrap_socket(self.peer(name, greeted=False).socket, server_hostname="localhost")
            except ssl.SSLError:
                continue
            self.assertIsNone(wrapped.selected_alpn_protocol())
            wrapped.close()


class StateTests(TlsAttackCase):
    """T04."""

    def test_what_was_said_in_clear_is_forgotten(self) -> None:
        """Greeting, name and all: each must be said again."""
        for name in ("smtp", "submission"):
            peer = self.upgraded(name)
            self.assertRegex(peer.ask(b"MAIL FROM:<a@b.example>\r\n"), rb"^5[03][30] ")
            self.assertRegex(peer.ask(b"AUTH PLAIN " + self.plain() + b"\r\n"), rb"^503 ")
            offered = peer.ask(b"EHLO x\r\n", b"250 HELP\r\n")
            self.assertNotIn(b"STARTTLS", offered)
            self.assertIn(b"AUTH ", offered)
            self.assertRegex(peer.ask(b"STARTTLS\r\n"), rb"^503 ")
            self.assertRegex(peer.ask(b"AUTH PLAIN " + self.plain() + b"\r\n"), rb"^235 ")
            self.assertRegex(peer.ask(b"STARTTLS\r\n"), rb"^503 ")
        pop = self.peer("pop3")
        pop.ask(b"USER brandon\r\n")
        pop.ask(b"STLS\r\n")
        pop.start_tls(self.demo.ca_file)
        self.assertRegex(pop.ask(b"PASS %b\r\n" % self.demo.accounts["brandon"].encode()), rb"^-ERR ")
        self.assertRegex(pop.ask(b"STLS\r\n"), rb"^-ERR ")
        self.assertNotIn(b"STLS", pop.ask(b"CAPA\r\n", b"\r\n.\r\n"))
        imap = self.upgraded("imap")
        self.assertNotIn(b"STARTTLS", imap.ask(b"a CAPABILITY\r\n"))
        imap.hear()
        self.assertRegex(imap.ask(b"s STARTTLS\r\n"), rb"^s BAD ")
        ftp = self.peer("ftp")
        ftp.ask(b"USER brandon\r\n")
        ftp.ask(b"AUTH TLS\r\n")
        ftp.start_tls(self.demo.ca_file)
        self.assertRegex(ftp.ask(b"PASS %b\r\n" % self.demo.accounts["brandon"].encode()), rb"^503 ")
        self.assertRegex(ftp.ask(b"AUTH TLS\r\n"), rb"^503 ")
        self.assertRegex(ftp.ask(b"CCC\r\n"), rb"^53[34] ")

    def test_a_mail_in_clear_is_not_ended_in_tls(self) -> None:
        """STARTTLS within a transaction is refused; STARTTLS after a log-in too."""
        peer = self.ready("smtp")
        peer.ask(b"MAIL FROM:<a@b.example>\r\n")
        self.assertRegex(peer.ask(b"STARTTLS\r\n"), rb"^503 ")
        imap = self.peer("imap")
        imap.ask(b"a LOGIN brandon %b\r\n" % self.demo.accounts["brandon"].encode())
        self.assertRegex(imap.ask(b"s STARTTLS\r\n"), rb"^s BAD ")
        pop = self.peer("pop3")
        pop.ask(b"USER brandon\r\n")
        pop.ask(b"PASS %b\r\n" % self.demo.accounts["brandon"].encode())
        self.assertRegex(pop.ask(b"STLS\r\n"), rb"^-ERR ")

    def test_ftp_forgets_log_in_and_data_port(self) -> None:
        """AUTH TLS after a log-in in clear logs out, and the port that was opened in clear is closed."""
        peer = self.peer("ftp")
        peer.ask(b"USER brandon\r\n")
        peer.ask(b"PASS %b\r\n" % self.demo.accounts["brandon"].encode())
        port = int(peer.ask(b"EPSV\r\n").split(b"|")[3])
        peer.ask(b"AUTH TLS\r\n")
        peer.start_tls(self.demo.ca_file)
        self.assertRegex(peer.ask(b"LIST\r\n"), rb"^530 ")
        with self.assertRaises(ConnectionError):
            socket.create_connection(("127.0.0.1", port), 5).close()


class CutTests(TlsAttackCase):
    """T05."""

    def test_a_close_notify_inside_a_message_delivers_nothing(self) -> None:
        """In DATA, BDAT and a literal of APPEND, with and without an octet in clear behind it."""
        before = len(self.inbox("brandon"))
        envelope = b"EHLO y\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<brandon@example.com>\r\n"
        for tail in (b"", b".", b"\r\n.\r\n", b"\x17\x03\x03\x00\x01."):
            for name, script, awaited in (
                ("smtp", envelope + b"DATA\r\nSubject: cut\r\n\r\nx", b"354 "),
                ("smtp", envelope + b"DATA\r\nSubject: cut\r\n\r\nx\r\n.", b"354 "),
                ("smtp", envelope + b"BDAT 100 LAST\r\nSubject: cut\r\n\r\nx", b"250 2.1.5"),
                ("imap", self.append(), b"OK"),
            ):
                with self.subTest(script=script[-20:], tail=tail):
                    peer = self.ready(name)
                    peer.ask(DIALECTS[name].start_tls)
                    records = Records(peer, self.demo.ca_file)
                    records.shake_hands()
                    records.ask(script, awaited)
                    peer.say(records.close_notify() + tail)
                    peer.rest()
        self.assertEqual(len(self.inbox("brandon")), before)

    def append(self) -> bytes:
        """Half a message in a literal."""
        return b"a LOGIN brandon %b\r\nb APPEND INBOX {100+}\r\nSubject: cut\r\n\r\nx" % self.demo.accounts["brandon"].encode()

    def test_an_upload_cut_inside_tls_is_not_published(self) -> None:
        """STOR over PROT P whose TCP ends without TLS's closing notice keeps the old file; with the notice it is new."""
        for clean in (False, True):
            peer = self.upgraded("ftp")
            peer.ask(b"USER brandon\r\n")
            peer.ask(b"PASS %b\r\n" % self.demo.accounts["brandon"].encode())
            peer.ask(b"PBSZ 0\r\n")
            peer.ask(b"PROT P\r\n")
            port = int(peer.ask(b"EPSV\r\n").split(b"|")[3])
            data = socket.create_connection(("127.0.0.1", port), 5)
            self.assertRegex(peer.ask(b"STOR welcome.txt\r\n"), rb"^150 ")
            secure = ssl.create_default_context(cafile=self.demo.ca_file).wrap_socket(data, server_hostname="localhost")
            secure.sendall(b"new")
            if clean:
                secure.unwrap().close()
            else:
                secure.shutdown(socket.SHUT_WR)
            self.assertRegex(peer.hear(), rb"^226 " if clean else rb"^426 ")
            size = peer.ask(b"TYPE I\r\n") + peer.ask(b"SIZE welcome.txt\r\n")
            self.assertEqual(b"213 3\r\n" in size, clean)
            secure.close()
