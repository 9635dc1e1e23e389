"""
Dialogues as text: what the client says, what the server must answer.

A line ``C: ...`` is said with CRLF; ``S: ...`` must be what the server says next.  In an S line ``*`` at the end matches the
rest of the line, and ``...`` alone matches any number of lines up to the next one that fits.  ``C| ...`` is said as
written, with Python's escapes and without line end.  ``-- closed`` claims that the server has closed.  ``++ 30`` lets
that many seconds pass.  Other lines are comments.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from launcelot.testing.link import Link, connect


class DialogueError(AssertionError):
    """The server did not say its line."""


def play(factory: Any, clock: Clock, text: str, link: Link | None = None, chunk: int | None = None) -> Link:
    """
    Play a dialogue against a server.

    :param link: go on with this connection instead of a new one.
    :param chunk: deliver what the client says in pieces of that many octets.
    :raises DialogueError: naming the line, what was expected and everything that was said up to there.
    """
    stage = _Stage(link or connect(factory, clock), clock, chunk)
    for number, line in enumerate(text.strip().splitlines(), 1):
        stage.play(number, line.strip())
    stage.finish()
    return stage.link


class _Stage:
    def __init__(self, link: Link, clock: Clock, chunk: int | None) -> None:
        self.link = link
        self._clock = clock
        self._chunk = chunk
        self._heard = b""
        self._skipping = False
        self._said: list[str] = []

    def play(self, number: int, line: str) -> None:
        kind, words = line[:3], line[3:]
        if kind == "C: ":
            self._say(words.encode("utf-8", "surrogateescape") + b"\r\n")
        elif line == "C:":
            self._say(b"\r\n")
        elif kind == "C| ":
            self._say(words.encode().decode("unicode_escape").encode("latin-1"))
        elif kind == "S: ":
            self._expect(number, words)
        elif line == "...":
            self._skipping = True
        elif line == "-- closed":
            self._closed(number)
        elif kind == "++ ":
            self._clock.advance(float(words))
            self.link.flush()

    def _say(self, data: bytes) -> None:
        self._nothing_more(f"before the client says {data!r}")
        self._said.append(f"C {data!r}")
        self.link.say(data, chunk=self._chunk)

    def _expect(self, number: int, words: str) -> None:
        while True:
            line = self._next_line(number, words)
            if fits(words, line):
                self._skipping = False
                return
            if not self._skipping:
                raise DialogueError(self._story(f"line {number}: expected {words!r}, heard {line!r}"))

    def _next_line(self, number: int, words: str) -> str:
        self._heard += self.link.take()
        line, end, rest = self._heard.partition(b"\r\n")
        if not end:
            raise DialogueError(self._story(f"line {number}: expected {words!r}, heard {self._heard!r} and no more"))
        self._heard = rest
        heard = line.decode("utf-8", "surrogateescape")
        self._said.append(f"S {heard!r}")
        return heard

    def _closed(self, number: int) -> None:
        self._nothing_more("before the end")
        if not self.link.closed:
            raise DialogueError(self._story(f"line {number}: the server has not closed"))

    def finish(self) -> None:
        self._nothing_more("at the end")

    def _nothing_more(self, when: str) -> None:
        self._heard += self.link.take()
        if self._skipping:
            self._heard = b""
            self._skipping = False
        if self._heard:
            raise DialogueError(self._story(f"{when} the server also said {self._heard!r}"))

    def _story(self, sentence: str) -> str:
        return "\n".join([sentence, *self._said])


def fits(words: str, line: str) -> bool:
    """Whether a line is as an S line of a dialogue wants it."""
    return line.startswith(words[:-1]) if words.endswith("*") else line == words
