"""The two servers of a play, and accounts nobody has used."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.clients.demo import Demo
from tests.clients.dovecot import PASSWORD, Dovecot
from tests.clients.nursery import CHECKOUT
from tests.clients.wire import Wire


class Pair:
    """
    Ours and theirs, running.

    :param dovecot: theirs; started by the caller, who also stops it.
    """

    def __init__(self, dovecot: Dovecot) -> None:
        self.dovecot = dovecot
        self._folder = tempfile.TemporaryDirectory(prefix="launcelot-oracle-")
        self.demo = Demo(Path(self._folder.name))
        self._plays = 0
        self._open: list[Wire] = []

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for wire in self._open:
            wire.close()
        self.demo.stop()
        said = self.demo.said()
        self.demo.log.close()
        self._folder.cleanup()
        if kind is None and "Traceback" in said:
            raise AssertionError(said)

    def fresh(self) -> Callable[[], tuple[Wire, Wire]]:
        """Opens logged-in connections to a pair of empty accounts."""
        self._plays += 1
        name = f"user{self._plays}"
        command = [sys.executable, "-m", "launcelot.app.command", "account", "add", "--data", self._folder.name, name]
        subprocess.run(command, cwd=CHECKOUT, input=PASSWORD.encode(), check=True, capture_output=True, timeout=60)
        self._clear(name)
        ports = self.demo.service("imap").port, self.dovecot.port

        def opened() -> tuple[Wire, Wire]:
            wires = Wire(ports[0]), Wire(ports[1])
            self._open += wires
            for wire in wires:
                wire.login(name, PASSWORD)
            return wires

        return opened

    def _clear(self, name: str) -> None:
        """A new account of ours has more than an inbox."""
        wire = Wire(self.demo.service("imap").port)
        wire.login(name, PASSWORD)
        for word in (b"LIST", b"LSUB"):
            for _, _, found in wire.command(word + b' "" *').of(word):
                if found.upper() != b"INBOX":
                    wire.command((b"DELETE" if word == b"LIST" else b"UNSUBSCRIBE") + b' "%b"' % found)
        wire.command(b"UNSUBSCRIBE INBOX")
        wire.close()
