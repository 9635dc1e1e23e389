"""Dialogues as text can succeed and can fail."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing.dialogue import DialogueError, play
from tests.hosting.bare import talker_factory


class DialogueTests(SynchronousTestCase):
    """What a dialogue says is what happens, or the story is told."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.factory = talker_factory(self.clock)

    def play(self, text: str, chunk: int | None = None) -> None:
        play(self.factory, self.clock, text, chunk=chunk)

    def test_a_whole_dialogue(self) -> None:
        """Said lines, raw octets, wildcards, skipped lines, passing time and the close."""
        text = r"""
            S: hello
            C: one
            S: <one>
            C| BODY 3\r\nab
            C| c
            S: got *
            C| 1\r\n2\r\n3\r\n
            ...
            S: <3>
            C: LOGIN
            S: <LOGIN>
            ++ 31
            S: late idle
            -- closed
        """
        self.play(text)
        self.play(text, chunk=1)

    def test_wrong_line(self) -> None:
        """Another line than expected fails, with the story so far."""
        error = self.assertRaises(DialogueError, self.play, "S: hello\nC: one\nS: <two>")
        self.assertIn("line 3: expected '<two>', heard '<one>'", str(error))
        self.assertIn("C b'one\\r\\n'", str(error))

    def test_missing_line(self) -> None:
        """Silence where a line was expected fails."""
        error = self.assertRaises(DialogueError, self.play, "S: hello\nC| one\nS: <one>")
        self.assertIn("and no more", str(error))

    def test_one_line_too_many(self) -> None:
        """A line nobody expected fails, before the client speaks and at the end."""
        self.assertIn("also said", str(self.assertRaises(DialogueError, self.play, "C: one")))
        self.assertIn("at the end", str(self.assertRaises(DialogueError, self.play, "S: hello\nC: one")))

    def test_not_closed(self) -> None:
        """A claim of a close fails while the connection is open."""
        self.assertIn("not closed", str(self.assertRaises(DialogueError, self.play, "S: hello\n-- closed")))
