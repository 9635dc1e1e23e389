"""The grammar alone: reading commands, names, sets, sections, keys; writing strings."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.query import All, And, Contains, Field, Flagged, Header, Not, Or, Query, Size, Uids
from launcelot.protocols.imap4.grammar import appending, listing, mailboxnames, requests, responses, sets, sort
from launcelot.protocols.imap4.grammar.fetch import Attribute, Section, read_items
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader, WantsLiteral, announced
from launcelot.protocols.imap4.grammar.search import resolve
from launcelot.protocols.imap4.grammar.sets import STAR
from tests.bounded import PIECES, linear


def reader(*pieces: bytes) -> Reader:
    """A reader over lines and literals in turn."""
    made = Reader(pieces[0])
    for literal, line in zip(pieces[1::2], pieces[2::2], strict=True):
        made.add(literal, line)
    return made


class WordTests(SynchronousTestCase):
    """Atoms, strings and literals."""

    def test_quoted_string_with_escapes(self) -> None:
        """A backslash quotes a quote or a backslash, and nothing else."""
        self.assertEqual(reader(b'"a\\"b\\\\c"').string(), b'a"b\\c')
        self.assertRaises(Malformed, reader(b'"a\\bc"').string)

    def test_strings_that_do_not_end(self) -> None:
        """An open quote, a NUL and a bare CR are refused."""
        for raw in (b'"abc', b'"a\0b"', b'"a\rb"', b'"a\\"', b'"'):
            self.assertRaises(Malformed, reader(raw).string)

    def test_literal_and_what_follows(self) -> None:
        """A literal is one token, whatever it holds; reading goes on behind it."""
        one = reader(b"{6}", b'a"b)\r\n', b" next")
        self.assertEqual(one.astring(), b'a"b)\r\n')
        one.space()
        self.assertEqual(one.atom(), b"next")
        one.end()

    def test_literal_with_nul(self) -> None:
        """CHAR8 has no NUL."""
        self.assertRaises(Malformed, reader(b"{1}", b"\0", b"").string)

    def test_literal_that_was_not_read(self) -> None:
        """The reader says that it wants it, so that who reads the connection can."""
        self.assertRaises(WantsLiteral, reader(b"{5}").astring)

    def test_a_literal_in_the_wrong_place(self) -> None:
        """Literals nobody asked for are too many arguments."""
        one = reader(b"NOOP {3}", b"abc", b"")
        self.assertEqual(one.word(), b"NOOP")
        self.assertRaises(Malformed, one.end)

    def test_announcements(self) -> None:
        """Only a number in braces at the end of the line announces a literal."""
        for line, size, waits in (
            (b"a {5}", 5, True),
            (b"a {5+}", 5, False),
            (b"{0}", 0, True),
            (b"a {4294967295+}", 2**32 - 1, False),
        ):
            found = announced(line)
            assert found is not None
            self.assertEqual((found.size, found.waits), (size, waits))
        for line in (b"a {-5}", b"a {5", b"a {5} ", b"a {5++}", b"a {}", b"a 5}", b"a {5-}", b""):
            self.assertIsNone(announced(line))

    def test_huge_announcements(self) -> None:
        """Numbers of any length are read in constant time and stay huge."""
        found = announced(b"a {" + b"9" * 60_000 + b"}")
        assert found is not None
        self.assertGreater(found.size, 2**63)

    def test_numbers(self) -> None:
        """Numbers have 32 bits."""
        self.assertEqual(reader(b"4294967295").number(), 4294967295)
        for raw in (b"4294967296", b"99999999999999999999999", b"-1", b"x"):
            self.assertRaises(Malformed, reader(raw).number)

    def test_flags(self) -> None:
        """System flags have one spelling; \\Recent and unknown ones cannot be set; keywords stay as written."""
        self.assertEqual(reader(b"(\\seen Foo $MDNSent)").flag_list(), ("\\Seen", "Foo", "$MDNSent"))
        self.assertEqual(reader(b"()").flag_list(), ())
        for raw in (b"(\\Recent)", b"(\\Foo)", b"(\\)", b"(a b", b"(a  b)", b"( a)", b"a", b"(\xc3\xa9)"):
            self.assertRaises(Malformed, reader(raw).flag_list)


class SetTests(SynchronousTestCase):
    """Sequence sets."""

    def test_ranges_as_written(self) -> None:
        """Numbers, ranges and stars."""
        self.assertEqual(sets.parse_set(b"1"), ((1, 1),))
        self.assertEqual(sets.parse_set(b"4294967295"), ((4294967295, 4294967295),))
        self.assertEqual(sets.parse_set(b"1,3:5,7:*,*,*:2"), ((1, 1), (3, 5), (7, STAR), (STAR, STAR), (STAR, 2)))

    def test_malformed_sets(self) -> None:
        """Zero, signs, letters, missing numbers and 33 bits are refused."""
        for raw in (
            b"",
            b"0",
            b"01",
            b"-1",
            b"1,,2",
            b"1:",
            b":1",
            b"1:2:3",
            b"a",
            b"1;2",
            b"4294967296",
            b"1:4294967296",
            b"**",
        ):
            self.assertRaises(Malformed, sets.parse_set, raw)

    def test_resolved_ranges(self) -> None:
        """Ranges come out ascending, merged, with the star as the largest number, and turned round where needed."""
        self.assertEqual(sets.resolve(sets.parse_set(b"5:3,4:8,10,9,*"), 20), [(3, 10), (20, 20)])
        self.assertEqual(sets.resolve(sets.parse_set(b"9:*"), 4), [(4, 9)])
        self.assertEqual(sets.resolve(sets.parse_set(b"*"), 0), [])
        self.assertEqual(sets.resolve([], 5), [])

    @given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=12), st.integers(1, 60))
    def test_resolving_keeps_the_numbers(self, ranges: list[tuple[int, int]], largest: int) -> None:
        """The numbers are those of all ranges together, whatever their order."""
        wanted = {number for low, high in ranges for number in range(min(low, high), max(low, high) + 1)}
        found = sets.resolve(ranges, largest)
        self.assertEqual([number for low, high in found for number in range(low, high + 1)], sorted(wanted))
        self.assertTrue(all(high + 1 < low for (_, high), (low, _) in zip(found, found[1:], strict=False)))

    @given(st.lists(st.integers(1, 50), max_size=20, unique=True))
    def test_formatting_is_parsed_back(self, numbers: list[int]) -> None:
        """What is written means the same numbers, in ascending order."""
        numbers.sort()
        text = sets.format_set(numbers)
        found = sets.resolve(sets.parse_set(text), 0) if numbers else []
        self.assertEqual([number for low, high in found for number in range(low, high + 1)], numbers)

    @given(st.integers(0, 12), st.integers(1, 15), st.integers(1, 15), st.booleans())
    def test_pieces_of_a_list(self, length: int, first: int, last: int, from_end: bool) -> None:
        """A piece holds the places between its ends, whichever side they are counted from."""
        sign = -1 if from_end else 1
        numbers = list(range(100, 100 + length))
        places = range(min(first, last), max(first, last) + 1)
        wanted = sorted(numbers[-place if from_end else place - 1] for place in places if place <= length)
        self.assertEqual(list(sets.Partial(sign * first, sign * last).of(numbers)), wanted)

    def test_many_overlapping_ranges(self) -> None:
        """Sets are linear in the ranges, however much they overlap."""
        text = b",".join(b"%d:4294967295" % (2 * PIECES - number) for number in range(PIECES))
        with linear():
            self.assertEqual(sets.resolve(sets.parse_set(text), 10), [(PIECES + 1, 4294967295)])


class MailboxNameTests(SynchronousTestCase):
    """Modified UTF-7."""

    def test_examples_of_the_standard(self) -> None:
        """RFC 3501 section 5.1.3."""
        self.assertEqual(
            mailboxnames.decode(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"), "~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e"
        )
        self.assertEqual(
            mailboxnames.encode("~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e"), b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"
        )
        self.assertEqual(mailboxnames.decode(b"a&-b"), "a&b")

    def test_names_that_hide_what_they_are(self) -> None:
        """Shifted ASCII, open shifts, wrong padding, surrogates alone, base64's slash and what is no UTF-8 are refused."""
        for raw in (
            b"&AC8-", b"&AC4ALg-", b"&AGE-", b"&", b"a&", b"&U,BTFw", b"&U-", b"&U,BTF-", b"&2AA-", b"&U/BTFw-",
            b"&U,BTFw-&ZeVnLIqe-", b"&ACYt-", b"\xe9", b"&A-", b"&AA-", b"&AAA-", b"&AOQ=-", b"a\x00b", b"a\rb",
        ):  # fmt: skip
            self.assertRaises(Malformed, mailboxnames.decode, raw)

    def test_a_very_long_name(self) -> None:
        """Names have a limit before they are decoded."""
        self.assertRaises(Malformed, mailboxnames.decode, b"a" * 1_000_000)

    @given(st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), max_size=40))
    def test_every_name_comes_back(self, name: str) -> None:
        """Encoding and decoding are each other's inverse, and the wire form is printable ASCII."""
        raw = mailboxnames.encode(name)
        self.assertTrue(raw.decode("ascii").isprintable())
        self.assertEqual(mailboxnames.decode(raw), name)

    @given(st.binary(max_size=12))
    def test_one_spelling_only(self, raw: bytes) -> None:
        """Whatever is accepted is what encoding writes, or UTF-8 that could be nothing else."""
        try:
            name = mailboxnames.decode(raw)
        except Malformed:
            return
        self.assertIn(raw, (mailboxnames.encode(name), name.encode("utf-8")))


class FetchItemTests(SynchronousTestCase):
    """What FETCH can ask for."""

    def one(self, raw: bytes) -> Section:
        (item,) = read_items(reader(raw))
        assert isinstance(item, Section)
        return item

    def test_macros(self) -> None:
        """ALL, FAST and FULL stand alone."""
        self.assertEqual(read_items(reader(b"fast")), (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE))
        self.assertEqual(read_items(reader(b"FULL"))[-2:], (Attribute.ENVELOPE, Attribute.BODY))
        self.assertRaises(Malformed, read_items, reader(b"(FAST)"))

    def test_each_item_once(self) -> None:
        """The same item twice is sent once."""
        self.assertEqual(read_items(reader(b"(UID UID FLAGS UID)")), (Attribute.UID, Attribute.FLAGS))

    def test_items_that_were_read_before(self) -> None:
        """The same words mean the same again, whatever stands around them, and what was refused is refused again."""
        for _ in range(2):
            for rest in (b"", b" (CHANGEDSINCE 5)"):
                one = reader(b"FLAGS" + rest)
                self.assertEqual((read_items(one), one.rest), ((Attribute.FLAGS,), rest))
                one = reader(b"x (UID BODY[])" + rest)
                one.position = 2
                self.assertEqual((read_items(one), one.rest), ((Attribute.UID, Section(b"BODY[]")), rest))
                self.assertRaises(Malformed, read_items, reader(b"(UID BODY[}" + rest))
            one = reader(b"BODY[HEADER.FIELDS ({2}", b"to", b")]")
            self.assertEqual(read_items(one), (Section(b"BODY[HEADER.FIELDS (to)]", (), "HEADER", (b"to",)),))
            self.assertRaises(WantsLiteral, read_items, reader(b"BODY[HEADER.FIELDS ({2}"))

    def test_sections(self) -> None:
        """Numbers, words, field names and partials, with the label that answers them."""
        self.assertEqual(self.one(b"BODY[]"), Section(b"BODY[]"))
        self.assertEqual(self.one(b"body.peek[1.2.mime]"), Section(b"BODY[1.2.MIME]", (1, 2), "MIME", peek=True))
        self.assertEqual(self.one(b"BODY[TEXT]<0.5>"), Section(b"BODY[TEXT]<0>", (), "TEXT", offset=0, length=5))
        fields = self.one(b'BODY.PEEK[4.HEADER.FIELDS.NOT (to "x-y")]')
        self.assertEqual(fields.label, b"BODY[4.HEADER.FIELDS.NOT (to x-y)]")
        self.assertEqual((fields.numbers, fields.fields, fields.exclude), ((4,), (b"to", b"x-y"), True))
        self.assertTrue(self.one(b"RFC822.HEADER").peek)
        self.assertFalse(self.one(b"RFC822.TEXT").peek)

    def test_malformed_items(self) -> None:
        """What no rule allows is refused."""
        for raw in (
            b"", b"FOO", b"BODY[", b"BODY[MIME]", b"BODY[0]", b"BODY[1.]", b"BODY[1TEXT]", b"BODY[TEXT.1]", b"BODY[]<0>",
            b"BODY[]<0.0>", b"BODY[]<-1.5>", b"BODY[]<1.2", b"BODY[HEADER.FIELDS]", b"BODY[HEADER.FIELDS ()]",
            b"BODY[HEADER.FIELDS (a:b)]", b"()", b"(UID", b"(UID  FLAGS)", b"BODY[HEADER.FIELDS (\"a\\\"b c\")]",
            b"BODY[" + b"1." * 200 + b"1]", b"(" + b" ".join(b"BODY[%d]" % n for n in range(1, 300)) + b")",
            b"BODY[]<9223372036854775808.1>",
        ):  # fmt: skip
            self.assertRaises(Malformed, read_items, reader(raw))


class FakeView:
    """A mailbox with UIDs 10, 20 and 30."""

    def uid_ranges_of_numbers(self, ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return tuple((10 * low, 10 * high) for low, high in sets.resolve(ranges, 3))

    def uid_ranges(self, ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return tuple(sets.resolve(ranges, 30))

    def recent_ranges(self) -> tuple[tuple[int, int], ...]:
        return ((30, 30),)

    def saved_ranges(self) -> tuple[tuple[int, int], ...]:
        return ((10, 20),)


class SearchKeyTests(SynchronousTestCase):
    """Keys become the store's queries."""

    def query(self, *pieces: bytes) -> Query:
        one = reader(*pieces)
        request = requests.read_search(one)
        one.end()
        assert request.key is not None
        return resolve(request.key, FakeView(), datetime(2026, 1, 1, tzinfo=UTC))

    def test_simple_keys(self) -> None:
        """Flags, sizes, strings and sets."""
        self.assertEqual(self.query(b" ALL"), All())
        self.assertEqual(self.query(b" unseen"), Not(Flagged("\\Seen")))
        self.assertEqual(self.query(b" KEYWORD Foo"), Flagged("Foo"))
        self.assertEqual(self.query(b" UNKEYWORD Foo"), Not(Flagged("Foo")))
        self.assertEqual(self.query(b" 1:2,*"), Uids(((10, 30),)))
        self.assertEqual(self.query(b" UID 5:*"), Uids(((5, 30),)))
        self.assertEqual(self.query(b" NEW"), And((Uids(((30, 30),)), Not(Flagged("\\Seen")))))
        self.assertIsInstance(self.query(b" LARGER 10"), Size)
        self.assertEqual(self.query(b' HEADER x-y ""'), Header("x-y", ""))

    def test_compounds(self) -> None:
        """Keys side by side must all match; OR and NOT bind what follows; parentheses group."""
        seen, subject = Flagged("\\Seen"), Contains(Field.SUBJECT, "a b")
        self.assertEqual(self.query(b' SEEN SUBJECT "a b"'), And((seen, subject)))
        self.assertEqual(self.query(b' OR SEEN NOT SUBJECT "a b"'), Or((seen, Not(subject))))
        self.assertEqual(self.query(b' NOT (SEEN SUBJECT "a b")'), Not(And((seen, subject))))

    def test_literals_and_charset(self) -> None:
        """A string may be a literal in UTF-8; US-ASCII means it."""
        self.assertEqual(
            self.query(b" CHARSET UTF-8 SUBJECT {2}", b"\xc3\xa9", b" SEEN"),
            And((Contains(Field.SUBJECT, "\u00e9"), Flagged("\\Seen"))),
        )
        self.assertRaises(Malformed, self.query, b" CHARSET US-ASCII SUBJECT {2}", b"\xc3\xa9", b"")
        self.assertRaises(Malformed, self.query, b" CHARSET UTF-8 SUBJECT {1}", b"\xe9", b"")

    def test_unknown_charset(self) -> None:
        """The request says so instead of guessing, even with literals behind it."""
        one = reader(b" CHARSET x-foo TEXT {1}", b"a", b"")
        self.assertIsNone(requests.read_search(one).key)
        one.end()

    def test_nesting_is_capped(self) -> None:
        """Parentheses, NOT and OR inside each other have one limit; below it they work."""
        self.assertEqual(self.query(b" " + b"(" * 50 + b"ALL" + b")" * 50), All())
        for raw in (b"(" * 8000 + b"ALL", b"NOT " * 8000 + b"ALL", b"OR " * 500 + b"ALL " * 501):
            self.assertRaises(Malformed, self.query, b" " + raw)

    def test_too_many_keys(self) -> None:
        """The number of keys is bounded."""
        self.assertRaises(Malformed, self.query, b" " + b"SEEN " * 2000 + b"SEEN")

    def test_malformed_keys(self) -> None:
        """What no rule allows is refused."""
        for raw in (
            b"",
            b" ",
            b" FOO",
            b" SUBJECT",
            b" LARGER x",
            b" SINCE 99-Feb-2020",
            b" OR SEEN",
            b" NOT",
            b" (SEEN",
            b" ()",
            b" SEEN)",
            b" RETURN (FOO) ALL",
        ):
            self.assertRaises(Malformed, self.query, raw)


class ArgumentTests(SynchronousTestCase):
    """The rest of the commands."""

    def test_append_up_to_its_literal(self) -> None:
        """Flags and date are optional; the message's literal is announced and not read."""
        request = appending.read_append(reader(b' foo (\\Seen a) "17-Jul-1996 02:44:25 -0700" {310+}'))
        literal = request.message.literal
        assert literal is not None
        self.assertEqual(
            (request.mailbox, request.message.flags, literal.size, literal.waits), ("foo", ("\\Seen", "a"), 310, False)
        )
        assert request.message.internal_date is not None
        self.assertEqual(request.message.internal_date.isoformat(), "1996-07-17T02:44:25-07:00")
        self.assertEqual(appending.read_append(reader(b" {3}", b"foo", b" {5}")).mailbox, "foo")

    def test_append_that_is_malformed(self) -> None:
        """A date that is none, a word nobody knows, a quoted message."""
        for raw in (
            b' foo "x" {5}',
            b" foo ~5}",
            b" foo NOTUTF8 (~{5}",
            b" foo UTF8 ({5}",
            b" foo CATENATE TEXT {5}",
            b' foo "abc"',
            b" foo",
            b" foo (a {5}",
            b" foo x{5}",
            b" foo {5}{6}",
        ):
            self.assertRaises(Malformed, appending.read_append, reader(raw))

    def test_id(self) -> None:
        """NIL or up to 30 pairs of bounded length, none twice."""
        self.assertIsNone(requests.read_id(reader(b" NIL")).pairs)
        self.assertEqual(requests.read_id(reader(b' ("Name" "x" "os" NIL)')).pairs, ((b"name", b"x"), (b"os", None)))
        many = b" ".join(b'"k%d" NIL' % number for number in range(31))
        for raw in (b" (" + many + b")", b' ("a" NIL "A" NIL)', b' ("a")', b' ("a" "' + b"x" * 2000 + b'")', b" foo"):
            self.assertRaises(Malformed, requests.read_id, reader(raw))

    def test_every_octet_of_commands_changed(self) -> None:
        """Any octet put anywhere into a command is read or refused, never a crash."""
        commands = (
            (requests.read_fetch, b" 1:2 (FLAGS BODY.PEEK[HEADER.FIELDS (A)]<0.5>)"),
            (requests.read_store, b" 1 +FLAGS.SILENT (\\Seen)"),
            (requests.read_search, b' RETURN (MIN) CHARSET UTF-8 OR (1:2 SINCE 1-Feb-1994) NOT FROM "a"'),
            (appending.read_append, b' "a" (\\Seen) "17-Jul-1996 02:44:25 -0700" {5}'),
            (requests.read_status, b" a (MESSAGES SIZE)"),
            (listing.read_list, b' "" "%/*"'),
            (listing.read_list, b' (SUBSCRIBED REMOTE) "" (a b) RETURN (CHILDREN STATUS (SIZE))'),
            (requests.read_created, b" a (USE (\\Sent))"),
            (requests.read_enable, b" A B"),
            (appending.read_replace, b" 4 a (\\Seen) {5}"),
            (requests.read_search, b" RETURN (PARTIAL -1:-5 COUNT) ALL"),
            (requests.read_uid_fetch, b" 1:* FLAGS (PARTIAL 1:5 CHANGEDSINCE 3)"),
            (sort.read_sort, b" RETURN (MIN) (REVERSE DATE SIZE) UTF-8 ALL"),
            (sort.read_thread, b" REFERENCES UTF-8 ALL"),
            (requests.read_select, b" a (CONDSTORE QRESYNC (1 2 3:4 (5 6)))"),
            (requests.read_uid_fetch, b" 1 FLAGS (CHANGEDSINCE 5 VANISHED)"),
            (requests.read_store, b" 1 (UNCHANGEDSINCE 5) FLAGS a"),
            (requests.read_search, b' MODSEQ "/flags/x" all 5'),
            (requests.read_search, b" RETURN (SAVE) YOUNGER 5 NOT $ EMAILID x SAVEDON 1-Feb-1994"),
        )
        for read, raw in commands:
            for place in range(len(raw) + 1):
                for octet in range(256):
                    try:
                        read(reader(raw[:place] + bytes([octet]) + raw[place:]))
                    except (Malformed, WantsLiteral):
                        pass


class WritingTests(SynchronousTestCase):
    """Every string that goes out."""

    @given(st.binary(max_size=60))
    def test_any_string_is_read_back(self, data: bytes) -> None:
        """A reader finds the same octets, and quoted strings hold no line end."""
        for written in (responses.string(data), responses.astring(data)):
            if written.startswith(b"{"):
                head, _, body = written.partition(b"\r\n")
                self.assertEqual((head, body), (b"{%d}" % len(data), data))
            else:
                self.assertNotIn(b"\r", written)
                self.assertNotIn(b"\n", written)
                self.assertEqual(Reader(written).astring(), data)

    def test_flags_that_are_no_atoms(self) -> None:
        """A keyword that could break the line is left out."""
        self.assertEqual(
            responses.flag_list(["\\Seen", "ok", "a b", "a\r\nb", "x)", "\\Evil", "\u00e9", ""]), b"(\\Seen ok)"
        )

    def test_text_for_people(self) -> None:
        """It is one line of ASCII and never begins like a response code."""
        self.assertEqual(responses.text("[x] a\r\n* BYE \u00e9\0"), b"x] a??* BYE ??")
        self.assertEqual(responses.text(""), b"-")
