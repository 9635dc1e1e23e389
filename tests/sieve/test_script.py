"""Compiling, variables, included scripts, traces."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.sieve.grammar import ScriptError
from launcelot.sieve.script import COMMANDS, CONDITIONS, EXTENSIONS, compile_script
from tests.sieve.kit import ALL, MESSAGE, holds, run, wants


class CompileTests(SynchronousTestCase):
    """Faults are found before a script is kept."""

    def wrong(self, script: str, words: str, line: int = 1) -> None:
        """It is refused with words."""
        error = self.assertRaises(ScriptError, compile_script, script.encode())
        self.assertIn(words, error.text)
        self.assertEqual(error.line, line)

    def test_what_must_be_required(self) -> None:
        """Every command, tag and comparator of an extension."""
        for script, extension in (
            ('fileinto "x";', "fileinto"),
            ("if body \"x\" {}", "body"),
            ('redirect :copy "a@b.example";', "copy"),
            ('if header :regex "a" "b" {}', "regex"),
            ('if header :count "eq" "a" "b" {}', "relational"),
            ('if header :comparator "i;ascii-numeric" "a" "b" {}', "comparator-i;ascii-numeric"),
            ('if address :user "a" "b" {}', "subaddress"),
            ('if header :index 1 "a" "b" {}', "index"),
            ('keep :flags "x";', "imap4flags"),
            ('set "a" "b";', "variables"),
        ):
            self.wrong(script, f'needs require "{extension}"')
            compile_script(f'require ["{extension}", "comparator-i;ascii-numeric"]; {script}'.encode())

    def test_faults(self) -> None:
        """One line each, with its number."""
        self.wrong('require "nothing";', "not known here")
        self.wrong('keep; require "body";', "before every other command")
        self.wrong('if true { require "body"; }', "at the beginning")
        self.wrong("frobnicate;", "there is no command 'frobnicate'")
        self.wrong("\n\nif frob {}", "there is no test 'frob'", 3)
        self.wrong("true;", "it is a test")
        self.wrong("if keep {}", "it is a command")
        self.wrong("else {}", "without an if")
        self.wrong("if true {} else {} else {}", "without an if")
        self.wrong("if true;", "needs a block")
        self.wrong("keep {}", "takes no block")
        self.wrong("if {}", "takes one test")
        self.wrong("if not (true, false) {}", "takes one test")
        self.wrong("if allof {}", "takes tests in parentheses")
        self.wrong("keep true;", "takes no test")
        self.wrong('header "a" "b";', "it is a test")
        self.wrong('if header "a" {}', "takes a string or a list")
        self.wrong('if header "a" :is "b" {}', "has to stand before")
        self.wrong('if header :is :contains "a" "b" {}', "its kind has been said")
        self.wrong('if header :frob "a" "b" {}', "takes no :frob")
        self.wrong('if header :comparator "i;none" "a" "b" {}', "is one of")
        self.wrong("if size 10 {}", "size takes nothing more")
        self.wrong("if size {}", "either :over or :under")
        self.wrong('if size :over "10" {}', "a number")
        self.wrong("redirect 10;", "a string")
        self.wrong('redirect ["a@b.example"];', "a string")
        self.wrong('redirect "nobody";', "no mail address")
        self.wrong('require ["date", "index"]; if date :last "date" "year" "1" {}', ":last needs :index")
        self.wrong('require "date"; if date :zone "CET" "date" "year" "1" {}', "no zone")
        self.wrong('require "date"; if date :zone "+0000" :originalzone "date" "year" "1" {}', "cannot stand beside")
        self.wrong('require "variables"; set "1a" "b";', "name of a variable")
        self.wrong('require "variables"; set :lower :upper "a" "b";', "do the same")
        self.wrong('require "include"; include "a/b";', "no name of a script")
        numeric = 'require "comparator-i;ascii-numeric"; if header :comparator "i;ascii-numeric" :contains "a" "b" {}'
        self.wrong(numeric, "whole numbers")

    def test_every_extension_can_be_required(self) -> None:
        """What is announced is known, and each command's extension is announced."""
        compile_script("".join(f'require "{name}";' for name in EXTENSIONS).encode())
        for one in (*COMMANDS.values(), *CONDITIONS.values()):
            self.assertTrue(not one.extension or one.extension in EXTENSIONS, one.name)

    @given(
        st.lists(
            st.sampled_from(
                [*COMMANDS, *CONDITIONS, '"a"', '["from", "b@c.example"]', ":is", ":contains", ":matches", ":regex",
                 ":over", "5", ";", "{", "}",
                 "(", ")", ",", ":copy", ":index", ":count", '"gt"', ":zone", '"${1}"', ":comparator", '"i;octet"']
            ),
            max_size=25,
        )
    )  # fmt: skip
    @settings(max_examples=300)
    def test_any_tokens_run_or_are_refused(self, tokens: list[str]) -> None:
        """Nothing that compiles fails in any other way than with the message kept."""
        try:
            compile_script((ALL + " ".join(tokens)).encode())
        except ScriptError:
            return
        self.assertTrue(run(ALL + " ".join(tokens), tracing=True).trace or not tokens)


class VariableTests(SynchronousTestCase):
    """RFC 5229."""

    def value(self, commands: str, text: str = "${v}") -> str:
        """What a text becomes behind some commands."""
        found = wants(f'{ALL}{commands} fileinto "<{text}>";')
        self.assertTrue(found[0].startswith("into <"), found)
        return found[0][6:-1]

    def test_modifiers(self) -> None:
        """The table of section 4.1."""
        for modifiers, wanted in (
            ("", "juMBlEd lETteRS"),
            (":length", "15"),
            (":lower", "jumbled letters"),
            (":upper", "JUMBLED LETTERS"),
            (":upperfirst", "JuMBlEd lETteRS"),
            (":upperfirst :lower", "Jumbled letters"),
            (":lowerfirst :upper", "jUMBLED LETTERS"),
        ):
            self.assertEqual(self.value(f'set "a" "juMBlEd lETteRS"; set {modifiers} "v" "${{a}}";'), wanted)
        self.assertEqual(self.value('set :quotewildcard "v" "Rock*?\\\\";'), "Rock\\*\\?\\\\")
        self.assertEqual(self.value('set :quoteregex "v" "a.b*";'), "a\\.b\\*")

    def test_references(self) -> None:
        """What is a reference, and what stays.  Section 3."""
        self.assertEqual(self.value('set "Company" "ACME";', "&%${}!"), "&%${}!")
        self.assertEqual(self.value('set "Company" "ACME";', "${President, ${Company} Inc.}"), "${President, ACME Inc.}")
        self.assertEqual(self.value("", "${unknown}${global.unknown}${9}"), "")
        self.assertEqual(self.value('set "v" "${v}x"; set "V" "${V}y";'), "xy")

    def test_match_variables(self) -> None:
        """Set by a match, kept by a mismatch, short-circuit and all.  Section 3.2."""
        found = self.value('if header :matches "subject" "* have a *" {}', "${1}|${2}|${0}|${3}")
        self.assertEqual(found, "I|présent for you|I have a présent for you|")
        self.assertEqual(self.value('if string :matches "abc" "a*" {} if string :matches "x" "y*" {}', "${1}"), "bc")
        self.assertEqual(self.value('if string :regex "abc" "(.)c" {}', "${1}"), "b")
        self.assertEqual(self.value('if string :matches "abc" "a*" {} if body :matches "*" {}', "${1}"), "bc")

    def test_without_require_nothing_is_expanded(self) -> None:
        """A dollar is a dollar."""
        self.assertEqual(wants('require "fileinto"; fileinto "${hex:40}${v}";'), ["into ${hex:40}${v}"])

    def test_encoded_characters(self) -> None:
        """The examples of RFC 5228 section 2.4.2.4."""
        for text, wanted in (
            ("$${hex:40}", "$@"),
            ("${hex: 40 }", "@"),
            ("${HEX: 40}", "@"),
            ("${hex:40", "${hex:40"),
            ("${hex:400}", "${hex:400}"),
            ("${hex:4${hex:30}}", "${hex:40}"),
            ("${unicode:40}", "@"),
            ("${ unicode:40}", "${ unicode:40}"),
            ("${UnICoDE:0000040}", "@"),
            ("${Unicode:Cool}", "${Unicode:Cool}"),
            ("${hex:c3 a9}${hex:c3}${hex:a9}", "éé"),
        ):
            self.assertEqual(wants(f'require ["fileinto", "encoded-character"]; fileinto "{text}";'), [f"into {wanted}"])
        for text in ("${unicode:200000}", "${Unicode:DF01}"):
            self.assertRaises(ScriptError, compile_script, f'require "encoded-character"; keep; redirect "{text}";'.encode())

    def test_string_test(self) -> None:
        """Section 5."""
        self.assertTrue(holds('string :matches " x pending y" "* pending *"'))
        self.assertTrue(holds('string ["a", "b"] "B"'))
        self.assertTrue(holds('string :count "eq" ["a", "", "b"] "2"'))
        self.assertFalse(holds('string " a" "a"'))


class IncludeTests(SynchronousTestCase):
    """RFC 6609."""

    scripts = {
        ("personal", "file"): b'require ["fileinto"]; fileinto "included";',
        ("personal", "back"): b'require ["include", "fileinto"]; if true { return; } fileinto "never";',
        ("personal", "stops"): b"stop;",
        ("personal", "self"): b'require "include"; include "self";',
        ("personal", "broken"): b"keep",
        ("global", "sets"): b'require ["include", "variables"]; global "x"; set "x" "shared"; set "y" "own";',
    }

    def wants(self, script: str) -> list[str]:
        """With these scripts beside it."""
        return wants('require ["include", "fileinto", "variables"];' + script, script=lambda *key: self.scripts.get(key))

    def test_included_scripts_act(self) -> None:
        """Their actions are the script's own; return leaves them, stop ends all."""
        self.assertEqual(self.wants('include "file";'), ["into included"])
        self.assertEqual(self.wants('include :personal "back"; fileinto "after";'), ["into after"])
        self.assertEqual(self.wants('include "stops"; fileinto "after";'), ["implicit"])
        self.assertEqual(self.wants('return; fileinto "after";'), ["implicit"])

    def test_faults(self) -> None:
        """Missing, broken and recursive ones keep the message."""
        self.assertEqual(self.wants('include :optional "missing";'), ["implicit"])
        self.assertEqual(self.wants('include "missing";'), ["error line 1: there is no script 'missing' to include"])
        self.assertIn("includes itself", self.wants('include "self";')[0])
        self.assertIn("'broken' has a fault: line 1", self.wants('include "broken";')[0])

    def test_once(self) -> None:
        """A script that is included once is not run again."""
        self.assertEqual(self.wants('include "file"; discard; include :once "file";'), ["into included"])

    def test_global_variables(self) -> None:
        """Shared where they are declared; all others are each script's own."""
        self.assertEqual(self.wants('global "x"; include :global "sets"; fileinto "${x}${y}${global.x}";'), ["into sharedshared"])
        self.assertEqual(self.wants('include :global "sets"; fileinto "<${x}${global.x}>";'), ["into <shared>"])


class HaveTests(SynchronousTestCase):
    """RFC 5463."""

    def test_what_is_known_can_be_used(self) -> None:
        """Inside the block without another require."""
        script = 'require "ihave"; if ihave "fileinto" { fileinto "x"; }'
        self.assertEqual(wants(script), ["into x"])
        self.assertEqual(wants('require "ihave"; if allof (ihave "body", body "x") { discard; }'), ["implicit"])
        self.assertRaises(ScriptError, compile_script, (script + 'fileinto "y";').encode())

    def test_what_is_unknown_is_passed_over(self) -> None:
        """And is an error only when executed."""
        self.assertEqual(wants('require "ihave"; if ihave "frob" { frob "x" :y; if grault {} } else { keep; }'), ["keep"])
        self.assertEqual(wants('require "ihave"; if not ihave "frob" { error "no ${frob}"; }'), ["error line 1: no ${frob}"])


class TraceTests(SynchronousTestCase):
    """What people are shown."""

    def test_every_step_is_there(self) -> None:
        """Tests with what they compared, actions, and the implicit keep, by line."""
        script = 'require "fileinto";\nif header :contains "subject" "zzz" { discard; }\nelse { fileinto "x"; }'
        outcome = run(script, tracing=True)
        self.assertEqual(
            [str(one) for one in outcome.trace],
            [
                "line 2: ['I have a présent for you'] :contains ['zzz']",
                "line 2: header is false",
                "line 3: fileinto 'x'",
            ],
        )
        self.assertEqual([str(one) for one in run("", tracing=True).trace], ["line 0: implicit keep"])
        self.assertEqual(run("keep;").trace, ())

    def test_long_values_are_cut(self) -> None:
        """Nobody reads pages of them."""
        outcome = run(ALL + 'if body :raw :contains "x" {}', MESSAGE + b"y" * 10_000, tracing=True)
        self.assertTrue(all(len(str(one)) < 400 for one in outcome.trace))
