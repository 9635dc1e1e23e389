"""Next hops that we did not write: Postfix, and its smtp-sink, which tells us to come again."""

from __future__ import annotations

import json
import os
import shutil
import smtplib
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.accepting import Postfix
from benchmarks.frame import NotHere
from tests.clients.peers import program
from tests.relay.running import LIMIT, RelayingDaemon, free_port, message


def listens(port: int) -> bool:
    """Whether somebody accepts connections there: mail for one that does not would wait for a minute."""
    try:
        socket.create_connection(("127.0.0.1", port), LIMIT).close()
    except ConnectionRefusedError:
        return False
    return True


class PeerCase(SynchronousTestCase):
    """A folder, and mail through a daemon."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="launcelot-peers-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def daemon(self, port: int, options: str = "connections=5", workers: int = 1) -> RelayingDaemon:
        """A daemon whose mail goes to a port."""
        daemon = RelayingDaemon(self.folder / "data", port, workers, options)
        self.addCleanup(daemon.kill)
        daemon.set_password()
        return daemon

    def until(self, daemon: RelayingDaemon, waiting: int) -> None:
        """Until so many recipients wait."""
        end = time.monotonic() + LIMIT
        while daemon.status()["spool"] != waiting and time.monotonic() < end:
            threading.Event().wait(0.2)
        self.assertEqual(daemon.status()["spool"], waiting, daemon.said())


class PostfixTests(PeerCase):
    """Postfix as next hop."""

    def test_mail_through_postfix(self) -> None:
        """Octet for octet into its Maildir; a recipient it refuses comes back to the sender as a notice."""
        self.folder.chmod(0o755)
        try:
            postfix = Postfix(self.folder / "postfix")
        except NotHere as missing:
            if os.environ.get("LAUNCELOT_PEERS") == "required":
                raise
            self.skipTest(str(missing))
        self.addCleanup(postfix.stop)
        daemon = self.daemon(postfix.port)
        with daemon.client() as client:
            refused = client.sendmail(
                "ann@here.example", ["bob@example.com", "nobody@elsewhere.invalid"], message("one") + b"..dots\r\n.\r\n"
            )
        self.assertEqual(refused, {})
        self.until(daemon, 0)
        maildir = self.folder / "postfix" / "mail" / "ann" / "new"
        end = time.monotonic() + LIMIT
        while not (maildir.is_dir() and list(maildir.iterdir())) and time.monotonic() < end:
            threading.Event().wait(0.1)
        self.assertEqual(len(list(maildir.iterdir())), 1)
        text = next(maildir.iterdir()).read_bytes().replace(b"\r\n", b"\n")
        self.assertTrue(text.endswith(b"\n\n.x\n..dots\n.\n"), text)
        self.assertEqual(daemon.stop(), 0)


class SendingPostfix(Postfix):
    """
    Hands all mail to one place.

    :param transport: such as ``lmtp:inet:127.0.0.1:24``.
    """

    def __init__(self, folder: Path, transport: str) -> None:
        self.transport = transport
        super().__init__(folder)

    def _write(self) -> None:
        super()._write()
        with (self.folder / "etc" / "main.cf").open("a") as settings:
            settings.write(f"virtual_mailbox_domains=\ndefault_transport={self.transport}\nsmtp_host_lookup=native\n")
        with (self.folder / "etc" / "master.cf").open("a") as rows:
            rows.write("smtp unix - - n - - smtp\nlmtp unix - - n - - lmtp\n")


class SenderTests(PeerCase):
    """Postfix hands us mail, over SMTP and over LMTP."""

    def test_mail_from_postfix(self) -> None:
        """Each message once, the way it says, and its queue is empty afterwards."""
        self.folder.chmod(0o755)
        for service, transport, protocol in (("mx", "smtp:[127.0.0.1]", "ESMTP"), ("lmtp", "lmtp:inet:127.0.0.1", "LMTP")):
            daemon = RelayingDaemon(self.folder / service, 1, service=service)
            self.addCleanup(daemon.kill)
            try:
                postfix = SendingPostfix(self.folder / f"postfix-{service}", f"{transport}:{daemon.port}")
            except NotHere as missing:
                if os.environ.get("LAUNCELOT_PEERS") == "required":
                    raise
                self.skipTest(str(missing))
            self.addCleanup(postfix.stop)
            with smtplib.SMTP("127.0.0.1", postfix.port, timeout=LIMIT) as client:
                for number in range(8):
                    text = message(f"{service}-{number}") + b"..\r\n" + b"x" * 2_000 + b"\r\n.\r\n"
                    client.sendmail("eve@far.example", ["ann@here.example"], text)
            end = time.monotonic() + LIMIT
            while daemon.status()["counters"].get("spool.delivered", 0) < 8 and time.monotonic() < end:
                threading.Event().wait(0.05)
            found = json.loads(daemon.command("trace", "--json", "--recipient", "ann@here.example"))["mails"]
            self.assertEqual(sorted(one["message_id"] for one in found), [f"<{service}-{n}@here.example>" for n in range(8)])
            self.assertEqual({one["protocol"] for one in found}, {protocol})
            self.assertEqual(daemon.status()["counters"]["spool.delivered"], 8)
            self.assertEqual(daemon.stop(), 0)


class SinkTests(PeerCase):
    """smtp-sink: first it answers every message with 4xx, then it takes what waits."""

    def sink(self, port: int, *options: str) -> subprocess.Popen[bytes]:
        """One that listens."""
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [program("smtp-sink"), *user, *options, f"127.0.0.1:{port}", "100"]
        sink = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.addCleanup(sink.wait)
        self.addCleanup(sink.kill)
        end = time.monotonic() + LIMIT
        while not listens(port) and sink.poll() is None and time.monotonic() < end:
            threading.Event().wait(0.02)
        self.assertIsNone(sink.poll())
        return sink

    def test_queue_of_two_workers_until_the_next_hop_takes_it(self) -> None:
        """What waits is listed with its reason, held and released over all workers, and is gone when it was taken."""
        program("smtp-sink")
        port = free_port()
        first = self.sink(port, "-r", "DATA")
        daemon = self.daemon(port, workers=2)
        for number in range(6):
            with daemon.client() as client:
                client.sendmail("ann@here.example", [f"x@d{number}.example"], message(f"m{number}"))
        end = time.monotonic() + LIMIT
        rows = daemon.queue()["recipients"]
        while time.monotonic() < end and not all(one["attempts"] for one in rows):
            threading.Event().wait(0.2)
            rows = daemon.queue()["recipients"]
        self.assertEqual(len(rows), 6)
        self.assertTrue(all(one["last_error"] for one in rows), rows)
        daemon.queue("hold")
        self.assertTrue(all(one["held"] for one in daemon.queue()["recipients"]))
        self.assertIn("It is held", daemon.command("queue", "why", rows[0]["id"]))
        first.kill()
        first.wait()
        self.sink(port)
        daemon.queue("drop", id=rows[0]["id"])
        daemon.queue("release")
        self.until(daemon, 0)
        self.assertEqual(daemon.status()["counters"]["spool.relayed"], 5)
        self.assertEqual(daemon.stop(), 0)
