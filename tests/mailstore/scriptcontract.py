"""What every store does with scripts, and with deliveries through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcelot.core.errors import Exists, InUse, Invalid, LimitReached, NotFound, OverQuota, TooLarge
from launcelot.mailstore.interface import MAX_KEYWORDS, Draft, Filing, Outgoing
from launcelot.mailstore.scripts import MAX_REMEMBERED, MAX_SCRIPT, MAX_SCRIPTS, ScriptInfo
from tests.mailstore.kit import ANN, BOB, Contract, claim

if TYPE_CHECKING:
    from launcelot.mailstore.interface import AccountMail

BODY = b"Subject: x\r\n\r\nbody\r\n"


def filing(mailbox: str = "INBOX", flags: tuple[str, ...] = (), body: bytes = BODY, **how: object) -> Filing:
    """One message to file."""
    return Filing(Draft(lambda: body, len(body), flags), mailbox, **how)  # type: ignore[arg-type]


class ScriptContract(Contract):
    """Scripts."""

    @claim
    async def test_scripts_are_kept_by_name(self) -> None:
        """Each account has its own, octet for octet."""
        scripts = (await self.account()).scripts
        self.assertEqual(list(await scripts.listing()), [])
        await scripts.put("b", b"keep;\r\n")
        await scripts.put("a", "# é\n".encode())
        await scripts.put("b", b"stop;")
        self.assertEqual(list(await scripts.listing()), [ScriptInfo("a", False, 5), ScriptInfo("b", False, 5)])
        self.assertEqual(await scripts.read("b"), b"stop;")
        self.assertEqual(list(await (await self.account(BOB)).scripts.listing()), [])
        await scripts.remove("b")
        await self.refused(NotFound, scripts.read("b"))
        await self.refused(NotFound, scripts.remove("b"))

    @claim
    async def test_one_script_is_active(self) -> None:
        """The last one that was made so; it stays active when it is replaced or renamed, and cannot be removed."""
        scripts = (await self.account()).scripts
        self.assertIsNone(await scripts.active())
        await self.refused(NotFound, scripts.activate("a"))
        await scripts.put("a", b"1")
        await scripts.put("b", b"2")
        await scripts.activate("a")
        await scripts.activate("b")
        self.assertEqual(await scripts.active(), ("b", b"2"))
        await self.refused(NotFound, scripts.activate("c"))
        await scripts.put("b", b"3")
        await scripts.rename("b", "c")
        self.assertEqual(await scripts.active(), ("c", b"3"))
        await self.refused(InUse, scripts.remove("c"))
        await scripts.activate("")
        self.assertIsNone(await scripts.active())
        await scripts.remove("c")

    @claim
    async def test_renaming(self) -> None:
        """Onto no other; to its own name is nothing."""
        scripts = (await self.account()).scripts
        await scripts.put("a", b"1")
        await scripts.put("b", b"2")
        await self.refused(Exists, scripts.rename("a", "b"))
        await self.refused(NotFound, scripts.rename("x", "y"))
        await self.refused(Invalid, scripts.rename("a", ""))
        await scripts.rename("a", "a")
        self.assertEqual(await scripts.read("a"), b"1")

    @claim
    async def test_limits(self) -> None:
        """Names, sizes and numbers are bounded; one that is there can always be replaced."""
        scripts = (await self.account()).scripts
        for name in ("", "a/b", "a\0", "a\u2028", "x" * 513, " a", "\ud800"):
            await self.refused(Invalid, scripts.put(name, b""))
            await self.refused(Invalid, scripts.check_room(name, 0))
        await self.refused(TooLarge, scripts.put("a", b"x" * (MAX_SCRIPT + 1)))
        for number in range(MAX_SCRIPTS):
            await scripts.put(f"s{number}", b"")
        await self.refused(LimitReached, scripts.put("one more", b""))
        await self.refused(LimitReached, scripts.check_room("one more", 0))
        await scripts.check_room("s1", MAX_SCRIPT)
        await scripts.put("s1", b"again")


class FilingContract(Contract):
    """Deliveries through a script."""

    async def bodies(self, mail: AccountMail, mailbox: str) -> list[tuple[bytes, list[str]]]:
        """Octets and flags of a mailbox's messages."""
        box = await mail.mailbox(mailbox)
        return [(await box.read(one.uid, 0, 10_000), sorted(one.flags)) for one in await box.states()]

    @claim
    async def test_a_delivery_is_made_once(self) -> None:
        """All its messages together, and not again under the same key."""
        mail = await self.account()
        await mail.create("Work")
        work = [filing("Work", ("\\Seen", "key"), b"A: 1\r\n\r\n"), filing(flags=("\\Flagged",))]
        self.assertTrue(await mail.file("k", work))
        self.assertFalse(await mail.file("k", work))
        self.assertIsNone(await mail.deliver(BODY, "k"))
        self.assertEqual(await self.bodies(mail, "Work"), [(b"A: 1\r\n\r\n", ["\\Seen", "key"])])
        self.assertEqual(await self.bodies(mail, "INBOX"), [(BODY, ["\\Flagged"])])
        await mail.forget_deliveries(["k"])
        self.assertTrue(await mail.file("k", []))

    @claim
    async def test_where_a_message_goes(self) -> None:
        """By special use first, by name, made where that is wanted, and else into INBOX."""
        mail = await self.account()
        await mail.create("Trash bin", "\\Trash")
        await mail.file(
            "k",
            [
                filing("Elsewhere", body=b"A: 1\r\n\r\n", special_use="\\TRASH"),
                filing("New/One", body=b"A: 2\r\n\r\n", create=True),
                filing("Nowhere", body=b"A: 3\r\n\r\n"),
                filing("bad\0name", body=b"A: 4\r\n\r\n", create=True),
                filing("x/" * 40 + "y", body=b"A: 5\r\n\r\n", create=True),
            ],
        )
        self.assertEqual([body for body, _ in await self.bodies(mail, "Trash bin")], [b"A: 1\r\n\r\n"])
        self.assertEqual([body for body, _ in await self.bodies(mail, "New/One")], [b"A: 2\r\n\r\n"])
        inbox = [body for body, _ in await self.bodies(mail, "INBOX")]
        self.assertEqual(inbox, [b"A: 3\r\n\r\n", b"A: 4\r\n\r\n", b"A: 5\r\n\r\n"])
        self.assertIn("New/One", await mail.subscriptions())

    @claim
    async def test_full_accounts_get_nothing_of_it(self) -> None:
        """All or nothing, so that it can be tried again."""
        mail = await self.store.mail(ANN, 30)
        await self.refused(OverQuota, mail.file("k", [filing(), filing()], [("id", 2**40)], [Outgoing(0, "", "a@b", b"x")]))
        self.assertEqual(await self.bodies(mail, "INBOX"), [])
        self.assertFalse((await mail.scripts.remembered(0))("id"))
        self.assertEqual(list(await mail.outgoing("k")), [])
        self.assertTrue(await mail.file("k", [filing()]))

    @claim
    async def test_keywords_without_room_are_left_out(self) -> None:
        """They are no reason to lose mail."""
        mail = await self.account()
        inbox = await mail.mailbox("INBOX")
        await inbox.append(BODY, [f"k{number}" for number in range(MAX_KEYWORDS)])
        self.assertTrue(await mail.file("k", [filing(flags=("\\Seen", "one-more"))]))
        self.assertEqual((await self.bodies(mail, "INBOX"))[1], (BODY, ["\\Seen"]))

    @claim
    async def test_ids_are_remembered_for_their_time(self) -> None:
        """And of too many those that end first are forgotten."""
        mail = await self.account()
        await mail.file("k", [], [("a", 100), ("b", 200)])
        seen = await mail.scripts.remembered(150)
        self.assertEqual((seen("a"), seen("b"), seen("c")), (False, True, False))
        await mail.file("l", [], [("a", 300)])
        self.assertTrue((await mail.scripts.remembered(250))("a"))
        await mail.file("m", [], [(f"x{number}", 1_000 + number) for number in range(MAX_REMEMBERED + 200)])
        seen = await mail.scripts.remembered(0)
        self.assertEqual((seen("a"), seen("x0"), seen(f"x{MAX_REMEMBERED + 199}")), (False, False, True))

    @claim
    async def test_what_is_to_be_sent_waits(self) -> None:
        """Until somebody has it, in order, and known by its delivery."""
        mail = await self.account()
        first, second = Outgoing(0, "", "a@b.example", b"one"), Outgoing(1, "x@y.example", "c@d.example", b"two")
        await mail.file("k", [], (), [first, second])
        self.assertFalse(await mail.file("k", [], (), [first]))
        self.assertEqual(list(await mail.outgoing("k")), [first, second])
        self.assertEqual(list(await mail.outgoing("other")), [])
        await mail.sent("k")
        await mail.sent("k")
        self.assertEqual(list(await mail.outgoing("k")), [])

    @claim
    async def test_watchers_are_told(self) -> None:
        """Of every mailbox that got something."""
        mail = await self.account()
        await mail.create("Work")
        told: list[str] = []
        for name in ("INBOX", "Work"):
            (await mail.mailbox(name)).watch(lambda name=name: told.append(name))  # type: ignore[misc]
        await mail.file("k", [filing("Work")])
        self.assertEqual(told, ["Work"])
