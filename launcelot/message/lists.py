"""
Address lists of headers, as they come: RFC 5322 section 3.4 with its obsolete forms and what real mail does to them.

This reads for show and search (ENVELOPE, SORT, ``From`` checks); whoever wants to act on an address takes
:attr:`Mailbox.address`, which goes through the strict parser of :mod:`launcelot.message.address`.  One pass over the
input, no recursion, no backtracking; input is cut at :data:`MAX_LIST` and the result at :data:`MAX_ADDRESSES`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from launcelot.core.errors import Invalid
from launcelot.message.address import Address, parse_mailbox
from launcelot.message.words import decode_words

MAX_LIST = 64 * 1024
"""Octets of one list that are read."""
MAX_ADDRESSES = 1000
"""Mailboxes and groups of one list that are kept, members of groups counted."""

_SIMPLE = re.compile(
    rb'[\s,]*+(?:(?:"([^"\\\r\n]*+)"|([A-Za-z0-9!#$%&\'*+/=?^_`{|}~. \t\x80-\xff-]*+))[ \t]*+'
    rb"<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]++)@([A-Za-z0-9.-]++)>"
    rb"|([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]++)@([A-Za-z0-9.-]++))\s*+(?:,|\Z)"
)
"""A plain ``name-addr`` or ``addr-spec`` and its comma: almost every address there is."""
_TOKEN = re.compile(
    rb'(\s++)|"((?:[^"\\]|\\.)*+)"|(\()|(\[[^\[\]]*+\])|([,:;<>@.])|([^\s"(),:;<>@.\[\]]++)|(.)', re.DOTALL
)
_COMMENT_PIECE = re.compile(rb"\\.|[()]|[^()\\]++|\\", re.DOTALL)
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_FOLD = re.compile(rb"[\r\n]+")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """
    One address of a list, in the octets of the header.

    :param name: display name without its quotes, encoded-words left as they are; None when there is none.
    :param route: obsolete source route such as ``@a,@b``, or None.
    :param local: local part without quotes.
    :param domain: empty when the header has none.
    """

    name: bytes | None
    route: bytes | None
    local: bytes
    domain: bytes

    @property
    def display(self) -> str:
        """The name as text; empty when there is none."""
        return decode_words(self.name) if self.name else ""

    @property
    def address(self) -> Address | None:
        """The address as SMTP understands it, or None when it is not one."""
        try:
            local, domain = self.local.decode("utf-8"), self.domain.decode("utf-8")
            return parse_mailbox(str(Address(local, domain))) if domain else None
        except (UnicodeDecodeError, Invalid):
            return None


@dataclass(frozen=True, slots=True)
class Group:
    """
    A named group of mailboxes, maybe empty.

    :param name: as in :class:`Mailbox`.
    """

    name: bytes
    members: tuple[Mailbox, ...]


def parse_address_list(value: bytes) -> tuple[Mailbox | Group, ...]:
    """
    Read the value of ``From``, ``To``, ``Cc`` and the like.

    :param value: the octets behind the colon, folded or not; 8-bit is kept.
    """
    value = value[:MAX_LIST]
    if b"\n" in value or b"\r" in value:
        value = _FOLD.sub(b"", value)
    found: list[Mailbox | Group] = []
    position = 0
    match = _SIMPLE.match
    while len(found) < MAX_ADDRESSES:
        simple = match(value, position)
        if simple is None:
            break
        quoted, phrase, local, domain, bare_local, bare_domain = simple.groups()
        if local is None:
            found.append(Mailbox(None, None, bare_local, bare_domain))
        else:
            name = quoted if quoted is not None else phrase.rstrip(b" \t")
            found.append(Mailbox(name or None, None, local, domain))
        position = simple.end()
    if position < len(value) and len(found) < MAX_ADDRESSES:
        reader = _Reader(MAX_ADDRESSES - len(found))
        reader.read(value, position)
        found.extend(reader.found)
    return tuple(found)


def fits(value: bytes) -> bool:
    """
    Whether :func:`parse_address_list` surely sees all of a value.

    Who grants something because of the addresses in a field must refuse a value that does not fit.
    """
    return len(value) <= MAX_LIST and value.count(b",") + value.count(b";") < MAX_ADDRESSES


class _Reader:
    """
    The address being read: words before ``<``, then what is inside.

    ``phrase`` is the text of the words with their blanks (a display name or group name), ``local`` the same words
    without blanks (a local part, should ``@`` follow).
    """

    __slots__ = ("angle", "comment", "domain", "found", "group", "local", "members", "phrase", "room", "route")

    def __init__(self, room: int) -> None:
        self.found: list[Mailbox | Group] = []
        self.room = room
        self.group: bytes | None = None
        self.members: list[Mailbox] = []
        self.clear()

    def clear(self) -> None:
        """Begin the next address."""
        self.phrase: list[bytes] = []
        self.local: list[bytes] = []
        self.domain: list[bytes] | None = None
        self.route: list[bytes] | None = None
        self.comment: bytes | None = None
        self.angle = False

    def read(self, value: bytes, position: int) -> None:
        """Read from ``position`` to the end, or until there is no room for more addresses."""
        end = len(value)
        while position < end and self.room > 0:
            token = _TOKEN.match(value, position)
            if token is None:
                break
            position = token.end()
            kind = token.lastindex
            if kind == 1:
                if self.phrase and not self.angle:
                    self.phrase.append(b" ")
            elif kind == 2:
                self.word(_PAIR.sub(rb"\1", token[2]) if b"\\" in token[2] else token[2])
            elif kind == 3:
                position = self.read_comment(value, position)
            elif kind == 5:
                self.special(token[5])
            elif kind == 7 and token[7] == b'"':
                # A quote that nothing closes: the rest is one word.
                self.word(value[position:])
                break
            else:
                self.word(token[0])
        self.end_address()
        self.end_group()

    def word(self, text: bytes) -> None:
        """An atom, quoted string or domain literal."""
        if self.domain is not None:
            self.domain.append(text)
        else:
            self.local.append(text)
        if not self.angle:
            self.phrase.append(text)

    def special(self, sign: bytes) -> None:
        """One of ``,:;<>@.``"""
        if sign == b",":
            if self.angle and self.route is not None and not self.local:
                self.route.append(b",")
            else:
                self.end_address()
        elif sign == b"<":
            if not self.angle:
                self.angle, self.local, self.domain = True, [], None
        elif sign == b"@":
            self.at_sign()
        elif sign == b":":
            self.colon()
        elif sign == b";":
            self.end_address()
            self.end_group()
        elif sign == b".":
            self.word(sign)

    def at_sign(self) -> None:
        """The domain begins, or a source route; or it stands in a name that should have had quotes."""
        if not self.angle:
            self.phrase.append(b"@")
        if self.angle and not self.local:
            self.route = [] if self.route is None else self.route
            self.route.append(b"@")
            self.domain = self.route
        elif self.domain is None:
            self.domain = []
        else:
            self.domain.append(b"@")

    def colon(self) -> None:
        """The end of a route or of a group's name."""
        if self.angle:
            if self.route is not None and self.domain is self.route:
                self.domain = None
        elif self.group is None and self.domain is None:
            self.group = b"".join(self.phrase).strip()
            self.clear()
        else:
            self.word(b":")

    def read_comment(self, value: bytes, position: int) -> int:
        """Skip a comment whose ``(`` is read, nested ones with it; the last one is kept as a name of last resort."""
        start, depth = position, 1
        for piece in _COMMENT_PIECE.finditer(value, position):
            text = piece[0]
            if text == b"(":
                depth += 1
            elif text == b")":
                depth -= 1
                if not depth:
                    self.comment = _PAIR.sub(rb"\1", value[start : piece.start()]).strip()
                    return piece.end()
        return len(value)

    def end_address(self) -> None:
        """Keep what was read, if it is anything."""
        if self.domain is not None or self.local or self.angle:
            name = b"".join(self.phrase).strip() if self.angle else b""
            domain = b"" if self.domain is None or self.domain is self.route else b"".join(self.domain)
            route = b"".join(self.route).rstrip(b",") if self.route else None
            local = b"".join(self.local)
            if self.domain is None and not self.angle:
                # A name and no address: all of it stands where clients will show it.
                local = b"".join(self.phrase).strip()
            mailbox = Mailbox(name or self.comment or None, route, local, domain)
            self.room -= 1
            if self.group is None:
                self.found.append(mailbox)
            else:
                self.members.append(mailbox)
        self.clear()

    def end_group(self) -> None:
        """Close the open group, if there is one."""
        if self.group is not None:
            self.found.append(Group(self.group, tuple(self.members)))
            self.group, self.members = None, []
            self.room -= 1
