"""
Reading one command (or one response) from left to right: atoms, strings, literals, lists.  RFC 3501 section 9.

A command comes as pieces of text with literals between them; whoever reads the connection collects both, the
:class:`Reader` walks over them.  Nothing here waits, and every rule is one regular expression that cannot backtrack.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar, Self, TypeVar

from launcelot.core.errors import Invalid
from launcelot.message.dates import parse_internal, parse_search_date

T = TypeVar("T")

MAX_NUMBER = 0xFFFF_FFFF
"""Largest ``number`` of RFC 3501 section 9."""
MAX_MODSEQ = (1 << 63) - 1
"""Largest ``mod-sequence-value``.  RFC 7162 section 7."""
MAX_DEPTH = 50
"""Parentheses, NOT and OR inside each other."""
MAX_FLAGS = 200
"""Flags in one list."""

_TAG = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\+]{1,1000}")
"""``tag``; the bound keeps an answer from being as long as the command."""
_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_ASTRING_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]+")
_LIST_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){\"\\]+")
"""``list-char``: wildcards may stand in it."""
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0]++|\\["\\])*+)"')
"""Octets above 127 are let through (RFC 9051 section 9) where they are UTF-8; who uses the string decodes it."""
_ESCAPE = re.compile(rb'\\(["\\])')
_NUMBER = re.compile(rb"\d{1,20}")
_FLAG = re.compile(rb"\\?[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")
_LITERAL = re.compile(rb"(~?)\{(\d+)(\+?)\}\Z")
_HUGE = 1 << 64


class Malformed(Exception):
    """
    What was sent does not follow the grammar.

    :param text: one line for people; it quotes nothing the peer sent.
    :param code: a response code without brackets, or empty.
    """

    def __init__(self, text: str, code: bytes = b"") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Misnamed(Malformed):
    """
    A name that no mailbox can have, in a command that follows the grammar: it is refused, not bad.

    RFC 9051 section 6.3.4 has any error in CREATE answered with NO, and section 6.3.9 impossible patterns passed over.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text, b"CANNOT")


class WantsLiteral(Exception):
    """The reader has come to a literal that has been announced and not yet read."""


class Announced:
    """
    A literal announced at the end of a line.  RFC 3501 section 4.3, RFC 7888 section 3, RFC 3516 section 4.4.

    :ivar size: octets; huge numbers are capped above anything that is ever accepted.
    :ivar waits: whether the peer waits for a continuation.
    :ivar binary: whether it was written ``~{...}``.
    """

    __slots__ = ("binary", "size", "waits")

    def __init__(self, size: int, waits: bool, binary: bool = False) -> None:
        self.size = size
        self.waits = waits
        self.binary = binary


def announced(line: bytes) -> Announced | None:
    """The literal that a line ends with, if it does."""
    if not line.endswith(b"}"):
        return None
    found = _LITERAL.search(line, max(0, line.rfind(b"{") - 1))
    if found is None:
        return None
    digits = found[2]
    size = int(digits) if len(digits) <= 20 else _HUGE
    return Announced(min(size, _HUGE), not found[3], bool(found[1]))


def is_utf8(data: bytes) -> bool:
    """Whether octets are UTF-8 as RFC 3629 has it."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class Reader:
    """
    Walks over one command.

    :param text: the first line without its CRLF.
    :ivar utf8: whether names of mailboxes are UTF-8 and never modified UTF-7.  RFC 9755 section 3.
    :ivar names_charset: whether a SEARCH may name a charset.
    :ivar uid_only: whether no message may be named by its sequence number.  RFC 9586.
    """

    __slots__ = ("_pieces", "_text", "depth", "literals", "names_charset", "position", "uid_only", "utf8")
    refuses_nul: ClassVar[bool] = True
    """Whether a literal with a NUL is an error, as RFC 3501 section 9 ``CHAR8`` says."""
    checks_utf8: ClassVar[bool] = True
    """Whether octets above 127 in a quoted string must be UTF-8.  RFC 9755 section 3."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._pieces: list[bytes] = []
        self.literals: list[bytes] = []
        self.position = 0
        self.depth = 0
        self.utf8 = False
        self.names_charset = True
        self.uid_only = False

    def add(self, literal: bytes, line: bytes) -> None:
        """Take the next literal and the line behind it."""
        self.literals.append(literal)
        self._pieces.append(line)

    def copy(self) -> Self:
        """Another reader at the same place, for looking ahead."""
        other = type(self)(self._text)
        other._pieces = self._pieces.copy()
        other.literals = self.literals.copy()
        other.position = self.position
        other.depth = self.depth
        other.utf8 = self.utf8
        other.names_charset = self.names_charset
        other.uid_only = self.uid_only
        return other

    # -- small steps -----------------------------------------------------------------------------------------------

    @property
    def rest(self) -> bytes:
        """What is left of the present line."""
        return self._text[self.position :]

    def peek(self) -> bytes:
        """The next octet; empty at the end of a line."""
        return self._text[self.position : self.position + 1]

    def accept(self, token: bytes) -> bool:
        """Step over ``token`` if it comes next."""
        if self._text.startswith(token, self.position):
            self.position += len(token)
            return True
        return False

    def expect(self, token: bytes, text: str) -> None:
        """
        Step over ``token``.

        :raises Malformed: something else comes, saying ``text``.
        """
        if not self.accept(token):
            raise Malformed(text)

    def space(self) -> None:
        """Exactly one space."""
        self.expect(b" ", "expected a space")

    def end(self) -> None:
        """
        The command must end here.

        :raises Malformed: something follows.
        """
        if self.position < len(self._text) or self._pieces:
            raise Malformed("too many arguments")

    def skip_all(self) -> None:
        """Step over everything that is left."""
        self.literals.clear()
        self._pieces.clear()
        self.position = len(self._text)

    def match(self, rule: re.Pattern[bytes], text: str) -> re.Match[bytes]:
        """
        Step over what a rule matches.

        :raises Malformed: it does not, saying ``text``.
        """
        found = rule.match(self._text, self.position)
        if found is None:
            raise Malformed(text)
        self.position = found.end()
        return found

    def refuse_numbers(self) -> None:
        """
        Sequence numbers come next.

        :raises Malformed: the client has said that it uses none.  RFC 9586 section 3.
        """
        if self.uid_only:
            raise Malformed("sequence numbers are not used after ENABLE UIDONLY", b"UIDREQUIRED")

    # -- words -----------------------------------------------------------------------------------------------------

    def tag(self) -> bytes:
        """The tag of a command."""
        return self.match(_TAG, "expected a tag")[0]

    def atom(self) -> bytes:
        """``atom``, as written."""
        return self.match(_ATOM, "expected a word")[0]

    def word(self) -> bytes:
        """An atom in upper case, for names of commands and items."""
        return self.atom().upper()

    def number(self) -> int:
        """``number``: 0 to 4,294,967,295."""
        value = int(self.match(_NUMBER, "expected a number")[0])
        if value > MAX_NUMBER:
            raise Malformed("number is too large")
        return value

    def number64(self) -> int:
        """``number64``: 0 to 2^63 - 1.  RFC 9051 section 9."""
        value = int(self.match(_NUMBER, "expected a number")[0])
        if value > MAX_MODSEQ:
            raise Malformed("number is too large")
        return value

    def mod_sequence(self) -> int:
        """``mod-sequence-valzer``: 0 to 2^63 - 1.  RFC 7162 section 7."""
        value = int(self.match(_NUMBER, "expected a mod-sequence")[0])
        if value > MAX_MODSEQ:
            raise Malformed("mod-sequence is too large")
        return value

    def nz_number(self) -> int:
        """``nz-number``: 1 to 4,294,967,295."""
        value = self.number()
        if not value:
            raise Malformed("number must not be zero")
        return value

    def string(self) -> bytes:
        """``string``: quoted or literal, without its quoting; never with a NUL."""
        first = self.peek()
        if first == b'"':
            inside = self.match(_QUOTED, "malformed quoted string")[1]
            if self.checks_utf8 and not inside.isascii() and not is_utf8(inside):
                raise Malformed("quoted string is not UTF-8")
            return _ESCAPE.sub(rb"\1", inside) if b"\\" in inside else inside
        if first == b"{":
            return self._literal()
        raise Malformed("expected a string")

    def _literal(self) -> bytes:
        literal = announced(self.rest)
        if literal is None or self._text.rfind(b"{") != self.position or literal.binary:
            raise Malformed("malformed literal")
        if not self._pieces:
            raise WantsLiteral
        data = self.literals.pop(0)
        self._text = self._pieces.pop(0)
        self.position = 0
        if self.refuses_nul and b"\0" in data:
            raise Malformed("literal has a NUL")
        return data

    def literal8(self) -> bytes:
        """``literal8``: octets of any kind, NULs too.  RFC 3516 section 4.4."""
        literal = announced(self.rest)
        if literal is None or not literal.binary or self._text.rfind(b"~{") != self.position:
            raise Malformed("malformed literal")
        if not self._pieces:
            raise WantsLiteral
        self._text = self._pieces.pop(0)
        self.position = 0
        return self.literals.pop(0)

    def astring(self) -> bytes:
        """``astring``: an atom (``]`` allowed) or a string."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self.match(_ASTRING_ATOM, "expected a word or a string")[0]

    def nstring(self) -> bytes | None:
        """``nstring``: a string or NIL."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        if self.word() != b"NIL":
            raise Malformed("expected a string or NIL")
        return None

    def object_id(self) -> str:
        """``objectid``.  RFC 8474 section 7."""
        return self.match(_OBJECT_ID, "expected an object id")[0].decode("ascii")

    def list_mailbox(self) -> bytes:
        """``list-mailbox``: like ``astring``, with wildcards."""
        if self.peek() in (b'"', b"{"):
            return self.string()
        return self.match(_LIST_ATOM, "expected a mailbox pattern")[0]

    # -- compounds -------------------------------------------------------------------------------------------------

    def deeper(self) -> None:
        """Count one more level; pair with ``shallower``."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Malformed("nested too deep")

    def shallower(self) -> None:
        """Leave a level."""
        self.depth -= 1

    def list(self, one: Callable[[], T], limit: int, empty: bool = False) -> list[T]:
        """
        ``( item SP item ... )``.

        :param one: reads an item.
        :param limit: most items.
        :param empty: whether ``()`` is allowed.
        """
        self.expect(b"(", "expected a list")
        found: list[T] = []
        if empty and self.accept(b")"):
            return found
        while True:
            found.append(one())
            if len(found) > limit:
                raise Malformed("list is too long")
            if self.accept(b")"):
                return found
            self.expect(b" ", "malformed list")

    def flag(self) -> str:
        """One flag that may be set: a system flag, or a keyword as written.  RFC 3501 section 2.3.2."""
        raw = self.match(_FLAG, "expected a flag")[0]
        text = raw.decode("ascii")
        if not text.startswith("\\"):
            return text
        known = SYSTEM_FLAGS.get(text.lower())
        if known is None:
            raise Malformed("no such system flag")
        return known

    def flag_list(self) -> tuple[str, ...]:
        """``flag-list``, which may be empty."""
        return tuple(self.list(self.flag, MAX_FLAGS, empty=True))

    def date_time(self) -> str:
        """``date-time`` as text, checked."""
        raw = self.match(_QUOTED, "expected a date and time")[1]
        try:
            parse_internal(raw)
        except Invalid as error:
            raise Malformed(error.text) from None
        return raw.decode("ascii")

    def date(self) -> str:
        """``date`` of a search key as text, checked."""
        raw = self.match(_QUOTED, "malformed date")[1] if self.peek() == b'"' else self.atom()
        try:
            parse_search_date(raw)
        except Invalid as error:
            raise Malformed(error.text) from None
        return raw.decode("ascii")


SYSTEM_FLAGS = {
    "\\answered": "\\Answered",
    "\\flagged": "\\Flagged",
    "\\deleted": "\\Deleted",
    "\\seen": "\\Seen",
    "\\draft": "\\Draft",
}
"""The flags a client may set, by their lower-case spelling.  RFC 3501 section 2.3.2; ``\\Recent`` is not among them."""
