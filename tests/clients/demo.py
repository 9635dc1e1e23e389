"""A running ``launcelot demo`` for programs to talk to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import zlib
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.clients.nursery import Forked
from tests.clients.peers import program

START_LIMIT = 60.0
RUN_LIMIT = 60.0


@dataclass(frozen=True)
class Service:
    """One row of what the demo prints."""

    host: str
    port: int
    tls: str


class Demo:
    """
    A demo in a process of its own.

    :ivar accounts: user names to passwords.
    """

    def __init__(self, data: Path | None = None, ports: str = "free") -> None:
        arguments = ["demo", "--ports", ports, "--json"]
        if data is not None:
            arguments += ["--data", str(data)]
        self.log = tempfile.TemporaryFile()
        self.process = Forked(arguments, self.log.fileno())
        watchdog = threading.Timer(START_LIMIT, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line:
            raise AssertionError(f"the demo did not start: exit {self.process.wait()}\n{self.said()}")
        self.told: dict[str, Any] = json.loads(line)
        self.accounts = {one["user"]: one["password"] for one in self.told["accounts"]}
        self.addresses = {one["user"]: one["address"] for one in self.told["accounts"]}
        self.ca_file: str = self.told["ca_file"]

    def service(self, name: str) -> Service:
        """Where a service listens."""
        return Service(**self.told["services"][name])

    def said(self) -> str:
        """Its log so far."""
        # Not seek and read: the place in the file is the daemon's as well, who would write over what is there.
        log = self.log.fileno()
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")

    def kill(self) -> None:
        """Kill it as a power cut would, as far as a process can."""
        self.process.kill()
        self._reap()

    def stop(self) -> int | None:
        """Stop it as a person would; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        finally:
            self.kill()
        return self.process.returncode

    def _reap(self) -> None:
        self.process.wait()
        self.process.stdout.close()


class DemoCase(SynchronousTestCase):
    """Tests that each have a demo and a folder of their own (trial has no fixtures for a class)."""

    def setUp(self) -> None:
        """Start a demo."""
        self.demo = Demo()
        self.addCleanup(self.stop_demo)
        self.folder = Path(tempfile.mkdtemp(prefix="launcelot-client-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.user, self.password = "brandon", self.demo.accounts["brandon"]
        self.address = self.demo.addresses["brandon"]

    def stop_demo(self) -> None:
        """Stop it; it must have been well, and must not have logged a traceback."""
        status = self.demo.stop()
        said = self.demo.said()
        self.demo.log.close()
        self.assertEqual(status, 0, said)
        self.assertNotIn("Traceback", said)

    def run_program(self, *command: str, said: bytes = b"", status: int = 0) -> bytes:
        """
        Run a program that must be installed; what it prints.

        :param said: its standard input.
        :param status: the exit status it must end with.
        """
        done = subprocess.run(
            [program(command[0]), *command[1:]],
            input=said,
            capture_output=True,
            timeout=RUN_LIMIT,
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "TERM": "dumb"},
            check=False,
        )
        if done.returncode != status:
            raise AssertionError(
                f"{' '.join(command)}: exit {done.returncode}\n{done.stdout.decode(errors='replace')}"
                f"\n{done.stderr.decode(errors='replace')}\n{self.demo.said()[-4000:]}"
            )
        return done.stdout

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        """A file in the test's folder."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path


def sample(subject: str, sender: str = "brandon@example.com", recipient: str = "brandon@example.com") -> bytes:
    """A message with lines that have to be escaped on the way, an attachment and 8-bit text, CRLF throughout."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message["Message-ID"] = f"<{zlib.crc32(subject.encode())}@sender.example>"
    message["Date"] = "Sat, 21 Nov 2026 12:00:00 +0000"
    message.set_content("..two dots\n.one dot\n.\nGr\u00fc\u00dfe \u2603\nFrom the start\n" + "long " * 150 + "\n", cte="8bit")
    message.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="octet-stream", filename="all.bin")
    message.set_boundary("==boundary==")
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


def below_trace(message: bytes, sent: bytes) -> bytes:
    """What was received, from the first header field that was sent."""
    first = sent.partition(b":")[0] + b":"
    start = message.index(b"\r\n" + first) + 2 if not message.startswith(first) else 0
    return message[start:]
