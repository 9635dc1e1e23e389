"""
Some columns of many messages at once: what a listing of a whole mailbox is made from.

A :class:`~launcelot.mailstore.interface.Message` for each row costs several times what its octets do; columns of ten thousand
are fetched in a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from launcelot.message.sections import header_subset

WHOLE = 65_536
"""Octets of a message that is given out whole; larger ones are read in pieces."""

COMMON_FIELDS = frozenset(
    b"""
    date from sender reply-to to cc bcc subject message-id in-reply-to references content-type content-description newsgroups
    priority x-priority importance lines list-id list-post list-subscribe list-unsubscribe x-label x-original-to
    disposition-notification-to
    """.split()
)
"""Names of fields in small letters: what Thunderbird, Roundcube, mutt and their like list a mailbox with."""


class Column(Enum):
    """
    What can be asked of messages.

    ``FLAGS`` is a key that only :attr:`Sheet.flags` understands; ``ARRIVED`` and ``SAVED`` are seconds since 1970, ``ZONE``
    minutes east of UTC.  ``OCTETS`` are the whole message and ``HEADER`` its header, None for one of more than
    :data:`WHOLE`.  The ones before are those of :class:`~launcelot.mailstore.interface.Message`.  From ``DATE`` on they are what
    messages are put in order by, RFC 5256 section 2: seconds since 1970 by the message itself, or of its arrival; subject and
    base subject, decoded and folded; folded addr-mailboxes of the first addresses; its own message id, empty if it has none, and
    those it names, each on a line.
    """

    __hash__ = object.__hash__  # Enum's own is written in Python, and asked many times for each command.

    MODSEQ = "modseq"
    FLAGS = "flags"
    SIZE = "size"
    ARRIVED = "arrived"
    ZONE = "zone"
    SAVED = "saved"
    EMAIL_ID = "email id"
    THREAD_ID = "thread id"
    ENVELOPE = "envelope"
    BODY = "body"
    BODY_STRUCTURE = "body structure"
    HEADER_SIZE = "header size"
    OCTETS = "octets"
    HEADER = "header"
    DATE = "date"
    SUBJECT = "subject"
    BASE_SUBJECT = "base subject"
    SORT_FROM = "sort from"
    SORT_TO = "sort to"
    SORT_CC = "sort cc"
    MESSAGE_ID = "message id"
    REFERENCES = "references"


@dataclass(frozen=True, slots=True)
class Fields:
    """
    Some fields of a header, as :func:`launcelot.message.sections.header_subset` gives them; None where that has more than
    :data:`WHOLE` octets.

    Of :data:`COMMON_FIELDS` alone they are had soonest.

    :ivar names: in small letters.
    """

    names: frozenset[bytes]


Asked = Column | Fields
"""What can be a column of a sheet."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """
    Some messages.

    :ivar columns: their UIDs, ascending, then what was asked for, in that order; all of one length.
    :ivar flags: the flags behind a value of ``FLAGS``.
    """

    columns: Sequence[Sequence[Any]]
    flags: Callable[[Any], frozenset[str]]

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def rows(self) -> Sequence[tuple[Any, ...]]:
        """What is told of each message."""
        return list(zip(*self.columns, strict=True))


def subsets(headers: Sequence[bytes | None], names: Collection[bytes]) -> Sequence[bytes | None]:
    """A column of :class:`Fields` from whole headers."""
    return [None if header is None else header_subset(header, names, False) for header in headers]
