"""What the commands on messages share: finding them by number or UID, and telling their flags."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from launcelot.mailstore.interface import MessageState
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.requests import Messages
from launcelot.protocols.imap4.session import Reply, Session, no
from launcelot.protocols.imap4.view import View

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
    for start in range(0, len(told), ROWS):
        some = told[start : start + ROWS]
        uids = [state.uid for state in some]
        numbers = numbers_of(view, uids)
        flags = flags_of(view, uids, [state.flags for state in some])
        if uid or modseq or silent or session.uid_only:
            rows = [
                responses.state_row(number, state, None if silent else seen, uid, modseq, session.uid_only)
                for number, state, seen in zip(numbers, some, flags, strict=True)
                if number
            ]
        else:
            texts = {seen: responses.flags(seen) for seen in set(flags)}
            pairs = zip(numbers, [texts[seen] for seen in flags], strict=True)
            rows = [b"* %d FETCH (FLAGS %b)\r\n" % pair for pair in pairs if pair[0]]
        session.wire.write(b"".join(rows))
        await session.wire.drain()
        await session.breathe()


def numbers_of(view: View, uids: Sequence[int]) -> Sequence[int]:
    """The sequence numbers of some UIDs, 0 for one that is not in view; they are nearly always neighbours."""
    first = view.number(uids[0])
    if first and view.uids[first - 1 : first - 1 + len(uids)] == array("I", uids):
        return range(first, first + len(uids))
    return [view.number(uid) for uid in uids]


def flags_of(view: View, uids: Sequence[int], flags: Sequence[frozenset[str]]) -> Sequence[frozenset[str]]:
    """
    The flags a client sees.

    :param uids: ascending.
    """
    touched = [(low, high) for low, high in view.recent_ranges() if low <= uids[-1] and high >= uids[0]]
    if not touched:
        return flags
    if touched[0][0] <= uids[0] and touched[0][1] >= uids[-1]:
        seen = {one: view.flags_of(one, uids[0]) for one in set(flags)}
        return [seen[one] for one in flags]
    return [view.flags_of(one, uid) for one, uid in zip(flags, uids, strict=True)]
