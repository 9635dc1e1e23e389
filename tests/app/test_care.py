"""What the commands that take care of mail share."""

from __future__ import annotations

from io import StringIO
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.care import Meter, metered, size
from launcelot.app.streams import Streams
from tests.app.test_command import Terminal


class MeterTests(SynchronousTestCase):
    """Progress."""

    def test_a_person_sees_how_far_it_is(self) -> None:
        """One line that is written over at most twice a second, and is gone at the end."""
        screen = Terminal()
        streams = Streams(StringIO(), StringIO(), screen)
        with patch("launcelot.app.care.time.monotonic", iter([10.0, 10.1, 10.6]).__next__), metered(streams, "ann") as meter:
            for done in (1 << 20, 2 << 20, 3 << 20):
                meter(done, 4 << 20)
        self.assertEqual(screen.getvalue(), "\rann:  25 % of 4.0 MiB\x1b[K\rann:  75 % of 4.0 MiB\x1b[K\r\x1b[K")

    def test_programs_hear_nothing_of_it(self) -> None:
        """Neither on standard error nor anywhere."""
        streams = Streams(StringIO(), StringIO(), StringIO())
        meter = Meter(streams, "ann")
        meter(1, 2)
        meter.end()
        self.assertEqual((streams.output.getvalue(), streams.errors.getvalue()), ("", ""))  # type: ignore[attr-defined]

    def test_octets_for_people(self) -> None:
        """In the largest unit of which there is one."""
        self.assertEqual([size(one) for one in (0, 1023, 1024, 5 << 30)], ["0 octets", "1023 octets", "1.0 KiB", "5.0 GiB"])
