"""The UIDs of a mailbox that are kept between two changes."""

from __future__ import annotations

from array import array
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import rolls
from launcelot.mailstore.interface import Mailbox, StoreMode
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, Hands, message, result_now


class RollTests(SynchronousTestCase):
    """What :meth:`Mailbox.uids` gives out."""

    def setUp(self) -> None:
        hands, workers = Hands(), InlineWorkers()
        self.store = SqliteMailStore(Path(self.mktemp()), [workers], workers, hands.now, hands.new_id)
        self.addCleanup(lambda: result_now(self, self.store.close()))
        self.mail = result_now(self, self.store.mail(ANN))

    def inbox(self) -> Mailbox:
        """Opened anew, as another session does."""
        return result_now(self, self.mail.mailbox("INBOX"))

    def test_one_array_for_all(self) -> None:
        """Sessions share an array until something changes, and what one of them holds never changes."""
        first, second = self.inbox(), self.inbox()
        result_now(self, first.append(message("one"), ()))
        held = result_now(self, first.uids())
        self.assertIs(result_now(self, second.uids()), held)
        result_now(self, first.append(message("two"), ()))
        self.assertEqual(list(held), [1])
        self.assertEqual(list(result_now(self, second.uids())), [1, 2])
        self.assertIs(result_now(self, first.uids()), result_now(self, second.uids()))

    def test_any_changes(self) -> None:
        """After any changes they are those of the messages that are there."""
        random, inbox = Random(5), self.inbox()
        self.patch(rolls, "MOST_NEW", 6)
        for _ in range(150):
            kind, uids = random.random(), list(result_now(self, self.inbox().uids()))
            if kind < 0.4:
                for _ in range(random.choice((1, 2, 9))):
                    result_now(self, inbox.append(message("new"), ()))
            elif kind < 0.7 and uids:
                result_now(self, inbox.remove(random.sample(uids, random.randint(1, len(uids)))))
            elif uids:
                result_now(self, inbox.store(uids, StoreMode.ADD, ["\\Seen"]))
            states = result_now(self, inbox.states())
            if random.random() < 0.7:
                self.assertEqual(list(result_now(self, inbox.uids())), [state.uid for state in states])

    def test_few_are_kept(self) -> None:
        """An account with many mailboxes does not keep them all."""
        kept = rolls.Rolls()
        for number in range(20):
            kept.keep(number, rolls.Roll(1, array("I", [number])))
        self.assertEqual([number for number in range(20) if kept.get(number)], [16, 17, 18, 19])
        kept.clear()
        self.assertIsNone(kept.get(19))
