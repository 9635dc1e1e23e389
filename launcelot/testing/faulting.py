"""
Has faults happen: a tap that follows the conversation, and comes between where a sentence (:mod:`launcelot.testing.faults`) says.

Octets of the client are handed on unit by unit, each only when the server waits for its client: so everything before a fault has
been answered, whoever pipelines, and what the server says next is the reply to the unit that was handed on.  Connections made
while there are no faults for their service are not followed at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from launcelot.core.errors import TryLater
from launcelot.hosting.prompt import PromptServer
from launcelot.hosting.site import Site
from launcelot.hosting.transport import lowest
from launcelot.protocols.ftp.data import ActiveFactory, PassiveFactory
from launcelot.spool.interface import Accepted, Envelope
from launcelot.testing.faults import BREAKS, Act, Fault, Stage
from launcelot.testing.following import FOLLOWERS, Follower, FtpFollower, LiteralFollower, SmtpFollower, Unit
from launcelot.testing.post import Post
from launcelot.testing.tapping import Facade, Tap, Taps
from launcelot.testing.transcript import CLIENT, EVENT, Transcript
from launcelot.workers.staging import Staged

POISON = b'"\r\n'
"""
The end of a command of IMAP or ManageSieve that cannot be right: the server reads it, does nothing, and complains, which nobody
hears.
"""

TURNS = 100
"""Turns that what was said before a reset has to leave."""

TICK = 0.02
"""Seconds between two pieces of what drips faster than that octet by octet."""


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
    """

    def __init__(self, seconds: Callable[[], float], post: Post, later: Callable[..., Any]) -> None:
        super().__init__(seconds, post)
        self.later = later
        self.armed: list[Armed] = []
        self.refusing = False
        self._counts: dict[str, int] = {}

    def arm(self, fault: Fault) -> Armed:
        """From now on it may happen, on connections that are made from now on."""
        armed = Armed(fault)
        self.armed.append(armed)
        return armed

    def make(self, protocol: Any, transcript: Transcript, source: Any) -> Tap:
        """The tap of one connection: one that follows it where a fault is about its service."""
        if isinstance(source, (PassiveFactory, ActiveFactory)):
            control = self._control(source)
            return DataTap(self, protocol, transcript, control) if control is not None else Tap(self, protocol, transcript)
        family = family_of(transcript.service)
        concerned = [one for one in self.armed if one.fault.point.protocol in (family, transcript.service)]
        number = self._counts[family] = self._counts.get(family, 0) + 1
        if not concerned or family not in FOLLOWERS:
            return Tap(self, protocol, transcript)
        return FaultyTap(self, protocol, transcript, concerned, FOLLOWERS[family](), number)

    def _control(self, source: PassiveFactory | ActiveFactory) -> FaultyTap | None:
        side = source._side if isinstance(source, PassiveFactory) else getattr(source._failed, "__self__", None)
        for tap in self.open:
            if isinstance(tap, FaultyTap) and getattr(tap.protocol, "data", None) is side:
                return tap
        return None


def family_of(service: str) -> str:
    """The service that a listener is of, as faults name it."""
    family = {"submission": "smtp", "submissions": "smtp", "lmtp": "smtp"}.get(service)
    return family or {"imaps": "imap", "pop3s": "pop3", "ftps": "ftp", "questions-tls": "questions"}.get(service, service)


class Outlet(Tap):
    """A tap that can let octets out late, slowly, in part, or not at all, and can break the connection."""

    taps: FaultyTaps

    def __init__(self, taps: FaultyTaps, protocol: Any, transcript: Transcript) -> None:
        super().__init__(taps, protocol, transcript)
        self.stuck = False
        self._queue: deque[tuple[float, bytes]] = deque()
        self._timer: Any = None
        self._close: Callable[[], None] | None = None

    def out(self, data: bytes, pause: float = 0.0) -> None:
        """
        Let octets out behind those that wait.

        :param pause: seconds after them.
        """
        if self.stuck or not data:
            return
        self._queue.append((pause, data))
        if self._timer is None:
            self._advance()

    def drip(self, data: bytes, rate: float) -> None:
        """Let octets out at so many in a second."""
        size = max(1, round(rate * TICK))
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self.out(piece, len(piece) / rate)

    def _advance(self) -> None:
        self._timer = None
        while self._queue and not self.stuck:
            pause, data = self._queue.popleft()
            if pause:
                self._queue.appendleft((0.0, data))
                self._timer = self.taps.later(pause, self._advance)
                return
            self.send(data)
        close, self._close = self._close, None
        if close is not None:
            close()

    def closing(self, close: Callable[[], None]) -> None:
        """Behind what waits; never, where nothing moves any more."""
        if self.stuck:
            return
        if self._queue:
            self._close = close
        else:
            close()

    def break_off(self, act: Act) -> None:
        """Stall, close or reset."""
        self.note(EVENT, f"fault: {act.value}".encode())
        self.stuck = True
        below = self.transport._below
        if act is Act.RESETS:
            self._reset(lowest(below), TURNS)
        elif act is not Act.STALLS:
            below.loseConnection()
            while type(below) is not Facade and hasattr(below, "transport"):
                # What is in TLS says goodbye and then closes whatever the peer answers.
                below = below.transport
                below.loseConnection()
        self.paid()

    def _reset(self, transport: Any, turns: int) -> None:
        """Reset a connection when what was said before has left; where that takes long, all the same."""
        left = getattr(transport, "arrived", None) or (turns < TURNS and getattr(transport, "all_sent", False))
        if left or not turns:
            transport.abortConnection()
        else:
            self.taps.post.soon(lambda: self._reset(transport, turns - 1))

    def ended(self, reason: Any) -> None:
        """The connection is gone, and what waited with it."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._queue.clear()
        super().ended(reason)


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

    # -- which fault -----------------------------------------------------------------------------------------------

    def find(self, stage: Stage, verb: str, start: int = 0, size: int = 0) -> Fault | None:
        """The fault that happens at a point, if any; every point is asked about once."""
        for one in self._armed:
            point = one.fault.point
            if point.stage is not stage or (point.verb and point.verb != verb and f"UID {point.verb}" != verb):
                continue
            if (point.behind and point.behind not in self.verbs) or point.connection not in (0, self._number):
                continue
            if stage is Stage.BODY and not start <= point.octets < start + size:
                continue
            if one.strikes():
                return one.fault
        return None

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
        if not self.stuck:
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
            self.break_off(fault.act)
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
            self.out(self._words(fault))
            return
        self.follower.refuse()
        self.out(self._words(fault))
        if unit.verb in ("DATA", "BDAT") and isinstance(self.follower, SmtpFollower):
            # The client goes on as behind a transaction that failed, and so must the server.
            self._hidden = True
            self.hand_on(b"RSET\r\n")
        if fault.code in (421, "BYE"):
            self.break_off(Act.DISCONNECTS)

    def _words(self, fault: Fault) -> bytes:
        return fault.octets if fault.act is Act.SAYS else self.follower.reply(fault.code, fault.text)

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
        words = self._words(fault)
        self.out(words)
        if fault.point.stage is Stage.GREETING and self.follower.refuses(words):
            self.break_off(Act.DISCONNECTS)

    def _strike(self, region: Region) -> None:
        if region.done or self.stuck:
            return
        region.done = True
        self.break_off(Act.DISCONNECTS if region.fault.act is Act.LOSES_REPLY else region.fault.act)


@dataclass
class Region:
    """
    A reply that a fault is about.

    :ivar said: octets of it so far; ``literal`` where its first literal begins, or -1.
    :ivar done: it has happened.
    """

    fault: Fault
    said: int = 0
    literal: int = -1
    done: bool = False
    _seen: bytes = field(default=b"", repr=False)

    def passes(self, data: bytes) -> int:
        """How many of the next octets go out before it happens."""
        most = self.fault.point.octets
        if self.fault.point.counts_literal:
            self._seen += data
            found = self._seen.find(b"}\r\n")
            if found < 0:
                return len(data)
            most += found + 3
        passes = min(len(data), max(0, most - self.said))
        self.said += passes
        return passes


class DataTap(Outlet):
    """
    One data connection of FTP.

    :param control: of its control connection, whose command it is about.
    """

    def __init__(self, taps: FaultyTaps, protocol: Any, transcript: Transcript, control: FaultyTap) -> None:
        super().__init__(taps, protocol, transcript)
        self._control = control
        self._fault: Fault | None = None
        self._asked = False
        self._passed = 0

    def _about(self) -> Fault | None:
        """The fault, looked for when the first octet comes by."""
        if not self._asked:
            self._asked = True
            self._fault = self._control.find(Stage.DATA, self._control.follower.verb)
        return self._fault

    def heard(self, data: bytes) -> None:
        """Octets of an upload."""
        self.note(CLIENT, data)
        fault = self._about()
        if fault is None or fault.act not in BREAKS:
            self.hand_on(data)
            return
        passes = self._let(len(data), fault)
        if passes and not self.stuck:
            self.hand_on(data[:passes])
        if passes < len(data) and not self.stuck:
            self.break_off(fault.act)

    def saying(self, data: bytes) -> None:
        """Octets of a download or a listing."""
        fault = self._about()
        if fault is None:
            self.out(data)
        elif fault.act is Act.DRIPS:
            self.drip(data, fault.number)
        elif fault.act is Act.DELAYS:
            self.out(data, 0.0 if self._passed else fault.number)
            self._passed = 1
        else:
            passes = self._let(len(data), fault)
            self.out(data[:passes])
            if passes < len(data) and not self.stuck:
                self.break_off(fault.act)

    def _let(self, octets: int, fault: Fault) -> int:
        passes = min(octets, max(0, fault.point.octets - self._passed))
        self._passed += passes
        return passes

    def half_closed(self) -> None:
        """Not told where nothing moves any more."""
        if not self.stuck:
            super().half_closed()


def guard(site: Site, taps: FaultyTaps) -> None:
    """Have a Site refuse the mail whose end is answered by a fault."""
    accept = site.spool.accept

    async def accepted(envelope: Envelope, body: Staged, once: bool = False) -> Accepted:
        if taps.refusing:
            body.close()
            raise TryLater
        return await accept(envelope, body, once)

    site.spool.accept = accepted  # type: ignore[method-assign]
