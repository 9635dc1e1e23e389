"""
What was said on a connection, by whom and when, as the two programs understood it: decoded where it went inside TLS.

:attr:`Transcript.text` reads like a dialogue of :mod:`launcelot.testing.dialogue`: ``C:`` before each line of the client, ``S:``
before each of the server; ``C|`` and ``S|`` before octets that are no whole line; ``--`` before what happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

CLIENT = "C"
SERVER = "S"
EVENT = "-"

LONGEST = 1_000
"""Octets of one line or piece that :attr:`Transcript.text` shows."""


@dataclass(frozen=True, slots=True)
class Said:
    """
    One thing that was said, or happened.

    :ivar at: seconds since the connection was made.
    :ivar who: ``"C"``, ``"S"``, or ``"-"`` for what happened.
    """

    at: float
    who: str
    octets: bytes


@dataclass
class Transcript:
    """
    One connection.

    :ivar service: whose, such as ``"smtp"``; ``"ftp data"`` for a data connection.
    :ivar number: counted from 1 over all connections of a Site.
    :ivar peer: the client's address.
    :ivar closed: the connection is gone.
    """

    service: str
    number: int
    peer: str
    said: list[Said] = field(default_factory=list)
    closed: bool = False

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(f"{line}\n" for line in self.lines())

    def lines(self) -> Iterator[str]:
        """One line for each line that was said; pieces that arrived one by one are joined."""
        for who, octets, _ in self.turns():
            if who == EVENT:
                yield f"-- {octets.decode('utf-8', 'replace')}"
                continue
            for line in octets.splitlines(keepends=True):
                whole = line.endswith(b"\r\n")
                mark = ":" if whole else "|"
                words = shown(line.removesuffix(b"\r\n"), escaped=not whole)
                yield f"{who}{mark} {words}".rstrip(" ")

    def turns(self) -> Iterator[tuple[str, bytes, float]]:
        """What each side said before the other said something, and the second in which the last of it came."""
        who, octets, at = "", b"", 0.0
        for said in self.said:
            if said.who == who != EVENT:
                octets += said.octets
            else:
                if who:
                    yield who, octets, at
                who, octets = said.who, said.octets
            at = said.at
        if who:
            yield who, octets, at

    def octets(self, who: str) -> bytes:
        """Everything one side said."""
        return b"".join(said.octets for said in self.said if said.who == who)

    def __str__(self) -> str:
        return f"{self.service} #{self.number} from {self.peer}\n{self.text}"


def shown(octets: bytes, escaped: bool = False) -> str:
    """Octets for people: text where it is text, escapes where it is not."""
    rest = f" ({len(octets) - LONGEST:,} more octets)" if len(octets) > LONGEST else ""
    octets = octets[:LONGEST]
    text = octets.decode("utf-8", "backslashreplace")
    if escaped or not text.isprintable():
        text = text.encode("unicode_escape").decode("ascii")
    return text + rest
