"""The session's table of states, and refusals in SMTP's words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import REFUSALS, NotFound, Refusal
from launcelot.core.limits import is_loopback
from launcelot.protocols.smtp.commands import COMMANDS
from launcelot.protocols.smtp.session import TRANSITIONS, WORDS, State, reply_for


class Odd(Refusal):
    """A kind nobody listed."""


class OddAndTemporary(Refusal):
    """Another."""

    temporary = True


class WordsTests(SynchronousTestCase):
    """reply_for."""

    def test_every_refusal_has_words(self) -> None:
        """Each kind is listed, temporary ones with 4yz codes and the others with 5yz, and the text is shown."""
        for kind in REFUSALS:
            self.assertIn(kind, WORDS)
            answer = reply_for(kind("why not"))
            self.assertEqual(answer.code // 100, 4 if kind.temporary else 5, kind)
            self.assertEqual(answer.enhanced[0], str(answer.code)[0])
            self.assertEqual(answer.text, "Why not")

    def test_kinds_nobody_listed(self) -> None:
        """They are worded by whether they are temporary; subclasses as their parents."""

        class Deeper(NotFound):
            pass

        self.assertEqual(reply_for(Odd()).code, 554)
        self.assertEqual(reply_for(OddAndTemporary()).code, 451)
        self.assertEqual(reply_for(Deeper()).code, 550)


class TableTests(SynchronousTestCase):
    """States and commands."""

    def test_every_state_is_in_the_table(self) -> None:
        """And a transaction can be ended from each of its states."""
        self.assertEqual(set(TRANSITIONS), set(State))
        for state in (State.MAIL, State.RECIPIENTS, State.CHUNKS):
            self.assertIn(State.READY, TRANSITIONS[state])

    def test_commands_are_documented(self) -> None:
        """Every verb names its standard; those with help begin it with the verb."""
        for verb, command in COMMANDS.items():
            self.assertTrue(command.rfc, verb)
            if command.help:
                self.assertTrue(command.help.startswith(verb.decode()), verb)

    def test_loopback(self) -> None:
        """Only this machine's own addresses are."""
        for host in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix"):
            self.assertTrue(is_loopback(host), host)
        for host in ("10.0.0.1", "fe80::1%eth0", "localhost", "", "::ffff:10.0.0.1"):
            self.assertFalse(is_loopback(host), host)
