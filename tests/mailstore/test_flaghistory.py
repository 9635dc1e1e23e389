"""What is known of the last changes of flags."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.flaghistory import FEW, KEPT, FlagHistory, joined
from launcelot.mailstore.flags import sort_out
from launcelot.mailstore.interface import MessageState, Stored, StoreMode

ADD = StoreMode.ADD
SEEN, DRAFT = sort_out(["\\Seen"]), sort_out(["\\Draft", "$Work"])


class FlagHistoryTests(SynchronousTestCase):
    """Changes of two mailboxes."""

    def test_only_what_follows_without_a_gap(self) -> None:
        """A MODSEQ that is not known ends what is; other mailboxes are their own."""
        history = FlagHistory()
        for modseq in (5, 6, 8):
            history.note(1, modseq, ADD, SEEN, [1])
        history.note(2, 7, ADD, SEEN, [1])
        self.assertEqual(history.untouched(1, [1, 2], 4, DRAFT), ([1, 2], 6))
        self.assertEqual(history.untouched(1, [1, 2], 4, SEEN), ([2], 6))
        self.assertEqual(history.untouched(1, [1, 2], 4, SEEN, 5), ([2], 6))
        self.assertEqual(history.untouched(1, [1, 2], 5, SEEN, 6), ([1, 2], 6))
        self.assertEqual(history.untouched(1, [1, 2], 7, SEEN), ([2], 8))
        for since in (0, 3, 6, 8):
            self.assertEqual(history.untouched(1, [1, 2], since, DRAFT), ([], since))
        history.clear()
        self.assertEqual(history.untouched(1, [1], 4, DRAFT), ([], 4))

    def test_many_messages_are_all(self) -> None:
        """A change of many concerns every message, as far as its flags go."""
        history = FlagHistory()
        history.note(1, 2, ADD, DRAFT, range(1, FEW + 2))
        self.assertEqual(history.untouched(1, [1, 99], 1, sort_out(["$WORK"])), ([], 2))
        self.assertEqual(history.untouched(1, [1, 99], 1, SEEN), ([1, 99], 2))

    def test_memory_is_bounded(self) -> None:
        """The oldest go."""
        history = FlagHistory()
        for modseq in range(1, KEPT + 3):
            history.note(1, modseq, ADD, SEEN, [1])
        self.assertEqual(history.untouched(1, [2], 1, SEEN), ([], 1))
        self.assertEqual(history.untouched(1, [2], 2, SEEN), ([2], KEPT + 2))

    def test_two_attempts_as_one(self) -> None:
        """Each message once; one MODSEQ only if just one of them has changed anything."""
        one, two, three = (MessageState(uid, 9, frozenset()) for uid in (1, 2, 3))
        found = joined(Stored([one, three], [2, 4, 5], 0), Stored([two], [5], 7), [2, 5])
        self.assertEqual(found, Stored([one, two, three], [4, 5], 7))
        self.assertEqual(joined(Stored([one], [2], 6), Stored([two], [], 7), [2]).modseq, 0)
        self.assertEqual(joined(Stored([one], [2], 6), Stored([two], [], 0), [2]).modseq, 6)
