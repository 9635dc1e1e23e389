"""The strict address parser: what it takes, what it refuses, and what two spellings have in common."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Invalid
from launcelot.message.address import (
    Address,
    Path,
    domain_key,
    parse_domain,
    parse_mailbox,
    parse_path,
    read_path,
    scan_path,
    split_detail,
)

ACCEPTED = [
    ("a@b", "a", "b"),
    ("Joe.Smith@Example.ORG", "Joe.Smith", "example.org"),
    ("user+detail@example.org", "user+detail", "example.org"),
    ("!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~", "example.org"),
    ("u%X@example.org", "u%X", "example.org"),
    ("X!u@example.org", "X!u", "example.org"),
    ("L!X!u@example.org", "L!X!u", "example.org"),
    ('"u%X"@example.org', "u%X", "example.org"),
    ('"joe smith"@example.org', "joe smith", "example.org"),
    ('"a@b"@c', "a@b", "c"),
    (r'"a\"b\\c"@example.org', r'a"b\c', "example.org"),
    (r'"\a\b"@example.org', "ab", "example.org"),
    ('"a..b"@example.org', "a..b", "example.org"),
    ("x" * 64 + "@example.org", "x" * 64, "example.org"),
    ("a@" + "x" * 63 + ".org", "a", "x" * 63 + ".org"),
    ("a@[127.0.0.1]", "a", "[127.0.0.1]"),
    ("a@[IPv6:::1]", "a", "[ipv6:::1]"),
    ("a@[ipv6:2001:DB8:0:0::1]", "a", "[ipv6:2001:db8::1]"),
    ("a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"),
    ("a@bücher.example", "a", "bücher.example"),
    ("a@BÜCHER.example", "a", "bücher.example"),
    ("jürgen@example.org", "jürgen", "example.org"),
    ("用户@例子.广告", "用户", "例子.广告"),
    ("a@1.2.3.x", "a", "1.2.3.x"),
    ("a@b--c.org", "a", "b--c.org"),
]

REFUSED = [
    "",
    "a",
    "@",
    "a@",
    "@b",
    "a@b@c",
    "u@X@L",
    "<a@b>",
    "<a@b>c@d",
    "<a@b",
    "a@b>",
    " a@b",
    "a@b ",
    "a @b",
    "a@ b",
    "a b@c",
    "a@b,c@d",
    "a@b;c@d",
    "a@b c@d",
    "@L:u@X",
    "@X,@L:u@X",
    ".a@b",
    "a.@b",
    "a..b@c",
    "a@.b",
    "a@b.",
    "a@b..c",
    "a@-b",
    "a@b-",
    "a@b-.c",
    "a@b_c",
    "a@b/c",
    "a@127.0.0.1",
    "a@b.123",
    "a@[127.0.0]",
    "a@[127.0.0.256]",
    "a@[127.0.0.01]",
    "a@[::1]",
    "a@[IPv6:]",
    "a@[IPv6:fe80::1%eth0]",
    "a@[IPv6:127.0.0.1]",
    "a@[tag:x]",
    "a@[127.0.0.1",
    "a@127.0.0.1]",
    "a@[]",
    "a(comment)@b",
    "a@b(comment)",
    "(comment)a@b",
    "a\\@b",
    "a\\b@c",
    '""@c',
    '"a"b@c',
    'a"b"@c',
    '"a".b@c',
    'a."b"@c',
    '"a@b',
    '"a\\"@b',
    '"a\x00b"@c',
    '"a\rb"@c',
    '"a\nb"@c',
    '"a\\\rb"@c',
    '"a\tb"@c',
    "a\x00@b",
    "a\r@b",
    "a\r\n b@c",
    "a@b\r\n",
    "a@b\n",
    "a@b\x00",
    "a\x7f@b",
    "x" * 65 + "@example.org",
    '"' + "x" * 63 + '"@example.org',
    "ü" * 33 + "@example.org",
    "a@" + "x" * 64 + ".org",
    "a@" + ".".join(["x" * 60] * 5),
    "a@" + "ü" * 64 + ".org",
    "x" * 2000 + "@b",
    "=?utf-8?q?a?=@c",
    "=?utf-8?Q?=40evil=3E?=@c",
    '"=?utf-8?b?YQ==?="@c',
    "a@=?utf-8?q?b?=",
    "a@b。c",
    "a@b\uff0ec",
    "a\uff20b",
    "a\u0085@b",
    "a\u2028@b",
    "a\u00a0b@c",
    "a\u202eb@c",
    "a\ufeff@b",
    "a\ud800@b",
    "a@\u2028",
    "a@ü\u0085",
    "a@\u00adx",
    "a@-ü",
]


class MailboxTests(SynchronousTestCase):
    """``Mailbox`` of RFC 5321 section 4.1.2, and cases S08 and S10 of the security reference."""

    def test_accepted_forms(self) -> None:
        """Each accepted form has exactly one reading."""
        for text, local, domain in ACCEPTED:
            self.assertEqual(parse_mailbox(text), Address(local, domain), text)

    def test_refused_forms(self) -> None:
        """Whatever could be read in two ways, or in none, is Invalid."""
        for text in REFUSED:
            with self.assertRaises(Invalid, msg=repr(text)):
                parse_mailbox(text)

    def test_refusal_does_not_quote_the_peer(self) -> None:
        """The text of a refusal is ours alone, so nothing of the input reaches a reply or a log through it."""
        for text in REFUSED:
            try:
                parse_mailbox(text)
            except Invalid as refusal:
                self.assertRegex(refusal.text, r"\A[a-z -]+\Z")

    def test_written_form_reads_back(self) -> None:
        """``str`` of an address is an address, and the same one."""
        for text, local, domain in ACCEPTED:
            self.assertEqual(parse_mailbox(str(Address(local, domain))), Address(local, domain), text)

    def test_as_little_quoting_as_possible(self) -> None:
        """RFC 5321 section 4.1.2: quotes only where the local part needs them."""
        self.assertEqual(str(parse_mailbox('"joe"@example.org')), "joe@example.org")
        self.assertEqual(str(parse_mailbox('"a.b"@example.org')), "a.b@example.org")
        self.assertEqual(str(parse_mailbox('"a b"@example.org')), '"a b"@example.org')
        self.assertEqual(str(parse_mailbox("a@[ipv6:::1]")), "a@[IPv6:::1]")

    def test_every_control_character_is_refused(self) -> None:
        """No control character can enter an address by any way, built or parsed."""
        for code in [*range(32), 127]:
            for text in (f"a{chr(code)}b@c", f'"a{chr(code)}b"@c', f'"a\\{chr(code)}b"@c', f"a@b{chr(code)}c"):
                with self.assertRaises(Invalid, msg=repr(text)):
                    parse_mailbox(text)
            with self.assertRaises(Invalid):
                Address(f"a{chr(code)}", "b")
            with self.assertRaises(Invalid):
                Address("a", f"b{chr(code)}")

    @given(st.text(max_size=30), st.text(max_size=20))
    def test_nothing_but_invalid(self, local: str, domain: str) -> None:
        """Any text at all is an address that reads back, or Invalid."""
        try:
            address = parse_mailbox(f"{local}@{domain}")
        except Invalid:
            return
        self.assertEqual(parse_mailbox(str(address)), address)

    @given(st.text(alphabet='ab."\\@ \t<>()=?%!ü[]:', max_size=20))
    def test_hostile_alphabet_reads_back(self, text: str) -> None:
        """What is accepted of texts made from special characters reads back as the same address."""
        try:
            address = parse_mailbox(text)
        except Invalid:
            return
        self.assertEqual(parse_mailbox(str(address)), address)
        self.assertNotRegex(str(address), r"[\r\n\0]")


class KeyTests(SynchronousTestCase):
    """Two spellings of one address have one key."""

    def test_spellings_of_one_address(self) -> None:
        """Case, needless quotes, A-labels and U-labels, and IPv6 spelling do not matter."""
        for one, two in [
            ("Joe@Example.org", "joe@example.ORG"),
            ('"joe"@example.org', "joe@example.org"),
            ("a@bücher.example", "a@xn--bcher-kva.example"),
            ("a@BÜCHER.example", "A@XN--BCHER-KVA.example"),
            ("ü@example.org", "u\u0308@example.org"),
            ("a@[IPv6:0:0:0:0:0:0:0:1]", "a@[ipv6:::1]"),
        ]:
            self.assertEqual(parse_mailbox(one).key, parse_mailbox(two).key)

    def test_different_addresses(self) -> None:
        """A quoted ``@`` cannot make one address look like another."""
        self.assertNotEqual(parse_mailbox('"a@b"@c').key, "a@b@c")
        self.assertNotEqual(parse_mailbox("a.b@c").key, parse_mailbox("ab@c").key)
        self.assertEqual(parse_mailbox('"a@b"@c').key.rpartition("@"), ('"a@b"', "@", "c"))

    def test_plain_form(self) -> None:
        """The key of an ordinary address is what a person expects."""
        self.assertEqual(parse_mailbox("Joe+X@Example.org").key, "joe+x@example.org")

    def test_impossible_international_domain_keeps_its_text(self) -> None:
        """A hand-made address with a domain IDNA refuses still has a key."""
        self.assertEqual(domain_key("\u2028"), "\u2028")

    def test_ascii(self) -> None:
        """Only an address without any non-ASCII character goes without SMTPUTF8."""
        self.assertTrue(parse_mailbox("a@b").is_ascii)
        self.assertFalse(parse_mailbox("ü@b").is_ascii)
        self.assertFalse(parse_mailbox("a@bücher.example").is_ascii)


class PathTests(SynchronousTestCase):
    """``Path`` of RFC 5321 section 4.1.2."""

    def test_address(self) -> None:
        """A path holds one mailbox."""
        self.assertEqual(parse_path("<a@b.c>"), Address("a", "b.c"))
        self.assertEqual(parse_path('<"a>b c"@d>'), Address("a>b c", "d"))

    def test_null_path(self) -> None:
        """``<>`` is no address."""
        self.assertIsNone(parse_path("<>"))
        self.assertEqual(str(Path(None)), "<>")

    def test_source_route_is_ignored_and_told(self) -> None:
        """RFC 5321 appendix C: the route is dropped; a server that wants to refuse it can see it."""
        self.assertEqual(read_path("<@a,@b.example:u@c>"), Path(Address("u", "c"), True))
        self.assertEqual(parse_path("<@L:u@X>"), Address("u", "x"))
        self.assertEqual(str(read_path("<@L:u@X>")), "<u@x>")
        self.assertFalse(read_path("<u@c>").had_route)

    def test_refused_forms(self) -> None:
        """All else is Invalid."""
        for text in [
            "", "<", ">", "a@b", "<a@b", "a@b>", "<a@b> ", " <a@b>", "< a@b>", "<a@b >", "<<a@b>>", "<a>", "<@a>",
            "<@a:>", "<@a:@b:u@c>", "<@a,b:u@c>", "<@a,:u@c>", "<a:u@c>", "<a@b>c@d", "<a@b><c@d>", "<>x", "<postmaster>",
            "<a@b\r\n>", "<@" + "x" * 64 + ":u@c>", "<@a.1:u@c>", "<" + "@a," * 500 + "@a:u@c>", "< >",
        ]:  # fmt: skip
            with self.assertRaises(Invalid, msg=repr(text)):
                parse_path(text)

    def test_postmaster_without_domain(self) -> None:
        """RFC 5321 section 4.5.1: only where it is asked for, and only postmaster."""
        path = read_path("<PostMaster>", postmaster=True)
        self.assertEqual(path.address, Address("postmaster", ""))
        self.assertEqual(str(path), "<postmaster>")
        with self.assertRaises(Invalid):
            read_path("<root>", postmaster=True)

    def test_scan_stops_behind_the_path(self) -> None:
        """The parameters of MAIL stay for their own parser, even when the local part has a ``>`` in it."""
        text = 'FROM:<"a>b"@c> SIZE=1'
        path, end = scan_path(text, 5)
        self.assertEqual((path.address, text[end:]), (Address("a>b", "c"), " SIZE=1"))
        self.assertEqual(scan_path("<> X", 0), (Path(None), 2))

    def test_every_prefix_of_a_path_is_refused(self) -> None:
        """A path that was cut off anywhere is not a path."""
        text = '<@a,@b:"u v"@[IPv6:::1]>'
        self.assertEqual(parse_path(text), Address("u v", "[ipv6:::1]"))
        for end in range(len(text)):
            with self.assertRaises(Invalid):
                parse_path(text[:end])


class DomainTests(SynchronousTestCase):
    """Domains by themselves, as in HELO."""

    def test_longest(self) -> None:
        """255 octets pass, 256 do not; the limit holds for the A-labels too."""
        longest = ".".join(["x" * 63] * 3 + ["y" * 61, "z"])
        self.assertEqual(len(longest), 255)
        self.assertEqual(parse_domain(longest), longest)
        with self.assertRaises(Invalid):
            parse_domain(longest + "z")
        with self.assertRaises(Invalid):
            parse_domain(".".join(["ü" * 40] * 6))


class DetailTests(SynchronousTestCase):
    """``user+detail``."""

    def test_split(self) -> None:
        """The first separator splits; a local part that begins with it is no detail of nobody."""
        for local, expected in [
            ("a", ("a", "")),
            ("a+b", ("a", "b")),
            ("a+b+c", ("a", "b+c")),
            ("a+", ("a", "")),
            ("+a", ("+a", "")),
            ("", ("", "")),
        ]:
            self.assertEqual(split_detail(local), expected)

    def test_other_separators(self) -> None:
        """The separator is the operator's choice; none means none."""
        self.assertEqual(split_detail("a-b", "-"), ("a", "b"))
        self.assertEqual(split_detail("a--b", "--"), ("a", "b"))
        self.assertEqual(split_detail("a+b", ""), ("a+b", ""))
