"""The text of a header field that is kept between searches."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import headertexts, sqlmailbox
from launcelot.mailstore.headertexts import HeaderTexts, HeaderTextsKept
from launcelot.mailstore.interface import Mailbox, StoreMode
from launcelot.mailstore.query import And, Contains, Field
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, Hands, message, result_now

WORDS = ("alpha", "beta", "Gamma", "=?utf-8?q?=C3=81da?=", "=?utf-8?q?a=0Ab?=", "=?utf-8?q?=C3=BF=C3=BE?=", "")


class HeaderTextsTests(SynchronousTestCase):
    """What :meth:`Mailbox.search` finds in a mailbox that is large enough; here one message is."""

    def setUp(self) -> None:
        hands, workers = Hands(), InlineWorkers()
        self.patch(sqlmailbox, "SHORT_COLUMN", 0)
        self.store = SqliteMailStore(Path(self.mktemp()), [workers], workers, hands.now, hands.new_id)
        self.addCleanup(lambda: result_now(self, self.store.close()))
        self.mail = result_now(self, self.store.mail(ANN))

    def inbox(self) -> Mailbox:
        """Opened anew, as another session does."""
        return result_now(self, self.mail.mailbox("INBOX"))

    def found(self, field: Field, text: str) -> Sequence[int]:
        """UIDs, by what is kept; SQL must find the same."""
        by_text = list(result_now(self, self.inbox().search(Contains(field, text))))
        by_sql = list(result_now(self, self.inbox().search(And((Contains(field, text), Contains(field, text))))))
        self.assertEqual(by_text, by_sql)
        return by_text

    def fill(self, *subjects: str) -> None:
        """A message each, whose sender has the same name."""
        for subject in subjects:
            result_now(self, self.inbox().append(message(subject, From=f"{subject} <a@b.example>"), ()))

    def test_any_changes(self) -> None:
        """Whatever happens to the mailbox, what is found is what SQL finds: in any letters, over lines, and nothing at all."""
        random, inbox = Random(11), self.inbox()
        for _ in range(120):
            kind, there = random.random(), list(result_now(self, inbox.uids()))
            if kind < 0.5:
                self.fill(*(" ".join(random.choices(WORDS, k=2)) for _ in range(random.choice((1, 3)))))
            elif kind < 0.7 and there:
                result_now(self, inbox.remove(random.sample(there, random.randint(1, min(4, len(there))))))
            elif there:
                result_now(self, inbox.store(there, StoreMode.ADD, ["\\Seen"]))
            for field in random.sample((Field.SUBJECT, Field.FROM, Field.TO, Field.CC, Field.BCC), 2):
                self.found(
                    field, random.choice(("", "A", "gam", "\u00e1", "\u00ff", "a\nb", "\n", "a b", "nobody", "\udcff"))
                )

    def test_one_reading_for_all(self) -> None:
        """Sessions share what is kept; flags leave it as it is, and new messages are added to it."""
        self.fill("one", "two")
        read: list[HeaderTexts | None] = []
        texts_of = headertexts.texts_of

        def watched(connection: object, mailbox: int, column: str, known: HeaderTexts | None) -> HeaderTexts:
            read.append(known)
            return texts_of(connection, mailbox, column, known)  # type: ignore[arg-type]

        self.patch(sqlmailbox, "texts_of", watched)
        for _ in range(2):
            self.assertEqual(self.found(Field.SUBJECT, "two"), [2])
        self.assertEqual(read, [None])
        self.fill("two and more")
        self.assertEqual(self.found(Field.SUBJECT, "two"), [2, 3])
        self.assertEqual([None if known is None else list(known.uids) for known in read], [None, [1, 2]])
        self.store.changed(ANN, [1])
        self.found(Field.SUBJECT, "two")
        self.assertEqual(read[2:], [None])

    def test_emptied(self) -> None:
        """Nothing is found where nothing is left, not even by what everything contains."""
        self.fill("one")
        self.assertEqual(self.found(Field.SUBJECT, ""), [1])
        result_now(self, self.inbox().remove([1]))
        self.patch(sqlmailbox, "SHORT_COLUMN", -1)
        self.assertEqual(self.found(Field.SUBJECT, ""), [])

    def test_large_mailboxes_wait_elsewhere(self) -> None:
        """What is too long for the reactor thread is found all the same."""
        self.patch(sqlmailbox, "LONG_COLUMN", 1)
        self.fill("one", "two")
        for _ in range(2):
            self.assertEqual(self.found(Field.SUBJECT, "two"), [2])

    def test_few_and_none_too_large_are_kept(self) -> None:
        """The oldest goes first; what is too large is known to be so."""
        kept, one = HeaderTextsKept(), HeaderTexts(1, array("I", [1]), b"text")
        for mailbox in range(headertexts.KEPT + 1):
            kept.keep(mailbox, "subject", one)
        held = [kept.get(mailbox, "subject") for mailbox in range(headertexts.KEPT + 1)]
        self.assertEqual(held, [None] + [one] * headertexts.KEPT)
        self.patch(headertexts, "MOST", 3)
        kept.keep(1, "subject", one)
        self.assertIsNone(kept.get(1, "subject"))
        self.assertFalse(kept.fits(1, "subject"))
        self.assertTrue(kept.fits(1, "from_key"))
