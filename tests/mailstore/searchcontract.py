"""What every mail store must find: each kind of :mod:`launcelot.mailstore.query`, alone and combined."""

from __future__ import annotations

from base64 import b64encode
from datetime import date, datetime, timedelta, timezone

from launcelot.core.errors import Gone, Invalid
from launcelot.mailstore.interface import Mailbox, StoreMode
from launcelot.mailstore.query import (
    All,
    And,
    Arrived,
    Compare,
    Contains,
    EmailId,
    Field,
    Flagged,
    Header,
    InternalDate,
    ModSeq,
    Not,
    Or,
    Query,
    SavedDate,
    SentDate,
    Size,
    Uids,
)
from tests.mailstore.kit import Contract, all_messages, claim, message

WEST = timezone(timedelta(hours=-8))
MESSAGES = (
    message("Lunch today", "Shall we eat?\r\n", From="Ann <ann@a.example>", To="bob@b.example",
            Date="Sun, 1 Mar 2026 23:30:00 -0800"),
    message("=?utf-8?b?" + b64encode("Gr\u00fc\u00dfe".encode()).decode() + "?=", "Hallo\r\n", From="Bob <bob@b.example>",
            Cc="Carol <carol@c.example>", Bcc="dora@d.example"),
    message("coded", "=4Cunch at noon, stra=C3=9Fe=\r\n 5\r\n", Content_Type="text/plain; charset=utf-8",
            Content_Transfer_Encoding="quoted-printable", Date="Wed, 4 Mar 2026 01:00:00 +0900"),
    message("parts", "--x\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + b64encode(b"<p>d\xe9j\xe0 vu</p>").decode() + "\r\n--x\r\nContent-Type: image/png\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n" + b64encode(b"secret pixels").decode() + "\r\n--x--\r\n",
            Content_Type="multipart/mixed; boundary=x", X_Loop="yes"),
    b"",
)  # fmt: skip


class SearchContract(Contract):
    """SEARCH."""

    async def shelf(self) -> Mailbox:
        """An inbox with five messages."""
        inbox = await self.inbox()
        for number, body in enumerate(MESSAGES, 1):
            await inbox.append(body, ["$Odd"] if number % 2 else [], datetime(2026, 3, number, 20, 0, tzinfo=WEST))
        await inbox.store([1, 4], StoreMode.ADD, ["\\Seen"])
        return inbox

    async def found(self, *queries: Query) -> list[list[int]]:
        """What each query finds."""
        inbox = await self.shelf()
        return [list(await inbox.search(query)) for query in queries]

    @claim
    async def test_flags(self) -> None:
        """System flags and keywords, in any case, known and unknown."""
        found = await self.found(
            All(), Flagged("\\seen"), Flagged("$odd"), Flagged("$unknown"), Not(Flagged("\\Seen")), Flagged("\\Recent")
        )
        self.assertEqual(found, [[1, 2, 3, 4, 5], [1, 4], [1, 3, 5], [], [2, 3, 5], []])

    @claim
    async def test_moments_of_arrival(self) -> None:
        """Seconds count, and zones do not."""
        noon = datetime(2026, 3, 3, 12, 0, 0, tzinfo=timezone(timedelta(hours=-16)))
        text = And((Arrived(Compare.FROM, noon), Header("x-loop", "yes")))
        found = await self.found(*(Arrived(compare, noon) for compare in Compare), text)
        self.assertEqual(found, [[1, 2], [3], [3, 4, 5], [4, 5], [4]])

    @claim
    async def test_days_of_saving(self) -> None:
        """The day in UTC on which a message came into this mailbox, also by COPY."""
        inbox = await self.shelf()
        today = self.hands.now().date()
        tomorrow = today + timedelta(days=1)
        self.hands.advance(86_400)
        await inbox.copy([2, 3], "INBOX")
        for compare, expected in zip(Compare, ([1, 2, 3, 4, 5], [6, 7], [6, 7], []), strict=True):
            self.assertEqual(list(await inbox.search(SavedDate(compare, tomorrow))), expected)
        self.assertEqual(list(await inbox.search(SavedDate(Compare.ABOVE, today))), [6, 7])
        text = And((SavedDate(Compare.EQUAL, tomorrow), Header("subject", "coded")))
        self.assertEqual(list(await inbox.search(text)), [7])

    @claim
    async def test_email_ids(self) -> None:
        """A message and its copies have one, nobody else has it."""
        inbox = await self.shelf()
        await inbox.copy([2], "INBOX")
        (one,) = await all_messages(inbox, [2])
        self.assertEqual(list(await inbox.search(EmailId(one.email_id))), [2, 6])
        self.assertEqual(list(await inbox.search(EmailId("M"))), [])
        self.assertEqual(list(await inbox.search(Or((EmailId(one.email_id), Header("x-loop", ""))))), [2, 4, 6])

    @claim
    async def test_uids_and_sizes(self) -> None:
        """Ranges that overlap, are empty, or end beyond every number."""
        size = len(MESSAGES[1])
        found = await self.found(
            Uids(((2, 3), (3, 4), (9, 12))),
            Uids(()),
            Uids(((5, 1 << 80),)),
            Size(Compare.EQUAL, size),
            Size(Compare.BELOW, size),
            Size(Compare.FROM, 0),
            Size(Compare.ABOVE, 1 << 80),
        )
        smaller = [uid for uid, body in enumerate(MESSAGES, 1) if len(body) < size]
        self.assertEqual(found, [[2, 3, 4], [], [5], [2], smaller, [1, 2, 3, 4, 5], []])

    @claim
    async def test_many_ranges(self) -> None:
        """More ranges and terms than one SQL expression takes."""
        ranges = tuple((uid, uid) for uid in range(2, 6000, 2))
        deep = Or(tuple(Uids(((uid, uid),)) for uid in range(3, 3000)))
        self.assertEqual(await self.found(Uids(ranges), deep), [[2, 4], [3, 4, 5]])

    @claim
    async def test_days_are_those_of_the_message(self) -> None:
        """Each comparison, in the zone the message states; no Date matches no comparison and every negated one."""
        found = await self.found(
            InternalDate(Compare.EQUAL, date(2026, 3, 2)),
            InternalDate(Compare.BELOW, date(2026, 3, 2)),
            InternalDate(Compare.FROM, date(2026, 3, 4)),
            InternalDate(Compare.ABOVE, date(2026, 3, 4)),
            SentDate(Compare.EQUAL, date(2026, 3, 1)),
            SentDate(Compare.FROM, date(2026, 3, 1)),
            SentDate(Compare.BELOW, date(2026, 3, 4)),
            Not(SentDate(Compare.FROM, date(2026, 3, 4))),
        )
        self.assertEqual(found, [[2], [1], [4, 5], [5], [1], [1, 3], [1], [1, 2, 4, 5]])

    @claim
    async def test_strings_in_well_known_fields(self) -> None:
        """Decoded, without regard to case."""
        found = await self.found(
            Contains(Field.SUBJECT, "GRU\u0308\u00dfE"),
            Contains(Field.SUBJECT, "lunch"),
            Contains(Field.FROM, "ANN@a"),
            Contains(Field.TO, "bob"),
            Contains(Field.CC, "carol"),
            Contains(Field.BCC, "dora"),
            Contains(Field.FROM, "nobody"),
            Contains(Field.SUBJECT, "\ud800"),
        )
        self.assertEqual(found, [[2], [1], [1], [1], [2], [2], [], []])

    @claim
    async def test_strings_in_text(self) -> None:
        """Transfer encodings and charsets are undone; BODY leaves the header out; pictures are no text."""
        found = await self.found(
            Contains(Field.BODY, "lunch"),
            Contains(Field.TEXT, "lunch"),
            Contains(Field.BODY, "STRA\u00dfE 5"),
            Contains(Field.TEXT, "D\u00c9J\u00c0"),
            Contains(Field.BODY, "secret pixels"),
            Contains(Field.BODY, "parts"),
            And((Contains(Field.BODY, "hallo"), Not(Flagged("$Odd")))),
        )
        self.assertEqual(found, [[3], [1, 3], [3], [4], [], [], [2]])

    @claim
    async def test_unicode_casemap(self) -> None:
        """Composed and decomposed letters are one, cases too; what RFC 5051 tells apart is apart, everywhere."""
        inbox = await self.inbox()
        words = "Caf\u00e9 \ufb01n \u00dfo \u01c4"
        body = f"Subject: {words}\r\nX-Own: {words}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{words}".encode()
        (uid,) = [(await inbox.append(body, ())).uid]
        for text, matches in (
            ("CAFE\u0301", True), ("caf\u00c9", True), ("cafe", True), ("fin", False), ("\ufb01N", True), ("sso", False),
            ("\u00dfO", True), ("\u01c6", True), ("\u01c5", True), ("caf\u00c8", False),
        ):  # fmt: skip
            for query in (
                Contains(Field.SUBJECT, text), Contains(Field.BODY, text), Contains(Field.TEXT, text), Header("x-own", text),
            ):  # fmt: skip
                found = list(await inbox.search(And((Uids(((uid, uid),)), query))))
                self.assertEqual(found, [uid] if matches else [], query)

    @claim
    async def test_header_fields(self) -> None:
        """By name in any case, with a string or only there."""
        found = await self.found(
            Header("x-loop", ""), Header("X-LOOP", "YES"), Header("x-loop", "no"), Header("SUBJECT", "gr\u00fc"),
            Header("x", ""), Not(Header("Subject", "")),
        )  # fmt: skip
        self.assertEqual(found, [[4], [4], [], [2], [], [5]])

    @claim
    async def test_combinations(self) -> None:
        """And, Or and Not of what columns know and what only the text says."""
        text = Contains(Field.BODY, "lunch")
        found = await self.found(
            And(()),
            Or(()),
            Or((text, Flagged("\\Seen"))),
            And((Not(text), Or((Flagged("\\Seen"), Size(Compare.EQUAL, 0))))),
            Not(And((Flagged("$Odd"), Not(Flagged("\\Seen"))))),
            Or((And((Uids(((1, 3),)), Contains(Field.FROM, "bob"))), Header("X-Loop", "y"))),
        )
        self.assertEqual(found, [[1, 2, 3, 4, 5], [], [1, 3, 4], [1, 4, 5], [1, 2, 4], [2, 4]])

    @claim
    async def test_modseq(self) -> None:
        """Messages changed at or after a MODSEQ."""
        inbox = await self.shelf()
        highest = (await inbox.status()).highest_modseq
        self.assertEqual(list(await inbox.search(ModSeq(highest))), [1, 4])
        self.assertEqual(list(await inbox.search(ModSeq(highest + 1))), [])
        self.assertEqual(len(await inbox.search(ModSeq(0))), 5)

    @claim
    async def test_nesting_is_limited(self) -> None:
        """A query too deep is refused instead of failing somewhere inside."""
        inbox = await self.shelf()
        query: Query = All()
        for _ in range(98):
            query = Not(query)
        self.assertEqual(len(await inbox.search(query)), 5)
        for _ in range(5_000):
            query = Not(query)
        await self.refused(Invalid, inbox.search(query))

    @claim
    async def test_search_of_a_deleted_mailbox(self) -> None:
        """It is gone, whatever is asked."""
        mail = await self.account()
        await mail.create("a")
        box = await mail.mailbox("a")
        await mail.delete("a")
        for query in (All(), Contains(Field.BODY, "x")):
            await self.refused(Gone, box.search(query))
