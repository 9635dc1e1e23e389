"""NOTIFY.  RFC 5465."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.interface import Glance, StoreMode
from launcelot.protocols.imap4.commands import notify
from launcelot.protocols.imap4.commands.notify import changed_names
from launcelot.protocols.imap4.grammar.fetch import Attribute
from launcelot.protocols.imap4.grammar.filters import Filter, Scope
from launcelot.protocols.imap4.grammar.notify import ABOUT_MESSAGES, Event, Notify, read_notify
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader
from launcelot.testing.link import Link, every_split
from tests.bounded import linear
from tests.protocols.imap4.test_waiting import SlowStoreCase
from tests.protocols.imap4.world import MESSAGE, ImapCase

BOTH = b"MessageNew MessageExpunge"
ALL = b"MessageNew MessageExpunge FlagChange"


class GrammarTests(SynchronousTestCase):
    """The command alone."""

    def test_groups(self) -> None:
        """Mailboxes, events and items; NONE as a command and as events; in any case."""
        self.assertEqual(read_notify(Reader(b" NONE")), Notify())
        request = read_notify(
            Reader(
                b" set status (selected-delayed (MessageNew (uid flags) messageexpunge FLAGCHANGE)) (subtree (Lists a) NONE) "
                b"(mailboxes misc (MailboxName SubscriptionChange MailboxMetadataChange)) (personal (ServerMetadataChange))"
            )
        )
        first, second, third, fourth = request.groups
        self.assertTrue(request.status)
        self.assertEqual((first.filter, first.events), (Filter(Scope.SELECTED_DELAYED), ABOUT_MESSAGES))
        self.assertEqual(first.items, (Attribute.UID, Attribute.FLAGS))
        self.assertEqual((second.filter, second.events), (Filter(Scope.SUBTREE, ("Lists", "a")), frozenset()))
        self.assertEqual(len(third.events), 3)
        self.assertEqual(fourth.events, {Event.SERVER_METADATA_CHANGE})

    def test_malformed(self) -> None:
        """Events without those they go with, or where they do not belong; descriptions twice; half of everything."""
        for said in (
            b"", b" SET", b" SET NONE", b" FOO", b" SET (selected)", b" SET (selected (MessageNew))", b" SET (selected ())",
            b" SET (selected (MessageExpunge))", b" SET (selected (FlagChange))", b" SET (personal (MessageNew FlagChange))",
            b" SET (selected (MailboxName))", b" SET (selected-delayed (%b SubscriptionChange))" % BOTH,
            b" SET (selected (%b)) (selected-delayed (%b))" % (BOTH, BOTH), b" SET (subtree-one a (%b))" % BOTH,
            b" SET (personal (MessageNew (UID) MessageExpunge))", b" SET (mailboxes (%b))" % BOTH, b" SET (foo (%b))" % BOTH,
            b" SET STATUS", b" SET FOO (personal NONE)", b" SET (personal NONE", b" SET (personal FOO)", b" NONE x",
            b" SET (selected (MessageNew (FOO) MessageExpunge))", b" SET (personal (AnnotationChange))",
            b" SET" + b" (personal NONE)" * 101, b" SET (personal (%b))" % b" ".join([ALL] * 7),
        ):  # fmt: skip
            self.assertRaises(Malformed, self.whole, said)

    def whole(self, said: bytes) -> None:
        """Read a command and nothing behind it."""
        reader = Reader(said)
        read_notify(reader)
        reader.end()


class NameTests(SynchronousTestCase):
    """What is told of names."""

    def changes(self, before: dict[int, str], now: dict[int, str]) -> list[tuple[str, str]]:
        """Changed names, mailboxes given by number."""
        made = [{number: Glance(number, "", name, 1, 1, 1, 0, 0) for number, name in one.items()} for one in (before, now)]
        return changed_names(*made)

    def test_changes(self) -> None:
        """Made, deleted, deleted and made again, renamed alone and with those below."""
        self.assertEqual(self.changes({1: "a"}, {1: "a", 2: "b"}), [("b", "")])
        self.assertEqual(self.changes({1: "a", 2: "b"}, {1: "a"}), [("b", "")])
        self.assertEqual(self.changes({1: "a"}, {2: "a"}), [("a", "")])
        self.assertEqual(self.changes({1: "a", 2: "a/b", 3: "a/b/c"}, {1: "z", 2: "z/b", 3: "z/b/c"}), [("z", "a")])
        self.assertEqual(self.changes({1: "a", 2: "a/b"}, {1: "z", 2: "y"}), [("y", "a/b"), ("z", "a")])
        self.assertEqual(self.changes({1: "a", 2: "b"}, {1: "b", 2: "a"}), [("a", "b"), ("b", "a")])

    def test_many(self) -> None:
        """A hundred thousand that are renamed together: linear, a square of 100,000 steps of 50 ns would be 500 s."""
        before = {number: "a/" * 20 + str(number) for number in range(100_000)}
        now = {number: "b/" * 20 + str(number) for number in range(100_000)}
        with linear():
            self.assertEqual(len(self.changes(before, now)), 100_000)


class NotifyTests(ImapCase):
    """Sessions that ask to be told."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("Lists/Lemonade", "Lists/Im2000", "misc"):
            self.world.result(self.mail.create(name))
        self.fill(2, mailbox="Lists/Lemonade")
        self.link = self.log_in()

    def ready(self, said: bytes, selected: bytes = b"") -> Link:
        """A session that has said what it wants to be told, and heard what came of that."""
        if selected:
            self.ask(self.link, b"SELECT " + selected)
        self.ask(self.link, b"NOTIFY " + said)
        return self.link

    def flag(self, mailbox: str, flag: str = "\\Seen", uid: int = 1) -> None:
        """Somebody sets a flag."""
        self.world.result(self.mailbox(mailbox).store([uid], StoreMode.ADD, (flag,)))

    def test_example_of_notify(self) -> None:
        """STATUS first, then new messages elsewhere and in the selected mailbox, without any command."""
        link = self.link
        lines = self.ask(
            link,
            b"notify set status (selected MessageNew (uid body.peek[header.fields (from to subject)]) MessageExpunge) "
            b"(subtree Lists MessageNew)",
            b"BAD",
        )
        lines = self.ask(
            link,
            b"notify set status (selected (MessageNew (uid body.peek[header.fields (from to subject)]) MessageExpunge)) "
            b"(subtree Lists (MessageNew MessageExpunge))",
        )
        self.assertRegex(lines[0], rb'\A\* STATUS "Lists" \(UIDVALIDITY \d+ UIDNEXT 1 MESSAGES 0\)\Z')
        self.assertRegex(lines[1], rb'\A\* STATUS "Lists/Im2000" \(UIDVALIDITY \d+ UIDNEXT 1 MESSAGES 0\)\Z')
        self.assertRegex(lines[2], rb'\A\* STATUS "Lists/Lemonade" \(UIDVALIDITY \d+ UIDNEXT 3 MESSAGES 2\)\Z')
        self.ask(link, b"select inbox")
        self.fill(1, mailbox="Lists/Lemonade")
        self.assertRegex(link.take(), rb'\A\* STATUS "Lists/Lemonade" \(UIDVALIDITY \d+ UIDNEXT 4 MESSAGES 3\)\r\n\Z')
        self.fill(1)
        fields = b"".join([line + b"\r\n" for line in MESSAGE.split(b"\r\n")[:3]]) + b"\r\n"
        self.assertEqual(
            link.take(),
            b"* 1 EXISTS\r\n* 1 RECENT\r\n* 1 FETCH (UID 1 BODY[HEADER.FIELDS (from to subject)] {%d}\r\n%b)\r\n"
            % (len(fields), fields),
        )
        self.fill(1, mailbox="misc")
        self.assertEqual(link.take(), b"")
        self.ask(link, b"notify set (selected (%b)) (mailboxes misc (%b))" % (BOTH, BOTH))
        self.fill(1, mailbox="misc")
        self.fill(1, mailbox="Lists/Lemonade")
        self.assertRegex(link.take(), rb'\A\* STATUS "misc" \(UIDVALIDITY \d+ UIDNEXT 3 MESSAGES 2\)\r\n\Z')

    def test_selected(self) -> None:
        """At once: new messages, removals, and flags only if they were asked for; removals by UID with QRESYNC."""
        self.fill(3)
        link = self.ready(b"SET (selected (%b))" % BOTH, b"INBOX")
        self.flag("INBOX")
        self.assertEqual(link.take(), b"")
        self.world.result(self.mailbox().remove([2]))
        self.assertEqual(link.take(), b"* 2 EXPUNGE\r\n* 2 RECENT\r\n")
        self.ask(link, b"NOTIFY SET (selected (%b))" % ALL)
        self.flag("INBOX", "\\Flagged")
        self.assertEqual(link.take(), b"* 1 FETCH (UID 1 FLAGS (\\Flagged \\Seen \\Recent))\r\n")
        self.ask(link, b"ENABLE QRESYNC")
        self.world.result(self.mailbox().remove([1]))
        self.assertEqual(link.take(), b"* VANISHED 1\r\n* 1 RECENT\r\n")
        self.flag("INBOX", "\\Flagged", 3)
        self.assertRegex(link.take(), rb"\A\* 1 FETCH \(UID 3 FLAGS \(\\Flagged \\Recent\) MODSEQ \(\d+\)\)\r\n\Z")
        self.assertEqual(self.ask(link, b"UID STORE 3 -FLAGS.SILENT (\\Flagged)")[0][:20], b"* 1 FETCH (UID 3 MOD")

    def test_new_messages_with_what_else_is_told(self) -> None:
        """Who knows UIDs or MODSEQ of all that comes unasked is told those of new messages, asked for or not."""
        for said, told in (
            (b"CONDSTORE", rb"UID 1 FLAGS \(\\Recent\) MODSEQ \(\d+\)"),
            (b"QRESYNC", rb"UID 2 FLAGS \(\\Recent\) MODSEQ \(\d+\)"),
            (b"IMAP4rev2", rb"UID 3 FLAGS \(\)"),
            (b"IMAP4rev2 UIDONLY", rb"FLAGS \(\)"),
        ):
            link = self.log_in()
            self.ask(link, b"ENABLE " + said)
            self.ask(link, b"SELECT INBOX")
            self.ask(link, b"NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge))")
            self.fill(1)
            self.assertRegex(link.take(), rb"\r\n\* \d (?:UID)?FETCH \(%b\)\r\n\Z" % told, said)
            link.close()

    def test_selected_delayed(self) -> None:
        """Removals wait for a command that allows them; IDLE is one; the rest comes at once."""
        self.fill(3)
        link = self.ready(b"SET (selected-delayed (MessageNew (uid) MessageExpunge FlagChange))", b"INBOX")
        self.world.result(self.mailbox().remove([2]))
        self.assertEqual(link.take(), b"")
        self.fill(1)
        self.assertEqual(link.take(), b"* 4 EXISTS\r\n* 4 RECENT\r\n* 4 FETCH (UID 4)\r\n")
        self.assertEqual(self.ask(link, b"FETCH 3 UID"), [b"* 3 FETCH (UID 3)", b"OK FETCH completed"])
        self.assertIn(b"* 2 EXPUNGE", self.ask(link, b"NOOP"))
        self.world.result(self.mailbox().remove([3]))
        self.assertEqual(link.take(), b"")
        link.say(b"t IDLE\r\n")
        self.assertEqual(link.take(), b"+ idling\r\n* 2 EXPUNGE\r\n* 2 RECENT\r\n")
        self.world.result(self.mailbox().remove([1]))
        self.assertEqual(link.take(), b"* 1 EXPUNGE\r\n* 1 RECENT\r\n")
        link.say(b"DONE\r\n")
        self.assertEqual(link.take(), b"t OK IDLE completed\r\n")
        self.world.result(self.mailbox().remove([4]))
        self.assertEqual(link.take(), b"")

    def test_snapshot(self) -> None:
        """Without the selected mailbox, and after NONE, nothing of it is told; what the client does itself is."""
        for number, said in enumerate((b"SET (personal (MailboxName))", b"NONE", b"SET (selected NONE)")):
            name = f"s{number}"
            self.world.result(self.mail.create(name))
            self.fill(4, mailbox=name)
            link = self.ready(said, name.encode())
            self.fill(1, mailbox=name)
            self.flag(name)
            self.world.result(self.mailbox(name).remove([2]))
            self.assertEqual((link.take(), self.ask(link, b"NOOP")), (b"", [b"OK NOOP completed"]))
            lines = self.ask(link, b"FETCH 1:4 UID", b"NO [EXPUNGEISSUED]")
            self.assertEqual(lines[:-1], [b"* %d FETCH (UID %d)" % (one, one) for one in (1, 3, 4)])
            self.ask(link, b"FETCH 5 UID", b"BAD")
            self.ask(link, b"STORE 3 +FLAGS.SILENT (\\Deleted)")
            self.assertEqual(self.ask(link, b"EXPUNGE"), [b"* 3 EXPUNGE", b"OK EXPUNGE completed"])
            self.assertEqual(self.ask(link, b"FETCH 3 UID")[0], b"* 3 FETCH (UID 4)")
            self.assertIn(b"* 3 EXISTS", self.ask(link, b"SELECT " + name.encode()))

    def test_own_messages(self) -> None:
        """No FETCH for what the client itself puts into the selected mailbox; EXISTS comes, and others' are told of."""
        link = self.ready(b"SET (selected (MessageNew (uid) MessageExpunge))", b"INBOX")
        lines = self.ask(link, b"APPEND INBOX {3+}\r\nabc")
        self.assertEqual(lines[:-1], [b"* 1 EXISTS", b"* 1 RECENT"])
        lines = self.ask(link, b"COPY 1 inbox")
        self.assertEqual(lines[:-1], [b"* 2 EXISTS", b"* 2 RECENT"])
        self.assertFalse(any(b"FETCH" in line for line in self.ask(link, b"MOVE 1 INBOX")))
        self.assertFalse(any(b"FETCH" in line for line in self.ask(link, b"REPLACE 1 INBOX {3+}\r\nnew")))
        self.fill(1)
        self.assertIn(b"* 3 FETCH (UID 5)\r\n", link.take())

    def test_flags_elsewhere(self) -> None:
        """UNSEEN where it changes, HIGHESTMODSEQ for who knows it, else nothing; only where they were asked for."""
        link = self.ready(b"SET (mailboxes (Lists/Lemonade) (%b)) (mailboxes misc (%b))" % (ALL, BOTH))
        self.fill(1, mailbox="misc")
        link.take()
        self.flag("Lists/Lemonade")
        self.assertRegex(link.take(), rb'\A\* STATUS "Lists/Lemonade" \(UIDVALIDITY \d+ UNSEEN 1\)\r\n\Z')
        self.flag("Lists/Lemonade", "kw")
        self.flag("misc")
        self.assertEqual(link.take(), b"")
        self.ask(link, b"ENABLE CONDSTORE")
        self.flag("Lists/Lemonade", "other")
        highest = self.world.result(self.mailbox("Lists/Lemonade").status()).highest_modseq
        self.assertRegex(
            link.take(), rb'\A\* STATUS "Lists/Lemonade" \(UIDVALIDITY \d+ HIGHESTMODSEQ %d\)\r\n\Z' % highest
        )
        self.world.result(self.mailbox("Lists/Lemonade").remove([1]))
        self.assertRegex(link.take(), rb"\(UIDVALIDITY \d+ UIDNEXT 3 MESSAGES 1 HIGHESTMODSEQ %d\)" % (highest + 1))
        self.assertIn(b" HIGHESTMODSEQ ", self.ask(link, b"NOTIFY SET STATUS (personal (%b))" % ALL)[0])

    def test_selected_mailbox_is_not_told_by_its_name(self) -> None:
        """SELECTED overrides all else for it, STATUS included; once it is closed it counts like others."""
        link = self.ready(b"SET (personal (%b))" % BOTH, b"misc")
        self.assertFalse(any(b"misc" in line for line in self.ask(link, b"NOTIFY SET STATUS (personal (%b))" % BOTH)))
        self.fill(1, mailbox="misc")
        self.assertEqual(link.take(), b"")
        self.ask(link, b"UNSELECT")
        self.fill(1, mailbox="misc")
        self.assertIn(b'* STATUS "misc" (', link.take())

    def test_names(self) -> None:
        """Made, deleted, renamed with those below; the one above is told, too; not what the client does itself."""
        link = self.ready(b"SET (personal (MailboxName))")
        other = self.log_in()
        self.ask(other, b"CREATE Lists/new")
        self.assertEqual(
            link.take(), b'* LIST (\\HasNoChildren) "/" "Lists/new"\r\n* LIST (\\HasChildren) "/" "Lists"\r\n'
        )
        self.ask(other, b"DELETE Lists/new")
        gone = b'* LIST (\\NonExistent \\HasNoChildren) "/" "Lists/new"\r\n'
        self.assertEqual(link.take(), gone + b'* LIST (\\HasChildren) "/" "Lists"\r\n')
        self.ask(other, b"RENAME Lists Other")
        self.assertEqual(link.take(), b'* LIST (\\HasChildren) "/" "Other" ("OLDNAME" ("Lists"))\r\n')
        self.ask(other, b"RENAME misc &APY-")
        self.assertEqual(link.take(), b'* LIST (\\HasNoChildren) "/" "&APY-" ("OLDNAME" ("misc"))\r\n')
        self.ask(other, b"SUBSCRIBE Other")
        self.assertEqual(link.take(), b"")
        for said in (b"CREATE own", b"RENAME own mine", b"SUBSCRIBE mine", b"DELETE mine"):
            self.assertEqual(self.ask(link, said)[:-1], [], said)
        self.ask(other, b"CREATE own")
        self.assertEqual(link.take(), b'* LIST (\\HasNoChildren) "/" "own"\r\n')

    def test_subscriptions(self) -> None:
        """Told with all attributes; names that need not exist; the description follows subscriptions."""
        link = self.ready(b"SET (personal (SubscriptionChange)) (subscribed (%b))" % BOTH)
        other = self.log_in()
        self.ask(other, b"SUBSCRIBE Lists")
        self.assertEqual(link.take(), b'* LIST (\\HasChildren \\Subscribed) "/" "Lists"\r\n')
        self.ask(other, b"SUBSCRIBE nowhere")
        self.assertEqual(link.take(), b'* LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" "nowhere"\r\n')
        self.fill(1, mailbox="misc")
        self.assertEqual(link.take(), b"")
        self.ask(other, b"SUBSCRIBE misc")
        self.assertEqual(link.take(), b'* LIST (\\HasNoChildren \\Subscribed) "/" "misc"\r\n')
        self.fill(1, mailbox="misc")
        self.assertIn(b'* STATUS "misc" (', link.take())
        self.ask(other, b"UNSUBSCRIBE misc")
        self.assertEqual(link.take(), b'* LIST (\\HasNoChildren) "/" "misc"\r\n')
        self.fill(1, mailbox="misc")
        self.assertEqual(link.take(), b"")

    def test_annotations(self) -> None:
        """Of mailboxes and of the account, each only where it was asked for; ENABLE METADATA is not needed."""
        link = self.ready(b"SET (mailboxes misc (MailboxMetadataChange))")
        other = self.log_in()
        for mailbox in (b"misc", b"Lists", b'""'):
            self.ask(other, b'SETMETADATA %b (/private/comment "x")' % mailbox)
        self.assertEqual(link.take(), b'* METADATA "misc" /private/comment\r\n')
        self.ask(link, b"NOTIFY SET (personal (ServerMetadataChange))")
        for mailbox in (b"misc", b'""'):
            self.ask(other, b"SETMETADATA %b (/private/comment NIL)" % mailbox)
        self.assertEqual(link.take(), b'* METADATA "" /private/comment\r\n')
        self.ask(link, b"NOTIFY NONE")
        self.ask(other, b'SETMETADATA misc (/private/comment "y")')
        self.assertEqual(link.take(), b"")

    def test_events_nobody_knows(self) -> None:
        """NO with those that are known, and what was wanted before stays."""
        link = self.ready(b"SET (mailboxes misc (%b))" % BOTH)
        for event in (b"AnnotationChange", b"NewStuff"):
            line = self.ask(link, b"NOTIFY SET (personal (%b %b))" % (BOTH, event), b"NO [BADEVENT (MessageNew ")[-1]
            self.assertIn(b" ServerMetadataChange)] ", line)
        self.fill(1, mailbox="misc")
        self.assertIn(b'* STATUS "misc" (', link.take())

    def test_too_many_mailboxes(self) -> None:
        """NO when they are asked for, a word and silence when they become too many."""
        self.patch(notify, "MAX_WATCHED", 6)
        link = self.ready(b"SET (selected (%b)) (personal (%b MailboxName))" % (BOTH, BOTH), b"INBOX")
        self.world.result(self.mail.create("fits"))
        self.assertIn(b'"fits"', link.take())
        self.world.result(self.mail.create("too much"))
        self.assertEqual(link.take(), b"* OK [NOTIFICATIONOVERFLOW] Nothing more is told\r\n")
        self.fill(1)
        self.fill(1, mailbox="misc")
        self.assertEqual((link.take(), self.ask(link, b"NOOP")), (b"", [b"OK NOOP completed"]))
        self.ask(link, b"NOTIFY SET (personal (%b))" % BOTH, b"NO [NOTIFICATIONOVERFLOW]")
        self.ask(link, b"NOTIFY SET (selected (%b))" % BOTH)
        self.fill(1)
        self.assertIn(b" EXISTS", link.take())

    def test_many_mailboxes(self) -> None:
        """Hundreds, named one by one: what happens in each is told, once for all that came together."""
        for number in range(400):
            self.world.result(self.mail.create(f"m{number}"))
        names = b" ".join([b"m%d" % number for number in range(400)])
        link = self.ready(b"SET (mailboxes (%b) (%b))" % (names, ALL))
        for number in (0, 200, 399):
            self.fill(2, mailbox=f"m{number}")
        told = link.take()
        self.assertEqual(told.count(b"MESSAGES 2"), 3)
        link.stop_reading()
        for _ in range(50):
            self.fill(1, mailbox="m7")
        link.go_on_reading()
        self.assertIn(b"MESSAGES 50", link.take())

    def test_commands_go_on(self) -> None:
        """Commands in pipelines, in pieces, with literals and with errors, while it is told what happens."""
        link = self.ready(b"SET (selected (%b)) (personal (%b))" % (BOTH, BOTH), b"INBOX")
        link.say(b"a NO")
        self.fill(1)
        self.assertEqual(link.take(), b"* 1 EXISTS\r\n* 1 RECENT\r\n")
        link.say(b"OP\r\nb LIST {0+}\r\n {1+}\r\n")
        self.fill(1, mailbox="misc")
        self.assertEqual(link.take(), b"a OK NOOP completed\r\n")
        link.say(b"*\r\nc FOO\r\nd NOOP\n")
        heard = link.take()
        self.assertRegex(heard, rb'(?s)b OK .*c BAD .*\* BAD line does not end')
        self.assertIn(b'* STATUS "misc"', heard)
        link.say(b"x" * 70_000)
        self.assertIn(b"* BAD Command line is too long\r\n* BYE", link.take())

    def test_sessions_end(self) -> None:
        """Whoever leaves listens no longer; deleting the selected mailbox is BYE as ever; the account may go, too."""
        for leave in (b"z LOGOUT\r\n", b"z UNAUTHENTICATE\r\n"):
            link = self.log_in("INBOX")
            self.ask(link, b"NOTIFY SET (selected (%b)) (personal (MailboxName %b))" % (BOTH, BOTH))
            link.say(leave)
            link.take()
            self.world.result(self.mail.create("left" + leave[2:4].decode()))
            self.assertEqual(link.take(), b"")
        link = self.ready(b"SET (selected (%b)) (personal (MailboxName))" % BOTH, b"misc")
        self.world.result(self.mail.delete("misc"))
        self.assertIn(b"* BYE the selected mailbox has been deleted\r\n", link.take())
        self.link = self.log_in()
        link = self.ready(b"SET (personal (MailboxName))")
        link.abort()
        self.world.result(self.mail.create("after"))
        self.link = self.log_in()
        link = self.ready(b"SET (personal (MailboxName))")
        self.world.result(self.world.site.mail.remove(self.account.id))
        link.take()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = (
            b"a LOGIN ann pw\r\nb NOTIFY SET STATUS (selected (MessageNew (uid) MessageExpunge)) (mailboxes {4+}\r\nmisc (%b)"
            b")\r\n"
            b"c SELECT INBOX\r\nd APPEND misc {1+}\r\nx\r\ne NOOP\r\n"
        ) % BOTH
        wanted = rb'(?s)\* STATUS "misc" .*b OK .*c OK .*\* STATUS "misc" .*d OK \[APPENDUID.*e OK'
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), wanted)
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), wanted)


class SlowStoreTests(SlowStoreCase):
    """A store that takes its time."""

    SAID = (
        b"a LOGIN ann pw\r\nb CREATE x\r\nc NOTIFY SET STATUS (selected (MessageNew (uid) %b)) (personal (%b MailboxName))\r\n"
        b"d SELECT INBOX\r\n" % (b"MessageExpunge", BOTH)
    )

    def ready(self) -> Link:
        """A session that listens."""
        link = self.connect()
        link.say(self.SAID)
        self.perform(link)
        self.assertIn(b"d OK ", link.take())
        return link

    def test_commands_between_notices(self) -> None:
        """What is told comes before the answer to a command that arrives meanwhile, and whole."""
        link = self.ready()
        other = self.connect()
        other.say(b"a LOGIN ann pw\r\nb APPEND INBOX {3+}\r\nabc\r\nc APPEND x {3+}\r\nabc\r\nd CREATE y\r\n")
        heard = b""
        for step in range(200):
            link.say(b"%d NOOP\r\n" % step)
            if not self.perform(other, 1):
                break
            heard += link.take()
        self.perform(link)
        heard += link.take()
        for told in (b"* 1 EXISTS", b"* 1 FETCH (UID 1)", b'* STATUS "x" (', b'* LIST (\\HasNoChildren) "/" "y"'):
            self.assertIn(b"\r\n" + told, b"\r\n" + heard)
        tags = [line.split()[0] for line in heard.split(b"\r\n") if line[:1].isdigit()]
        self.assertEqual(tags, [b"%d" % number for number in range(len(tags))])

    def test_client_that_vanishes_at_every_step(self) -> None:
        """Whatever is being looked at then, nothing is logged and nobody is left."""
        link = self.connect()
        link.say(self.SAID)
        for step in range(self.perform(link)):
            self.setUp()
            link = self.connect()
            link.say(self.SAID)
            self.perform(link, step)
            link.abort()
            self.perform(link)
            self.assertEqual(self.factory.sessions, set())
        link = self.ready()
        other = self.connect()
        other.say(b"a LOGIN ann pw\r\nb APPEND INBOX {3+}\r\nabc\r\n")
        self.perform(other, 1)
        link.abort()
        self.perform(other)
        self.assertEqual(self.flushLoggedErrors(), [])


class SqliteTests(NotifyTests):
    """The same on files."""

    in_files = True
