"""
The arguments of every command as values, and the functions that read them.  RFC 3501 section 9 ``command``.

A function reads from behind the command's name; whoever calls it checks that nothing follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from launcelot.mailstore.interface import StoreMode
from launcelot.protocols.imap4.grammar.fetch import Item, read_items
from launcelot.protocols.imap4.grammar.mailboxnames import read_any_mailbox, read_mailbox
from launcelot.protocols.imap4.grammar.reader import MAX_FLAGS, Malformed, Reader
from launcelot.protocols.imap4.grammar.search import CHARSETS, RETURN_OPTIONS, Key, KeyReader
from launcelot.protocols.imap4.grammar.sets import STAR, Partial, Range, read_partial, read_set

MAX_ID_PAIRS = 30
"""Pairs in ID.  RFC 2971 section 3.3."""
MAX_ID_FIELD = 30
MAX_ID_VALUE = 1_024

MAX_ENABLED = 100
"""Names in one ENABLE."""

STATUS_ITEMS = (
    b"MESSAGES",
    b"RECENT",
    b"UIDNEXT",
    b"UIDVALIDITY",
    b"UNSEEN",
    b"SIZE",
    b"APPENDLIMIT",
    b"MAILBOXID",
    b"HIGHESTMODSEQ",
    b"DELETED",
    b"DELETED-STORAGE",
)
"""RFC 3501 section 6.3.10, RFC 8438, RFC 7889, RFC 8474, RFC 7162, RFC 9208."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No arguments."""


@dataclass(frozen=True, slots=True)
class Login:
    """Name and password as sent."""

    name: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authenticate:
    """A mechanism in upper case, and the initial response still in base64.  RFC 4959."""

    mechanism: bytes
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identify:
    """What a client says of itself; None for NIL.  RFC 2971."""

    pairs: tuple[tuple[bytes, bytes | None], ...] | None


@dataclass(frozen=True, slots=True)
class Named:
    """One mailbox."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Resync:
    """
    What a client knows of a mailbox that it opens again.  RFC 7162 section 3.2.5.

    The pairs of numbers and UIDs it may add are checked and dropped: they spare work where old expunges are forgotten.

    :ivar known: the UIDs it has; None for all there have been.
    """

    uid_validity: int
    modseq: int
    known: tuple[Range, ...] | None


@dataclass(frozen=True, slots=True)
class Select:
    """A mailbox to be opened.  RFC 7162 sections 3.1.8 and 3.2.5."""

    mailbox: str
    condstore: bool = False
    resync: Resync | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """A mailbox to be made, and what for, in upper case.  RFC 6154 section 3."""

    mailbox: str
    uses: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Enable:
    """Extensions by name, in upper case.  RFC 5161."""

    names: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Rename:
    """From one name to another."""

    mailbox: str
    to: str


@dataclass(frozen=True, slots=True)
class Status:
    """One mailbox and what is asked of it, in upper case."""

    mailbox: str
    items: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Messages:
    """A set of messages: UIDs when ``uid``, else sequence numbers; when ``saved``, those of ``$`` (RFC 5182)."""

    uid: bool
    ranges: tuple[Range, ...]
    saved: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """
    Messages and what is asked of each.

    :ivar changed_since: only messages whose MODSEQ is above; None for all.  RFC 7162 section 3.1.4.1.
    :ivar vanished: whether those removed since are told, too.  RFC 7162 section 3.2.6.
    :ivar partial: which piece of the messages; None for all.  RFC 9394 section 3.3.
    """

    messages: Messages
    items: tuple[Item, ...]
    changed_since: int | None = None
    vanished: bool = False
    partial: Partial | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """
    Messages and the change of their flags.

    :ivar unchanged_since: messages whose MODSEQ is above are left alone; None for none.  RFC 7162 section 3.1.3.
    """

    messages: Messages
    mode: StoreMode
    silent: bool
    flags: tuple[str, ...]
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """Messages and the mailbox they go to; also of MOVE."""

    messages: Messages
    target: str


@dataclass(frozen=True, slots=True)
class Search:
    """
    What to search for.

    :ivar key: None when the charset is not among ours.
    :ivar options: of RETURN, empty for a plain SEARCH.  RFC 4731.
    :ivar modseq: whether MODSEQ is among the keys.
    :ivar partial: which piece of the result PARTIAL asks for.  RFC 9394.
    """

    uid: bool
    key: Key | None
    options: tuple[bytes, ...] = ()
    modseq: bool = False
    partial: Partial | None = None


def read_nothing(reader: Reader) -> Nothing:
    """No arguments."""
    return Nothing()


def read_login(reader: Reader) -> Login:
    """``login``."""
    reader.space()
    name = reader.astring()
    reader.space()
    return Login(name, reader.astring())


def read_authenticate(reader: Reader) -> Authenticate:
    """``authenticate`` with the optional initial response."""
    reader.space()
    mechanism = reader.word()
    if not reader.accept(b" "):
        return Authenticate(mechanism, None)
    initial = reader.rest
    reader.position += len(initial)
    return Authenticate(mechanism, initial)


def read_id(reader: Reader) -> Identify:
    """``id``: NIL or a list of pairs.  RFC 2971 section 3.3 bounds them."""
    reader.space()
    if reader.peek() != b"(":
        if reader.nstring() is not None:
            raise Malformed("expected a list or NIL")
        return Identify(None)

    def pair() -> tuple[bytes, bytes | None]:
        name = reader.string()
        reader.space()
        value = reader.nstring()
        if len(name) > MAX_ID_FIELD or (value is not None and len(value) > MAX_ID_VALUE):
            raise Malformed("field or value is too long")
        return name.lower(), value

    pairs = tuple(reader.list(pair, MAX_ID_PAIRS, empty=True))
    if len({name for name, _ in pairs}) < len(pairs):
        raise Malformed("field is given twice")
    return Identify(pairs)


def read_named(reader: Reader) -> Named:
    """One mailbox."""
    reader.space()
    return Named(read_mailbox(reader))


def read_select(reader: Reader) -> Select:
    """``select`` and ``examine``, with the parameters of RFC 7162; a name that cannot be is one that does not exist."""
    reader.space()
    mailbox = read_any_mailbox(reader)
    if not reader.accept(b" "):
        return Select(mailbox)
    resync: Resync | None = None
    words: list[bytes] = []

    def parameter() -> None:
        nonlocal resync
        words.append(reader.word())
        if words[-1] == b"QRESYNC":
            reader.space()
            resync = _read_resync(reader)
        elif words[-1] != b"CONDSTORE":
            raise Malformed("unknown SELECT parameter")

    reader.list(parameter, 2)
    if len(set(words)) < len(words):
        raise Malformed("SELECT parameter is given twice")
    return Select(mailbox, b"CONDSTORE" in words, resync)


def _read_resync(reader: Reader) -> Resync:
    """``( uidvalidity SP mod-sequence [SP known-uids] [SP seq-match-data] )``."""
    reader.expect(b"(", "expected a list")
    uid_validity = reader.nz_number()
    reader.space()
    modseq = _read_positive(reader)
    known: tuple[Range, ...] | None = None
    rest = reader.accept(b" ")
    if rest and reader.peek() != b"(":
        known = _read_known(reader)
        rest = reader.accept(b" ")
    if rest:
        reader.refuse_numbers()
        reader.expect(b"(", "expected a list")
        numbers = _read_known(reader)
        reader.space()
        if _count(numbers) != _count(_read_known(reader)):
            raise Malformed("sequence numbers and UIDs do not match")
        reader.expect(b")", "malformed list")
    reader.expect(b")", "malformed list")
    return Resync(uid_validity, modseq, known)


def _read_known(reader: Reader) -> tuple[Range, ...]:
    """``known-uids``: a set without ``*``."""
    ranges = read_set(reader)
    if any(STAR in pair for pair in ranges):
        raise Malformed("a set of what is known has no star")
    return ranges


def _count(ranges: tuple[Range, ...]) -> int:
    return sum(abs(high - low) + 1 for low, high in ranges)


def _read_positive(reader: Reader) -> int:
    """``mod-sequence-value``."""
    value = reader.mod_sequence()
    if not value:
        raise Malformed("mod-sequence must not be zero")
    return value


def read_created(reader: Reader) -> Create:
    """``create``; a separator at the end only says that others will follow.  RFC 3501 section 6.3.3, RFC 6154 section 3."""
    name = read_named(reader).mailbox
    name = name.removesuffix("/") if len(name) > 1 else name
    if not reader.accept(b" "):
        return Create(name)

    def parameter() -> tuple[bytes, ...]:
        if reader.word() != b"USE":
            raise Malformed("unknown CREATE parameter")
        reader.space()
        return tuple(dict.fromkeys(reader.list(lambda: read_use(reader), 20, empty=True)))

    found = reader.list(parameter, 1)
    return Create(name, found[0])


def read_use(reader: Reader) -> bytes:
    """``use-attr``, in upper case.  RFC 6154 section 6."""
    reader.expect(b"\\", "expected a special use")
    return b"\\" + reader.word()


def read_enable(reader: Reader) -> Enable:
    """``enable``.  RFC 5161 section 4."""
    names: list[bytes] = []
    while not names or reader.peek() == b" ":
        reader.space()
        names.append(reader.word())
        if len(names) > MAX_ENABLED:
            raise Malformed("too many extensions")
    return Enable(tuple(dict.fromkeys(names)))


def read_rename(reader: Reader) -> Rename:
    """``rename``."""
    mailbox = read_named(reader).mailbox
    return Rename(mailbox, read_named(reader).mailbox)


def read_status(reader: Reader) -> Status:
    """``status``."""
    mailbox = read_named(reader).mailbox
    reader.space()
    return Status(mailbox, read_status_items(reader))


def read_status_items(reader: Reader) -> tuple[bytes, ...]:
    """``( status-att ... )``, each once."""
    items = reader.list(reader.word, 100)
    if not set(items) <= set(STATUS_ITEMS):
        raise Malformed("unknown status item")
    return tuple(dict.fromkeys(items))


def read_messages(reader: Reader, uid: bool) -> Messages:
    """``sequence-set``, or ``$`` of RFC 5182."""
    if not uid:
        reader.refuse_numbers()
    reader.space()
    if reader.accept(b"$"):
        return Messages(uid, (), saved=True)
    return Messages(uid, read_set(reader))


def read_fetch(reader: Reader, uid: bool = False) -> Fetch:
    """``fetch``."""
    messages = read_messages(reader, uid)
    reader.space()
    items = read_items(reader)
    if not reader.accept(b" "):
        return Fetch(messages, items)
    since: int | None = None
    partial: Partial | None = None
    words: list[bytes] = []

    def modifier() -> None:
        nonlocal since, partial
        words.append(reader.word())
        if words[-1] == b"CHANGEDSINCE":
            reader.space()
            since = _read_positive(reader)
        elif words[-1] == b"PARTIAL":
            reader.space()
            partial = read_partial(reader)
        elif words[-1] != b"VANISHED":
            raise Malformed("unknown FETCH modifier")

    reader.list(modifier, 3)
    vanished = b"VANISHED" in words
    if len(set(words)) < len(words) or (vanished and since is None) or ((vanished or partial) and not uid):
        raise Malformed("FETCH modifiers do not fit")
    return Fetch(messages, items, since, vanished, partial)


def read_store(reader: Reader, uid: bool = False) -> Store:
    """``store``; flags with or without parentheses."""
    messages = read_messages(reader, uid)
    reader.space()
    since = None
    if reader.accept(b"("):
        if reader.word() != b"UNCHANGEDSINCE":
            raise Malformed("unknown STORE modifier")
        reader.space()
        since = reader.mod_sequence()
        reader.expect(b")", "malformed list")
        reader.space()
    how = _STORE_MODES.get(reader.word())
    if how is None:
        raise Malformed("expected FLAGS, +FLAGS or -FLAGS")
    mode, silent = how
    reader.space()
    if reader.peek() == b"(":
        return Store(messages, mode, silent, reader.flag_list(), since)
    flags = [reader.flag()]
    while reader.accept(b" "):
        flags.append(reader.flag())
        if len(flags) > MAX_FLAGS:
            raise Malformed("list is too long")
    return Store(messages, mode, silent, tuple(flags), since)


def read_copy(reader: Reader, uid: bool = False) -> Copy:
    """``copy`` and ``move``."""
    messages = read_messages(reader, uid)
    return Copy(messages, read_named(reader).mailbox)


def read_uid_expunge(reader: Reader) -> Messages:
    """``UID EXPUNGE``.  RFC 4315 section 2.1."""
    return read_messages(reader, True)


def read_return(reader: Reader) -> tuple[tuple[bytes, ...], Partial | None]:
    """``RETURN ( ... ) SP`` if it comes next; empty if not.  RFC 4731 section 3.1, RFC 9394 section 3.1."""
    if reader.rest[:8].upper() != b"RETURN (":
        return (), None
    reader.position += 7
    partial: list[Partial] = []

    def option() -> bytes:
        word = reader.word()
        if word not in RETURN_OPTIONS:
            raise Malformed("unknown RETURN option")
        if word == b"PARTIAL":
            reader.space()
            partial.append(read_partial(reader))
        return word

    options = tuple(dict.fromkeys(reader.list(option, 20, empty=True))) or (b"ALL",)
    if len(partial) > 1 or (partial and b"ALL" in options):
        raise Malformed("PARTIAL goes with neither ALL nor another")
    reader.space()
    return options, partial[0] if partial else None


def read_search(reader: Reader, uid: bool = False) -> Search:
    """``search``, with RETURN and CHARSET."""
    if not uid:
        reader.refuse_numbers()
    reader.space()
    options, partial = read_return(reader)
    charset = CHARSETS[1]
    if reader.rest[:8].upper() == b"CHARSET ":
        if not reader.names_charset:
            raise Malformed("no charset can be named after ENABLE UTF8=ACCEPT")
        reader.position += 8
        charset = reader.astring().upper()
        reader.space()
        if charset not in CHARSETS:
            reader.skip_all()
            return Search(uid, None, options)
    keys = KeyReader(reader, charset)
    return Search(uid, keys.keys(), options, keys.modseq, partial)


def read_uid_fetch(reader: Reader) -> Fetch:
    """``UID FETCH``."""
    return read_fetch(reader, uid=True)


def read_uid_store(reader: Reader) -> Store:
    """``UID STORE``."""
    return read_store(reader, uid=True)


def read_uid_copy(reader: Reader) -> Copy:
    """``UID COPY`` and ``UID MOVE``."""
    return read_copy(reader, uid=True)


def read_uid_search(reader: Reader) -> Search:
    """``UID SEARCH``."""
    return read_search(reader, uid=True)


_STORE_MODES = {
    mode.value.encode("ascii") + suffix: (mode, bool(suffix)) for mode in StoreMode for suffix in (b"", b".SILENT")
}
