"""
Flags and MODSEQs in an account's mail file: rows of ``states``, each a :class:`~launcelot.mailstore.stateblocks.Block`.

What has happened since a MODSEQ is found by the highest of each block, so no message costs an entry in an index; counts of
unseen and deleted messages stand beside each block and lead to those messages.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import compress, groupby
from operator import or_
from sqlite3 import Connection
from typing import NamedTuple

from launcelot.mailstore.flags import SYSTEM_COUNT, Keywords
from launcelot.mailstore.query import All, And, Flagged, ModSeq, Not, Or, Query
from launcelot.mailstore.stateblocks import (
    HAVING,
    MARKED,
    PRESENT,
    SPAN,
    UNSEEN,
    Block,
    block_of,
    empty,
    first_of,
    number_of,
)
from launcelot.mailstore.statecolumns import StateColumns

LARGEST_UID = 0xFFFF_FFFF


# -- rows --------------------------------------------------------------------------------------------------------------


def blocks_between(
    connection: Connection, mailbox: int, low: int = 1, high: int = LARGEST_UID, schema: str = "main"
) -> list[Block]:
    """
    Blocks that have UIDs from ``low`` to ``high``, ascending.

    :param schema: which file, where another one is attached.
    """
    begin = _BLOCKS.replace("FROM ", f"FROM {schema}.")
    rows = connection.execute(f"{begin} AND block BETWEEN ? AND ? ORDER BY block", (mailbox, number_of(low), number_of(high)))
    return list(map(Block._make, rows))


def blocks_with(connection: Connection, mailbox: int, uids: Sequence[int]) -> list[Block]:
    """Blocks of some UIDs, which ascend."""
    if not uids:
        return []
    low, high = max(uids[0], 1), min(uids[-1], LARGEST_UID)
    if number_of(high) - number_of(low) <= len(uids):
        return blocks_between(connection, mailbox, low, high)
    wanted = dict.fromkeys(number_of(uid) for uid in uids if low <= uid <= high)
    found = [connection.execute(f"{_BLOCKS} AND block = ?", (mailbox, number)).fetchone() for number in wanted]
    return [Block._make(row) for row in found if row is not None]


def blocks_above(connection: Connection, mailbox: int, modseq: int, most: int = -1) -> list[Block]:
    """Blocks in which something happened after a MODSEQ, ascending; at most so many."""
    rows = connection.execute(f"{_BLOCKS} AND modseq > ? ORDER BY block LIMIT ?", (mailbox, modseq, most))
    return list(map(Block._make, rows))


def block_at(connection: Connection, mailbox: int, number: int) -> Block:
    """One block, empty if there is none."""
    row = connection.execute(f"{_BLOCKS} AND block = ?", (mailbox, number)).fetchone()
    return empty(number) if row is None else Block._make(row)


def keep(connection: Connection, mailbox: int, blocks: Sequence[Block]) -> tuple[int, int]:
    """Write blocks, or remove those that have no message any more; how many are unseen and deleted in them."""
    rows = [(mailbox, block.unseen, block.deleted, *block) for block in blocks]
    if len(rows) == 1 and blocks[0].messages:
        connection.execute(_KEEP, rows[0])
    else:
        connection.executemany(_KEEP, [row for row, block in zip(rows, blocks, strict=True) if block.messages])
        empty_ones = [(mailbox, block.number) for block in blocks if not block.messages]
        connection.executemany("DELETE FROM states WHERE mailbox = ? AND block = ?", empty_ones)
    return sum([row[1] for row in rows]), sum([row[2] for row in rows])


def first_unseen(connection: Connection, mailbox: int) -> int:
    """The lowest UID that is unseen; 0 if there is none."""
    row = connection.execute(_FIRST_UNSEEN, (mailbox,)).fetchone()
    return 0 if row is None else first_of(row[0]) + int(row[1].translate(UNSEEN).find(1))


def deleted_uids(connection: Connection, mailbox: int) -> list[int]:
    """UIDs of messages marked as deleted, ascending."""
    rows = connection.execute(f"{_BLOCKS} AND deleted > 0 ORDER BY block", (mailbox,))
    found: list[int] = []
    for block in map(Block._make, rows):
        found += compress(range(block.first, block.first + len(block.flags)), block.flags.translate(MARKED))
    return found


def make_states(connection: Connection, source: str) -> None:
    """
    Make blocks from rows of single messages; blocks that are there stay as they are.

    :param source: a table with ``mailbox``, ``uid``, ``modseq``, ``flags`` and ``keywords``.
    """
    rows = connection.execute(f"SELECT mailbox, uid, modseq, flags, keywords FROM {source} ORDER BY mailbox, uid")
    for (mailbox, number), some in groupby(rows, key=lambda row: (row[0], number_of(row[1]))):
        found = [(uid, modseq, flags | (words & _KEYWORD_BITS) << SYSTEM_COUNT) for _, uid, modseq, flags, words in some]
        block = block_of(number, found)
        connection.execute(f"INSERT OR IGNORE {_INTO}", (mailbox, block.unseen, block.deleted, *block))


# -- columns -----------------------------------------------------------------------------------------------------------


class Columns(NamedTuple):
    """UIDs, MODSEQs and masks of messages, ascending by UID."""

    uids: Sequence[int]
    modseqs: Sequence[int]
    masks: Sequence[int]

    def states(self, keywords: Keywords) -> StateColumns:
        """As others see them."""
        return StateColumns(*self, keywords.flags)

    def where(self, chosen: Sequence[bool]) -> Columns:
        """Those that are chosen."""
        if all(chosen):
            return self
        return Columns(*(list(compress(column, chosen)) for column in self))


Chosen = tuple[Block, Sequence[int] | None]
"""A block and slots of messages in it, ascending; None for all of them."""


def choose(blocks: Iterable[Block], uids: Sequence[int], unchanged_since: int | None) -> tuple[list[Chosen], list[int]]:
    """
    The messages that a change is about.

    :param uids: ascending.
    :param unchanged_since: messages with a higher MODSEQ are not.
    :returns: what is there of them, and the UIDs of those that have a higher MODSEQ.
    """
    chosen: list[Chosen] = []
    alone: list[int] = []
    for block in blocks:
        first = block.first
        slots = block.slots_of(uids[bisect_left(uids, first) : bisect_left(uids, first + SPAN)])
        if unchanged_since is not None and block.modseq > unchanged_since:
            modseqs = block.every_modseq()
            some = block.slots() if slots is None else slots
            alone += [first + slot for slot in some if modseqs[slot] > unchanged_since]
            slots = [slot for slot in some if modseqs[slot] <= unchanged_since]
        if slots is None or slots:
            chosen.append((block, slots))
    return chosen, alone


def columns_of(chosen: Iterable[Chosen]) -> Columns:
    """Messages of some blocks, which ascend."""
    uids, modseqs = array("I"), array("Q")
    masks: list[Sequence[int]] = []
    for block, slots in chosen:
        every, all_masks = block.every_modseq(), block.masks()
        first, length = block.first, len(block.flags)
        if slots is None and block.is_gapless:
            uids.extend(range(first, first + length))
            modseqs.extend(every)
            masks.append(all_masks)
            continue
        some = block.slots() if slots is None else slots
        uids.extend([first + slot for slot in some])
        modseqs.extend([every[slot] for slot in some])
        found = [all_masks[slot] for slot in some]
        masks.append(found if block.keywords else bytes(found))
    return Columns(uids, modseqs, _joined(masks))


def _joined(pieces: Sequence[Sequence[int]]) -> Sequence[int]:
    """Masks of several blocks as one, as octets if none has keywords."""
    if all(isinstance(piece, bytes) for piece in pieces):
        return b"".join(pieces)  # type: ignore[arg-type]
    return [mask for piece in pieces for mask in piece]


def whole(blocks: Iterable[Block]) -> Columns:
    """All messages of some blocks, which ascend."""
    return columns_of((block, None) for block in blocks)


def masks_of(connection: Connection, mailbox: int) -> int:
    """All flags together that any message has."""
    mask = 0
    for block in blocks_between(connection, mailbox):
        # Where a message was, its keywords still stand.
        mask = reduce(or_, compress(block.masks(), block.flags), mask)
    return mask


def states_of_uids(connection: Connection, mailbox: int, uids: Sequence[int]) -> Columns:
    """States of those messages among ``uids``, which ascend, that are there."""
    chosen, _ = choose(blocks_with(connection, mailbox, uids), uids, None)
    return columns_of(chosen)


def states_above(connection: Connection, mailbox: int, modseq: int) -> Columns:
    """States of messages with a higher MODSEQ."""
    found = whole(blocks_above(connection, mailbox, modseq))
    return found.where([one > modseq for one in found.modseqs])


# -- searching ---------------------------------------------------------------------------------------------------------


def is_of_states(query: Query) -> bool:
    """Whether a query asks for nothing but flags and MODSEQs; it must not be deep."""
    if isinstance(query, Not):
        return is_of_states(query.query)
    if isinstance(query, And | Or):
        return all(map(is_of_states, query.queries))
    return isinstance(query, All | Flagged | ModSeq)


def matching(connection: Connection, mailbox: int, query: Query, keywords: Keywords) -> list[int]:
    """UIDs of messages that fulfil a query of which :func:`is_of_states` says yes, ascending."""
    found: list[int] = []
    for block in blocks_between(connection, mailbox):
        length = len(block.flags)
        there = _number(block.flags.translate(PRESENT))
        chosen = (_holds(block, query, keywords) & there).to_bytes(length, "little")
        found += compress(range(block.first, block.first + length), chosen)
    return found


def _number(octets: bytes) -> int:
    """An octet for each slot as one number, so that all slots are worked on at once."""
    return int.from_bytes(octets, "little")


def _holds(block: Block, query: Query, keywords: Keywords) -> int:
    """An octet of 1 for each slot where a query holds; what stands at slots without a message means nothing."""
    return _SAYERS[type(query)](block, query, keywords)


def _all(block: Block, query: Query, keywords: Keywords) -> int:
    return _number(b"\1" * len(block.flags))


def _flagged(block: Block, query: Flagged, keywords: Keywords) -> int:
    bit = keywords.bit(query.flag)
    if bit in HAVING:
        return _number(block.flags.translate(HAVING[bit]))
    if not bit or not block.keywords:
        return 0
    return _number(bytes(mask & bit != 0 for mask in block.masks()))


def _modseq(block: Block, query: ModSeq, keywords: Keywords) -> int:
    if block.modseq < query.lowest:
        return 0
    return _number(bytes(modseq >= query.lowest for modseq in block.every_modseq()))


def _not(block: Block, query: Not, keywords: Keywords) -> int:
    return _all(block, query, keywords) & ~_holds(block, query.query, keywords)


def _and(block: Block, query: And, keywords: Keywords) -> int:
    found = _all(block, query, keywords)
    for inner in query.queries:
        found &= _holds(block, inner, keywords)
    return found


def _or(block: Block, query: Or, keywords: Keywords) -> int:
    found = 0
    for inner in query.queries:
        found |= _holds(block, inner, keywords)
    return found


_KEYWORD_BITS = (1 << 64) - 1
_NAMES = "block, modseq, base, flags, keywords, modseqs"
_BLOCKS = f"SELECT {_NAMES} FROM states WHERE mailbox = ?"
_INTO = f"INTO states (mailbox, unseen, deleted, {_NAMES}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_KEEP = f"INSERT OR REPLACE {_INTO}"
_FIRST_UNSEEN = "SELECT block, flags FROM states WHERE mailbox = ? AND unseen > 0 ORDER BY block LIMIT 1"
_SAYERS: Mapping[type, Callable[..., int]] = {
    All: _all,
    Flagged: _flagged,
    ModSeq: _modseq,
    Not: _not,
    And: _and,
    Or: _or,
}
