"""What every mail store must do with messages: the docstring of :mod:`launcelot.mailstore.interface`, claim by claim."""

from __future__ import annotations

import mmap
from datetime import datetime, timedelta, timezone
from pathlib import Path

from launcelot.core.errors import Gone, Invalid, LimitReached, NotFound, OverQuota
from launcelot.mailstore.dates import seconds_of, zone_of
from launcelot.mailstore.interface import MAX_KEYWORDS, Draft, Message, StoreMode
from launcelot.mailstore.query import Contains, Field
from launcelot.mailstore.sheets import Column, Fields
from launcelot.message.analysis import analyse
from launcelot.message.casemap import fold
from launcelot.message.sections import header_subset
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import Staging
from tests.mailstore.kit import ANN, Contract, all_messages, check_counters, claim, flags_of, message, uids_of


def keys_of(octets: bytes, message: Message) -> tuple[object, ...]:
    """What messages are put in order by, as columns have it."""
    found = analyse(octets)
    return (
        seconds_of(found.sent or message.internal_date), fold(found.subject), found.base_subject, found.sort_from,
        found.sort_to, found.sort_cc, found.message_id or "", "\n".join(found.references),
    )  # fmt: skip


class MessageContract(Contract):
    """Adding, reading and changing messages."""

    @claim
    async def test_empty_inbox_exists_at_first_use(self) -> None:
        """A new account has an INBOX with nothing in it."""
        status = await (await self.inbox()).status()
        self.assertEqual((status.messages, status.unseen, status.deleted, status.size), (0, 0, 0, 0))
        self.assertEqual((status.uid_next, status.first_unseen, status.keywords), (1, 0, ()))
        self.assertGreater(status.uid_validity, 0)
        self.assertGreater(status.highest_modseq, 0)

    @claim
    async def test_append_gives_ascending_uids_and_raises_modseq(self) -> None:
        """Each message gets the UID that UIDNEXT promised, and a MODSEQ of its own."""
        inbox = await self.inbox()
        before = await inbox.status()
        first = await inbox.append(message("one"), ["\\Seen"])
        second = await inbox.append(message("two"), [])
        self.assertEqual((first.uid, second.uid), (1, 2))
        self.assertEqual(first.uid_validity, before.uid_validity)
        self.assertNotEqual(first.email_id, second.email_id)
        states = await inbox.states()
        self.assertLess(before.highest_modseq, states[0].modseq)
        self.assertLess(states[0].modseq, states[1].modseq)
        self.assertEqual((await inbox.status()).highest_modseq, states[1].modseq)
        await check_counters(inbox)

    @claim
    async def test_body_is_kept_octet_for_octet(self) -> None:
        """NUL, bare CR and LF, eight-bit octets, a missing last line end: everything comes back as it was."""
        bodies = [
            b"Subject: x\r\n\r\n\0\x01\xff\r\n",
            b"Subject: lf\n\nbare\nlf\rand cr",
            b"",
            b"\r\n",
            b"no header at all",
            bytes(range(256)) * 3,
            b".\r\n..\r\n",
        ]
        inbox = await self.inbox(*bodies)
        for uid, body in enumerate(bodies, 1):
            self.assertEqual(await inbox.read(uid, 0, 10_000), body)
        sizes = [found.size for found in await all_messages(inbox, range(1, len(bodies) + 1))]
        self.assertEqual(sizes, [len(body) for body in bodies])
        self.assertEqual(list(await inbox.sizes()), list(enumerate(sizes, 1)))
        await check_counters(inbox)

    @claim
    async def test_line_sizes_of_those_that_are_not_sent_as_they_are_stored(self) -> None:
        """Bare line ends, a last line without any, headers that need UTF-8; none of the others; and so for copies."""
        foreign = "Subject: \u00fc\r\n\r\nx\r\n".encode()
        inbox = await self.inbox(message("plain"), b"Subject: x\n\ny", foreign, foreign + b"z", "A: b\r\n\r\n\u00fc\r\n".encode())
        here = len(b"Subject: =?utf-8?b?w7w=?=\r\n\r\nx\r\n")
        expected = {2: (17, 17), 3: (len(foreign), here), 4: (len(foreign) + 3, here + 3)}
        self.assertEqual(await inbox.line_sizes(), expected)
        await (await self.account()).create("Copies")
        await inbox.copy([1, 3], "Copies")
        self.assertEqual(await (await (await self.account()).mailbox("Copies")).line_sizes(), {2: expected[3]})
        await inbox.remove([2, 3])
        self.assertEqual(await inbox.line_sizes(), {4: expected[4]})

    @claim
    async def test_read_of_every_piece_of_a_large_body(self) -> None:
        """A body of 5 MB reads the same whole, in pieces that cross every boundary, and past its end."""
        body = b"Subject: large\r\n\r\n" + b"".join(b"%09d\r\n" % number for number in range(460_000))
        inbox = await self.inbox(body)
        self.assertEqual(await inbox.read(1, 0, len(body)), body)
        for length in (65_536, 100_003, 262_144, 600_001):
            pieces = [await inbox.read(1, start, length) for start in range(0, len(body), length)]
            self.assertEqual(b"".join(pieces), body)
        for start in (262_143, 262_144, 262_145, len(body) - 1, len(body), len(body) + 5, 1 << 70):
            self.assertEqual(await inbox.read(1, start, 3), body[start : start + 3])
        self.assertEqual(await inbox.read(1, 5, 0), b"")

    @claim
    async def test_body_staged_in_a_file(self) -> None:
        """A mapped file is taken as octets are, and nothing of it is needed once the message is stored."""
        folder = Path(self.mktemp())
        folder.mkdir()
        staged = Staging(folder, InlineWorkers(), spare=0).begin()
        for number in range(20):
            await staged.write(b"Subject: staged\r\n\r\n" if number == 0 else b"%20d\r\n" % number * 3_000)
        view = staged.view()
        self.assertIsInstance(view, mmap.mmap)
        whole = view[:]
        inbox = await self.inbox()
        await inbox.append(view, ())
        await (await self.account()).deliver(view, "key")
        staged.close()
        for uid in (1, 2):
            self.assertEqual(await inbox.read(uid, 0, len(whole)), whole)
        self.assertEqual(list(await inbox.search(Contains(Field.SUBJECT, "staged"))), [1, 2])
        await check_counters(inbox)

    @claim
    async def test_uids_and_states_of_some(self) -> None:
        """UIDs alone, and the states of those asked for that are there, each once, ascending; few and many."""
        inbox = await self.inbox(*(message(str(number)) for number in range(6)))
        await inbox.store([2], StoreMode.ADD, ["$Work"])
        await inbox.remove([4])
        self.assertEqual(list(await inbox.uids()), [1, 2, 3, 5, 6])
        every = {state.uid: state for state in await inbox.states()}
        for wanted in ((), (4, 77), (6, 2, 2, 4), range(1, 2_000)):
            found = await inbox.states(wanted)
            self.assertEqual(list(found), [every[uid] for uid in sorted(set(wanted)) if uid in every])
        await (await self.account()).create("Other")
        other = await (await self.account()).mailbox("Other")
        await (await self.account()).delete("Other")
        await self.refused(Gone, other.uids())
        await self.refused(Gone, other.states([1]))

    @claim
    async def test_append_all_adds_all_or_none(self) -> None:
        """Messages together keep their order, flags and dates; what is refused for one is refused for all."""
        size = len(message("one"))
        large = message("large", "x" * 100_000)
        inbox = await self.inbox(quota=3 * size + len(large))
        date = datetime(2020, 5, 5, 5, 5, 5, tzinfo=timezone(timedelta(hours=2)))

        def draft(body: bytes, *flags: str) -> Draft:
            return Draft(lambda: body, len(body), flags, date if flags else None)

        added = await inbox.append_all([draft(message("one"), "$A", "\\Seen"), draft(large), draft(message("two"), "$a")])
        self.assertEqual([one.uid for one in added], [1, 2, 3])
        self.assertEqual(len({one.email_id for one in added}), 3)
        self.assertEqual(await flags_of(inbox), {1: {"$A", "\\Seen"}, 2: set(), 3: {"$A"}})
        found = await all_messages(inbox, [1, 2, 3])
        self.assertEqual([one.internal_date == date for one in found], [True, False, True])
        self.assertEqual(await inbox.read(2, 0, 200_000), large)
        before = await inbox.status()
        await self.refused(OverQuota, inbox.append_all([draft(message("one")), draft(message("two"))]))
        await self.refused(Invalid, inbox.append_all([draft(message("one")), draft(b"", "\\None")]))
        words = [f"word{number}" for number in range(40)]
        mine = [draft(b"x", *words), draft(b"y", *(word + "x" for word in words))]
        await self.refused(LimitReached, inbox.append_all(mine))
        self.assertEqual(list(await inbox.append_all([])), [])
        self.assertEqual(await inbox.status(), before)
        await check_counters(inbox)

    @claim
    async def test_replace_adds_and_removes_in_one(self) -> None:
        """Here or in another mailbox; only growth counts for the quota; what is refused changes nothing."""
        one, two = message("one", "x" * 100), message("two", "y" * 100)
        inbox = await self.inbox(one, quota=len(one) + 10)
        mail = await self.account(quota=len(one) + 10)
        date = datetime(2020, 5, 5, 5, 5, 5, tzinfo=timezone(timedelta(hours=2)))
        made = await inbox.replace(1, two, "INBOX", Draft(lambda: two, len(two), ["$A"], date))
        self.assertEqual((made.uid, await uids_of(inbox)), (2, [2]))
        self.assertEqual(await flags_of(inbox), {2: {"$A"}})
        self.assertEqual(await inbox.read(2, 0, 1_000), two)
        self.assertEqual((await all_messages(inbox, [2]))[0].internal_date, date)
        self.assertEqual((await inbox.changes(1)).vanished, (1,))
        await mail.create("Sent")
        sent = await mail.mailbox("Sent")
        before = [await inbox.status(), await sent.status()]
        draft = Draft(lambda: one, len(one))
        await self.refused(Gone, inbox.replace(1, one, "Sent", draft))
        await self.refused(NotFound, inbox.replace(2, one, "Nowhere", draft))
        await self.refused(OverQuota, inbox.replace(2, one + b"x" * 11, "Sent", draft))
        await self.refused(Invalid, inbox.replace(2, one, "Sent", Draft(lambda: one, 1, ["\\None"])))
        words = [f"word{number}" for number in range(MAX_KEYWORDS + 1)]
        await self.refused(LimitReached, inbox.replace(2, one, "Sent", Draft(lambda: one, 1, words)))
        self.assertEqual([await inbox.status(), await sent.status()], before)
        made = await inbox.replace(2, one, "sent".title(), draft)
        self.assertEqual((made.uid_validity, made.uid), (before[1].uid_validity, 1))
        self.assertEqual((await uids_of(inbox), await uids_of(sent)), ([], [1]))
        self.assertEqual((await mail.usage()).octets, len(one))
        await check_counters(inbox)
        await check_counters(sent)

    @claim
    async def test_read_of_a_message_that_is_gone(self) -> None:
        """A UID that is not there is refused, whatever number it is."""
        inbox = await self.inbox(message("one"))
        for uid in (0, 2, 1 << 32, 1 << 80):
            await self.refused(Gone, inbox.read(uid, 0, 10))
        await inbox.remove([1])
        await self.refused(Gone, inbox.read(1, 0, 10))

    @claim
    async def test_dates_are_kept_with_their_zone(self) -> None:
        """INTERNALDATE keeps the zone it was given, in whole seconds; SAVEDATE and its default are now."""
        inbox = await self.inbox()
        zone = timezone(timedelta(hours=-9, minutes=-30))
        given = [
            datetime(1969, 12, 31, 23, 59, 58, 999, zone),
            datetime(9999, 12, 31, 23, 59, 59, tzinfo=zone),
            datetime(1, 1, 1, 0, 0, 0, tzinfo=timezone(timedelta(hours=14))),
        ]
        for moment in given:
            await inbox.append(message("dated"), (), moment)
        await inbox.append(message("undated"), ())
        found = await all_messages(inbox, [1, 2, 3, 4])
        for one, moment in zip(found, given, strict=False):
            self.assertEqual(one.internal_date, moment.replace(microsecond=0))
            self.assertEqual(one.internal_date.utcoffset(), moment.utcoffset())
        now = self.hands.now().replace(microsecond=0)
        self.assertEqual(found[3].internal_date, now)
        self.assertEqual({one.saved for one in found}, {now})

    @claim
    async def test_precomputed_answers_are_of_the_message(self) -> None:
        """ENVELOPE, BODYSTRUCTURE and sizes are those of the octets."""
        inbox = await self.inbox(message("precious", From="Ann <ann@example.org>"))
        (found,) = await all_messages(inbox, [1])
        self.assertIn(b'"precious"', found.envelope)
        self.assertIn(b'"ann" "example.org"', found.envelope)
        self.assertTrue(found.body.lower().startswith(b'("text" "plain"'))
        self.assertTrue(found.body_structure.lower().startswith(b'("text" "plain"'))
        self.assertEqual((await inbox.read(1, 0, found.header_size))[-4:], b"\r\n\r\n")
        self.assertTrue(found.parts)

    @claim
    async def test_messages_come_in_order_without_those_gone(self) -> None:
        """A listing leaves out UIDs that are gone or never were, and takes many."""
        inbox = await self.inbox(*(message(str(number)) for number in range(30)))
        await inbox.remove([3, 4, 29])
        found = await all_messages(inbox, list(range(1, 2_000)))
        self.assertEqual([one.uid for one in found], [uid for uid in range(1, 31) if uid not in (3, 4, 29)])
        self.assertEqual(await all_messages(inbox, []), [])
        self.assertEqual(await all_messages(inbox, [3, 1 << 70]), [])

    @claim
    async def test_sheets_say_what_messages_say(self) -> None:
        """Columns of neighbours, of a few far apart and of some that are gone are those of the messages themselves."""
        inbox = await self.inbox(*(message(str(number)) for number in range(40)))
        await inbox.store([2, 7], StoreMode.ADD, ["\\Seen", "$Work"])
        await inbox.store([7, 30], StoreMode.ADD, ["\\Flagged"])
        await inbox.remove([4, 5])
        columns = tuple(Column)
        for uids in ([*range(1, 41)], [7], [1, 40], [2, 3, 4, 5, 6], [1, 3, 5, 7, 30, 99], [4]):
            told = [
                (row[0], *[sheet.flags(cell) if column is Column.FLAGS else cell for column, cell in zip(columns, row[1:])])
                async for sheet in inbox.sheets(uids, columns)
                for row in sheet.rows
            ]
            expected = [
                (
                    one.uid, one.modseq, one.flags, one.size, seconds_of(one.internal_date), zone_of(one.internal_date),
                    seconds_of(one.saved), one.email_id, one.thread_id, one.envelope, one.body, one.body_structure,
                    one.header_size, await inbox.read(one.uid, 0, one.size), await inbox.read(one.uid, 0, one.header_size),
                    *keys_of(await inbox.read(one.uid, 0, one.size), one),
                )
                for one in await all_messages(inbox, uids)
            ]  # fmt: skip
            self.assertEqual(told, expected)

    @claim
    async def test_sheets_do_not_hold_large_messages(self) -> None:
        """A message of more than a piece may be left to :meth:`read`; small and empty ones are whole."""
        inbox = await self.inbox(message("small"), b"", message("large", "x" * 70 + "\r\n" * 200_000))
        (sheet,) = [sheet async for sheet in inbox.sheets([1, 2, 3], [Column.SIZE, Column.OCTETS])]
        self.assertEqual([row[2] for row in sheet.rows[:2]], [message("small"), b""])
        self.assertIn(sheet.rows[2][2], (None, message("large", "x" * 70 + "\r\n" * 200_000)))

    @claim
    async def test_fields_of_headers(self) -> None:
        """Those that are named, as they are written, with the empty line; nothing of a header that is long."""
        long = message("large", **{"X-Long": "y " * 40_000})
        inbox = await self.inbox(message("one"), message("two", To="a@b.example,\r\n c@d.example"), b"", long)
        fields = (Fields(frozenset((b"to", b"subject"))), Fields(frozenset((b"x-none",))))
        told = [row async for sheet in inbox.sheets([1, 2, 3, 4, 5], fields) for row in sheet.rows]
        self.assertEqual([row[0] for row in told], [1, 2, 3, 4])
        self.assertEqual([row[2] for row in told], [b"\r\n", b"\r\n", b"", None])
        for (_, some, _), body in zip(told, (message("one"), message("two", To="a@b.example,\r\n c@d.example"), b"")):
            header = body[: body.index(b"\r\n\r\n") + 4] if body else b""
            self.assertEqual(some, header_subset(header, (b"To", b"Subject"), False))

    @claim
    async def test_sheet_of_one_says_what_sheets_say(self) -> None:
        """Whatever is asked of one message; of one that has gone, or is large, nothing wrong is said."""
        inbox = await self.inbox(message("one"), message("two"), message("three"), message("large", "x" * 70 + "\r\n" * 99_000))
        await inbox.store([1], StoreMode.ADD, ["\\Seen", "$Work"])
        await inbox.remove([2])
        told = 0
        fields = Fields(frozenset((b"subject", b"x-none")))
        several = [tuple(Column), (Column.HEADER_SIZE, Column.OCTETS), (fields, Column.FLAGS, fields)]
        for columns in [*several, *((column,) for column in (*Column, fields))]:
            for uid in (1, 2, 3, 4, 99):
                expected = [row async for sheet in inbox.sheets([uid], columns) for row in sheet.rows]
                found = await inbox.sheet(uid, columns)
                if found is not None:
                    self.assertEqual(list(found.rows), expected)
                    told += 1
        self.assertGreater(told, 0)

    @claim
    async def test_sheets_of_few_among_many(self) -> None:
        """Two messages at the ends of a large mailbox."""
        inbox = await self.inbox(*(message(str(number)) for number in range(150)))
        sheets = [sheet async for sheet in inbox.sheets([1, 150], [Column.SIZE])]
        self.assertEqual([row[0] for sheet in sheets for row in sheet.rows], [1, 150])

    @claim
    async def test_store_changes_flags_and_only_raises_modseq_where_something_changed(self) -> None:
        """ADD, REMOVE and REPLACE, with MODSEQ left alone for messages that already were so."""
        inbox = await self.inbox(message("one"), message("two"))
        start = (await inbox.status()).highest_modseq
        states, alone, _ = await inbox.store([1, 2], StoreMode.ADD, ["\\Seen"])
        self.assertEqual([(state.uid, set(state.flags)) for state in states], [(1, {"\\Seen"}), (2, {"\\Seen"})])
        self.assertEqual(list(alone), [])
        self.assertTrue(all(state.modseq > start for state in states))
        states, _, _ = await inbox.store([1], StoreMode.REPLACE, ["\\Flagged", "$Work"])
        high = (await inbox.status()).highest_modseq
        states, _, _ = await inbox.store([1, 2], StoreMode.ADD, ["\\Flagged"])
        self.assertEqual(states[0].modseq, high)
        self.assertGreater(states[1].modseq, high)
        states, _, _ = await inbox.store([1, 2], StoreMode.REMOVE, ["\\Flagged", "never-seen"])
        self.assertEqual(await flags_of(inbox), {1: {"$Work"}, 2: {"\\Seen"}})
        await check_counters(inbox)

    @claim
    async def test_store_that_changes_nothing_leaves_the_mailbox_as_it_is(self) -> None:
        """No change, no MODSEQ; UIDs that are not there are passed over."""
        inbox = await self.inbox(message("one"))
        before = await inbox.status()
        states, alone, _ = await inbox.store([1, 7], StoreMode.REMOVE, ["\\Seen", "$None"])
        self.assertEqual([state.uid for state in states], [1])
        await inbox.store([7], StoreMode.ADD, ["$Unknown"])
        self.assertEqual(await inbox.status(), before)
        self.assertEqual(list(alone), [])

    @claim
    async def test_store_tells_the_modseq_that_only_what_it_touched_has(self) -> None:
        """The next one where something changed, 0 where nothing did, even if what is there has just been changed."""
        inbox = await self.inbox(message("one"), message("two"), message("three"))
        start = (await inbox.status()).highest_modseq
        first = await inbox.store([1, 2], StoreMode.ADD, ["\\Seen"])
        self.assertEqual(first.modseq, start + 1)
        self.assertEqual([state.uid for state in (await inbox.changes(start)).changed], [1, 2])
        again = await inbox.store([1], StoreMode.ADD, ["\\Seen"])
        self.assertEqual((again.modseq, again.states[0].modseq), (0, first.modseq))
        mixed = await inbox.store([1, 3], StoreMode.ADD, ["\\Seen"], first.modseq)
        self.assertEqual((mixed.modseq, [state.modseq for state in mixed.states]), (start + 2, [start + 1, start + 2]))
        self.assertEqual((await inbox.store([1], StoreMode.ADD, ["$New"], 0)).modseq, 0)
        self.assertEqual((await inbox.store([9], StoreMode.ADD, ["$New"])).modseq, 0)

    @claim
    async def test_flags_of_many_neighbours(self) -> None:
        """Every mode on a long run, with keywords up to the last one, where all change, some do, and where one is missing."""
        inbox = await self.inbox(*[message(str(number)) for number in range(120)])
        words = [f"w{number}" for number in range(MAX_KEYWORDS)]
        await inbox.store([1], StoreMode.ADD, words)
        await inbox.store([1], StoreMode.REMOVE, words[:-1])
        every: list[int] = list(range(1, 121))
        expected = {uid: {words[-1]} if uid == 1 else set[str]() for uid in every}
        for step, (mode, given) in enumerate([
            (StoreMode.ADD, {"\\Seen", "w5"}), (StoreMode.ADD, {"\\Deleted", words[-1]}), (StoreMode.REMOVE, {"\\Seen"}),
            (StoreMode.REMOVE, {words[-1], "w5"}), (StoreMode.REPLACE, {"\\Flagged", "w5", words[-1]}),
            (StoreMode.REMOVE, {"\\Seen"}), (StoreMode.ADD, {"\\Seen"}), (StoreMode.REPLACE, set[str]()),
        ]):  # fmt: skip
            await inbox.store([7, 50], StoreMode.ADD, ["\\Draft"])
            for uid in {7, 50}.intersection(every):
                expected[uid].add("\\Draft")
            before = {state.uid: state for state in await inbox.states()}
            done = await inbox.store(every, mode, given)
            for uid in every:
                kept = set[str]() if mode is StoreMode.REPLACE else expected[uid]
                expected[uid] = kept - given if mode is StoreMode.REMOVE else kept | given
            self.assertEqual(await flags_of(inbox), expected)
            self.assertEqual(list(done.states), list(await inbox.states()))
            touched = [state.uid for state in done.states if before[state.uid].flags != state.flags]
            self.assertEqual([state.uid for state in done.states if state.modseq == done.modseq], touched)
            self.assertEqual([state for state in done.states if state.uid not in touched], [
                before[uid] for uid in every if uid not in touched
            ])  # fmt: skip
            sheets = [sheet async for sheet in inbox.sheets(every, [Column.FLAGS])]
            self.assertEqual({uid: set(sheet.flags(key)) for sheet in sheets for uid, key in sheet.rows}, expected)
            await check_counters(inbox)
            if step == 5:
                await inbox.remove([60])
                del expected[60]
                sheets = [sheet async for sheet in inbox.sheets(every, [Column.FLAGS])]
                every.remove(60)
                self.assertEqual([uid for sheet in sheets for uid, _ in sheet.rows], every)

    @claim
    async def test_store_unchanged_since_leaves_newer_messages_alone(self) -> None:
        """RFC 7162 section 3.1.3: those above the MODSEQ are named and not touched."""
        inbox = await self.inbox(message("one"), message("two"))
        old = (await inbox.states())[0].modseq
        states, alone, _ = await inbox.store([1, 2, 3], StoreMode.ADD, ["\\Answered"], old)
        self.assertEqual(([state.uid for state in states], list(alone)), ([1], [2]))
        states, alone, _ = await inbox.store([1, 2], StoreMode.ADD, ["\\Draft"], 0)
        self.assertEqual((list(states), list(alone)), ([], [1, 2]))
        self.assertEqual(await flags_of(inbox), {1: {"\\Answered"}, 2: set()})

    @claim
    async def test_other_flags_do_not_make_a_conditional_change_fail(self) -> None:
        """RFC 7162 section 3.1.12: flags are added or removed where only others were changed, but not replaced."""
        inbox = await self.inbox(message("one"), message("two"), message("three"))
        since = (await inbox.status()).highest_modseq
        await inbox.store([1, 2], StoreMode.ADD, ["\\Flagged", "$Work"])
        await inbox.store([2], StoreMode.REMOVE, ["\\Flagged"])
        states, alone, modseq = await inbox.store([1, 2, 3], StoreMode.ADD, ["\\Seen"], since)
        self.assertEqual(([state.uid for state in states], list(alone), modseq), ([1, 2, 3], [], 0))
        self.assertEqual(await flags_of(inbox), {1: {"\\Seen", "\\Flagged", "$Work"}, 2: {"\\Seen", "$Work"}, 3: {"\\Seen"}})
        for mode, flag in (
            (StoreMode.ADD, "\\Flagged"), (StoreMode.REMOVE, "$WORK"), (StoreMode.REPLACE, "\\Draft"), (StoreMode.ADD, "\\seen"),
        ):  # fmt: skip
            states, alone, _ = await inbox.store([1, 2], mode, [flag], since)
            self.assertEqual((list(states), list(alone)), ([], [1, 2]), flag)
        await inbox.store([1], StoreMode.REPLACE, ["\\Draft"])
        states, alone, modseq = await inbox.store([1, 2], StoreMode.REMOVE, ["\\Answered"], since)
        self.assertEqual(([state.uid for state in states], list(alone), modseq), ([2], [1], 0))

    @claim
    async def test_what_is_not_known_makes_a_conditional_change_fail(self) -> None:
        """Mail that has come meanwhile, which has all its flags since then, and what has happened behind it."""
        inbox = await self.inbox(message("one"), message("two"))
        since = (await inbox.status()).highest_modseq
        await inbox.append(message("three"), ["\\Draft"])
        await inbox.store([1], StoreMode.ADD, ["\\Flagged"])
        states, alone, _ = await inbox.store([1, 2, 3], StoreMode.ADD, ["\\Seen"], since)
        self.assertEqual(([state.uid for state in states], list(alone)), ([2], [1, 3]))
        since = (await inbox.status()).highest_modseq
        await inbox.store([*range(1, 200)], StoreMode.ADD, ["$Many"])
        states, alone, _ = await inbox.store([1, 3], StoreMode.ADD, ["\\Answered"], since)
        self.assertEqual(([state.uid for state in states], list(alone)), ([1, 3], []))
        states, alone, _ = await inbox.store([1, 3], StoreMode.ADD, ["$Many"], since)
        self.assertEqual((list(states), list(alone)), ([], [1, 3]))

    @claim
    async def test_flags_compare_without_case_and_recent_is_not_stored(self) -> None:
        """System flags get their standard spelling, keywords keep their first one."""
        inbox = await self.inbox()
        await inbox.append(message("one"), ["\\sEEN", "\\recent", "$Junk", "$JUNK"])
        await inbox.append(message("two"), ["$junk"])
        self.assertEqual(await flags_of(inbox), {1: {"\\Seen", "$Junk"}, 2: {"$Junk"}})
        self.assertEqual((await inbox.status()).keywords, ("$Junk",))
        await inbox.store([1], StoreMode.REMOVE, ["\\SEEN", "$JUNK"])
        self.assertEqual((await flags_of(inbox))[1], set())

    @claim
    async def test_impossible_flags_are_refused(self) -> None:
        """Unknown backslash flags and keywords that are not words change nothing."""
        inbox = await self.inbox(message("one"))
        before = await inbox.status()
        for flag in ("\\Starred", "", "two words", "caf\u00e9", "x" * 201, "nul\0"):
            await self.refused(Invalid, inbox.append(message("x"), [flag]))
            await self.refused(Invalid, inbox.store([1], StoreMode.ADD, [flag]))
        self.assertEqual(await inbox.status(), before)

    @claim
    async def test_keywords_are_limited_and_unused_ones_make_room(self) -> None:
        """The 65th keyword is refused while all are in use; one that no message has any more gives way."""
        inbox = await self.inbox(message("one"), message("two"))
        words = [f"word{number}" for number in range(MAX_KEYWORDS)]
        await inbox.store([1], StoreMode.ADD, words)
        self.assertEqual((await flags_of(inbox))[1], set(words))
        before = await inbox.status()
        await self.refused(LimitReached, inbox.store([2], StoreMode.ADD, ["another"]))
        await self.refused(LimitReached, inbox.append(message("three"), ["another"]))
        self.assertEqual(await inbox.status(), before)
        await inbox.store([1], StoreMode.REMOVE, ["word63", "word0"])
        await inbox.append(message("three"), ["another"])
        await inbox.store([2], StoreMode.ADD, ["more", "word63"][:1])
        found = await flags_of(inbox)
        self.assertEqual(found[1], set(words) - {"word0", "word63"})
        self.assertEqual((found[2], found[3]), ({"more"}, {"another"}))
        await inbox.remove([1])
        await inbox.store([2], StoreMode.ADD, words[:62])
        self.assertEqual((await flags_of(inbox))[2], {"more", *words[:62]})
        await check_counters(inbox)

    @claim
    async def test_expunge_removes_what_is_flagged_deleted(self) -> None:
        """All, or only those among the UIDs given (RFC 4315 section 2.1)."""
        inbox = await self.inbox(*(message(str(number)) for number in range(5)))
        await inbox.store([1, 3, 5], StoreMode.ADD, ["\\Deleted"])
        self.assertEqual((await inbox.status()).deleted, 3)
        self.assertEqual(list(await inbox.expunge([2, 3, 9])), [3])
        self.assertEqual(list(await inbox.expunge()), [1, 5])
        self.assertEqual(list(await inbox.expunge()), [])
        self.assertEqual(await uids_of(inbox), [2, 4])
        await check_counters(inbox)

    @claim
    async def test_remove_takes_messages_whatever_their_flags(self) -> None:
        """What was removed is named once, ascending, whatever order was asked."""
        inbox = await self.inbox(*(message(str(number)) for number in range(4)))
        self.assertEqual(list(await inbox.remove([4, 2, 2, 77])), [2, 4])
        self.assertEqual(await uids_of(inbox), [1, 3])
        await check_counters(inbox)

    @claim
    async def test_uids_are_never_reused(self) -> None:
        """Not even when the highest, or all, have been removed."""
        inbox = await self.inbox(message("one"), message("two"))
        await inbox.remove([2])
        self.assertEqual((await inbox.append(message("three"), ())).uid, 3)
        await inbox.remove([1, 3])
        self.assertEqual((await inbox.status()).uid_next, 4)
        self.assertEqual((await inbox.append(message("four"), ())).uid, 4)

    @claim
    async def test_changes_tell_exactly_what_happened_since(self) -> None:
        """New and changed messages and vanished UIDs since a MODSEQ; nothing when nothing happened."""
        inbox = await self.inbox(*(message(str(number)) for number in range(4)))
        since = (await inbox.status()).highest_modseq
        nothing = await inbox.changes(since)
        self.assertEqual((nothing.changed, nothing.vanished, nothing.uid_next), ((), (), 5))
        await inbox.store([2], StoreMode.ADD, ["\\Seen"])
        await inbox.remove([4])
        await inbox.remove([1])
        await inbox.append(message("new"), ["$New"])
        changes = await inbox.changes(since)
        self.assertEqual([(state.uid, set(state.flags)) for state in changes.changed], [(2, {"\\Seen"}), (5, {"$New"})])
        self.assertEqual((changes.vanished, changes.uid_next), ((1, 4), 6))
        self.assertEqual(changes.highest_modseq, (await inbox.status()).highest_modseq)
        everything = await inbox.changes(0)
        self.assertEqual([state.uid for state in everything.changed], [2, 3, 5])
        self.assertEqual((await inbox.changes(1 << 70)).changed, ())

    @claim
    async def test_many_changes_are_told_at_once(self) -> None:
        """More changes than are read in one go."""
        inbox = await self.inbox(*(message(str(number)) for number in range(450)))
        since = (await inbox.status()).highest_modseq
        await inbox.store(range(1, 451), StoreMode.ADD, ["\\Seen"])
        await inbox.remove(range(1, 221))
        changes = await inbox.changes(since)
        self.assertEqual([state.uid for state in changes.changed], list(range(221, 451)))
        self.assertEqual(changes.vanished, tuple(range(1, 221)))
        self.assertEqual(await uids_of(inbox), list(range(221, 451)))
        await check_counters(inbox)

    @claim
    async def test_recent_is_claimed_once(self) -> None:
        """The first to claim gets the new messages, the next one only those that came later."""
        inbox = await self.inbox(message("one"), message("two"))
        self.assertEqual(await inbox.claim_recent(), 1)
        self.assertEqual(await inbox.claim_recent(), 3)
        await inbox.append(message("three"), ())
        self.assertEqual((await inbox.status()).recent_from, 3)
        self.assertEqual(await inbox.claim_recent(), 3)
        self.assertEqual((await inbox.status()).recent_from, 4)

    @claim
    async def test_messages_are_limited(self) -> None:
        """Append, deliver, copy and several at once stop at the limit; a changed limit counts for what is open."""
        mail = await self.store.mail(ANN, 0, 2)
        inbox = await mail.mailbox("INBOX")
        await inbox.append(b"1", ())
        await self.refused(OverQuota, inbox.append_all([Draft(lambda: b"2", 1), Draft(lambda: b"3", 1)]))
        await inbox.append(b"2", ("\\Deleted",))
        await self.refused(OverQuota, inbox.append(b"3", ()))
        await self.refused(OverQuota, mail.deliver(b"3", "key"))
        await self.refused(OverQuota, inbox.copy([1], "INBOX"))
        await inbox.replace(1, b"4", "INBOX", Draft(lambda: b"4", 1))
        await inbox.move([3], "INBOX")
        self.assertEqual((await mail.usage()).messages, 2)
        mail.limit(3, 3)
        await inbox.append(b"5", ())
        await self.refused(OverQuota, inbox.append(b"6", ()))
        mail.limit(3, 0)
        await self.refused(OverQuota, inbox.append(b"6", ()))
        mail.limit(0)
        await inbox.append(b"66", ("\\Deleted",))
        self.assertEqual(await inbox.deleted_size(), 3)
        await inbox.expunge()
        self.assertEqual(await inbox.deleted_size(), 0)

    @claim
    async def test_quota_refuses_and_changes_nothing(self) -> None:
        """Append, deliver and copy stop at the quota's octet; removing makes room, moving needs none."""
        body = message("one")
        inbox = await self.inbox(body, quota=2 * len(body))
        mail = await self.account(quota=2 * len(body))
        await mail.create("Other")
        await self.refused(OverQuota, inbox.append(body + b"12" * len(body), ()))
        await inbox.copy([1], "Other")
        for refused in (inbox.append(b"x", ()), mail.deliver(b"x", "key"), inbox.copy([1], "Other")):
            await self.refused(OverQuota, refused)
        self.assertEqual((await mail.usage()).octets, 2 * len(body))
        await inbox.move([1], "Other")
        other = await mail.mailbox("Other")
        self.assertEqual(await uids_of(other), [1, 2])
        await other.remove([1])
        self.assertIsNotNone(await mail.deliver(body, "key"))
        self.assertEqual((await mail.usage()).messages, 2)


class TransferContract(Contract):
    """COPY and MOVE."""

    @claim
    async def test_copy_keeps_flags_dates_and_octets(self) -> None:
        """Copies get UIDs at the target's end, in the order of their sources; those that are gone are left out."""
        inbox = await self.inbox()
        mail = await self.account()
        await mail.create("Work")
        work = await mail.mailbox("Work")
        await work.append(message("first"), ["$Other", "$mine"])
        for number in range(3):
            moment = datetime(2020, 1, number + 1, tzinfo=timezone(timedelta(hours=2)))
            await inbox.append(message(str(number)), ["$Mine", "\\Seen"] if number else [], moment)
        self.hands.advance(100)
        copied = await inbox.copy([3, 1, 9], "Work")
        self.assertEqual((copied.source, copied.target), ((1, 3), (2, 3)))
        self.assertEqual(copied.uid_validity, (await work.status()).uid_validity)
        self.assertEqual(await flags_of(work), {1: {"$Other", "$mine"}, 2: set(), 3: {"$mine", "\\Seen"}})
        source, target = (await all_messages(inbox, [3]))[0], (await all_messages(work, [3]))[0]
        self.assertEqual(target.internal_date, source.internal_date)
        self.assertEqual(target.email_id, source.email_id)
        self.assertGreater(target.saved, source.saved)
        self.assertEqual(await work.read(3, 0, 1000), message("2"))
        self.assertEqual(await uids_of(inbox), [1, 2, 3])
        await check_counters(work)
        await check_counters(inbox)

    @claim
    async def test_copies_outlive_their_source(self) -> None:
        """Octets shared by copies stay until the last one is gone."""
        inbox = await self.inbox(message("one"))
        mail = await self.account()
        await mail.create("Work")
        await inbox.copy([1], "Work")
        await inbox.copy([1], "INBOX")
        await inbox.remove([1])
        work = await mail.mailbox("Work")
        self.assertEqual(await work.read(1, 0, 1000), message("one"))
        await mail.delete("Work")
        self.assertEqual(await inbox.read(2, 0, 1000), message("one"))
        self.assertEqual((await mail.usage()).messages, 1)

    @claim
    async def test_move_takes_and_adds_in_one(self) -> None:
        """The UIDs vanish here and appear there; EMAILID stays, usage does not change."""
        inbox = await self.inbox(message("one"), message("two"), message("three"))
        mail = await self.account()
        await mail.create("Archive")
        since = (await inbox.status()).highest_modseq
        email_ids = [one.email_id for one in await all_messages(inbox, [1, 3])]
        usage = await mail.usage()
        moved = await inbox.move([1, 3, 8], "Archive")
        self.assertEqual((moved.source, moved.target), ((1, 3), (1, 2)))
        self.assertEqual((await inbox.changes(since)).vanished, (1, 3))
        archive = await mail.mailbox("archive".title())
        self.assertEqual([one.email_id for one in await all_messages(archive, [1, 2])], email_ids)
        self.assertEqual(await archive.read(2, 0, 1000), message("three"))
        self.assertEqual(await mail.usage(), usage)
        await check_counters(inbox)
        await check_counters(archive)

    @claim
    async def test_copy_and_move_within_one_mailbox(self) -> None:
        """The target may be the source; moving gives new UIDs there."""
        inbox = await self.inbox(message("one"), message("two"))
        copied = await inbox.copy([1, 2], "inbox")
        self.assertEqual((copied.source, copied.target), ((1, 2), (3, 4)))
        moved = await inbox.move([2, 3], "INBOX")
        self.assertEqual((moved.source, moved.target), ((2, 3), (5, 6)))
        self.assertEqual(await uids_of(inbox), [1, 4, 5, 6])
        self.assertEqual(await inbox.read(6, 0, 1000), message("one"))
        await check_counters(inbox)

    @claim
    async def test_nothing_to_copy_changes_nothing(self) -> None:
        """UIDs that are all gone copy to nothing, and nobody's MODSEQ moves."""
        inbox = await self.inbox(message("one"))
        before = await inbox.status()
        for copied in (await inbox.copy([5], "INBOX"), await inbox.move([5], "INBOX")):
            self.assertEqual((copied.source, copied.target), ((), ()))
        self.assertEqual(await inbox.status(), before)

    @claim
    async def test_missing_target_is_refused(self) -> None:
        """No such mailbox, an impossible name, or a name that only holds others: nothing is copied or lost."""
        inbox = await self.inbox(message("one"))
        mail = await self.account()
        await mail.create("a/b")
        await mail.delete("a")
        for target in ("Nowhere", "a", "", "a//b", "x\0"):
            await self.refused(NotFound, inbox.copy([1], target))
            await self.refused(NotFound, inbox.move([1], target))
        self.assertEqual(await uids_of(inbox), [1])

    @claim
    async def test_target_without_room_for_keywords_refuses_all(self) -> None:
        """Copying keeps every flag or copies nothing."""
        inbox = await self.inbox()
        mail = await self.account()
        await mail.create("Full")
        full = await mail.mailbox("Full")
        await full.append(message("x"), [f"word{number}" for number in range(MAX_KEYWORDS)])
        await inbox.append(message("one"), ["another"])
        before = await full.status()
        await self.refused(LimitReached, inbox.move([1], "Full"))
        self.assertEqual(await full.status(), before)
        self.assertEqual(await uids_of(inbox), [1])
