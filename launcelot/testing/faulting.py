"""
Has faults happen: a tap that follows the conversation, and comes between where a sentence (:mod:`launcelot.testing.faults`) says.

Octets of the client are handed on unit by unit, each only when the server waits for its client: so everything before a fault has
been answered, whoever pipelines, and what the server says next is the reply to the unit that was handed on.  Connections made
while there are no faults for their service are not followed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from launcelot.hosting.prompt import PromptServer
from launcelot.protocols.ftp.data import ActiveFactory, PassiveFactory
from launcelot.testing.datatap import DataTap
from launcelot.testing.faults import BREAKS, Act, Fault, Stage
from launcelot.testing.following import FOLLOWERS, Follower, FtpFollower, LiteralFollower, SmtpFollower, Unit
from launcelot.testing.outlet import Outlet, Region
from launcelot.testing.post import Post
from launcelot.testing.tapping import Tap, Taps
from launcelot.testing.transcript import CLIENT, EVENT, Transcript

POISON = b'"\r\n'
"""
The end of a command of IMAP or ManageSieve that cannot be right: the server reads it, does nothing, and complains, which nobody
hears.
"""


@dataclass(eq=False)
class Armed:
    """
    A fault that may happen.

    :ivar seen: how often its point was reached.
    :ivar struck: how often it has happened.
    """

    fault: Fault
    seen: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        """Whether it happens at this use of its point."""
        self.seen += 1
        if self.seen < self.fault.point.use or (self.fault.limit and self.struck >= self.fault.limit):
            return False
        self.struck += 1
        return True


class FaultyTaps(Taps):
    """
    The taps of a Site where things may go wrong.

    :param later: calls something after so many seconds.
    :ivar restart: restarts the server, which is away for so many seconds.
    :ivar certificate: a context for TLS whose certificate has one of the faults.
    """

    def __init__(self, seconds: Callable[[], float], post: Post, later: Callable[..., Any]) -> None:
        super().__init__(seconds, post)
        self.later = later
        self.armed: list[Armed] = []
        self.refusing = False
        self.restart: Callable[[float], object] = nobody
        self.certificate: Callable[[Act], Any] = nobody
        self._counts: dict[str, int] = {}

    def arm(self, fault: Fault) -> Armed:
        """From now on it may happen, on connections that are made from now on."""
        armed = Armed(fault)
        self.armed.append(armed)
        return armed

    def restarting(self, down: float) -> None:
        """The server is to be restarted, once what it says now is said."""

        def go() -> None:
            self.restart(down)

        self.post.soon(go)

    def make(self, protocol: Any, transcript: Transcript, source: Any) -> Tap:
        """The tap of one connection: one that follows it where a fault is about its service."""
        if isinstance(source, (PassiveFactory, ActiveFactory)):
            control = self._control(source)
            return DataTap(self, protocol, transcript, control) if control is not None else Tap(self, protocol, transcript)
        family = family_of(transcript.service)
        concerned = self.concerning(transcript.service)
        number = self._counts[family] = self._counts.get(family, 0) + 1
        if not concerned:
            return Tap(self, protocol, transcript)
        follower = FOLLOWERS.get(transcript.service) or FOLLOWERS.get(family, Follower)
        return FaultyTap(self, protocol, transcript, concerned, follower(), number)

    def count(self, family: str) -> int:
        """How many connections there have been to all listeners of a service."""
        return self._counts.get(family, 0)

    def concerning(self, service: str) -> Sequence[Armed]:
        """The faults that are about a listener."""
        return [one for one in self.armed if one.fault.point.protocol in (family_of(service), service, "tls")]

    def in_storage(self, store: str, stage: Stage = Stage.COMMAND) -> Fault | None:
        """
        The fault that happens when something is about to be stored; may be asked in any thread.

        :param stage: ``SYNC`` when it has been written and is to be made durable.
        """
        for one in list(self.armed):
            point = one.fault.point
            if point.protocol == "storage" and point.stage is stage and point.verb in ("", store) and one.strikes():
                return one.fault
        return None

    def in_names(self, kind: str, name: str) -> Fault | None:
        """The fault that happens to a question of DNS, such as ``("MX", "example.org")``."""
        for one in self.armed:
            point = one.fault.point
            if point.protocol == "dns" and point.verb in ("", kind, f"{kind} {name}".upper()) and one.strikes():
                return one.fault
        return None

    def _control(self, source: PassiveFactory | ActiveFactory) -> FaultyTap | None:
        side = source._side if isinstance(source, PassiveFactory) else getattr(source._failed, "__self__", None)
        for tap in self.open:
            if isinstance(tap, FaultyTap) and getattr(tap.protocol, "data", None) is side:
                return tap
        return None


def nobody(*arguments: Any) -> Any:
    """
    There is nothing that could restart, or show a certificate.

    :raises LookupError: always.
    """
    raise LookupError("this Site can do no such thing")


def family_of(service: str) -> str:
    """The service that a listener is of, as faults name it."""
    family = {"submission": "smtp", "submissions": "smtp", "lmtp": "smtp"}.get(service)
    return family or {"imaps": "imap", "pop3s": "pop3", "ftps": "ftp", "questions-tls": "questions"}.get(service, service)


class FaultyTap(Outlet):
    """
    Follows one conversation.

    :param armed: the faults that are about its service.
    :param number: of the connection, among its service's.
    """

    def __init__(
        self,
        taps: FaultyTaps,
        protocol: Any,
        transcript: Transcript,
        armed: Sequence[Armed],
        follower: Follower,
        number: int,
    ) -> None:
        super().__init__(taps, protocol, transcript)
        self.follower = follower
        self.verbs: set[str] = set()
        self._armed = armed
        self._number = number
        self._buffer = bytearray()
        self._handing = False
        self._waiting = False
        self._half = False
        self._region: Region | None = None
        self._hidden = False
        self._heard = 0
        self._shaken = 0
        self._shaking: Fault | None = None
        self._cut: Fault | None = None

    # -- which fault -----------------------------------------------------------------------------------------------

    def find(self, stage: Stage, verb: str, start: int = 0, size: int = 0) -> Fault | None:
        """The fault that happens at a point, if any; every point is asked about once."""
        for one in self._about(stage):
            point = one.fault.point
            if point.verb and point.verb != verb and f"UID {point.verb}" != verb:
                continue
            if stage is Stage.BODY and not start <= point.octets < start + size:
                continue
            if one.strikes():
                return one.fault
        return None

    def _about(self, stage: Stage) -> Iterator[Armed]:
        """The faults that may happen at a stage of this connection now."""
        for one in self._armed:
            point = one.fault.point
            if point.stage is not stage or point.connection not in (0, self._number):
                continue
            if not point.behind or point.behind in self.verbs:
                yield one

    def crossed(self, stage: Stage, done: int, more: int) -> Fault | None:
        """The fault that happens among the next octets of a whole connection, if any; each connection comes by it once."""
        for one in sorted(self._about(stage), key=lambda one: one.fault.point.octets):
            octets = one.fault.point.octets
            if (done < octets <= done + more or done == octets == 0) and one.strikes():
                return one.fault
        return None

    # -- TLS -------------------------------------------------------------------------------------------------------

    def context(self, context: Any) -> Any:
        """The context for TLS, which begins now; one with another certificate where a fault is about that."""
        self._shaking = self.find(Stage.HANDSHAKE, "")
        self._shaken = 0
        fault = self.find(Stage.CERTIFICATE, "")
        if fault is None:
            return context
        self.note(EVENT, f"fault: {fault.act.value}".encode())
        return self.taps.certificate(fault.act)

    def layer_says(self, data: bytes, below: Any) -> None:
        """What TLS says; part of its handshake, where a fault is about that."""
        fault = self._shaking
        if fault is None:
            super().layer_says(data, below)
            return
        if self.stuck:
            return
        room = fault.point.octets - self._shaken
        self._shaken += len(data)
        if room >= len(data):
            super().layer_says(data, below)
            return
        super().layer_says(data[:room], below)
        self._shaking = None
        self.break_off(fault.act, fault.number)

    # -- from the peer ---------------------------------------------------------------------------------------------

    def made(self, begin: Callable[[], None]) -> None:
        """The greeting, or something else."""
        fault = self.find(Stage.GREETING, "")
        if fault is None:
            begin()
            return
        region = self._region = Region(fault)
        begin()
        if fault.act in BREAKS and not fault.point.octets and not self.stuck:
            self._strike(region)

    def heard(self, data: bytes) -> None:
        """Octets have come."""
        self.note(CLIENT, data)
        if self.stuck or self._cut is not None:
            return
        self._cut = self.crossed(Stage.HEARING, self._heard, len(data))
        if self._cut is not None:
            data = data[: self._cut.point.octets - self._heard]
        self._heard += len(data)
        self._buffer += data
        self._go_on()

    def half_closed(self) -> None:
        """Told behind what came before."""
        self._half = True
        self._go_on()

    def idle(self) -> None:
        """The server waits for us."""
        if self._waiting and not self._handing:
            self._go_on()

    def _is_idle(self) -> bool:
        if isinstance(self.protocol, PromptServer):
            return self.protocol._serving is None
        return getattr(self.protocol, "_reader", True) is not None

    def _go_on(self) -> None:
        if self._handing:
            return
        self._handing = True
        try:
            while not self.stuck and not self.over and (self._is_idle() or self._leaving):
                self._waiting = False
                self._settle()
                unit = self.follower.next(self._buffer)
                if unit is None:
                    break
                self._take(unit)
            self._waiting = not self.stuck
        finally:
            self._handing = False
        if self._cut is not None and not self.stuck and not self.over and self._is_idle():
            self.break_off(self._cut.act, self._cut.number)
        if self._half and not self.stuck and not self.over and self._is_idle():
            self._half = False
            rest = bytes(self._buffer)
            self._buffer.clear()
            if rest:
                self.hand_on(rest)
            super().half_closed()

    @property
    def _leaving(self) -> bool:
        return bool(getattr(self.protocol, "_closing", False))

    def _settle(self) -> None:
        """The server has said what it had to say to the last unit."""
        region, self._region = self._region, None
        self._hidden = False
        self.taps.refusing = False
        if region is not None and region.fault.act in (*BREAKS, Act.LOSES_REPLY) and not region.done:
            self._strike(region)

    def _take(self, unit: Unit) -> None:
        if unit.stage is None:
            self.hand_on(unit.octets)
            return
        if unit.stage is Stage.COMMAND:
            self.verbs.add(unit.verb)
        fault = None
        if unit.stage is not Stage.END or not isinstance(self.follower, FtpFollower):
            fault = self.find(unit.stage, unit.verb, unit.start, len(unit.octets))
        if fault is None:
            self.hand_on(unit.octets)
        elif fault.point.replying or fault.act in (Act.LOSES_REPLY, Act.DELAYS, Act.DRIPS):
            self._region = Region(fault)
            self.hand_on(unit.octets)
        elif fault.act in BREAKS:
            if unit.stage is Stage.BODY:
                self.hand_on(unit.octets[: fault.point.octets - unit.start])
            self.break_off(fault.act, fault.number)
        else:
            self._refuse(unit, fault)

    def _refuse(self, unit: Unit, fault: Fault) -> None:
        """Answer in the server's place, and keep it in step."""
        self.note(EVENT, f"fault: {fault.act.value}".encode())
        if unit.stage is Stage.END:
            self._hidden = True
            if isinstance(self.follower, LiteralFollower):
                self.hand_on(POISON)
            else:
                self.taps.refusing = True
                self.hand_on(unit.octets)
            self.out(self._words(fault, unit.stage))
            return
        self.follower.refuse()
        self.out(self._words(fault))
        if unit.verb in ("DATA", "BDAT") and isinstance(self.follower, SmtpFollower):
            # The client goes on as behind a transaction that failed, and so must the server.
            self._hidden = True
            self.hand_on(b"RSET\r\n")
        if fault.code in (421, "BYE"):
            self.break_off(Act.DISCONNECTS)

    def _words(self, fault: Fault, stage: Stage = Stage.COMMAND) -> bytes:
        if fault.act is Act.SAYS:
            return fault.octets
        return self.follower.reply(fault.code, fault.text) * self.follower.replies_to(stage)

    # -- from the server -------------------------------------------------------------------------------------------

    def saying(self, data: bytes) -> None:
        """Let it out, or not."""
        if self._hidden:
            if not self.stuck:
                self.paid()
            return
        self.follower.said(data)
        if isinstance(self.follower, FtpFollower) and self.follower.final(data):
            fault = self.find(Stage.END, self.follower.verb)
            self._region = None if fault is None else Region(fault)
        if self._region is None:
            self.out(data)
        else:
            self._pass(self._region, data)
        if isinstance(self.protocol, PromptServer) and self._waiting:
            self.taps.later(0, self._go_on)

    def _pass(self, region: Region, data: bytes) -> None:
        """Part of a reply that a fault is about."""
        fault = region.fault
        if fault.act is Act.DRIPS:
            self.drip(data, fault.number)
        elif fault.act is Act.DELAYS:
            self.out(data, 0.0 if region.done else fault.number)
            region.done = True
        elif fault.act in (Act.REPLIES, Act.SAYS):
            self._replace(region)
        else:
            passes = region.passes(data)
            self.out(data[:passes])
            if passes < len(data) or fault.act is Act.LOSES_REPLY:
                self._strike(region)

    def _replace(self, region: Region) -> None:
        if region.done:
            return
        region.done = True
        fault = region.fault
        self.note(EVENT, f"fault: {fault.act.value}".encode())
        words = self._words(fault, fault.point.stage)
        self.out(words)
        if fault.point.stage is Stage.GREETING and self.follower.refuses(words):
            self.break_off(Act.DISCONNECTS)

    def _strike(self, region: Region) -> None:
        if region.done or self.stuck:
            return
        region.done = True
        act = Act.DISCONNECTS if region.fault.act is Act.LOSES_REPLY else region.fault.act
        self.break_off(act, region.fault.number)
