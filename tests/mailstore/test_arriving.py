"""Mail that arrives together, in one account's file."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from launcelot.core.errors import OverQuota
from launcelot.mailstore.interface import AccountMail, Appended, Scripted
from launcelot.mailstore.memory import MemoryMailStore
from tests.mailstore.kit import ANN, Hands, check_counters, message, result_now, uids_of
from tests.mailstore.together import Together


class ArrivingTests(Together):
    """Deliveries."""

    def test_many_are_a_few_statements(self) -> None:
        """However many there are; watchers and other processes are told once."""
        statements = self.transactions()
        inbox = self.do(self.mail.mailbox("INBOX"))
        changed: list[None] = []
        self.addCleanup(inbox.watch(lambda: changed.append(None)))
        found = self.together(*[self.mail.deliver(message(f"m{number}"), f"key {number}") for number in range(16)])
        self.assertEqual([one.uid for one in found], list(range(1, 17)))
        self.assertEqual(len({one.email_id for one in found}), 16)
        self.assertEqual(sum("INTO contents" in one for one in statements), 1)
        self.assertLess(len(statements), 20)
        self.assertEqual(statements.count("COMMIT"), 1)
        self.assertEqual(len(changed), 1)
        self.assertEqual(self.told, [[1]])
        for number in range(16):
            body = message(f"m{number}")
            self.assertEqual(self.do(inbox.read(number + 1, 0, len(body) + 1)), body)
        result_now(self, check_counters(inbox))
        self.check()

    def test_one_that_does_not_fit(self) -> None:
        """Is refused alone, and may come again; smaller ones behind it fit."""
        self.mail.limit(3 * len(message("a")), 0)
        found = self.together(
            self.mail.deliver(message("a"), "a"),
            self.mail.deliver(message("b") + b"x" * 10_000, "b"),
            self.mail.deliver(message("c"), "c"),
        )
        self.assertEqual([isinstance(one, Appended) for one in found], [True, False, True])
        self.assertIsInstance(found[1].value, OverQuota)
        self.mail.limit(0)
        self.assertEqual([one.uid for one in self.together(self.mail.deliver(message("b"), "b"))], [3])
        self.check()

    def test_watchers_hear_of_what_came_behind_a_refusal(self) -> None:
        """Whoever is refused is not the one who tells."""
        self.mail.limit(len(message("a")), 0)
        self.together(self.mail.deliver(message("b") + b"x" * 10_000, "b"), self.mail.deliver(message("a"), "a"))
        self.assertEqual(self.told, [[1]])

    def test_the_same_delivery_twice(self) -> None:
        """Is made once, and those beside it once each."""
        self.together(self.mail.deliver(message("old"), "old"))
        keys = ("a", "old", "b", "a")
        found = self.together(*[self.mail.deliver(message(key), key) for key in keys])
        self.assertEqual([one and one.uid for one in found], [2, None, 3, None])
        self.assertEqual(self.together(self.mail.deliver(message("a"), "a")), [None])
        self.check()

    def test_script(self) -> None:
        """Those that are for a script are refused where one is active, and are not known then; the others are delivered."""
        self.do(self.mail.scripts.put("s", b"keep;"))
        self.do(self.mail.scripts.activate("s"))
        found = self.together(
            self.mail.deliver(message("a"), "a", unless_scripted=True),
            self.mail.deliver(message("b"), "b"),
            self.mail.deliver(message("c"), "c", "INBOX", ["\\Seen"], unless_scripted=True),
        )
        self.assertEqual([isinstance(one, Failure) and one.check(Scripted) for one in found], [Scripted, False, Scripted])
        self.do(self.mail.scripts.activate(""))
        found = self.together(*[self.mail.deliver(message(key), key, unless_scripted=True) for key in "abc"])
        self.assertEqual([one and one.uid for one in found], [2, None, 3])

    def test_empty_and_large_bodies(self) -> None:
        """Beside small ones, in their order."""
        large = message("large", "0123456789abcdef\r\n" * 40_000)
        bodies = [message("a"), b"", large, message("b"), large]
        found = self.together(*[self.mail.deliver(body, str(place)) for place, body in enumerate(bodies)])
        inbox = self.do(self.mail.mailbox("INBOX"))
        for body, one in zip(bodies, found, strict=True):
            self.assertEqual(self.do(inbox.read(one.uid, 0, len(body) + 1)), body)
        self.check()

    def test_as_one_after_another(self) -> None:
        """What comes of any mixture is what a store in memory makes of it one by one."""
        random = Random(5)
        hands = Hands()
        model = result_now(self, MemoryMailStore(hands.now, hands.new_id).mail(ANN))
        limits = 30 * len(message("12"))
        for _ in range(40):
            count = random.randrange(1, 40)
            some = [(f"{random.randrange(90)}", random.choice((1, 1, 40)), random.random() < 0.5) for _ in range(count)]
            script = random.random() < 0.2
            for mail, run in ((self.mail, self.do), (model, lambda waiting: result_now(self, waiting))):
                run(mail.scripts.put("s", b"keep;"))
                run(mail.scripts.activate("s" if script else ""))
                mail.limit(limits, 0)
            expected = [self.alone(model, *one) for one in some]
            deliveries = [self.mail.deliver(message(key) * times, key, unless_scripted=only) for key, times, only in some]
            found = self.together(*deliveries)
            self.assertEqual([plain(one) for one in found], expected)
        inbox = self.do(self.mail.mailbox("INBOX"))
        self.assertEqual(self.do(uids_of(inbox)), result_now(self, uids_of(result_now(self, model.mailbox("INBOX")))))
        self.assertGreater(self.do(self.mail.usage()).messages, 20)
        self.check()

    def alone(self, mail: AccountMail, key: str, times: int, unless_scripted: bool) -> Any:
        """What comes of one delivery."""
        found: list[Any] = []
        Deferred.fromCoroutine(mail.deliver(message(key) * times, key, unless_scripted=unless_scripted)).addBoth(found.append)
        return plain(found[0])


def plain(outcome: Any) -> Any:
    """A UID, None, or the kind of a refusal."""
    return outcome.type if isinstance(outcome, Failure) else outcome and outcome.uid
