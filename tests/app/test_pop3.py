"""What the daemon does for POP3 besides serving it: old mail goes, workers know of each other's log-ins, APOP is opted into."""

from __future__ import annotations

import poplib
import sqlite3
import subprocess

from tests.app.programs import COMMAND, LIMIT
from tests.app.test_daemon import DaemonCase

CONFIGURATION = """
config_version = 1
[daemon]
data = "{data}"
workers = 2
[accounts]
make_first = false
[pop3]
listen = ["tcp:0:interface=127.0.0.1"]
keep_days = 7
login_delay = 3600
"""


class RulesTests(DaemonCase):
    """A daemon with nothing but POP3."""

    def configure(self) -> None:
        """Write the configuration, and have ann with two messages, one of them old."""
        from launcelot.app.catalogue import SERVICES

        others = "".join(f"[{name}]\nenabled = false\n" for name in SERVICES if name != "pop3")
        (self.folder / "c.toml").write_text(CONFIGURATION.format(data=self.data) + others + "[tls]\nenabled = false\n")
        self.call("account", "add", "ann", said="the password of ann\n")
        (self.folder / "two").write_bytes(b"".join(b"From x Sun Mar  1 12:00:00 2026\nSubject: %d\n\n\n" % one for one in (1, 2)))
        self.call("mail", "import", "ann", "two")
        (file,) = self.data.glob("mail/**/mail.db")
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE messages SET saved = saved - 9 * 86400 WHERE uid = 1")
        connection.close()

    def call(self, *words: str, said: str = "") -> str:
        """A command; what it prints."""
        done = self.run_program(*COMMAND, *words, "-c", "c.toml", said=said)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def serve(self) -> int:
        """Start the daemon; its port."""
        command = (*COMMAND, "run", "-c", "c.toml")
        self.process, self.said = self.running(*command, stderr=subprocess.STDOUT)
        return int(self.said.split("pop3://127.0.0.1:")[1].split()[0].rstrip("/"))

    def expired(self) -> None:
        """Wait until the daemon says that old mail has gone."""
        wanted = "1 messages of ann have expired"
        if wanted not in self.said and not any(wanted in line for line in self.process.stdout or ()):
            self.fail("nothing has expired")

    def pop(self, port: int) -> poplib.POP3:
        """A client."""
        client = poplib.POP3("127.0.0.1", port, timeout=LIMIT)
        self.addCleanup(client.close)
        return client

    def test_workers_share_both(self) -> None:
        """One of them removes old mail; each knows of a log-in to the other.  APOP is offered once somebody has a secret."""
        self.configure()
        port = self.serve()
        self.expired()
        self.assertNotIn(b"<", self.pop(port).getwelcome())
        self.call("account", "apop", "ann", said="a secret of its own\n")
        clients = [self.pop(port) for _ in range(6)]
        clients[0].apop("ann", "a secret of its own")
        self.assertEqual(clients[0].stat()[0], 1)
        self.assertEqual(clients[0].retr(1)[1][0], b"Subject: 2")
        for client in clients[1:]:
            with self.assertRaisesRegex(poplib.error_proto, r"\[IN-USE\]"):
                client.apop("ann", "a secret of its own")
        clients[0].quit()
        for client in [self.pop(port) for _ in range(6)]:
            with self.assertRaisesRegex(poplib.error_proto, r"\[LOGIN-DELAY\]"):
                client.apop("ann", "a secret of its own")
