"""What every mail store must do with THREADID.  RFC 8474 section 5.2."""

from __future__ import annotations

from random import Random

from launcelot.core.errors import Gone
from launcelot.mailstore.interface import AccountMail, Mailbox
from launcelot.mailstore.query import And, Not, Or, ThreadId, Uids
from launcelot.mailstore.sheets import Column
from tests.mailstore.kit import Contract, claim


def mail(id: str = "", *references: str, subject: str = "lunch") -> bytes:
    """A message with an id and those it answers."""
    fields = [f"Subject: {subject}"]
    if id:
        fields.append(f"Message-ID: <{id}@x>")
    if references:
        fields.append("References: " + "\r\n ".join(f"<{one}@x>" for one in references))
    return "\r\n".join([*fields, "", "text", ""]).encode()


async def thread_ids(mailbox: Mailbox) -> list[str | None]:
    """The thread of each message, as a sheet tells it."""
    uids = await mailbox.uids()
    return [row[1] async for sheet in mailbox.sheets(uids, (Column.THREAD_ID,)) for row in sheet.rows] if uids else []


class ThreadIdContract(Contract):
    """Threads."""

    async def begun(self, *bodies: bytes) -> tuple[AccountMail, Mailbox]:
        """An account with messages in its inbox."""
        account = await self.account()
        inbox = await account.mailbox("INBOX")
        for body in bodies:
            await inbox.append(body, ())
        return account, inbox

    @claim
    async def test_answers_belong_together(self) -> None:
        """By any id that stands in both, if the base subject is the same; by nothing else."""
        _, inbox = await self.begun(
            mail("a"),
            mail("b", "a", subject="Re: lunch"),
            mail("c", "gone", subject="Fwd: [team] LUNCH "),
            mail("d", "gone", "other"),
            mail("e", "a", subject="dinner"),
            mail("", "b"),
            mail(""),
            mail(""),
            mail("gone"),
        )
        first, second, third, fourth, fifth, sixth, seventh, eighth, ninth = await thread_ids(inbox)
        self.assertEqual({second, sixth}, {first})
        self.assertEqual({fourth, ninth}, {third})
        self.assertEqual(len({first, third, fifth, seventh, eighth}), 5)

    @claim
    async def test_a_name_is_for_good(self) -> None:
        """Copies and moved messages keep it, across mailboxes; what joins two threads later changes neither, nor do removals."""
        account, inbox = await self.begun(mail("a"), mail("b"))
        await account.create("other")
        other = await account.mailbox("other")
        one, two = await thread_ids(inbox)
        self.assertNotEqual(one, two)
        await inbox.append(mail("c", "a", "b"), ())
        self.assertEqual(await thread_ids(inbox), [one, two, two])
        await inbox.copy([1], "other")
        await inbox.move([2], "other")
        await other.append(mail("d", "a"), ())
        self.assertEqual(await thread_ids(other), [one, two, one])
        await inbox.remove([1])
        await other.remove([1])
        await other.append(mail("e", "a"), ())
        self.assertEqual(await thread_ids(other), [two, one, one])

    @claim
    async def test_it_is_never_an_email_id(self) -> None:
        """Neither of its own message nor of any other; messages say the same as sheets."""
        _, inbox = await self.begun(*[mail(str(number), str(number % 3)) for number in range(9)])
        names = await thread_ids(inbox)
        messages = [one async for batch in inbox.messages(await inbox.uids()) for one in batch]
        self.assertEqual([one.thread_id for one in messages], names)
        self.assertEqual({one.email_id for one in messages}.intersection(names), set())
        alone = await inbox.sheet(4, (Column.THREAD_ID,))
        self.assertIn(None if alone is None else alone.rows[0][1], (None, names[3]))

    @claim
    async def test_what_nobody_asked_for_yet(self) -> None:
        """Messages tell of no thread before; asking once is enough for all of the account."""
        account, inbox = await self.begun(mail("a"), mail("b", "a"))
        await account.create("other")
        other = await account.mailbox("other")
        await other.append(mail("c", "b"), ())
        unknown = [one.thread_id async for batch in inbox.messages([1, 2]) for one in batch]
        self.assertEqual(unknown, [None, None])
        await other.find_threads()
        known = [one.thread_id async for batch in inbox.messages([1, 2]) for one in batch]
        self.assertEqual(set(known), set(await thread_ids(other)))
        self.assertNotIn(None, known)

    @claim
    async def test_searching(self) -> None:
        """By itself and with other keys, for what has just come, too; nothing has a name that there is not."""
        _, inbox = await self.begun(mail("a"), mail("b"), mail("c", "a"))
        name, other, _ = await thread_ids(inbox)
        assert name is not None and other is not None
        await inbox.append(mail("d", "c"), ())
        self.assertEqual(list(await inbox.search(ThreadId(name))), [1, 3, 4])
        self.assertEqual(list(await inbox.search(Not(ThreadId(name)))), [2])
        self.assertEqual(list(await inbox.search(Or((ThreadId(other), Uids(((4, 4),)))))), [2, 4])
        self.assertEqual(list(await inbox.search(And((ThreadId(name), Uids(((2, 9),)))))), [3, 4])
        self.assertEqual(list(await inbox.search(ThreadId("T"))), [])

    @claim
    async def test_a_thread_that_has_gone_is_forgotten(self) -> None:
        """What comes then begins a new one."""
        _, inbox = await self.begun(mail("a"), mail("b", "a"))
        (name, _) = await thread_ids(inbox)
        await inbox.remove([1, 2])
        await inbox.append(mail("c", "a"), ())
        (new,) = await thread_ids(inbox)
        self.assertNotEqual(new, name)

    @claim
    async def test_a_mailbox_that_has_gone(self) -> None:
        """Nobody can be told."""
        account = await self.account()
        await account.create("a")
        mailbox = await account.mailbox("a")
        await account.delete("a")
        await self.refused(Gone, mailbox.search(ThreadId("T1")))

    @claim
    async def test_whenever_it_is_asked_for(self) -> None:
        """Names are the same as if they had been asked for after every change; no message ever has another."""
        random = Random(5)
        ids = [f"m{number}" for number in range(12)]
        account = await self.account()
        inbox = await account.mailbox("INBOX")
        seen: dict[str, str] = {}
        for _ in range(120):
            if random.random() < 0.3 and (uids := await inbox.uids()):
                await inbox.remove([random.choice(uids)])
            references = random.sample(ids, random.randrange(3))
            subject = random.choice(["lunch", "Re: lunch", "dinner"])
            await inbox.append(mail(random.choice(ids), *references, subject=subject), ())
            if random.random() < 0.4:
                await inbox.find_threads()
                async for batch in inbox.messages(await inbox.uids()):
                    for one in batch:
                        self.assertEqual(seen.setdefault(one.email_id, one.thread_id or ""), one.thread_id)
        self.assertGreater(len(seen), 40)
        self.assertGreater(len(set(seen.values())), 5)
