"""
Search keys.  RFC 3501 section 6.4.4 and section 9 ``search-key``; result options of RFC 4731 and 5182, keys of RFC 5032,
7162, 8474, 8514 and 9738.

A key is a tree whose leaves are the store's own queries where they can be, and :class:`Numbers`, :class:`UidRanges`,
:class:`Recent`, :class:`Saved`, :class:`Beside` and :class:`Within` where only the session can tell; :func:`resolve` makes
the store's query of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from launcelot.mailstore.query import (
    All,
    And,
    Arrived,
    Compare,
    Contains,
    EmailId,
    Field,
    Flagged,
    Header,
    InternalDate,
    ModSeq,
    Not,
    Or,
    Query,
    SavedDate,
    SentDate,
    Size,
    ThreadId,
    Uids,
)
from launcelot.message.dates import parse_search_date
from launcelot.protocols.imap4.grammar.reader import MAX_NUMBER, Malformed, Reader
from launcelot.protocols.imap4.grammar.sets import Range, parse_set, read_set

MAX_KEYS = 1_000
"""Keys in one SEARCH."""
CHARSETS = (b"US-ASCII", b"UTF-8")
"""What strings may be in; the first unless the command names one."""

RETURN_OPTIONS = (b"MIN", b"MAX", b"ALL", b"COUNT", b"SAVE", b"PARTIAL")
"""RFC 4731 section 3.1, RFC 5182, RFC 9394."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Messages by sequence number, as written."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class UidRanges:
    """Messages by UID, as written."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Recent:
    """Messages that are ``\\Recent`` in this session."""


@dataclass(frozen=True, slots=True)
class Saved:
    """``$``: the messages an earlier SEARCH has saved.  RFC 5182."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Messages above the highest that has been saved, or below the lowest; none where none has been.  RFC 9738 section 3.2."""

    after: bool


@dataclass(frozen=True, slots=True)
class Within:
    """Messages that arrived in the last so many seconds, or earlier.  RFC 5032."""

    younger: bool
    seconds: int


class Join(Enum):
    """How keys of a group are joined; ``NOT`` has one key."""

    AND = "and"
    OR = "or"
    NOT = "not"


@dataclass(frozen=True, slots=True)
class Group:
    """Keys that belong together."""

    join: Join
    keys: tuple[Key, ...]


Key = Query | Numbers | UidRanges | Recent | Saved | Beside | Within | Group


class View(Protocol):
    """What a session knows of its mailbox that the store does not."""

    def uid_ranges_of_numbers(self, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
        """The UIDs behind sequence numbers."""

    def uid_ranges(self, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
        """UID ranges with ``*`` replaced."""

    def recent_ranges(self) -> tuple[Range, ...]:
        """The UIDs that are recent in this session."""

    def saved_ranges(self) -> tuple[Range, ...]:
        """The UIDs that have been saved."""


def resolve(key: Key, view: View, now: datetime) -> Query:
    """The store's query for a key, for this session now."""
    if isinstance(key, Group):
        inside = tuple(resolve(one, view, now) for one in key.keys)
        if key.join is Join.NOT:
            return Not(inside[0])
        return Or(inside) if key.join is Join.OR else And(inside)
    if isinstance(key, Numbers):
        return Uids(view.uid_ranges_of_numbers(key.ranges))
    if isinstance(key, UidRanges):
        return Uids(view.uid_ranges(key.ranges))
    if isinstance(key, Recent):
        return Uids(view.recent_ranges())
    if isinstance(key, Saved):
        return Uids(view.saved_ranges())
    if isinstance(key, Beside):
        saved = view.saved_ranges()
        return beside(key.after, saved[-1][1] if key.after else saved[0][0]) if saved else Uids(())
    if isinstance(key, Within):
        return within(key, now)
    return key


def beside(after: bool, uid: int) -> Uids:
    """Messages with higher or lower UIDs than one; never that one itself, as ``UID n:*`` would have it."""
    return Uids(((uid + 1, MAX_NUMBER),)) if after else Uids(((1, uid - 1),))


def within(key: Within, now: datetime) -> Query:
    """The store's query for YOUNGER and OLDER; what began before there were dates has always been."""
    try:
        moment = now - timedelta(seconds=key.seconds)
    except OverflowError:
        return All() if key.younger else Not(All())
    if key.younger:
        return Arrived(Compare.FROM, moment)
    return Or((Arrived(Compare.BELOW, moment), Arrived(Compare.EQUAL, moment)))


class KeyReader:
    """
    Reads the keys of one SEARCH.

    :param reader: stands at the first key.
    :param charset: what strings are in, in upper case.
    :ivar modseq: whether one of the keys was MODSEQ.
    :ivar numbers: whether one of them was a set of sequence numbers.
    """

    def __init__(self, reader: Reader, charset: bytes) -> None:
        self._reader = reader
        self._codec = "ascii" if charset == b"US-ASCII" else "utf-8"
        self._count = 0
        self.modseq = False
        self.numbers = False

    def keys(self) -> Key:
        """One or more keys up to the end of the list or the command."""
        found = [self._key()]
        while self._reader.accept(b" "):
            found.append(self._key())
        return found[0] if len(found) == 1 else Group(Join.AND, tuple(found))

    def _key(self) -> Key:
        reader = self._reader
        self._count += 1
        if self._count > MAX_KEYS:
            raise Malformed("too many search keys")
        first = reader.peek()
        if first == b"(":
            reader.deeper()
            reader.expect(b"(", "expected a list")
            inside = self.keys()
            reader.expect(b")", "parenthesis does not end")
            reader.shallower()
            return inside
        if first == b"$":
            reader.expect(b"$", "expected a search key")
            return Saved()
        if first == b"*" or first.isdigit():
            reader.refuse_numbers()
            self.numbers = True
            return Numbers(read_set(reader))
        word = reader.word()
        simple = _SIMPLE.get(word)
        if simple is not None:
            return simple
        read = _READ.get(word)
        if read is None:
            raise Malformed("unknown search key")
        reader.space()
        return read(self, word)

    def text(self) -> str:
        """
        The next string, decoded.

        :raises Malformed: its octets do not fit the charset.
        """
        try:
            return self._reader.astring().decode(self._codec)
        except UnicodeDecodeError:
            raise Malformed("string does not fit the charset") from None

    def contains(self, word: bytes) -> Key:
        """``FROM``, ``SUBJECT``, ``BODY`` ... with a string; the empty one is in every message that has the place."""
        return Contains(Field[word.decode("ascii")], self.text())

    def header(self, _word: bytes) -> Key:
        """``HEADER name string``."""
        name = self.text()
        self._reader.space()
        return Header(name, self.text())

    def keyword(self, word: bytes) -> Key:
        """``KEYWORD`` and ``UNKEYWORD``."""
        found = Flagged(self._reader.atom().decode("ascii"))
        return found if word == b"KEYWORD" else Group(Join.NOT, (found,))

    def size(self, word: bytes) -> Key:
        """``LARGER`` and ``SMALLER``."""
        compare = Compare.ABOVE if word == b"LARGER" else Compare.BELOW
        return Size(compare, self._reader.number64())

    def date(self, word: bytes) -> Key:
        """``SINCE`` and its relatives."""
        day = parse_search_date(self._reader.date().encode("ascii"))
        if word.startswith(b"SAVED"):
            return SavedDate(_COMPARE[word.removeprefix(b"SAVED")], day)
        compare = _COMPARE[word.removeprefix(b"SENT")]
        return SentDate(compare, day) if word.startswith(b"SENT") else InternalDate(compare, day)

    def within(self, word: bytes) -> Key:
        """``YOUNGER`` and ``OLDER``.  RFC 5032."""
        return Within(word == b"YOUNGER", self._reader.nz_number())

    def email_id(self, _word: bytes) -> Key:
        """``EMAILID``.  RFC 8474 section 6."""
        return EmailId(self._reader.object_id())

    def thread_id(self, _word: bytes) -> Key:
        """``THREADID``.  RFC 8474 section 6."""
        return ThreadId(self._reader.object_id())

    def mod_sequence(self, _word: bytes) -> Key:
        """``MODSEQ``; the name of a flag before it changes nothing, as messages have one.  RFC 7162 section 3.1.5."""
        reader = self._reader
        if reader.peek() == b'"':
            if not reader.string().lower().startswith(b"/flags/"):
                raise Malformed("unknown metadata item")
            reader.space()
            if reader.word() not in (b"PRIV", b"SHARED", b"ALL"):
                raise Malformed("expected priv, shared or all")
            reader.space()
        self.modseq = True
        return ModSeq(reader.mod_sequence())

    def uid(self, _word: bytes) -> Key:
        """``UID`` with a set."""
        if self._reader.accept(b"$"):
            return Saved()
        if self._reader.peek() == b'"':
            # Ruby's net/imap quotes what it was given as a string with ``*`` in it.
            return UidRanges(parse_set(self._reader.string()))
        return UidRanges(read_set(self._reader))

    def beside(self, word: bytes) -> Key:
        """``UIDAFTER`` and ``UIDBEFORE`` with a UID, or with ``$``.  RFC 9738 section 3.2."""
        after = word == b"UIDAFTER"
        return Beside(after) if self._reader.accept(b"$") else beside(after, self._reader.nz_number())

    def negated(self, _word: bytes) -> Key:
        """``NOT key``."""
        self._reader.deeper()
        inside = self._key()
        self._reader.shallower()
        return Group(Join.NOT, (inside,))

    def either(self, _word: bytes) -> Key:
        """``OR key key``."""
        self._reader.deeper()
        first = self._key()
        self._reader.space()
        second = self._key()
        self._reader.shallower()
        return Group(Join.OR, (first, second))


def _not(key: Key) -> Key:
    return Group(Join.NOT, (key,))


_COMPARE = {b"BEFORE": Compare.BELOW, b"ON": Compare.EQUAL, b"SINCE": Compare.FROM}

_SIMPLE: dict[bytes, Key] = {
    b"ALL": All(),
    b"ANSWERED": Flagged("\\Answered"),
    b"DELETED": Flagged("\\Deleted"),
    b"DRAFT": Flagged("\\Draft"),
    b"FLAGGED": Flagged("\\Flagged"),
    b"SEEN": Flagged("\\Seen"),
    b"UNANSWERED": _not(Flagged("\\Answered")),
    b"UNDELETED": _not(Flagged("\\Deleted")),
    b"UNDRAFT": _not(Flagged("\\Draft")),
    b"UNFLAGGED": _not(Flagged("\\Flagged")),
    b"UNSEEN": _not(Flagged("\\Seen")),
    b"RECENT": Recent(),
    b"OLD": _not(Recent()),
    b"SAVEDATESUPPORTED": All(),
    b"NEW": Group(Join.AND, (Recent(), _not(Flagged("\\Seen")))),
}

_READ: dict[bytes, Callable[[KeyReader, bytes], Key]] = {
    **{field.name.encode("ascii"): KeyReader.contains for field in Field},
    **{prefix + word: KeyReader.date for prefix in (b"", b"SENT", b"SAVED") for word in _COMPARE},
    b"HEADER": KeyReader.header,
    b"KEYWORD": KeyReader.keyword,
    b"UNKEYWORD": KeyReader.keyword,
    b"LARGER": KeyReader.size,
    b"SMALLER": KeyReader.size,
    b"YOUNGER": KeyReader.within,
    b"OLDER": KeyReader.within,
    b"EMAILID": KeyReader.email_id,
    b"THREADID": KeyReader.thread_id,
    b"MODSEQ": KeyReader.mod_sequence,
    b"UID": KeyReader.uid,
    b"UIDAFTER": KeyReader.beside,
    b"UIDBEFORE": KeyReader.beside,
    b"NOT": KeyReader.negated,
    b"OR": KeyReader.either,
}
