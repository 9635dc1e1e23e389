"""What every store does with access lists.  RFC 4314."""

from __future__ import annotations

from launcelot.core.errors import Gone, LimitReached
from launcelot.mailstore.rights import ALL, MAX_ENTRIES, Change
from tests.mailstore.kit import ANN, Contract, claim

READ, WRITE = frozenset("lr"), frozenset("lrswi")


class GrantContract(Contract):
    """Access lists of mailboxes."""

    @claim
    async def test_entries_are_changed_one_by_one(self) -> None:
        """Replaced, added to, taken from; one without rights is removed."""
        mail = await self.account()
        id = (await mail.create("a")).id
        self.assertEqual(await mail.grants.of(id), {})
        self.assertEqual(await mail.grants.change(id, "anyone", Change.REPLACE, READ), READ)
        self.assertEqual(await mail.grants.change(id, "account:1", Change.ADD, WRITE), WRITE)
        self.assertEqual(await mail.grants.change(id, "account:1", Change.REMOVE, READ), frozenset("swi"))
        self.assertEqual(await mail.grants.change(id, "-account:1", Change.ADD, ALL), ALL)
        wanted = {"anyone": READ, "account:1": frozenset("swi"), "-account:1": ALL}
        self.assertEqual(await mail.grants.of(id), wanted)
        self.assertEqual(await mail.grants.all(), {id: wanted})
        await mail.grants.change(id, "anyone", Change.REMOVE, ALL)
        await mail.grants.change(id, "-account:1", Change.REPLACE, frozenset())
        await mail.grants.change(id, "nobody", Change.REMOVE, ALL)
        self.assertEqual(await mail.grants.of(id), {"account:1": frozenset("swi")})
        await mail.grants.change(id, "account:1", Change.REPLACE, frozenset(), keep=True)
        self.assertEqual(await mail.grants.of(id), {"account:1": frozenset()})

    @claim
    async def test_rename_keeps_and_delete_drops(self) -> None:
        """Under any name; INBOX keeps its own, and what it was renamed to is private."""
        mail = await self.account()
        a, inbox = (await mail.create("a")).id, (await mail.mailbox("INBOX")).info.id
        for id in (a, inbox):
            await mail.grants.change(id, "anyone", Change.REPLACE, READ)
        await mail.rename("a", "b/c")
        await mail.rename("INBOX", "old")
        self.assertEqual(await mail.grants.all(), {a: {"anyone": READ}, inbox: {"anyone": READ}})
        await mail.delete("b/c")
        await self.refused(Gone, mail.grants.of(a))
        await self.refused(Gone, mail.grants.change(a, "anyone", Change.REPLACE, READ))
        self.assertEqual(await mail.grants.all(), {inbox: {"anyone": READ}})

    @claim
    async def test_new_mailboxes_inherit(self) -> None:
        """From the one above, once; later changes are each mailbox's own."""
        mail = await self.account()
        a = (await mail.create("a")).id
        await mail.grants.change(a, "anyone", Change.REPLACE, READ)
        await mail.create("a/b/c")
        await mail.grants.change(a, "anyone", Change.REPLACE, WRITE)
        await mail.create("other")
        lists = {info.name: await mail.grants.of(info.id) for info in await mail.mailboxes()}
        self.assertEqual(
            lists,
            {"INBOX": {}, "a": {"anyone": WRITE}, "a/b": {"anyone": READ}, "a/b/c": {"anyone": READ}, "other": {}},
        )

    @claim
    async def test_who_watches_is_told(self) -> None:
        """Who has the mailbox open may have lost a right."""
        mail = await self.account()
        inbox = await mail.mailbox("INBOX")
        told: list[int] = []
        inbox.watch(lambda: told.append(1))
        before = await inbox.status()
        await mail.grants.change(inbox.info.id, "anyone", Change.REPLACE, READ)
        self.assertEqual(told, [1])
        self.assertEqual(await inbox.status(), before)
        self.assertEqual(inbox.rights, ALL)

    @claim
    async def test_lists_are_limited(self) -> None:
        """One entry more than the limit is refused; changing one that is there is not."""
        mail = await self.account()
        id = (await mail.mailbox("INBOX")).info.id
        for number in range(MAX_ENTRIES):
            await mail.grants.change(id, f"account:{number}", Change.REPLACE, READ)
        await self.refused(LimitReached, mail.grants.change(id, "anyone", Change.REPLACE, READ))
        await mail.grants.change(id, "account:0", Change.ADD, WRITE)
        self.assertEqual(len(await mail.grants.of(id)), MAX_ENTRIES)

    @claim
    async def test_gone_with_the_account(self) -> None:
        """Who still holds it is told so."""
        mail = await self.account()
        id = (await mail.mailbox("INBOX")).info.id
        await self.store.remove(ANN)
        await self.refused(Gone, mail.grants.of(id))
        await self.refused(Gone, mail.grants.all())
