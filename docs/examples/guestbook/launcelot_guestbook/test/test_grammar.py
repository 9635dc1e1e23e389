"""Lines to requests and replies, and back."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from launcelot_guestbook import grammar
from launcelot_guestbook.grammar import Login, Note, SyntaxWrong


class RequestTests(SynchronousTestCase):
    """What peers say."""

    def test_verb_and_argument(self) -> None:
        """The verb in any case; the argument as it came."""
        self.assertEqual(("WRITE", "  a b "), grammar.split(b"wRite   a b "))
        self.assertEqual(("QUIT", ""), grammar.split(b"QUIT"))
        self.assertEqual(("", ""), grammar.split(b""))

    def test_octets_that_are_no_text(self) -> None:
        """Neither other encodings nor anything a terminal would act upon."""
        for text in (b"\xff", b"a\x1b[2J", b"a\x00b", "\u2028".encode(), b"\xc2\x85", b"a\rb"):
            line = b"WRITE " + text
            with self.assertRaises(SyntaxWrong, msg=repr(line)):
                grammar.split(line)

    def test_arguments(self) -> None:
        """Right ones."""
        self.assertEqual(Login("ann", "p w"), grammar.login("ann p w"))
        self.assertEqual(" Grüße", grammar.note(" Grüße"))
        self.assertEqual([10, 1, 100], [grammar.count(one) for one in ("", "1", "100")])
        grammar.nothing("")

    def test_wrong_arguments(self) -> None:
        """Digits are digits, and nothing is nothing."""
        wrong: dict[Callable[[str], object], tuple[str, ...]] = {
            grammar.nothing: ("x", " "),
            grammar.note: ("", " "),
            grammar.login: ("", "a", "a "),
            grammar.count: ("0", "-1", "+1", "1.0", "1e1", "101", "\u0661", "1 ", "01"),
        }
        for parse, arguments in wrong.items():
            for argument in arguments:
                with self.assertRaises(SyntaxWrong, msg=f"{parse} {argument!r}"):
                    parse(argument)

    def test_password_stays_out_of_logs(self) -> None:
        """Whoever prints a request prints no password."""
        self.assertNotIn("secret", repr(grammar.login("ann secret")))


class ReplyTests(SynchronousTestCase):
    """What the server says."""

    def test_one_line(self) -> None:
        """No text makes a second one."""
        self.assertEqual(b"OK a\r\n", grammar.reply("OK", "a"))
        with self.assertRaises(SyntaxWrong):
            grammar.reply("OK", "a\r\nOK b")

    def test_notes_come_back(self) -> None:
        """What is written as a line is read as the same note."""
        for text in ("a", "* 1 2 3 4", " two  blanks ", "Grüße"):
            note = Note(7, "2026-11-21T16:00:00Z", "ann", text)
            self.assertEqual(note, grammar.note_of(grammar.line_of(note).decode().removesuffix("\r\n")))

    def test_not_a_note(self) -> None:
        """From a server that is none."""
        for line in ("", "* ", "* 0 a b c", "* 1 a b", "* -1 a b c", "1 a b c", "* 1 a b "):
            with self.assertRaises(SyntaxWrong, msg=line):
                grammar.note_of(line)
