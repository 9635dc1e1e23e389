"""A daemon that relays, in a process of its own, and a next hop that keeps what it gets."""

from __future__ import annotations

import smtplib
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from launcelot.app.asking import ask
from launcelot.app.errors import Ending
from tests.app.programs import environment, run_here
from tests.clients.nursery import Forked

LIMIT = 60.0

SETTINGS = """config_version = 1
[daemon]
hostname = "us.example"
domains = ["here.example"]
workers = {workers}
stop_limit = 10
[accounts]
first = "ann"
[relay]
enabled = true
routes = ["* 127.0.0.1:{port} {options}"]
first_retry = 1
[smtp]
listen_submissions = []
{listening}
max_connections_per_source = 1000
"""
OFF = ("imap", "pop3", "ftp", "questions", "managesieve")


class RelayingDaemon:
    """
    Started again and again on one folder.

    :param port: of the next hop.
    :param service: what it listens for: ``submission``, ``mx`` or ``lmtp``.
    """

    def __init__(
        self, folder: Path, port: int, workers: int = 1, options: str = "connections=20", service: str = "submission"
    ) -> None:
        self.folder = folder
        self.settings = folder / "launcelot.toml"
        self.service = service
        folder.mkdir(exist_ok=True, mode=0o700)
        self.settings.write_text(self.configuration(port, workers, options))
        self.log = tempfile.TemporaryFile()
        self.start()

    def configuration(self, port: int, workers: int, options: str) -> str:
        """What stands in the file."""
        endpoints = {one: '"tcp:0:interface=127.0.0.1"' if one == self.service else "" for one in ("mx", "submission", "lmtp")}
        listening = "\n".join(f"listen_{name} = [{endpoint}]" for name, endpoint in endpoints.items())
        text = SETTINGS.format(workers=workers, port=port, options=options, listening=listening)
        return text + "".join(f"[{name}]\nenabled = false\n" for name in OFF)

    def start(self) -> None:
        """Start, and wait until it listens."""
        self.process = Forked(["run", "--data", str(self.folder)], self.log.fileno(), environment(self.folder))
        until = time.monotonic() + LIMIT
        self.port = 0
        while not self.port:
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                raise AssertionError(f"the daemon did not start: {self.log.read().decode()[-3000:]}")
            try:
                said = self.status()
                if all(one["state"] == "serving" for one in said.get("workers", ())):
                    self.port = said["listeners"][0]["port"]
            except (Ending, IndexError):
                pass
            threading.Event().wait(0.05)

    def command(self, *arguments: str, said: str = "") -> str:
        """What a command on this folder prints."""
        done = run_here(self.folder, [*arguments, "--data", str(self.folder)], said)
        if done.returncode:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def status(self) -> Any:
        """What the daemon says of itself."""
        return ask(self.folder / "admin.sock", {"ask": "status"})

    def queue(self, do: str = "list", **more: Any) -> Any:
        """What the daemon says of its queue, or does with it."""
        return ask(self.folder / "admin.sock", {"ask": "queue", "do": do, **more})

    def set_password(self) -> None:
        """Give ann one that is known."""
        self.command("account", "passwd", "ann", said="secret\n")

    def client(self) -> smtplib.SMTP:
        """Somebody logged in as ann."""
        client = smtplib.SMTP("127.0.0.1", self.port, timeout=60)
        client.login("ann", "secret")
        return client

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> int:
        """In order; its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(LIMIT)
        finally:
            self.kill()
            self.log.close()

    def said(self) -> str:
        """Its log."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")


def message(mark: str) -> bytes:
    """One mail."""
    return f"From: ann@here.example\r\nSubject: {mark}\r\nMessage-ID: <{mark}@here.example>\r\n\r\n.x\r\n".encode()


class NextHop:
    """
    aiosmtpd in a thread.

    :param vanish: by how often a message has come before, whether the connection is cut when it has been taken.
    :ivar got: by Message-ID, how often it has come.
    """

    def __init__(self, vanish: Callable[[str, int], bool] = lambda mark, times: False) -> None:
        self.got: Counter[str] = Counter()
        self._vanish = vanish
        self._controller = Controller(self, hostname="127.0.0.1", port=0, server_hostname="mx.far.example")
        self._controller.port = free_port()
        self._controller.start()
        self.port: int = self._controller.port

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Count, and answer or not."""
        mark = envelope.content.split(b"Message-ID: <")[1].split(b"@")[0].decode()
        times = self.got[mark]
        self.got[mark] += 1
        if self._vanish(mark, times):
            server.transport.abort()
        return "250 2.0.0 taken"

    def wait_for(self, wanted: set[str], but: Callable[[], int] = int) -> None:
        """
        Until these have come, or too long.

        :param but: how many of them need not come, as it is known so far.
        """
        until = time.monotonic() + 2 * LIMIT
        while len(wanted - set(self.got)) > but() and time.monotonic() < until:
            threading.Event().wait(0.05)

    def stop(self) -> None:
        """Stop it."""
        self._controller.stop()


def free_port() -> int:
    """A port nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
