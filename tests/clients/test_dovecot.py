"""
Dovecot beside us: a short seeded run of the oracle.

A long one is ``python -m tests.clients.oracle --minutes 10 --seed N``.  What is forgiven stands in
:data:`tests.clients.oracle.normal.KNOWN`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.clients.dovecot import Dovecot
from tests.clients.oracle.pair import Pair
from tests.clients.oracle.play import Play
from tests.clients.oracle.steps import Step


class OracleTests(SynchronousTestCase):
    """The same commands on both servers."""

    def setUp(self) -> None:
        """Start both."""
        dovecot = Dovecot()
        self.addCleanup(dovecot.stop)
        self.pair = Pair(dovecot)
        self.addCleanup(self.pair.__exit__, None, None, None)

    def test_same_answers(self) -> None:
        """Three sessions, every command, well-formed mail: both answer alike, step by step."""
        for seed in (1, 2):
            play = Play(seed, self.pair.fresh())
            play.whole(80)
            self.assertGreater(play.made, 100)
            play.end()

    def test_same_octets_of_hostile_mail(self) -> None:
        """Malformed mail: both tell the same octets, sizes and flags."""
        play = Play(3, self.pair.fresh(), hostile=True)
        play.whole(60)
        play.end()

    def test_it_notices(self) -> None:
        """A message that only one side has is a disagreement, or the tests above say nothing."""
        play = Play(4, self.pair.fresh())
        play.begin()
        ours = play.places[0].pair[0]
        ours.command(b"APPEND INBOX %L", b"Subject: only here\r\n\r\n")
        with self.assertRaisesRegex(AssertionError, "sees 9 messages, theirs 8"):
            play.run(play.places[1], Step("word", b"CHECK", changes=True))
        play.end()
