"""The text index: answers are those of the memory store, whatever is in the index and whatever is not."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.core.errors import TryLater
from launcelot.mailstore import search, sqlsearch, tending, textindex
from launcelot.mailstore.memory import MemoryMailStore
from launcelot.mailstore.query import And, Contains, Field, Flagged, Header, Not, Or, Query
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.threads import ThreadWorkers
from tests.mailstore.kit import ANN, Hands, message, result_now

LETTERS = "abAB\u00df\u1e9eS\u0130i\u0131\u03a3\u03c3\u03c2 \"'=?-*\t\0\u00e9e\u0301\U0001f600\U0001f601\ufffd\ufffe\uffff[]^"
WORDS = st.text(LETTERS, max_size=8)
TEXTS = st.lists(WORDS, max_size=6).map(" ".join)
FIELDS = st.sampled_from((Field.BODY, Field.TEXT))
LEAVES = st.one_of(
    st.builds(Contains, FIELDS, WORDS),
    st.builds(Header, st.sampled_from(("subject", "X-One", "x", "")), WORDS),
    st.builds(Contains, st.just(Field.SUBJECT), WORDS),
    st.builds(Flagged, st.just("\\Seen")),
)
QUERIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda some: And(tuple(some)), st.lists(inner, max_size=3)),
        st.builds(lambda some: Or(tuple(some)), st.lists(inner, max_size=3)),
    ),
    max_leaves=5,
)


def encoded(text: str, how: str) -> bytes:
    """A message with a text in a header and in a part, in some encoding."""
    if how == "raw":
        return b"X-One: " + text.encode() + b"\r\n\r\n" + text.encode("utf-8", "replace")
    from email.charset import BASE64, QP, Charset
    from email.header import Header as EmailHeader
    from email.mime.text import MIMEText

    if how == "parts":
        two = [f"--x\r\nX-One: {word}\r\n\r\n{word}\r\n" for word in (text, text[::-1])]
        return ("Content-Type: multipart/mixed; boundary=x\r\n\r\n" + "".join(two)).encode() + b"--x--\r\n"
    charset = Charset("utf-8")
    charset.body_encoding = BASE64 if how == "base64" else QP
    part = MIMEText(text, "plain", charset)  # type: ignore[arg-type]
    folded = EmailHeader(text, "utf-8", header_name="Subject").encode(linesep="\r\n")
    return b"Subject: " + folded.encode() + b"\r\n" + part.as_bytes().replace(b"\n", b"\r\n")


class IndexTestCase(SynchronousTestCase):
    """Has a store on a clock."""

    def setUp(self) -> None:
        """Make it."""
        self.hands = Hands()
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.store = self.open()

    def open(self) -> SqliteMailStore:
        """A store on the folder."""
        workers = InlineWorkers()
        store = SqliteMailStore(
            self.folder, [workers], workers, self.hands.now, self.hands.new_id, clock=self.clock
        )
        self.addCleanup(lambda: result_now(self, store.close()))
        return store

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the file holds."""
        connection = sqlite3.connect(self.folder / ANN / "mail.db")
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    async def fill(self, *bodies: bytes) -> Any:
        """Ann's inbox with some more messages."""
        inbox = await (await self.store.mail(ANN)).mailbox("INBOX")
        for body in bodies:
            await inbox.append(body, ())
        return inbox

    def found(self, query: Query) -> list[int]:
        """What the store finds."""

        async def run() -> list[int]:
            return list(await (await self.fill()).search(query))

        return result_now(self, run())

    def looked_at(self, query: Query) -> tuple[list[int], int]:
        """What the store finds, and at how many messages it looked."""
        looked: list[int] = []
        among = sqlsearch.among

        def count(connection: Any, mailbox: int, rest: Query, uids: Any) -> Any:
            looked.extend(uids)
            return among(connection, mailbox, rest, uids)

        with patch.object(sqlsearch, "among", count):
            return self.found(query), len(looked)


class SameAnswerTests(IndexTestCase):
    """Against the memory store."""

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.tuples(TEXTS, st.sampled_from(("raw", "base64", "quoted", "parts"))), max_size=5),
        st.integers(0, 5),
        st.lists(QUERIES, max_size=4),
        st.data(),
    )
    def test_random_messages_and_needles(
        self, texts: list[tuple[str, str]], indexed: int, queries: list[Query], data: st.DataObject
    ) -> None:
        """Some messages are in the index, some came later; needles are random, or cut from the texts."""
        workers, hands = InlineWorkers(), Hands()
        shutil.rmtree(self.folder, ignore_errors=True)
        store = SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id)
        oracle = MemoryMailStore(hands.now, hands.new_id)

        async def run() -> None:
            mail = await store.mail(ANN)
            file = mail._file  # type: ignore[attr-defined]
            ours = await mail.mailbox("INBOX")
            theirs = await (await oracle.mail(ANN)).mailbox("INBOX")
            for number, (text, how) in enumerate(texts):
                if number == indexed:
                    while await file.tend():
                        pass
                body = encoded(text, how)
                flags = ["\\Seen"] if number % 2 else []
                await ours.append(body, flags)
                await theirs.append(body, flags)
            for text, _ in texts:
                low = data.draw(st.integers(0, max(len(text) - 1, 0)))
                needle = text[low : low + data.draw(st.integers(0, 9))]
                queries.extend([Contains(Field.TEXT, needle.swapcase()), Contains(Field.BODY, needle), Header("x-one", needle)])
                queries.append(Contains(Field.BODY, text[-3:] + "\n" + text[::-1][:3]))
            for query in queries:
                self.assertEqual(list(await ours.search(query)), list(await theirs.search(query)), query)
            await store.close()

        result_now(self, run())


class IndexTests(IndexTestCase):
    """What the index does, and when."""

    BODIES = tuple(message(f"number {number}", f"needle{number:03}\r\n") for number in range(80))

    def test_an_indexed_mailbox_is_not_looked_through(self) -> None:
        """Two seconds of quiet, then only who may match is looked at, and not even that where a word is the proof."""
        result_now(self, self.fill(*self.BODIES))
        query = Contains(Field.BODY, "NEEDLE042")
        self.assertEqual(self.looked_at(query), ([43], 80))
        self.clock.pump([tending.QUIET] * 3)
        self.assertEqual(self.looked_at(query), ([43], 0))
        self.assertEqual(self.looked_at(Contains(Field.BODY, "eedle042")), ([43], 1))
        self.assertEqual(self.looked_at(Contains(Field.BODY, "needle042\r")), ([43], 1))
        self.assertEqual(self.looked_at(Contains(Field.TEXT, "no such thing")), ([], 0))
        self.assertEqual(self.looked_at(And((query, Contains(Field.TEXT, "number 42")))), ([43], 0))
        self.assertEqual(self.looked_at(And((query, Contains(Field.TEXT, "subject")))), ([43], 0))
        self.assertEqual(self.looked_at(Contains(Field.BODY, "subject")), ([], 80))
        self.assertEqual(self.looked_at(Or((query, Header("Subject", "number 9"))))[1], 2)
        self.assertEqual(self.looked_at(Not(query))[1], 80)
        self.assertEqual(self.looked_at(Contains(Field.BODY, "04"))[1], 11)
        self.assertEqual(self.looked_at(Contains(Field.TEXT, "ne"))[1], 0)

    def test_a_message_is_found_from_the_moment_it_is_stored(self) -> None:
        """What came after the index was made is looked at."""
        result_now(self, self.fill(*self.BODIES))
        self.clock.pump([tending.QUIET] * 3)
        result_now(self, self.fill(message("late", "needle042\r\n")))
        self.assertEqual(self.looked_at(Contains(Field.BODY, "needle042")), ([43, 81], 1))

    def test_copies_share_a_row_and_a_removed_message_is_found_no_more(self) -> None:
        """The index is of contents; what has gone is counted."""

        async def run() -> None:
            inbox = await self.fill(*self.BODIES[:3])
            await inbox.copy([1, 2], "INBOX")

        result_now(self, run())
        self.clock.pump([tending.QUIET] * 3)
        self.assertEqual(self.found(Contains(Field.BODY, "needle001")), [2, 5])
        self.assertEqual(self.rows("SELECT indexed_to, indexed, gone FROM upkeep"), [(3, 3, 0)])

        async def remove() -> None:
            await (await self.fill()).remove([2, 3, 5])

        result_now(self, remove())
        self.assertEqual(self.found(Contains(Field.BODY, "needle001")), [])
        self.assertEqual(self.rows("SELECT indexed_to, indexed, gone FROM upkeep"), [(3, 3, 2)])

    def test_texts_of_what_has_gone_are_removed(self) -> None:
        """In the next quiet moment; those of what is there stay, and are searched."""
        result_now(self, self.fill(*self.BODIES[:5]))
        self.clock.pump([tending.QUIET] * 3)
        self.assertEqual(self.rows("SELECT id FROM texts_content"), [(1,), (2,), (3,), (4,), (5,)])

        async def remove() -> None:
            await (await self.fill()).remove([2, 4])

        result_now(self, remove())
        self.assertEqual(self.looked_at(Contains(Field.TEXT, "eedle00")), ([1, 3, 5], 0))
        self.clock.pump([tending.QUIET] * 3)
        self.assertEqual(self.rows("SELECT id FROM texts_content"), [(1,), (3,), (5,)])
        self.assertEqual(self.rows("SELECT * FROM unindexed"), [])
        self.assertEqual(self.looked_at(Contains(Field.TEXT, "eedle00")), ([1, 3, 5], 0))

    def test_an_index_mostly_of_what_has_gone_is_made_anew(self) -> None:
        """After the bound is passed, in the next quiet moment."""
        self.patch(textindex, "LARGEST_WASTE", 3)
        result_now(self, self.fill(*self.BODIES[:10]))
        self.clock.pump([tending.QUIET] * 3)

        async def remove() -> None:
            await (await self.fill()).remove(list(range(1, 10)))

        result_now(self, remove())
        self.clock.pump([tending.QUIET] * 3)
        self.assertEqual(self.rows("SELECT indexed_to, indexed, gone FROM upkeep"), [(10, 1, 0)])
        self.assertEqual(self.looked_at(Contains(Field.BODY, "needle")), ([10], 0))

    def test_a_text_too_long_for_the_index_is_always_looked_at(self) -> None:
        """What lies behind the index's bound is found all the same."""
        self.patch(textindex, "MAX_TEXT", 1000)
        result_now(self, self.fill(message("long", "x" * 2000 + "\r\nneedle\r\n"), *self.BODIES[:5]))
        self.clock.pump([tending.QUIET] * 3)
        self.assertEqual(self.rows("SELECT content FROM unindexed"), [(1,)])
        self.assertEqual(self.looked_at(Contains(Field.BODY, "needle003")), ([5], 1))
        self.assertEqual(self.found(Contains(Field.BODY, "xx\r\nneedle\r\n")), [1])

    def test_a_text_of_over_a_million_characters_is_searched_to_its_end(self) -> None:
        """As RFC 9051 section 6.4.4 has no bound."""
        result_now(self, self.fill(b"\r\n" + b"x" * 1_200_000 + b" needle"))
        self.assertEqual(self.found(Contains(Field.BODY, "x needle")), [1])
        self.clock.pump([tending.QUIET] * 3)
        self.assertEqual(self.looked_at(Contains(Field.BODY, "x needle")), ([1], 1))

    def test_without_fts5_everything_is_looked_at(self) -> None:
        """Also where the file was indexed by a program that has it."""
        result_now(self, self.fill(*self.BODIES[:10]))
        self.clock.pump([tending.QUIET] * 3)
        with patch.object(textindex, "available", lambda: False):
            result_now(self, self.fill(*self.BODIES[10:12]))
            self.clock.pump([tending.QUIET] * 3)
            self.assertEqual(self.looked_at(Contains(Field.BODY, "needle004")), ([5], 12))
        self.assertEqual(self.looked_at(Contains(Field.BODY, "needle004")), ([5], 2))

    def test_tending_lets_those_who_write_go_first(self) -> None:
        """A file that is changed again and again is left alone, but not for ever."""
        result_now(self, self.fill(*self.BODIES[:5]))
        for _ in range(10):
            self.clock.advance(tending.QUIET * 0.9)
            result_now(self, self.fill(self.BODIES[5]))
        self.assertEqual(self.rows("SELECT indexed_to FROM upkeep"), [(0,)])
        for _ in range(10):
            self.clock.advance(tending.QUIET * 0.9)
            result_now(self, self.fill(self.BODIES[5]))
        self.assertGreater(self.rows("SELECT indexed_to FROM upkeep")[0][0], 5)

    def test_an_old_file_is_indexed_after_its_first_search(self) -> None:
        """A file that nobody changes is tended when somebody needs the index."""
        self.store._tending = None
        result_now(self, self.fill(*self.BODIES))
        result_now(self, self.store.close())
        self.store = self.open()
        query = Contains(Field.BODY, "needle042")
        self.assertEqual(self.looked_at(query), ([43], 80))
        self.clock.pump([tending.QUIET] * 3)
        self.assertEqual(self.looked_at(query), ([43], 0))

    def test_closing_ends_tending(self) -> None:
        """No timer is left, and none is begun."""
        result_now(self, self.fill(*self.BODIES))
        result_now(self, self.store.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_two_processes_that_tend_one_file(self) -> None:
        """What one has read after the other has written it is not written twice."""
        result_now(self, self.fill(*self.BODIES[:3]))
        connection = sqlite3.connect(self.folder / ANN / "mail.db", isolation_level=None)
        some = textindex.gather(connection)
        assert some is not None
        self.assertTrue(textindex.add(connection, some))
        self.assertFalse(textindex.add(connection, some))
        self.assertEqual(textindex.pending(connection), 0)
        connection.close()
        self.assertEqual(self.looked_at(Contains(Field.BODY, "needle002")), ([3], 0))


class NeedleTests(SynchronousTestCase):
    """What the index is asked."""

    def test_short_needles_ask_nothing(self) -> None:
        """There is no trigram in two characters."""
        for needle in ("", "a", "ab", "\U0001f600\U0001f601"):
            self.assertIsNone(textindex.match_of([needle]))
        self.assertIsNone(textindex.needles_of(Contains(Field.FROM, "abcdef")))

    def test_no_trigram_of_a_body_reaches_over_a_line_feed(self) -> None:
        """The index has a part's header there."""
        self.assertEqual(textindex.needles_of(Contains(Field.BODY, "abc\ndef")), ["abc", "def"])
        self.assertIsNone(textindex.needles_of(Contains(Field.BODY, "\n")))
        self.assertEqual(textindex.match_of(textindex.needles_of(Contains(Field.TEXT, "b\nc")) or []), '"b\nc"')

    def test_folding_comes_before_cutting(self) -> None:
        """A letter with an accent is two characters there."""
        self.assertEqual(textindex.match_of(textindex.needles_of(Contains(Field.TEXT, "\u00c9e")) or []), '"e\u0301e"')
        self.assertEqual(textindex.match_of(textindex.needles_of(Header("X-A", '"b')) or []), '"x-a"')

    def test_long_needles_are_asked_for_in_part(self) -> None:
        """A needle of any length makes a bounded question."""
        needle = "".join(chr(0x4E00 + number) for number in range(5_000))
        self.assertLessEqual(len(textindex.trigrams(needle)), textindex.MAX_TRIGRAMS)


class ConcurrentTests(TestCase):
    """On real threads, with hardly a pause between a change and tending."""

    def test_what_was_acknowledged_is_found_whatever_the_index_does(self) -> Deferred[None]:
        """While messages come and go, others search, and the index is carried on and made anew."""
        self.patch(tending, "QUIET", 0.001)
        self.patch(tending, "PATIENCE", 0.005)
        self.patch(textindex, "SLICE_CONTENTS", 3)
        self.patch(textindex, "LARGEST_WASTE", 5)
        hands, choose = Hands(), random.Random(4)
        writer, readers = ThreadWorkers(reactor, "write", 1), ThreadWorkers(reactor, "read", 2)  # type: ignore[arg-type]
        store = SqliteMailStore(
            Path(self.mktemp()), [writer], readers, hands.now, hands.new_id, clock=reactor
        )
        there: dict[int, str] = {}
        found = [0]

        async def come_and_go(inbox: Any) -> None:
            for number in range(150):
                word = f"word{number:04}"
                uid = (await inbox.append(message("x", f"{word} some more text\r\n"), ())).uid
                there[uid] = word
                if number % 3 == 2:
                    gone = choose.choice(sorted(there))
                    del there[gone]
                    await inbox.remove([gone])

        async def search(inbox: Any) -> None:
            while found[0] < 150:
                before = dict(there)
                if before:
                    uid, word = choose.choice(sorted(before.items()))
                    answer = list(await inbox.search(Contains(Field.BODY, choose.choice((word, word[1:], f"{word} so")))))
                    self.assertEqual(answer, [uid] if uid in there or answer else [])
                found[0] += 1
                await inbox.status()

        async def run() -> None:
            inbox = await (await store.mail(ANN)).mailbox("INBOX")
            for busy in [Deferred.fromCoroutine(job(inbox)) for job in (come_and_go, search, search)]:
                await busy
            await store.close()
            for one in (writer, readers):
                await one.close()

        return Deferred.fromCoroutine(run())


class LogTests(IndexTestCase):
    """The log of removed messages."""

    def test_a_long_log_is_cut_and_what_was_before_is_still_answered(self) -> None:
        """Who asks from before the cut hears of every UID that is not there, others of what they missed."""
        patch.object(tending.long_logs, "__defaults__", (3,)).start()
        self.addCleanup(patch.stopall)

        async def remove(uid: int) -> None:
            await (await self.fill()).remove([uid])

        result_now(self, self.fill(*[b""] * 12))
        for uid in range(1, 9):
            result_now(self, remove(uid))
        inbox = result_now(self, self.fill())
        highest = result_now(self, inbox.status()).highest_modseq
        self.clock.pump([tending.QUIET] * 3)
        self.assertEqual(self.rows("SELECT count(*) FROM expunged"), [(3,)])
        self.assertEqual(result_now(self, inbox.changes(highest - 2)).vanished, (7, 8))
        self.assertEqual(result_now(self, inbox.changes(highest - 3)).vanished, (6, 7, 8))
        self.assertEqual(result_now(self, inbox.changes(highest - 4)).vanished, tuple(range(1, 9)))
        self.assertEqual(result_now(self, inbox.changes(0)).vanished, tuple(range(1, 9)))


class SpaceTests(IndexTestCase):
    """Space of removed mail."""

    def test_space_is_given_back_in_quiet_moments(self) -> None:
        """Bit by bit, once it is a quarter of the file and more than two MiB."""
        result_now(self, self.fill(*[b"x" * 100_000] * 45, b"last"))
        path = self.folder / ANN / "mail.db"

        async def remove() -> None:
            await (await self.fill()).remove(range(1, 46))

        result_now(self, remove())
        pages = self.rows("PRAGMA page_count")[0][0]
        self.assertGreater(pages, 1_000)
        self.clock.pump([tending.QUIET] * 3)
        result_now(self, self.store.close())
        self.assertLess(self.rows("PRAGMA page_count")[0][0], tending.UNUSED_PAGES + 64)
        self.assertLess(path.stat().st_size, pages * 4096 // 2)


class DamageTests(IndexTestCase):
    """A body that cannot be read."""

    def test_an_index_that_cannot_be_read_is_not_asked(self) -> None:
        """Everything is looked at then, and the log says what mends it."""
        result_now(self, self.fill(*IndexTests.BODIES[:10]))
        self.clock.pump([tending.QUIET] * 3)
        connection = sqlite3.connect(self.folder / ANN / "mail.db")
        with connection:
            connection.execute("DELETE FROM texts_config")
        connection.close()
        self.assertEqual(self.looked_at(Contains(Field.BODY, "needle004")), ([5], 10))

    def test_missing_octets_do_not_stop_the_index(self) -> None:
        """That message is not in it; reading it is refused for a while, and nothing breaks."""
        result_now(self, self.fill(*IndexTests.BODIES[:3]))
        connection = sqlite3.connect(self.folder / ANN / "mail.db")
        with connection:
            connection.execute("DELETE FROM chunks WHERE number = (SELECT min(number) FROM chunks)")
        connection.close()
        self.clock.pump([tending.QUIET] * 3)
        self.assertEqual(self.rows("SELECT content FROM unindexed"), [(1,)])
        inbox = result_now(self, self.fill())
        self.failureResultOf(Deferred.fromCoroutine(inbox.read(1, 0, 10)), TryLater)


class BoundTests(SynchronousTestCase):
    """What is searched at all."""

    def test_the_search_reads_as_much_as_it_says(self) -> None:
        """Sixteen MiB of a message."""
        whole = b"\r\n" + b"x" * search.MAX_OCTETS + b"needle"
        self.assertNotIn("needle", search.Text(lambda: whole).body)
        self.assertIn("needle", search.Text(lambda: b"\r\n" + whole[10:]).body)
