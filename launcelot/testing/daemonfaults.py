"""
Faults in a running daemon: the sentences of :mod:`launcelot.testing.faults`, by way of the admin socket.

Where the configuration allows faults the daemon calls :func:`attach`.  Sessions are tapped only while there is a fault about
their service, and nothing of what they say is kept.  What differs from a Site of a test's own: while the server is "restarted"
its ports stay open and whoever connects is turned away, and certificates with a fault are signed by the daemon's own authority
where it has one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from launcelot.hosting.certificates import Pair, issue, make_authority, server_names
from launcelot.hosting.doorstep import Doorstep
from launcelot.hosting.tls import server_options
from launcelot.protocols.ftp.data import PassiveFactory
from launcelot.testing.certificates import ELSEWHERE
from launcelot.testing.faulting import Armed, FaultyTaps
from launcelot.testing.faults import Act
from launcelot.testing.post import Post
from launcelot.testing.sentences import BadSentence, parse
from launcelot.testing.storing import guard
from launcelot.testing.tapping import DATA, TappedFactory, TappingReactor
from launcelot.testing.transcript import Transcript

MOST = 100
"""Faults at once."""

LONG_AGO = timedelta(days=800)
"""Since when a certificate has been valid that is no longer."""

Answers = Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]]


class DaemonTaps(FaultyTaps):
    """
    The taps of a daemon.

    :ivar away: it is being restarted.
    """

    keeps = False

    def __init__(self, reactor: Any) -> None:
        post = Post(reactor.seconds, lambda call: reactor.callLater(0, call))
        super().__init__(reactor.seconds, post, reactor.callLater)
        self.away = False

    def admits(self) -> bool:
        """Whether anybody is let in."""
        return not self.away

    def tap(self, protocol: Any, service: str, peer: str, source: Any = None) -> None:
        """Tap a session, where a fault is about it."""
        if self.concerning(service) or isinstance(source, PassiveFactory):
            super().tap(protocol, service, peer, source)

    def _keep(self, transcript: Transcript) -> None:
        """Nobody reads it."""


class DataReactor(TappingReactor):
    """The daemon's reactor for services: data connections of FTP are tapped, where there are faults."""

    def listen_stream(self, port: int, factory: Any, interface: str = "") -> Any:
        """As the daemon's, for all but data connections; those are tapped while there are faults."""
        if isinstance(factory, PassiveFactory):
            if self.taps is not None and self.taps.open:
                factory = TappedFactory(self.taps, factory, DATA)
            return Doorstep(self._reactor, interface, port, factory)
        return self.listen_plain(port, factory, interface)


class DaemonFaults:
    """
    What the admin socket is answered.

    :param daemon: a :class:`launcelot.app.daemon.Daemon`.
    """

    def __init__(self, daemon: Any) -> None:
        self._daemon = daemon
        self._numbers: dict[int, Armed] = {}
        self._last = 0
        reactor = daemon.site.reactor
        self.taps = DaemonTaps(reactor)
        self.taps.restart = self._restart
        self.taps.certificate = self._certificate
        tapping = DataReactor(reactor)
        tapping.taps = self.taps
        daemon.site.reactor = tapping
        daemon.site.tap = self.taps
        guard(daemon.site, self.taps)

    async def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add, list or remove."""
        try:
            return self._do(str(request.get("do")), request)
        except BadSentence as error:
            return {"refused": str(error)}

    def _do(self, verb: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if verb == "add":
            self._add(str(request.get("sentence", "")))
        elif verb == "remove":
            self._remove(list(self._numbers) if request.get("all") is True else request.get("numbers"))
        elif verb != "list":
            raise BadSentence("faults are added, listed or removed")
        rows = [
            {"number": number, "fault": str(one.fault), "reached": one.seen, "struck": one.struck}
            for number, one in self._numbers.items()
        ]
        return {"faults": rows}

    def _add(self, sentence: str) -> None:
        if len(self._numbers) >= MOST:
            raise BadSentence(f"there are {MOST} faults already; remove some")
        fault = parse(sentence)
        if fault.point.protocol == "dns":
            raise BadSentence("a daemon answers no questions of DNS, so none of its answers can be wrong")
        self._last += 1
        self._numbers[self._last] = self.taps.arm(fault)

    def _remove(self, numbers: Any) -> None:
        chosen = numbers if isinstance(numbers, list) else []
        for number in chosen:
            if number not in self._numbers:
                raise BadSentence(f"there is no fault {number}")
        for number in dict.fromkeys(chosen):
            self.taps.armed.remove(self._numbers.pop(number))

    # -- what a daemon does ----------------------------------------------------------------------------------------

    def _restart(self, down: float) -> None:
        self._daemon.sever()
        if down:
            self.taps.away = True
            self.taps.later(down, self._back)

    def _back(self) -> None:
        self.taps.away = False

    def _certificate(self, act: Act) -> Any:
        now = datetime.now(UTC)
        authority = self._authority() if act is not Act.UNTRUSTED else None
        names = (ELSEWHERE,) if act is Act.WRONG_NAME else server_names(self._daemon.site.hostname)
        pair = issue(authority or make_authority(now), names, now - LONG_AGO if act is Act.EXPIRED else now)
        return server_options(pair.certificate, pair.key)

    def _authority(self) -> Pair | None:
        """Our own, whose certificates clients may trust; None where the certificate is from elsewhere."""
        path: Path | None = self._daemon.tls.authority if self._daemon.tls is not None else None
        if path is None:
            return None
        return Pair(path.read_bytes(), path.with_name("ca.key").read_bytes())


def attach(daemon: Any) -> Answers:
    """
    Let things go wrong in a daemon that does not listen yet.

    :param daemon: a :class:`launcelot.app.daemon.Daemon`.
    :returns: what answers at its admin socket.
    """
    return {"fault": DaemonFaults(daemon).answer}
