"""The maildrop: numbers that stay, marks that come off, octets in pieces."""

from collections.abc import AsyncIterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Gone, NotFound
from launcelot.mailstore.interface import StoreMode
from launcelot.mailstore.memorymailbox import MemoryMailbox
from launcelot.protocols.pop3.maildrop import PIECE, Listing, Listings, Maildrop, first_lines
from tests.protocols.pop3.world import FIRST, SECOND, Post


class MaildropTests(SynchronousTestCase):
    """A maildrop of the memory store."""

    def setUp(self) -> None:
        self.post = Post()
        self.result = self.post.world.result

    def open(self) -> Maildrop:
        """Ann's maildrop."""
        return self.result(Maildrop.open(self.post.inbox()))

    def octets(self, pieces: AsyncIterator[bytes]) -> bytes:
        """All pieces together."""

        async def gather() -> bytes:
            return b"".join([piece async for piece in pieces])

        return self.result(gather())

    def test_counts_and_sizes(self) -> None:
        """As stored."""
        drop = self.open()
        self.assertEqual((drop.messages, drop.octets), (2, len(FIRST) + len(SECOND)))
        self.assertEqual([drop.size(1), drop.size(2)], [len(FIRST), len(SECOND)])

    def test_numbers_that_are_not_there(self) -> None:
        """Zero, one too many, and one that is marked."""
        drop = self.open()
        drop.delete(1)
        for number in (0, 1, 3, -1):
            self.assertRaises(NotFound, drop.size, number)
            self.assertRaises(NotFound, drop.delete, number)
            self.assertRaises(NotFound, drop.unique_id, number)

    def test_reset_takes_the_marks_off(self) -> None:
        """Counts and sizes are as before."""
        drop = self.open()
        drop.delete(1)
        self.assertEqual((drop.messages, drop.octets), (1, len(SECOND)))
        drop.reset()
        self.assertEqual((drop.messages, drop.octets), (2, len(FIRST) + len(SECOND)))

    def test_what_comes_later_is_not_seen(self) -> None:
        """A session's numbers are fixed when it begins."""
        drop = self.open()
        self.post.deliver(FIRST)
        self.assertEqual(drop.messages, 2)
        self.assertRaises(NotFound, drop.size, 3)

    def test_unique_ids_stay_and_differ(self) -> None:
        """Over sessions and deletions; no two messages share one, be they the same."""
        self.post.deliver(FIRST)
        drop = self.open()
        before = [drop.unique_id(number) for number in (1, 2, 3)]
        drop.delete(1)
        self.result(drop.update())
        after = self.open()
        self.assertEqual([after.unique_id(1), after.unique_id(2)], before[1:])
        self.assertEqual(len(set(before)), 3)
        for unique_id in before:
            self.assertRegex(unique_id, r"\A[!-~]{1,70}\Z")

    def test_update_removes_the_marked_and_nothing_else(self) -> None:
        """Nothing marked, nothing asked of the store."""
        drop = self.open()
        self.assertEqual(self.result(drop.update()), 0)
        drop.delete(1)
        self.assertEqual(self.result(drop.update()), 1)
        self.assertEqual(self.post.bodies(), [SECOND])

    def test_a_message_somebody_removed_is_gone(self) -> None:
        """Its number stays, its octets do not."""
        drop = self.open()
        states = self.result(self.post.inbox().states())
        self.result(self.post.inbox().remove([states[0].uid]))
        self.assertRaises(Gone, self.octets, drop.whole(1))
        self.assertEqual(self.octets(drop.whole(2)), SECOND)

    def test_large_messages_come_in_pieces(self) -> None:
        """None larger than stated, together the whole."""
        large = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 20_000
        self.post.deliver(large)
        drop = self.open()
        sizes: list[int] = []

        async def measure() -> None:
            async for piece in drop.whole(3):
                sizes.append(len(piece))

        self.result(measure())
        self.assertEqual((sum(sizes), max(sizes)), (len(large), PIECE))
        self.assertEqual(self.octets(drop.whole(3)), large)

    def test_top(self) -> None:
        """No line, some lines, more lines than there are."""
        drop = self.open()
        header = b"Subject: two\r\nX: y\r\n\r\n"
        for lines, body in ((0, b""), (1, b".\r\n"), (3, b".\r\n..\r\nline 3\r\n"), (99, SECOND[len(header) :])):
            self.assertEqual(self.octets(drop.top(2, lines)), header + body)

    def test_top_over_pieces(self) -> None:
        """A header and lines longer than what is read at once."""
        header = b"X: " + b"h" * (PIECE + 10) + b"\r\n\r\n"
        lines = [b"b" * (PIECE // 2 + n) + b"\r\n" for n in range(6)]
        self.post.deliver(header + b"".join(lines))
        drop = self.open()
        for count in range(7):
            self.assertEqual(self.octets(drop.top(3, count)), header + b"".join(lines[:count]))

    def test_messages_without_body_or_end(self) -> None:
        """Empty, header alone, no last line end."""
        odd = [b"", b"Subject: x\r\n", b"Subject: x\r\n\r\nno end"]
        for one in odd:
            self.post.deliver(one)
        drop = self.open()
        self.assertEqual([self.octets(drop.whole(number)) for number in (3, 4, 5)], odd)
        self.assertEqual(self.octets(drop.top(4, 5)), b"Subject: x\r\n")

    def test_listings_leave_out_the_marked(self) -> None:
        """And come in batches."""
        for _ in range(2500):
            self.post.deliver(b"\r\n")
        drop = self.open()
        drop.delete(2)
        batches = list(drop.size_lines())
        lines = b"".join(batches).splitlines()
        self.assertEqual((len(batches), len(lines), lines[:2]), (3, 2501, [b"1 24", b"3 2"]))


class FirstLinesTests(SynchronousTestCase):
    """Counting lines over pieces."""

    def test_every_split(self) -> None:
        """The same lines wherever the octets are cut."""
        text = b"a\r\n\r\nb\r\nc"
        for wanted, expected in ((1, b"a\r\n"), (2, b"a\r\n\r\n"), (3, b"a\r\n\r\nb\r\n"), (9, text)):
            for cut in range(len(text) + 1):
                taken, left = first_lines(text[:cut], wanted)
                more, _ = first_lines(text[cut:], left) if left else (b"", 0)
                self.assertEqual(taken + more, expected)


class ListingsTests(SynchronousTestCase):
    """What is remembered of a maildrop from one session to the next."""

    def setUp(self) -> None:
        self.post = Post()
        self.looked = 0
        sizes = MemoryMailbox.sizes

        async def counted(mailbox: MemoryMailbox) -> Any:
            self.looked += 1
            return await sizes(mailbox)

        self.patch(MemoryMailbox, "sizes", counted)
        self.listings = Listings(10)

    def listing(self, utf8: bool = False) -> Listing:
        """Ann's, as a log-in asks for it."""
        return self.post.world.result(self.listings.of(self.post.account.id, self.post.inbox(), utf8))

    def test_an_unchanged_mailbox_is_not_looked_at_again(self) -> None:
        """But once for each mode."""
        first = self.listing()
        self.assertIs(self.listing(), first)
        self.assertEqual(list(self.listing(True).uids), list(first.uids))
        self.assertEqual((self.looked, first.octets), (2, 69))

    def test_every_change_is_seen(self) -> None:
        """A message more, a message less, another flag, another in the place of one that went."""
        inbox = self.post.inbox()
        seen = [list(self.listing().uids)]
        for change in (
            lambda: inbox.append(FIRST, ()),
            lambda: inbox.remove([1]),
            lambda: inbox.store([2], StoreMode.ADD, ["\\Seen"]),
            lambda: inbox.remove([3]),
            lambda: inbox.append(SECOND, ()),
        ):
            self.post.world.result(change())
            fresh = self.listing()
            self.assertEqual(list(zip(fresh.uids, fresh.sizes, strict=True)), list(self.post.world.result(inbox.sizes())))
            seen.append(list(fresh.uids))
        self.assertEqual(seen, [[1, 2], [1, 2, 3], [2, 3], [2, 3], [2], [2, 4]])

    def test_it_is_bounded(self) -> None:
        """By messages; the one longest unused goes first, and one that is too large alone is not kept."""
        for number in range(6):
            bob = self.post.world.add_user(f"bob{number}")
            inbox = self.post.world.result(self.post.world.result(self.post.world.site.mail.mail(bob.id)).mailbox("INBOX"))
            for _ in range(4):
                self.post.world.result(inbox.append(FIRST, ()))
            self.post.world.result(self.listings.of(bob.id, inbox, False))
        self.assertEqual((len(self.listings._known), self.listings._messages), (2, 8))
        for _ in range(20):
            self.post.deliver(FIRST)
        self.assertEqual(len(self.listing().uids), 22)
        self.assertEqual((len(self.listings._known), self.listings._messages), (0, 0))

    def test_sessions_share_it_and_do_not_touch_it(self) -> None:
        """What one marks, the other sees; what one removes, the next one misses."""
        self.post.play("C: DELE 1\nS: +OK*\nC: STAT\nS: +OK 1 45").close()
        self.post.play("C: STAT\nS: +OK 2 69\nC: DELE 1\nS: +OK *\nC: QUIT\nS: +OK goodbye, 1*")
        self.post.play("C: STAT\nS: +OK 1 45\nC: UIDL\nS: +OK*\nS: 1 *\nS: .")
        self.assertEqual(self.looked, 2)
