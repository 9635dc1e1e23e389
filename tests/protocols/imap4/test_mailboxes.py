"""Commands on mailboxes."""

from __future__ import annotations

from tests.protocols.imap4.world import MESSAGE, ImapCase


class SelectTests(ImapCase):
    """SELECT, EXAMINE, CLOSE, UNSELECT, CHECK."""

    def test_everything_is_told(self) -> None:
        """FLAGS, EXISTS, RECENT, UNSEEN, PERMANENTFLAGS, UIDNEXT and UIDVALIDITY (book T10)."""
        self.fill(1, flags=("\\Seen", "zebra"))
        self.fill(2)
        lines = self.ask(self.log_in(), b"SELECT INBOX")
        validity = self.world.result(self.mailbox().status()).uid_validity
        self.assertEqual(
            [line.split(b"]")[0] for line in lines],
            [
                b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft zebra)",
                b"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft zebra \\*)",
                b"* 3 EXISTS",
                b"* 3 RECENT",
                b"* OK [UNSEEN 2",
                b"* OK [UIDVALIDITY %d" % validity,
                b"* OK [UIDNEXT 4",
                b"* OK [HIGHESTMODSEQ %d" % self.world.result(self.mailbox().status()).highest_modseq,
                b"* OK [MAILBOXID (%b)" % self.mailbox().info.id.encode(),
                b"OK [READ-WRITE",
            ],
        )

    def test_examine_changes_nothing(self) -> None:
        """It says READ-ONLY, sets no \\Seen, claims no \\Recent and refuses every change."""
        self.fill(2)
        link = self.log_in()
        lines = self.ask(link, b"EXAMINE inbox")
        self.assertIn(b"* 2 RECENT", lines)
        self.assertIn(b"* OK [PERMANENTFLAGS ()] No flags can be changed", lines)
        self.assertTrue(lines[-1].startswith(b"OK [READ-ONLY]"))
        self.ask(link, b"FETCH 1:* (BODY[] RFC822 RFC822.TEXT)")
        for command in (
            b"STORE 1 FLAGS (\\Seen)",
            b"EXPUNGE",
            b"MOVE 1 INBOX",
            b"UID STORE 1 FLAGS ()",
            b"UID EXPUNGE 1",
        ):
            self.ask(link, command, b"NO [CANNOT] mailbox is read-only")
        self.ask(link, b"CLOSE")
        self.assertEqual(self.flags(), [frozenset(), frozenset()])
        self.assertIn(b"* 2 RECENT", self.ask(link, b"SELECT INBOX"))
        self.assertIn(b"* 0 RECENT", self.ask(link, b"SELECT INBOX"))

    def test_examine_does_not_expunge_at_close(self) -> None:
        """CLOSE of a mailbox opened with EXAMINE leaves deleted messages alone."""
        self.fill(1, flags=("\\Deleted",))
        self.ask(self.log_in("INBOX", read_only=True), b"CLOSE")
        self.assertEqual(len(self.flags()), 1)

    def test_close_and_unselect(self) -> None:
        """CLOSE expunges without telling; UNSELECT does not expunge."""
        self.fill(2, flags=("\\Deleted",))
        link = self.log_in("INBOX")
        self.assertEqual(self.ask(link, b"UNSELECT"), [b"OK UNSELECT completed"])
        self.assertEqual(len(self.flags()), 2)
        self.ask(link, b"SELECT INBOX")
        self.assertEqual(self.ask(link, b"CLOSE"), [b"OK CLOSE completed"])
        self.assertEqual(len(self.flags()), 0)
        self.ask(link, b"FETCH 1 FLAGS", b"BAD")

    def test_failed_select_leaves_none_selected(self) -> None:
        """RFC 3501 section 6.3.1."""
        link = self.log_in("INBOX")
        self.ask(link, b"SELECT nope", b"NO [NONEXISTENT]")
        self.ask(link, b"CHECK", b"BAD")
        self.ask(link, b"SELECT INBOX")
        self.ask(link, b"CHECK")


class MailboxTests(ImapCase):
    """CREATE, DELETE, RENAME, subscriptions, LIST, LSUB, STATUS, NAMESPACE."""

    def test_create_list_delete(self) -> None:
        """Names above are made; a name with others below it stays as a name; the trailing separator means nothing."""
        link = self.log_in()
        self.ask(link, b"CREATE a/b/")
        self.ask(link, b"CREATE a/b", b"NO [ALREADYEXISTS]")
        self.ask(link, b"CREATE inbox", b"NO [ALREADYEXISTS]")
        self.assertEqual(
            self.ask(link, b'LIST "" *')[:-1],
            [
                b'* LIST (\\HasNoChildren) "/" "INBOX"',
                b'* LIST (\\HasChildren) "/" "a"',
                b'* LIST (\\HasNoChildren) "/" "a/b"',
            ],
        )
        self.ask(link, b"DELETE a")
        self.assertIn(b'* LIST (\\Noselect \\HasChildren) "/" "a"', self.ask(link, b'LIST "" %'))
        self.ask(link, b"SELECT a", b"NO [NONEXISTENT]")
        self.ask(link, b"DELETE a", b"NO")
        self.ask(link, b"DELETE INBOX", b"NO")
        self.ask(link, b"DELETE nope", b"NO [NONEXISTENT]")
        self.ask(link, b"DELETE a/b")

    def test_list_patterns(self) -> None:
        """References, both wildcards, the empty pattern and INBOX in any case."""
        link = self.log_in()
        self.ask(link, b"CREATE Work/2026/May")

        def names(arguments: bytes) -> list[bytes]:
            return [line.split(b' "/" ')[1] for line in self.ask(link, b"LIST " + arguments)[:-1]]

        self.assertEqual(names(b'"" ""'), [b'""'])
        self.assertEqual(names(b'"" %'), [b'"INBOX"', b'"Work"'])
        self.assertEqual(names(b"Work/ %"), [b'"Work/2026"'])
        self.assertEqual(names(b'"" Work/*'), [b'"Work/2026"', b'"Work/2026/May"'])
        self.assertEqual(names(b'"" in%X'), [b'"INBOX"'])
        self.assertEqual(names(b'"" {4+}\r\nWork'), [b'"Work"'])
        self.assertEqual(names(b'"" nope*'), [])

    def test_names_outside_ascii(self) -> None:
        """They go through modified UTF-7 both ways."""
        link = self.log_in()
        self.ask(link, b"CREATE &ZeVnLIqe-/A&-B")
        self.assertIn(b'* LIST (\\HasNoChildren) "/" "&ZeVnLIqe-/A&-B"', self.ask(link, b'LIST "" *'))
        self.assertEqual(
            {info.name for info in self.world.result(self.mail.mailboxes())},
            {"INBOX", "\u65e5\u672c\u8a9e", "\u65e5\u672c\u8a9e/A&B"},
        )

    def test_names_that_cannot_be(self) -> None:
        """What is no modified UTF-7 is NO for who names a mailbox, and matches nothing for who looks for some."""
        self.fill(1)
        link = self.log_in("INBOX")
        for command in (
            b'CREATE "R&D"', b'STATUS "R&D" (MESSAGES)', b'RENAME "R&D" x', b'RENAME INBOX "R&D"',
            b'APPEND "R&D" {3+}\r\nabc', b'SUBSCRIBE "R&D"', b'GETMETADATA "R&D" /shared/comment', b'MYRIGHTS "&"',
            b'DELETE "a\x01"', b'GETQUOTAROOT "&AGE-"', b"UNSUBSCRIBE {2+}\r\n\r\n",
        ):  # fmt: skip
            self.ask(link, command, b"NO [CANNOT]")
        self.ask(link, b'COPY 1 "R&D"', b"NO [CANNOT]")
        self.ask(link, b'SELECT "R&D"', b"NO [NONEXISTENT]")
        self.ask(link, b"FETCH 1 UID", b"BAD [CLIENTBUG]")
        for command in (
            b'LIST "" "R&D*"', b'LIST "&" *', b'LSUB "" "&*"', b'LIST (SUBSCRIBED) "" ("&" "a&")', b'LIST "" "a\x01*"',
            b'LIST "" "%b"' % (b"a" * 9_000), b'LIST "%b" *' % (b"a" * 9_000), b'LIST "" "%b"' % (b"%" * 7_000),
            b'ESEARCH IN (mailboxes ("&" "R&D")) ALL', b'NOTIFY SET (subtree "R&D" (MessageNew MessageExpunge))',
        ):  # fmt: skip
            self.assertEqual(len(self.ask(link, command)), 1, command)
        self.assertEqual(self.ask(link, b'LIST "" ("&" INBOX)')[0], b'* LIST () "/" "INBOX"')

    def test_names_that_try_to_leave(self) -> None:
        """Hidden separators, controls, empty levels, depth and length are refused and nothing is made (I08)."""
        link = self.log_in()
        for name in (
            b"&AC8-", b"a&AC8-b", b"&AC4ALg-", b"&AGE-", b"&", b'"a\x01b"', b'""', b"a//b", b"/etc/passwd", b"x" * 2000,
            b"/".join([b"d"] * 40), b"caf\xc3\xa9", b'"caf\xe9"', b"{3+}\r\na\0b", b"&AAA-", b"../x", b"a/../b", b"..", b".",
        ):  # fmt: skip
            link.say(b"t CREATE " + name + b"\r\n")
            self.assertRegex(link.take(), rb"\At (NO|BAD) [^\r\n]*\r\n\Z")
        self.ask(link, b"CREATE good")
        self.ask(link, b"RENAME good a/../b", b"NO [CANNOT]")
        self.ask(link, b"DELETE good")
        self.assertEqual(len(self.world.result(self.mail.mailboxes())), 1)

    def test_rename(self) -> None:
        """Names below move along; INBOX gives its messages and stays."""
        self.fill(2)
        link = self.log_in()
        self.ask(link, b"CREATE a/b")
        self.ask(link, b"RENAME a z")
        self.ask(link, b"RENAME nope x", b"NO [NONEXISTENT]")
        self.ask(link, b"RENAME z/b INBOX", b"NO [ALREADYEXISTS]")
        self.ask(link, b"RENAME INBOX old")
        names = [info.name for info in self.world.result(self.mail.mailboxes())]
        self.assertEqual(names, ["INBOX", "old", "z", "z/b"])
        self.assertIn(b"* 2 EXISTS", self.ask(link, b"SELECT old"))

    def test_subscriptions(self) -> None:
        """They outlive the mailbox; with ``%`` names above are told as not selectable."""
        link = self.log_in()
        self.ask(link, b"CREATE a/b")
        for name in (b"a/b", b"inbox", b"gone/c"):
            self.ask(link, b"SUBSCRIBE " + name)
        self.assertEqual(
            self.ask(link, b'LSUB "" *')[:-1],
            [b'* LSUB () "/" "INBOX"', b'* LSUB () "/" "a/b"', b'* LSUB (\\Noselect) "/" "gone/c"'],
        )
        self.assertEqual(
            self.ask(link, b'LSUB "" %')[:-1],
            [b'* LSUB () "/" "INBOX"', b'* LSUB (\\Noselect) "/" "a"', b'* LSUB (\\Noselect) "/" "gone"'],
        )
        self.ask(link, b"UNSUBSCRIBE a/b")
        self.assertNotIn(b'"a/b"', b"".join(self.ask(link, b'LSUB "" *')))

    def test_special_use(self) -> None:
        """The attribute stands in LIST.  RFC 6154."""
        self.world.result(self.mail.create("Sent", "\\Sent"))
        self.assertIn(b'* LIST (\\HasNoChildren \\Sent) "/" "Sent"', self.ask(self.log_in(), b'LIST "" Sent'))

    def test_status(self) -> None:
        """All items, of a mailbox that is not selected; nothing stops being recent."""
        self.fill(2)
        self.fill(1, flags=("\\Seen",))
        link = self.log_in()
        validity = self.world.result(self.mailbox().status()).uid_validity
        for _ in range(2):
            self.assertEqual(
                self.ask(link, b"STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE)")[0],
                b'* STATUS "INBOX" (MESSAGES 3 RECENT 3 UIDNEXT 4 UIDVALIDITY %d UNSEEN 2 SIZE %d)'
                % (validity, 3 * len(MESSAGE)),
            )
        self.ask(link, b"STATUS nope (MESSAGES)", b"NO [NONEXISTENT]")
        self.ask(link, b"STATUS INBOX (FOO)", b"BAD")
        self.ask(link, b"STATUS INBOX ()", b"BAD")

    def test_namespace(self) -> None:
        """One personal namespace; others' and shared ones are NIL, in that order (twisted-audit)."""
        self.assertEqual(self.ask(self.log_in(), b"NAMESPACE")[0], b'* NAMESPACE (("" "/")) NIL (("Shared/" "/"))')

    def test_deleting_the_selected_mailbox(self) -> None:
        """Who deletes it has none selected; another session is told BYE (RFC 2180 section 3.3)."""
        link = self.log_in()
        self.ask(link, b"CREATE a")
        self.ask(link, b"SELECT a")
        other = self.log_in("a")
        self.ask(link, b"DELETE a")
        self.ask(link, b"FETCH 1 FLAGS", b"BAD [CLIENTBUG] command is not valid in this state")
        other.say(b"x NOOP\r\n")
        self.assertEqual(other.take(), b"* BYE the selected mailbox has been deleted\r\n")
        self.assertTrue(other.closed)
