"""
FTP's commands and replies as octets, for the server and the client.

RFC 959 section 5.3 with the arguments of RFC 2428 (EPRT, EPSV) and RFC 3659 (REST, MFMT).  Telnet sequences before a verb
are dropped (RFC 959 section 4.1.3: clients send IAC IP and the Synch before ABOR); inside arguments they are octets of names.
"""

from __future__ import annotations

import calendar
import ipaddress
import math
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from launcelot.filestore.paths import decode, encode

LINE_LIMIT = 8_192
"""Octets of a command line without its CRLF."""

REPLY_LINE_LIMIT = 8_192
"""Octets of one reply line the client takes."""

REPLY_LINES = 2_000
"""Lines of one reply the client takes."""

MAX_OFFSET = (1 << 63) - 1

IPV4, IPV6 = 1, 2
"""Address families as EPRT and EPSV number them.  RFC 2428 section 2."""

_REQUEST = re.compile(rb"([A-Za-z][A-Za-z0-9]{0,15})(?: (.*))?\Z", re.DOTALL)
_PORT = re.compile(rb"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})\Z")
_NUMBER = re.compile(rb"\d{1,19}\Z")
_TIME = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(\.\d{1,9})?\Z")
_MODE = re.compile(rb"[0-7]{1,4}\Z")
_REPLY = re.compile(rb"([1-5]\d\d)([ -]|\Z)(.*)\Z", re.DOTALL)
_ADDRESS_IN_TEXT = re.compile(rb"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")
_EXTENDED_IN_TEXT = re.compile(rb"\(([!-~])\1\1(\d{1,5})\1\)")
_SIZE_IN_TEXT = re.compile(rb"\((\d{1,19}) bytes\)")

_DIGEST = re.compile(rb"SHA-256 \d{1,19}-\d{1,19} ([0-9A-Fa-f]{64})(?: |\Z)")

_VISIBLE = bytes(63 if octet < 32 or octet == 127 else octet for octet in range(256))
_TELNET = bytes(range(240, 256))


class Malformed(Exception):
    """
    A command or reply that the grammar does not allow.

    :ivar code: the reply that says so.
    :ivar text: what is wrong, in one line.
    """

    def __init__(self, text: str, code: int = 501) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Request:
    """One command: the verb in capitals and the octets behind one space."""

    verb: str
    argument: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole reply as a client reads it; ``lines`` without code and line end."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def text(self) -> str:
        """The last line."""
        return decode(self.lines[-1])


# -- commands ----------------------------------------------------------------------------------------------------


def parse_request(line: bytes) -> Request:
    """
    A command line without its CRLF.

    :raises Malformed: it has no verb, or holds CR or NUL.
    """
    match = _REQUEST.match(line.lstrip(_TELNET))
    if match is None or b"\0" in line or b"\r" in line:
        raise Malformed("not a command", 500)
    return Request(match[1].decode("ascii").upper(), match[2] or b"")


def write_request(verb: str, argument: bytes = b"") -> bytes:
    """
    A command line with its CRLF.

    :raises Malformed: the argument holds CR, LF or NUL.
    """
    if any(octet in argument for octet in b"\r\n\0"):
        raise Malformed("an argument cannot hold line ends")
    return verb.encode("ascii") + (b" " + argument if argument else b"") + b"\r\n"


def nothing(argument: bytes) -> None:
    """The parser of verbs without argument."""
    if argument:
        raise Malformed("this command has no argument")


def text(argument: bytes) -> str:
    """The parser of verbs that need a path or a word."""
    if not argument:
        raise Malformed("an argument is needed")
    return decode(argument)


def optional_text(argument: bytes) -> str:
    """The parser of verbs that may have a path or a word."""
    return decode(argument)


def listed_path(argument: bytes) -> str:
    """The path of LIST and NLST; options such as ``-la``, which clients send as to ``ls``, are dropped."""
    rest = argument.lstrip(b" ")
    while rest.startswith(b"-"):
        rest = rest.partition(b" ")[2].lstrip(b" ")
    return decode(rest)


def number(argument: bytes) -> int:
    """A count of octets.  RFC 3659 section 5.3."""
    if _NUMBER.match(argument) is None or int(argument) > MAX_OFFSET:
        raise Malformed("a number of octets is needed")
    return int(argument)


def allocation(argument: bytes) -> int:
    """``ALLO 1000`` or ``ALLO 1000 R 512``.  RFC 959 section 4.1.3."""
    words = argument.split(b" R ")
    sizes = [number(word) for word in words]
    if len(sizes) > 2:
        raise Malformed("a number of octets is needed")
    return sizes[0]


def representation(argument: bytes) -> bool:
    """
    Whether TYPE means ASCII: ``A``, ``A N``, ``I`` or ``L 8``.  RFC 959 section 3.1.1.

    :raises Malformed: with 504 for types that are lawful and not offered.
    """
    kind = argument.upper()
    if kind in (b"A", b"A N"):
        return True
    if kind in (b"I", b"L 8", b"L8"):
        return False
    raise Malformed("only TYPE A, A N, I and L 8 are offered", 504 if kind[:1] in (b"A", b"E", b"L") else 501)


def port(argument: bytes) -> tuple[str, int]:
    """``h1,h2,h3,h4,p1,p2``.  RFC 959 section 4.1.2."""
    match = _PORT.match(argument)
    numbers = [int(group) for group in match.groups()] if match else []
    if not numbers or max(numbers) > 255:
        raise Malformed("six numbers up to 255 are needed")
    return ".".join(map(str, numbers[:4])), numbers[4] << 8 | numbers[5]


def extended_port(argument: bytes) -> tuple[str, int]:
    """
    ``|1|192.0.2.1|1025|`` or ``|2|2001:db8::1|1025|``.  RFC 2428 section 2.

    :raises Malformed: with 522 for another family.
    """
    parts = argument.split(argument[:1]) if argument and 33 <= argument[0] <= 126 else []
    if len(parts) != 5 or parts[0] or parts[4] or _NUMBER.match(parts[3]) is None:
        raise Malformed("|family|address|port| is needed")
    if parts[1] not in (b"1", b"2"):
        raise Malformed("network protocol not supported, use (1,2)", 522)
    try:
        address = ipaddress.ip_address(parts[2].decode("ascii"))
    except ValueError:
        raise Malformed("the address is malformed") from None
    if address.version != (4 if parts[1] == b"1" else 6) or getattr(address, "scope_id", None):
        raise Malformed("the address is not of that family")
    if int(parts[3]) > 65_535:
        raise Malformed("the port is too large")
    return str(address), int(parts[3])


def extended_passive(argument: bytes) -> str:
    """``EPSV``, ``EPSV 1``, ``EPSV 2`` or ``EPSV ALL``.  RFC 2428 section 3."""
    word = argument.upper()
    if word not in (b"", b"1", b"2", b"ALL"):
        if _NUMBER.match(word):
            raise Malformed("network protocol not supported, use (1,2)", 522)
        raise Malformed("EPSV, EPSV 1, EPSV 2 or EPSV ALL")
    return word.decode("ascii")


def parse_time(value: bytes) -> float:
    """
    ``YYYYMMDDHHMMSS`` with an optional fraction, in UTC, as seconds since 1970.  RFC 3659 section 2.3.

    Seconds may be missing, as some clients of SITE UTIME leave them out.
    """
    match = _TIME.match(value)
    if match is None:
        raise Malformed("a time is written YYYYMMDDHHMMSS")
    year, month, day, hour, minute, second = (int(group or 0) for group in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= days(year, month) and hour < 24 and minute < 60 and second <= 60 and year):
        raise Malformed("there is no such time")
    return calendar.timegm((year, month, day, hour, minute, second)) + float(b"0" + (match[7] or b""))


def days(year: int, month: int) -> int:
    """Days of a month."""
    return calendar.monthrange(year, month)[1] if year else 0


def write_time(seconds: float) -> str:
    """Seconds since 1970 as RFC 3659 section 2.3 writes a time."""
    day, rest = divmod(math.floor(seconds), 86_400)
    return f"{_day(day)}{rest // 3_600:02d}{rest // 60 % 60:02d}{rest % 60:02d}"


@lru_cache(maxsize=4_096)  # The files of a folder are of few days, and asking the system costs four times as much as all else.
def _day(day: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime(day * 86_400))


def time_and_path(argument: bytes) -> tuple[float, str]:
    """The argument of MFMT."""
    when, space, path = argument.partition(b" ")
    if not space or not path:
        raise Malformed("a time and a path are needed")
    return parse_time(when), decode(path)


def site_utime(argument: bytes) -> tuple[float, str]:
    """``SITE UTIME YYYYMMDDHHMM[SS] path`` or ``SITE UTIME path atime mtime ctime UTC``, as clients send either."""
    words = argument.rsplit(b" ", 4)
    if len(words) == 5 and words[4].upper() == b"UTC":
        return parse_time(words[2]), decode(words[0])
    return time_and_path(argument)


def site_chmod(argument: bytes) -> tuple[int, str]:
    """``SITE CHMOD 644 path``; bits above 0777 are refused with 504."""
    mode, _space, path = argument.partition(b" ")
    if _MODE.match(mode) is None or not path:
        raise Malformed("an octal mode and a path are needed")
    if int(mode, 8) > 0o777:
        raise Malformed("only permission bits can be set", 504)
    return int(mode, 8), decode(path)


def facts_and_path(argument: bytes) -> tuple[float | None, int | None, str]:
    """
    The argument of MFF: ``Modify=YYYYMMDDHHMMSS;UNIX.mode=0644; path``, at least one of the two.

    Other facts cannot be set, which is 504; bits above 0777 are, too.
    """
    given, space, path = argument.partition(b"; ")
    if not space or not path:
        raise Malformed("facts, each with a semicolon, a space and a path are needed")
    modified: float | None = None
    mode: int | None = None
    for fact in given.split(b";"):
        name, equals, value = fact.partition(b"=")
        if not equals:
            raise Malformed("a fact is written name=value;")
        if name.lower() == b"modify" and modified is None:
            modified = parse_time(value)
        elif name.lower() == b"unix.mode" and mode is None:
            if _MODE.match(value) is None:
                raise Malformed("an octal mode is needed")
            mode = int(value, 8)
        else:
            raise Malformed("only Modify and UNIX.mode can be set, each once", 504)
    if mode is not None and mode > 0o777:
        raise Malformed("only permission bits can be set", 504)
    return modified, mode, decode(path)


# -- replies -----------------------------------------------------------------------------------------------------


def visible(name: str) -> bytes:
    """A name's octets with control characters as ``?``, so that no name can end a line."""
    return encode(name).translate(_VISIBLE)


def quoted(path: str) -> str:
    """A path in quotes, those inside doubled.  RFC 959 appendix II."""
    return '"' + path.replace('"', '""') + '"'


def reply(code: int, words: str) -> bytes:
    """A reply of one line; control characters in its text become ``?``."""
    return b"%d %s\r\n" % (code, visible(words))


def reply_lines(code: int, first: str, inside: Iterable[bytes], last: str) -> bytes:
    """
    A reply of several lines.  RFC 959 section 4.2.

    :param inside: lines without end; each is written behind a space, so none can look like the last.
    """
    lines = [b"%d-%s\r\n" % (code, visible(first))]
    lines += [b" %s\r\n" % line.translate(_VISIBLE) for line in inside]
    lines.append(reply(code, last))
    return b"".join(lines)


def passive_reply(host: str, number: int) -> bytes:
    """The answer to PASV."""
    return reply(227, f"Entering Passive Mode ({host.replace('.', ',')},{number >> 8},{number & 255})")


def extended_passive_reply(number: int) -> bytes:
    """The answer to EPSV."""
    return reply(229, f"Entering Extended Passive Mode (|||{number}|)")


def parse_reply_line(line: bytes) -> tuple[int, bool, bytes]:
    """
    A line that begins a reply.

    :returns: the code, whether more lines follow, and the text.
    """
    match = _REPLY.match(line)
    if match is None:
        raise Malformed("not a reply")
    return int(match[1]), match[2] == b"-", match[3]


def parse_passive(words: bytes) -> tuple[str, int]:
    """Host and port in the text of a 227; RFC 1123 section 4.1.2.6 asks to search it for the digits."""
    match = _ADDRESS_IN_TEXT.search(words)
    if match is None:
        raise Malformed("no address in the answer to PASV")
    return port(match[0])


def parse_extended_passive(words: bytes) -> int:
    """The port in the text of a 229."""
    match = _EXTENDED_IN_TEXT.search(words)
    if match is None or not 0 < int(match[2]) < 65_536:
        raise Malformed("no port in the answer to EPSV")
    return int(match[2])


def parse_size(words: bytes) -> int | None:
    """N of ``(N bytes)`` in the text of a 150; None where it is not said."""
    match = _SIZE_IN_TEXT.search(words)
    return int(match[1]) if match else None


def parse_digest(words: bytes) -> str:
    """The digest in ``SHA-256 0-499 digits path``, the answer to HASH.  draft-bryan-ftpext-hash section 3.1."""
    match = _DIGEST.match(words)
    if match is None:
        raise Malformed("no SHA-256 in the answer to HASH")
    return match[1].decode("ascii").lower()


def parse_quoted(words: bytes) -> str:
    """The path in the text of a 257."""
    if not words.startswith(b'"'):
        raise Malformed("no quoted path in the answer")
    path, position = bytearray(), 1
    while True:
        end = words.find(b'"', position)
        if end < 0:
            raise Malformed("the quoted path has no end")
        path += words[position:end]
        if words[end + 1 : end + 2] != b'"':
            return decode(bytes(path))
        path += b'"'
        position = end + 2
