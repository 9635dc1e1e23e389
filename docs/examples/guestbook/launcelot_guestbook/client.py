"""
Writes in a guestbook and reads it.

::

    client = await launcelot.hosting.calling.connect(endpoint, GuestbookClientFactory(reactor))
    await client.secure_with(optionsForClientTLS("book.example"))
    await client.log_in("ann", "secret")
    await client.leave_note("I was here.")

Requests wait for each other.  One that is not answered ends in an error of :mod:`launcelot.hosting.calling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from launcelot.core.wire import LineError, WireEnd
from launcelot.hosting.calling import Confused, why
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.stream import PlaintextBehindTLS, Stream
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from launcelot_guestbook.grammar import MAX_LINE, MAX_READ, Note, SyntaxWrong, note_of, text_of

MAX_REPLY = 2 * MAX_LINE
"""Octets of a line that we take: a note with its number, date and author."""


class Declined(Exception):
    """
    A reply that is not ``OK``.

    :param word: ``NO``, ``LATER`` or ``BAD``.
    """

    def __init__(self, word: str, text: str) -> None:
        super().__init__(f"{word} {text}")
        self.word = word


class GuestbookClient(Stream):
    """
    One connection.

    :param timeout: seconds to wait for each line.
    """

    def __init__(self, clock: IReactorTime, deadlines: Deadlines, timeout: float) -> None:
        super().__init__(clock, deadlines)
        self.limit_idle(timeout)
        self._turn = DeferredLock()
        self._greeted = False
        self._lost_because: Failure | None = None

    async def secure_with(self, context: Any) -> None:
        """
        Speak TLS from here on.

        :param context: such as ``optionsForClientTLS(hostname)``, which verifies certificate and name.
        :raises Confused: something stood behind the reply in clear; nothing of it is believed.
        """
        await self._ask("STARTTLS")
        try:
            self.start_tls(context, client=True)
        except PlaintextBehindTLS:
            self.abort()
            raise Confused("octets behind the reply to STARTTLS") from None

    async def log_in(self, name: str, password: str) -> None:
        """Say who we are."""
        await self._ask(f"LOGIN {name} {password}")

    async def leave_note(self, text: str) -> int:
        """Write a note; its number."""
        _, said = await self._ask(f"WRITE {text}")
        number, _, _ = said.partition(" ")
        if not (number.isascii() and number.isdigit()):
            raise Confused("a note without a number")
        return int(number)

    async def read_notes(self, count: int = 10) -> Sequence[Note]:
        """The newest notes, the oldest of them first."""
        notes, _ = await self._ask(f"READ {count}")
        return notes

    async def leave(self) -> None:
        """Say goodbye and close."""
        await self._ask("QUIT")
        self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Remember why; whoever waits is told."""
        self._lost_because = reason
        super().connectionLost(reason)

    async def _ask(self, request: str) -> tuple[Sequence[Note], str]:
        """
        Send a line and wait for its reply.

        :raises Declined: it is not ``OK``.
        :raises SyntaxWrong: the request would be more than one line.
        """
        line = text_of(request.encode()).encode() + b"\r\n"
        await self._turn.acquire()
        try:
            if not self._greeted:
                await self._reply()
                self._greeted = True
            self.write(line)
            return await self._reply()
        except WireEnd:
            raise why(Failure(), self._lost_because, begun=False) from None
        except (LineError, SyntaxWrong):
            self.abort()
            raise Confused("not a guestbook's reply") from None
        finally:
            self._turn.release()

    async def _reply(self) -> tuple[Sequence[Note], str]:
        notes: list[Note] = []
        while (line := text_of(await self.line(MAX_REPLY))).startswith("* ") and len(notes) < MAX_READ:
            notes.append(note_of(line))
        word, _, text = line.partition(" ")
        if word not in ("OK", "NO", "LATER", "BAD"):
            raise SyntaxWrong("no such reply")
        if word != "OK":
            raise Declined(word, text)
        return notes, text


class GuestbookClientFactory(Factory):
    """
    Makes clients.

    :param clock: the reactor, or a ``task.Clock``.
    :param timeout: seconds to wait for each line.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, timeout: float = 30.0) -> None:
        self._clock = clock
        self._deadlines = Deadlines(clock)
        self._timeout = timeout

    def buildProtocol(self, addr: IAddress | None) -> GuestbookClient:
        """A client for one connection."""
        return GuestbookClient(self._clock, self._deadlines, self._timeout)
