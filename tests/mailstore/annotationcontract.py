"""What every store does with annotations.  RFC 5464."""

from __future__ import annotations

from launcelot.core.errors import Gone, NotFound
from launcelot.core.ids import AccountId
from launcelot.mailstore.annotations import (
    MAX_ENTRIES,
    MAX_TOTAL,
    MAX_VALUE,
    WHOLE_ACCOUNT,
    AnnotationChanges,
    TooManyAnnotations,
    ValueTooLarge,
)
from tests.mailstore.kit import ANN, BOB, Contract, claim

COMMENT, MINE = "/shared/comment", "/private/comment"
NEW = AnnotationChanges(0, ())


class AnnotationContract(Contract):
    """Annotations of mailboxes and of the account."""

    @claim
    async def test_private_values_are_their_persons_own(self) -> None:
        """Shared ones are everybody's; a mailbox and the account do not share theirs."""
        notes = (await self.account()).annotations
        self.assertEqual(await notes.read("inbox", ANN), {})
        await notes.write("INBOX", ANN, {COMMENT: b"all", MINE: b"a\0nn"})
        await notes.write("Inbox", BOB, {MINE: b""})
        await notes.write(WHOLE_ACCOUNT, ANN, {MINE: b"account"})
        self.assertEqual(await notes.read("INBOX", ANN), {COMMENT: b"all", MINE: b"a\0nn"})
        self.assertEqual(await notes.read("INBOX", BOB), {COMMENT: b"all", MINE: b""})
        self.assertEqual(await notes.read(WHOLE_ACCOUNT, ANN), {MINE: b"account"})
        self.assertEqual(await notes.read(WHOLE_ACCOUNT, BOB), {})
        other = (await self.account(BOB)).annotations
        self.assertEqual(await other.read("INBOX", ANN), {})

    @claim
    async def test_values_are_replaced_and_removed(self) -> None:
        """In one change; removing what is not there is no error."""
        notes = (await self.account()).annotations
        await notes.write("INBOX", ANN, {COMMENT: b"1", MINE: b"1"})
        await notes.write("INBOX", ANN, {COMMENT: None, MINE: b"2", "/shared/never": None})
        self.assertEqual(await notes.read("INBOX", ANN), {MINE: b"2"})

    @claim
    async def test_a_change_counts_as_one_of_the_mailbox(self) -> None:
        """Its highest MODSEQ rises, and who watches it hears of that; no message changes.  RFC 7162 section 3.2."""
        mail = await self.account()
        mailbox = await mail.mailbox("INBOX")
        before = (await mailbox.status()).highest_modseq
        heard: list[None] = []
        stop = mailbox.watch(lambda: heard.append(None))
        await mail.annotations.write("INBOX", ANN, {COMMENT: b"1"})
        await mail.annotations.write("INBOX", ANN, {MINE: b"1", COMMENT: None})
        await mail.annotations.write(WHOLE_ACCOUNT, ANN, {MINE: b"1"})
        await self.refused(ValueTooLarge, mail.annotations.write("INBOX", ANN, {COMMENT: bytes(MAX_VALUE + 1)}))
        stop()
        changes = await mailbox.changes(before)
        self.assertEqual((changes.highest_modseq, changes.changed, changes.vanished), (before + 2, (), ()))
        self.assertEqual(len(heard), 2)

    @claim
    async def test_unknown_mailboxes(self) -> None:
        """They have none and take none."""
        notes = (await self.account()).annotations
        await self.refused(NotFound, notes.read("nowhere", ANN))
        await self.refused(NotFound, notes.write("nowhere", ANN, {COMMENT: b"x"}))

    @claim
    async def test_rename_keeps_and_delete_drops(self) -> None:
        """Annotations follow their mailbox; of INBOX they are copied; a new mailbox has none."""
        mail = await self.account()
        notes = mail.annotations
        await mail.create("a/b")
        for name in ("INBOX", "a", "a/b"):
            await notes.write(name, ANN, {COMMENT: name.encode(), MINE: b"m"})
        await mail.rename("a", "c")
        self.assertEqual(await notes.read("c", ANN), {COMMENT: b"a", MINE: b"m"})
        self.assertEqual(await notes.read("c/b", ANN), {COMMENT: b"a/b", MINE: b"m"})
        await mail.rename("INBOX", "old")
        self.assertEqual(await notes.read("old", ANN), {COMMENT: b"INBOX", MINE: b"m"})
        self.assertEqual(await notes.read("INBOX", ANN), {COMMENT: b"INBOX", MINE: b"m"})
        await notes.write("old", ANN, {COMMENT: b"other"})
        self.assertEqual((await notes.read("INBOX", ANN))[COMMENT], b"INBOX")
        await mail.delete("c/b")
        await mail.create("c/b")
        self.assertEqual(await notes.read("c/b", ANN), {})

    @claim
    async def test_limits(self) -> None:
        """Size of one, number and size of all; what is refused changes nothing and has no number."""
        mail = await self.account()
        notes = mail.annotations
        await notes.write("INBOX", ANN, {COMMENT: bytes(MAX_VALUE)})
        await self.refused(ValueTooLarge, notes.write("INBOX", ANN, {MINE: b"x", COMMENT: bytes(MAX_VALUE + 1)}))
        many = {f"/private/vendor/x/{number}": b"x" for number in range(MAX_ENTRIES)}
        await self.refused(TooManyAnnotations, notes.write("INBOX", ANN, {**many, MINE: b"one more", COMMENT: None}))
        self.assertEqual(await notes.read("INBOX", ANN), {COMMENT: bytes(MAX_VALUE)})
        self.assertEqual((await notes.changes(ANN, -1)).number, 1)
        await notes.write("INBOX", ANN, many)
        await notes.write("INBOX", BOB, many)
        await notes.write("INBOX", ANN, {"/private/vendor/x/0": None, MINE: b"in its place"})
        for number in range(MAX_TOTAL // MAX_VALUE - 2):
            await mail.create(f"m{number}")
            await notes.write(f"m{number}", ANN, {COMMENT: bytes(MAX_VALUE)})
        await mail.create("last")
        await self.refused(TooManyAnnotations, notes.write("last", ANN, {COMMENT: bytes(MAX_VALUE)}))
        await notes.write("last", ANN, {MINE: b"a private one has room of its own"})

    @claim
    async def test_changes_by_number(self) -> None:
        """Who watches is told, and learns what is new of what is shared or its own."""
        mail = await self.account()
        notes = mail.annotations
        self.assertEqual(await notes.changes(ANN, -1), NEW)
        self.assertEqual(await notes.changes(ANN, 0), NEW)
        told: list[int] = []
        stop = notes.watch(lambda: told.append(1))
        await mail.create("a")
        self.assertEqual(await notes.write("a", ANN, {COMMENT: b"1"}), 1)
        self.assertEqual(await notes.write(WHOLE_ACCOUNT, BOB, {MINE: b"1"}), 2)
        self.assertEqual(await notes.write("a", ANN, {COMMENT: None, MINE: b"2"}), 3)
        self.assertEqual(len(told), 3)
        self.assertEqual(await notes.changes(ANN, 0), AnnotationChanges(3, (("a", MINE, 3), ("a", COMMENT, 3))))
        self.assertEqual(await notes.changes(BOB, 1), AnnotationChanges(3, (("", MINE, 2), ("a", COMMENT, 3))))
        self.assertEqual(await notes.changes(ANN, 3), AnnotationChanges(3, ()))
        self.assertEqual(await notes.changes(ANN, -1), AnnotationChanges(3, ()))
        stop()
        await mail.delete("a")
        self.assertEqual(await notes.write("INBOX", ANN, {COMMENT: b"1"}), 4)
        self.assertEqual(len(told), 3)
        self.assertEqual(await notes.changes(ANN, 0), AnnotationChanges(4, (("INBOX", COMMENT, 4),)))

    @claim
    async def test_gone_with_the_account(self) -> None:
        """A removed account has none, and who still holds it is told so."""
        notes = (await self.account()).annotations
        await notes.write("INBOX", ANN, {COMMENT: b"1"})
        await self.store.remove(ANN)
        await self.refused(Gone, notes.read("INBOX", ANN))
        await self.refused(Gone, notes.write(WHOLE_ACCOUNT, ANN, {MINE: b"1"}))
        again = (await self.account(AccountId(ANN))).annotations
        self.assertEqual(await again.read("INBOX", ANN), {})
