"""NOTIFY.  RFC 5465 section 8."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from launcelot.protocols.imap4.grammar.fetch import Item, read_items
from launcelot.protocols.imap4.grammar.filters import Filter, Scope, read_filter
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader

MAX_GROUPS = 100
"""Groups of events in one command."""
MAX_EVENTS = 20
"""Events in one group."""


class Event(Enum):
    """What can be told, by its name in the standard."""

    MESSAGE_NEW = b"MessageNew"
    MESSAGE_EXPUNGE = b"MessageExpunge"
    FLAG_CHANGE = b"FlagChange"
    MAILBOX_NAME = b"MailboxName"
    SUBSCRIPTION_CHANGE = b"SubscriptionChange"
    MAILBOX_METADATA_CHANGE = b"MailboxMetadataChange"
    SERVER_METADATA_CHANGE = b"ServerMetadataChange"


SELECTED = frozenset({Scope.SELECTED, Scope.SELECTED_DELAYED})
LAWFUL = frozenset(Scope) - {Scope.SUBTREE_ONE}
ABOUT_MESSAGES = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE, Event.FLAG_CHANGE})
_EVENTS = {event.value.upper(): event for event in Event}
_ANNOTATION_CHANGE = b"ANNOTATIONCHANGE"
"""Of annotations of messages, which there are none of."""


@dataclass(frozen=True, slots=True)
class Group:
    """
    Mailboxes, and what is to be told of them.

    :ivar items: of messages that are new in the selected mailbox.
    :ivar unknown: whether events were asked for that nobody knows.
    """

    filter: Filter
    events: frozenset[Event]
    items: tuple[Item, ...] = ()
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Notify:
    """
    What a client wants to be told; without groups nothing at all.

    :ivar status: whether it wants to know first how the mailboxes stand.
    """

    groups: tuple[Group, ...] = ()
    status: bool = False


def read_notify(reader: Reader) -> Notify:
    """``notify``."""
    reader.space()
    word = reader.word()
    if word == b"NONE":
        return Notify()
    if word != b"SET":
        raise Malformed("expected SET or NONE")
    reader.space()
    status = reader.peek() != b"("
    if status:
        if reader.word() != b"STATUS":
            raise Malformed("expected STATUS")
        reader.space()
    groups = [_read_group(reader)]
    while reader.accept(b" "):
        groups.append(_read_group(reader))
        if len(groups) > MAX_GROUPS:
            raise Malformed("too many groups")
    if sum(group.filter.scope in SELECTED for group in groups) > 1:
        raise Malformed("the selected mailbox is described twice")
    return Notify(tuple(groups), status)


def _read_group(reader: Reader) -> Group:
    reader.expect(b"(", "expected a list")
    described = read_filter(reader, LAWFUL)
    reader.space()
    items: list[tuple[Item, ...]] = []
    words: list[bytes] = []

    def event() -> None:
        words.append(reader.word())
        if words[-1] == b"MESSAGENEW" and reader.rest.startswith(b" ("):
            reader.space()
            items.append(read_items(reader))

    if reader.peek() == b"(":
        reader.list(event, MAX_EVENTS)
    elif reader.word() != b"NONE":
        raise Malformed("expected a list or NONE")
    reader.expect(b")", "malformed list")
    if items and described.scope not in SELECTED:
        raise Malformed("items are told of the selected mailbox only")
    group = Group(
        described,
        frozenset(_EVENTS[word] for word in words if word in _EVENTS),
        items[0] if items else (),
        not set(words) <= set(_EVENTS),
    )
    _check(group, frozenset(words))
    return group


def _check(group: Group, words: frozenset[bytes]) -> None:
    """Which events must stand together, and which may not.  RFC 5465 sections 5 and 6.1."""
    both = {Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE}
    if both & group.events and not both <= group.events:
        raise Malformed("MessageNew and MessageExpunge go together")
    if (Event.FLAG_CHANGE in group.events or _ANNOTATION_CHANGE in words) and not both <= group.events:
        raise Malformed("changes of messages go with MessageNew and MessageExpunge")
    if group.filter.scope in SELECTED and not group.events <= ABOUT_MESSAGES:
        raise Malformed("the selected mailbox has events about messages only")
