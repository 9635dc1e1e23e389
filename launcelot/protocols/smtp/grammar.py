"""
SMTP's words: command lines to requests, replies to lines and back; shared by server and client.

Reading is strict: what two programs could read in two ways is :class:`SyntaxProblem`.  One leniency: blanks behind the colon
of ``MAIL FROM: <...>`` and at the end of a line, which many programs send.  Encoders refuse CR, LF and NUL in what they are
handed.  RFC 5321 section 4.1, with the parameters of RFC 1870, RFC 6152, RFC 3030, RFC 6531, RFC 4954
and RFC 3461.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from launcelot.core.errors import Invalid
from launcelot.message.address import Address, read_path, scan_path
from launcelot.protocols.smtp import notifying

COMMAND_LINE = 2_048
"""Octets of a command line without CRLF.  RFC 5321 section 4.5.3.1.4 asks for 510 and what extensions add."""

AUTH_LINE = 12_288
"""Octets of a base64 response.  RFC 4954 section 4."""

MAX_PARAMETERS = 16
"""Parameters of one MAIL or RCPT."""

REPLY_LINE = 2_048
"""Octets of a reply line that a client reads; RFC 5321 section 4.5.3.1.5 asks for 510."""

REPLY_TEXT = 480
"""Characters of a line of a reply of ours without its codes, so that it has less than 512 octets.  RFC 5321 section 4.5.3.1.5."""

REPLY_LINES = 128
"""Lines of one reply that a client reads."""

SHORT_PATH = 100
"""Octets up to which a path is remembered."""

NO_PARAMETERS: Mapping[str, str | None] = MappingProxyType({})

MAX_SIZE_DIGITS = 20
"""Digits of SIZE.  RFC 1870 section 3."""

_VERB = re.compile(rb"([A-Za-z][A-Za-z0-9]*)(?: +(.*))?", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_GREETED = re.compile(r"[A-Za-z0-9._:-]{1,255}|\[[A-Za-z0-9.:_-]{1,253}\]")
"""``Domain / address-literal`` of RFC 5321 section 4.1.2, and the underscores of real host names."""
_XVERP = re.compile(r"(XVERP)=([!-~]{2})", re.IGNORECASE | re.ASCII)
"""Whose value may have an ``=`` in it, unlike those of RFC 5321."""
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\x80-\U0010ffff]+))?")
"""``esmtp-param`` of RFC 5321 section 4.1.2."""
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
"""RFC 3461 section 4."""
_REPLY = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(rb"([245]\.\d{1,3}\.\d{1,3})(?: |\Z)")
_UNSENDABLE = re.compile(r"[\r\n\0]")


class SyntaxProblem(Exception):
    """
    A command that cannot be read.

    :param code: the reply's code.
    :param enhanced: the reply's enhanced status code.
    """

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(code, enhanced, (text,))


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What a server answers.

    :ivar enhanced: RFC 3463 status code, or empty for replies that have none (greeting, EHLO, 334, 354).
    """

    code: int
    enhanced: str
    lines: tuple[str, ...]

    @property
    def temporary(self) -> bool:
        """Whether trying again later may help."""
        return 400 <= self.code < 500

    @property
    def positive(self) -> bool:
        """Whether the request was granted or waits for more."""
        return self.code < 400

    @property
    def text(self) -> str:
        """All lines as one."""
        return " ".join(self.lines)

    def encode(self) -> bytes:
        """The lines as they are sent, the enhanced code on each (RFC 2034 section 4), in ASCII (RFC 6531 section 3.7.4)."""
        prefix = f"{self.enhanced} " if self.enhanced else ""
        *above, last = [clean(line[:REPLY_TEXT]) for line in self.lines]
        text = "".join([f"{self.code}-{prefix}{line}\r\n" for line in above])
        return f"{text}{self.code} {prefix}{last}\r\n".encode("ascii", "replace")


def reply(code: int, enhanced: str, *lines: str) -> Reply:
    """A reply of one or more lines."""
    return Reply(code, enhanced, lines)


def clean(text: str) -> str:
    """Text without what would end a line."""
    return _UNSENDABLE.sub("?", text)


class Request(NamedTuple):
    """
    One command line; a tuple, as there is one for each line and a data class takes thrice the time to make.

    :ivar verb: upper-case.
    :ivar argument: what follows, without blanks around it.
    """

    verb: bytes
    argument: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """
    ``MAIL``.

    :ivar sender: None for ``<>``.
    :ivar size: declared octets, 0 if none were.
    :ivar eight_bit: ``BODY=8BITMIME``.
    :ivar utf8: ``SMTPUTF8``.
    :ivar binary: ``BODY=BINARYMIME``.
    :ivar returned: ``RET``, upper-case; empty if it was not given, as is ``envelope_id``.
    :ivar envelope_id: ``ENVID``, decoded.
    :ivar require_tls: ``REQUIRETLS``.
    :ivar verp: two characters; empty without ``XVERP``.
    """

    sender: Address | None
    size: int = 0
    eight_bit: bool = False
    utf8: bool = False
    binary: bool = False
    returned: str = ""
    envelope_id: str = ""
    require_tls: bool = False
    verp: str = ""

    @property
    def plain(self) -> bool:
        """Whether it has no parameters, so that a client without EHLO may say it."""
        extended = self.eight_bit or self.utf8 or self.binary or self.require_tls
        return not (self.size or extended or self.wants_notices or self.verp)

    @property
    def wants_notices(self) -> bool:
        """Whether it has parameters of DSN."""
        return bool(self.returned or self.envelope_id)


@dataclass(frozen=True, slots=True)
class Recipient:
    """
    ``RCPT``.

    :ivar address: its domain is empty for ``<postmaster>``.
    :ivar notify: ``NOTIFY``, upper-case; empty if it was not given, as is ``original``.
    :ivar original: ``ORCPT``, such as ``rfc822;ann@example.org``; still encoded, as only the mail tells what it may be.
    """

    address: Address
    notify: str = ""
    original: str = ""

    @property
    def wants_notices(self) -> bool:
        """Whether it has parameters of DSN."""
        return bool(self.notify or self.original)


@dataclass(frozen=True, slots=True)
class Chunk:
    """``BDAT``.  RFC 3030 section 2."""

    size: int
    last: bool


# -- reading commands ----------------------------------------------------------------------------------------------


def parse_request(line: bytes) -> Request:
    """
    Split a command line.

    :raises SyntaxProblem: it has a control character or does not begin with a verb.
    """
    # RFC 5321 section 4.1.1: white space before the end is tolerated.
    line = line.rstrip(b" \t")
    if _CONTROL.search(line):
        raise SyntaxProblem(500, "5.5.2", "Control character in command")
    found = _VERB.fullmatch(line)
    if found is None:
        raise SyntaxProblem(500, "5.5.2", "Command not recognized")
    verb, argument = found.groups(b"")
    return Request(verb.upper(), argument.strip(b" "))


def parse_nothing(argument: bytes) -> None:
    """
    For commands without argument.

    :raises SyntaxProblem: there is one.
    """
    if argument:
        raise SyntaxProblem(501, "5.5.4", "No argument is allowed")


def parse_text(argument: bytes) -> str:
    """
    For commands whose argument is only shown or ignored.

    :raises SyntaxProblem: it is not UTF-8.
    """
    return _text(argument, "5.5.4")


def parse_greeting(argument: bytes) -> str:
    """
    The name of EHLO and HELO.

    :raises SyntaxProblem: it is missing or neither a host name nor an address literal.
    """
    name = argument.decode("ascii", "replace")
    if not name:
        raise SyntaxProblem(501, "5.5.4", "Your host name is required")
    if _GREETED.fullmatch(name) is None:
        raise SyntaxProblem(501, "5.5.4", "That is no host name")
    return name


def parse_mail(argument: bytes) -> Mail:
    """
    ``FROM:<path> [parameters]``.

    :raises SyntaxProblem: as written there.
    """
    sender, parameters = _path_and_parameters(argument, b"FROM:", postmaster=False)
    if not parameters:
        refuse_utf8(sender, False)
        return Mail(sender)
    size = 0
    body = returned = envelope_id = verp = ""
    utf8 = require_tls = False
    try:
        for name, value in parameters.items():
            if name == "SIZE":
                size = _size(value)
            elif name == "BODY":
                body = _body(value)
            elif name == "SMTPUTF8":
                if value is not None:
                    raise SyntaxProblem(501, "5.5.4", "SMTPUTF8 takes no value")
                utf8 = True
            elif name == "XVERP":
                verp = _verp(value)
            elif name == "REQUIRETLS":
                if value is not None:
                    raise SyntaxProblem(501, "5.5.4", "REQUIRETLS takes no value")
                require_tls = True
            elif name == "AUTH":
                # RFC 4954 section 5: understood, and not passed on to anybody.
                if value is None or _XTEXT.fullmatch(value) is None:
                    raise SyntaxProblem(501, "5.5.4", "AUTH wants an address or <>")
            elif name == "RET":
                returned = notifying.parse_return(value)
            elif name == "ENVID":
                envelope_id = notifying.parse_envelope_id(value)
            else:
                raise SyntaxProblem(555, "5.5.4", "Parameter of MAIL not recognized")
    except notifying.BadValue as bad:
        raise SyntaxProblem(501, "5.5.4", str(bad)) from None
    refuse_utf8(sender, utf8)
    return Mail(sender, size, body == "8BITMIME", utf8, body == "BINARYMIME", returned, envelope_id, require_tls, verp)


def _verp(value: str | None) -> str:
    """
    Postfix's ``XVERP``, as its VERP_README has it.  What comes back has to find the account, hence ``+`` as the first.
    """
    if value is None:
        return "+="
    if len(value) != 2 or value[0] != "+" or value[1] not in "-=+":
        raise SyntaxProblem(501, "5.5.4", "XVERP wants += or another - = + behind the +")
    return value


def _size(value: str | None) -> int:
    if value is None or not (value.isascii() and value.isdigit()) or len(value) > MAX_SIZE_DIGITS:
        raise SyntaxProblem(501, "5.5.4", "SIZE wants a number")
    return int(value)


def _body(value: str | None) -> str:
    word = notifying.upper(value)
    if word not in ("7BIT", "8BITMIME", "BINARYMIME"):
        raise SyntaxProblem(501, "5.5.4", "BODY is 7BIT, 8BITMIME or BINARYMIME")
    return word


def parse_recipient(argument: bytes) -> Recipient:
    """
    ``TO:<path> [parameters]``.

    :raises SyntaxProblem: as written there.
    """
    address, parameters = _path_and_parameters(argument, b"TO:", postmaster=True)
    if address is None:
        raise SyntaxProblem(501, "5.1.3", "A recipient is required")
    if not parameters:
        return Recipient(address)
    if not parameters.keys() <= {"NOTIFY", "ORCPT"}:
        raise SyntaxProblem(555, "5.5.4", "Parameter of RCPT not recognized")
    try:
        notify = notifying.parse_notify(parameters["NOTIFY"]) if "NOTIFY" in parameters else ""
        if "ORCPT" in parameters:
            notifying.parse_original(parameters["ORCPT"], utf8=True)
    except notifying.BadValue as bad:
        raise SyntaxProblem(501, "5.5.4", str(bad)) from None
    return Recipient(address, notify, parameters.get("ORCPT") or "")


def parse_chunk(argument: bytes) -> Chunk:
    """
    ``size [LAST]``.

    :raises SyntaxProblem: it is not; where the chunk ends is then unknown.
    """
    words = argument.split()
    if not 1 <= len(words) <= 2 or not words[0].isdigit() or len(words[0]) > MAX_SIZE_DIGITS:
        raise SyntaxProblem(501, "5.5.4", "BDAT wants a size and maybe LAST")
    last = len(words) == 2
    if last and words[1].upper() != b"LAST":
        raise SyntaxProblem(501, "5.5.4", "BDAT wants a size and maybe LAST")
    return Chunk(int(words[0]), last)


def parse_auth(argument: bytes) -> tuple[bytes, bytes | None]:
    """
    Mechanism in upper case and initial response, None without one.

    :raises SyntaxProblem: there is no mechanism, or more than two words.
    """
    words = argument.split()
    if not 1 <= len(words) <= 2:
        raise SyntaxProblem(501, "5.5.4", "AUTH wants a mechanism and maybe a response")
    return words[0].upper(), words[1] if len(words) == 2 else None


def _path_and_parameters(
    argument: bytes, keyword: bytes, postmaster: bool
) -> tuple[Address | None, Mapping[str, str | None]]:
    if argument[: len(keyword)].upper() != keyword:
        raise SyntaxProblem(501, "5.5.4", f"{keyword.decode()} is missing")
    octets = argument[len(keyword) :].lstrip(b" ")
    try:
        end = octets.find(b">") + 1
        if 0 < end <= SHORT_PATH and b'"' not in octets[:end]:
            address, rest = _known_path(octets[:end], postmaster), _text(octets[end:], "5.5.2")
        else:
            text = _text(octets, "5.5.2")
            path, length = scan_path(text, postmaster=postmaster)
            address, rest = path.address, text[length:]
    except Invalid as invalid:
        raise SyntaxProblem(501, "5.1.7" if keyword == b"FROM:" else "5.1.3", f"Bad address: {invalid.text}") from None
    if not rest:
        return address, NO_PARAMETERS
    if not rest.startswith(" "):
        raise SyntaxProblem(501, "5.5.2", "Text behind the address")
    return address, _parameters(rest)


@lru_cache(1_024)
def _known_path(octets: bytes, postmaster: bool) -> Address | None:
    """
    The address of a path without quotes, whole; the same few recipients, and many a sender, come again and again.

    :raises Invalid: it is none.
    :raises SyntaxProblem: it is not UTF-8.
    """
    return read_path(_text(octets, "5.5.2"), postmaster=postmaster).address


def _parameters(text: str) -> Mapping[str, str | None]:
    words = text.split()
    if len(words) > MAX_PARAMETERS:
        raise SyntaxProblem(501, "5.5.4", "Too many parameters")
    found: dict[str, str | None] = {}
    for word in words:
        parameter = _PARAMETER.fullmatch(word) or _XVERP.fullmatch(word)
        if parameter is None or parameter[1].upper() in found:
            raise SyntaxProblem(501, "5.5.4", "Malformed or repeated parameter")
        found[parameter[1].upper()] = parameter[2]
    return found


def refuse_utf8(address: Address | None, allowed: bool) -> None:
    """
    Addresses beyond ASCII only with SMTPUTF8.  RFC 6531 section 3.5.

    :raises SyntaxProblem: 553 5.6.7.
    """
    if address is not None and not allowed and not address.is_ascii:
        raise SyntaxProblem(553, "5.6.7", "Internationalized address without SMTPUTF8")


def _text(data: bytes, enhanced: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise SyntaxProblem(501, enhanced, "Not UTF-8") from None


# -- reading replies -----------------------------------------------------------------------------------------------


class MalformedReply(Exception):
    """A server said what is no reply, or too much of it."""


@dataclass(slots=True)
class ReplyReader:
    """Collects the lines of one reply; all but the last have a hyphen behind the code."""

    code: int = 0
    enhanced: str = ""
    lines: tuple[str, ...] = ()

    def feed(self, line: bytes) -> Reply | None:
        """
        One line without CRLF; the reply when it was the last.

        :raises MalformedReply: it is none, the code changes inside a reply, or there are too many lines.
        """
        found = _REPLY.fullmatch(line)
        if found is None or (self.code and int(found[1]) != self.code):
            raise MalformedReply("not an SMTP reply")
        if len(self.lines) >= REPLY_LINES:
            raise MalformedReply("a reply of too many lines")
        self.code = int(found[1])
        text = found[3] or b""
        enhanced = _ENHANCED.match(text)
        if enhanced is not None and enhanced[1][:1] == found[1][:1]:
            self.enhanced = enhanced[1].decode("ascii")
            text = text[enhanced.end() :]
        self.lines = (*self.lines, text.decode("utf-8", "replace"))
        if found[2] == b"-":
            return None
        return Reply(self.code, self.enhanced, self.lines)


# -- writing commands ----------------------------------------------------------------------------------------------


def encode_command(verb: str, *words: str) -> bytes:
    """
    A command line with CRLF.

    :raises ValueError: a word has a CR, LF or NUL in it: it would be another command.
    """
    line = " ".join((verb, *words))
    if _UNSENDABLE.search(line):
        raise ValueError("line break in an SMTP command")
    return line.encode("utf-8") + b"\r\n"


def encode_mail(sender: Address | None, parameters: Sequence[str] = ()) -> bytes:
    """``MAIL FROM:<...>`` with its parameters."""
    return encode_command("MAIL", f"FROM:<{'' if sender is None else sender}>", *parameters)


def encode_recipient(recipient: Address, parameters: Sequence[str] = ()) -> bytes:
    """``RCPT TO:<...>`` with its parameters."""
    return encode_command("RCPT", f"TO:<{recipient}>", *parameters)


def xtext(text: str) -> str:
    """A text as ``xtext`` of RFC 3461 section 4: what is not printable ASCII, ``+`` and ``=`` as their hexadecimal octets."""
    return "".join(
        chr(octet) if 33 <= octet <= 126 and octet not in b"+=" else f"+{octet:02X}" for octet in text.encode("utf-8")
    )


def unitext(text: str) -> str:
    """An address beyond ASCII as ``utf-8-addr-xtext`` of RFC 6533 section 3, which every server can pass on."""
    return "".join(one if "!" <= one <= "~" and one not in "+=\\" else f"\\x{{{ord(one):X}}}" for one in text)
