"""LIST with options: LIST-EXTENDED, LIST-STATUS, SPECIAL-USE and CREATE-SPECIAL-USE."""

from __future__ import annotations

from launcelot.testing.link import every_split
from tests.protocols.imap4.world import ImapCase


class ListingTests(ImapCase):
    """A tree with subscriptions of names that exist, that do not, and that lie deep."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("Fruit/Apple", "Fruit/Banana", "Tofu", "Vegetable/Broccoli", "foo2/bar1", "foo2/bar2"):
            self.world.result(self.mail.create(name))
        self.world.result(self.mail.delete("foo2"))
        for name in ("INBOX", "Fruit/Banana", "Fruit/Peach", "Vegetable", "Vegetable/Broccoli", "foo2/bar2"):
            self.world.result(self.mail.subscribe(name))
        self.link = self.log_in()

    def listed(self, arguments: bytes) -> list[bytes]:
        """What LIST tells, without the words that are always the same."""
        return [line.removeprefix(b"* LIST ").replace(b' "/" ', b" ") for line in self.ask(self.link, b"LIST " + arguments)[:-1]]

    def test_subscribed(self) -> None:
        """Subscribed names, those that do not exist marked; the same as attribute of all names."""
        self.assertEqual(
            self.listed(b'(SUBSCRIBED) "" *'),
            [
                b'(\\Subscribed) "INBOX"',
                b'(\\Subscribed) "Fruit/Banana"',
                b'(\\NonExistent \\Subscribed) "Fruit/Peach"',
                b'(\\Subscribed) "Vegetable"',
                b'(\\Subscribed) "Vegetable/Broccoli"',
                b'(\\Subscribed) "foo2/bar2"',
            ],
        )
        self.assertEqual(self.listed(b'(SUBSCRIBED) "" %'), [b'(\\Subscribed) "INBOX"', b'(\\Subscribed) "Vegetable"'])
        self.assertEqual(
            self.listed(b'"" % RETURN (subscribed children)'),
            [
                b'(\\HasNoChildren \\Subscribed) "INBOX"',
                b'(\\HasChildren) "Fruit"',
                b'(\\HasNoChildren) "Tofu"',
                b'(\\HasChildren \\Subscribed) "Vegetable"',
                b'(\\NonExistent \\HasChildren) "foo2"',
            ],
        )

    def test_options_that_add_nothing(self) -> None:
        """Empty lists, REMOTE, options twice; plain attributes when nothing is asked for."""
        names = [b'() "INBOX"', b'() "Fruit"', b'() "Tofu"', b'() "Vegetable"', b'(\\NonExistent \\HasChildren) "foo2"']
        for arguments in (b'() "" %', b'"" % RETURN ()', b'(REMOTE) "" %', b'(REMOTE REMOTE) "" (%)', b'"" ("%")'):
            self.assertEqual(self.listed(arguments), names)

    def test_recursive_match(self) -> None:
        """Names above subscribed ones that are not listed themselves; CHILDINFO says why.  RFC 5258 section 3.5."""
        self.assertEqual(
            self.listed(b'(SUBSCRIBED RECURSIVEMATCH) "" %'),
            [
                b'(\\Subscribed) "INBOX"',
                b'() "Fruit" ("CHILDINFO" ("SUBSCRIBED"))',
                b'(\\Subscribed) "Vegetable" ("CHILDINFO" ("SUBSCRIBED"))',
                b'(\\NonExistent \\HasChildren) "foo2" ("CHILDINFO" ("SUBSCRIBED"))',
            ],
        )
        self.assertEqual(
            self.listed(b'(RECURSIVEMATCH SUBSCRIBED) "" *')[1:4],
            [
                b'(\\Subscribed) "Fruit/Banana"',
                b'(\\NonExistent \\Subscribed) "Fruit/Peach"',
                b'(\\Subscribed) "Vegetable" ("CHILDINFO" ("SUBSCRIBED"))',
            ],
        )
        self.assertEqual(
            self.listed(b'(RECURSIVEMATCH SUBSCRIBED) "" *2'),
            [b'(\\NonExistent \\HasChildren) "foo2" ("CHILDINFO" ("SUBSCRIBED"))', b'(\\Subscribed) "foo2/bar2"'][1:],
        )
        self.ask(self.link, b"UNSUBSCRIBE foo2/bar2")
        self.ask(self.link, b"SUBSCRIBE foo2/bar1")
        self.assertEqual(
            self.listed(b'(RECURSIVEMATCH SUBSCRIBED) "" *2'),
            [b'(\\NonExistent \\HasChildren) "foo2" ("CHILDINFO" ("SUBSCRIBED"))'],
        )
        self.ask(self.link, b"SUBSCRIBE gone/deep/name")
        self.assertIn(b'(\\NonExistent) "gone" ("CHILDINFO" ("SUBSCRIBED"))', self.listed(b'(RECURSIVEMATCH SUBSCRIBED) "" %'))

    def test_several_patterns(self) -> None:
        """Each name once; an empty pattern matches nothing here; literals are patterns, too."""
        self.assertEqual(self.listed(b'"" (INBOX T% "Tofu" "")'), [b'() "INBOX"', b'() "Tofu"'])
        self.assertEqual(self.listed(b'"" ({4+}\r\nTofu {5+}\r\nINBOX)'), [b'() "INBOX"', b'() "Tofu"'])
        self.assertEqual(self.listed(b'Fruit/ (A% B%)'), [b'() "Fruit/Apple"', b'() "Fruit/Banana"'])
        self.assertEqual(self.listed(b'() "" ""'), [])
        self.assertEqual(self.listed(b'"" "" RETURN (CHILDREN)'), [])

    def test_what_is_bad(self) -> None:
        """Unknown options, RECURSIVEMATCH alone or with REMOTE, and everything unfinished."""
        for bad in (
            b'(RECURSIVEMATCH) "" *', b'(REMOTE RECURSIVEMATCH) "" *', b'(FOO) "" *', b'"" * RETURN (FOO)', b'"" * RETURN',
            b'"" * RETURN (STATUS)', b'"" * RETURN (STATUS ())', b'"" * RETURN (STATUS (FOO))', b'"" * FOO', b'"" ()',
            b'(SUBSCRIBED "" *', b'"" * RETURN (CHILDREN', b'"" (a b', b'(SUBSCRIBED)', b'() ""', b'"" * RETURN () x',
        ):  # fmt: skip
            self.ask(self.link, b"LIST " + bad, b"BAD")
        self.ask(self.link, b'LSUB (SUBSCRIBED) "" *', b"BAD")

    def test_status(self) -> None:
        """STATUS follows each name that can be selected and is there by itself.  RFC 5819."""
        self.fill(2, mailbox="Tofu")
        lines = self.ask(self.link, b'LIST "" (T% foo2) RETURN (CHILDREN STATUS (MESSAGES UNSEEN))')
        self.assertEqual(
            lines[:-1],
            [
                b'* LIST (\\HasNoChildren) "/" "Tofu"',
                b'* STATUS "Tofu" (MESSAGES 2 UNSEEN 2)',
                b'* LIST (\\NonExistent \\HasChildren) "/" "foo2"',
            ],
        )
        lines = self.ask(self.link, b'LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (STATUS (MESSAGES))')
        told = [line for line in lines if b"STATUS" in line]
        self.assertEqual(told, [b'* STATUS "INBOX" (MESSAGES 0)', b'* STATUS "Vegetable" (MESSAGES 0)'])

    def test_mailbox_that_goes_while_it_is_listed(self) -> None:
        """Its STATUS is left out and it is told as one that cannot be selected."""
        mail = self.mail
        whole = type(mail).mailbox

        async def vanishing(account: object, name: str) -> object:
            if name == "Tofu":
                await mail.delete("Tofu")
            return await whole(account, name)  # type: ignore[arg-type]

        self.patch(type(mail), "mailbox", vanishing)
        self.assertEqual(self.listed(b'"" T% RETURN (STATUS (MESSAGES))'), [b'(\\Noselect) "Tofu"'])

    def test_create_with_a_use(self) -> None:
        """Made and listed with it; uses that are views, unknown or two are refused with their code and make nothing."""
        self.ask(self.link, b"CREATE Sent (USE (\\sent))")
        self.ask(self.link, b"CREATE Plain (USE ())")
        self.ask(self.link, b"CREATE Top/Trash (USE (\\Trash))")
        for refused in (b"\\All", b"\\Flagged", b"\\Nonsense", b"\\Junk \\Drafts"):
            self.ask(self.link, b"CREATE No (USE (%b))" % refused, b"NO [USEATTR]")
        for bad in (b"(USE)", b"(FOO (x))", b"USE (\\Sent)", b"(USE (Sent))", b"(USE (\\Sent)) x", b"()", b"(USE () USE ())"):
            self.ask(self.link, b"CREATE No " + bad, b"BAD")
        self.assertEqual(
            self.listed(b'(SPECIAL-USE) "" *'), [b'(\\Sent) "Sent"', b'(\\Trash) "Top/Trash"']
        )
        self.assertEqual(
            self.listed(b'(SPECIAL-USE RECURSIVEMATCH) "" %'),
            [b'(\\Sent) "Sent"', b'() "Top" ("CHILDINFO" ("SPECIAL-USE"))'],
        )
        self.assertEqual(self.listed(b'"" (Sent Plain) RETURN (SPECIAL-USE)'), [b'() "Plain"', b'(\\Sent) "Sent"'])
        self.assertEqual(self.listed(b'(SPECIAL-USE SUBSCRIBED) "" *'), [])
        self.ask(self.link, b"SUBSCRIBE Sent")
        self.assertEqual(self.listed(b'(SUBSCRIBED SPECIAL-USE) "" *'), [b'(\\Subscribed \\Sent) "Sent"'])
        self.assertEqual(self.listed(b'(SUBSCRIBED SPECIAL-USE RECURSIVEMATCH) "Sen" t'), [b'(\\Subscribed \\Sent) "Sent"'])

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = (
            b'a LOGIN ann pw\r\nb LIST (SUBSCRIBED RECURSIVEMATCH) "" ({2+}\r\nF% "V%") RETURN (CHILDREN STATUS (MESSAGES))\r\n'
        )
        wanted = (
            b'* LIST (\\HasChildren) "/" "Fruit" ("CHILDINFO" ("SUBSCRIBED"))\r\n'
            b'* LIST (\\HasChildren \\Subscribed) "/" "Vegetable" ("CHILDINFO" ("SUBSCRIBED"))\r\n'
            b'* STATUS "Vegetable" (MESSAGES 0)\r\nb OK LIST completed\r\n'
        )
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertTrue(link.take().endswith(wanted))
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertTrue(link.take().endswith(wanted))
