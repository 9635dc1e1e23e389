"""
The server side of every line protocol: one session coroutine for each connection, admission, draining, one log line.

A protocol's ``server.py`` subclasses :class:`ServerStream` and writes ``async def serve(self)``, which reads commands
and writes replies until it returns.  This module is the edge where bugs are caught: the peer is told "internal error" in
the protocol's words, the failure is logged with the session's fields and counted, and the connection is closed.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from launcelot.core.limits import ConnectionCount, source_of
from launcelot.core.wire import DeadlinePassed, Dismissed, PeerGone, Stopping, WireEnd
from launcelot.hosting.driving import Driven
from launcelot.hosting.stream import PlaintextBehindTLS, Stream
from launcelot.hosting.tls import failure_of

if TYPE_CHECKING:
    from launcelot.core.sharing import SharedNumbers
    from launcelot.hosting.site import Site

log = Logger(namespace="launcelot.session")

SESSION_LINE = (
    "{service} session {session} from {source} user={user!r} tls={tls} commands={commands} in={received}"
    " out={sent} seconds={seconds:.3f} {outcome}"
)
"""What the log says of a session at its end."""

ASKED_FOR = frozenset({"quit", "logout"})
"""Outcomes of sessions whose end the peer has asked for, so that nothing more is on its way from it."""

LEAVE_LIMIT = 60.0
"""Seconds a session may go on, storing what is under way, after its connection has gone; past them it is told once more."""

DISMISS_LIMIT = 5.0
"""Seconds a session that is dismissed has to say so to a peer that is sending, or is being sent, something long."""

DISMISSALS = 600.0
"""Seconds for which it is remembered who was dismissed; no log-in takes longer."""

DRAIN_LIMIT = 30.0
"""Seconds a stopping service lets sessions finish what they are doing before it aborts them."""


def source_host(address: IAddress) -> str:
    """The peer's host for limits and logs; ``"unix"`` where the address has none."""
    return str(getattr(address, "host", "unix"))


class Stuck(Exception):
    """A session waited too long for something that is not its peer."""


class ServerStream(Stream):
    """
    One peer of one service.

    :ivar site: what the service was handed.
    :ivar user: the account's name once somebody has logged in, for the log; set by the session.
    """

    internal_error: ClassVar[bytes] = b""
    """What a peer is told when we have a bug, complete with line end."""

    alpn: ClassVar[tuple[bytes, ...]] = ()
    """Names of the protocol in TLS (ALPN, RFC 7301)."""

    _user = ""
    commands = 0
    outcome = "closed"
    session_id = ""
    source = ""
    admitted_as = ""
    """The source this connection is counted under."""
    _began = 0.0
    _leaving: IDelayedCall | None = None
    _dismissing: IDelayedCall | None = None

    def __init__(self, factory: ServerFactory) -> None:
        super().__init__(factory.site.clock, factory.site.deadlines)
        self.factory: ServerFactory = factory
        self.site = factory.site
        self._serving: Driven | Deferred[None] | None = None

    @property
    def user(self) -> str:
        """See above; a name that was dismissed after its password had come is dismissed again, as the password was another."""
        return self._user

    @user.setter
    def user(self, name: str) -> None:
        self._user = name
        if name and self.factory.dismissed_since(name, self._turn_began):
            self.dismiss()

    async def serve(self) -> None:
        """Read commands and write replies until the session is over; written by the protocol."""
        raise NotImplementedError

    def connectionMade(self) -> None:
        """Start the session, inside TLS where the listener says so."""
        super().connectionMade()
        self._began = self.clock.seconds()
        self.session_id = self.site.new_id()
        if not self.source:
            self.source = source_host(self.peer)
        if self.factory.implicit_tls:
            self.start_tls(self.site.server_tls())
        self.begin()

    def begin(self) -> None:
        """Start the session; :class:`launcelot.hosting.prompt.PromptServer` has none to start."""
        if self.factory.work_limit is not None:
            self._work = self.factory.work_limit
            self._watch("work", self._began + self._work)
        self._serving = serving = Driven(self._run(), self._served)
        serving.start()

    def parting(self) -> str:
        """What the log says of a peer that left without our having closed."""
        return "peer gone"

    async def _run(self) -> None:
        try:
            await self.serve()
        except PeerGone:
            self.outcome = "peer gone"
        except DeadlinePassed as passed:
            self.outcome = f"deadline ({passed.kind})"
        except Stopping as stopping:
            self.outcome = str(stopping)
        except WireEnd as end:
            self.outcome = str(end)
        except PlaintextBehindTLS:
            self.outcome = "plaintext behind the TLS command"
            self.site.counters.add(f"{self.factory.name}.tls.injected")
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the one edge: what is neither a refusal nor a read's end is our bug
            self._report(Failure())
        self.close(linger=self.outcome not in ASKED_FOR or self.pending > 0)

    def _report(self, failure: Failure) -> None:
        self.outcome = "internal error"
        self.site.counters.add(f"{self.factory.name}.errors.internal")
        log.failure(
            "internal error in {service} session {session} of {user!r} from {source}",
            failure,
            service=self.factory.name,
            session=self.session_id,
            user=self.user,
            source=self.source,
        )
        self.write(self.internal_error)

    def dismiss(self) -> None:
        """
        End a session whose account has another password, may not log in any more, or is gone.

        It gets :class:`~launcelot.core.wire.Dismissed` when it next reads, whatever has arrived; what does not read within
        :data:`DISMISS_LIMIT`, because it is sending something long, is cut off.
        """
        if self._lost or self._closing or self._dismissing is not None:
            return
        self._dismissing = self.clock.callLater(DISMISS_LIMIT, self._cut_off)
        self._input = b""
        self._position = 0
        self._finish(Dismissed("dismissed"))

    def _cut_off(self) -> None:
        self._dismissing = None
        if not self._closing:
            self.outcome = "dismissed"
        self.abort()

    def deadline_passed(self) -> None:
        """Leave a peer that is too slow, and end a session that waits for what does not come."""
        if self._waits_for != "work":
            super().deadline_passed()
            return
        self._waits_for = ""
        at = self._serving.where() if isinstance(self._serving, Driven) else ""
        self._report(Failure(Stuck(f"{self._work:g} s at {at}")))
        self.close()

    def _leave(self) -> None:
        """End the session's coroutine; whatever it does then, the connection is no longer counted."""
        serving, self._serving = self._serving, None
        if serving is None:
            return
        try:
            serving.cancel()
        except Exception:  # noqa: BLE001 - the edge: the canceller of what it waits for is not ours
            self._report(Failure())
        if isinstance(serving, Driven) and serving.running:
            self._leaving = self.clock.callLater(LEAVE_LIMIT, self._insist, serving)

    def _insist(self, serving: Driven) -> None:
        self._leaving = None
        self.site.counters.add(f"{self.factory.name}.errors.leaked")
        log.error(
            "{service} session {session} of {user!r} from {source} goes on without its connection, at {at}",
            service=self.factory.name,
            session=self.session_id,
            user=self.user,
            source=self.source,
            at=serving.where(),
        )
        serving.cancel()

    def _served(self, failure: Failure | None) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if failure is not None and not (self._lost and failure.check(CancelledError)):
            self._report(failure)
            self.close(linger=True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the session and say so in one line."""
        parting = "" if self._closing else self.parting()
        refused = failure_of(reason) if self.secure else ""
        if refused:
            parting = f"TLS failed ({refused})"
        if self._dismissing is not None:
            self._dismissing.cancel()
            self._dismissing = None
        super().connectionLost(reason)
        self._leave()
        if parting:
            self.outcome = parting
        self.factory.ended(self)
        self._say_ended()

    def _say_ended(self) -> None:
        # What Logger.info makes of it, without its search for the level among all there are.
        log.observer(
            {
                "log_logger": log,
                "log_level": LogLevel.info,
                "log_namespace": log.namespace,
                "log_source": None,
                "log_format": SESSION_LINE,
                "log_time": time.time(),
                "service": self.factory.name,
                "session": self.session_id,
                "source": self.source,
                "user": self._user,
                "tls": self.secure,
                "commands": self.commands,
                "received": self.received,
                "sent": self.sent,
                "seconds": self.clock.seconds() - self._began,
                "outcome": self.outcome,
            }
        )


class _Refused(Protocol):
    """Says why there is no room and leaves."""

    def __init__(self, words: bytes) -> None:
        self._words = words

    def connectionMade(self) -> None:
        """Say it and close."""
        transport: Any = self.transport
        if self._words:
            transport.write(self._words)
        transport.loseConnection()


class ServerFactory(Factory):
    """
    Admits peers to one service, knows who is connected and drains them at the end.

    :param site: what sessions are handed.
    :param name: the service's name in logs and counters, such as ``"smtp"``.
    :param count: the limits on connections; shared by the listeners of one service.
    :param implicit_tls: whether TLS starts before the first octet, as on the ports 465, 993 and 995.
    """

    noisy = False
    protocol: type[ServerStream]  # type: ignore[assignment]
    offers_tls: ClassVar[bool] = True
    """Whether the protocol has a command that starts TLS."""
    refusal: ClassVar[bytes] = b""
    """What a peer is told when there are too many connections, complete with line end."""
    work_limit: float | None = None
    """Seconds a session may wait for something other than its peer; None for any time, and for guests five minutes."""

    def __init__(self, site: Site, name: str, count: ConnectionCount, implicit_tls: bool = False) -> None:
        self.site = site
        self.name = name
        self.implicit_tls = implicit_tls
        self.sessions: set[ServerStream] = set()
        self._count = count
        self._stopping = False
        self._dismissed: dict[str, float] = {}
        self._drained: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """A session for the peer, a short refusal, or nothing while stopping."""
        tap = self.site.tap
        if self._stopping or (tap is not None and not tap.admits()):
            return None
        host = source_host(addr) if addr is not None else ""
        source = source_of(host or "unix")
        if not self._count.admit(source):
            self.site.counters.add(f"{self.name}.connections.refused")
            return _Refused(b"" if self.implicit_tls else self.refusal)
        self.site.counters.add(f"{self.name}.connections")
        try:
            stream = self.make_stream()
        except Exception:  # noqa: BLE001 - the edge: a bug in a protocol's making must neither count for ever nor close the port
            self._count.release(source)
            self.site.counters.add(f"{self.name}.errors.internal")
            log.failure("internal error in {service} admitting {source}", service=self.name, source=source)
            return None
        stream.source, stream.admitted_as = host, source
        self.sessions.add(stream)
        if tap is not None:
            tap.tap(stream, self.name, host, self)
        return stream

    def make_stream(self) -> ServerStream:
        """A new session's protocol."""
        return self.protocol(self)

    def share(self, numbers: SharedNumbers, service: str) -> None:
        """
        Have limits of its own hold over all workers; there are none but in some protocols.

        :param service: names it among the services.
        """

    def ended(self, stream: ServerStream) -> None:
        """Called by the session when its connection is gone."""
        if stream in self.sessions:
            self.sessions.discard(stream)
            self._count.release(stream.admitted_as)
        drained = self._drained
        if drained is not None and not self.sessions:
            self._drained = None
            drained.callback(None)

    def dismiss(self, user: str) -> int:
        """End the sessions of an account, and those that are about to be; how many there are."""
        now = self.site.clock.seconds()
        self._dismissed = {name: when for name, when in self._dismissed.items() if now - when < DISMISSALS} | {user: now}
        sessions = [one for one in self.sessions if user and one.user == user]
        for session in sessions:
            session.dismiss()
        return len(sessions)

    def dismissed_since(self, user: str, moment: float) -> bool:
        """Whether an account's sessions have been ended after that moment of the clock."""
        return self._dismissed.get(user, -math.inf) > moment

    def drain(self, limit: float = DRAIN_LIMIT) -> Deferred[None]:
        """
        Ask every session to go and wait until all have gone.

        :param limit: seconds after which those that are left are aborted.
        """
        self._stopping = True
        done: Deferred[None] = Deferred()
        if not self.sessions:
            done.callback(None)
            return done
        self._drained = done
        abort = self.site.clock.callLater(limit, self._abort_all)
        for stream in list(self.sessions):
            stream.interrupt()

        def disarm(result: None) -> None:
            if abort.active():
                abort.cancel()

        return done.addCallback(disarm)

    def _abort_all(self) -> None:
        for stream in list(self.sessions):
            stream.abort()
