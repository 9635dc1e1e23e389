"""What every mail store must tell those who watch a whole account."""

from __future__ import annotations

from collections.abc import Collection

from launcelot.mailstore.interface import INBOX, Glance, StoreMode
from launcelot.mailstore.watchers import EVERYTHING, TREE
from tests.mailstore.kit import ANN, Contract, claim, message


class WatchContract(Contract):
    """Watching all mailboxes at once."""

    async def glance(self, name: str) -> Glance:
        """How one mailbox stands."""
        mail = await self.store.mail(ANN)
        return next(one for one in await mail.glances() if one.name == name)

    @claim
    async def test_glances(self) -> None:
        """They agree with STATUS and the listing; some can be asked for by number; numbers outlive a rename."""
        mail = await self.store.mail(ANN)
        await mail.create("a/b")
        box = await mail.mailbox("a/b")
        await box.append_all([])
        await box.append(message("x"), ("\\Seen",))
        await box.append(message("y"), ())
        everything = await mail.glances()
        self.assertEqual([one.name for one in everything], [INBOX, "a", "a/b"])
        one, status = everything[2], await box.status()
        self.assertEqual((one.id, one.uid_validity, one.uid_next), (status.id, status.uid_validity, status.uid_next))
        self.assertEqual((one.highest_modseq, one.messages, one.unseen), (status.highest_modseq, 2, 1))
        self.assertNotEqual(box.opened, one)
        self.assertEqual((await mail.mailbox("a/b")).opened, one)
        await mail.rename("a", "c")
        self.assertEqual([each.name for each in await mail.glances([one.number, 987])], ["c/b"])
        await mail.delete("c/b")
        self.assertEqual(list(await mail.glances([one.number])), [])
        self.assertEqual(box.opened.name, "a/b")
        self.assertEqual(list(await mail.glances([])), [])

    @claim
    async def test_every_change_is_told(self) -> None:
        """With the mailboxes it touched, once for each commit, names and subscriptions too, until nobody listens."""
        mail = await self.store.mail(ANN)
        heard: list[set[int]] = []

        def hear(numbers: Collection[int]) -> None:
            heard.append(set(numbers))

        stop = mail.watch(hear)
        await mail.create("a")
        self.assertIn(TREE, heard.pop())
        inbox, a = (await self.glance(INBOX)).number, (await self.glance("a")).number
        box = await mail.mailbox(INBOX)
        await box.append(message("x"), ())
        await box.copy([1], "a")
        await box.store([1], StoreMode.ADD, ("\\Seen",))
        await box.move([1], "a")
        await mail.deliver(message("y"), "key")
        self.assertEqual(heard, [{inbox}, {a}, {inbox}, {inbox, a}, {inbox}])
        heard.clear()
        await box.store([77], StoreMode.ADD, ("\\Seen",))
        await box.status()
        self.assertEqual(heard, [])
        for change in (mail.subscribe("b"), mail.subscribe("b", False), mail.rename("a", "z"), mail.delete("z")):
            await change
            self.assertIn(TREE, heard.pop())
            self.assertEqual(heard, [])
        await mail.rename(INBOX, "old")
        self.assertEqual(heard.pop(), {inbox, (await self.glance("old")).number, TREE})
        stop()
        stop()
        await mail.create("q")
        self.assertEqual(heard, [])

    @claim
    async def test_account_that_is_removed(self) -> None:
        """Whoever watches is told that everything may have changed."""
        mail = await self.store.mail(ANN)
        heard: list[int] = []
        mail.watch(heard.extend)
        await self.store.remove(ANN)
        self.assertIn(EVERYTHING, heard)

    @claim
    async def test_watchers_that_fail(self) -> None:
        """One's bug does not reach the others, nor the one who made the change."""
        mail = await self.store.mail(ANN)
        heard: list[Collection[int]] = []

        def fail(_numbers: Collection[int]) -> None:
            raise ZeroDivisionError

        mail.watch(fail)
        mail.watch(heard.append)
        await mail.create("a")
        self.assertEqual(len(heard), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
