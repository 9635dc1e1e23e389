"""The session's states and words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import REFUSALS, Refusal
from launcelot.protocols.ftp.commands import ABSENT, COMMANDS
from launcelot.protocols.ftp.session import CODES, TRANSITIONS, State, reply_for


class WordsTests(SynchronousTestCase):
    """Every refusal has a reply."""

    def test_every_refusal_is_answered(self) -> None:
        """Each kind becomes one line: 4xx if trying again may help, or room can be made; 5xx otherwise."""
        for kind in REFUSALS:
            reply = reply_for(kind("because\r\n"))
            self.assertRegex(reply, rb"\A[45]\d\d because\?\?\r\n\Z")
            self.assertIn(kind, CODES)
            if kind.temporary and kind.__name__ != "OverQuota":
                self.assertTrue(reply.startswith(b"4"), kind)
            elif not kind.temporary:
                self.assertTrue(reply.startswith(b"5"), kind)

    def test_unlisted_refusal(self) -> None:
        """A refusal that is added later still gets a reply of the right severity."""

        class Later(Refusal):
            temporary = True

        self.assertTrue(reply_for(Later()).startswith(b"451 "))
        self.assertTrue(reply_for(Refusal()).startswith(b"550 "))

    def test_states_have_rows(self) -> None:
        """Every state has its transitions, and the last one has none."""
        self.assertEqual(set(TRANSITIONS), set(State))
        self.assertFalse(TRANSITIONS[State.OVER])

    def test_absent_verbs_are_absent(self) -> None:
        """No verb is both offered and said not to be."""
        self.assertFalse(ABSENT & set(COMMANDS))
