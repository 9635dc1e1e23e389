"""QUOTA: what is used, what is limited, who may say so."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.imap4.grammar.quota import Resource, quota, quota_root, read_get_quota, read_set_quota
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader, WantsLiteral
from launcelot.testing.link import Link, every_split
from tests.protocols.imap4.world import MESSAGE, ImapCase


class GrammarTests(SynchronousTestCase):
    """RFC 9208 section 7."""

    def test_commands(self) -> None:
        """Roots are strings in UTF-8; limits come in any number."""
        self.assertEqual(read_get_quota(Reader(b' "#user/a b"')).root, "#user/a b")
        request = read_set_quota(Reader(b' "\xc3\xa9" (storage 510 Message 9223372036854775807)'))
        self.assertEqual((request.root, request.limits), ("\u00e9", ((b"STORAGE", 510), (b"MESSAGE", (1 << 63) - 1))))
        self.assertEqual(read_set_quota(Reader(b" x ()")).limits, ())

    def test_impossible_commands(self) -> None:
        """Wrong text, wrong numbers, a resource twice."""
        for raw in (b' "\xff"', b"", b" ()"):
            self.assertRaises(Malformed, read_get_quota, Reader(raw))
        for raw in (b" x", b" x (STORAGE)", b" x (STORAGE -1)", b" x (STORAGE 1 storage 2)", b" x (A 9223372036854775808)"):
            self.assertRaises(Malformed, read_set_quota, Reader(raw))
        self.assertRaises(Malformed, read_set_quota, Reader(b" x (" + b" ".join(b"A%d 1" % n for n in range(30)) + b")"))

    def test_any_octet_anywhere(self) -> None:
        """It is read or refused, never a crash."""
        for read, raw in ((read_get_quota, b' "ann"'), (read_set_quota, b" ann (STORAGE 5 MESSAGE 3)")):
            for place in range(len(raw) + 1):
                for octet in range(256):
                    try:
                        read(Reader(raw[:place] + bytes([octet]) + raw[place:]))
                    except (Malformed, WantsLiteral):
                        pass

    def test_responses(self) -> None:
        """As RFC 9208 section 4.2 has them."""
        resources = [Resource(b"STORAGE", 1, 2), Resource(b"MESSAGE", 3, 4)]
        self.assertEqual(quota("a", resources), b'QUOTA "a" (STORAGE 1 2 MESSAGE 3 4)')
        self.assertEqual(quota("\u00e9", []), b"QUOTA {2}\r\n\xc3\xa9 ()")
        self.assertEqual(quota_root(b'"a/b"', "x"), b'QUOTAROOT "a/b" "x"')


class QuotaTests(ImapCase):
    """Ann, who has limits, and Bob, who administers."""

    def setUp(self) -> None:
        super().setUp()
        self.limit("ann", quota=10_000, messages=4)
        self.world.add_user("bob", "pw")
        self.world.result(self.world.site.accounts.change("bob", administrator=True))
        self.link = self.log_in()

    def limit(self, name: str, quota: int, messages: int) -> None:
        """Change limits behind the sessions' backs."""
        self.world.result(self.world.site.accounts.change(name, quota=quota, messages=messages))

    def bob(self) -> Link:
        """Bob's session."""
        link = self.connect()
        self.ask(link, b"LOGIN bob pw")
        return link

    def append(self, link: Link, body: bytes, condition: bytes = b"OK [APPENDUID ") -> None:
        """One APPEND to INBOX."""
        self.ask(link, b"APPEND INBOX {%d+}\r\n%b" % (len(body), body), condition)

    def test_what_is_used(self) -> None:
        """Usage is rounded up to units of 1,024 octets; a mailbox that does not exist has a root, too."""
        self.fill(2)
        wanted = b'* QUOTA "ann" (STORAGE 1 9 MESSAGE 2 4)'
        self.assertEqual(self.ask(self.link, b"GETQUOTA ann"), [wanted, b"OK GETQUOTA completed"])
        for name in (b"INBOX", b"nowhere"):
            self.assertEqual(
                self.ask(self.link, b"GETQUOTAROOT " + name),
                [b'* QUOTAROOT "%b" "ann"' % name, wanted, b"OK GETQUOTAROOT completed"],
            )
        self.limit("ann", quota=0, messages=0)
        self.assertEqual(self.ask(self.link, b"GETQUOTA ann")[0], b'* QUOTA "ann" ()')

    def test_others_are_not_seen(self) -> None:
        """Whether a root exists or not is the same to who may not see it; administrators see all, by name only."""
        for root in (b"bob", b"nobody", b'""', b"ANN", b'"ann@test"'):
            self.ask(self.link, b"GETQUOTA " + root, b"NO [NONEXISTENT] no such quota root")
        self.assertEqual(self.ask(self.bob(), b"GETQUOTA ann")[0], b'* QUOTA "ann" (STORAGE 0 9 MESSAGE 0 4)')
        self.ask(self.bob(), b"GETQUOTA ann@test", b"NO [NONEXISTENT] ")
        self.ask(self.bob(), b"GETQUOTA nobody", b"NO [NONEXISTENT] ")

    def test_administrators_set_quotas(self) -> None:
        """What is not named is lifted; it is durable in the directory and counts at once."""
        bob = self.bob()
        self.ask(self.link, b"SETQUOTA ann (STORAGE 100)", b"NO [NOPERM] ")
        self.assertEqual(self.ask(bob, b"SETQUOTA ann (STORAGE 100)")[0], b'* QUOTA "ann" (STORAGE 0 100)')
        account = self.world.result(self.world.site.accounts.account("ann"))
        self.assertEqual((account.quota, account.messages), (102_400, 0))
        self.ask(bob, b"SETQUOTA ann (MESSAGE 1)")
        self.append(self.link, MESSAGE)
        self.append(self.link, MESSAGE, b"NO [OVERQUOTA] ")
        self.ask(bob, b"SETQUOTA ann ()")
        self.append(self.link, MESSAGE)
        for wrong in (b"(MAILBOX 5)", b"(STORAGE 0)", b"(STORAGE 9223372036854775807)", b"(STORAGE 5 MESSAGE 0)"):
            self.ask(bob, b"SETQUOTA ann " + wrong, b"NO [CANNOT] ")
        self.ask(bob, b"SETQUOTA nobody (STORAGE 5)", b"NO [NONEXISTENT] ")
        self.world.result(self.world.site.accounts.change("bob", administrator=False))
        self.ask(bob, b"SETQUOTA ann (STORAGE 5)", b"NO [NOPERM] ")

    def test_full_of_messages(self) -> None:
        """APPEND, COPY and several at once are refused before anything is added; MOVE and REPLACE add none."""
        self.fill(3)
        self.ask(self.link, b"SELECT INBOX")
        self.ask(self.link, b"CREATE other")
        self.ask(self.link, b"COPY 1:2 other", b"NO [OVERQUOTA] ")
        self.ask(self.link, b"APPEND INBOX {1+}\r\nx {1+}\r\ny", b"NO [OVERQUOTA] ")
        self.append(self.link, MESSAGE)
        self.append(self.link, MESSAGE, b"NO [OVERQUOTA] ")
        self.ask(self.link, b"REPLACE 1 INBOX {1+}\r\nx")
        self.ask(self.link, b"MOVE 1:2 other")
        self.assertEqual(self.ask(self.link, b"GETQUOTA ann")[0], b'* QUOTA "ann" (STORAGE 1 9 MESSAGE 4 4)')
        self.ask(self.link, b"STORE 1 +FLAGS (\\Deleted)")
        self.ask(self.link, b"EXPUNGE")
        self.append(self.link, MESSAGE)

    def test_full_of_octets(self) -> None:
        """The literal is refused before it is sent."""
        self.append(self.link, b"x" * 9_000)
        self.link.say(b"a APPEND INBOX {1001}\r\n")
        self.assertEqual(self.link.take(), b"a NO [OVERQUOTA] quota exceeded\r\n")
        self.append(self.link, b"x" * 1_000)
        self.ask(self.link, b"SELECT INBOX")
        self.ask(self.link, b"COPY 1 INBOX", b"NO [OVERQUOTA] ")
        self.limit("ann", quota=20_000, messages=4)
        self.ask(self.link, b"COPY 1 INBOX")

    def test_what_expunge_would_free(self) -> None:
        """STATUS DELETED and DELETED-STORAGE, in octets."""
        self.fill(1, b"x" * 10)
        self.fill(1, b"y" * 100, flags=("\\Deleted",))
        self.fill(1, b"z" * 1000, flags=("\\Deleted", "\\Seen"))
        self.assertEqual(
            self.ask(self.link, b"STATUS INBOX (MESSAGES DELETED DELETED-STORAGE)")[0],
            b'* STATUS "INBOX" (MESSAGES 3 DELETED 2 DELETED-STORAGE 1100)',
        )

    def test_removed_or_disabled_accounts(self) -> None:
        """What asks for the account's limits is refused in a session that outlives it."""
        self.world.result(self.world.site.accounts.change("ann", enabled=False))
        self.ask(self.link, b"GETQUOTAROOT INBOX", b"NO ")
        self.append(self.link, MESSAGE, b"NO ")
        self.world.result(self.world.site.accounts.remove("ann"))
        self.world.add_user("ann", "pw")
        self.ask(self.link, b"GETQUOTA ann", b"NO ")

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = b'a LOGIN bob pw\r\nb SETQUOTA {3+}\r\nann (STORAGE 9 MESSAGE 4)\r\nc GETQUOTAROOT "INBOX"\r\n'
        wanted = (
            b'* QUOTA "ann" (STORAGE 0 9 MESSAGE 0 4)\r\nb OK SETQUOTA completed\r\n'
            b'* QUOTAROOT "INBOX" "bob"\r\n* QUOTA "bob" ()\r\nc OK GETQUOTAROOT completed\r\n'
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
