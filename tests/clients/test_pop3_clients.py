"""Programs that fetch from a maildrop: fetchmail, mpop, getmail and curl, each once for each message, and with APOP."""

from __future__ import annotations

import imaplib
import mailbox
import subprocess
import sys
from pathlib import Path

from tests.clients.demo import DemoCase, sample
from tests.clients.nursery import CHECKOUT

SECRET = "a secret of its own"


class MaildropClients(DemoCase):
    """Each test has a demo whose INBOX holds one message more than at first."""

    def setUp(self) -> None:
        """Deliver it."""
        super().setUp()
        service = self.demo.service("imap")
        with imaplib.IMAP4(service.host, service.port) as client:
            client.login(self.user, self.password)
            client.append("INBOX", "", "", sample("fetched"))
            self.count = int(client.select("INBOX", readonly=True)[1][0])  # type: ignore[arg-type]
        self.sink = self.write("sink", f"#!/bin/sh\necho mark >> {self.folder}/fetched\ncat >> {self.folder}/fetched\n", 0o700)

    def fetched(self) -> tuple[int, int]:
        """How many messages the sink was given, and how many of them are ours."""
        data = (self.folder / "fetched").read_bytes()
        return data.count(b"mark\n"), data.count(b"Subject: fetched")

    def left(self) -> int:
        """Messages on the server."""
        service = self.demo.service("imap")
        with imaplib.IMAP4(service.host, service.port) as client:
            client.login(self.user, self.password)
            return int(client.select("INBOX", readonly=True)[1][0])  # type: ignore[arg-type]

    def run_fetchmail(self, name: str, protocol: str, password: str, *, keep: bool) -> None:
        """One run."""
        service = self.demo.service("pop3")
        tls = f'sslproto "TLS1.2+" sslcertck sslcertfile "{self.demo.ca_file}"' if protocol == "pop3" else 'sslproto ""'
        config = self.write(
            name,
            f'poll localhost service {service.port} protocol {protocol} uidl user "{self.user}" password "{password}" '
            f'{"keep" if keep else "nokeep"} {tls} mda "{self.sink}"\n',
        )
        files = ("--pidfile", str(self.folder / "pid"), "--idfile", str(self.folder / "ids"))
        self.run_program("fetchmail", "-f", str(config), *files, "--nosyslog")

    def test_fetchmail(self) -> None:
        """With STLS and UIDL: it keeps, fetches what is new alone, and deletes when it is told to."""
        self.run_fetchmail("one", "pop3", self.password, keep=True)
        self.assertEqual(self.fetched(), (self.count, 1))
        service = self.demo.service("imap")
        with imaplib.IMAP4(service.host, service.port) as client:
            client.login(self.user, self.password)
            client.append("INBOX", "", "", sample("fetched later"))
        self.run_fetchmail("two", "pop3", self.password, keep=False)
        self.assertEqual(self.fetched(), (self.count + 1, 2))

    def test_getmail(self) -> None:
        """Over TLS; once each, then with deletion."""
        for state in ("one", "two"):
            try:
                self.run_getmail(state)
                return
            except subprocess.TimeoutExpired:
                # One in some hundred of its runs does not notice that the program it delivers to has ended.
                (self.folder / "fetched").unlink(missing_ok=True)
        self.run_getmail("three")

    def run_getmail(self, state: str) -> None:
        """Three runs that remember what they have fetched."""
        service = self.demo.service("pop3s")
        (self.folder / state).mkdir()
        for delete in ("false", "false", "true"):
            self.write(
                "getmailrc",
                f"[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {service.port}\nusername = {self.user}\n"
                f"password = {self.password}\nca_certs = {self.demo.ca_file}\n\n"
                f"[destination]\ntype = MDA_external\npath = {self.sink}\nallow_root_commands = true\n\n"
                f"[options]\nread_all = false\ndelete = {delete}\nverbose = 0\n",
            )
            self.run_program("getmail", f"--getmaildir={self.folder / state}", f"--rcfile={self.folder / 'getmailrc'}")
            self.assertEqual(self.fetched(), (self.count, 1))
        self.assertEqual(self.left(), 0)

    def test_apop(self) -> None:
        """fetchmail, mpop and curl log in with a secret, once the account has one."""
        data = Path(self.demo.ca_file).parents[1]
        command = (sys.executable, "-m", "launcelot.app.command", "account", "apop", self.user, "--data", str(data))
        subprocess.run(command, cwd=CHECKOUT, input=SECRET.encode() + b"\n", check=True, capture_output=True, timeout=60)
        service = self.demo.service("pop3")
        listing = self.run_program(
            "curl", "-sS", "--login-options", "AUTH=+APOP", "--user", f"{self.user}:{SECRET}", f"pop3://localhost:{service.port}/"
        )
        self.assertEqual(len(listing.split(b"\r\n")) - 1, self.count)
        for part in ("cur", "new", "tmp"):
            (self.folder / "in" / part).mkdir(parents=True)
        config = self.write(
            "mpoprc",
            f"account default\nhost localhost\nport {service.port}\nuser {self.user}\npassword \"{SECRET}\"\nauth apop\n"
            f"tls off\nkeep on\ndelivery maildir {self.folder}/in\nuidls_file {self.folder}/uidls\n",
        )
        self.run_program("mpop", "-C", str(config), "-q")
        self.assertEqual(len(mailbox.Maildir(self.folder / "in", factory=None)), self.count)
        self.run_fetchmail("apop", "apop", SECRET, keep=True)
        self.assertEqual(self.fetched(), (self.count, 1))
