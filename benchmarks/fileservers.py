"""
FTP servers for the measures, each with one user and a folder that is filled from outside.

vsftpd and ProFTPD run by hand on loopback with configurations of their own.  ProFTPD's Debian package excludes vsftpd's; it is
found on the path, or unpacked (``dpkg -x``) below the folder that ``LAUNCELOT_PROFTPD`` names.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.accepting import CHECKOUT, free_port, scratch, wait_for
from benchmarks.frame import NotHere, cpu_of, memory_of, tree
from benchmarks.imapservers import certificate
from launcelot.app.catalogue import SERVICES

USER, PASSWORD = "ann", "pw"


class FileServer:
    """
    A server under test.

    :ivar port: of FTP.
    :ivar home: what the user sees as ``/``; ``home / "up"`` may be written to.
    """

    user, password = USER, PASSWORD

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch()))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.home = self.folder / "home"
        self.process = self.start()
        wait_for(self.port)

    def start(self) -> subprocess.Popen[bytes]:
        """Configure it and start it."""
        raise NotImplementedError

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program in the checkout, silently."""
        return subprocess.Popen(
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def make_home(self, owner: str = "") -> None:
        """The user's folder."""
        for path in (self.home, self.home / "up"):
            path.mkdir()
            path.chmod(0o755)
            if owner and path != self.home:
                found = pwd.getpwnam(owner)
                os.chown(path, found.pw_uid, found.pw_gid)

    def cpu(self) -> float:
        """Seconds of CPU of all its processes."""
        return sum(cpu_of(pid) for pid in tree(self.process.pid))

    def memory(self) -> int:
        """KiB of all its processes, shared pages divided."""
        return sum(memory_of(pid) for pid in tree(self.process.pid))

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Launcelot(FileServer):
    """A daemon with nothing but FTP; passwords are checked against memory, so that no hash is computed."""

    def start(self) -> subprocess.Popen[bytes]:
        """With one account, whose tree is made by its first log-in."""
        settings = ["config_version = 1", "[daemon]", f'data = "{self.folder}/data"', 'domains = ["example.com"]']
        settings += [f"[{name}]\nenabled = false" for name in SERVICES if name != "ftp"]
        settings += ["[ftp]", f'listen = ["tcp:{self.port}:interface=127.0.0.1"]', "listen_tls = []"]
        settings += ["max_connections_per_source = 5000", f"[tls]\ncertificate = '{certificate()}'\nkey = '{certificate()}'"]
        config = self.folder / "launcelot.toml"
        config.write_text("\n".join(settings) + "\n")
        command = (sys.executable, "-m", "launcelot.app.command")
        added = subprocess.run(
            [*command, "account", "add", USER, "-c", str(config)],
            cwd=CHECKOUT,
            input=b"unused\n",
            capture_output=True,
            check=False,
        )
        if added.returncode:
            raise NotHere(added.stderr.decode().strip())
        process = self.run(*command, "run", "-c", str(config), "--auth", f"memory:{USER}:{PASSWORD}")
        wait_for(self.port)
        with socket.create_connection(("127.0.0.1", self.port)) as one:
            said = one.makefile("rwb")
            for words in ("", f"USER {USER}\r\n", f"PASS {PASSWORD}\r\n", "MKD up\r\n"):
                said.write(words.encode())
                said.flush()
                heard = said.readline()
        if not heard.startswith(b"257"):
            process.kill()
            raise NotHere(f"the account cannot be used: {heard!r}")
        [self.home] = [path / "files" for path in (self.folder / "data" / "files").iterdir() if (path / "files").is_dir()]
        return process


class Vsftpd(FileServer):
    """vsftpd, whose anonymous user is ``ftp`` and may write."""

    user, password = "anonymous", "a@b"

    def start(self) -> subprocess.Popen[bytes]:
        """In the foreground."""
        program = shutil.which("vsftpd") or "/usr/sbin/vsftpd"
        if not Path(program).exists() or os.geteuid() != 0:
            raise NotHere("vsftpd is not installed (Debian package vsftpd), or we are not root")
        self.make_home("ftp")
        empty = self.folder / "empty"
        empty.mkdir()
        options = {
            "listen": "YES", "listen_ipv6": "NO", "listen_address": "127.0.0.1", "listen_port": self.port, "background": "NO",
            "anonymous_enable": "YES", "local_enable": "NO", "write_enable": "YES", "anon_upload_enable": "YES",
            "anon_mkdir_write_enable": "YES", "anon_other_write_enable": "YES", "anon_world_readable_only": "NO",
            "anon_root": self.home, "anon_umask": "022", "secure_chroot_dir": empty,
            "seccomp_sandbox": "NO", "xferlog_enable": "NO", "max_per_ip": "0", "pasv_promiscuous": "NO",
            "ssl_enable": "YES", "allow_anon_ssl": "YES", "force_anon_data_ssl": "NO", "force_anon_logins_ssl": "NO",
            "require_ssl_reuse": "NO", "ssl_tlsv1": "YES", "ssl_ciphers": "HIGH", "rsa_cert_file": certificate(),
            "rsa_private_key_file": certificate(),
        }  # fmt: skip
        path = self.folder / "vsftpd.conf"
        path.write_text("".join(f"{name}={value}\n" for name, value in options.items()))
        return self.run(program, str(path))


class Proftpd(FileServer):
    """ProFTPD with a file of one user."""

    def start(self) -> subprocess.Popen[bytes]:
        """In the foreground."""
        root = Path(os.environ.get("LAUNCELOT_PROFTPD", "/"))
        program = root / "usr/sbin/proftpd"
        if not program.exists() or os.geteuid() != 0:
            raise NotHere("proftpd is not here (Debian package proftpd-core, or LAUNCELOT_PROFTPD), or we are not root")
        self.make_home("nobody")
        nobody = pwd.getpwnam("nobody")
        hashed = subprocess.run(["openssl", "passwd", "-1", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
        users = self.folder / "passwd"
        users.write_text(f"{USER}:{hashed}:{nobody.pw_uid}:{nobody.pw_gid}::{self.home}:/bin/sh\n")
        users.chmod(0o600)
        modules = root / "usr/lib/proftpd"
        tls = [f"ModulePath {modules}", "LoadModule mod_tls.c"] if (modules / "mod_tls.so").exists() else []
        if tls:
            tls += ["<IfModule mod_tls.c>", "TLSEngine on", f"TLSRSACertificateFile {certificate()}", "TLSLog none"]
            tls += [f"TLSRSACertificateKeyFile {certificate()}", "TLSOptions NoSessionReuseRequired"]
            tls += ["TLSRequired off", "</IfModule>"]
        lines = [
            "ServerType standalone", f"Port {self.port}", "DefaultAddress 127.0.0.1", "SocketBindTight on", "UseIPv6 off",
            "User nobody", "Group nogroup", "MaxInstances 100", f"AuthUserFile {users}", "RequireValidShell off", "DefaultRoot ~",
            "AllowOverwrite on", f"PidFile {self.folder}/pid", f"ScoreboardFile {self.folder}/score", "WtmpLog off",
            "TransferLog none", "SystemLog none", "UseReverseDNS off", "TimesGMT on",
        ]  # fmt: skip
        tail = ["<IfModule mod_delay.c>", "DelayEngine off", "</IfModule>"]
        path = self.folder / "proftpd.conf"
        path.write_text("\n".join([*tls[:2], *lines, *tls[2:], *tail]) + "\n")
        library = {"LD_LIBRARY_PATH": str(root / "usr/lib/x86_64-linux-gnu")} if str(root) != "/" else {}
        return subprocess.Popen(
            [str(program), "-n", "-q", "-c", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, **library},
        )  # fmt: skip


class Pyftpdlib(FileServer):
    """pyftpdlib in one process, which syncs an upload and its folder before 226, as we do."""

    def start(self) -> subprocess.Popen[bytes]:
        """As a module of ours."""
        self.make_home()
        return self.run(
            sys.executable, "-m", "benchmarks.fileservers", str(self.port), str(self.home), str(certificate()), USER, PASSWORD
        )


def serve_pyftpdlib(port: int, home: str, pem: str, user: str, password: str) -> None:
    """Serve a folder for ever."""
    import logging

    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import TLS_FTPHandler
    from pyftpdlib.servers import FTPServer

    def synced(self: Any, file: str) -> None:
        for name, flags in ((file, os.O_RDWR), (os.path.dirname(file), os.O_RDONLY)):
            opened = os.open(name, flags)
            os.fsync(opened)
            os.close(opened)

    authorizer = DummyAuthorizer()
    authorizer.add_user(user, password, home, perm="elradfmwMT")
    logging.basicConfig(level=logging.ERROR)
    kept = {"certfile": pem, "keyfile": pem, "authorizer": authorizer, "on_file_received": synced, "use_gmt_times": True}
    server = FTPServer(("127.0.0.1", port), type("Handler", (TLS_FTPHandler,), kept))
    server.max_cons = server.max_cons_per_ip = 5_000
    server.serve_forever()


SERVERS: tuple[type[FileServer], ...] = (Launcelot, Vsftpd, Proftpd, Pyftpdlib)
"""We first."""


def started(kind: type[FileServer]) -> FileServer:
    """
    A server, running.

    :raises NotHere: it cannot be run here.
    """
    return kind(kind.__name__.lower())


def settled() -> None:
    """Let the disk finish, so that one subject's dirty pages are not the next one's."""
    os.sync()
    time.sleep(0.2)


if __name__ == "__main__":
    serve_pyftpdlib(int(sys.argv[1]), *sys.argv[2:])
