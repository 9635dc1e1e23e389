"""Mailboxes of other people: what each right allows in every command, and what happens when it is taken away."""

from __future__ import annotations

from typing import Any

from launcelot.core.errors import Gone, TryLater
from launcelot.mailstore.memorymailbox import MemoryMailbox
from launcelot.mailstore.sqlmailbox import SqliteMailbox
from launcelot.message.address import Address
from launcelot.spool.delivery import MailboxDelivery
from launcelot.spool.interface import Envelope, SpoolId, SpoolRecipient
from launcelot.testing.link import Link
from tests.protocols.imap4.world import MESSAGE, ImapCase

BOX = b"Shared/ann/work"


class SharingCase(ImapCase):
    """Ann owns ``work`` with four messages and ``work/sub``; Bob is given rights on both."""

    def setUp(self) -> None:
        super().setUp()
        self.world.add_user("bob", "pw")
        self.ann = self.log_in()
        self.ask(self.ann, b"CREATE work")
        self.fill(1, mailbox="work")
        self.fill(1, mailbox="work", flags=("\\Seen", "\\Draft"))
        self.fill(1, mailbox="work", flags=("\\Deleted", "$Junk"))
        self.fill(1, mailbox="work", flags=("\\Seen", "\\Deleted", "\\Flagged"))
        self.bob = self.as_user("bob")

    def as_user(self, name: str) -> Link:
        """Somebody's session."""
        link = self.connect()
        self.ask(link, b"LOGIN %b pw" % name.encode())
        return link

    def give(self, rights: bytes, mailbox: bytes = b"work", to: bytes = b"bob") -> None:
        """Let somebody do exactly this."""
        self.ask(self.ann, b'SETACL %b %b "%b"' % (mailbox, to, rights))

    def opened(self, rights: bytes) -> Link:
        """Bob's session with the mailbox selected, and then these rights."""
        self.give(rights)
        link = self.as_user("bob")
        self.ask(link, b"SELECT " + BOX)
        return link

    def names(self, link: Link, command: bytes = b'LIST "" *') -> list[bytes]:
        """The names a listing tells."""
        return [line.split(b'"')[-2] for line in self.ask(link, command)[:-1]]

    def messages(self, name: str = "work") -> int:
        """How many messages a mailbox of Ann's has."""
        return len(self.flags(name))


class AuthenticatedTests(SharingCase):
    """Commands that need no selected mailbox."""

    def test_list_needs_lookup(self) -> None:
        """Names above are told as names only; one's own come first, in order."""
        self.ask(self.bob, b"CREATE Zoo")
        self.assertEqual(self.names(self.bob), [b"INBOX", b"Zoo"])
        self.give(b"rswipkxtea")
        self.assertEqual(self.names(self.bob), [b"INBOX", b"Zoo"])
        self.give(b"l")
        self.assertEqual(
            self.ask(self.bob, b'LIST "" *'),
            [
                b'* LIST (\\HasNoChildren) "/" "INBOX"',
                b'* LIST (\\Noselect \\HasChildren) "/" "Shared"',
                b'* LIST (\\Noselect \\HasChildren) "/" "Shared/ann"',
                b'* LIST (\\HasNoChildren) "/" "Shared/ann/work"',
                b'* LIST (\\HasNoChildren) "/" "Zoo"',
                b"OK LIST completed",
            ],
        )
        self.assertEqual(self.names(self.bob, b'LIST "" %'), [b"INBOX", b"Shared", b"Zoo"])
        self.assertEqual(self.names(self.bob, b'LIST Shared/ann/ %'), [b"Shared/ann/work"])
        self.assertNotIn(b"Shared", b" ".join(self.names(self.ann)))

    def test_a_mailbox_below_one_that_is_not_shared(self) -> None:
        """The one above is a name only."""
        self.ask(self.ann, b"CREATE work/sub")
        self.give(b"lr", b"work/sub")
        self.assertEqual(
            self.ask(self.bob, b'LIST "" Shared/ann/*')[:-1],
            [
                b'* LIST (\\Noselect \\HasChildren) "/" "Shared/ann/work"',
                b'* LIST (\\HasNoChildren) "/" "Shared/ann/work/sub"',
            ],
        )
        self.ask(self.bob, b"SELECT " + BOX, b"NO [NONEXISTENT] ")

    def test_inbox_is_shared_under_its_name(self) -> None:
        """In any case; it is not the one who looks's own."""
        self.give(b"lr", b"INBOX")
        self.fill(2)
        self.assertIn(b"Shared/ann/INBOX", self.names(self.bob))
        self.assertIn(b"* 2 EXISTS", self.ask(self.bob, b"EXAMINE Shared/ann/inbox"))
        self.assertEqual(self.ask(self.bob, b"STATUS INBOX (MESSAGES)")[0], b'* STATUS "INBOX" (MESSAGES 0)')

    def test_subscribe_needs_lookup(self) -> None:
        """Unsubscribing needs nothing; a subscription is not told while the mailbox cannot be seen."""
        self.give(b"rswipkxtea")
        self.ask(self.bob, b"SUBSCRIBE " + BOX, b"NO [NONEXISTENT] ")
        self.give(b"l")
        self.ask(self.bob, b"SUBSCRIBE " + BOX)
        self.assertEqual(self.names(self.bob, b'LSUB "" *'), [BOX])
        self.assertEqual(self.names(self.bob, b'LIST (SUBSCRIBED) "" *'), [BOX])
        self.give(b"")
        self.assertEqual(self.names(self.bob, b'LSUB "" *'), [])
        self.ask(self.bob, b"UNSUBSCRIBE " + BOX)
        self.give(b"l")
        self.assertEqual(self.names(self.bob, b'LSUB "" *'), [])

    def test_select_examine_and_status_need_read(self) -> None:
        """NOPERM to whom the mailbox is visible, NONEXISTENT to others."""
        for command in (b"SELECT " + BOX, b"EXAMINE " + BOX, b"STATUS %b (MESSAGES)" % BOX):
            self.give(b"lswipkxtea")
            link = self.as_user("bob")
            self.ask(link, command, b"NO [NOPERM] ")
            self.give(b"swipkxte")
            self.ask(link, command, b"NO [NONEXISTENT] no such mailbox")
            self.give(b"r")
            self.ask(link, command)
        self.give(b"lr")
        self.assertEqual(
            self.ask(self.bob, b"STATUS %b (MESSAGES UNSEEN DELETED)" % BOX)[0],
            b'* STATUS "Shared/ann/work" (MESSAGES 4 UNSEEN 2 DELETED 2)',
        )

    def test_what_selecting_tells(self) -> None:
        """READ-WRITE with any right to change something; PERMANENTFLAGS are those that can be.  RFC 4314 sections 5.1.1, 5.2."""
        for rights, flags, code in (
            (b"lr", b"()", b"READ-ONLY"),
            (b"lrpkxa", b"()", b"READ-ONLY"),
            (b"lri", b"()", b"READ-WRITE"),
            (b"lre", b"()", b"READ-WRITE"),
            (b"lrs", b"(\\Seen)", b"READ-WRITE"),
            (b"lrt", b"(\\Deleted)", b"READ-WRITE"),
            (b"lrw", b"(\\Answered \\Flagged \\Draft $Junk \\*)", b"READ-WRITE"),
            (b"lrswt", b"(\\Answered \\Flagged \\Deleted \\Seen \\Draft $Junk \\*)", b"READ-WRITE"),
        ):
            self.give(rights)
            heard = self.ask(self.bob, b"SELECT " + BOX, b"OK [%b] " % code)
            self.assertTrue(any(b"[PERMANENTFLAGS %b]" % flags in line for line in heard), (rights, heard))
            self.assertIn(b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Junk)", heard)
            self.ask(self.bob, b"UNSELECT")

    def test_append_needs_insert(self) -> None:
        """Refused before the literal is sent; flags that may not be set are left out, silently."""
        self.give(b"lrswt")
        self.bob.say(b"a APPEND %b {%d}\r\n" % (BOX, len(MESSAGE)))
        self.assertTrue(self.bob.take().startswith(b"a NO [NOPERM] "))
        self.give(b"swt")
        self.ask(self.bob, b"APPEND %b {1+}\r\nx" % BOX, b"NO [TRYCREATE] ")
        for rights, flags in (
            (b"ri", set()),
            (b"lris", {"\\Seen"}),
            (b"lrit", {"\\Deleted"}),
            (b"lriw", {"\\Draft", "$New"}),
            (b"lriswt", {"\\Seen", "\\Deleted", "\\Draft", "$New"}),
        ):
            self.give(rights)
            self.ask(self.bob, b"APPEND %b (\\Seen \\Deleted \\Draft $New) {1+}\r\nx" % BOX, b"OK [APPENDUID ")
            self.assertEqual(set(self.flags("work")[-1]), flags)
        self.ask(self.bob, b"APPEND %b (\\Seen) {1+}\r\nx (\\Draft) {1+}\r\ny" % BOX, b"OK [APPENDUID ")
        self.give(b"lriw")
        self.ask(self.bob, b"APPEND %b (\\Seen) {1+}\r\nx (\\Seen \\Draft) {1+}\r\ny" % BOX, b"OK [APPENDUID ")
        self.assertEqual([set(flags) for flags in self.flags("work")[-2:]], [set(), {"\\Draft"}])

    def test_uids_are_for_those_who_may_read(self) -> None:
        """Who may only insert is told neither UIDs nor UIDVALIDITY: RFC 9051 sections 6.3.12 and 6.4.7, RFC 4315 section 3."""
        self.fill(3)
        self.ask(self.bob, b"APPEND INBOX {1+}\r\nx {1+}\r\ny {1+}\r\nz {1+}\r\nz")
        self.ask(self.bob, b"SELECT INBOX")
        for rights in (b"i", b"li"):
            self.give(rights)
            self.assertEqual(self.ask(self.bob, b"APPEND %b {1+}\r\nx" % BOX), [b"OK APPEND completed"])
            self.assertEqual(self.ask(self.bob, b"COPY 1 " + BOX), [b"OK COPY completed"])
            self.assertEqual(self.ask(self.bob, b"MOVE 1 " + BOX)[0], b"* 1 EXPUNGE")
            self.assertEqual(self.ask(self.bob, b"REPLACE 1 %b {1+}\r\nx" % BOX)[0], b"* 1 EXPUNGE")
        self.assertEqual(self.messages(), 4 + 8)

    def test_create_needs_create_above(self) -> None:
        """On the nearest that exists; the new one begins with its list."""
        self.give(b"lrswipxtea")
        for name in (b"Shared/ann/work/a", b"Shared/ann/other", b"Shared", b"Shared/x", b"Shared/nobody/x", b"Shared/bob/x"):
            self.ask(self.bob, b"CREATE " + name, b"NO [NOPERM] ")
        self.give(b"lrk")
        self.ask(self.bob, b"CREATE Shared/ann/work/a/b", b"OK [MAILBOXID ")
        self.assertEqual(self.names(self.ann), [b"INBOX", b"work", b"work/a", b"work/a/b"])
        self.assertEqual(self.ask(self.bob, b"MYRIGHTS Shared/ann/work/a/b")[0], b'* MYRIGHTS "Shared/ann/work/a/b" lrkc')
        self.ask(self.bob, b"CREATE Shared/ann/work/a", b"NO [ALREADYEXISTS] ")
        self.ask(self.bob, b"CREATE Shared/ann/work/c (USE (\\Sent))", b"NO ")

    def test_delete_needs_delete(self) -> None:
        """INBOX stays in any case."""
        self.give(b"lrswipktea")
        self.ask(self.bob, b"DELETE " + BOX, b"NO [NOPERM] ")
        self.give(b"x")
        self.ask(self.bob, b"DELETE " + BOX)
        self.assertEqual(self.names(self.ann), [b"INBOX"])
        self.give(b"lrswipkxtea", b"INBOX")
        self.ask(self.bob, b"DELETE Shared/ann/INBOX", b"NO [NOPERM] ")
        self.ask(self.bob, b"DELETE Shared/ann/nothing", b"NO [NONEXISTENT] ")

    def test_rename_needs_delete_and_create_above(self) -> None:
        """Within one owner's mail only."""
        self.ask(self.ann, b"CREATE work/sub")
        self.give(b"lrk")
        self.give(b"lr", b"work/sub")
        target = b"Shared/ann/work/new"
        self.ask(self.bob, b"RENAME Shared/ann/work/sub " + target, b"NO [NOPERM] ")
        self.give(b"lrx", b"work/sub")
        for wrong in (b"Shared/ann/elsewhere", b"Shared/bob/x", b"Shared/x", b"mine"):
            self.ask(self.bob, b"RENAME Shared/ann/work/sub " + wrong, b"NO [NOPERM] ")
        self.give(b"lr")
        self.ask(self.bob, b"RENAME Shared/ann/work/sub " + target, b"NO [NOPERM] ")
        self.give(b"lrk")
        self.ask(self.bob, b"RENAME Shared/ann/work/sub " + target)
        self.assertEqual(self.names(self.ann), [b"INBOX", b"work", b"work/new"])
        self.ask(self.bob, b"CREATE mine")
        self.ask(self.bob, b"RENAME mine Shared/ann/work/mine", b"NO [NOPERM] ")
        self.give(b"lrkx", b"INBOX")
        self.ask(self.bob, b"RENAME Shared/ann/INBOX Shared/ann/INBOX/x", b"NO [NOPERM] ")

    def test_annotations_need_lookup_and_another(self) -> None:
        """Each person's own private ones; shared ones are changed with ``w``.  RFC 5464 section 3.3."""
        self.ask(self.ann, b'SETMETADATA work (/shared/comment "all" /private/comment "ann\'s")')
        ask = b"GETMETADATA %b (/shared/comment /private/comment)" % BOX
        for rights in (b"l", b"lkxtea"):
            self.give(rights)
            self.ask(self.bob, ask, b"NO [NOPERM] ")
        self.give(b"rswip")
        self.ask(self.bob, ask, b"NO [NONEXISTENT] ")
        for right in (b"r", b"s", b"w", b"i", b"p"):
            self.give(b"l" + right)
            self.assertEqual(
                self.ask(self.bob, ask)[0], b'* METADATA "Shared/ann/work" (/shared/comment "all" /private/comment NIL)'
            )
        self.give(b"lr")
        self.ask(self.bob, b'SETMETADATA %b (/private/specialuse "\\\\Sent")' % BOX, b"NO [USEATTR] ")
        self.ask(self.bob, b"SETMETADATA %b (/private/specialuse NIL)" % BOX)
        self.ask(self.bob, b'SETMETADATA %b (/private/comment "bob\'s")' % BOX)
        self.ask(self.bob, b'SETMETADATA %b (/shared/comment "x")' % BOX, b"NO [NOPERM] ")
        self.give(b"lw")
        self.ask(self.bob, b'SETMETADATA %b (/shared/comment "new")' % BOX)
        self.assertEqual(
            self.ask(self.ann, b"GETMETADATA work (/shared/comment /private/comment)")[0],
            b'* METADATA "work" (/shared/comment "new" /private/comment "ann\'s")',
        )
        self.assertEqual(
            self.ask(self.bob, ask)[0], b'* METADATA "Shared/ann/work" (/shared/comment "new" /private/comment "bob\'s")'
        )

    def test_quota_is_the_owners(self) -> None:
        """GETQUOTAROOT needs ``r``; what is added counts for the owner."""
        self.world.result(self.world.site.accounts.change("ann", quota=3_000))
        self.give(b"li")
        self.ask(self.bob, b"GETQUOTAROOT " + BOX, b"NO [NOPERM] ")
        self.give(b"lri")
        self.assertEqual(
            self.ask(self.bob, b"GETQUOTAROOT " + BOX)[:-1],
            [b'* QUOTAROOT "Shared/ann/work" "ann"', b'* QUOTA "ann" (STORAGE 2 2)'],
        )
        self.assertEqual(self.ask(self.bob, b"GETQUOTA ann")[0], b'* QUOTA "ann" (STORAGE 2 2)')
        self.bob.say(b"a APPEND %b {2000}\r\n" % BOX)
        self.assertTrue(self.bob.take().startswith(b"a NO [OVERQUOTA] "))
        self.ask(self.bob, b"APPEND INBOX {2000+}\r\n" + b"x" * 2_000, b"OK")
        self.ask(self.bob, b"SELECT INBOX")
        self.ask(self.bob, b"COPY 1 " + BOX, b"NO [OVERQUOTA] ")
        self.ask(self.bob, b"MOVE 1 " + BOX, b"NO [OVERQUOTA] ")
        self.assertEqual(self.messages(), 4)
        self.assertEqual(self.ask(self.bob, b"STATUS INBOX (MESSAGES)")[0], b'* STATUS "INBOX" (MESSAGES 1)')
        self.ask(self.bob, b"GETQUOTA nobody", b"NO [NONEXISTENT] ")

    def test_own_mailboxes_called_shared_stay(self) -> None:
        """What was there before there was sharing can be used, and renamed away."""
        own = self.world.result(self.world.site.mail.mail(self.account.id))
        self.world.result(own.create("Shared/ann/old"))
        self.assertEqual(self.names(self.ann), [b"INBOX", b"Shared", b"Shared/ann", b"Shared/ann/old", b"work"])
        self.ask(self.ann, b"SELECT Shared/ann/old", b"OK [READ-WRITE] ")
        self.ask(self.ann, b"RENAME Shared/ann/old Shared/ann/new", b"NO [NOPERM] ")
        self.ask(self.ann, b"SUBSCRIBE Shared/ann/old")
        self.ask(self.ann, b"RENAME Shared old")
        self.assertEqual(self.names(self.ann), [b"INBOX", b"old", b"old/ann", b"old/ann/old", b"work"])

    def test_negative_rights_and_everybody(self) -> None:
        """What a negative entry takes is taken whoever gave it."""
        self.give(b"lrswi", to=b"anyone")
        self.assertEqual(self.ask(self.bob, b"MYRIGHTS " + BOX)[0], b'* MYRIGHTS "Shared/ann/work" lrswi')
        self.give(b"wi", to=b"-bob")
        self.assertEqual(self.ask(self.bob, b"MYRIGHTS " + BOX)[0], b'* MYRIGHTS "Shared/ann/work" lrs')
        self.give(b"wt")
        self.assertEqual(self.ask(self.bob, b"MYRIGHTS " + BOX)[0], b'* MYRIGHTS "Shared/ann/work" lrstd')
        self.world.add_user("cora", "pw")
        self.assertEqual(self.ask(self.as_user("cora"), b"MYRIGHTS " + BOX)[0], b'* MYRIGHTS "Shared/ann/work" lrswi')


class SelectedTests(SharingCase):
    """Commands in a selected mailbox."""

    def test_store_by_flag(self) -> None:
        """Each flag with its own right; the rest is left out, and nothing at all is NO."""
        for rights, flags in (
            (b"lrs", {"\\Seen"}),
            (b"lrt", {"\\Deleted"}),
            (b"lrw", {"\\Answered", "$New"}),
            (b"lrsw", {"\\Seen", "\\Answered", "$New"}),
        ):
            link = self.opened(rights)
            self.ask(self.ann, b"SELECT work")
            self.ask(self.ann, b"STORE 1 FLAGS ()")
            self.ask(link, b"STORE 1 +FLAGS (\\Seen \\Deleted \\Answered $New)")
            self.assertEqual(set(self.flags("work")[0]), flags)
            self.ask(self.ann, b"STORE 1 FLAGS (\\Seen \\Deleted \\Answered $New)")
            self.ask(link, b"STORE 1 -FLAGS (\\Seen \\Deleted \\Answered $New)")
            self.assertEqual(set(self.flags("work")[0]), {"\\Seen", "\\Deleted", "\\Answered", "$New"} - flags)
            link.close()
        link = self.opened(b"lrie")
        for how in (b"+FLAGS (\\Seen)", b"-FLAGS ($Junk)", b"FLAGS (\\Deleted)", b"FLAGS ()"):
            self.ask(link, b"STORE 1 " + how, b"NO [NOPERM] ")
        link = self.opened(b"lrs")
        self.ask(link, b"STORE 1 +FLAGS (\\Deleted)", b"NO [NOPERM] ")

    def test_store_replaces_only_what_may_be(self) -> None:
        """All else a message has stays, whatever it is; what is told is what there is."""
        link = self.opened(b"lrs")
        self.assertEqual(
            self.ask(link, b"STORE 1:4 FLAGS (\\Seen \\Answered)")[:-1],
            [
                b"* 1 FETCH (FLAGS (\\Seen \\Recent))",
                b"* 2 FETCH (FLAGS (\\Seen \\Draft \\Recent))",
                b"* 3 FETCH (FLAGS (\\Deleted \\Seen \\Recent $Junk))",
                b"* 4 FETCH (FLAGS (\\Flagged \\Deleted \\Seen \\Recent))",
            ],
        )
        self.ask(link, b"STORE 1:4 FLAGS.SILENT ()")
        self.assertEqual(
            [set(flags) for flags in self.flags("work")], [set(), {"\\Draft"}, {"\\Deleted", "$Junk"}, {"\\Deleted", "\\Flagged"}]
        )
        self.assertEqual(len(self.ask(link, b"UID STORE 1:* (UNCHANGEDSINCE 1) FLAGS (\\Seen)", b"OK [MODIFIED 1:4]")), 2)

    def test_fetch_sets_seen_with_its_right_only(self) -> None:
        """A body is sent in any case."""
        link = self.opened(b"lrwte")
        self.assertEqual(self.ask(link, b"FETCH 1 BODY[1]<0.5>")[0], b'* 1 FETCH (BODY[1]<0> {5}')
        self.assertEqual(set(self.flags("work")[0]), set())
        link = self.opened(b"lrs")
        self.assertIn(b"FLAGS (\\Seen", b" ".join(self.ask(link, b"FETCH 1 BODY[1]<0.5>")))
        self.assertEqual(set(self.flags("work")[0]), {"\\Seen"})

    def test_reading_commands(self) -> None:
        """SEARCH, SORT, THREAD, FETCH and ESEARCH work across accounts."""
        self.give(b"lr")
        self.ask(self.bob, b"SELECT " + BOX)
        self.assertEqual(self.ask(self.bob, b"SEARCH DELETED")[0], b"* SEARCH 3 4")
        self.assertEqual(self.ask(self.bob, b"SORT (REVERSE ARRIVAL) UTF-8 UNSEEN")[0][:8], b"* SORT 1")
        self.assertTrue(self.ask(self.bob, b"THREAD REFERENCES UTF-8 ALL")[0].startswith(b"* THREAD "))
        self.assertEqual(len(self.ask(self.bob, b"FETCH 1:* (UID FLAGS ENVELOPE)")), 5)
        heard = self.ask(self.bob, b'ESEARCH IN (mailboxes "Shared/ann/work") SEEN')
        self.assertIn(b'MAILBOX "Shared/ann/work"', heard[0])

    def test_expunge_and_close_need_expunge(self) -> None:
        """CLOSE is OK without, and removes nothing."""
        link = self.opened(b"lrswit")
        self.ask(link, b"EXPUNGE", b"NO [NOPERM] ")
        self.ask(link, b"UID EXPUNGE 1:*", b"NO [NOPERM] ")
        self.ask(link, b"CLOSE")
        self.assertEqual(self.messages(), 4)
        link = self.opened(b"lre")
        self.ask(link, b"UID EXPUNGE 3")
        self.assertEqual(self.messages(), 3)
        self.ask(link, b"CLOSE")
        self.assertEqual(self.messages(), 2)

    def test_copy_between_accounts(self) -> None:
        """Both ways; octets, dates and those flags that may be set come along."""
        self.give(b"lr")
        self.ask(self.bob, b"SELECT " + BOX)
        self.ask(self.bob, b"COPY 1 " + BOX, b"NO [NOPERM] ")
        self.assertRegex(self.ask(self.bob, b"COPY 1:4 INBOX")[-1], rb"OK \[COPYUID \d+ 1:4 1:4\]")
        self.ask(self.bob, b"COPY 1:4 nowhere", b"NO [TRYCREATE] ")
        self.give(b"lri")
        self.ask(self.bob, b"SELECT INBOX")
        self.assertEqual(self.ask(self.bob, b"FETCH 4 FLAGS")[0], b"* 4 FETCH (FLAGS (\\Flagged \\Deleted \\Seen \\Recent))")
        self.assertRegex(self.ask(self.bob, b"UID COPY 2:4 " + BOX)[-1], rb"OK \[COPYUID \d+ 2:4 5:7\]")
        self.assertEqual([set(flags) for flags in self.flags("work")[4:]], [set(), set(), set()])
        self.give(b"lrist")
        self.ask(self.bob, b"COPY 4 " + BOX)
        self.assertEqual(set(self.flags("work")[-1]), {"\\Seen", "\\Deleted"})
        self.ask(self.bob, b"COPY 1 Shared/ann/nothing", b"NO [TRYCREATE] ")
        octets = self.world.result(self.mailbox("work").read(8, 0, 10_000))
        self.assertEqual(octets, MESSAGE)

    def test_copy_within_anothers_mail(self) -> None:
        """With all rights on flags in one transaction, without them flags are left out."""
        self.ask(self.ann, b"CREATE other")
        self.give(b"lrswit", b"other")
        link = self.opened(b"lr")
        self.ask(link, b"COPY 4 Shared/ann/other", b"OK [COPYUID ")
        self.give(b"lri", b"other")
        self.ask(link, b"COPY 4 Shared/ann/other", b"OK [COPYUID ")
        self.assertEqual([set(flags) for flags in self.flags("other")], [{"\\Seen", "\\Deleted", "\\Flagged"}, set()])

    def test_move_needs_rights_on_both_sides(self) -> None:
        """``i`` there, ``t`` and ``e`` here; what is moved is in one place only."""
        link = self.opened(b"lrsw")
        self.ask(link, b"MOVE 1 INBOX", b"NO [NOPERM] ")
        self.give(b"lrt")
        self.ask(link, b"MOVE 1 INBOX", b"NO [NOPERM] ")
        self.give(b"lrte")
        heard = self.ask(link, b"MOVE 1:2 INBOX")
        self.assertRegex(b"\n".join(heard), rb"\* OK \[COPYUID \d+ 1:2 1:2\] Moved\n\* 2 EXPUNGE\n\* 1 EXPUNGE\n")
        self.assertEqual(self.messages(), 2)
        self.ask(link, b"SELECT INBOX")
        self.ask(link, b"MOVE 1 " + BOX, b"NO [NOPERM] ")
        self.give(b"lri")
        self.ask(link, b"MOVE 1 " + BOX)
        self.assertEqual((self.messages(), self.ask(link, b"STATUS INBOX (MESSAGES)")[0]), (3, b'* STATUS "INBOX" (MESSAGES 1)'))

    def test_what_is_moved_counts_for_who_has_it_then(self) -> None:
        """With the limits that hold now, not those at login."""
        link = self.opened(b"lrte")
        self.world.result(self.world.site.accounts.change("bob", messages=1))
        self.ask(link, b"MOVE 1:2 INBOX", b"NO [OVERQUOTA] ")
        self.assertEqual(self.messages(), 4)
        self.ask(link, b"MOVE 1 INBOX")
        self.ask(link, b"COPY 1 INBOX", b"NO [OVERQUOTA] ")

    def test_replace_across_accounts(self) -> None:
        """The new one is there before the old one goes."""
        link = self.opened(b"lri")
        self.ask(link, b"REPLACE 1 %b {1+}\r\nx" % BOX, b"NO [NOPERM] ")
        self.give(b"lrite")
        self.ask(link, b"REPLACE 1 %b (\\Seen \\Deleted) {1+}\r\nx" % BOX)
        self.assertEqual([set(flags) for flags in self.flags("work")][-1], {"\\Deleted"})
        self.ask(link, b"REPLACE 1 INBOX {1+}\r\ny")
        self.assertEqual(self.messages(), 3)
        self.ask(link, b"SELECT INBOX")
        self.ask(link, b"REPLACE 1 %b {1+}\r\nz" % BOX)
        self.assertEqual((self.messages(), self.ask(link, b"STATUS INBOX (MESSAGES)")[0]), (4, b'* STATUS "INBOX" (MESSAGES 0)'))

    def test_a_move_that_fails_in_between_loses_nothing(self) -> None:
        """If the source cannot be changed any more, the message is in both places."""
        link = self.opened(b"lrte")

        async def refuse(*_: object) -> None:
            raise TryLater

        patched = [self.patch(kind, "remove", refuse) for kind in (MemoryMailbox, SqliteMailbox)]
        self.ask(link, b"MOVE 1 INBOX", b"NO [UNAVAILABLE] ")
        self.assertEqual(self.messages(), 4)
        self.assertEqual(self.ask(link, b"STATUS INBOX (MESSAGES)")[0], b'* STATUS "INBOX" (MESSAGES 1)')
        for one in patched:
            one.restore()
        self.ask(link, b"MOVE 1 INBOX")
        self.assertEqual(self.messages(), 3)

    def test_a_copy_that_fails_adds_nothing(self) -> None:
        """Not even what came before the message that is gone meanwhile."""
        link = self.opened(b"lrte")
        read = MemoryMailbox.read, SqliteMailbox.read

        def failing(real: Any) -> Any:
            async def read(self: Any, uid: int, offset: int, length: int) -> Any:
                if uid == 3:
                    raise Gone("the message has been removed")
                return await real(self, uid, offset, length)

            return read

        self.patch(MemoryMailbox, "read", failing(read[0]))
        self.patch(SqliteMailbox, "read", failing(read[1]))
        for command in (b"COPY", b"MOVE"):
            self.ask(link, command + b" 1:4 INBOX", b"NO [EXPUNGEISSUED] ")
        self.assertEqual(self.messages(), 4)
        self.assertEqual(self.ask(link, b"STATUS INBOX (MESSAGES)")[0], b'* STATUS "INBOX" (MESSAGES 0)')

    def test_changes_are_told_to_all(self) -> None:
        """Who shares a mailbox sees what the others do, in IDLE too; ``\\Seen`` is one for all."""
        link = self.opened(b"lrs")
        link.say(b"i IDLE\r\n")
        link.take()
        self.ask(self.ann, b"SELECT work")
        self.ask(self.ann, b"STORE 1 +FLAGS (\\Seen)")
        self.assertIn(b"* 1 FETCH (FLAGS (\\Seen", link.take())
        self.fill(1, mailbox="work")
        self.assertIn(b"* 5 EXISTS", link.take())
        link.say(b"DONE\r\n")
        link.take()
        self.ask(self.ann, b"NOOP")
        self.ask(link, b"STORE 5 +FLAGS (\\Seen)")
        self.assertIn(b"FLAGS (\\Seen", b" ".join(self.ask(self.ann, b"NOOP")))


class LosingTests(SharingCase):
    """Rights that are taken away while the mailbox is open."""

    def test_flags_are_told_anew(self) -> None:
        """FLAGS and PERMANENTFLAGS, once.  RFC 4314 section 5.1.1."""
        link = self.opened(b"lrswt")
        self.give(b"lrs")
        self.assertEqual(
            self.ask(link, b"NOOP"),
            [
                b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Junk)",
                b"* OK [PERMANENTFLAGS (\\Seen)] Flags that can be changed",
                b"OK NOOP completed",
            ],
        )
        self.assertEqual(self.ask(link, b"NOOP"), [b"OK NOOP completed"])

    def test_access_ends(self) -> None:
        """With BYE: at the next command, or at once in IDLE; nothing is read in between."""
        link = self.opened(b"lrs")
        idling = self.as_user("bob")
        self.ask(idling, b"SELECT " + BOX)
        idling.say(b"i IDLE\r\n")
        idling.take()
        self.give(b"")
        self.assertIn(b"* BYE ", idling.take())
        link.say(b"a FETCH 1 BODY.PEEK[]\r\n")
        heard = link.take()
        self.assertNotIn(MESSAGE[:20], heard)
        self.assertIn(b"* BYE ", heard)
        self.assertTrue(link.closed)

    def test_the_owner_goes(self) -> None:
        """With the account and its mail."""
        link = self.opened(b"lrs")
        self.world.result(self.world.site.accounts.remove("ann"))
        link.say(b"a SEARCH ALL\r\n")
        self.assertNotIn(b"* SEARCH 1", link.take())
        link.say(b"b NOOP\r\n")
        self.assertIn(b"* BYE ", link.take())
        self.world.result(self.world.site.mail.remove(self.account.id))
        self.assertEqual(self.names(self.bob), [b"INBOX"])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_the_one_who_looks_goes(self) -> None:
        """A disabled account loses what is others' at once."""
        link = self.opened(b"lrs")
        self.world.result(self.world.site.accounts.change("bob", enabled=False))
        link.say(b"a FETCH 1 BODY.PEEK[]\r\nb NOOP\r\n")
        heard = link.take()
        self.assertNotIn(MESSAGE[:20], heard)
        self.assertIn(b"* BYE ", heard)

    def test_renaming_ends_nothing(self) -> None:
        """The mailbox is the same under another name."""
        link = self.opened(b"lrs")
        self.ask(self.ann, b"RENAME work play")
        self.ask(link, b"STORE 1 +FLAGS (\\Seen)")
        self.ask(link, b"SELECT Shared/ann/play", b"OK [READ-WRITE] ")

    def test_deleting_ends_it(self) -> None:
        """As it does for the owner's own sessions."""
        link = self.opened(b"lrs")
        self.ask(self.ann, b"DELETE work")
        link.say(b"a NOOP\r\n")
        self.assertIn(b"* BYE ", link.take())


class NewsTests(SharingCase):
    """Annotations of other people's mailboxes."""

    def test_what_others_change_is_told(self) -> None:
        """By its name here; also of those who begin to share later; not what cannot be seen."""
        self.ask(self.bob, b"ENABLE METADATA")
        self.ask(self.ann, b'SETMETADATA work (/shared/comment "x")')
        self.assertEqual(self.ask(self.bob, b"NOOP"), [b"OK NOOP completed"])
        self.give(b"lrw")
        self.assertEqual(self.ask(self.bob, b"NOOP"), [b"OK NOOP completed"])
        self.ask(self.ann, b"CREATE secret")
        self.ask(self.ann, b'SETMETADATA secret (/shared/comment "x")')
        self.ask(self.ann, b'SETMETADATA "" (/private/comment "x")')
        self.ask(self.ann, b'SETMETADATA work (/shared/comment "y" /private/comment "z")')
        self.assertEqual(
            self.ask(self.bob, b"NOOP"), [b'* METADATA "Shared/ann/work" /shared/comment', b"OK NOOP completed"]
        )
        self.ask(self.bob, b'SETMETADATA %b (/shared/comment "mine")' % BOX)
        self.assertEqual(self.ask(self.bob, b"NOOP"), [b"OK NOOP completed"])
        self.give(b"")
        self.ask(self.ann, b'SETMETADATA work (/shared/comment "z")')
        self.assertEqual(self.ask(self.bob, b"NOOP"), [b"OK NOOP completed"])


class GroupTests(SharingCase):
    """Mail of a group, and mail that is shared with one."""

    def setUp(self) -> None:
        super().setUp()
        self.world.add_user("cora", "pw")
        accounts = self.world.site.accounts
        self.world.result(accounts.add_group("team", 0, 3))
        self.world.result(accounts.change_members("team", ["bob"]))
        self.cora = self.as_user("cora")

    def join(self, *names: str) -> None:
        """Make accounts members."""
        self.world.result(self.world.site.accounts.change_members("team", names))

    def test_members_use_the_groups_mail(self) -> None:
        """Everything but its access lists; others see nothing."""
        self.assertEqual(self.names(self.bob), [b"INBOX", b"Shared", b"Shared/team", b"Shared/team/INBOX"])
        self.assertEqual(self.ask(self.bob, b"MYRIGHTS Shared/team/INBOX")[0], b'* MYRIGHTS "Shared/team/INBOX" lrswipkxtecd')
        self.ask(self.bob, b"CREATE Shared/team/plans")
        self.ask(self.bob, b"APPEND Shared/team/plans {1+}\r\nx", b"OK ")
        self.ask(self.bob, b"GETACL Shared/team/plans", b"NO [NOPERM] ")
        self.assertEqual(self.names(self.cora), [b"INBOX"])
        self.ask(self.cora, b"SELECT Shared/team/plans", b"NO [NONEXISTENT] ")
        self.ask(self.cora, b"CREATE Shared/team/mine", b"NO [NOPERM] ")
        self.join("cora")
        self.assertIn(b"* 1 EXISTS", self.ask(self.cora, b"SELECT Shared/team/plans"))

    def test_leaving_ends_it(self) -> None:
        """Also what a group was given by others."""
        self.give(b"lr", to=b"group:team")
        self.ask(self.bob, b"SELECT " + BOX)
        self.world.result(self.world.site.accounts.change_members("team", remove=["bob"]))
        self.assertEqual(self.names(self.as_user("bob")), [b"INBOX"])
        self.bob.say(b"a FETCH 1 BODY.PEEK[]\r\nb NOOP\r\n")
        heard = self.bob.take()
        self.assertNotIn(MESSAGE[:20], heard)
        self.assertIn(b"* BYE ", heard)

    def test_quota_of_a_group(self) -> None:
        """Its own, under its identifier; administrators change it."""
        for number in range(3):
            self.ask(self.bob, b"APPEND Shared/team/INBOX {1+}\r\n%d" % number, b"OK ")
        self.ask(self.bob, b"APPEND Shared/team/INBOX {1+}\r\nx", b"NO [OVERQUOTA] ")
        self.assertEqual(
            self.ask(self.bob, b"GETQUOTAROOT Shared/team/INBOX")[:-1],
            [b'* QUOTAROOT "Shared/team/INBOX" "group:team"', b'* QUOTA "group:team" (MESSAGE 3 3)'],
        )
        self.ask(self.cora, b"GETQUOTA group:team", b"NO [NONEXISTENT] ")
        self.world.result(self.world.site.accounts.change("cora", administrator=True))
        self.assertEqual(self.ask(self.cora, b"SETQUOTA group:team (MESSAGE 4)")[0], b'* QUOTA "group:team" (MESSAGE 3 4)')
        self.ask(self.bob, b"APPEND Shared/team/INBOX {1+}\r\nx", b"OK ")

    def test_administrators_say_what_members_may(self) -> None:
        """They see the mailboxes and their lists, and not what is in them."""
        self.world.result(self.world.site.accounts.change("cora", administrator=True))
        name = b"Shared/team/INBOX"
        self.assertEqual(self.ask(self.cora, b"MYRIGHTS " + name)[0], b'* MYRIGHTS "Shared/team/INBOX" la')
        self.ask(self.cora, b"SELECT " + name, b"NO [NOPERM] ")
        self.assertEqual(self.ask(self.cora, b"GETACL " + name)[0], b'* ACL "Shared/team/INBOX" group:team lrswipkxtecd')
        self.ask(self.cora, b"SETACL %b group:team -swipkxte" % name)
        self.ask(self.bob, b"SELECT " + name, b"OK [READ-ONLY] ")
        self.ask(self.cora, b"SETACL %b bob a" % name)
        self.assertEqual(self.ask(self.bob, b"GETACL " + name)[0], b'* ACL "Shared/team/INBOX" group:team lr bob a')
        self.ask(self.cora, b'SETACL %b group:team ""' % name)
        self.ask(self.bob, b"SELECT " + name, b"NO ")
        self.assertEqual(self.ask(self.cora, b"GETACL " + name)[0], b'* ACL "Shared/team/INBOX" group:team "" bob a')
        self.ask(self.cora, b"DELETEACL %b group:team" % name)
        self.ask(self.bob, b"SELECT " + name, b"OK [READ-WRITE] ")

    def test_mail_for_a_group(self) -> None:
        """Comes into its own INBOX, and members who have it open hear of it."""
        site = self.world.site
        address = Address("crew", "test")
        self.world.result(site.accounts.address_group("team", address))
        self.ask(self.bob, b"SELECT Shared/team/INBOX")
        (found,) = self.world.result(site.accounts.resolve(address))
        envelope = Envelope(SpoolId("1"), None, (SpoolRecipient(found.account.id, address),))
        deliver = MailboxDelivery(site.mail, site.accounts, site.staging)
        self.world.result(deliver(envelope, envelope.recipients[0], MESSAGE, "key"))
        self.assertIn(b"* 1 EXISTS", self.ask(self.bob, b"NOOP"))
        self.assertIn(b"Delivered-To: crew@test", b"".join(self.ask(self.bob, b"FETCH 1 BODY[HEADER]")))

    def test_a_group_is_removed(self) -> None:
        """Its mail ends for those who have it open."""
        self.ask(self.bob, b"SELECT Shared/team/INBOX")
        group = self.world.result(self.world.site.accounts.remove_group("team"))
        self.bob.say(b"a NOOP\r\n")
        self.assertIn(b"* BYE ", self.bob.take())
        self.world.result(self.world.site.mail.remove(group.id))
        self.assertEqual(self.names(self.as_user("bob")), [b"INBOX"])
        self.assertEqual(self.flushLoggedErrors(), [])
