"""What the commands on messages share: finding them by number or UID, and telling their flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launcelot.mailstore.interface import MessageState
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.requests import Messages
from launcelot.protocols.imap4.session import Reply, Session, no
from launcelot.protocols.imap4.view import View

ROWS = 500
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
    uids = view.uids
    place = 0
    rows: list[bytes] = []
    uid_only = session.uid_only
    no_recent = not view.recent_ranges()
    for state in states:
        number = state.uid
        while place < len(uids) and uids[place] < number:
            place += 1
        if place == len(uids) or uids[place] != number:
            continue
        flags = state.flags if no_recent else view.flags_of(state.flags, number)
        rows.append(responses.state_row(place + 1, state, None if silent else flags, uid, modseq, uid_only))
        if len(rows) == ROWS:
            session.wire.write(b"".join(rows))
            rows.clear()
            await session.wire.drain()
            await session.breathe()
    session.wire.write(b"".join(rows))
