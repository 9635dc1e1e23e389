"""
What a server tells without being asked by tag, as values: one frozen dataclass for each response that is known.

:func:`read` makes them of what :mod:`launcelot.protocols.imap4.grammar.replies` has parsed.  A response nobody knows, or whose
contents are not what its standard says, stays the :class:`~launcelot.protocols.imap4.grammar.replies.Data` it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from launcelot.protocols.imap4.grammar import mailboxnames
from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.replies import Condition, Data

MAX_NUMBERS = 10_000_000
"""Numbers that a set is taken apart into; a server could write billions in ten octets."""


@dataclass(frozen=True, slots=True)
class Exists:
    """How many messages the selected mailbox has."""

    messages: int


@dataclass(frozen=True, slots=True)
class Recent:
    """How many of them are recent.  RFC 3501 section 7.3.2."""

    messages: int


@dataclass(frozen=True, slots=True)
class Expunged:
    """A message is gone; those behind it move up."""

    number: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """Messages are gone, by UID.  RFC 7162 section 3.2.10; ``earlier``: before this session began."""

    uids: str
    earlier: bool


@dataclass(frozen=True, slots=True)
class Fetched:
    """
    What FETCH tells of one message.

    :ivar row: values by label in upper case, such as ``BODY[]``.
    """

    number: int
    row: Mapping[bytes, Any] = field(repr=False)

    @property
    def uid(self) -> int:
        """Its UID; 0 if it was not told."""
        found = self.row.get(b"UID")
        return found if isinstance(found, int) else 0

    @property
    def flags(self) -> frozenset[bytes]:
        """Its flags; empty if they were not told."""
        return frozenset(one for one in _items(self.row.get(b"FLAGS")) if isinstance(one, bytes))

    @property
    def modseq(self) -> int:
        """Its MODSEQ; 0 if it was not told."""
        found = next(iter(_items(self.row.get(b"MODSEQ"))), 0)
        return found if isinstance(found, int) else 0


@dataclass(frozen=True, slots=True)
class Flags:
    """Flags of the selected mailbox."""

    flags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """
    One name in a listing.

    :ivar old_name: another name it had or was asked for by.  RFC 9051 section 6.3.9.7.
    :ivar child_info: what is below it and meets the selection.  RFC 5258 section 3.5.
    :ivar subscribed: whether LSUB told it.
    """

    name: str
    separator: str
    attributes: tuple[bytes, ...]
    old_name: str = ""
    child_info: tuple[bytes, ...] = ()
    subscribed: bool = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """STATUS: the numbers of a mailbox by item; MAILBOXID is octets."""

    mailbox: str
    items: Mapping[bytes, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """
    SEARCH, SORT or ESEARCH.

    :ivar numbers: in the order told; of ESEARCH those of ALL.
    :ivar tag: of the command it answers, where it is told.
    :ivar items: what else ESEARCH tells, by name: ``MIN``, ``MAX``, ``COUNT``, ``PARTIAL``, ``ALL`` as text ...
    :ivar mailbox: which was searched, if not the selected one.  RFC 7377.
    """

    numbers: tuple[int, ...]
    modseq: int = 0
    uid: bool = False
    tag: bytes = b""
    items: Mapping[bytes, Any] = field(default_factory=dict)
    mailbox: str = ""


@dataclass(frozen=True, slots=True)
class Threads:
    """Trees as nested tuples: numbers one below another, tuples beside one another.  RFC 5256 section 4."""

    threads: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server can do now, in upper case."""

    names: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Enabled:
    """What has been switched on, in upper case.  RFC 5161."""

    names: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server says of itself.  RFC 2971."""

    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Prefixes with their separators: personal, other users', shared.  RFC 2342."""

    personal: tuple[tuple[str, str], ...]
    others: tuple[tuple[str, str], ...]
    shared: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Quota:
    """Used and limit by resource, in upper case.  RFC 9208 section 4.2.1."""

    root: str
    resources: Mapping[bytes, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class QuotaRoots:
    """Which quotas a mailbox counts for.  RFC 9208 section 4.2.2."""

    mailbox: str
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Annotations:
    """
    METADATA: values by entry, or names of entries that have changed with None for each.  RFC 5464 section 4.4.

    :ivar mailbox: empty for the server's.
    """

    mailbox: str
    entries: Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class AccessList:
    """ACL: rights by identifier.  RFC 4314 section 3.6."""

    mailbox: str
    rights: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MyRights:
    """MYRIGHTS.  RFC 4314 section 3.8."""

    mailbox: str
    rights: str


@dataclass(frozen=True, slots=True)
class PossibleRights:
    """LISTRIGHTS: those that are always granted, and those that go together.  RFC 4314 section 3.7."""

    mailbox: str
    identifier: str
    required: str
    optional: tuple[str, ...]


Told = (
    Exists | Recent | Expunged | Vanished | Fetched | Flags | Listed | Numbers | Found | Threads | Capabilities | Enabled
    | Identity | Namespaces | Quota | QuotaRoots | Annotations | AccessList | MyRights | PossibleRights | Condition | Data
)  # fmt: skip
"""Whatever a server tells without a tag."""


def read(response: Condition | Data, utf8: bool = False) -> Told:
    """
    A response as a value.

    :param utf8: whether names of mailboxes are UTF-8 and never modified UTF-7.  RFC 9755 section 3.
    """
    if isinstance(response, Condition):
        return response
    reader = READERS.get(response.name)
    if reader is None:
        return response
    try:
        return reader(response, utf8)
    except Malformed:
        return response


def expand(text: bytes) -> Iterator[int]:
    """
    The numbers of a set, in the order written.

    :raises Malformed: it is none, or has more than :data:`MAX_NUMBERS`.
    """
    left = MAX_NUMBERS
    for part in text.split(b","):
        first, colon, second = part.partition(b":")
        low, high = _digits(first), _digits(second if colon else first)
        low, high = min(low, high), max(low, high)
        left -= high - low + 1
        if left < 0:
            raise Malformed("a set is too large")
        yield from range(low, high + 1)


# -- values --------------------------------------------------------------------------------------------------------------


def _digits(text: bytes) -> int:
    if not text.isdigit() or len(text) > 10:
        raise Malformed("expected a number")
    return int(text)


def _items(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else ()


def _octets(value: Any) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    if value is None:
        return b"NIL"
    if not isinstance(value, bytes):
        raise Malformed("expected a string")
    return value


def _text(value: Any) -> str:
    return _octets(value).decode("utf-8", "replace")


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise Malformed("expected a number")
    return value


def _tuple(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise Malformed("expected a list")
    return value


def _name(value: Any, utf8: bool) -> str:
    raw = _octets(value)
    if not utf8:
        try:
            return mailboxnames.decode(raw)
        except Malformed:
            pass
    return raw.decode("utf-8", "replace")


def _of(data: Data, least: int) -> tuple[Any, ...]:
    if len(data.values) < least:
        raise Malformed("too few values")
    return data.values


def _pairs(values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    found = tuple(values)
    if len(found) % 2:
        raise Malformed("expected pairs")
    return zip(found[::2], found[1::2], strict=True)


def _counted(data: Data) -> int:
    return _number(data.number)


# -- responses -----------------------------------------------------------------------------------------------------------


def _vanished(data: Data, utf8: bool) -> Vanished:
    values = _of(data, 1)
    earlier = isinstance(values[0], tuple)
    if earlier and len(values) < 2:
        raise Malformed("too few values")
    return Vanished(_text(values[1] if earlier else values[0]), earlier)


def _listed(data: Data, utf8: bool) -> Listed:
    attributes, separator, name, *extended = _of(data, 3)
    old_name = ""
    child_info: tuple[bytes, ...] = ()
    for label, value in _pairs(_items(extended[0]) if extended else ()):
        if _octets(label).upper() == b"OLDNAME":
            old_name = _name(next(iter(_tuple(value)), b""), utf8)
        elif _octets(label).upper() == b"CHILDINFO":
            child_info = tuple(map(_octets, _tuple(value)))
    between = "" if separator is None else _text(separator)
    words = tuple(map(_octets, _tuple(attributes)))
    return Listed(_name(name, utf8), between, words, old_name, child_info, data.name == b"LSUB")


def _status(data: Data, utf8: bool) -> Numbers:
    name, items = _of(data, 2)[:2]
    return Numbers(_name(name, utf8), {_octets(label).upper(): value for label, value in _pairs(_tuple(items))})


def _searched(data: Data, utf8: bool) -> Found:
    values, modseq = data.values, 0
    if values and isinstance(values[-1], tuple):
        modseq = dict(_pairs(values[-1])).get(b"MODSEQ", 0)
        values = values[:-1]
    return Found(tuple(map(_number, values)), _number(modseq))


def _esearched(data: Data, utf8: bool) -> Found:
    values = list(data.values)
    about: dict[bytes, Any] = {}
    if values and isinstance(values[0], tuple):
        about = {_octets(label).upper(): value for label, value in _pairs(values.pop(0))}
    uid = bool(values) and isinstance(values[0], bytes) and values[0].upper() == b"UID"
    items = {_octets(label).upper(): value for label, value in _pairs(values[1:] if uid else values)}
    numbers = tuple(expand(_octets(items[b"ALL"]))) if b"ALL" in items else ()
    mailbox = _name(about[b"MAILBOX"], utf8) if b"MAILBOX" in about else ""
    return Found(numbers, _number(items.get(b"MODSEQ", 0)), uid, _octets(about.get(b"TAG", b"")), items, mailbox)


def _names(data: Data) -> frozenset[bytes]:
    return frozenset(_octets(value).upper() for value in data.values)


def _identity(data: Data, utf8: bool) -> Identity:
    pairs = _pairs(_items(_of(data, 1)[0]))
    return Identity({_text(name).lower(): "" if value is None else _text(value) for name, value in pairs})


def _namespaces(data: Data, utf8: bool) -> Namespaces:
    def some(value: Any) -> tuple[tuple[str, str], ...]:
        rows = [_tuple(row) for row in _items(value)]
        if any(len(row) < 2 for row in rows):
            raise Malformed("expected a prefix and a separator")
        return tuple((_name(row[0], utf8), "" if row[1] is None else _text(row[1])) for row in rows)

    personal, others, shared = _of(data, 3)[:3]
    return Namespaces(some(personal), some(others), some(shared))


def _quota(data: Data, utf8: bool) -> Quota:
    root, resources = _of(data, 2)[:2]
    values = _tuple(resources)
    if len(values) % 3:
        raise Malformed("expected resource, usage and limit")
    rows = zip(values[::3], values[1::3], values[2::3], strict=True)
    return Quota(_text(root), {_octets(name).upper(): (_number(used), _number(limit)) for name, used, limit in rows})


def _quota_roots(data: Data, utf8: bool) -> QuotaRoots:
    mailbox, *roots = _of(data, 1)
    return QuotaRoots(_name(mailbox, utf8), tuple(map(_text, roots)))


def _annotations(data: Data, utf8: bool) -> Annotations:
    mailbox, *rest = _of(data, 2)
    if isinstance(rest[0], tuple):
        pairs = {_text(name): None if value is None else _octets(value) for name, value in _pairs(rest[0])}
        return Annotations(_name(mailbox, utf8), pairs)
    return Annotations(_name(mailbox, utf8), dict.fromkeys(map(_text, rest)))


def _access_list(data: Data, utf8: bool) -> AccessList:
    mailbox, *rest = _of(data, 1)
    return AccessList(_name(mailbox, utf8), {_text(who): _text(rights) for who, rights in _pairs(rest)})


def _my_rights(data: Data, utf8: bool) -> MyRights:
    mailbox, rights = _of(data, 2)[:2]
    return MyRights(_name(mailbox, utf8), _text(rights))


def _possible_rights(data: Data, utf8: bool) -> PossibleRights:
    mailbox, who, required, *optional = _of(data, 3)
    return PossibleRights(_name(mailbox, utf8), _text(who), _text(required), tuple(map(_text, optional)))


READERS: Mapping[bytes, Callable[[Data, bool], Told]] = {
    b"EXISTS": lambda data, utf8: Exists(_counted(data)),
    b"RECENT": lambda data, utf8: Recent(_counted(data)),
    b"EXPUNGE": lambda data, utf8: Expunged(_counted(data)),
    b"VANISHED": _vanished,
    b"FETCH": lambda data, utf8: Fetched(_counted(data), data.row),
    b"FLAGS": lambda data, utf8: Flags(tuple(map(_octets, _tuple(_of(data, 1)[0])))),
    b"LIST": _listed,
    b"LSUB": _listed,
    b"STATUS": _status,
    b"SEARCH": _searched,
    b"SORT": _searched,
    b"ESEARCH": _esearched,
    b"THREAD": lambda data, utf8: Threads(data.values),
    b"CAPABILITY": lambda data, utf8: Capabilities(_names(data)),
    b"ENABLED": lambda data, utf8: Enabled(_names(data)),
    b"ID": _identity,
    b"NAMESPACE": _namespaces,
    b"QUOTA": _quota,
    b"QUOTAROOT": _quota_roots,
    b"METADATA": _annotations,
    b"ACL": _access_list,
    b"MYRIGHTS": _my_rights,
    b"LISTRIGHTS": _possible_rights,
}
"""How each is read, by name."""
