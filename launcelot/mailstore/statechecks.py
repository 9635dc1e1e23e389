"""
What ``states`` must say: each message has its flags and MODSEQ there and nobody else has, and what is counted is right.

A message without flags gets none and counts as changed; no message is lost for the sake of its flags.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby

from launcelot.mailstore import sqlstates
from launcelot.mailstore.findings import Finding
from launcelot.mailstore.sqlwriting import Writing
from launcelot.mailstore.stateblocks import SPAN, THERE, Block, block_of, number_of

State = tuple[int, int, int]
"""UID, MODSEQ and mask."""


def states(connection: sqlite3.Connection, writing: Writing | None) -> Iterator[Finding]:
    """Each message of a mailbox has its state, and each state its message."""
    mailboxes = connection.execute("SELECT number, name, modseq FROM mailboxes ORDER BY number").fetchall()
    for number, name, modseq in mailboxes:
        uids = [uid for (uid,) in connection.execute("SELECT uid FROM messages WHERE mailbox = ? ORDER BY uid", (number,))]
        wanted = {block: list(some) for block, some in groupby(uids, key=number_of)}
        rows = {row[2]: row for row in connection.execute(f"{_ROWS} WHERE mailbox = ?", (number,)).fetchall()}
        said: list[str] = []
        for block in sorted({*wanted, *rows}):
            problem, right = _compared(rows.get(block), wanted.get(block, []), modseq + 1)
            if problem:
                said.append(problem)
            if problem and writing is not None:
                _put(writing, number, block, right, modseq + 1)
        for problem in dict.fromkeys(said):
            yield Finding("flags", f"{said.count(problem)} blocks of {name} {problem}", writing is not None)


def _compared(row: Sequence[object] | None, uids: Sequence[int], modseq: int) -> tuple[str, list[State]]:
    """What is wrong with a block, or nothing; and what its messages are to have."""
    block = _readable(row)
    found = {} if block is None else _states_in(block)
    right = [found.get(uid, (uid, modseq, 0)) for uid in uids]
    if row is None:
        return "are missing", right
    if block is None:
        return "cannot be read", right
    if any(uid not in found for uid in uids):
        return "lack messages", right
    if len(found) > len(uids):
        return "have messages that are not there", right
    if row[-1] != "blobblobblob":
        return "are marked as something else", right  # A flipped bit in the row's head; the store would break on them.
    counted = (sum(1 for octet in block.flags if octet and not octet & THERE), *row[:2])
    # The highest MODSEQ may be that of a message which has gone since.
    if counted != (0, block.unseen, block.deleted) or block.modseq < max(modseq for _, modseq, _ in right):
        return "are counted wrong", right
    return "", right


def _readable(row: Sequence[object] | None) -> Block | None:
    if row is None:
        return None
    block = Block(*row[2:8])  # type: ignore[arg-type]
    octets = (block.flags, block.keywords, block.modseqs)
    if not all(isinstance(one, bytes) for one in octets) or not all(isinstance(one, int) for one in (block.modseq, block.base)):
        return None
    length = len(block.flags)
    widths = {length * width for width in (0, 1, 2, 4, 8)}
    return block if 0 < length <= SPAN and {len(block.keywords), len(block.modseqs)} <= widths else None


def _states_in(block: Block) -> dict[int, State]:
    columns = zip(block.flags, block.every_modseq(), block.masks(), strict=True)
    return {
        uid: (uid, modseq, mask)
        for uid, (octet, modseq, mask) in enumerate(columns, block.first)
        if octet & THERE and 0 < modseq <= _LARGEST
    }


def _put(writing: Writing, mailbox: int, number: int, right: list[State], modseq: int) -> None:
    connection = writing.connection
    connection.execute("DELETE FROM states WHERE mailbox = ? AND block = ?", (mailbox, number))
    if right:
        sqlstates.keep(connection, mailbox, [block_of(number, right)])
    connection.execute("UPDATE mailboxes SET modseq = max(modseq, ?) WHERE number = ?", (modseq, mailbox))
    writing.touched.add(mailbox)


_LARGEST = (1 << 63) - 1
_ROWS = """
    SELECT unseen, deleted, block, modseq, base, CAST(flags AS BLOB), CAST(keywords AS BLOB), CAST(modseqs AS BLOB),
        typeof(flags) || typeof(keywords) || typeof(modseqs)
    FROM states
"""
