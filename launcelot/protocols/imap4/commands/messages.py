"""What the commands on messages share: finding them by number or UID, and telling their flags."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import TypeVar

from launcelot.mailstore.interface import MessageState
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.requests import Messages
from launcelot.protocols.imap4.session import Reply, Session, no
from launcelot.protocols.imap4.view import View

Key = TypeVar("Key")

ROWS = 5_000
"""Rows joined into one write."""

EXPUNGED: Reply = no("Some of the messages no longer exist", b"EXPUNGEISSUED")
"""For commands with sequence numbers; with UIDs such messages are passed over.  RFC 2180 section 4, RFC 5530 section 3."""


def find(view: View, messages: Messages) -> Sequence[int]:
    """
    The UIDs of messages in view, ascending, each once.

    :raises Malformed: there is no message with one of the sequence numbers.  RFC 9051 section 6.4.
    """
    if messages.saved:
        return view.saved_uids()
    if messages.uid:
        return view.by_uid(messages.ranges)
    uids = view.by_number(messages.ranges)
    if uids is None:
        raise Malformed("no message with such a sequence number")
    return uids


async def write_flags(
    session: Session, states: Iterable[MessageState], uid: bool, modseq: bool, silent: bool = False
) -> None:
    """
    One FETCH response for each message that is in view.

    :param states: ascending by UID.
    :param uid: whether UIDs are told, too; likewise ``modseq``.
    :param silent: whether flags are not.
    """
    view = session.view
    told = list(states)
    items = [(b"UID %d", uid), (b"FLAGS %b", not silent), (b"MODSEQ (%d)", modseq)]
    words = b" ".join([words for words, wanted in items if wanted])
    template = (b"* %d UIDFETCH (" if session.uid_only else b"* %d FETCH (") + words + b")\r\n"
    for start in range(0, len(told), ROWS):
        uids, modseqs, flags = zip(*told[start : start + ROWS], strict=True)
        numbers = numbers_of(view, uids)
        columns: list[Iterable[object]] = [uids if session.uid_only else numbers]
        if uid:
            columns.append(uids)
        if not silent:
            columns.append(flags_as_told(view, uids, flags, frozenset))
        if modseq:
            columns.append(modseqs)
        rows = zip(*columns, strict=True)
        session.wire.write(b"".join(map(template.__mod__, compress(rows, numbers) if 0 in numbers else rows)))
        await session.wire.drain()
        await session.breathe()


def numbers_of(view: View, uids: Sequence[int]) -> Sequence[int]:
    """The sequence numbers of some UIDs, 0 for one that is not in view; they are nearly always neighbours."""
    first = view.number(uids[0])
    if first and view.uids[first - 1 : first - 1 + len(uids)] == array("I", uids):
        return range(first, first + len(uids))
    return [view.number(uid) for uid in uids]


def flags_as_told(
    view: View, uids: Sequence[int], keys: Sequence[Key], flags: Callable[[Key], frozenset[str]]
) -> Sequence[bytes]:
    """
    The flags a client sees, as it is told of them.

    :param uids: ascending.
    :param keys: for each message what ``flags`` turns into its flags; few of them are different.
    """
    touched = [(low, high) for low, high in view.recent_ranges() if low <= uids[-1] and high >= uids[0]]
    known = {key: flags(key) for key in set(keys)}
    if touched and not (touched[0][0] <= uids[0] and touched[0][1] >= uids[-1]):
        return [responses.flags(view.flags_of(known[key], uid)) for key, uid in zip(keys, uids, strict=True)]
    # Either all are recent or none is.
    texts = {key: responses.flags(view.flags_of(seen, uids[0])) for key, seen in known.items()}
    return [texts[key] for key in keys]
