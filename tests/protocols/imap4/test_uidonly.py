"""UIDONLY.  RFC 9586."""

from __future__ import annotations

from launcelot.testing.link import every_split
from tests.protocols.imap4.world import ImapCase


class UidOnlyTests(ImapCase):
    """A client that wants no sequence numbers."""

    def setUp(self) -> None:
        super().setUp()
        self.fill(6)
        self.world.result(self.mailbox().remove([1, 2, 3]))
        self.link = self.log_in()
        self.assertEqual(self.ask(self.link, b"ENABLE UIDONLY")[0], b"* ENABLED UIDONLY")
        self.selected = self.ask(self.link, b"SELECT INBOX")

    def test_no_numbers_in_responses(self) -> None:
        """UIDFETCH by UID, VANISHED for removals, no UNSEEN; EXISTS stays."""
        link = self.link
        self.assertFalse(any(b"[UNSEEN" in line for line in self.selected))
        self.assertIn(b"* 3 EXISTS", self.selected)
        rows = [b"* 4 UIDFETCH (FLAGS (\\Recent))", b"* 5 UIDFETCH (FLAGS (\\Recent))"]
        self.assertEqual(self.ask(link, b"UID FETCH 4:5 FLAGS")[:-1], rows)
        row = b"* 6 UIDFETCH (RFC822.SIZE 271 UID 6)"
        self.assertEqual(self.ask(link, b"UID FETCH 6 (RFC822.SIZE UID)")[0], row)
        self.assertEqual(self.ask(link, b"UID FETCH 5 UID")[0], b"* 5 UIDFETCH (UID 5)")
        row = b"* 6 UIDFETCH (FLAGS (\\Seen \\Recent) BODY[]<0> {3}"
        self.assertEqual(self.ask(link, b"UID FETCH 6 BODY[]<0.3>")[0], row)
        row = b"* 5 UIDFETCH (FLAGS (\\Deleted \\Recent))"
        self.assertEqual(self.ask(link, b"UID STORE 5 +FLAGS (\\Deleted)")[0], row)
        self.assertEqual(self.ask(link, b"UID EXPUNGE 5")[0], b"* VANISHED 5")
        self.ask(link, b"CREATE a")
        lines = self.ask(link, b"UID MOVE 4 a")
        self.assertRegex(lines[0], rb"\A\* OK \[COPYUID \d+ 4 1\]")
        self.assertEqual(lines[1], b"* VANISHED 4")
        lines = self.ask(link, b"UID REPLACE 6 INBOX {3+}\r\nnew")
        self.assertIn(b"* VANISHED 6", lines)
        self.assertEqual(self.ask(link, b"UID SEARCH ALL")[0], b"* SEARCH 7")

    def test_what_others_do(self) -> None:
        """Flags, removals and new messages, at NOOP, in IDLE, and with MODSEQ."""
        other = self.log_in("INBOX")
        self.ask(other, b"UID STORE 5 +FLAGS (kw)")
        self.ask(other, b"UID STORE 4 +FLAGS (\\Deleted)")
        self.ask(other, b"EXPUNGE")
        lines = self.ask(self.link, b"NOOP")
        self.assertIn(b"* VANISHED 4", lines)
        self.assertIn(b"* 5 UIDFETCH (FLAGS (\\Recent kw))", lines)
        self.ask(self.link, b"ENABLE CONDSTORE")
        self.link.say(b"t IDLE\r\n")
        self.link.take()
        self.ask(other, b"UID STORE 6 +FLAGS (kw)")
        self.assertRegex(self.link.take(), rb"\* 6 UIDFETCH \(FLAGS \(\\Recent kw\) MODSEQ \(\d+\)\)")
        self.link.say(b"DONE\r\n")
        self.link.take()
        row = self.ask(self.link, b"UID STORE 6 FLAGS.SILENT ()")[0]
        self.assertRegex(row, rb"\A\* 6 UIDFETCH \(MODSEQ \(\d+\)\)\Z")

    def test_numbers_in_commands(self) -> None:
        """BAD with UIDREQUIRED, whatever else is wrong with them; literals that come along are thrown away."""
        for said in (
            b"FETCH 1 FLAGS", b"FETCH $ FLAGS", b"STORE 1 FLAGS ()", b"COPY 1 a", b"MOVE 1 a", b"SEARCH ALL",
            b"SEARCH RETURN (SAVE) ALL", b"SORT (DATE) UTF-8 ALL", b"THREAD REFERENCES UTF-8 ALL", b"UID SEARCH 1:2",
            b"UID SEARCH OR FLAGGED NOT *", b"UID SORT (DATE) UTF-8 1", b"UID THREAD REFERENCES UTF-8 1", b"ESEARCH 1",
            b"SELECT INBOX (QRESYNC (1 2 1:3 (1 1)))", b"REPLACE 1 INBOX {3+}\r\nabc", b"SEARCH SUBJECT {3+}\r\nabc",
        ):  # fmt: skip
            self.ask(self.link, said, b"BAD [UIDREQUIRED] ")
            self.ask(self.link, b"NOOP")
        self.ask(self.link, b"UID SEARCH UID 1:*")
        self.ask(self.link, b"UID SEARCH RETURN (SAVE) ALL")
        self.assertEqual(len(self.ask(self.link, b"UID FETCH $ UID")), 4)

    def test_resynchronization(self) -> None:
        """QRESYNC tells by UID, too."""
        status = self.world.result(self.mailbox().status())
        self.ask(self.link, b"ENABLE QRESYNC")
        self.world.result(self.mailbox().remove([6]))
        lines = self.ask(self.link, b"SELECT INBOX (QRESYNC (%d 1))" % status.uid_validity)
        self.assertIn(b"* VANISHED (EARLIER) 1:3,6", lines)
        self.assertRegex(b"\n".join(lines), rb"\n\* 4 UIDFETCH \(FLAGS \(\\?\w*\) MODSEQ \(\d+\)\)\n")
        lines = self.ask(self.link, b"UID STORE 4:5 (UNCHANGEDSINCE 1) +FLAGS (x)")
        self.assertIn(b"[MODIFIED 4:5]", lines[-1])

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = b"a LOGIN ann pw\r\nb ENABLE UIDONLY\r\nc EXAMINE INBOX\r\nd FETCH 1 UID\r\ne UID FETCH * ENVELOPE\r\n"
        wanted = rb"(?s)d BAD \[UIDREQUIRED\] .*\* 6 UIDFETCH \(ENVELOPE .*e OK"
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), wanted)
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), wanted)


class SqliteTests(UidOnlyTests):
    """The same on files."""

    in_files = True
