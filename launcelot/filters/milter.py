"""
The milter protocol, version 6, as libmilter speaks it: packets of a length, a letter and arguments that end in NUL.

There is no standard; the source of the facts is Sendmail's ``mfdef.h``, and what Postfix and libmilter do.  Text here is octets.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

VERSION = 6
LEAST_VERSION = 2
CHUNK = 65_535
"""Octets of the body in one packet."""

LONGEST = 1 << 20
"""Octets of a packet that a filter sends; only bodies need many, and come in pieces."""

# -- what a filter may do, and we do ----------------------------------------------------------------------------------

ADD_HEADERS, CHANGE_BODY, ADD_RECIPIENTS, DELETE_RECIPIENTS, CHANGE_HEADERS, QUARANTINE, CHANGE_SENDER = (
    0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40,
)  # fmt: skip
ADD_RECIPIENTS_WITH_PARAMETERS = 0x80

ACTIONS = 0xFF

# -- what a filter does not want to be told, or does not answer -------------------------------------------------------

NO_CONNECT, NO_HELO, NO_MAIL, NO_RECIPIENT, NO_BODY, NO_HEADERS, NO_END_OF_HEADERS = (
    0x01,
    0x02,
    0x04,
    0x08,
    0x10,
    0x20,
    0x40,
)
NO_REPLY_HEADERS = 0x80
NO_UNKNOWN, NO_DATA, MAY_SKIP = 0x100, 0x200, 0x400
NO_REPLY_CONNECT, NO_REPLY_HELO, NO_REPLY_MAIL, NO_REPLY_RECIPIENT = 0x1000, 0x2000, 0x4000, 0x8000
NO_REPLY_DATA, NO_REPLY_UNKNOWN, NO_REPLY_END_OF_HEADERS, NO_REPLY_BODY = 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000
LEADING_SPACE = 0x10_0000

PROTOCOL = (
    0x7F | NO_REPLY_HEADERS | NO_UNKNOWN | NO_DATA | MAY_SKIP | NO_REPLY_CONNECT | NO_REPLY_HELO | NO_REPLY_MAIL
    | NO_REPLY_RECIPIENT | NO_REPLY_DATA | NO_REPLY_UNKNOWN | NO_REPLY_END_OF_HEADERS | NO_REPLY_BODY | LEADING_SPACE
)  # fmt: skip
"""All of it is offered; of what the filter asks for no more is believed."""

# -- what filters answer -----------------------------------------------------------------------------------------------

ACCEPT, CONTINUE, DISCARD, REJECT, LATER, REPLY_CODE, SKIP, PROGRESS = b"a", b"c", b"d", b"r", b"t", b"y", b"s", b"p"
FAILED, SHUTDOWN = b"n", b"4"
INSERT, ADD, CHANGE, BODY, QUARANTINED, SENDER, RECIPIENT, RECIPIENT_WITH, WITHOUT = (
    b"i", b"h", b"m", b"b", b"q", b"e", b"+", b"2", b"-",
)  # fmt: skip

VERDICTS = frozenset({ACCEPT, CONTINUE, DISCARD, REJECT, LATER, REPLY_CODE, SKIP, FAILED, SHUTDOWN})
EDITS = frozenset({INSERT, ADD, CHANGE, BODY, QUARANTINED, SENDER, RECIPIENT, RECIPIENT_WITH, WITHOUT})

_REPLY = re.compile(rb"([45][0-9][0-9])(?:[ -]([45]\.[0-9]{1,3}\.[0-9]{1,3}))?[ -]?(.*)\Z", re.DOTALL)
_UNSHOWN = re.compile(rb"[^ -~]+")
_LINE = re.compile(rb"\r?\n[45][0-9][0-9][ -](?:[45]\.[0-9]{1,3}\.[0-9]{1,3} )?")


class BadPacket(Exception):
    """A filter sent what the protocol does not have."""


def packet(letter: bytes, data: bytes = b"") -> bytes:
    """One packet."""
    return struct.pack(">I", len(data) + 1) + letter + data


def strings(*texts: bytes) -> bytes:
    """Arguments; a NUL in one would be two of them and is taken out."""
    return b"".join(text.replace(b"\0", b"") + b"\0" for text in texts)


def negotiation(actions: int = ACTIONS, protocol: int = PROTOCOL) -> bytes:
    """What a connection begins with."""
    return packet(b"O", struct.pack(">III", VERSION, actions, protocol))


@dataclass(frozen=True, slots=True)
class Agreed:
    """
    What a filter will do and does not want.

    :ivar version: of the protocol.
    """

    version: int
    actions: int
    protocol: int

    @staticmethod
    def of(data: bytes) -> Agreed:
        """
        The filter's answer to :func:`negotiation`.

        :raises BadPacket: it is none.
        """
        if len(data) < 12:
            raise BadPacket("short answer to the negotiation")
        version, actions, protocol = struct.unpack_from(">III", data)
        if not LEAST_VERSION <= version <= VERSION:
            raise BadPacket(f"version {version} of the protocol")
        return Agreed(version, actions & ACTIONS, protocol & PROTOCOL)

    def wants(self, flag: int) -> bool:
        """Whether the filter did not say no to a step."""
        return not self.protocol & flag


def macros(letter: bytes, values: Mapping[str, str]) -> bytes:
    """What is known, before the step it is for; what is empty is left out."""
    named = [(name if len(name) == 1 else f"{{{name}}}", value) for name, value in values.items() if value]
    return packet(b"D", letter + strings(*(text.encode("utf-8") for pair in named for text in pair)))


def connection(name: str, address: str) -> bytes:
    """
    Who is connected.

    :param name: the host name, or the address in brackets where none is known.
    """
    family = b"6" if ":" in address else b"4"
    return packet(b"C", strings(name.encode("utf-8")) + family + struct.pack(">H", 0) + strings(address.encode()))


def header(name: bytes, value: bytes, leading_space: bool) -> bytes:
    """One field; its line ends are LF."""
    if not leading_space and value[:1] in (b" ", b"\t"):
        value = value[1:]
    return packet(b"L", strings(name, value.replace(b"\r\n", b"\n")))


def split(data: bytes, count: int) -> Sequence[bytes]:
    """
    Arguments.

    :raises BadPacket: there are fewer.
    """
    found = data.split(b"\0")
    if len(found) <= count:
        raise BadPacket("an argument is missing")
    return found[:count]


def indexed(data: bytes) -> tuple[int, bytes, bytes]:
    """
    A number, a name and a value.

    :raises BadPacket: there is less.
    """
    if len(data) < 4:
        raise BadPacket("a number is missing")
    name, value = split(data[4:], 2)
    return int(struct.unpack_from(">I", data)[0]), name, value


def reply_of(data: bytes) -> tuple[int, str, str]:
    """
    A reply that a filter wrote: code, enhanced status (empty for none) and text on one line.

    :raises BadPacket: it is none.
    """
    match = _REPLY.match(data.partition(b"\0")[0])
    if match is None or (match[2] and match[2][:1] != match[1][:1]):
        raise BadPacket("a reply that is none")
    text = _UNSHOWN.sub(b"?", _LINE.sub(b" ", match[3]).replace(b"%%", b"%"))
    return int(match[1]), (match[2] or b"").decode(), text.decode("ascii").strip()[:400]
