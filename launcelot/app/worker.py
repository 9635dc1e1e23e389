"""
One worker process: serves like any daemon, on sockets that its master bound, and does what the master says.

Signals that a terminal sends to everybody are the master's to understand.  SIGTERM ends this worker in order, SIGUSR2 has it
write where it is.  Should the master vanish, the worker stops; should it be stuck then, the kernel's alarm clock ends it,
which it sets anew as long as its reactor runs.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, globalLogBeginner

from launcelot.app.bus import Bus, Message
from launcelot.app.configuration import Configuration
from launcelot.app.daemon import CARE_INTERVAL, Daemon
from launcelot.app.errors import SOFTWARE, Ending
from launcelot.app.launching import (
    BUS,
    FIRST_SOCKET,
    LOG,
    NUMBERS,
    ORDERS,
    Orders,
    configuration_of,
    numbers_in,
    read_orders,
)
from launcelot.app.part import Part, SharedFailures
from launcelot.app.reloading import Reloaded
from launcelot.app.roof import take_reactor
from launcelot.app.run import serve
from launcelot.app.tap import DaemonOptions
from launcelot.app.workerlog import LogPipe
from launcelot.core.errors import NotFound
from launcelot.core.ids import AccountId
from launcelot.core.sharing import SharedCount
from launcelot.hosting.inherited import Inherited, look
from launcelot.hosting.listening import Listener
from launcelot.hosting.login import FAILURE_WINDOW, FAILURES

log = Logger(namespace="launcelot.workers")

ORPHANED = 5.0
"""Seconds for stopping when the master has vanished, at most; nobody new can start while we are here."""

ALARM_INTERVAL = 10.0
"""Seconds between settings of the alarm clock."""


class WorkerDaemon(Daemon):
    """
    What serves in a worker.

    :param master: to it.
    """

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        failed: Callable[[Ending], None],
        *,
        master: Callable[[Daemon], Bus],
        **options: Any,
    ) -> None:
        self._within = math.inf
        self._finishing = False
        self._left: dict[str, Callable[[], None]] = {}
        super().__init__(reactor, configuration, failed, announce=lambda daemon: self.bus.tell("ready"), **options)
        self.bus = master(self)
        self._alarm = LoopingCall(self._set_alarm)
        self._alarm.clock = self._reactor

    # -- starting and stopping -----------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Take over the sockets; ports have descriptors of their own, and a port that is closed is to be closed."""
        super().privilegedStartService()
        for given in self._sockets:
            os.close(given.descriptor)
        for listeners in self.services.values():
            for listener, port in listeners.ports:
                if isinstance(listener, Listener) and isinstance(listener.factory._count, SharedCount):
                    port.ahead = listener.factory._count.ahead
        self._alarm.start(ALARM_INTERVAL)

    def _expect(self) -> None:
        """The folder is the master's."""

    def _take_folder(self) -> None:
        """The folder is the master's, and ready."""

    async def _open_data(self) -> None:
        await self.stores.open()
        if not (self._stopping or self.part.number):
            self._caretaker.start(CARE_INTERVAL)

    def _set_alarm(self) -> None:
        signal.alarm(math.ceil(2 * self.configuration.daemon.worker_patience + ALARM_INTERVAL))

    @property
    def stop_limit(self) -> float:
        """Seconds that stopping may take."""
        return min(super().stop_limit, self._within)

    def finish(self, limit: float) -> None:
        """Stop, within so many seconds."""
        self._within = min(limit, self._within)
        if self._alarm.running:
            self._alarm.stop()
        signal.alarm(math.ceil(self.stop_limit + ORPHANED))
        if not (self._finishing or self._stopping):
            self._finishing = True
            self._reactor.stop()

    def terminated(self, number: int, frame: object) -> None:
        """SIGTERM, which may come to all of us, and twice."""
        self._reactor.callFromThread(self.finish, math.inf)

    # -- what the master says ------------------------------------------------------------------------------------

    def alive(self, message: Message) -> None:
        """Say so, and how much there is to do."""
        self.bus.tell("beat", connections=self.connections, sums=self.site.counters.sums())

    def changed(self, message: Message) -> None:
        """Other workers have changed mailboxes."""
        mail: Mapping[str, list[int]] | None = message["mail"]
        if mail is None:
            self.stores.mail.changed_somewhere()
            return
        for account, mailboxes in mail.items():
            self.stores.mail.changed(AccountId(account), mailboxes)

    def wrote(self, account: AccountId, mailboxes: Any) -> None:
        """We have."""
        self.bus.changes.add(account, mailboxes)
        self.bus.passed()

    def login(self, message: Message) -> None:
        """A log-in elsewhere failed, or succeeded after failures."""
        failures = self.part.failures
        if isinstance(failures, SharedFailures):
            source, identity = message["key"]
            failures.heard((source, identity), message["failed"], self._reactor.seconds() - message["age"])

    def removed(self, message: Message) -> None:
        """An account that we left is gone, or is not going to be."""
        released = self._left.pop(message["account"], None)
        if released is not None:
            released()

    async def answer(self, question: Message) -> Message:
        """
        What the master, or somebody through it, asks.

        :raises Refusal: it cannot be answered.
        """
        if question["ask"] == "leave":
            account = str(question["account"])
            self._left[account] = await self.stores.mail.leave(AccountId(account))
            return {}
        if question["ask"] == "reload":
            return await self._change(question["tables"])
        known = self.answers.get(str(question["ask"]))
        if known is None:
            raise NotFound("unknown request")
        return await known(question)

    async def _change(self, tables: Mapping[str, Any]) -> Message:
        try:
            done: Reloaded = await self._take_on(configuration_of(tables), ())
        except Ending as ending:
            return {"refused": ending.text}
        return dataclasses.asdict(done)


class Worker:
    """
    Puts a worker together.

    :param orders: what the master wants.
    """

    def __init__(self, orders: Orders, reactor: Any) -> None:
        self._orders = orders
        self._reactor = reactor
        self._daemon: WorkerDaemon | None = None

    def build(self, failed: Callable[[Ending], None]) -> Daemon:
        """The daemon, for :func:`launcelot.app.run.serve`."""
        orders = self._orders
        part = Part(
            orders.number,
            orders.of,
            orders.key,
            numbers_in(NUMBERS, orders.of, orders.number, orders.key),
            SharedFailures(FAILURES, FAILURE_WINDOW, self._tell_login),
            lambda account, mailboxes: self._daemon.wrote(account, mailboxes) if self._daemon else None,
        )
        os.close(NUMBERS)
        options = DaemonOptions()
        for one in orders.auth:
            options.opt_auth(one)

        def tell(ending: Ending) -> None:
            confess(ending)
            failed(ending)

        self._daemon = WorkerDaemon(
            self._reactor,
            configuration_of(orders.tables),
            tell,
            checkers=options.get("credCheckers", ()),
            sockets=handed_over(orders.sockets),
            part=part,
            master=self._connect,
        )
        return self._daemon

    def _tell_login(self, key: Any, failed: bool) -> None:
        if self._daemon is not None:
            self._daemon.bus.tell("login", key=list(key), failed=failed)

    def _connect(self, daemon: Daemon) -> Bus:
        if not isinstance(daemon, WorkerDaemon):
            raise TypeError("only a worker has a master")
        hear = {
            "beat": daemon.alive,
            "changed": daemon.changed,
            "login": daemon.login,
            "removed": daemon.removed,
            "stop": lambda message: daemon.finish(message["limit"]),
        }
        bus = Bus(self._reactor, hear, daemon.answer, lambda: daemon.finish(ORPHANED))
        self._reactor.callWhenRunning(self._adopt, daemon, bus)
        # Twisted's own way with this signal, which is in force when the reactor runs, stops a reactor that stops already.
        self._reactor.callWhenRunning(signal.signal, signal.SIGTERM, daemon.terminated)
        return bus


    def _adopt(self, daemon: WorkerDaemon, bus: Bus) -> None:
        try:
            self._reactor.adoptStreamConnection(BUS, socket.AF_UNIX, OneBus(bus))
        except OSError:
            # The master has vanished while we started.
            daemon.finish(ORPHANED)


class OneBus(Factory):
    """For the connection that is there already."""

    noisy = False

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def buildProtocol(self, addr: Any) -> Any:
        """The bus; its descriptor is the transport's own from now on."""
        os.close(BUS)
        return self._bus


def handed_over(count: int) -> list[Inherited]:
    """
    The listening sockets.

    :raises Ending: one does not listen; so it is with all of them when the master has begun to stop, which ends their listening.
    """
    found = [look(FIRST_SOCKET + place, "") for place in range(count)]
    whole = [dataclasses.replace(one, shared=True) for one in found if one is not None and not one.connected]
    if len(whole) < count:
        raise Ending("a socket that was handed over does not listen", SOFTWARE)
    return whole


def read_file(descriptor: int) -> bytes:
    """All of a file, which is closed."""
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


def confess(ending: Ending) -> None:
    """Tell the master why this worker cannot start."""
    LogPipe(LOG).write({"ending": ending.text, "status": ending.status})


def main() -> int:
    """Run a worker that :mod:`launcelot.app.launching` has started; its exit status."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    globalLogBeginner.beginLoggingTo([LogPipe(LOG)], redirectStandardIO=False)
    orders = read_orders(read_file(ORDERS))
    reactor = take_reactor()
    try:
        return serve(reactor, Worker(orders, reactor).build)
    except Ending as ending:
        confess(ending)
        return ending.status


if __name__ == "__main__":
    sys.exit(main())
