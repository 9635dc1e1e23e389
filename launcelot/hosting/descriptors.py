"""
Descriptors: as many as the system allows, and some that connections may not take.

A daemon that has used up its descriptors can neither deliver nor answer, and Twisted's port then either closes whoever comes or,
once its one spare descriptor is gone, is told of the same waiting connection again and again without a pause.  Here a
connection that takes the last descriptor but the reserve shuts the gate: ports stop reading, peers wait in the kernel's
queue (nothing is lost while it has room), and the gate is opened as soon as there is room again.

Knowing that costs no system call: a new descriptor is always the lowest free one, so one at or above the mark says that all
below are taken.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from launcelot.core.counters import Counters

MOST = 1 << 20
"""Descriptors asked for where the hard limit has no sensible end."""

LOOK_INTERVAL = 0.25
"""Seconds between looks at whether there is room again."""

LOG_INTERVAL = 60.0
"""Seconds in which a shut gate is logged once."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Why accepting fails although somebody waits.  accept(2)."""

log = Logger(namespace="launcelot.descriptors")


def raise_limit() -> int:
    """Raise this process's limit on descriptors as far as it may go; the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """How many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def lowest_free() -> int:
    """The number the next descriptor will get; the limit where there is none."""
    try:
        descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return limit()
    os.close(descriptor)
    return descriptor


class Gate:
    """
    Lets connections in while there are descriptors for them.

    :param clock: the reactor.
    :param mark: descriptors that connections may take part in; the rest is for files.
    """

    def __init__(self, clock: IReactorTime, mark: int, counters: Counters) -> None:
        self.mark = mark
        self.shut = False
        self._clock = clock
        self._counters = counters
        self._held: set[Any] = set()
        self._logged = float("-inf")

    def watch(self, port: Any) -> None:
        """Have a port of Twisted's accept through the gate; one without a socket is left alone."""
        if isinstance(getattr(port, "socket", None), socket.socket) and hasattr(port, "numberAccepts"):
            port.socket = GuardedSocket(port.socket, port, self)

    def close(self, reason: str) -> None:
        """Let nobody in until there is room."""
        if self.shut:
            return
        self.shut = True
        self._counters.add("descriptors.exhausted")
        now = self._clock.seconds()
        if now - self._logged >= LOG_INTERVAL:
            self._logged = now
            log.warn(
                "connections wait: {reason}; raise LimitNOFILE or lower max_connections, now {limit} descriptors",
                reason=reason,
                limit=limit(),
            )
        self._clock.callLater(LOOK_INTERVAL, self._look)

    def hold(self, port: Any) -> None:
        """Leave a port alone until the gate is opened."""
        self._held.add(port)
        port.stopReading()

    def _look(self) -> None:
        # Files that are open above the mark have room of their own, and say nothing about that below it.
        if lowest_free() >= self.mark:
            self._clock.callLater(LOOK_INTERVAL, self._look)
            return
        self.shut = False
        held, self._held = self._held, set()
        for port in held:
            if port.connected and not port.disconnecting:
                port.startReading()


class GuardedSocket:
    """
    A listening socket that accepts through the gate; in all else the socket itself.

    :param port: stops reading while the gate is shut.
    """

    def __init__(self, listening: socket.socket, port: Any, gate: Gate) -> None:
        self._listening = listening
        self._port = port
        self._gate = gate

    def accept(self) -> tuple[socket.socket, Any]:
        """
        The next peer.

        :raises BlockingIOError: nobody waits, or whoever does has to.
        """
        if self._gate.shut:
            self._gate.hold(self._port)
            raise BlockingIOError(errno.EAGAIN, "the gate is shut")
        try:
            peer, address = self._listening.accept()
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            self._gate.close(str(error.strerror))
            self._gate.hold(self._port)
            raise BlockingIOError(errno.EAGAIN, error.strerror) from error
        if peer.fileno() >= self._gate.mark:
            self._gate.close("no descriptors left but those kept for files")
        return peer, address

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listening, name)
