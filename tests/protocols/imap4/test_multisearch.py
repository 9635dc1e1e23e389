"""MULTISEARCH.  RFC 7377."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.imap4.grammar.filters import Filter, Scope
from launcelot.protocols.imap4.grammar.multisearch import read_multisearch
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader
from launcelot.testing.link import every_split
from tests.protocols.imap4.world import ImapCase

CHAD = b"Subject: chad\r\n\r\nx"
OTHER = b"Subject: other\r\n\r\nxyz"


class GrammarTests(SynchronousTestCase):
    """The command alone."""

    def test_sources(self) -> None:
        """All descriptions, with one name or several; the selected mailbox where there is none."""
        for said, sources in (
            (b" ALL", (Filter(Scope.SELECTED),)),
            (b" in (selected) ALL", (Filter(Scope.SELECTED),)),
            (
                b' IN (mailboxes "a" subtree (b c) Personal) RETURN (MIN) ALL',
                (Filter(Scope.MAILBOXES, ("a",)), Filter(Scope.SUBTREE, ("b", "c")), Filter(Scope.PERSONAL)),
            ),
            (
                b" IN (subtree-one a subscribed inboxes) ALL",
                (Filter(Scope.SUBTREE_ONE, ("a",)), Filter(Scope.SUBSCRIBED), Filter(Scope.INBOXES)),
            ),
        ):  # fmt: skip
            self.assertEqual(read_multisearch(Reader(said)).sources, sources)

    def test_options(self) -> None:
        """Nothing asked for is ALL; SAVE goes with the selected mailbox alone."""
        self.assertEqual(read_multisearch(Reader(b" ALL")).search.options, (b"ALL",))
        self.assertEqual(read_multisearch(Reader(b" IN (selected) RETURN (SAVE) ALL")).search.options, (b"SAVE",))
        for said in (
            b" IN (personal) RETURN (SAVE) ALL", b" IN (selected mailboxes a) RETURN (SAVE COUNT) ALL", b" IN () ALL",
            b" IN (selected-delayed) ALL", b" IN (foo) ALL", b" IN (mailboxes) ALL", b" IN (mailboxes ()) ALL", b" IN (selected)",
            b" IN (selected (x y)) ALL", b" IN (subtree a b) ALL", b" RETURN (MIN)", b"", b" ",
        ):  # fmt: skip
            self.assertRaises(Malformed, self.whole, said)

    def whole(self, said: bytes) -> None:
        """Read a command and nothing behind it."""
        reader = Reader(said)
        read_multisearch(reader)
        reader.end()


class MultiSearchTests(ImapCase):
    """ESEARCH."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("folder1", "folder2/banana/old", "folder2/peach", "folder2/salmon"):
            self.world.result(self.mail.create(name))
        self.fill(1, OTHER, "folder1")
        self.fill(2, CHAD, "folder1")
        self.fill(1, CHAD, "folder2/banana/old")
        self.fill(1, OTHER, "folder2/peach", ("\\Seen",))
        self.fill(3, CHAD, "folder2/salmon")
        self.fill(1, CHAD)
        self.link = self.log_in()

    def validity(self, name: str) -> int:
        """A mailbox's UIDVALIDITY."""
        return self.world.result(self.mailbox(name).status()).uid_validity

    def found(self, command: bytes, tag: bytes = b"t") -> list[bytes]:
        """What ESEARCH tells, without what is the same in every line; UIDVALIDITY is checked."""
        told = []
        for line in self.ask(self.link, b"ESEARCH " + command)[:-1]:
            head, _, rest = line.partition(b") UID")
            name = head.split(b'"')[3]
            validity = self.validity(name.decode())
            self.assertEqual(head, b'* ESEARCH (TAG "%b" MAILBOX "%b" UIDVALIDITY %d' % (tag, name, validity))
            told.append(name + rest)
        return told

    def test_example_of_the_standard(self) -> None:
        """Names and subtrees, two commands in one breath; a mailbox without matches is not told, nor is one that is not."""
        self.assertEqual(
            self.found(b'IN (mailboxes "folder1" subtree "folder2") unseen'),
            [b"folder1 ALL 1:3", b"folder2/banana/old ALL 1", b"folder2/salmon ALL 1:3"],
        )
        self.assertEqual(
            self.found(b'IN (mailboxes "folder1" subtree-one "folder2") subject "chad"'),
            [b"folder1 ALL 2:3", b"folder2/salmon ALL 1:3"],
        )
        self.link.say(b"a ESEARCH IN (mailboxes folder1) ALL\r\nb ESEARCH IN (mailboxes INBOX) ALL\r\n")
        heard = self.link.take()
        self.assertRegex(heard, rb'(?s)TAG "a" MAILBOX "folder1".*\r\na OK .*TAG "b" MAILBOX "INBOX".*\r\nb OK')
        self.assertEqual(self.found(b"IN (mailboxes (nope \"%*\" folder1/x)) ALL"), [])

    def test_descriptions(self) -> None:
        """personal and inboxes are all, subscribed changes with subscriptions, a mailbox meant twice is told once."""
        everything = [b"INBOX ALL 1", b"folder1 ALL 2:3", b"folder2/banana/old ALL 1", b"folder2/salmon ALL 1:3"]
        for said in (b"personal", b"inboxes", b"personal mailboxes folder1 subtree folder2"):
            self.assertEqual(self.found(b"IN (%b) SUBJECT chad" % said), everything)
        self.assertEqual(self.found(b"IN (subscribed) ALL"), [])
        self.ask(self.link, b"SUBSCRIBE folder2/peach")
        self.ask(self.link, b"SUBSCRIBE nope")
        self.assertEqual(self.found(b"IN (subscribed) ALL"), [b"folder2/peach ALL 1"])
        self.assertEqual(self.found(b"IN (mailboxes inbox) ALL"), [b"INBOX ALL 1"])
        self.assertEqual(self.found(b"IN (subtree folder2/banana) ALL"), [b"folder2/banana/old ALL 1"])

    def test_results(self) -> None:
        """MIN, MAX, COUNT, PARTIAL apply to each mailbox; also with MODSEQ."""
        self.assertEqual(
            self.found(b"IN (subtree folder2) RETURN (MIN MAX COUNT) ALL"),
            [
                b"folder2/banana/old MIN 1 MAX 1 COUNT 1",
                b"folder2/peach MIN 1 MAX 1 COUNT 1",
                b"folder2/salmon MIN 1 MAX 3 COUNT 3",
            ],
        )
        self.assertEqual(
            self.found(b"IN (mailboxes folder2/salmon) RETURN (PARTIAL -1:-2) ALL"),
            [b"folder2/salmon PARTIAL (-1:-2 2:3)"],
        )
        modseq = max(state.modseq for state in self.world.result(self.mailbox("folder2/salmon").states()))
        self.assertEqual(
            self.found(b"IN (mailboxes folder2/salmon) RETURN (COUNT) MODSEQ 1"),
            [b"folder2/salmon COUNT 3 MODSEQ %d" % modseq],
        )

    def test_numbers_and_stars(self) -> None:
        """In every mailbox they are its own; ranges that go beyond it are no error."""
        self.assertEqual(self.found(b"IN (personal) 2"), [b"folder1 ALL 2", b"folder2/salmon ALL 2"])
        self.assertEqual(self.found(b"IN (personal) 3:9999"), [b"folder1 ALL 3", b"folder2/salmon ALL 3"])
        self.assertEqual(self.found(b"IN (personal) OR UID * NOT *")[:2], [b"INBOX ALL 1", b"folder1 ALL 1:3"])
        self.assertEqual(self.found(b"IN (personal) UID *:*")[1:3], [b"folder1 ALL 3", b"folder2/banana/old ALL 1"])
        self.assertEqual(self.found(b"IN (mailboxes folder1) RECENT"), [b"folder1 ALL 1:3"])
        self.ask(self.log_in("folder1"), b"NOOP")
        self.assertEqual(self.found(b"IN (mailboxes folder1) RECENT"), [])
        self.assertEqual(self.found(b"IN (mailboxes folder1) $"), [])

    def test_selected_mailbox(self) -> None:
        """It is searched as the session sees it, UIDs are told all the same, SAVE works on it, nothing is unselected."""
        self.ask(self.link, b"ESEARCH ALL", b"BAD")
        self.ask(self.link, b"ESEARCH IN (selected personal) ALL", b"BAD")
        self.world.result(self.mailbox("folder1").remove([1]))
        self.ask(self.link, b"SELECT folder1")
        self.assertEqual(self.found(b"ALL"), [b"folder1 ALL 2:3"])
        self.assertEqual(self.found(b"IN (selected) RETURN (SAVE MIN) SUBJECT chad"), [b"folder1 MIN 2"])
        self.assertEqual(self.ask(self.link, b"UID FETCH $ UID")[0], b"* 1 FETCH (UID 2)")
        self.assertEqual(self.found(b"RETURN (SAVE) ALL"), [])
        self.assertEqual(self.found(b"IN (selected mailboxes INBOX) $"), [b"folder1 ALL 2:3"])
        self.assertEqual(self.found(b"IN (mailboxes folder1) 1"), [b"folder1 ALL 2"])
        self.ask(self.link, b"ESEARCH CHARSET x-foo ALL", b"NO [BADCHARSET")
        self.assertEqual(self.found(b"$"), [b"folder1 ALL 2:3"])
        self.ask(self.link, b"ESEARCH RETURN (SAVE) CHARSET x-foo ALL", b"NO [BADCHARSET")
        self.assertEqual(self.found(b"$"), [])
        self.assertEqual(len(self.ask(self.link, b"FETCH 1:2 UID")), 3)

    def test_names_with_umlauts(self) -> None:
        """In modified UTF-7, and in UTF-8 once that is enabled."""
        self.ask(self.link, b"CREATE &APY-")
        self.fill(1, OTHER, "ö")
        self.assertIn(b'MAILBOX "&APY-" ', self.ask(self.link, b"ESEARCH IN (mailboxes &APY-) ALL")[0])
        self.ask(self.link, b"ENABLE UTF8=ACCEPT")
        self.assertIn('MAILBOX "ö" '.encode(), self.ask(self.link, 'ESEARCH IN (mailboxes "ö") ALL'.encode())[0])
        self.ask(self.link, b"ESEARCH IN (personal) CHARSET UTF-8 ALL", b"BAD")

    def test_mailbox_that_is_deleted_meanwhile(self) -> None:
        """It is passed over."""
        listed = self.world.result(self.mail.mailboxes())
        mail = type(self.world.result(self.world.site.mail.mail(self.account.id)))

        async def mailboxes(_mail: object) -> object:
            return listed

        self.world.result(self.mail.delete("folder1"))
        self.patch(mail, "mailboxes", mailboxes)
        self.assertEqual(len(self.ask(self.link, b"ESEARCH IN (mailboxes (folder1 INBOX)) ALL")), 2)

    def test_many_mailboxes(self) -> None:
        """Hundreds are searched in turn; others are served meanwhile."""
        for number in range(300):
            self.world.result(self.mail.create(f"many/{number:03}"))
        self.fill(1, OTHER, "many/299")
        self.assertEqual(self.found(b'IN (subtree many) TEXT "xyz"'), [b"many/299 ALL 1"])
        names = b" ".join(b"many/%03d" % number for number in range(300))
        self.assertEqual(self.found(b"IN (mailboxes (%b)) ALL" % names), [b"many/299 ALL 1"])

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = (
            b"a LOGIN ann pw\r\nb ESEARCH IN (mailboxes {7+}\r\nfolder1 subtree-one folder2) RETURN (COUNT) SUBJECT {4+}\r\n"
            b"chad\r\n"
        )
        wanted = rb'(?s)MAILBOX "folder1" UIDVALIDITY \d+\) UID COUNT 2\r\n.*b OK ESEARCH completed\r\n\Z'
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), wanted)
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), wanted)


class SqliteTests(MultiSearchTests):
    """The same on files."""

    in_files = True
