"""``launcelot fault``: the same sentences, in a daemon that runs."""

from __future__ import annotations

import ftplib
import imaplib
import json
import smtplib
import socket
import ssl
import subprocess
from contextlib import closing
from io import BytesIO, StringIO
from typing import Any

from launcelot.app.command import main
from launcelot.app.streams import Streams
from tests.app.programs import COMMAND, LIMIT, ProgramCase


class FaultCase(ProgramCase):
    """A demo, and the command."""

    def setUp(self) -> None:
        """Name the folder."""
        super().setUp()
        self.data = self.folder / "data"

    def demo(self, workers: int = 1) -> dict[str, tuple[str, int]]:
        """Start one; what it tells."""
        command = (*COMMAND, "demo", "--ports", "free", "--json", "--workers", str(workers), "--data", str(self.data))
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            process = self.start(*command, stderr=log)
        self.addCleanup(self.stop, process)
        told: dict[str, Any] = json.loads((process.stdout.readline() if process.stdout else "") or "{}")
        self.assertTrue(told, (self.folder / "log").read_text())
        self.password = told["accounts"][0]["password"]
        self.address = told["accounts"][0]["address"]
        self.ca = told["ca_file"]
        return {name: (one["host"], one["port"]) for name, one in told["services"].items()}

    def stop(self, process: subprocess.Popen[str]) -> None:
        """It ends in order, having met no bug."""
        process.terminate()
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertNotIn("Traceback", (self.folder / "log").read_text())

    def command(self, *words: str) -> tuple[int, str, str]:
        """``launcelot fault`` in this process: exit status, output, errors."""
        streams = Streams(output=StringIO(), errors=StringIO())
        status = main(["fault", *words, "--data", str(self.data)], streams)
        return status, streams.output.getvalue(), streams.errors.getvalue()  # type: ignore[attr-defined]

    def fault(self, *words: str) -> Any:
        """What it says, as JSON."""
        status, said, complaint = self.command(*words, "--json")
        self.assertEqual((status, complaint), (0, ""))
        return json.loads(said)["faults"]

    def instead(self, *sentences: str) -> None:
        """These and no others."""
        self.fault("remove", "--all")
        for one in sentences:
            self.fault("add", one)

    def send(self, where: tuple[str, int]) -> None:
        """A mail to the first account."""
        with smtplib.SMTP(*where, timeout=LIMIT) as client:
            client.sendmail("a@b.example", [self.address], "Subject: x\r\n\r\nhi\r\n")


class DemoTests(FaultCase):
    """With one process."""

    def test_sentences_come_true(self) -> None:
        """Each is added, happens as often as it says, is counted, and is gone when it is removed."""
        places = self.demo()
        self.fault("add", 'at.smtp("RCPT").replies(451, "4.3.2 later").times(1)')
        refused = self.assertRaises(smtplib.SMTPRecipientsRefused, self.send, places["smtp"])
        self.assertEqual(refused.recipients, {self.address: (451, b"4.3.2 later")})
        self.send(places["smtp"])
        listed = self.fault("list")
        self.assertEqual(
            listed, [{"number": 1, "fault": "at.smtp('RCPT').replies(451, '4.3.2 later').times(1)", "reached": 2, "struck": 1}]
        )
        for sentence in ('at.smtp("DATA").end.replies(452)', 'at.storage("spool").fails("ENOSPC")'):
            self.instead(sentence)
            error = self.assertRaises(smtplib.SMTPDataError, self.send, places["smtp"])
            self.assertIn(error.smtp_code, (451, 452), sentence)
        # Direct delivery has written it and is refused; the queue takes it, and the mailbox has it once.
        self.instead('at.storage("mail").sync.fails("EIO").times(1)')
        self.send(places["smtp"])
        self.assertEqual([one["struck"] for one in self.fault("list")], [1])
        self.instead('at.smtp("DATA").end.loses_reply()')
        self.assertRaises(smtplib.SMTPServerDisconnected, self.send, places["smtp"])
        self.instead()
        self.send(places["smtp"])
        with imaplib.IMAP4(*places["imap"], timeout=LIMIT) as imap:
            imap.starttls(ssl.create_default_context(cafile=self.ca))
            imap.login("brandon", self.password)
            first = int(imap.select()[1][0] or 0)
        self.instead('at.imap("SELECT").restarts(0.2).times(1)')
        imap = imaplib.IMAP4_SSL(*places["imaps"], ssl_context=ssl.create_default_context(cafile=self.ca), timeout=LIMIT)
        imap.login("brandon", self.password)
        self.assertRaises((imaplib.IMAP4.abort, OSError), imap.select)
        self.assertGreaterEqual(first, 3)
        self.certificates(places)
        self.data_connections(places)
        self.fault("remove", "--all")
        self.refusals()

    def certificates(self, places: dict[str, tuple[str, int]]) -> None:
        """Of the demo's own authority."""
        for sentence, says in (
            ("at.tls.certificate.expired()", "expired"),
            ("at.imaps.tls.certificate.wrong_name()", "mismatch"),
            ("at.tls.certificate.untrusted()", "self-signed"),
        ):
            self.instead(sentence)
            context = ssl.create_default_context(cafile=self.ca)
            for _ in range(100_000):
                try:
                    imaplib.IMAP4_SSL(*places["imaps"], ssl_context=context, timeout=LIMIT)
                except ssl.SSLCertVerificationError as error:
                    self.assertIn(says, str(error).lower(), sentence)
                    break
                except (OSError, imaplib.IMAP4.error):
                    continue    # It is still away from the restart before.

    def data_connections(self, places: dict[str, tuple[str, int]]) -> None:
        """Cut in the middle, and an upload that cannot be stored."""
        self.instead('at.ftp("STOR").data.after(1000).resets().times(1)', 'at.storage("files").fails("ENOSPC").times(1)')
        with closing(self.logged_in(places)) as ftp:
            self.assertRaises(ftplib.all_errors, ftp.storbinary, "STOR a.bin", BytesIO(bytes(500_000)))
        with self.logged_in(places) as ftp:
            self.assertRaises(ftplib.Error, ftp.storbinary, "STOR a.bin", BytesIO(b"x"))
            ftp.storbinary("STOR a.bin", BytesIO(b"x"))
            self.assertIn("a.bin", ftp.nlst())
        self.assertEqual([one["struck"] for one in self.fault("list")], [1, 1])

    def logged_in(self, places: dict[str, tuple[str, int]]) -> ftplib.FTP:
        """A fresh connection."""
        ftp = ftplib.FTP(timeout=LIMIT)
        ftp.connect(*places["ftp"])
        ftp.login("brandon", self.password)
        return ftp

    def refusals(self) -> None:
        """In one line, and nothing of it is armed."""
        for words, says in (
            (("add", "at.smtp('RCPT')"), "does not say what happens"),
            (("add", "__import__('os').abort()"), "begins with at"),
            (("add", "at.dns('MX').stalls()"), "answers no questions of DNS"),
            (("remove", "70"), "there is no fault 70"),
            (("remove",), "name the numbers"),
            (("remove", "1", "--all"), "name the numbers"),
        ):
            status, _, complaint = self.command(*words)
            self.assertEqual((status, len(complaint.splitlines())), (64, 1), complaint)
            self.assertIn(says, complaint)
        self.assertEqual(self.fault("list"), [])


class WorkerTests(FaultCase):
    """With two processes."""

    def test_each_has_them(self) -> None:
        """Whichever answers."""
        places = self.demo(workers=2)
        self.fault("add", "at.questions().replies('Dunno.')")
        for _ in range(8):
            with socket.create_connection(places["questions"], LIMIT) as client:
                client.sendall(b"Beautiful is better than?")
                self.assertEqual(client.recv(100), b"Dunno.")
        self.assertEqual([one["struck"] for one in self.fault("list")], [8])
        done = self.launcelot("fault", "list", "--data", str(self.data))
        self.assertEqual(done.stdout, "  1  happened 8 times  at.questions().replies('Dunno.')\n")


class PlainTests(FaultCase):
    """A daemon that is not for tests."""

    def test_not_allowed(self) -> None:
        """Nobody can have anything go wrong there."""
        self.folder.joinpath("it.toml").write_text(
            "config_version = 1\n\n[daemon]\nstop_limit = 5\n\n"
            + "".join(f"[{name}]\nenabled = false\n\n" for name in ("smtp", "imap", "pop3", "ftp", "book", "managesieve"))
            + '[questions]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
        )
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            process = self.start(
                *COMMAND, "run", "--config", str(self.folder / "it.toml"), "--data", str(self.data), stderr=log
            )
        for line in process.stdout or ():
            if line.startswith("  data "):
                break
        status, _, complaint = self.command("list", "--config", str(self.folder / "it.toml"))
        self.assertEqual(status, 75, complaint)
        self.assertIn("does not allow faults", complaint)
        self.stop(process)
