"""FTP's grammar: commands, arguments, replies, listings, wildcards and TYPE A."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.filestore.interface import Entry
from launcelot.protocols.ftp import grammar
from launcelot.protocols.ftp.ascii import FromWire, ToWire
from launcelot.protocols.ftp.grammar import Malformed, Request
from launcelot.protocols.ftp.listing import (
    ALL_FACTS,
    Pattern,
    choose_facts,
    facts,
    facts_line,
    list_line,
    name_line,
    parse_facts_line,
)

PARSERS: list[Callable[[bytes], Any]] = [
    grammar.parse_request,
    grammar.nothing,
    grammar.text,
    grammar.optional_text,
    grammar.listed_path,
    grammar.number,
    grammar.allocation,
    grammar.representation,
    grammar.port,
    grammar.extended_port,
    grammar.extended_passive,
    grammar.parse_time,
    grammar.time_and_path,
    grammar.site_utime,
    grammar.site_chmod,
    grammar.parse_reply_line,
    grammar.parse_passive,
    grammar.parse_extended_passive,
    grammar.parse_size,
    grammar.parse_quoted,
    parse_facts_line,
]

FILE = Entry("f", False, 12, 1_700_000_000.0, 0o644, "1g2")
FOLDER = Entry("d", True, 0, 0.0, 0o755, "1g3")


class CommandTests(SynchronousTestCase):
    """Octets become commands, or Malformed, and nothing else."""

    def test_commands(self) -> None:
        """Verbs are taken in any case; one space ends them; Telnet sequences before them are dropped."""
        table = [
            (b"noop", Request("NOOP")),
            (b"RETR  a b ", Request("RETR", b" a b ")),
            (b"RETR ", Request("RETR")),
            (b"\xff\xf4\xff\xf2ABOR", Request("ABOR")),
            (b"\xff\xf4\xffABOR", Request("ABOR")),
            (b"\xf2ABOR", Request("ABOR")),
            (b"STOR \xff\xfe", Request("STOR", b"\xff\xfe")),
        ]
        for line, request in table:
            self.assertEqual(grammar.parse_request(line), request)

    def test_what_is_no_command(self) -> None:
        """No verb, strange verbs, NUL and bare CR are errors."""
        for line in (b"", b" ", b"1234", b"RETR\ta", b"A" * 17, b"RETR a\0", b"RETR a\rb", b"\x16\x03\x01", b"GET/"):
            self.assertRaises(Malformed, grammar.parse_request, line)

    @given(st.binary(max_size=80))
    def test_parsers_raise_nothing_else(self, octets: bytes) -> None:
        """Whatever octets come, a parser returns or raises Malformed."""
        for parser in PARSERS:
            try:
                parser(octets)
            except Malformed:
                continue

    @given(st.sampled_from(["RETR", "STOR"]), st.binary(max_size=50))
    def test_requests_round_trip(self, verb: str, argument: bytes) -> None:
        """What the client writes the server reads, or it is not written at all."""
        try:
            line = grammar.write_request(verb, argument)
        except Malformed:
            self.assertTrue(set(argument) & {0, 10, 13})
            return
        self.assertEqual(grammar.parse_request(line[:-2]), Request(verb, argument))

    def test_addresses(self) -> None:
        """PORT and EPRT are read strictly."""
        self.assertEqual(grammar.port(b"127,0,0,1,4,1"), ("127.0.0.1", 1025))
        self.assertEqual(grammar.extended_port(b"|1|127.0.0.1|1025|"), ("127.0.0.1", 1025))
        self.assertEqual(grammar.extended_port(b"!2!::1!65535!"), ("::1", 65_535))
        for bad in (b"", b"1,2,3,4,5", b"1,2,3,4,5,x", b"1,2,3,4,5,256", b"1,2,3,4,5,6,7", b" 1,2,3,4,5,6", b"-1,2,3,4,5,6"):
            self.assertRaises(Malformed, grammar.port, bad)
        for bad in (b"", b"|", b"|1|::1|1|", b"|2|1.2.3.4|1|", b"|1|1.2.3.4|65536|", b"|1|1.2.3.4|1", b"|2|fe80::1%lo|1|"):
            self.assertRaises(Malformed, grammar.extended_port, bad)
        with self.assertRaises(Malformed) as caught:
            grammar.extended_port(b"|3|x|1|")
        self.assertEqual(caught.exception.code, 522)

    def test_offsets(self) -> None:
        """REST takes what a file can have, and nothing else.  F07."""
        self.assertEqual(grammar.number(b"9223372036854775807"), (1 << 63) - 1)
        for bad in (b"", b"-1", b"+1", b"1e3", b"9223372036854775808", b"9" * 40, b"0x5", b" 1"):
            self.assertRaises(Malformed, grammar.number, bad)

    def test_times(self) -> None:
        """Times are UTC, may have a fraction, and must exist."""
        self.assertEqual(grammar.parse_time(b"19700102000000"), 86_400.0)
        self.assertEqual(grammar.parse_time(b"19700101000001.25"), 1.25)
        self.assertEqual(grammar.write_time(grammar.parse_time(b"20240229235959")), "20240229235959")
        for bad in (b"", b"2024", b"20230229000000", b"20240230000000", b"20241301000000", b"00000101000000", b"20240101240000"):
            self.assertRaises(Malformed, grammar.parse_time, bad)

    def test_site_arguments(self) -> None:
        """Both forms of UTIME are read; special bits of CHMOD are refused with 504.  F09."""
        self.assertEqual(grammar.site_utime(b"197001020000 a b"), (86_400.0, "a b"))
        form = b"a b 20240101000000 19700102000000 20240101000000 UTC"
        self.assertEqual(grammar.site_utime(form), (86_400.0, "a b"))
        self.assertEqual(grammar.site_chmod(b"644 a b"), (0o644, "a b"))
        with self.assertRaises(Malformed) as caught:
            grammar.site_chmod(b"6777 f")
        self.assertEqual(caught.exception.code, 504)
        for bad in (b"", b"644", b"x f", b"888 f"):
            self.assertRaises(Malformed, grammar.site_chmod, bad)

    def test_options_of_ls_are_dropped(self) -> None:
        """``LIST -la dir`` lists dir."""
        table = [(b"-la", ""), (b"-l -a d", "d"), (b"d", "d"), (b"-a  a b", "a b"), (b"", "")]
        for argument, path in table:
            self.assertEqual(grammar.listed_path(argument), path)


class ReplyTests(SynchronousTestCase):
    """Replies are one line or many, and no text breaks them."""

    def test_text_cannot_end_a_reply(self) -> None:
        """Control characters from names never reach the wire as such.  F10."""
        self.assertEqual(grammar.reply(550, "a\r\n226 ok\x1b"), b"550 a??226 ok?\r\n")
        many = grammar.reply_lines(211, "first\n", [b"in\r\n211 x"], "last")
        self.assertEqual(many, b"211-first?\r\n in??211 x\r\n211 last\r\n")

    def test_quotes_are_doubled_and_read_back(self) -> None:
        """A path with quotes survives 257."""
        for path in ("/", '/a "b"', '/"', "/caf\u00e9"):
            words = grammar.quoted(path).encode() + b" is it"
            self.assertEqual(grammar.parse_quoted(words), path)

    def test_answers_of_passive_verbs_are_read(self) -> None:
        """The client finds the address in any wording, and the port only where it must stand."""
        self.assertEqual(grammar.parse_passive(b"Entering 127,0,0,1,4,1 now"), ("127.0.0.1", 1025))
        self.assertEqual(grammar.parse_extended_passive(b"x (|||1025|)"), 1025)
        for bad in (b"", b"(|||0|)", b"(|||65536|)", b"(||1025|)", b"|||1025|"):
            self.assertRaises(Malformed, grammar.parse_extended_passive, bad)
        self.assertEqual(grammar.parse_passive(grammar.passive_reply("10.0.0.1", 40_000)[4:]), ("10.0.0.1", 40_000))

    def test_size_in_a_150(self) -> None:
        """The size is found where it is said."""
        self.assertEqual(grammar.parse_size(b"Opening data for f (12 bytes)."), 12)
        self.assertIs(grammar.parse_size(b"Opening."), None)


class ListingTests(SynchronousTestCase):
    """Entries as lines."""

    def test_ls_line(self) -> None:
        """A recent file shows the time of day, an old or future one its year; names keep their octets."""
        now = 1_700_000_100.0
        self.assertEqual(
            list_line(FILE, now), b"-rw-r--r--   1 ftp      ftp                12 Nov 14 22:13 f\r\n"
        )
        self.assertEqual(list_line(FOLDER, now), b"drwxr-xr-x   1 ftp      ftp                 0 Jan  1  1970 d\r\n")
        future = Entry("x\udcff", False, 1, now + 86_400, 0o600, "u")
        self.assertTrue(list_line(future, now).endswith(b" Nov 15  2023 x\xff\r\n"))

    def test_names_cannot_end_lines(self) -> None:
        """A name with line ends or escapes stays on one line in every listing.  F10."""
        evil = Entry("a\r\n226 ok\x1b[2J", False, 1, 0.0, 0o644, "u")
        for line in (list_line(evil, 0.0), name_line(b"", evil), facts_line(evil, ALL_FACTS)):
            self.assertEqual(line.count(b"\n"), 1)
            self.assertTrue(line.endswith(b"a??226 ok?[2J\r\n"), line)
        self.assertEqual(parse_facts_line(facts_line(evil, ALL_FACTS)[:-2]).name, "a??226 ok?[2J")

    def test_quick_ways_write_the_same(self) -> None:
        """All facts at once, and times by parts, are what each by itself is, at any time that files have."""
        times = [0.0, -0.5, -86_400.0, 59.999, 86_399.99, 1_700_000_000.25, 2**31, 4_102_444_800.0, -62_135_596_800.0]
        times += [float(7_654_321 * number % 4_000_000_000) for number in range(200)]
        for seconds in times:
            self.assertEqual(grammar.write_time(seconds), time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds)), seconds)
            for entry in (replace(FILE, modified=seconds), replace(FOLDER, modified=seconds, mode=0o1)):
                slow = facts(entry, ALL_FACTS) + b" " + entry.name.encode() + b"\r\n"
                self.assertEqual(facts_line(entry, ALL_FACTS), slow)
                when = time.gmtime(seconds)
                day = time.strftime("%b", when).encode() + b" %2d %5d " % (when.tm_mday, when.tm_year)
                self.assertIn(day, list_line(entry, -1e12))

    def test_facts_are_read_back(self) -> None:
        """What MLSD writes the client reads."""
        listed = parse_facts_line(facts_line(FILE, ALL_FACTS)[:-2])
        self.assertEqual((listed.name, listed.kind, listed.size, listed.modified), ("f", "file", 12, 1_700_000_000.0))
        self.assertEqual((listed.facts["unix.mode"], listed.facts["perm"]), ("0644", "adfrw"))
        folder = parse_facts_line(facts_line(FOLDER, ALL_FACTS)[:-2])
        self.assertEqual((folder.is_folder, folder.size), (True, None))
        self.assertEqual(facts_line(FILE, ()), b" f\r\n")

    def test_facts_are_chosen(self) -> None:
        """Unknown facts are ignored, case does not matter, order is ours."""
        self.assertEqual(choose_facts("SIZE;type;nonsense;"), ("type", "size"))
        self.assertEqual(choose_facts(""), ())

    def test_bad_facts(self) -> None:
        """Lines that are no facts are Malformed."""
        for bad in (b"", b"x", b"type=file f", b"type; f", b"size=x; f", b"size=-1; f", b"modify=x; f", b"type=file; "):
            self.assertRaises(Malformed, parse_facts_line, bad)

    def test_patterns(self) -> None:
        """Asterisk and question mark fit as in a shell; everything else is itself."""
        table = [
            ("*", "", True),
            ("*.txt", "a.txt", True),
            ("*.txt", "a.txt.gz", False),
            ("a*", "ba", False),
            ("a*a", "a", False),
            ("a*a", "aa", True),
            ("*a*b*", "xaxbx", True),
            ("*a*b*", "xbxax", False),
            ("a?c", "abc", True),
            ("a?c", "ac", False),
            ("a*?c", "ac", False),
            ("a*?c", "abc", True),
            ("*ab", "aab", True),
            ("[a]", "a", False),
            ("a.c", "abc", False),
            ("f(*)", "f(x\ny)", True),
            ("abc", "abc", True),
            ("abc", "abcd", False),
        ]
        for pattern, name, fits in table:
            self.assertIs(Pattern(pattern).matches(name), fits, (pattern, name))

    @given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
    def test_patterns_fit_as_the_definition_says(self, pattern: str, name: str) -> None:
        """The quick matcher agrees with the textbook one."""

        def fits(p: int, n: int) -> bool:
            if p == len(pattern):
                return n == len(name)
            if pattern[p] == "*":
                return fits(p + 1, n) or (n < len(name) and fits(p, n + 1))
            return n < len(name) and pattern[p] in ("?", name[n]) and fits(p + 1, n + 1)

        self.assertIs(Pattern(pattern).matches(name), fits(0, 0))

    def test_patterns_are_bounded(self) -> None:
        """Too many asterisks are refused, and the worst that is allowed is answered at once.  F06."""
        self.assertRaises(Malformed, Pattern, "*a" * 17)
        worst = Pattern("*a" * 15 + "*b")
        for _ in range(2_000):
            self.assertFalse(worst.matches("a" * 255))


class AsciiTests(SynchronousTestCase):
    """TYPE A, cut anywhere."""

    TABLE = [
        (b"one\ntwo\n", b"one\r\ntwo\r\n"),
        (b"\n\n", b"\r\n\r\n"),
        (b"no end", b"no end"),
        (b"bare\rcr", b"bare\rcr"),
        (b"", b""),
        (b"\xff\xf4\n", b"\xff\xf4\r\n"),
    ]

    def test_both_ways_at_every_cut(self) -> None:
        """Lines become CRLF on the wire and LF in the store wherever the pieces are cut.  F08."""
        for stored, wire in self.TABLE:
            for one in range(len(stored) + 1):
                for two in range(one, len(stored) + 1):
                    self.assertEqual(convert(ToWire(), stored, one, two), wire)
            for one in range(len(wire) + 1):
                for two in range(one, len(wire) + 1):
                    self.assertEqual(convert(FromWire(), wire, one, two), stored)

    def test_crlf_in_the_store_is_not_doubled(self) -> None:
        """A file that already has CRLF goes out as it is, at every cut; a CR before it is kept."""
        table = [(b"a\r\nb\r\n", b"a\r\nb\r\n"), (b"\r\r\n", b"\r\r\n"), (b"\n\r\n\r", b"\r\n\r\n\r"), (b"\r\n", b"\r\n")]
        for stored, whole in table:
            for one in range(len(stored) + 1):
                for two in range(one, len(stored) + 1):
                    self.assertEqual(convert(ToWire(), stored, one, two), whole)

    def test_cr_and_lf_alone_are_kept(self) -> None:
        """Receiving changes nothing but CRLF, a CR at the very end included."""
        for wire, stored in [(b"a\rb", b"a\rb"), (b"a\nb", b"a\nb"), (b"a\r", b"a\r"), (b"\r\r\n", b"\r\n"), (b"\n\r", b"\n\r")]:
            for one in range(len(wire) + 1):
                for two in range(one, len(wire) + 1):
                    self.assertEqual(convert(FromWire(), wire, one, two), stored)


def convert(converter: ToWire | FromWire, data: bytes, one: int, two: int) -> bytes:
    """All of ``data`` in three pieces."""
    pieces = [data[:one], data[one:two], data[two:]]
    return b"".join(map(converter.feed, pieces)) + converter.finish()
