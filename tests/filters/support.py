"""A Site whose mail is shown to filters that the test scripts, all in memory."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from twisted.internet.protocol import Factory, Protocol

from launcelot.checks.interface import Check
from launcelot.checks.running import Checks
from launcelot.filters import milter
from launcelot.filters.milter import packet
from launcelot.testing.link import Link
from tests.protocols.smtp.support import ENVELOPE, STUFFED, SmtpCase

STRANGER = "192.0.2.3"
CONTINUE = packet(milter.CONTINUE)


class MilterPeer(Protocol):
    """A milter: keeps what it is told, and answers as the factory says."""

    factory: MilterPeerFactory

    def connectionMade(self) -> None:
        """Nothing is there yet."""
        self.unread = b""
        self.factory.open += 1
        self.factory.last = self

    def connectionLost(self, reason: Any = None) -> None:
        """Count."""
        self.factory.open -= 1

    def dataReceived(self, data: bytes) -> None:
        """Whole packets."""
        self.unread += data
        while len(self.unread) >= 4:
            (length,) = struct.unpack_from(">I", self.unread)
            if len(self.unread) < 4 + length:
                return
            one, self.unread = self.unread[4 : 4 + length], self.unread[4 + length :]
            self.told(one[:1], one[1:])

    def told(self, letter: bytes, data: bytes) -> None:
        """Keep it; answer what is answered."""
        self.factory.told.append((letter, data))
        transport: Any = self.transport
        if letter == b"O":
            flags = struct.pack(">III", self.factory.version, milter.ACTIONS, self.factory.protocol_bits)
            transport.write(self.factory.script.get("O") or packet(b"O", flags))
        elif letter == b"Q":
            transport.loseConnection()
        elif letter not in b"DA":
            scripted = self.factory.script.get(letter.decode())
            if scripted is DROP:
                transport.abortConnection()
            elif scripted is not None:
                transport.write(scripted)
            elif letter not in self.factory.silent:
                transport.write(CONTINUE)


DROP: Any = object()
"""In a script: the connection is reset."""


class MilterPeerFactory(Factory):
    """
    Many of them.

    :ivar script: by letter, what is answered; CONTINUE otherwise.
    :ivar silent: letters that are not answered.
    :ivar protocol_bits: what it does not want to be told, and does not answer.
    :ivar told: letters and what came with them.
    :ivar last: the latest connection.
    """

    protocol = MilterPeer  # type: ignore[assignment]
    noisy = False

    def __init__(self) -> None:
        self.script: dict[str, Any] = {}
        self.silent = b""
        self.protocol_bits = 0
        self.version = 6
        self.told: list[tuple[bytes, bytes]] = []
        self.open = 0
        self.last: MilterPeer

    def letters(self) -> bytes:
        """What it was told, macros left out."""
        return b"".join(letter for letter, _ in self.told if letter != b"D")

    def data(self, letter: bytes) -> bytes:
        """What came with the letter, all of it."""
        return b"".join(data for one, data in self.told if one == letter)


class FilterCase(SmtpCase):
    """A stranger's mail to ann and bob, and what becomes of it."""

    def use(self, *checks: Check) -> None:
        """Have these look at mail from strangers."""
        self.world.site.checks = Checks(checks, self.world.clock, self.world.site.counters)

    def tail(self, name: str = "ann") -> list[bytes]:
        """What lies in an inbox, from behind our own Received field."""
        return [text[text.index(b"Received: ") :].partition(b" +0000\r\n")[2] for text in self.inbox(name)]

    def listen(self, factory: Any) -> int:
        """Have a factory listen; its port."""
        host: Any = self.world.network.listen(0, factory).getHost()
        number: int = host.port
        return number

    def stranger(self) -> Link:
        """Somebody from elsewhere."""
        return self.connect(source=STRANGER)

    def hand_in(self, more: bytes = b"", text: bytes = STUFFED) -> Sequence[bytes]:
        """The answers to a whole mail, up to the first that refuses it for good or for now."""
        link = self.stranger()
        link.say(ENVELOPE + more)
        self.world.network.settle()
        answers = link.take()
        if b"250 2.1.5" in answers:
            link.say(b"DATA\r\n" + text + b".\r\n")
            self.world.network.settle()
            answers += link.take()
        link.say(b"QUIT\r\n")
        self.world.network.settle()
        return [line for line in answers.split(b"\r\n")[:-1] if line[3:4] == b" " and line[:3] != b"503"][1:]
