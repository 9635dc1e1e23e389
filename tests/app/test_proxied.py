"""The daemon behind a load balancer."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.app.programs import COMMAND, LIMIT
from tests.app.test_daemon import DaemonCase

CONFIGURATION = """config_version = 1
[daemon]
proxy_networks = ["{network}"]
[pop3]
listen = ["proxied:tcp:0:interface=127.0.0.1"]
listen_tls = ["tcp:0:interface=127.0.0.1"]
[smtp]
enabled = false
[imap]
enabled = false
[ftp]
enabled = false
[managesieve]
enabled = false
[questions]
enabled = false
"""


class ProxiedTests(DaemonCase):
    """One listener behind a balancer, the other not."""

    def setUp(self) -> None:
        """Start it."""
        super().setUp()
        self.config = self.folder / "x.toml"
        self.config.write_text(CONFIGURATION.format(network="127.0.0.0/8"))
        self.log = Path(self.folder, "log")
        options = ("run", "--config", str(self.config), "--data", str(self.data))
        self.daemon, _ = self.running("sh", "-c", 'exec "$@" 2>"$0"', str(self.log), *COMMAND, *options)

    def heard(self, header: bytes) -> bytes:
        """The greeting, and the answer to a name without TLS, that a client with a header gets; nothing if it is cut."""
        with self.connect("pop3") as peer, peer.makefile("rwb") as answers:
            try:
                answers.write(header + b"USER ann\r\nQUIT\r\n")
                answers.flush()
                return b"".join(answers)
            except ConnectionError:
                return b""

    def test_client_counts_as_it_is_told(self) -> None:
        """No password without TLS from afar, although the balancer is on this machine; the log names the client."""
        near, far = b"PROXY UNKNOWN\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 110\r\n"
        self.assertRegex(self.heard(near), rb"\A\+OK .*\r\n\+OK")
        self.assertRegex(self.heard(far), rb"\A\+OK .*\r\n-ERR")
        self.assertEqual(b"", self.heard(b""))
        self.daemon.terminate()
        self.daemon.communicate(timeout=LIMIT)
        log = self.log.read_text()
        self.assertRegex(log, r"pop3 session \S+ from 192\.0\.2\.7 ")
        self.assertRegex(log, r"pop3: a connection from 127\.0\.0\.1 is closed: no header of the PROXY protocol")

    def test_trust_is_reloaded(self) -> None:
        """A network that is taken away is not trusted any more; who is connected stays."""
        with self.connect("pop3") as peer, peer.makefile("rwb") as answers:
            answers.write(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 110\r\n")
            answers.flush()
            self.assertTrue(answers.readline().startswith(b"+OK"))
            self.config.write_text(CONFIGURATION.format(network="192.0.2.0/24"))
            answer = self.ask("reload")
            self.assertEqual([], answer["restart"])
            self.assertEqual([], answer["closed"])
            self.assertEqual(b"", self.heard(b"PROXY UNKNOWN\r\n"))
            self.assertEqual(1, self.ask("status")["counters"]["pop3.proxy.untrusted"])
            answers.write(b"CAPA\r\n")
            answers.flush()
            self.assertTrue(answers.readline().startswith(b"+OK"))

    def test_the_other_listener(self) -> None:
        """Headers are for listeners that expect them."""
        with socket.create_connection(("127.0.0.1", self.port("pop3s")), timeout=LIMIT) as peer:
            peer.sendall(b"PROXY UNKNOWN\r\n")
            self.assertNotIn(b"+OK", peer.recv(100))
