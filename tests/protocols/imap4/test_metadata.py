"""Annotations: GETMETADATA, SETMETADATA, what others change, LIST with METADATA."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.annotations import MAX_ENTRIES, MAX_VALUE
from launcelot.protocols.imap4.grammar.metadata import (
    MAX_ENTRY,
    Depth,
    GetMetadata,
    entry_value,
    read_get_metadata,
    read_set_metadata,
)
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader, WantsLiteral
from launcelot.testing.link import every_split
from tests.protocols.imap4.world import ImapCase


class GrammarTests(SynchronousTestCase):
    """RFC 5464 section 5."""

    def test_get(self) -> None:
        """Entries alone or in a list, in any case, each once; options before the mailbox, or behind it."""
        two = ("/shared/comment", "/private/comment")
        for raw in (
            b" (DEPTH 1 MAXSIZE 10) INBOX (/Shared/comment /private/comment /shared/COMMENT)",
            b' (maxsize 10 depth 1) INBOX ("/shared/comment" /private/comment)',
            b" INBOX (MAXSIZE 10 DEPTH 1) (/shared/comment /private/comment)",
        ):
            self.assertEqual(read_get_metadata(Reader(raw)), GetMetadata("INBOX", two, 10, Depth.CHILDREN))
        self.assertEqual(
            read_get_metadata(Reader(b' (DEPTH infinity) "" /shared')), GetMetadata("", ("/shared",), None, Depth.ALL)
        )
        self.assertEqual(read_get_metadata(Reader(b' "" /shared/a b')), GetMetadata("", ("/shared/a",)))

    def test_impossible_gets(self) -> None:
        """Entries and options that do not exist."""
        for raw in (
            *(
                b' "" ' + entry
                for entry in (b"/comment", b"/shared/", b"/shared//a", b"/shared/*", b'"/shared/%"', b"shared/a")
            ),
            *(
                b' "" ' + entry
                for entry in (b'"/shared/\xc3\xa9"', b'"/shared/\x1f"', b"/shared/" + b"x" * MAX_ENTRY, b"()", b"NIL")
            ),
            b' (DEPTH 2) "" /shared/a',
            b' (DEPTH 1 DEPTH 1) "" /shared/a',
            b' (MAXSIZE x) "" /shared/a',
            b' (WIDTH 1) "" /shared/a',
            b' () "" /shared/a',
            b' (DEPTH 1) "" (DEPTH 1) /shared/a',
            b' ""',
        ):
            self.assertRaises(Malformed, read_get_metadata, Reader(raw))

    def test_set(self) -> None:
        """Strings, NIL, and octets of any kind in literals of both kinds."""
        request = read_set_metadata(Reader(b' INBOX (/private/comment "x" /shared/vendor/a/b NIL /shared/c "")'))
        self.assertEqual(request.values, (("/private/comment", b"x"), ("/shared/vendor/a/b", None), ("/shared/c", b"")))
        reader = Reader(b" INBOX (/private/a ~{3}")
        self.assertRaises(WantsLiteral, read_set_metadata, reader.copy())
        reader.add(b"a\0b", b" /private/b {2+}")
        reader.add(b"\r\n", b")")
        self.assertEqual(read_set_metadata(reader).values, (("/private/a", b"a\0b"), ("/private/b", b"\r\n")))
        reader.end()

    def test_impossible_sets(self) -> None:
        """Too few components, an entry twice, values that are no strings."""
        for raw in (
            b' "" (/private NIL)',
            b' "" (/private/vendor "x")',
            b' "" (/shared/vendor/token "x")',
            b' "" (/private/a "x" /PRIVATE/A "y")',
            b' "" (/private/a x)',
            b' "" (/private/a)',
            b' "" (/private/a ~"x")',
            b' "" ()',
            b' "" /private/a "x"',
        ):
            self.assertRaises(Malformed, read_set_metadata, Reader(raw))

    def test_any_octet_anywhere(self) -> None:
        """It is read or refused, never a crash."""
        for read, raw in (
            (read_get_metadata, b" (DEPTH 1 MAXSIZE 5) a (/shared/a /private/b)"),
            (read_set_metadata, b' a (/shared/a "x" /private/b NIL)'),
            (read_set_metadata, b" a (/shared/a ~{3}"),
        ):
            for place in range(len(raw) + 1):
                for octet in range(256):
                    try:
                        read(Reader(raw[:place] + bytes([octet]) + raw[place:]))
                    except (Malformed, WantsLiteral):
                        pass

    def test_values_as_written(self) -> None:
        """Quoted, as a literal, and as one of the kind that may have NULs."""
        self.assertEqual(entry_value("/shared/a", b'say "x"'), b'/shared/a "say \\"x\\""')
        self.assertEqual(entry_value("/shared/a b", None), b'"/shared/a b" NIL')
        self.assertEqual(entry_value("/shared/a", b"1\r\n2"), b"/shared/a {4}\r\n1\r\n2")
        self.assertEqual(entry_value("/shared/a", b"\0"), b"/shared/a ~{1}\r\n\0")


class MetadataTests(ImapCase):
    """One session's own annotations."""

    def setUp(self) -> None:
        super().setUp()
        self.link = self.log_in()

    def test_set_and_get(self) -> None:
        """What was set is told, of what was not NIL; in any state after login and any case."""
        self.play(
            """
            S: * OK *
            C: a LOGIN ann pw
            S: a OK *
            C: b SETMETADATA INBOX (/private/comment "mine" /Shared/Comment "all")
            S: b OK SETMETADATA completed
            C: c GETMETADATA "inbox" (/shared/comment /private/comment /private/other)
            S: * METADATA "inbox" (/shared/comment "all" /private/comment "mine" /private/other NIL)
            S: c OK GETMETADATA completed
            C: d SETMETADATA INBOX (/private/comment NIL)
            S: d OK SETMETADATA completed
            C: e SELECT INBOX
            S: * FLAGS *
            S: * OK *
            S: * 0 EXISTS
            S: * 0 RECENT
            S: * OK *
            S: * OK *
            S: * OK *
            S: * OK *
            S: e OK [READ-WRITE] *
            C: f GETMETADATA INBOX /PRIVATE/comment
            S: * METADATA "INBOX" (/private/comment NIL)
            S: f OK GETMETADATA completed
            """
        )

    def test_octets_of_any_kind(self) -> None:
        """Lines, 8-bit octets and NULs come out as they went in."""
        self.link.say(b"a SETMETADATA INBOX (/private/a {6}\r\n")
        self.assertEqual(self.link.take(), b"+ OK\r\n")
        self.link.say(b"1\r\n2\r\n /private/b ~{4+}\r\n\0\xff\r\n)\r\n")
        self.assertEqual(self.link.take(), b"a OK SETMETADATA completed\r\n")
        self.link.say(b"b GETMETADATA INBOX (/private/a /private/b)\r\n")
        self.assertEqual(
            self.link.take(),
            b'* METADATA "INBOX" (/private/a {6}\r\n1\r\n2\r\n /private/b ~{4}\r\n\0\xff\r\n)\r\nb OK GETMETADATA completed\r\n',
        )
        self.ask(self.link, b"SETMETADATA INBOX (/private/a {1+}\r\n\0)", b"BAD literal has a NUL")

    def test_depth(self) -> None:
        """Itself, those below it, all below it; an entry that merely begins alike is another."""
        names = (b"a", b"a/b", b"a/b/c", b"ab", b"a/d")
        self.ask(self.link, b"SETMETADATA INBOX (%b)" % b" ".join(b'/private/%b "%b"' % (name, name) for name in names))

        def told(arguments: bytes) -> bytes:
            return self.ask(self.link, b"GETMETADATA " + arguments)[0].removeprefix(b"* METADATA ")

        self.assertEqual(told(b"(DEPTH 0) INBOX /private/a"), b'"INBOX" (/private/a "a")')
        self.assertEqual(
            told(b"(DEPTH 1) INBOX /private/a"), b'"INBOX" (/private/a "a" /private/a/b "a/b" /private/a/d "a/d")'
        )
        self.assertEqual(
            told(b"(DEPTH infinity) INBOX (/private/a/b /private/a/d)"),
            b'"INBOX" (/private/a/b "a/b" /private/a/b/c "a/b/c" /private/a/d "a/d")',
        )
        self.assertEqual(told(b"(DEPTH 1) INBOX /private"), b'"INBOX" (/private/a "a" /private/ab "ab")')
        self.assertEqual(told(b"(DEPTH 1) INBOX /shared/a"), b'"INBOX" (/shared/a NIL)')

    def test_special_use(self) -> None:
        """An annotation: told as LIST tells it, given and taken like others, checked as in CREATE.  RFC 6154 section 4."""
        entry = b"/private/specialuse"
        self.ask(self.link, b"CREATE out (USE (\\Sent))")
        self.ask(self.link, b"CREATE in")
        told = b'* METADATA "%b" (/private/specialuse %b)'
        self.assertEqual(self.ask(self.link, b"GETMETADATA out " + entry)[0], told % (b"out", b'"\\\\Sent"'))
        self.assertEqual(self.ask(self.link, b"GETMETADATA in " + entry)[0], told % (b"in", b"NIL"))
        listening = self.log_in()
        self.ask(listening, b"ENABLE METADATA")
        self.ask(self.link, b'SETMETADATA in (/private/SpecialUse "\\\\drafts" /private/comment "x")')
        self.assertEqual(self.ask(listening, b"NOOP")[0], b'* METADATA "in" /private/comment /private/specialuse')
        self.assertEqual(self.ask(self.link, b'LIST (SPECIAL-USE) "" in')[0], b'* LIST (\\Drafts) "/" "in"')
        lines = self.ask(self.link, b"GETMETADATA (DEPTH 1) in /private")
        self.assertEqual(lines[0], b'* METADATA "in" (/private/comment "x" /private/specialuse "\\\\Drafts")')
        lines = self.ask(self.link, b'LIST "" % RETURN (METADATA (/private/specialuse))')
        self.assertIn(told % (b"INBOX", b"NIL"), lines)
        self.assertIn(told % (b"out", b'"\\\\Sent"'), lines)
        for wrong in (b'"\\\\All"', b'"Drafts"', b'"\\\\Sent \\\\Drafts"', b'"\\\\Nothing"', b"{2+}\r\n\xff\xfe"):
            self.ask(self.link, b'SETMETADATA in (%b %b /private/comment "y")' % (entry, wrong), b"NO [USEATTR]")
        self.ask(self.link, b'SETMETADATA nope (%b "\\\\Sent")' % entry, b"NO [NONEXISTENT]")
        self.assertEqual(self.ask(self.link, b"GETMETADATA in /private/comment")[0][-4:], b'"x")')
        for nothing in (b"NIL", b'""'):
            self.ask(self.link, b'SETMETADATA in (%b "\\\\Junk")' % entry)
            self.ask(self.link, b"SETMETADATA in (%b %b)" % (entry, nothing))
            self.assertEqual(self.ask(self.link, b'LIST "" in')[0], b'* LIST (\\HasNoChildren) "/" "in"')
        self.ask(self.link, b'SETMETADATA "" (%b "anything")' % entry)
        self.assertEqual(self.ask(self.link, b'GETMETADATA "" ' + entry)[0], b'* METADATA "" (/private/specialuse "anything")')

    def test_mod_sequence(self) -> None:
        """Changing an annotation raises the mailbox's highest MODSEQ, told as that of flags is.  RFC 7162 section 3.2."""
        self.ask(self.link, b"ENABLE QRESYNC")
        self.ask(self.link, b"SELECT INBOX")
        before = self.world.result(self.mailbox().status()).highest_modseq
        self.ask(self.link, b'SETMETADATA INBOX (/shared/comment "a")')
        lines = self.ask(self.link, b"STATUS INBOX (HIGHESTMODSEQ)")
        self.assertEqual(lines[0], b'* STATUS "INBOX" (HIGHESTMODSEQ %d)' % (before + 1))
        self.fill(2)
        self.ask(self.link, b'SETMETADATA INBOX (/shared/comment "b")')
        lines = self.ask(self.link, b"STORE 1 +FLAGS (\\Seen)")
        self.assertEqual(lines[0], b"* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent) MODSEQ (%d))" % (before + 5))
        self.assertEqual(self.ask(self.link, b"NOOP"), [b"OK NOOP completed"])

    def test_largest_size(self) -> None:
        """Longer values are left out, and the longest of them is named."""
        self.ask(self.link, b'SETMETADATA INBOX (/private/a "1" /private/b "22" /private/c "333")')
        ask = b"(MAXSIZE %d) INBOX (/private/a /private/b /private/c /private/d)"
        self.assertEqual(
            self.ask(self.link, b"GETMETADATA " + ask % 1),
            [
                b'* METADATA "INBOX" (/private/a "1" /private/d NIL)',
                b"OK [METADATA LONGENTRIES 3] GETMETADATA completed",
            ],
        )
        self.assertEqual(self.ask(self.link, b"GETMETADATA " + ask % 3)[1], b"OK GETMETADATA completed")
        self.assertEqual(
            self.ask(self.link, b"GETMETADATA (MAXSIZE 0) INBOX /private/c"),
            [b"OK [METADATA LONGENTRIES 3] GETMETADATA completed"],
        )

    def test_limits_have_their_codes(self) -> None:
        """Too large, however it is sent; too many; nothing is set then."""
        self.ask(self.link, b"SETMETADATA INBOX (/private/a {%d+}\r\n%b)" % (MAX_VALUE, b"x" * MAX_VALUE))
        wanted = b"NO [METADATA MAXSIZE %d] " % MAX_VALUE
        self.ask(
            self.link,
            b'SETMETADATA INBOX (/private/b "1" /private/a {%d+}\r\n%b)' % (MAX_VALUE + 1, b"x" * (MAX_VALUE + 1)),
            wanted,
        )
        self.ask(self.link, b"SETMETADATA INBOX (/private/a {99999}", wanted)
        self.ask(self.link, b"SETMETADATA INBOX (/private/a ~{99999+}\r\n%b)" % (b"\0" * 99999), wanted)
        for number in range(1, MAX_ENTRIES):
            self.ask(self.link, b'SETMETADATA INBOX (/private/x%d "x")' % number)
        self.ask(self.link, b'SETMETADATA INBOX (/shared/x "x" /private/b "1")', b"NO [METADATA TOOMANY] ")
        self.assertEqual(
            self.ask(self.link, b"GETMETADATA INBOX (/private/b /shared/x)")[0],
            b'* METADATA "INBOX" (/private/b NIL /shared/x NIL)',
        )

    def test_unknown_mailboxes(self) -> None:
        """NO, and not BAD."""
        self.ask(self.link, b"GETMETADATA nowhere /private/a", b"NO [NONEXISTENT] ")
        self.ask(self.link, b'SETMETADATA nowhere (/private/a "x")', b"NO [NONEXISTENT] ")

    def test_the_server(self) -> None:
        """What the operator has set is read by all and changed by none; private entries are each account's own."""
        self.factory = self.make_factory(server_comment="Round Table", server_admin="tel:+441225")
        link = self.log_in()
        self.assertEqual(
            self.ask(link, b'GETMETADATA (DEPTH infinity) "" /shared')[0],
            b'* METADATA "" (/shared/admin "tel:+441225" /shared/comment "Round Table")',
        )
        self.ask(link, b'SETMETADATA "" (/private/a "1" /shared/comment "mine")', b"NO [NOPERM] ")
        self.ask(link, b'SETMETADATA "" (/private/a "2")')
        self.assertEqual(self.ask(self.log_in(), b'GETMETADATA "" /private/a')[0], b'* METADATA "" (/private/a "2")')
        self.world.add_user("bob", "pw")
        bob = self.connect()
        self.ask(bob, b"LOGIN bob pw")
        self.assertEqual(self.ask(bob, b'GETMETADATA "" /private/a')[0], b'* METADATA "" (/private/a NIL)')
        self.assertEqual(
            self.ask(self.link, b'GETMETADATA "" (/shared/admin /shared/comment)')[0],
            b'* METADATA "" (/shared/admin "mailto:postmaster@test" /shared/comment NIL)',
        )

    def test_rename_and_delete(self) -> None:
        """Annotations follow their mailbox and go with it."""
        for command in (b"CREATE a", b'SETMETADATA a (/shared/comment "x")', b"RENAME a b"):
            self.ask(self.link, command)
        self.assertEqual(
            self.ask(self.link, b"GETMETADATA b /shared/comment")[0], b'* METADATA "b" (/shared/comment "x")'
        )
        for command in (b"DELETE b", b"CREATE b"):
            self.ask(self.link, command)
        self.assertEqual(
            self.ask(self.link, b"GETMETADATA b /shared/comment")[0], b'* METADATA "b" (/shared/comment NIL)'
        )

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = (
            b"a LOGIN ann pw\r\nb SETMETADATA {5+}\r\nINBOX (/private/a ~{3+}\r\na\0b)\r\n"
            b"c GETMETADATA (DEPTH 1) INBOX /private\r\n"
        )
        wanted = b'b OK SETMETADATA completed\r\n* METADATA "INBOX" (/private/a ~{3}\r\na\0b)\r\nc OK GETMETADATA completed\r\n'
        for first, second in every_split(said):
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertTrue(link.take().endswith(wanted))
            link.close()
        link = self.connect()
        link.say(said, chunk=1)
        self.assertTrue(link.take().endswith(wanted))


class NewsTests(ImapCase):
    """What others change."""

    def setUp(self) -> None:
        super().setUp()
        self.link = self.log_in()
        self.other = self.log_in()

    def test_nothing_unasked(self) -> None:
        """Without ENABLE nobody is told; ENABLE METADATA enables nothing else."""
        self.ask(self.other, b'SETMETADATA INBOX (/shared/comment "x")')
        self.assertEqual(self.ask(self.link, b"NOOP"), [b"OK NOOP completed"])
        self.assertEqual(self.ask(self.link, b"ENABLE METADATA")[0], b"* ENABLED METADATA")
        self.assertEqual(self.ask(self.link, b"NOOP"), [b"OK NOOP completed"])
        self.fill()
        self.ask(self.link, b"SELECT INBOX")
        self.assertEqual(self.ask(self.link, b"STORE 1 +FLAGS (\\Seen)")[0], b"* 1 FETCH (FLAGS (\\Seen \\Recent))")

    def test_what_others_change_is_told_by_name(self) -> None:
        """Never with values, once, and not what the session did itself."""
        self.ask(self.link, b"ENABLE METADATA METADATA")
        self.ask(self.link, b'SETMETADATA INBOX (/shared/mine "x")')
        self.ask(self.other, b'SETMETADATA INBOX (/shared/comment "x" /private/comment "y")')
        self.ask(self.other, b'SETMETADATA "" (/private/comment "x")')
        self.ask(self.other, b"SETMETADATA INBOX (/shared/comment NIL)")
        self.assertEqual(
            self.ask(self.link, b"NOOP"),
            [
                b'* METADATA "INBOX" /private/comment /shared/comment',
                b'* METADATA "" /private/comment',
                b"OK NOOP completed",
            ],
        )
        self.assertEqual(self.ask(self.link, b"NOOP"), [b"OK NOOP completed"])
        self.assertEqual(self.ask(self.other, b"NOOP"), [b"OK NOOP completed"])

    def test_idle_tells_at_once(self) -> None:
        """Also when no mailbox is selected; a closed session listens no longer."""
        self.ask(self.link, b"ENABLE METADATA")
        self.link.say(b"i IDLE\r\n")
        self.assertEqual(self.link.take(), b"+ idling\r\n")
        self.ask(self.other, b'SETMETADATA INBOX (/shared/comment "x")')
        self.assertEqual(self.link.take(), b'* METADATA "INBOX" /shared/comment\r\n')
        self.link.say(b"DONE\r\n")
        self.assertEqual(self.link.take(), b"i OK IDLE completed\r\n")
        self.ask(self.link, b"LOGOUT")
        self.ask(self.other, b'SETMETADATA INBOX (/shared/comment "y")')
        self.assertEqual(self.flushLoggedErrors(), [])


class ListTests(ImapCase):
    """LIST with METADATA.  RFC 9590."""

    def test_listed_with_their_annotations(self) -> None:
        """One response behind each mailbox that exists and was chosen; none for names that only hold others."""
        link = self.log_in()
        for command in (b"CREATE a/b", b"DELETE a", b'SETMETADATA a/b (/shared/comment "x")', b"SUBSCRIBE a/b"):
            self.ask(link, command)
        self.assertEqual(
            self.ask(link, b'LIST "" * RETURN (METADATA (/Shared/comment /private/a) STATUS (MESSAGES))'),
            [
                b'* LIST () "/" "INBOX"',
                b'* STATUS "INBOX" (MESSAGES 0)',
                b'* METADATA "INBOX" (/shared/comment NIL /private/a NIL)',
                b'* LIST (\\NonExistent \\HasChildren) "/" "a"',
                b'* LIST () "/" "a/b"',
                b'* STATUS "a/b" (MESSAGES 0)',
                b'* METADATA "a/b" (/shared/comment "x" /private/a NIL)',
                b"OK LIST completed",
            ],
        )
        self.assertEqual(
            self.ask(link, b'LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (METADATA (/shared/comment))'),
            [b'* LIST (\\NonExistent \\HasChildren) "/" "a" ("CHILDINFO" ("SUBSCRIBED"))', b"OK LIST completed"],
        )
        for wrong in (b"METADATA", b"METADATA ()", b"METADATA (/x)"):
            self.ask(link, b'LIST "" * RETURN (%b)' % wrong, b"BAD ")
