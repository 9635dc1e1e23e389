"""
``launcelot inetd``: one service on the socket that standard input is, for inetd, xinetd and socket units with ``Accept=yes``.

A connection (``nowait``) is served and the process ends with it.  A listening socket or one of datagrams (``wait``) is served
until nobody has been there for eight seconds; who comes later waits in it for the next process.  Services that need no data
folder run in any number of processes at once; the others hold the folder's lock, so with ``nowait`` they serve one connection
at a time and are better run with ``wait``.

Where standard output and error are the socket, too, as inetd has them, not one word of ours may go there: the log and reasons
for not starting go to the system's log, or to the file of ``--log``.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import syslog
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, cast

from twisted.internet.task import LoopingCall
from twisted.logger import globalLogBeginner

from launcelot.app.catalogue import SERVICES
from launcelot.app.configuration import Configuration, configuration_for
from launcelot.app.daemon import Daemon
from launcelot.app.errors import USAGE, Ending
from launcelot.app.folder import cannot_write
from launcelot.app.loglines import Lines
from launcelot.app.roof import take_reactor
from launcelot.app.run import serve
from launcelot.app.streams import Streams
from launcelot.hosting.inherited import Inherited, look

IDLE_LIMIT = 8.0
"""Seconds without a connection after which a process that listens ends."""

LOOK_INTERVAL = 0.25
"""Seconds between looks whether anybody is there."""


class SystemLog:
    """As much of a text stream as log observers and error lines need; writes to syslog(3)."""

    def __init__(self) -> None:
        syslog.openlog("launcelot", syslog.LOG_PID, syslog.LOG_DAEMON)

    def write(self, text: str) -> int:
        """Log each line."""
        for line in text.splitlines():
            syslog.syslog(line)
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


def main(given: Namespace, streams: Streams) -> int:
    """
    Serve what standard input is.

    :raises Ending: it is no socket, or the service is not known or cannot start.
    """
    peer, spoken = take_standard_input()
    if given.log or spoken:
        streams.errors = sys.stderr = open_log(given.log)
    if peer is None:
        raise Ending("standard input is no socket; inetd starts this, see launcelot inetd --help", USAGE)
    service, configuration = configured(given.service, configuration_for(given.config, given.data))
    globalLogBeginner.beginLoggingTo([Lines(streams.errors)], redirectStandardIO=False)
    reactor = take_reactor()

    def build(failed: Callable[[Ending], None]) -> Daemon:
        watch = Watch(reactor, 0.0 if peer.connected else IDLE_LIMIT)
        data = configuration.entry(service).data
        return Daemon(reactor, configuration, failed, announce=watch.start, sockets=[peer], data=data)

    return serve(reactor, build)


def take_standard_input() -> tuple[Inherited | None, bool]:
    """
    The socket, on a descriptor of its own, with standard input empty from now on.

    :returns: None where it is no socket; and whether standard error was that socket, which is now nothing's.
    """
    descriptor = os.dup(0)
    socket_file = os.fstat(descriptor)
    nothing = os.open(os.devnull, os.O_RDWR)
    spoken = False
    for number in (0, 1, 2):
        if _is(number, socket_file):
            os.dup2(nothing, number)
            spoken = spoken or number == 2
    os.close(nothing)
    return look(descriptor, ""), spoken


def _is(number: int, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(number), file)
    except OSError:
        return False


def open_log(path: str | None) -> TextIO:
    """
    Where words go: a file, or the system's log.

    :raises Ending: the file cannot be written.
    """
    if not path:
        return cast(TextIO, SystemLog())
    try:
        return open(path, "a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise cannot_write(Path(path).absolute(), error) from error


def configured(name: str, configuration: Configuration) -> tuple[str, Configuration]:
    """
    The service that has a listener of that name, and the configuration with that listener alone.

    :raises Ending: there is none.
    """
    entries = {**SERVICES, **configuration.guests}
    for service, entry in entries.items():
        if name in entry.places:
            chosen = configuration.only([service])
            nowhere: dict[str, Any] = {place.setting: () for place in entry.places.values()}
            endpoints = {**nowhere, entry.places[name].setting: ("systemd:index=0",)}
            settings = dataclasses.replace(chosen.services[service], **endpoints)
            return service, dataclasses.replace(chosen, services={service: settings})
    known = ", ".join(name for entry in entries.values() for name in entry.places)
    raise Ending(f"inetd: no service is called {name!r}; there are {known}", USAGE)


class Watch:
    """
    Ends the process when nobody has been there for a while.

    :param limit: seconds; 0 for as soon as nobody is there.
    """

    def __init__(self, reactor: Any, limit: float) -> None:
        self._reactor = reactor
        self._limit = limit
        self._last = 0.0
        self._datagrams = 0
        self._looking: LoopingCall | None = None

    def start(self, daemon: Daemon) -> None:
        """From now on; somebody may be there already."""
        self._last = self._reactor.seconds()
        looking = self._looking = LoopingCall(self._look, daemon)
        looking.clock = self._reactor
        looking.start(LOOK_INTERVAL)

    def _look(self, daemon: Daemon) -> None:
        counters = daemon.site.counters.snapshot()
        datagrams = sum(value for name, value in counters.items() if name.endswith(".datagrams"))
        now = self._reactor.seconds()
        if datagrams != self._datagrams or any(daemon.connections.values()):
            self._datagrams = datagrams
            self._last = now
        elif now - self._last >= self._limit and self._looking is not None and self._looking.running:
            self._looking.stop()
            self._reactor.stop()
