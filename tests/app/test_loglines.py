"""Lines of the log: the same that Twisted writes, whatever the event."""

from __future__ import annotations

import io
from typing import Any

from twisted.logger import LogEvent, Logger, LogLevel, textFileLogObserver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.loglines import Lines
from launcelot.hosting.server import SESSION_LINE


class Broken:
    """Cannot be put into words."""

    def __format__(self, how: str) -> str:
        raise ValueError("no words")


class LinesTests(SynchronousTestCase):
    """Beside Twisted's observer."""

    def lines(self, *events: LogEvent) -> str:
        """What is written, once it is known to be what Twisted writes."""
        ours, theirs = io.StringIO(), io.StringIO()
        short, long = Lines(ours), textFileLogObserver(theirs)
        for event in events:
            short(dict(event))
            long(dict(event))
        self.assertEqual(ours.getvalue(), theirs.getvalue())
        return ours.getvalue()

    def event(self, text: str | None, level: Any = LogLevel.info, **fields: Any) -> LogEvent:
        """What a logger hands to its observers."""
        events: list[LogEvent] = []
        Logger(namespace="launcelot.session", observer=events.append).emit(level, text, **fields)  # type: ignore[arg-type]
        return {**events[0], "log_time": 1_795_000_000.75}

    def test_a_session(self) -> None:
        """The line that is written most."""
        fields = dict.fromkeys(("service", "session", "source", "outcome"), "word")
        numbers = dict.fromkeys(("commands", "received", "sent"), 10)
        line = self.lines(self.event(SESSION_LINE, **fields, **numbers, user="", tls=False, seconds=1.25))
        self.assertIn("[launcelot.session#info] word session word from word user='' tls=False commands=10", line)

    def test_the_time_moves_on(self) -> None:
        """Events of one second, of the next, and of one before."""
        events = [{**self.event("now"), "log_time": time} for time in (0.0, 0.9, 1.0, 2_000_000_000.5, 1.5)]
        self.assertEqual(len(set(self.lines(*events).splitlines())), 3)

    def test_text_of_several_lines(self) -> None:
        """Peers cannot begin a line of their own."""
        self.assertEqual(self.lines(self.event("{said}", said="a\nb\r\nc")).count("\n\t"), 2)

    def test_whatever_else(self) -> None:
        """Failures, calls, fields that are missing or broken; no format, no time, no level; events of ``twisted.python.log``."""
        failure = Failure(ZeroDivisionError("by nothing"))
        self.assertIn("by nothing", self.lines(self.event("{one} failed", LogLevel.critical, one=1, log_failure=failure)))
        self.lines(
            self.event("{one()} {two.real} {three[0]}", LogLevel.warn, one=lambda: 1, two=2, three=[3]),
            self.event("{missing}"),
            self.event("{broken}", broken=Broken()),
            self.event("unpaired {"),
            self.event(None),
            self.event(""),
            {},
            {"log_format": "bare"},
            {"log_format": "half", "log_time": None, "log_namespace": "x", "log_level": LogLevel.debug},
            {"log_format": "{log_text}", "log_text": "said", "log_system": "UDP", "log_time": 1.0},
        )

    def test_every_event_is_there_at_once(self) -> None:
        """Nothing waits in a buffer for what comes next."""
        file = io.BytesIO()
        observer = Lines(io.TextIOWrapper(file, encoding="utf-8"))
        observer(self.event("first"))
        self.assertTrue(file.getvalue().endswith(b"first\n"))
