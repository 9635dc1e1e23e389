"""Threading by numbers against threading by objects."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.sheets import Sheet
from launcelot.mailstore.threads import Algorithm, thread
from tests.bounded import linear
from tests.mailstore import plainthreads
from tests.mailstore.plainthreads import Facts


def sheet_of(facts: Sequence[Facts]) -> Sheet:
    """The same as columns."""
    columns: list[Sequence[Any]] = [
        [one.uid for one in facts],
        [one.sent_date for one in facts],
        [one.subject for one in facts],
        [one.base_subject for one in facts],
        [one.message_id or "" for one in facts],
        ["\n".join(one.references) for one in facts],
    ]
    return Sheet(columns, lambda key: frozenset())


class ThreadTests(SynchronousTestCase):
    """Both versions say the same."""

    def check(self, facts: Sequence[Facts]) -> None:
        """Of some messages, by both algorithms."""
        for algorithm in Algorithm:
            self.assertEqual(thread(sheet_of(facts), algorithm), plainthreads.thread(facts, algorithm))

    def test_random_messages(self) -> None:
        """Few ids and subjects, so that they go in circles, name what is not there, and meet under one subject."""
        random = Random(11)
        for round in range(1_500):
            ids = [f"<{number}@x>" for number in range(random.randint(1, 14))] + ['<"a\\"b"@x>', "<a\"b@x>"]
            subjects = [random.choice(("", "re: ", "fwd: ")) + random.choice(("", "one", "two", "three")) for _ in range(6)]
            facts = []
            for uid in sorted(random.sample(range(1, 60), random.randint(0, 16))):
                subject = random.choice(subjects)
                facts.append(
                    Facts(
                        uid, random.randint(-3, 9), subject, subject.partition(": ")[2] or subject,
                        random.choice(ids) if random.random() < 0.9 else None,
                        random.choices(ids, k=random.choice((0, 0, 1, 2, 5))),
                    )
                )  # fmt: skip
            with self.subTest(round=round):
                self.check(facts)

    def test_none_and_many(self) -> None:
        """No message, and more than one bundle takes."""
        self.check([])
        random = Random(12)
        self.check(
            [
                Facts(uid, uid // 7, f"s{uid % 900}", f"s{uid % 900}", f"<{uid}>", [f"<{random.randrange(uid)}>"] * (uid % 2))
                for uid in range(1, 5_000)
            ]
        )

    def test_long_chains(self) -> None:
        """Longer than ancestors are looked at, told from either end."""
        for step in (1, -1):
            ids = [f"<{number}>" for number in range(2_500)][::step]
            self.check([Facts(uid + 1, uid, "", "", ids[uid], ids[uid - 1 : uid] if uid else ()) for uid in range(2_500)])

    def test_linear(self) -> None:
        """Of 60,000, deep, wide and circular, whose square, halved, would be 90 s of steps of 50 ns."""
        count = 60_000
        uids = range(1, count + 1)
        for shape, answered in (
            ("copies", lambda uid: ("<4>", ["<1>", "<3>", "<4>"])),
            ("deep", lambda uid: (f"<{uid}>", [f"<{uid - 1}>"])),
            ("deep, answers first", lambda uid: (f"<{count - uid}>", [f"<{count - uid - 1}>"])),
            ("wide", lambda uid: (f"<{uid}>", ["<0>"])),
            ("one subject", lambda uid: (f"<{uid}>", [])),
            ("pairs that answer each other", lambda uid: (f"<{uid}>", [f"<{uid ^ 1}>"])),
            ("all that were before", lambda uid: (f"<{uid}>", [f"<{one}>" for one in range(uid - 5, uid)])),
        ):
            sheet = sheet_of([Facts(uid, uid, "Re: s", "s", *answered(uid)) for uid in uids])
            for algorithm in Algorithm:
                with linear((shape, algorithm)):
                    bundles = thread(sheet, algorithm)
                form = b"".join([one.form for one in bundles])
                self.assertEqual(form.count(b"("), form.count(b")"))
                self.assertEqual(sorted(uid for one in bundles for uid in one.uids), list(uids), shape)
