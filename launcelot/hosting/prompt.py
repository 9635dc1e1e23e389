"""
A server that answers inside the read event: no coroutine for each connection, one write for each read.

For protocols whose answers are at hand when the request has arrived.  :meth:`PromptServer.take` is given all unread input
and answers what is whole in it; where an answer has to be waited for, it hands the waiting back and what stands behind
it stays unread, so answers keep the order of the requests.  That is all a protocol has to write.  One that finds most replies
in a table may write :meth:`PromptServer.at_once` as well: then such a read event is one receive, one look and one send.
Invariants beside those of :class:`~launcelot.hosting.stream.Stream`:

- While the send buffer is full, or an answer is awaited, nothing is taken; past ``HIGH_WATER`` of unread input the
  transport is paused.
- Only a whole request moves the idle deadline, so a request that trickles is cut like a silent peer.
- A peer that closes its side first still gets every answer.
"""

from __future__ import annotations

from collections.abc import Awaitable

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from launcelot.hosting.server import ServerStream
from launcelot.hosting.stream import HIGH_WATER, LOW_WATER

LOGGED_OCTETS = 64
"""Octets of an unfinished request that the log line shows, escaped."""


class PromptServer(ServerStream):
    """One peer; see the module's text."""

    def at_once(self, data: bytes) -> bytes | None:
        """
        The short way: the reply, where all of ``data`` is whole requests whose replies are at hand.

        None leaves it to :meth:`take`.

        :param data: what one read event brought, while nothing else is unread.
        """
        return None

    def take(self, data: bytes) -> tuple[int, Awaitable[bytes] | None]:
        """
        Answer what is whole in ``data``, with :meth:`reply`.

        :param data: all unread input, at least one octet.
        :returns: how many octets are done with (0: more is needed), and the next answer where it must be waited for.
        """
        raise NotImplementedError

    def reply(self, data: bytes) -> None:
        """Hand octets to the transport now."""
        if not self._closing:
            self.sent += len(data)
            self.wire_transport.write(data)

    # -- what Twisted and the factory call -----------------------------------------------------------------------

    def begin(self) -> None:
        """Wait for the first request."""
        self._expect()

    def respond(self, data: bytes) -> bytes:
        """Answer at once and return the octets, or keep it for later; see :class:`~launcelot.hosting.transport.EagerServer`."""
        self.received += len(data)
        if not self._input and self._serving is None and not self._choked and self._end is None and not self._stopping:
            try:
                reply = self.at_once(data)
            except Exception:  # noqa: BLE001 - the edge, as in _take_all
                self._fail(Failure())
                return b""
            if reply:
                self.sent += len(reply)
                self.deadline = self.clock.seconds() + self._idle
                return reply
        self._keep(data)
        return b""

    def dataReceived(self, data: bytes) -> None:
        """Answer, or keep it for later."""
        reply = self.respond(data)
        if reply:
            self.wire_transport.write(reply)

    def _keep(self, data: bytes) -> None:
        if self._end is not None:
            self._discard(len(data))
            return
        self._input = self._input + data if self._input else data
        if not self._busy:
            self._go_on()
        elif len(self._input) > HIGH_WATER:
            self._hold()

    def resumeProducing(self) -> None:
        """The send buffer has room: go on."""
        super().resumeProducing()
        self._expect("request" if self._serving is None else "answer")
        if not self._busy:
            self._go_on()

    def readConnectionLost(self) -> None:
        """The peer has sent all it will; close once everything is answered."""
        super().readConnectionLost()
        self._settle()

    def interrupt(self) -> None:
        """Close once everything that has arrived is answered."""
        self._stopping = True
        self._settle()

    def parting(self) -> str:
        """What the peer left unfinished, if anything."""
        if not self.pending:
            return super().parting()
        return f"peer gone after sending {self._input[:LOGGED_OCTETS]!r}"

    def deadline_passed(self) -> None:
        """Leave a peer that does not ask, and an answer that does not come."""
        if self._waits_for in ("request", "answer"):
            self.outcome = f"deadline ({self._waits_for})"
            self.close()
        else:
            super().deadline_passed()

    # -- taking requests in order --------------------------------------------------------------------------------

    @property
    def _busy(self) -> bool:
        return self._choked or self._serving is not None

    def _go_on(self) -> None:
        awaited = self._take_all()
        if awaited is not None:
            self._serving = Deferred.fromCoroutine(self._catch_up(awaited))
            self._serving.addBoth(self._caught_up)
        if self._end is not None or self._stopping:
            self._settle()

    def _take_all(self) -> Awaitable[bytes] | None:
        awaited = None
        try:
            while self._input and awaited is None and not self._choked:
                taken, awaited = self.take(self._input)
                if not taken:
                    self.acknowledge()
                    break
                self._input = self._input[taken:]
                self._expect("request" if awaited is None else "answer")
        except Exception:  # noqa: BLE001 - the edge, as in ServerStream: what take() does not know is our bug
            self._fail(Failure())
        if self._held and len(self._input) <= LOW_WATER:
            self._release()
        return awaited

    async def _catch_up(self, awaited: Awaitable[bytes] | None) -> None:
        while awaited is not None:
            self.reply(await awaited)
            self._expect()
            awaited = self._take_all()

    def _caught_up(self, result: Failure | None) -> None:
        self._serving = None
        if isinstance(result, Failure) and not result.check(CancelledError):
            self._fail(result)
        self._settle()

    def _settle(self) -> None:
        if (self._end is None and not self._stopping) or self._busy or self._closing:
            return
        self.outcome = self.parting() if self._end is not None else "stopping"
        self.close(linger=True)

    def _fail(self, failure: Failure) -> None:
        self._report(failure)
        self.close(linger=True)

    def _expect(self, waits_for: str = "request") -> None:
        """Start the idle limit anew; while it only moves that is one assignment, at every request."""
        if self._closing:
            return
        deadline = self.clock.seconds() + self._idle
        if self._waits_for == waits_for:
            self.deadline = deadline
        elif not self._choked:
            self._watch(waits_for, deadline)
