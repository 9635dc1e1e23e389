"""SORT, SORT=DISPLAY, ESORT and THREAD."""

from __future__ import annotations

from launcelot.testing.link import every_split
from tests.protocols.imap4.world import ImapCase


def letter(subject: str, sender: str, id: int, references: str = "") -> bytes:
    """A small message."""
    return (
        f"Subject: {subject}\r\nFrom: {sender}\r\nMessage-ID: <{id}@x>\r\nReferences: {references}\r\n"
        f"Date: Thu, 1 Jan 2026 0{9 - id}:00:00 +0000\r\n\r\nHello.\r\n"
    ).encode()


class SortTests(ImapCase):
    """Five messages, each sent before the one that arrived before it."""

    def setUp(self) -> None:
        super().setUp()
        for body in (
            letter("Beta", "Zoe <a@x>", 1),
            letter("alpha", "b@x", 2),
            letter("Re: beta", '"Carl" <c@x>', 3, "<1@x>"),
            letter("Re: Re: beta", "=?utf-8?q?=C3=81da?= <d@x>", 4, "<1@x> <3@x>"),
            letter("gamma", "Amy <e@x>", 5, "<1@x>"),
        ):
            self.fill(1, body)
        self.fill(1, letter("z", "y@x", 6))
        self.link = self.log_in("INBOX")

    def test_sort(self) -> None:
        """Keys, REVERSE, several keys, and search keys; numbers and UIDs."""
        self.world.result(self.mailbox().remove([2]))
        self.ask(self.link, b"NOOP")
        for said, found in (
            (b"SORT (ARRIVAL) US-ASCII ALL", b" 1 2 3 4 5"),
            (b"SORT (DATE) UTF-8 ALL", b" 5 4 3 2 1"),
            (b"sort (reverse date) utf-8 all", b" 1 2 3 4 5"),
            (b"UID SORT (SUBJECT) US-ASCII ALL", b" 1 3 4 5 6"),
            (b"UID SORT (SUBJECT DATE) US-ASCII ALL", b" 4 3 1 5 6"),
            (b"UID SORT (SUBJECT REVERSE DATE) US-ASCII ALL", b" 1 3 4 5 6"),
            (b"UID SORT (REVERSE SUBJECT) US-ASCII NOT SUBJECT z", b" 5 1 3 4"),
            (b"UID SORT (FROM) US-ASCII 1:3", b" 1 3 4"),
            (b'SORT (SUBJECT) "US-ASCII" SUBJECT nothing', b""),
        ):
            self.assertEqual(self.ask(self.link, said)[0], b"* SORT" + found, said)

    def test_sort_display(self) -> None:
        """The name where there is one, decoded, else the address.  RFC 5957."""
        self.assertEqual(self.ask(self.link, b"SORT (DISPLAYFROM) UTF-8 1:5")[0], b"* SORT 5 4 2 3 1")
        self.assertEqual(self.ask(self.link, b"SORT (REVERSE DISPLAYTO SIZE) UTF-8 1:2")[0], b"* SORT 2 1")

    def test_esort(self) -> None:
        """First, last, count and all in their order.  RFC 5267 section 3."""
        for said, told in (
            (b"SORT RETURN (MIN MAX COUNT ALL) (REVERSE SUBJECT) UTF-8 ALL", b"MIN 6 MAX 2 COUNT 6 ALL 6,5,1,3:4,2"),
            (b"UID SORT RETURN () (DATE) UTF-8 ALL", b"UID ALL 6,5,4,3,2,1"),
            (b"SORT RETURN (COUNT MIN) (DATE) UTF-8 SUBJECT nothing", b"COUNT 0"),
        ):
            self.assertEqual(self.ask(self.link, said)[0], b'* ESEARCH (TAG "t") ' + told)

    def test_sort_with_modseq(self) -> None:
        """The highest MODSEQ comes with it.  RFC 7162 section 3.1.5."""
        states = self.world.result(self.mailbox().states())
        self.ask(self.link, b"ENABLE CONDSTORE")
        self.assertEqual(
            self.ask(self.link, b"SORT (DATE) UTF-8 MODSEQ 1 1:3")[0], b"* SORT 3 2 1 (MODSEQ %d)" % states[2].modseq
        )
        self.assertEqual(
            self.ask(self.link, b"SORT RETURN (MIN) (DATE) UTF-8 MODSEQ 1 1:3")[0],
            b'* ESEARCH (TAG "t") MIN 3 MODSEQ %d' % states[2].modseq,
        )

    def test_thread_by_subject(self) -> None:
        """ORDEREDSUBJECT."""
        self.assertEqual(
            self.ask(self.link, b"THREAD ORDEREDSUBJECT UTF-8 ALL")[0], b"* THREAD (6)(5)(4 (3)(1))(2)"
        )

    def test_thread_by_references(self) -> None:
        """REFERENCES, by number and by UID, and of messages whose parents are not among them."""
        self.world.result(self.mailbox().remove([2]))
        self.ask(self.link, b"NOOP")
        for said, told in (
            (b"UID THREAD REFERENCES UTF-8 ALL", b" (6)(1 (5)(3 4))"),
            (b"THREAD references UTF-8 ALL", b" (5)(1 (4)(2 3))"),
            (b"UID THREAD REFERENCES US-ASCII UID 3,5", b" ((5)(3))"),
            (b"UID THREAD REFERENCES UTF-8 UID 4", b" (4)"),
            (b"THREAD REFERENCES UTF-8 SUBJECT nothing", b""),
        ):
            self.assertEqual(self.ask(self.link, said)[0], b"* THREAD" + told, said)

    def test_what_is_bad(self) -> None:
        """Unknown keys, algorithms and options, and no charset; a charset nobody knows is NO."""
        for bad in (
            b"SORT (DATE) ALL", b"SORT () UTF-8 ALL", b"SORT (FOO) UTF-8 ALL", b"SORT DATE UTF-8 ALL",
            b"SORT (REVERSE) UTF-8 ALL", b"SORT (REVERSE REVERSE DATE) UTF-8 ALL", b"SORT RETURN (SAVE) (DATE) UTF-8 ALL",
            b"SORT RETURN (FOO) (DATE) UTF-8 ALL",
            b"SORT (DATE) UTF-8", b"THREAD FOO UTF-8 ALL", b"THREAD REFERENCES ALL", b"THREAD", b"SORT (DATE DATE", b"SORT",
        ):  # fmt: skip
            self.ask(self.link, bad, b"BAD")
        for command in (b"SORT (DATE)", b"THREAD REFERENCES"):
            self.ask(self.link, command + b" X-FOO ALL", b"NO [BADCHARSET (US-ASCII UTF-8)]")

    def test_removals_wait(self) -> None:
        """Numbers stay while SORT and THREAD are answered, and a message that is gone is not in the answer."""
        self.world.result(self.mailbox().remove([6]))
        self.ask(self.link, b"FETCH 1 UID")
        for command in (b"SORT (DATE) UTF-8 ALL", b"THREAD ORDEREDSUBJECT UTF-8 1:6", b"SORT RETURN (ALL) (DATE) UTF-8 1:*"):
            lines = self.ask(self.link, command)
            self.assertNotIn(b"6", lines[0].replace(b'"t"', b""))
            self.assertEqual(lines[-1][:19], b"OK [EXPUNGEISSUED] ")
            self.assertNotIn(b"EXPUNGE\r\n", b"\r\n".join(lines) + b"\r\n")

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = (
            b"a LOGIN ann pw\r\nb SELECT INBOX\r\nc SORT RETURN (ALL) (REVERSE DATE SUBJECT) {5+}\r\nUTF-8 1:3\r\n"
            b"d UID THREAD REFERENCES UTF-8 SUBJECT {4+}\r\nbeta\r\n"
        )
        wanted = b'* ESEARCH (TAG "c") ALL 1:3\r\nc OK SORT completed\r\n* THREAD (1 3 4)\r\nd OK THREAD completed\r\n'
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertTrue(link.take().endswith(wanted))
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertTrue(link.take().endswith(wanted))

    def test_a_thread_of_thousands(self) -> None:
        """Copies of one message are all there, once, in balanced parentheses; what it costs is in the tests of the store."""
        self.fill(3_000, letter("Re: beta", "a@x", 7, "<1@x> <3@x> <4@x>"))
        self.ask(self.link, b"NOOP")
        (line, _) = self.ask(self.link, b"THREAD REFERENCES UTF-8 ALL")
        self.assertEqual(line.count(b"("), line.count(b")"))
        told = [int(one) for one in line.replace(b"(", b" ").replace(b")", b" ").split()[2:]]
        self.assertEqual(sorted(told), list(range(1, 3_007)))
        self.ask(self.link, b"SORT (SUBJECT DATE) UTF-8 ALL")
