"""Scripts as octets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.sieve.grammar import MAX_DEPTH, MAX_SCRIPT, Command, Number, ScriptError, Strings, Tag, parse

PIECES = st.sampled_from(
    ["if", "keep", "stop", ";", "{", "}", "(", ")", "[", "]", ",", '"', '"a"', ":is", ":", "10K", "9", "text:\r\n", "x\r\n",
     ".\r\n", "#c\n", "/*", "*/", " ", "\n", "not", "allof", "true", "\\", "\0", "é", "require", "anyof", "header", "elsif"]
)  # fmt: skip


class GrammarTests(SynchronousTestCase):
    """The generic grammar."""

    def one(self, script: str) -> Command:
        """The only command."""
        (command,) = parse(script.encode())
        return command

    def wrong(self, script: str | bytes, line: int, words: str) -> None:
        """It is refused at a line, with words."""
        error = self.assertRaises(ScriptError, parse, script.encode() if isinstance(script, str) else script)
        self.assertEqual(error.line, line, error.text)
        self.assertIn(words, error.text)

    def test_arguments(self) -> None:
        """Tags, numbers with units, strings and lists."""
        found = self.one('a :B 2k 3M "x\\"y\\\\" ["p", "q"];')
        self.assertEqual(
            found,
            Command(
                "a",
                1,
                (
                    Tag("b", 1),
                    Number(2048, 1),
                    Number(3 << 20, 1),
                    Strings(('x"y\\',), False, 1),
                    Strings(("p", "q"), True, 1),
                ),
            ),
        )

    def test_tests_and_blocks(self) -> None:
        """Tests stand alone or in parentheses, commands in blocks."""
        found = self.one("IF allof (not true, b) { c; d {} }")
        self.assertEqual(found.name, "if")
        self.assertEqual([one.name for one in found.tests[0].tests], ["not", "b"])
        self.assertEqual([one.name for one in found.block or ()], ["c", "d"])
        self.assertEqual((found.block or ())[1].block, ())

    def test_multi_line_text(self) -> None:
        """The lines up to the dot, dots taken off, with CRLF whatever the script has."""
        found = self.one("a text: # note\n..one\n.two\n\nthree\r\n.\n;")
        self.assertEqual(found.arguments, (Strings((".one\r\n.two\r\n\r\nthree\r\n",), False, 1),))

    def test_lines_are_counted(self) -> None:
        """Comments, strings and texts of several lines count."""
        script = '# one\n/* two\nthree */ a "four\nfive" text:\nsix\n.\n;\nb;'
        self.assertEqual([one.line for one in parse(script.encode())], [3, 8])

    def test_faults_name_their_line(self) -> None:
        """What is wrong is said in words."""
        self.wrong("keep\n", 2, "the end of the script")
        self.wrong('a "x', 1, "no end")
        self.wrong("\n/* x", 2, "no end")
        self.wrong("a text:\nx\n", 1, "no end")
        self.wrong("a 10Q;", 1, "K, M or G")
        self.wrong("a 99999999999999999999;", 1, "too large")
        self.wrong("a 9999999999999999G;", 1, "too large")
        self.wrong("a [];", 1, "strings")
        self.wrong('a ["x" "y"];', 1, "comma")
        self.wrong("if (true { }", 1, "comma or )")
        self.wrong("if allof () { }", 1, "a test was expected")
        self.wrong("a {", 1, "no end")
        self.wrong("}", 1, "a command was expected")
        self.wrong("a } ", 1, "semicolon or a block")
        self.wrong(b"keep;\n\xff", 2, "UTF-8")
        self.wrong("a \0;", 1, "cannot stand here")
        self.wrong(b" " * (MAX_SCRIPT + 1), 1, "larger")

    def test_depth_is_limited(self) -> None:
        """As deep as stated, and no deeper."""
        for opening, closing in (("a {", "}"), ("a not", " b;")):
            count = MAX_DEPTH if closing == "}" else MAX_DEPTH - 1
            script = (opening + " ") * 1 + ("not " if closing != "}" else "a { ") * (count - 1)
            end = closing if closing != "}" else "}" * count
            parse((script + end).encode())
            self.assertRaises(ScriptError, parse, (script + ("not " if closing != "}" else "a { ") + end).encode())
        self.assertRaises(ScriptError, parse, b"a " + b"not " * 100_000)
        self.assertRaises(ScriptError, parse, b"a {" * 100_000)

    def test_empty_scripts(self) -> None:
        """Nothing, blanks and comments are scripts."""
        for script in (b"", b"\r\n", b"# nothing", b"/**/", b"\xef\xbb\xbf# with a mark\n"):
            self.assertEqual(parse(script), ())

    @given(st.lists(PIECES, max_size=30).map("".join))
    def test_anything_is_a_script_or_refused(self, script: str) -> None:
        """No sequence of tokens does anything else."""
        try:
            parse(script.encode())
        except ScriptError as error:
            self.assertTrue(1 <= error.line <= script.count("\n") + 1)
