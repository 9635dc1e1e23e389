"""Digests: what is read from them is what the rows say, whatever happens to the messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import checking, digests, sqlmailbox, sqlrows, sqlsheets, tending
from launcelot.mailstore.interface import Draft, Mailbox, StoreMode
from launcelot.mailstore.query import And, Contains, Field
from launcelot.mailstore.sheets import COMMON_FIELDS, Asked, Column, Fields
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.mailstore.stateblocks import SPAN
from launcelot.message.sections import header_subset
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, START, Hands, message, result_now

LASTING = tuple(digests.OF_COLUMN)
WORDS = ("alpha", "beta", "Gamma", "=?utf-8?q?=C3=81da?=", "=?utf-8?q?a=0Ab?=", "=?utf-8?q?=C3=BF=C3=BE?=", "\xff", "")
NEEDLES = ("", "A", "gam", "\u00e1", "\u00ff", "a\nb", "\n", "a b", "nobody", "\udcff", "\0")


class DigestTestCase(SynchronousTestCase):
    """A store on a clock, in which a mailbox of a few messages counts as large."""

    def setUp(self) -> None:
        """Make it."""
        for module, name in ((digests, "LARGE"), (sqlmailbox, "LARGE"), (sqlsheets, "MANY")):
            self.patch(module, name, 1)
        self.random = Random(7)
        self.clock, workers, hands = Clock(), InlineWorkers(), Hands()
        self.folder = Path(self.mktemp())
        self.store = SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id, clock=self.clock)
        self.addCleanup(lambda: result_now(self, self.store.close()))
        self.mail = result_now(self, self.store.mail(ANN))

    def inbox(self) -> Mailbox:
        """Opened anew."""
        return result_now(self, self.mail.mailbox("INBOX"))

    def fill(self, count: int) -> None:
        """So many messages of all kinds, in one transaction."""
        choose = self.random.choices
        bodies = [
            message(" ".join(choose(WORDS, k=2)), "x" * number, From=f"{choose(WORDS)[0]} <a@b.example>")
            for number in range(count)
        ]
        drafts = [
            Draft(lambda body=body: body, len(body), (), START.replace(year=1969 + number % 80))  # type: ignore[misc]
            for number, body in enumerate(bodies)
        ]
        result_now(self, self.inbox().append_all(drafts))

    def rest(self) -> None:
        """A quiet moment."""
        self.clock.pump([tending.QUIET] * 3)

    def digested(self) -> list[int]:
        """Blocks that have been."""
        with closing(sqlite3.connect(self.folder / ANN / "mail.db")) as connection:
            if not digests.exists(connection):
                return []
            return [row[0] for row in connection.execute("SELECT DISTINCT block FROM digests WHERE mailbox = 1 ORDER BY 1")]

    def change(self, statement: str) -> None:
        """As only a damaged disk or a mending hand does."""
        with closing(sqlite3.connect(self.folder / ANN / "mail.db", isolation_level=None)) as connection:
            connection.execute(statement)

    def told(self, uids: Sequence[int], columns: Sequence[Asked]) -> list[Any]:
        """Rows of messages; flags by name."""

        async def run() -> list[Any]:
            return [
                tuple(sheet.flags(cell) if one is Column.FLAGS else cell for one, cell in zip((None, *columns), row, strict=True))
                async for sheet in self.inbox().sheets(uids, columns)
                for row in sheet.rows
            ]

        return result_now(self, run())

    def check_columns(self, uids: Sequence[int], columns: Sequence[Asked]) -> None:
        """What is told is what rows say."""
        told = self.told(uids, columns)
        self.patch(sqlsheets, "MANY", 1 << 40)
        self.assertEqual(told, self.told(uids, columns))
        self.patch(sqlsheets, "MANY", 1)

    def check_fields(self, uids: Sequence[int]) -> None:
        """Of headers what is asked for is there, as it stands there."""
        headers = dict(self.told(uids, [Column.HEADER]))
        for names in (COMMON_FIELDS, frozenset((b"from", b"subject")), frozenset((b"x-none", b"cc"))):
            told = dict(self.told(uids, [Fields(names)]))
            self.assertEqual(told, {uid: header_subset(header, names, False) for uid, header in headers.items()})

    def check_search(self, field: Field, text: str) -> None:
        """What is found is what SQL finds."""
        found = result_now(self, self.inbox().search(Contains(field, text)))
        by_sql = result_now(self, self.inbox().search(And((Contains(field, text), Contains(field, text)))))
        self.assertEqual(list(found), list(by_sql))


class AnswerTests(DigestTestCase):
    """What is answered."""

    def test_any_changes(self) -> None:
        """Messages come and go and get flags, in quiet times and in between: columns and texts are those of the rows."""
        random = self.random
        self.fill(3 * SPAN + 5)
        for _ in range(15):
            inbox = self.inbox()
            there = list(result_now(self, inbox.uids()))
            kind = random.random()
            if kind < 0.3:
                self.fill(random.randint(1, 40))
            elif kind < 0.6:
                start = random.randrange(len(there))
                result_now(self, inbox.remove(there[start : start + random.choice((1, 3, SPAN))]))
            else:
                result_now(self, inbox.store(random.sample(there, 20), StoreMode.ADD, ["\\Seen", "$Work"]))
            if random.random() < 0.7:
                self.rest()
            start = random.randrange(len(there))
            for uids in (there, there[start:], random.sample(there, 3), random.sample(there, len(there) // 2)):
                self.check_columns(sorted(uids), random.sample(tuple(set(Column) - {Column.OCTETS}), 4))
            self.check_columns(there, LASTING)
            self.check_fields(there)
            for _ in range(2):
                field = random.choice((Field.SUBJECT, Field.FROM, Field.TO, Field.CC, Field.BCC))
                self.check_search(field, random.choice(NEEDLES))

    def test_blocks_that_are_full_are_digested(self) -> None:
        """Once it is quiet, and those alone; what is removed is digested anew."""
        self.fill(2 * SPAN - 1)
        self.assertEqual(self.digested(), [])
        self.rest()
        self.assertEqual(self.digested(), [0])
        self.fill(1)
        self.rest()
        self.assertEqual(self.digested(), [0, 1])
        result_now(self, self.inbox().remove([3]))
        self.assertEqual(self.digested(), [1])
        self.rest()
        self.assertEqual(self.digested(), [0, 1])
        result_now(self, self.mail.create("other"))
        result_now(self, self.inbox().move([*range(1, 2 * SPAN + 1)], "other"))
        self.assertEqual(self.digested(), [])
        self.check_columns([1, 2, 3], LASTING)

    def test_small_mailboxes_have_none(self) -> None:
        """They are quick enough without."""
        self.patch(digests, "LARGE", 2 * SPAN)
        self.fill(SPAN + 1)
        self.rest()
        self.assertEqual(self.digested(), [])

    def test_who_reads_has_them_made(self) -> None:
        """A large mailbox that nobody changes is digested when somebody asks about all of it, or searches it."""
        self.fill(SPAN + 1)
        self.rest()
        for ask in (lambda: self.told([*range(1, SPAN + 2)], LASTING), lambda: self.check_search(Field.SUBJECT, "a")):
            with closing(sqlite3.connect(self.folder / ANN / "mail.db")) as connection:
                digests.reset(connection)
            self.rest()
            self.assertEqual(self.digested(), [])
            ask()
            self.rest()
            self.assertEqual(self.digested(), [0])

    def test_half_of_them_is_mended(self) -> None:
        """Triggers without their table would refuse every message; fsck removes them, and so does a quiet moment."""
        hands = Hands()
        self.fill(SPAN + 1)
        for quietly in (False, True):
            self.rest()
            self.change("DROP TABLE digests")
            if quietly:
                self.told([*range(1, SPAN + 2)], LASTING)
                self.rest()
            else:
                with closing(sqlite3.connect(self.folder / ANN / "mail.db", isolation_level=None)) as connection:
                    found = checking.repair(connection, hands.now, hands.new_id, lambda done, total: None).findings
                    self.assertEqual([one.kind for one in found], ["index"])
            self.fill(1)

    def test_without_triggers_they_are_not_believed(self) -> None:
        """Whoever removed one may have changed messages since."""
        self.fill(SPAN + 1)
        self.rest()
        self.change("DROP TRIGGER digests_message_gone")
        self.change("UPDATE digests SET octets = zeroblob(length(octets))")
        self.check_columns([*range(1, SPAN + 2)], LASTING)
        self.rest()
        result_now(self, self.inbox().remove([1]))
        self.rest()
        self.assertEqual(self.digested(), [0])
        self.check_columns([*range(1, SPAN + 2)], LASTING)

    def test_those_of_an_earlier_form_are_made_anew(self) -> None:
        """Fields of headers had one column once; such a file is not believed, found fault with, or kept so."""
        self.fill(SPAN + 1)
        self.rest()
        rows = "SELECT mailbox, block, name, octets FROM digests"
        self.change(f"CREATE TABLE old AS {rows} WHERE name <> 'fields' UNION ALL SELECT 1, 0, 'fields', zeroblob(255)")
        self.change("DROP TABLE digests")
        self.change(digests._CREATE[0].replace(" /* form 2 */", ""))
        self.change(f"INSERT INTO digests (mailbox, block, name, octets) {rows.replace('FROM digests', 'FROM old')}")
        self.change("DROP TABLE old")
        with closing(sqlite3.connect(self.folder / ANN / "mail.db", isolation_level=None)) as connection:
            self.assertFalse(digests.exists(connection))
            self.assertEqual(checking.check(connection, lambda done, total: None).findings, [])
        self.check_fields([*range(1, SPAN + 2)])
        self.rest()
        self.assertEqual(self.digested(), [0])
        self.check_fields([*range(1, SPAN + 2)])

    def test_mending_hands(self) -> None:
        """Whoever changes rows by whatever statement, the digests of theirs are gone."""
        for statement in (
            "UPDATE messages SET size = size + 1 WHERE uid = 2",
            "UPDATE messages SET uid = 9999 WHERE uid = 3",
            "INSERT OR REPLACE INTO messages SELECT mailbox, uid, content, 77, 0, 0, 0, 0 FROM messages WHERE uid = 4",
            "UPDATE contents SET envelope = x'4e494c' WHERE number = 5",
            "DELETE FROM messages WHERE uid = 6",
        ):
            self.fill(SPAN + 1)
            self.rest()
            self.assertIn(0, self.digested())
            self.change(statement)
            self.assertNotIn(0, self.digested(), statement)

    def test_long_texts_come_in_small_pieces(self) -> None:
        """No more is read at once than some octets, from digests and from rows; nothing is missing and nothing comes twice."""
        self.fill(2 * SPAN + 30)
        uids = list(result_now(self, self.inbox().uids()))
        columns = (Column.ENVELOPE, Column.FLAGS, Column.SIZE)
        expected = self.told(uids, columns)
        for module in (sqlrows, sqlmailbox):
            self.patch(module, "MUCH", 2_000)
        sheets: list[int] = []

        async def count() -> None:
            async for sheet in self.inbox().sheets(uids, columns):
                sheets.append(len(sheet))

        async def messages() -> list[int]:
            return [one.uid async for batch in self.inbox().messages(uids) for one in batch]

        for digested in (False, True):
            if digested:
                self.rest()
                self.assertEqual(self.digested(), [0, 1])
            self.assertEqual(self.told(uids, columns), expected)
            some = uids[5:40:2] + uids[200:300] + uids[-20:]
            self.check_columns(some, columns)
            result_now(self, count())
        self.assertGreater(len(sheets), 10)
        self.assertIn(SPAN, sheets)
        self.assertEqual(result_now(self, messages()), uids)

    def test_too_long_for_a_digest(self) -> None:
        """A block with much text has none of that, and is read from its rows."""
        self.patch(digests, "LONGEST", 100)
        self.fill(SPAN + 1)
        self.rest()
        self.assertEqual(self.digested(), [0])
        self.check_columns([*range(1, SPAN + 2)], LASTING)
        self.check_search(Field.SUBJECT, "a")

    def test_fields_of_any_header(self) -> None:
        """Headers without end, of a kibibyte, longer than anybody holds, and none at all."""
        heads = [b"", b"\r\n", b"To: a", b"X: b\nTo: c\n\nx", b"X-Long: " + b"y" * 1_000 + b"\r\nSubject: z\r\n\r\nbody"]
        for long in (False, True):
            bodies = [*heads, b"To: " + b"a@b.example,\r\n " * 6_000 + b"c@d.example\r\n\r\n"] if long else heads
            drafts = [Draft(lambda body=body: body, len(body), (), None) for body in bodies]  # type: ignore[misc]
            result_now(self, self.inbox().append_all(drafts))
            self.fill(SPAN - len(drafts) + 1)
            self.rest()
            uids = list(result_now(self, self.inbox().uids()))
            self.assertEqual(len(self.digested()), 1 + long)
            told, headers = dict(self.told(uids, [Fields(COMMON_FIELDS)])), dict(self.told(uids, [Column.HEADER]))
            self.assertEqual({uid for uid in uids if told[uid] is None}, {uid for uid in uids if headers[uid] is None})
            self.check_fields([uid for uid in uids if headers[uid] is not None])
        self.assertEqual(len([uid for uid in uids if headers[uid] is None]), 1)
        shorter = [uid for uid in uids if headers[uid] is not None and len(told[uid]) < len(headers[uid])]
        self.assertIn(5, shorter)

    def test_what_cannot_be_digested(self) -> None:
        """A NUL where none should be, and a number that is none: such messages are read from their rows."""
        self.fill(SPAN + 1)
        self.change("UPDATE contents SET subject = 'a' || char(0) || 'b' WHERE number = 2")
        self.rest()
        self.assertEqual(self.digested(), [0])
        self.check_columns([*range(1, SPAN + 2)], LASTING)
        for text in ("", "a", "b"):
            self.check_search(Field.SUBJECT, text)
        self.change("UPDATE messages SET size = 'large' WHERE uid = 2")
        self.rest()
        result_now(self, self.inbox().store([1], StoreMode.ADD, ["\\Seen"]))
        self.rest()
        self.assertEqual(self.digested(), [0])
        self.check_columns([*range(1, SPAN + 2)], LASTING)

    def test_damaged_digests(self) -> None:
        """Too few values are not told, and ``launcelot fsck`` finds every flipped bit and removes them."""
        self.fill(SPAN + 1)
        self.rest()
        self.change("UPDATE digests SET octets = substr(octets, 1, length(octets) / 2) WHERE name <> 'uids'")
        self.check_columns([*range(1, SPAN + 2)], LASTING)
        self.change("UPDATE digests SET octets = x'4e' || substr(octets, 2) WHERE name = 'envelope'")
        hands = Hands()
        with closing(sqlite3.connect(self.folder / ANN / "mail.db", isolation_level=None)) as connection:
            found = checking.check(connection, lambda done, total: None).findings
            self.assertEqual([one.text for one in found], ["digests do not say what messages say"])
            checking.repair(connection, hands.now, hands.new_id, lambda done, total: None)
            self.assertFalse(checking.check(connection, lambda done, total: None).findings)
        self.check_columns([*range(1, SPAN + 2)], LASTING)
