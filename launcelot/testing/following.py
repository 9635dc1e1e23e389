"""
Following a conversation: which of the octets a client sends are a command, and which belong to one.

A follower is asked for the next :class:`Unit` only when the server waits for its client, so what the server has said since the
last unit tells whether octets that belong to a command follow it.  It is for well-formed conversations: what it does not
understand passes as it came.  No Twisted here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from launcelot.testing.faults import Stage

MAX_LINE = 65_536
"""Octets without a line end that are taken for a line all the same."""

KEPT = 4_096
"""Octets of an answer that are kept, from its beginning and from its end."""

UNSAID = "As the test wants it"
"""The text of a reply that was given none."""

LITERAL = re.compile(rb"\{(\d{1,10})(\+?)\}\r\n\Z")
"""A line that announces a literal.  RFC 7888 section 8."""


@dataclass(frozen=True, slots=True)
class Unit:
    """
    Octets of one kind.

    :ivar stage: COMMAND, BODY or END; None for what no fault is about, such as an answer to a challenge.
    :ivar start: of a BODY, how many octets of it came before these.
    """

    stage: Stage | None
    verb: str
    octets: bytes
    start: int = 0


class Follower:
    """
    Follows lines.

    :ivar verb: of the last command.
    :ivar first: what the server has said since the last command, from its beginning; ``last`` up to its end.
    """

    takes_all: ClassVar[frozenset[str]] = frozenset()
    """Commands behind which nothing may be held back, since the server is to see that it came in clear."""

    def __init__(self) -> None:
        self.verb = ""
        self.first = b""
        self.last = b""

    def said(self, octets: bytes) -> None:
        """The server has said something."""
        if len(self.first) < KEPT:
            self.first += octets[:KEPT]
        self.last = (self.last + octets)[-KEPT:]

    def next(self, buffer: bytearray) -> Unit | None:
        """The next unit, taken from the buffer; None where more must come."""
        line = taken_line(buffer)
        if line is None:
            return None
        if self.answers_challenge():
            unit = Unit(None, self.verb, line)
        else:
            self.verb = self.verb_of(line)
            if self.verb in self.takes_all:
                line += bytes(buffer)
                buffer.clear()
            unit = Unit(Stage.COMMAND, self.verb, line)
        self.first = self.last = b""
        return unit

    def verb_of(self, line: bytes) -> str:
        """A command's name, in capitals."""
        return line.split(None, 1)[0].decode("ascii", "replace").upper() if line.strip() else ""

    def answers_challenge(self) -> bool:
        """Whether the server wants something else than a command."""
        return False

    def refuse(self) -> None:
        """The server does not see the last command: what belongs to it and comes all the same is dropped."""

    def replies_to(self, stage: Stage) -> int:
        """How many replies are due."""
        return 1

    def reply(self, code: int | str, text: str) -> bytes:
        """A reply to the last command."""
        return f"{code} {text or UNSAID}".encode() + b"\r\n"

    def refuses(self, octets: bytes) -> bool:
        """Whether a greeting turns the client away."""
        return octets.startswith((b"4", b"5", b"* BYE", b"-ERR", b"BYE", b"NO"))


class FtpFollower(Follower):
    """FTP's control connection; its bodies go elsewhere."""

    takes_all = frozenset({"AUTH"})

    def __init__(self) -> None:
        super().__init__()
        self.moves = False

    def verb_of(self, line: bytes) -> str:
        """Behind what Telnet puts before ABOR."""
        return super().verb_of(line.lstrip(b"\xff\xf4\xf2"))

    def final(self, octets: bytes) -> bool:
        """Whether the server now says how a transfer ended, having said that it began."""
        if octets.startswith(b"1"):
            self.moves = True
            return octets.count(b"\r\n") > 1
        ends, self.moves = self.moves and octets[:1] in b"2345", False
        return ends


class Pop3Follower(Follower):
    """POP3."""

    takes_all = frozenset({"STLS"})

    def answers_challenge(self) -> bool:
        """Within AUTH.  RFC 5034 section 4."""
        return self.verb == "AUTH" and self.last.startswith(b"+ ")


class QuestionsFollower(Follower):
    """Questions end with their mark and are their own verbs."""

    def next(self, buffer: bytearray) -> Unit | None:
        """The next question."""
        end = buffer.find(b"?") + 1
        if not end and len(buffer) < MAX_LINE:
            return None
        end = end or len(buffer)
        question = bytes(buffer[:end])
        del buffer[:end]
        self.verb = question.decode("utf-8", "replace")
        return Unit(Stage.COMMAND, self.verb, question)

    def reply(self, code: int | str, text: str) -> bytes:
        """As it stands."""
        return f"{code} {text}".rstrip().encode()


class Bodied(Follower):
    """Follows commands with octets that belong to them, so many as were announced."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 0
        self._start = 0
        self._dropping = False

    def next(self, buffer: bytearray) -> Unit | None:
        """The next unit; what is dropped is no unit."""
        while True:
            unit = self._next(buffer)
            if unit is None or not self._dropping:
                return unit
            if unit.stage is Stage.COMMAND:
                self._dropping = False
                return unit

    def _next(self, buffer: bytearray) -> Unit | None:
        if not self._left:
            return self.next_line(buffer)
        if not buffer:
            return None
        octets = bytes(buffer[: self._left])
        del buffer[: len(octets)]
        return self._body(octets)

    def _body(self, octets: bytes) -> Unit:
        unit = Unit(Stage.BODY, self.verb, octets, self._start)
        self._start += len(octets)
        self._left -= len(octets)
        return unit

    def next_line(self, buffer: bytearray) -> Unit | None:
        """The next line's unit."""
        return super().next(buffer)

    def begin(self, size: int) -> None:
        """So many octets belong to the last command."""
        self._left = size
        self._start = 0

    def refuse(self) -> None:
        """What was announced without being asked for comes all the same."""
        self._dropping = self._left > 0


class SmtpFollower(Bodied):
    """SMTP: DATA up to its dot, BDAT by count."""

    takes_all = frozenset({"STARTTLS"})

    def __init__(self) -> None:
        super().__init__()
        self._in_data = False
        self._tail = b""
        self._lasts = False

    def answers_challenge(self) -> bool:
        """Within AUTH.  RFC 4954 section 4."""
        return self.verb == "AUTH" and self.first.startswith(b"334")

    def _next(self, buffer: bytearray) -> Unit | None:
        if self.verb == "DATA" and self.first.startswith(b"354"):
            self._in_data, self._tail, self._start = True, b"\r\n", 0
            self.first = self.last = b""
        if self._in_data:
            return self._text(buffer)
        if self._left == 1 and buffer:
            # The last octet of a chunk is its end.
            self._left = 0
            octet = bytes(buffer[:1])
            del buffer[:1]
            return Unit(Stage.END, "BDAT", octet)
        if self._left:
            octets = bytes(buffer[: self._left - 1])
            del buffer[: len(octets)]
            return self._body(octets) if octets else None
        return super()._next(buffer)

    def _text(self, buffer: bytearray) -> Unit | None:
        """The text, or the dot at its end."""
        seen = self._tail + bytes(buffer)
        end = seen.find(b"\r\n.\r\n")
        size = (end + 2 if end >= 0 else len(seen) - _started(seen)) - len(self._tail)
        if size > 0:
            octets = bytes(buffer[:size])
            del buffer[:size]
            self._tail = (self._tail + octets)[-2:]
            return self._body(octets)
        if end < 0:
            return None
        dot = bytes(buffer[:3])
        del buffer[:3]
        self._in_data = False
        self._left = 0
        return Unit(Stage.END, "DATA", dot)

    def _body(self, octets: bytes) -> Unit:
        unit = super()._body(octets)
        if self._in_data:
            self._left = 0
        return unit

    def next_line(self, buffer: bytearray) -> Unit | None:
        """A command; BDAT says how many octets follow it."""
        unit = super().next_line(buffer)
        if unit is not None and unit.stage is Stage.COMMAND and unit.verb == "BDAT":
            size = unit.octets.split()[1:2]
            self.begin(int(size[0]) if size and size[0].isdigit() else 0)
        return unit


class LmtpFollower(SmtpFollower):
    """LMTP: behind the message there is a reply for each recipient that was accepted.  RFC 2033 section 4.2."""

    def __init__(self) -> None:
        super().__init__()
        self._recipients = 0
        self._asked = False

    def next_line(self, buffer: bytearray) -> Unit | None:
        """A command; the reply to the last one is complete by now."""
        self._count()
        unit = super().next_line(buffer)
        if unit is not None:
            self._asked = unit.verb == "RCPT"
            if unit.verb in ("MAIL", "RSET", "LHLO"):
                self._recipients = 0
        return unit

    def _count(self) -> None:
        if self._asked and self.first.startswith(b"2"):
            self._recipients += 1
        self._asked = False

    def replies_to(self, stage: Stage) -> int:
        """One for each recipient, behind the message."""
        return max(1, self._recipients) if stage is Stage.END else 1


def _started(seen: bytes) -> int:
    """How many octets at the end may belong to the dot that ends the text; the CRLF before it is text."""
    return 1 if seen.endswith(b"\r\n.") else 2 if seen.endswith(b"\r\n.\r") else 0


class LiteralFollower(Bodied):
    """ManageSieve, and what IMAP has in common with it: literals."""

    takes_all = frozenset({"STARTTLS"})

    def __init__(self) -> None:
        super().__init__()
        self._open = False
        self._waits = False

    def next_line(self, buffer: bytearray) -> Unit | None:
        """A command's first line, or what follows a literal."""
        if self._open and self._waits and not self.last.rpartition(b"\r\n")[0].rpartition(b"\n")[2].startswith(b"+"):
            # The literal was not asked for, so it does not come, and the command is over.
            self._open = self._waits = False
            self._left = 0
        if self._open and self._waits:
            self._waits = False
            return self._next(buffer)
        return self._rest(buffer) if self._open else self._command(buffer)

    def _command(self, buffer: bytearray) -> Unit | None:
        unit = super().next_line(buffer)
        if unit is not None:
            self._open = self._announces(unit.octets)
        return unit

    def _rest(self, buffer: bytearray) -> Unit | None:
        line = taken_line(buffer)
        if line is None:
            return None
        self.first = self.last = b""
        self._open = self._announces(line)
        return Unit(None if self._open else Stage.END, self.verb, line)

    def _announces(self, line: bytes) -> bool:
        found = LITERAL.search(line)
        if found is None:
            return False
        self.begin(int(found[1]))
        self._waits = not found[2]
        return True

    def _next(self, buffer: bytearray) -> Unit | None:
        if self._open and self._waits:
            return self.next_line(buffer)
        return super()._next(buffer)

    def refuse(self) -> None:
        """A literal that is not waited for comes all the same, and the line behind it."""
        if self._waits:
            self._open = self._waits = False
            self._left = 0
        self._dropping = self._open


class ImapFollower(LiteralFollower):
    """IMAP."""

    takes_all = frozenset({"STARTTLS", "COMPRESS"})

    def __init__(self) -> None:
        super().__init__()
        self.tag = b"*"

    def verb_of(self, line: bytes) -> str:
        """Behind the tag; UID is part of it."""
        words = line.split(None, 3)
        self.tag = words[0] if words else b"*"
        verb = b" ".join(words[1:3] if words[1:2] and words[1].upper() == b"UID" else words[1:2])
        return verb.decode("ascii", "replace").upper()

    def answers_challenge(self) -> bool:
        """Within AUTHENTICATE, and DONE within IDLE."""
        if self.verb not in ("AUTHENTICATE", "IDLE"):
            return False
        return b"\n" + self.tag + b" " not in b"\n" + self.last

    def reply(self, code: int | str, text: str) -> bytes:
        """Tagged, but for BYE."""
        tag = "*" if code == "BYE" else self.tag.decode("ascii", "replace")
        return f"{tag} {code} {text or UNSAID}".encode() + b"\r\n"


def taken_line(buffer: bytearray) -> bytes | None:
    """A line with its end, taken from a buffer; None where it has not come whole."""
    end = buffer.find(b"\n") + 1
    if not end and len(buffer) < MAX_LINE:
        return None
    line = bytes(buffer[: end or len(buffer)])
    del buffer[: len(line)]
    return line


FOLLOWERS: dict[str, type[Follower]] = {
    "smtp": SmtpFollower,
    "lmtp": LmtpFollower,
    "imap": ImapFollower,
    "pop3": Pop3Follower,
    "ftp": FtpFollower,
    "managesieve": LiteralFollower,
    "questions": QuestionsFollower,
}
"""By service."""
