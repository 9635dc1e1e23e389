"""Messages that sessions put into the mailboxes of one account at the same time."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from launcelot.core.errors import Gone, LimitReached, OverQuota
from launcelot.mailstore.interface import MAX_KEYWORDS, AccountMail, Appended, Mailbox
from launcelot.mailstore.memory import MemoryMailStore
from tests.mailstore.kit import ANN, Hands, check_counters, message, result_now
from tests.mailstore.together import Together

NAMES = ("INBOX", "a", "b")


class AppendingTests(Together):
    """What comes of appends that wait for the writer together."""

    def setUp(self) -> None:
        """Three mailboxes."""
        super().setUp()
        for name in NAMES[1:]:
            self.do(self.mail.create(name))
        self.inbox, self.a, self.b = (self.do(self.mail.mailbox(name)) for name in NAMES)
        self.told.clear()

    def kinds(self, found: list[Any]) -> list[Any]:
        """UIDs, and the kinds of refusals."""
        return [outcome(one) for one in found]

    def test_many_are_a_few_statements(self) -> None:
        """However many there are; watchers and other processes are told once."""
        statements = self.transactions()
        changed: list[None] = []
        self.addCleanup(self.a.watch(lambda: changed.append(None)))
        found = self.together(*[self.a.append(message(f"m{number}"), ()) for number in range(16)])
        self.assertEqual([one.uid for one in found], list(range(1, 17)))
        self.assertEqual(len({one.email_id for one in found}), 16)
        self.assertEqual(sum("INTO contents" in one for one in statements), 1)
        self.assertLess(len(statements), 20)
        self.assertEqual(statements.count("COMMIT"), 1)
        self.assertEqual((len(changed), len(self.told)), (1, 1))
        for number in range(16):
            body = message(f"m{number}")
            self.assertEqual(self.do(self.a.read(number + 1, 0, len(body) + 1)), body)
        result_now(self, check_counters(self.a))
        self.check()

    def test_flags_and_dates_of_each(self) -> None:
        """Are those that came with it, into whichever mailbox it went."""
        days = [datetime(2020, 1, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
        self.together(
            self.a.append(message("1"), ["\\Seen", "first"], days[0]),
            self.b.append(message("2"), ["second"], days[1]),
            self.a.append(message("3"), ["third", "First"], days[2]),
        )
        self.assertEqual(self.states(self.a), [(1, {"\\Seen", "first"}, days[0]), (2, {"first", "third"}, days[2])])
        self.assertEqual(self.states(self.b), [(1, {"second"}, days[1])])
        self.assertEqual(len(self.told), 1)
        self.assertEqual(len(self.told[0]), 2)
        self.check()

    def states(self, mailbox: Mailbox) -> list[tuple[int, set[str], datetime]]:
        """UID, flags and date of each message."""
        async def all_of() -> list[tuple[int, set[str], datetime]]:
            uids = await mailbox.uids()
            return [(one.uid, set(one.flags), one.internal_date) async for some in mailbox.messages(uids) for one in some]

        return self.do(all_of())  # type: ignore[no-any-return]

    def test_one_that_does_not_fit(self) -> None:
        """Is refused alone; smaller ones behind it fit."""
        self.mail.limit(3 * len(message("a")), 0)
        bodies = (message("a"), message("b") + b"x" * 10_000, message("c"))
        self.assertEqual(self.kinds(self.together(*[self.a.append(body, ()) for body in bodies])), [1, OverQuota, 2])
        self.assertEqual(self.do(self.mail.usage()).messages, 2)
        self.check()

    def test_a_mailbox_that_has_gone(self) -> None:
        """Refuses only what was for it."""
        self.do(self.mail.delete("b"))
        found = self.together(*[box.append(message("x"), ()) for box in (self.a, self.b, self.inbox, self.a)])
        self.assertEqual(self.kinds(found), [1, Gone, 1, 2])
        self.check()

    def test_keywords_that_have_no_room(self) -> None:
        """Refuse only the message that brings them."""
        self.do(self.a.append(message("x"), [f"k{number}" for number in range(MAX_KEYWORDS)]))
        found = self.together(*[self.a.append(message("x"), flags) for flags in (["k1"], ["another"], [], ["K2"])])
        self.assertEqual(self.kinds(found), [2, LimitReached, 3, 4])
        self.check()

    def test_beside_deliveries_and_other_changes(self) -> None:
        """All in the order in which they came."""
        found = self.together(
            self.inbox.append(message("1"), ()),
            self.mail.deliver(message("2"), "2"),
            self.inbox.append(message("3"), ()),
            self.mail.create("c"),
            self.inbox.append(message("4") * 9_000, ()),
            self.inbox.append(message("5"), ()),
        )
        self.assertEqual([one.uid for one in (found[0], found[1], found[2])], [1, 2, 3])
        self.assertEqual({found[4].uid, found[5].uid}, {4, 5})
        self.check()

    def test_nobody_waits_any_more(self) -> None:
        """Who gives up waiting has it added all the same, and the others hear of theirs."""
        found: list[list[Any]] = [[], []]
        waiting = [Deferred.fromCoroutine(self.a.append(message(name), ())) for name in "12"]
        for outcomes, one in zip(found, waiting, strict=True):
            one.addBoth(outcomes.append)
        waiting[0].cancel()
        self.step()
        self.assertEqual(found[1][0].uid, 2)
        self.assertEqual(list(self.do(self.a.uids())), [1, 2])

    def test_as_one_after_another(self) -> None:
        """What comes of any mixture is what a store in memory makes of it one by one, the order of mailboxes aside."""
        random = Random(7)
        hands = Hands()
        model = result_now(self, MemoryMailStore(hands.now, hands.new_id).mail(ANN))
        others = [self.model_mailbox(model, name) for name in NAMES]
        ours = [self.inbox, self.a, self.b]
        words = [f"k{number}" for number in range(MAX_KEYWORDS + 3)]
        for mail in (self.mail, model):
            mail.limit(2_500 * len(message("12")), 0)
        for box in (*ours, *others):
            self.do(box.append(message("m"), words[3:]))
        kinds: set[type] = set()
        for _ in range(30):
            some = [
                (random.randrange(3), random.choice((1, 1, 1, 30)), random.sample(words, random.choice((0, 0, 1, 3))))
                for _ in range(random.randrange(1, 30))
            ]
            expected = [self.alone(others[box], times, flags) for box, times, flags in some]
            found = self.together(*[ours[box].append(message("m") * times, flags) for box, times, flags in some])
            self.assertEqual(self.kinds(found), expected)
            kinds.update(one for one in expected if isinstance(one, type))
        self.assertEqual(kinds, {OverQuota, LimitReached})
        for mine, theirs in zip(ours, others, strict=True):
            self.assertEqual([flags for _, flags, _ in self.states(mine)], [flags for _, flags, _ in self.states(theirs)])
        self.check()

    def model_mailbox(self, mail: AccountMail, name: str) -> Mailbox:
        """A mailbox of the store in memory."""
        if name != "INBOX":
            result_now(self, mail.create(name))
        return result_now(self, mail.mailbox(name))

    def alone(self, mailbox: Mailbox, times: int, flags: list[str]) -> Any:
        """What comes of one append."""
        found: list[Any] = []
        Deferred.fromCoroutine(mailbox.append(message("m") * times, flags)).addBoth(found.append)
        return outcome(found[0])


def outcome(one: Appended | Failure) -> Any:
    """A UID, or the kind of a refusal."""
    return one.type if isinstance(one, Failure) else one.uid
