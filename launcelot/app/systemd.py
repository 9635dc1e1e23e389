"""
Telling systemd how we are: ready, reloading, stopping, alive.  sd_notify(3), sd_watchdog_enabled(3).

A message is a datagram of ``NAME=value`` lines to the Unix socket in ``$NOTIFY_SOCKET``; without the variable, or where nobody
takes the message, nothing happens.  Signs of life are sent by a timer of the reactor, so a reactor that is stuck sends none
and systemd ends the process when ``WatchdogSec=`` has passed.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

log = Logger(namespace="launcelot.systemd")

SIGNS = 3
"""Signs of life in the time the watchdog waits for one."""

STATUS_INTERVAL = 10.0
"""Seconds between lines for ``systemctl status`` where there is no watchdog."""


class Notifier:
    """
    Tells the service manager, if there is one.

    :param environment: that of the process; what concerns us alone is taken out of it, so that no child speaks for us.
    :param clock: the reactor.
    """

    def __init__(self, environment: MutableMapping[str, str], clock: IReactorTime) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")
        watched = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.pop("WATCHDOG_USEC", "")
        self._watchdog = int(microseconds) / 1e6 if watched and microseconds.isdecimal() else 0.0
        self._status: Callable[[], str] = str
        self._signs = LoopingCall(self._alive)
        self._signs.clock = clock

    def ready(self, status: Callable[[], str]) -> None:
        """
        Everything listens, or does so again after a reload.

        :param status: tells in one line what the daemon is doing; asked with every sign of life.
        """
        self._status = status
        self._send(f"READY=1\nSTATUS={status()}")
        if self._address and not self._signs.running:
            self._signs.start(self._watchdog / SIGNS if self._watchdog else STATUS_INTERVAL, now=True)

    def reloading(self) -> None:
        """The configuration is read again; :meth:`ready` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon ends; signs of life go on while sessions finish."""
        self._status = lambda: "stopping"
        self._send("STOPPING=1\nSTATUS=stopping")

    def stopped(self) -> None:
        """Nothing more is sent."""
        if self._signs.running:
            self._signs.stop()

    def _alive(self) -> None:
        self._send(f"{'WATCHDOG=1' if self._watchdog else ''}\nSTATUS={self._status()}".lstrip())

    def _send(self, message: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaking:
                speaking.setblocking(False)
                speaking.connect(address)
                speaking.send(message.encode())
        except OSError as error:
            log.debug("systemd does not hear us: {reason}", reason=str(error))
