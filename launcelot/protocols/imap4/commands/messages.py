"""What the commands on messages share: finding them by number or UID, and telling their flags."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, compress, repeat
from typing import TypeVar

from launcelot.mailstore.interface import MessageState
from launcelot.mailstore.statecolumns import columns_of
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.requests import Messages
from launcelot.protocols.imap4.session import Reply, Session, no
from launcelot.protocols.imap4.view import View

Key = TypeVar("Key")

ROWS = 5_000
"""Rows joined into one write."""

ROW_END = ")\r\n* "
"""Behind a row, with what the next one begins with."""

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
    session: Session, states: Sequence[MessageState], uid: bool, modseq: bool, silent: bool = False
) -> None:
    """
    One FETCH response for each message that is in view; of keywords the client has not heard of it is told before.

    :param states: ascending by UID.
    :param uid: whether UIDs are told, too; likewise ``modseq``.
    :param silent: whether flags are not.
    """
    view = session.view
    told = columns_of(states)
    if not silent:
        await session.tell_keywords(view, frozenset().union(*map(told.flags, set(told.keys))))
    for start in range(0, len(told), ROWS):
        some = told[start : start + ROWS]
        numbers = numbers_of(view, some.uids)
        columns: list[Iterable[str]] = [map(str, some.uids if session.uid_only else numbers)]
        opening = " UIDFETCH (" if session.uid_only else " FETCH ("
        ending = " MODSEQ (" if modseq else ROW_END
        if uid:
            columns += repeat(opening + "UID "), map(str, some.uids)
            opening = " "
        if silent:
            columns.append(repeat(opening.rstrip(" ") + ending if uid else opening + ending.lstrip(" ")))
        else:
            texts = flags_as_told(view, some.uids, some.keys, some.flags)
            whole = {text: f"{opening}FLAGS {text.decode('ascii')}{ending}" for text in set(texts)}
            columns.append(map(whole.__getitem__, texts))
        if modseq:
            columns += map(str, some.modseqs), repeat(")" + ROW_END)
        rows = zip(*columns, strict=False)
        text = "".join(chain.from_iterable(compress(rows, numbers) if 0 in numbers else rows))
        session.wire.write(f"* {text}"[:-2].encode("ascii"))
        await session.wire.drain()
        await session.breathe()


def numbers_of(view: View, uids: Sequence[int]) -> Sequence[int]:
    """The sequence numbers of some UIDs, 0 for one that is not in view; they are nearly always neighbours."""
    first = view.number(uids[0])
    if len(uids) == 1:
        return (first,)
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
