"""Sets of mailboxes by description.  RFC 5465 section 6, RFC 7377 section 2.2."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from enum import Enum

from launcelot.protocols.imap4.grammar.mailboxnames import read_any_mailbox
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader

MAX_MAILBOXES = 1_000
"""Names in one description."""


class Scope(Enum):
    """How mailboxes are described."""

    SELECTED = b"SELECTED"
    SELECTED_DELAYED = b"SELECTED-DELAYED"
    INBOXES = b"INBOXES"
    PERSONAL = b"PERSONAL"
    SUBSCRIBED = b"SUBSCRIBED"
    SUBTREE = b"SUBTREE"
    SUBTREE_ONE = b"SUBTREE-ONE"
    MAILBOXES = b"MAILBOXES"


NAMING = frozenset({Scope.SUBTREE, Scope.SUBTREE_ONE, Scope.MAILBOXES})
"""Those that go with names."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One description, with the names that belong to it; wildcards stand for themselves."""

    scope: Scope
    mailboxes: tuple[str, ...] = ()


def read_filter(reader: Reader, lawful: Set[Scope]) -> Filter:
    """
    ``filter-mailboxes``.

    :param lawful: what may stand here.
    """
    try:
        scope = Scope(reader.word())
    except ValueError:
        raise Malformed("unknown description of mailboxes") from None
    if scope not in lawful:
        raise Malformed("description of mailboxes does not belong here")
    if scope not in NAMING:
        return Filter(scope)
    reader.space()
    if reader.peek() == b"(":
        return Filter(scope, tuple(dict.fromkeys(reader.list(lambda: read_any_mailbox(reader), MAX_MAILBOXES))))
    return Filter(scope, (read_any_mailbox(reader),))
