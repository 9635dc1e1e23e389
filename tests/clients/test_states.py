"""
Many sessions at once on one mailbox: a short run.

A long one is ``python -m tests.clients.states --minutes 10``; the same on a clock and in memory, step by step, is
:mod:`tests.protocols.imap4.test_consistency`.
"""

from __future__ import annotations

from threading import Lock

from tests.clients.demo import DemoCase
from tests.clients.states import Mirror, Race, Wrong
from tests.clients.wire import Answer, values


class RaceTests(DemoCase):
    """What sessions are told."""

    def test_sessions_at_once(self) -> None:
        """Eight sessions change one mailbox at the same time; none is told what cannot be, all are told the same."""
        race = Race(self.demo, seed=1, sessions=8)
        self.assertGreaterEqual(race.whole(0.0, 8 * 100), 8 * 100)

    def test_it_notices(self) -> None:
        """The checks themselves: an EXPUNGE in the wrong place, a number that changes its UID, UIDs that fall."""
        for lines, keeps in (
            ([b"1 EXISTS", b"1 EXPUNGE"], True),
            ([b"1 EXPUNGE"], False),
            ([b"2 EXISTS", b"1 FETCH (UID 5)", b"1 FETCH (UID 6)"], False),
            ([b"2 EXISTS", b"1 FETCH (UID 5)", b"2 FETCH (UID 4)"], False),
            ([b"1 EXISTS", b"1 FETCH (UID 5 MODSEQ (9))", b"1 FETCH (UID 5 MODSEQ (8))"], False),
            ([b"1 EXISTS", b"0 EXISTS"], False),
            ([b"1 EXISTS", b"VANISHED 1"], False),
        ):
            mirror = Mirror({}, Lock())
            answer = Answer(tuple(values(line) for line in lines), (), b"OK", b"", b"")
            self.assertRaises(Wrong, mirror.take, answer, keeps)
