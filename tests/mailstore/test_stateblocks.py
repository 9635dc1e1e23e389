"""Blocks of flags and MODSEQs against a dictionary that is changed message by message."""

from __future__ import annotations

import random
import sqlite3
from array import array
from collections.abc import Callable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.flags import DELETED, SEEN, SYSTEM_COUNT, Keywords, combine
from launcelot.mailstore.interface import MessageState, StoreMode
from launcelot.mailstore.query import All, And, Flagged, ModSeq, Not, Or, Query
from launcelot.mailstore.schema import MIGRATIONS
from launcelot.mailstore.sqlsheets import ascending
from launcelot.mailstore.sqlstates import (
    blocks_above,
    blocks_between,
    blocks_with,
    choose,
    columns_of,
    deleted_uids,
    first_unseen,
    is_of_states,
    keep,
    matching,
    states_above,
    states_of_uids,
    whole,
)
from launcelot.mailstore.stateblocks import SPAN, Block, block_of, empty, number_of, numbers, packed
from launcelot.mailstore.statecolumns import LateColumns, StateColumns
from launcelot.mailstore.statecolumns import columns_of as columns_of_states
from launcelot.workers.database import migrate

States = dict[int, tuple[int, int]]
"""MODSEQ and mask by UID."""
MODES = (StoreMode.ADD, StoreMode.REMOVE, StoreMode.REPLACE)
GIVEN = (0, SEEN, DELETED | 1, 4 << SYSTEM_COUNT, SEEN | 1 << SYSTEM_COUNT + 63)


def states_in(block: Block) -> States:
    """What a block holds."""
    columns = whole([block])
    return {uid: (modseq, mask) for uid, modseq, mask in zip(*columns, strict=True)}


class BlockTests(SynchronousTestCase):
    """One block."""

    def assert_same(self, block: Block, states: States) -> None:
        """It holds these, counts them right, and is what would be made of them at once."""
        self.assertEqual(states_in(block), states)
        masks = [mask for _, mask in states.values()]
        self.assertEqual(
            (block.messages, block.unseen, block.deleted),
            (len(masks), sum(not mask & SEEN for mask in masks), sum(bool(mask & DELETED) for mask in masks)),
        )
        self.assertGreaterEqual(block.modseq, max((modseq for modseq, _ in states.values()), default=0))
        self.assertEqual(list(block.uids()), sorted(states))
        if states:
            made = block_of(block.number, [(uid, *state) for uid, state in states.items()])
            self.assertEqual(states_in(made), states)

    def play(self, seed: int) -> None:
        """Random changes."""
        dice = random.Random(seed)
        number, modseq, next_uid = dice.choice([0, 1, 4_000_000]), dice.choice([1, 250, 1 << 40]), 0
        block, states = empty(number), States()
        for _ in range(40):
            modseq += dice.choice([1, 1, 300, 70_000])
            kind = dice.randrange(5) if states else 0
            if kind == 0 and next_uid < SPAN:
                next_uid += dice.choice([0, 0, 3])
                slots = range(min(next_uid, SPAN - 1), min(next_uid + dice.choice([1, 5, 60]), SPAN))
                masks = [dice.choice([0, 1, SEEN, SEEN | 1 << SYSTEM_COUNT, 1 << SYSTEM_COUNT + 63]) for _ in slots]
                block = block.added(slots, masks, modseq)
                states.update({block.first + slot: (modseq, mask) for slot, mask in zip(slots, masks, strict=True)})
                next_uid = slots[-1] + 1
            elif kind == 1:
                gone = dice.sample(sorted(states), dice.randint(1, len(states)) if dice.random() < 0.1 else 1)
                block = block.without([uid - block.first for uid in gone])
                states = {uid: state for uid, state in states.items() if uid not in gone}
            else:
                mode, given = dice.choice(MODES), dice.choice(GIVEN)
                among = None if dice.random() < 0.5 else sorted(dice.sample(sorted(states), dice.randint(1, len(states))))
                before = block
                block = block.stored(mode, given, modseq, None if among is None else [uid - block.first for uid in among])
                changed = False
                for uid in states if among is None else among:
                    mask = combine(states[uid][1], mode, given)
                    if mask != states[uid][1]:
                        states[uid], changed = (modseq, mask), True
                self.assertEqual(block is before, not changed)
            self.assert_same(block, states)

    def test_random_changes(self) -> None:
        """Every flag and every MODSEQ is that of the dictionary, step by step; what changes nothing gives the same block."""
        for seed in range(40):
            self.play(seed)

    def test_all_messages_cost_an_octet_each(self) -> None:
        """As long as none has a keyword and all were changed together."""
        block = empty(0).added(range(SPAN), [0] * SPAN, 7).stored(StoreMode.ADD, SEEN, 8)
        self.assertEqual((len(block.flags), block.keywords, block.modseqs, block.modseq), (SPAN, b"", b"", 8))

    def test_numbers_of_each_width(self) -> None:
        """They come back, and what is no such row is refused, not read beyond its end."""
        for highest in (0, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 64) - 1):
            values = [highest, 0, 1]
            self.assertEqual(list(numbers(packed(values), 3)), values)
        for octets, count in ((b"abcd", 3), (b"abc", 1), (b"a", 0), (b"ab" * 8, 1)):
            self.assertRaises(sqlite3.OperationalError, numbers, octets, count)


class RowTests(SynchronousTestCase):
    """Blocks of a mailbox in a file."""

    def setUp(self) -> None:
        """Messages with gaps in several blocks, and in one far away."""
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(self.connection.close)
        migrate(self.connection, MIGRATIONS)
        dice = random.Random(5)
        uids = [*range(1, 300), *range(520, 600, 3), 100_000]
        self.keywords = Keywords({0: "$a", 40: "$b"})
        masks = [0, SEEN, SEEN | DELETED, 1, 1 << SYSTEM_COUNT, SEEN | 1 << SYSTEM_COUNT + 40]
        self.states = {uid: (dice.randint(2, 900), SEEN if uid < 30 else dice.choice(masks)) for uid in uids}
        for number in sorted({number_of(uid) for uid in uids}):
            some = [(uid, *state) for uid, state in self.states.items() if number_of(uid) == number]
            keep(self.connection, 3, [block_of(number, some)])
            keep(self.connection, 4, [block_of(number, [(uid, 999, DELETED) for uid, *_ in some])])

    def right(self, uids: Sequence[int]) -> list[tuple[int, int, int]]:
        """UID, MODSEQ and mask of those that are there."""
        return [(uid, *self.states[uid]) for uid in sorted(uids) if uid in self.states]

    def test_states_of_some(self) -> None:
        """Of neighbours, of few that lie far apart, of what is not there."""
        dice = random.Random(6)
        for uids in (
            [1], [299, 300, 301], [600], range(1, 300), range(1, 200_000), [2, 70_000, 100_000], [0xFFFF_FFFF],
            *[sorted(dice.sample(range(1, 700), dice.randint(1, 500))) for _ in range(30)],
        ):  # fmt: skip
            columns = states_of_uids(self.connection, 3, uids)
            self.assertEqual(list(zip(*columns, strict=True)), self.right(uids))
        self.assertEqual(list(states_of_uids(self.connection, 3, []).uids), [])

    def test_states_since(self) -> None:
        """Those whose MODSEQ is higher."""
        for since in (0, 1, 450, 890, 900):
            columns = states_above(self.connection, 3, since)
            right = [row for row in self.right(list(self.states)) if row[1] > since]
            self.assertEqual(list(zip(*columns, strict=True)), right)
        self.assertEqual(len(blocks_above(self.connection, 3, 0, 2)), 2)

    def test_choose_leaves_alone_what_has_changed(self) -> None:
        """By the MODSEQ of each message."""
        uids = list(range(5, 560))
        chosen, alone = choose(blocks_with(self.connection, 3, uids), uids, 400)
        right = self.right(uids)
        self.assertEqual(alone, [uid for uid, modseq, _ in right if modseq > 400])
        self.assertEqual(list(columns_of(chosen).uids), [uid for uid, modseq, _ in right if modseq <= 400])

    def test_first_unseen_and_deleted(self) -> None:
        """Of this mailbox alone."""
        rows = self.right(list(self.states))
        self.assertEqual(first_unseen(self.connection, 3), next(uid for uid, _, mask in rows if not mask & SEEN))
        self.assertEqual(deleted_uids(self.connection, 3), [uid for uid, _, mask in rows if mask & DELETED])
        self.assertEqual((first_unseen(self.connection, 9), deleted_uids(self.connection, 9)), (0, []))

    def test_blocks_without_messages_are_removed(self) -> None:
        """From the file."""
        blocks = blocks_between(self.connection, 3)
        keep(self.connection, 3, [block.without(None) for block in blocks[1:]])
        self.assertEqual([block.number for block in blocks_between(self.connection, 3)], [0])

    def test_matching(self) -> None:
        """Flags, keywords and MODSEQs, and what joins them."""
        seen, flagged, low, high = Flagged("\\Seen"), Flagged("\\ANSWERED"), Flagged("$A"), Flagged("$b")
        queries: list[Query] = [
            All(), seen, flagged, low, high, Flagged("$unknown"), Not(seen), Not(high), Not(Flagged("$unknown")), ModSeq(500),
            ModSeq(10_000), Not(ModSeq(500)), And((seen, low)), Or((high, low)), And(()), Or(()),
            Not(Or((And((seen, ModSeq(300))), Not(high)))),
        ]  # fmt: skip
        for query in queries:
            self.assertTrue(is_of_states(query))
            right = [row[0] for row in self.right(list(self.states)) if self.holds(query, row[1], row[2])]
            self.assertEqual(matching(self.connection, 3, query, self.keywords), right, query)

    def holds(self, query: Query, modseq: int, mask: int) -> bool:
        """The plain version."""
        if isinstance(query, Flagged):
            return bool(mask & self.keywords.bit(query.flag))
        if isinstance(query, ModSeq):
            return modseq >= query.lowest
        if isinstance(query, Not):
            return not self.holds(query.query, modseq, mask)
        if isinstance(query, And):
            return all(self.holds(one, modseq, mask) for one in query.queries)
        return not isinstance(query, Or) or any(self.holds(one, modseq, mask) for one in query.queries)


class ColumnTests(SynchronousTestCase):
    """States column by column."""

    def test_they_are_a_sequence_of_states(self) -> None:
        """One by one, in slices, compared, and back."""
        states = [MessageState(uid, uid * 2, frozenset({"\\Seen"} if uid % 2 else ())) for uid in range(1, 8)]
        columns = columns_of_states(states)
        self.assertEqual(list(columns), states)
        self.assertEqual((columns[2], columns[-1], len(columns)), (states[2], states[-1], 7))
        self.assertEqual(columns[2:5], states[2:5])
        self.assertIsInstance(columns[2:5], StateColumns)
        self.assertEqual(repr(columns), repr(states))
        self.assertNotEqual(columns, states[1:])
        self.assertIs(columns_of_states(columns), columns)

    def test_late_ones_are_made_once(self) -> None:
        """When somebody looks, and not for their number."""
        made: list[int] = []

        def make() -> tuple[list[int], list[int], list[int], Callable[[int], frozenset[str]]]:
            made.append(1)
            return [1, 2], [5, 6], [0, 1], lambda key: frozenset({"\\Seen"} if key else ())

        columns = LateColumns(2, make)
        self.assertEqual((len(columns), made), (2, []))
        self.assertEqual(list(columns), [MessageState(1, 5, frozenset()), MessageState(2, 6, frozenset({"\\Seen"}))])
        self.assertEqual((columns[1].modseq, columns.uids, made), (6, [1, 2], [1]))
        self.assertFalse(hasattr(columns, "other"))


class AscendingTests(SynchronousTestCase):
    """UIDs as they are worked on."""

    def test_each_once_in_order(self) -> None:
        """However they come."""
        for given in ([], [3], [1, 2, 3], [1, 1, 3], [3, 2, 1], [1, 3], [2, 2], [1, 3, 2, 4], range(4, 9), range(1, 9, 2)):
            for uids in (given, array("I", given), iter(given), set(given)):
                self.assertEqual(list(ascending(uids)), sorted(set(given)))
