"""
Messages from one account's file to another's.

The two files cannot share a transaction.  So all messages are added to the target in one transaction of its own, and only when
that is durable does whoever moves them take them from their source: a crash in between leaves them in both, never in none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from launcelot.core.errors import LimitReached
from launcelot.mailstore.interface import Copied, Draft, Mailbox, Message
from launcelot.workers.staging import Buffer, Staging

MAX_CARRIED = 1 << 30
"""Octets carried at once."""
PIECE = 262_144
"""Octets read at a time."""


async def carry(
    source: Mailbox, uids: Sequence[int], target: Mailbox, staging: Staging, breathe: Callable[[], Awaitable[None]]
) -> Copied:
    """
    Add copies of messages to a mailbox of another account, with flags and dates; all or none.

    :param breathe: awaited between pieces, so that others have their turn.
    :raises Gone: a message has been removed meanwhile; nothing was added, nor is by any other refusal.
    :raises LimitReached: they are more than :data:`MAX_CARRIED`.
    """
    staged = staging.begin()
    found: list[tuple[int, int, int, Message]] = []
    try:
        async for batch in source.messages(uids):
            for message in batch:
                start = staged.size
                if start + message.size > MAX_CARRIED:
                    raise LimitReached("too much to copy between accounts at once")
                for offset in range(0, message.size, PIECE):
                    await staged.write(await source.read(message.uid, offset, min(PIECE, message.size - offset)))
                    await breathe()
                found.append((message.uid, start, staged.size, message))
        if not found:
            return Copied(0, (), ())
        view = staged.view()
        appended = await target.append_all(
            [
                Draft(piece(view, start, end), end - start, message.flags, message.internal_date)
                for _, start, end, message in found
            ]
        )
    finally:
        staged.close()
    return Copied(appended[0].uid_validity, tuple(uid for uid, *_ in found), tuple(one.uid for one in appended))


def piece(view: Buffer, start: int, end: int) -> Callable[[], Buffer]:
    """Gives some octets of what has been staged."""
    return lambda: view[start:end]
