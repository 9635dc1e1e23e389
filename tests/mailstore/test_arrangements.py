"""What came of threading or sorting a mailbox, kept for those who ask again."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import arrangements, sqlmailbox
from launcelot.mailstore.arrangements import Arrangement, Arrangements
from launcelot.mailstore.interface import Mailbox, StoreMode
from launcelot.mailstore.ordering import Criterion, SortKey
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.mailstore.threads import Algorithm, Bundle
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, Hands, message, result_now


class ThreadingTests(SynchronousTestCase):
    """What :meth:`Mailbox.thread` gives out when many messages are threaded; here two are many."""

    def setUp(self) -> None:
        hands, workers = Hands(), InlineWorkers()
        self.patch(sqlmailbox, "SHORT", 1)
        self.store = SqliteMailStore(Path(self.mktemp()), [workers], workers, hands.now, hands.new_id)
        self.addCleanup(lambda: result_now(self, self.store.close()))
        self.mail = result_now(self, self.store.mail(ANN))

    def inbox(self) -> Mailbox:
        """Opened anew, as another session does."""
        return result_now(self, self.mail.mailbox("INBOX"))

    def threaded(self, uids: Sequence[int], algorithm: Algorithm = Algorithm.REFERENCES) -> Sequence[Bundle]:
        """Messages as threads."""
        return result_now(self, self.inbox().thread(uids, algorithm))

    def afresh(self, uids: Sequence[int], algorithm: Algorithm) -> Sequence[Bundle]:
        """Likewise, nothing being kept of so few."""
        before, sqlmailbox.SHORT = sqlmailbox.SHORT, 1_000
        try:
            return self.threaded(uids, algorithm)
        finally:
            sqlmailbox.SHORT = before

    def fill(self, count: int, random: Random | None = None) -> None:
        """Messages of which some answer others."""
        for _ in range(count):
            id, named = (random.randrange(40), random.randrange(40)) if random else (0, 0)
            body = message(f"Re: about {id % 5}", Message_ID=f"<{id}@x>", References=f"<{named}@x>")
            result_now(self, self.inbox().append(body, ()))

    def test_kept_while_nobody_goes(self) -> None:
        """Flags and new messages change nothing about those that were there; a removal does."""
        self.fill(3)
        first = self.threaded([1, 2, 3])
        result_now(self, self.inbox().store([2], StoreMode.ADD, ["\\Seen"]))
        self.fill(1)
        self.assertIs(self.threaded(array("I", [1, 2, 3])), first)
        result_now(self, self.inbox().remove([4]))
        self.assertIsNot(self.threaded([1, 2, 3]), first)

    def test_mended_by_another_process(self) -> None:
        """What fsck may have put right is looked at again, once the daemon has been told."""
        self.fill(3)
        first = self.threaded([1, 2, 3])
        self.store.changed(ANN, [1])
        self.assertIsNot(self.threaded([1, 2, 3]), first)

    def test_each_algorithm_and_each_choice(self) -> None:
        """Other messages or another algorithm are not answered with what is kept."""
        self.fill(3)
        self.threaded([1, 2, 3])
        self.assertEqual([list(one.uids) for one in self.threaded([1, 3])], [[1, 3]])
        for algorithm in Algorithm:
            self.assertEqual(self.threaded([1, 2, 3], algorithm), self.afresh([1, 2, 3], algorithm))

    def test_messages_to_come(self) -> None:
        """One that was asked for before it was there is found when it is."""
        self.fill(2)
        self.threaded([1, 2, 3])
        self.fill(1)
        self.assertEqual(sorted(self.threaded([1, 2, 3])[0].uids), [1, 2, 3])

    def test_any_changes(self) -> None:
        """Whatever happens to the mailbox, what is told is what threading it anew would tell."""
        random, inbox = Random(7), self.inbox()
        for _ in range(120):
            kind, there = random.random(), list(result_now(self, inbox.uids()))
            if kind < 0.4:
                self.fill(random.choice((1, 3)), random)
            elif kind < 0.6 and there:
                result_now(self, inbox.remove(random.sample(there, random.randint(1, min(3, len(there))))))
            elif there:
                result_now(self, inbox.store(there, StoreMode.ADD, ["\\Seen"]))
            asked = there if random.random() < 0.6 else list(result_now(self, inbox.uids()))
            algorithm = random.choice(list(Algorithm))
            self.assertEqual(self.threaded(asked, algorithm), self.afresh(asked, algorithm))

    def test_sorting_any_changes(self) -> None:
        """Likewise the order of messages, by any criteria."""
        random, inbox = Random(8), self.inbox()
        keys = [Criterion(key, turned) for key in SortKey for turned in (False, True)]
        for _ in range(120):
            kind, there = random.random(), list(result_now(self, inbox.uids()))
            if kind < 0.4:
                self.fill(random.choice((1, 3)), random)
            elif kind < 0.6 and there:
                result_now(self, inbox.remove(random.sample(there, random.randint(1, min(3, len(there))))))
            asked = there if random.random() < 0.6 else list(result_now(self, inbox.uids()))
            criteria = random.sample(keys[:4], random.randint(1, 2)) if kind < 0.9 else [random.choice(keys)]
            told = [list(result_now(self, self.inbox().sort(asked, criteria))) for _ in range(2)]
            before, sqlmailbox.SHORT = sqlmailbox.SHORT, 1_000
            afresh = list(result_now(self, self.inbox().sort(asked, criteria)))
            sqlmailbox.SHORT = before
            self.assertEqual(told, [afresh, afresh])

    def test_few_and_none_too_large_are_kept(self) -> None:
        """The oldest goes first; one of too many messages is not kept at all."""
        kept = Arrangements()
        uids = array("I", [1, 2])
        one = Arrangement(1, uids, [Bundle(b"(%d)(%d)", uids)])
        for mailbox in range(arrangements.KEPT + 1):
            kept.keep(mailbox, Algorithm.REFERENCES, one, 2)
        held = [kept.get(mailbox, Algorithm.REFERENCES, uids) for mailbox in range(arrangements.KEPT + 1)]
        self.assertEqual(held, [None] + [one] * arrangements.KEPT)
        self.patch(arrangements, "MOST", 1)
        kept.clear()
        kept.keep(1, Algorithm.REFERENCES, one, 2)
        self.assertIsNone(kept.get(1, Algorithm.REFERENCES, uids))
