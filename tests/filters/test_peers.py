"""Filters that we did not write: OpenDKIM as a milter, and rspamd."""

from __future__ import annotations

import base64
import getpass
import os
import shutil
import smtplib
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import dkim
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from twisted.trial.unittest import SynchronousTestCase

from tests.clients.peers import program
from tests.filters.running import CheckingDaemon
from tests.relay.running import LIMIT, free_port

MESSAGE = "From: eve@example.org\r\nTo: ann@here.example\r\nSubject: {}\r\nX-Gone: 1\r\n\r\n{}\r\n"
GTUBE = "JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

RSPAMD = """
options {{
  pidfile = "{folder}/pid"; temp_dir = "{folder}"; hs_cache_dir = "{folder}"; control_socket = "{folder}/control.sock";
  url_tld = "{folder}/tld"; filters = ""; enable_test_patterns = true; disable_hyperscan = true;
  dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; }}
}}
logging {{ type = "console"; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
lua = "{folder}/rules.lua";
"""
RULES = """
rspamd_config:register_symbol({name = "NOTE", type = "postfilter", callback = function(task)
  task:set_milter_reply({
    add_headers = {
      ["X-Seen"] = tostring(task:get_from_ip()) .. " " .. (task:get_helo() or "") .. " " .. #task:get_recipients("smtp")
    },
    remove_headers = {["X-Gone"] = 0},
  })
end})
"""


class PeerCase(SynchronousTestCase):
    """A folder, a filter in it, and a daemon that asks it."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="launcelot-filters-"))
        self.folder.chmod(0o777)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, port: int, command: list[str]) -> None:
        """Start a filter, and wait until it listens."""
        log = (self.folder / "log").open("wb")
        self.addCleanup(log.close)
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), LIMIT).close()
                return
            except ConnectionRefusedError:
                self.assertIsNone(process.poll(), (self.folder / "log").read_text(errors="replace"))
                threading.Event().wait(0.05)
        self.fail("it does not listen")

    def daemon(self, *filters: str) -> CheckingDaemon:
        """One that asks these."""
        daemon = CheckingDaemon(self.folder / "data", filters)
        self.addCleanup(daemon.log.close)
        self.addCleanup(daemon.kill)
        return daemon


class OpenDkimTests(PeerCase):
    """A milter that signs."""

    def test_signed_by_a_milter(self) -> None:
        """Its signature is in the mail of the mailbox and is good: header and body were shown to it as they are."""
        port = free_port()
        signing = program("opendkim")
        run = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True)
        key = load_pem_private_key(run.stdout, None)
        (self.folder / "key").write_bytes(run.stdout)
        (self.folder / "key").chmod(0o600)
        (self.folder / "conf").write_text(
            f"Socket inet:{port}@127.0.0.1\nMode s\nDomain example.org\nSelector s\nKeyFile {self.folder}/key\n"
            "Canonicalization simple/simple\nRequireSafeKeys no\nSyslog no\n"
        )
        self.start(port, [signing, "-f", "-x", str(self.folder / "conf"), "-u", getpass.getuser()])
        daemon = self.daemon(f"milter 127.0.0.1:{port}")
        text = "From: Eve <eve@example.org>\r\nSubject:  two\r\n\tlines \r\nTo: ann@here.example\r\n\r\n..x \r\n\r\n"
        with smtplib.SMTP("127.0.0.1", daemon.port, "me.example", LIMIT) as client:
            self.assertEqual(client.sendmail("eve@example.org", ["ann@here.example"], text.encode()), {})
        (mail,) = daemon.mails("ann", 1)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
        self.assertIn(b"DKIM-Signature: ", mail)
        self.assertTrue(dkim.verify(mail, dnsfunc=lambda name, timeout=5: record), mail)


class RspamdTests(PeerCase):
    """rspamd itself."""

    def test_what_rspamd_says(self) -> None:
        """Refused, into Junk, and let through with a field of its own and without one that is to go."""
        port = free_port()
        command = program("rspamd")
        (self.folder / "rspamd.conf").write_text(RSPAMD.format(folder=self.folder, port=port))
        (self.folder / "rules.lua").write_text(RULES)
        (self.folder / "tld").write_text("com\n")
        root = ["-u", "nobody", "-g", "nogroup"] if os.geteuid() == 0 else []
        self.start(port, [command, "-f", "-i", *root, "-c", str(self.folder / "rspamd.conf")])
        daemon = self.daemon(f"rspamd 127.0.0.1:{port}")
        with smtplib.SMTP("127.0.0.1", daemon.port, "me.example", LIMIT) as client:
            client.sendmail("eve@example.org", ["ann@here.example"], MESSAGE.format("good", "hi").encode())
            client.sendmail("eve@example.org", ["ann@here.example"], MESSAGE.format("bad", "Y" + GTUBE).encode())
            error = self.assertRaises(
                smtplib.SMTPDataError, client.sendmail, "eve@example.org", ["ann@here.example"],
                MESSAGE.format("worst", "X" + GTUBE).encode(),
            )  # fmt: skip
        self.assertEqual((error.smtp_code, error.smtp_error), (550, b"5.7.1 Gtube pattern"))
        (good,) = daemon.mails("ann", 1)
        self.assertIn(b"\r\nX-Seen: 127.0.0.1 me.example 1\r\n\r\nhi\r\n", good)
        self.assertNotIn(b"X-Gone", good)
        (bad,) = daemon.mails("ann", 1, "Junk")
        self.assertIn(b"X-Launcelot-Junk: rspamd: 6.00 of 15.00, add header\r\n", bad)
