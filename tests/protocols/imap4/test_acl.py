"""Access lists: SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS, LIST with MYRIGHTS."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.rights import ALL, NONE, Change
from launcelot.protocols.imap4.grammar.acl import acl, list_rights, my_rights, read_identified, read_set_acl
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader, WantsLiteral
from launcelot.testing.link import Link, every_split
from tests.protocols.imap4.world import ImapCase


class GrammarTests(SynchronousTestCase):
    """RFC 4314 section 7."""

    def test_set(self) -> None:
        """Rights that replace, are added and are taken; the old letters stand for two."""
        request = read_set_acl(Reader(b' INBOX/Drafts David lrswida'))
        self.assertEqual((request.mailbox, request.identifier, request.change), ("INBOX/Drafts", "David", Change.REPLACE))
        self.assertEqual(request.rights, frozenset("lrswitea"))
        self.assertEqual(read_set_acl(Reader(b' a "b c" +c')).change, Change.ADD)
        self.assertEqual(read_set_acl(Reader(b" a b +c")).rights, frozenset("kx"))
        self.assertEqual(read_set_acl(Reader(b" a -b -l")).change, Change.REMOVE)
        self.assertEqual(read_set_acl(Reader(b' a b ""')).rights, NONE)
        self.assertEqual(read_set_acl(Reader(b" a b +")).rights, NONE)

    def test_impossible_sets(self) -> None:
        """Upper case, unknown letters, two signs, too few arguments."""
        for raw in (b" a b lrQ", b" a b lrq", b" a b +-l", b" a b l1", b" a b", b" a", b' a b "\xc3\xa9"'):
            self.assertRaises(Malformed, read_set_acl, Reader(raw))

    def test_identifiers_are_prepared(self) -> None:
        """SASLprep; what it forbids, and nothing at all, is BAD."""
        identified = read_identified(Reader(' a "\u2168"'.encode()))
        self.assertEqual((identified.identifier, identified.given), ("IX", "\u2168".encode()))
        for raw in (b' a ""', b" a -", b' a "\xff"', b' a "\x07"', b" a " + b"x" * 2000, b" a", ' a "\u0627b"'.encode()):
            self.assertRaises(Malformed, read_identified, Reader(raw))

    def test_any_octet_anywhere(self) -> None:
        """It is read or refused, never a crash."""
        for read, raw in ((read_set_acl, b' a "b" +lr'), (read_identified, b" INBOX group:x")):
            for place in range(len(raw) + 1):
                for octet in range(256):
                    try:
                        read(Reader(raw[:place] + bytes([octet]) + raw[place:]))
                    except (Malformed, WantsLiteral):
                        pass

    def test_responses(self) -> None:
        """As RFC 4314 section 3 has them."""
        entries = [("ann", ALL), ("-b c", frozenset("lr")), ("group:x", NONE)]
        self.assertEqual(acl(b'"a"', entries), b'ACL "a" ann lrswipkxteacd "-b c" lr group:x ""')
        self.assertEqual(list_rights(b'"a"', b"bob", NONE, ALL), b'LISTRIGHTS "a" bob "" l r s w i p k x t e a c d')
        self.assertEqual(list_rights(b'"a"', b"ann", ALL, NONE), b'LISTRIGHTS "a" ann lrswipkxteacd')
        self.assertEqual(my_rights(b'"a"', frozenset("rl")), b'MYRIGHTS "a" lr')


class AclTests(ImapCase):
    """Ann's own lists, and Bob, who is given something."""

    def setUp(self) -> None:
        super().setUp()
        self.world.add_user("bob", "pw")
        self.group = self.world.result(self.world.site.accounts.add_group("team"))
        self.ann = self.log_in()
        self.ask(self.ann, b"CREATE work")
        self.bob = self.as_user("bob")

    def as_user(self, name: str) -> Link:
        """Somebody's session."""
        link = self.connect()
        self.ask(link, b"LOGIN %b pw" % name.encode())
        return link

    def listed(self, mailbox: bytes = b"work") -> bytes:
        """What GETACL tells Ann."""
        return self.ask(self.ann, b"GETACL " + mailbox)[0].removeprefix(b'* ACL "%b" ' % mailbox)

    def test_set_and_get(self) -> None:
        """Accounts by name or address, groups, everybody, and negative entries; the owner stands first."""
        self.assertEqual(self.listed(), b"ann lrswipkxteacd")
        for command in (b"bob lrs", b"group:team lr", b"anyone l", b"-anyone s", b"bob +wd", b"bob@test -w", b"group:team lrs"):
            self.ask(self.ann, b"SETACL work " + command)
        self.assertEqual(self.listed(), b"ann lrswipkxteacd -anyone s bob lrsted anyone l group:team lrs")
        for who in (b"-anyone", b"BOB", b"bob"):
            self.ask(self.ann, b"DELETEACL work " + who)
        self.ask(self.ann, b'SETACL work anyone ""')
        self.assertEqual(self.listed(), b"ann lrswipkxteacd group:team lrs")

    def test_nobody_is_nobody(self) -> None:
        """Unknown names are NO, impossible ones BAD; nothing is changed."""
        for who in (b"cora", b"group:crew", b"group:", b"anonymous", b"cora@test", b"a@b@c"):
            self.ask(self.ann, b"SETACL work %b lr" % who, b"NO [CANNOT] ")
            self.ask(self.ann, b"LISTRIGHTS work %b" % who, b"NO [CANNOT] ")
        self.ask(self.ann, b'SETACL work "" lr', b"BAD ")
        self.ask(self.ann, b"SETACL work bob lrQ", b"BAD ")
        self.ask(self.ann, b"SETACL nowhere bob lr", b"NO [NONEXISTENT] ")
        self.ask(self.ann, b"GETACL nowhere", b"NO [NONEXISTENT] ")
        self.assertEqual(self.listed(), b"ann lrswipkxteacd")

    def test_owners_keep_everything(self) -> None:
        """No entry for the owner is made, and none for everybody matters."""
        for who in (b"ann", b"-ann", b"ann@test"):
            self.ask(self.ann, b"SETACL work %b lr" % who, b"NO [NOPERM] ")
            self.ask(self.ann, b"DELETEACL work " + who, b"NO [NOPERM] ")
        self.ask(self.ann, b"SETACL work -anyone lrswipkxtea")
        self.assertEqual(self.ask(self.ann, b"MYRIGHTS work")[0], b'* MYRIGHTS "work" lrswipkxteacd')
        self.ask(self.ann, b"SELECT work", b"OK [READ-WRITE]")

    def test_what_can_be_granted(self) -> None:
        """Each right by itself; the owner has all in any case; the identifier comes back as it was written."""
        self.assertEqual(
            self.ask(self.ann, b"LISTRIGHTS work BOB")[0], b'* LISTRIGHTS "work" BOB "" l r s w i p k x t e a c d'
        )
        self.assertEqual(self.ask(self.ann, b"LISTRIGHTS work ann")[0], b'* LISTRIGHTS "work" ann lrswipkxteacd')

    def test_who_may_ask(self) -> None:
        """Without ``a`` NO; who cannot see the mailbox learns as much as of one that does not exist."""
        name = b"Shared/ann/work"
        commands = (b"GETACL " + name, b"LISTRIGHTS %b bob" % name, b"SETACL %b bob lra" % name, b"DELETEACL %b bob" % name)
        for command in commands:
            self.ask(self.bob, command, b"NO [NONEXISTENT] no such mailbox")
        self.ask(self.bob, b"MYRIGHTS " + name, b"NO [NONEXISTENT] no such mailbox")
        self.ask(self.ann, b"SETACL work bob lr")
        for command in commands:
            self.ask(self.bob, command, b"NO [NOPERM] ")
        self.assertEqual(self.ask(self.bob, b"MYRIGHTS " + name)[0], b'* MYRIGHTS "Shared/ann/work" lr')
        self.ask(self.ann, b"SETACL work bob la")
        for command in commands:
            self.ask(self.bob, command)
        self.ask(self.ann, b"SETACL work bob sw")
        self.ask(self.bob, b"MYRIGHTS " + name, b"NO [NONEXISTENT] ")

    def test_removed_accounts_leave_nothing(self) -> None:
        """Whoever gets the name later has none of the rights; the list does not tell of them."""
        self.ask(self.ann, b"SETACL work bob lr")
        self.ask(self.ann, b"SETACL work group:team lr")
        accounts = self.world.site.accounts
        self.world.result(accounts.remove("bob"))
        self.world.result(accounts.remove_group("team"))
        self.assertEqual(self.listed(), b"ann lrswipkxteacd")
        self.world.add_user("bob", "pw")
        self.ask(self.as_user("bob"), b"MYRIGHTS Shared/ann/work", b"NO ")

    def test_lists_follow_their_mailbox(self) -> None:
        """Kept by RENAME, dropped by DELETE, inherited by CREATE."""
        self.ask(self.ann, b"SETACL work bob lr")
        for command in (b"CREATE work/new", b"RENAME work play"):
            self.ask(self.ann, command)
        self.assertEqual(self.listed(b"play"), b"ann lrswipkxteacd bob lr")
        self.assertEqual(self.listed(b"play/new"), b"ann lrswipkxteacd bob lr")
        for command in (b"DELETE play", b"CREATE play"):
            self.ask(self.ann, command)
        self.assertEqual(self.listed(b"play"), b"ann lrswipkxteacd")

    def test_rights_beside_names(self) -> None:
        """LIST RETURN (MYRIGHTS): behind each name that exists.  RFC 8440."""
        self.ask(self.ann, b"CREATE x/y")
        self.ask(self.ann, b"DELETE x")
        self.assertEqual(
            self.ask(self.ann, b'LIST "" (x* work) RETURN (MYRIGHTS)'),
            [
                b'* LIST () "/" "work"',
                b'* MYRIGHTS "work" lrswipkxteacd',
                b'* LIST (\\NonExistent \\HasChildren) "/" "x"',
                b'* LIST () "/" "x/y"',
                b'* MYRIGHTS "x/y" lrswipkxteacd',
                b"OK LIST completed",
            ],
        )
        self.ask(self.ann, b"SETACL work bob lp")
        told = self.ask(self.bob, b'LIST "" Shared/* RETURN (MYRIGHTS STATUS (MESSAGES) METADATA (/shared/comment))')
        self.assertEqual(
            told,
            [
                b'* LIST (\\NonExistent \\HasChildren) "/" "Shared/ann"',
                b'* LIST (\\Noselect) "/" "Shared/ann/work"',
                b'* MYRIGHTS "Shared/ann/work" lp',
                b'* METADATA "Shared/ann/work" (/shared/comment NIL)',
                b"OK LIST completed",
            ],
        )

    def test_letters_of_the_old_kind(self) -> None:
        """``RIGHTS=kxte``: clients of RFC 2086 say and hear ``c`` and ``d``; nobody is told of one without its members."""
        capabilities = self.ask(self.ann, b"CAPABILITY")[0].split()
        self.assertIn(b"ACL", capabilities)
        self.assertIn(b"RIGHTS=kxte", capabilities)
        for given, told in ((b"lrcd", b"lrkxtecd"), (b"lrk", b"lrkc"), (b"lre", b"lred"), (b"lrs", b"lrs")):
            self.ask(self.ann, b"SETACL work bob " + given)
            self.assertEqual(self.ask(self.bob, b"MYRIGHTS Shared/ann/work")[0], b'* MYRIGHTS "Shared/ann/work" ' + told)
        self.ask(self.ann, b"SETACL work bob lrkte")
        self.ask(self.ann, b"SETACL work bob -c")
        self.assertEqual(self.listed(), b"ann lrswipkxteacd bob lrted")

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = b'a LOGIN ann pw\r\nb SETACL work {3+}\r\nbob "lrd"\r\nc GETACL "work"\r\nd DELETEACL work bob\r\n'
        wanted = (
            b'b OK SETACL completed\r\n* ACL "work" ann lrswipkxteacd bob lrted\r\nc OK GETACL completed\r\n'
            b"d OK DELETEACL completed\r\n"
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
