"""
A Dovecot of our own beside the server under test: generated configuration, free ports on loopback, mail in a temporary folder.

Debian's service is neither used nor touched.  Every user who says the one password is somebody, with a mail folder of his own.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.clients.peers import program

PASSWORD = "secret"
START_LIMIT = 20.0

CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = {protocols}
listen = 127.0.0.1
ssl = {ssl}
{certificates}
disable_plaintext_auth = no
auth_mechanisms = plain login
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
first_valid_uid = 1
mail_uid = {internal}
mail_gid = {group}
mail_home = {folder}/home/%u
mail_location = {location}
mail_max_userip_connections = 0
mailbox_list_index = yes
imap_idle_notify_interval = 2 mins
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={internal} gid={group} home={folder}/home/%u
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {tls_port}
  }}
}}
service imap {{
  service_count = 256
  process_min_avail = 2
  process_limit = 4096
}}
service stats {{
  chroot =
}}
"""

POP3 = """
service pop3-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service pop3 {{
  service_count = 256
  process_min_avail = 2
  process_limit = 4096
}}
protocol pop3 {{
  mail_max_userip_connections = 0
}}
"""


class Dovecot:
    """
    A running Dovecot.

    :param location: its ``mail_location``.
    :param certificate: a file with certificate and key, for a port with TLS.
    :param pop3: whether it speaks POP3 as well.
    :raises SkipTest: it is not installed.
    :ivar port: where it speaks IMAP.
    :ivar pop3_port: where it speaks POP3.
    :ivar folder: everything of it; removed by :meth:`stop`.
    """

    def __init__(
        self,
        location: str = "sdbox:~/mail",
        certificate: Path | None = None,
        parent: str | None = None,
        pop3: bool = False,
    ) -> None:
        binary = program("dovecot")
        program("imap")
        if pop3:
            program("pop3")
        self.folder = Path(tempfile.mkdtemp(prefix="launcelot-dovecot-", dir=parent))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.tls_port = free_port() if certificate is not None else 0
        self.pop3_port = free_port() if pop3 else 0
        self._write(location, certificate)
        self.process = subprocess.Popen(
            [binary, "-F", "-c", str(self.folder / "dovecot.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _write(self, location: str, certificate: Path | None) -> None:
        root = os.geteuid() == 0
        mine = pwd.getpwuid(os.geteuid()).pw_name
        internal, login = ("dovecot", "dovenull") if root else (mine, mine)
        group = grp.getgrgid(pwd.getpwnam(internal).pw_gid).gr_name
        for name in ("run", "home"):
            (self.folder / name).mkdir()
        if root:
            shutil.chown(self.folder / "home", internal, group)
        certificates = ""
        if certificate is not None:
            own = self.folder / "certificate.pem"
            own.write_bytes(certificate.read_bytes())
            own.chmod(0o600)
            certificates = f"ssl_cert = <{own}\nssl_key = <{own}"
        (self.folder / "dovecot.conf").write_text(
            (POP3.format(port=self.pop3_port) if self.pop3_port else "")
            + CONFIGURATION.format(
                protocols="imap pop3" if self.pop3_port else "imap",
                folder=self.folder, internal=internal, group=group, login=login, location=location, password=PASSWORD,
                port=self.port, tls_port=self.tls_port, ssl="yes" if certificate else "no", certificates=certificates,
            )  # fmt: skip
        )

    def _wait(self) -> None:
        until = time.monotonic() + START_LIMIT
        left = [(self.port, b"* OK"), *([(self.pop3_port, b"+OK")] if self.pop3_port else [])]
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", left[0][0]), timeout=60) as one:
                    if one.recv(100).startswith(left[0][1]):
                        del left[0]
                        if not left:
                            return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"Dovecot did not start:\n{self.said()}")

    def said(self) -> str:
        """Its log so far."""
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def __enter__(self) -> Dovecot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it with its children and remove its folder."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """A port nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
