"""
The daemon as one Service: starts in the right order, stops in the reverse one, within a stated time.

Start: take the data folder if it is there, see whether it and the certificate are usable, bind every port (so that low
ports can be had before privileges are given up) but let connections wait in the kernel; then make the folder, read the
certificate, open the stores, take up spooled mail, listen at the admin socket, and let connections in.

Stop: close the ports, let sessions finish, then spool and stores.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

import launcelot
from launcelot.app import queueing
from launcelot.app.admin import AdminFactory, AdminSocket, Answering
from launcelot.app.catalogue import SERVICES, named
from launcelot.app.configuration import Configuration
from launcelot.app.errors import CANNOT_CREATE, SOFTWARE, TEMPORARY, UNAVAILABLE, Ending
from launcelot.app.folder import DataFolder
from launcelot.app.part import WHOLE, Part
from launcelot.app.reloading import Reloaded, merge
from launcelot.app.site import DaemonTls, build_services, build_site, tls_of
from launcelot.app.stores import Stores, build_stores, descriptor_mark, threads
from launcelot.app.systemd import Notifier
from launcelot.app.table import url
from launcelot.core.errors import Refusal
from launcelot.core.ids import AccountId
from launcelot.hosting.descriptors import Gate, limit
from launcelot.hosting.exchange import Change, Exchange
from launcelot.hosting.gather import outcomes
from launcelot.hosting.inherited import Inherited
from launcelot.hosting.listening import CannotListen, Listeners, Listening
from launcelot.hosting.proxy import networks
from launcelot.hosting.server import ServerFactory
from launcelot.hosting.site import Site

log = Logger(namespace="launcelot.daemon")

CARE_INTERVAL = 3_600.0
"""Seconds between looks at what has to be renewed or thrown away."""

FAULTS = "launcelot.testing.daemonfaults:attach"
"""What has things go wrong where the configuration allows it; imported then only."""

STORES_LIMIT = 5.0
"""Of the seconds for stopping, those that are kept for spool and stores; half of them where there are few."""

Step = Callable[["Daemon"], Awaitable[None]]


class Daemon(Service):
    """
    One daemon on one data folder.

    :param reactor: with a monotonic ``seconds``.
    :param failed: told once why starting failed, before or after the reactor runs.
    :param prepare: runs when the stores are open, before anybody is let in.
    :param announce: runs when everything listens.
    :param notifier: tells the service manager.
    :param reread: gives the configuration anew for :meth:`reload`; raises Ending where it has faults.
    :param sockets: those that the process was started with.
    :param data: False where no service needs accounts, mail or files; then others may have the folder at the same time.
    :param part: which of several processes this is.
    :ivar site: what services were handed.
    """

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        failed: Callable[[Ending], None],
        prepare: Sequence[Step] = (),
        announce: Callable[[Daemon], None] = lambda daemon: None,
        checkers: Sequence[ICredentialsChecker] = (),
        notifier: Notifier | None = None,
        reread: Callable[[], Configuration] | None = None,
        sockets: Sequence[Inherited] = (),
        data: bool = True,
        part: Part = WHOLE,
    ) -> None:
        self.configuration = configuration
        self.part = part
        self.folder = DataFolder(configuration.data)
        self.tls = DaemonTls(configuration) if configuration.tls.enabled else None
        self.stores: Stores = build_stores(configuration, threads(reactor), reactor, part)
        self.site: Site = build_site(reactor, configuration, self.stores, self.tls, checkers, part)
        self.services: Mapping[str, Listeners] = build_services(self.site, configuration)
        self._gate = Gate(reactor, descriptor_mark(limit()), self.stores.counters)
        self._reactor = reactor
        self._failed = failed
        self._prepare = tuple(prepare)
        self._announce = announce
        self._notifier = notifier or Notifier({}, reactor)
        self._reread = reread or (lambda: configuration)
        self._sockets = sockets
        self._data = data
        self._retired: set[ServerFactory] = set()
        self._serving = False
        self.answers: Mapping[str, Answering] = {
            "status": self._status,
            "forget": self._forget,
            "changed": self._changed,
            "end": self._end_sessions,
            "reload": self._told_to_reload,
            "queue": self._queue,
        }
        if configuration.daemon.faults:
            self.answers = {**self.answers, **named(FAULTS)(self)}
        self._admin = AdminSocket(reactor, configuration.admin_socket, AdminFactory(self.answers))
        self._caretaker = LoopingCall(self._look_after)
        self._caretaker.clock = reactor
        self._began = 0.0
        self._starting: Deferred[None] | None = None
        self._stopping = False

    # -- starting ------------------------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Take the folder if it is there already, and bind the ports."""
        Service.privilegedStartService(self)
        try:
            if self._data:
                self._expect()
            for name, listeners in self.services.items():
                self._equip(name, listeners, self.configuration).bind()
        except Ending as ending:
            self._failed(ending)
        except CannotListen as error:
            self._failed(Ending(str(error), UNAVAILABLE))

    def _expect(self) -> None:
        """Take the folder if it is there; what would stop us later stops us here, before we have done anything."""
        if os.path.isdir(self.folder.path):
            self.folder.lock()
        else:
            self.folder.expect()
        if self.tls is not None:
            self.tls.expect()

    def startService(self) -> None:
        """Make the folder ready; the rest follows when the reactor runs."""
        Service.startService(self)
        self._began = time.monotonic()
        try:
            if self._data:
                self._take_folder()
            if self.tls is not None and (self._data or self._speaks_tls()):
                self.folder.prepare()
                self.tls.load()
        except Ending as ending:
            self._failed(ending)
            return
        self._reactor.callWhenRunning(self._start)

    def _take_folder(self) -> None:
        self.folder.prepare()
        self.folder.lock()

    def _speaks_tls(self) -> bool:
        factories = self._factories()
        return any(factory.implicit_tls or factory.offers_tls for factory in factories)

    def _start(self) -> None:
        self._starting = Deferred.fromCoroutine(self._open())
        self._starting.addErrback(self._not_started)

    async def _open(self) -> None:
        if self._data:
            await self._open_data()
        if not self._stopping:
            await self._let_in()
        if self._stopping:
            return
        log.info("launcelot {version} serves {data}", version=launcelot.__version__, data=str(self.folder.path))
        self._serving = True
        self._announce(self)
        self._notifier.ready(self._summary)

    async def _let_in(self) -> None:
        for listeners in self.services.values():
            listeners.release()

    async def _open_data(self) -> None:
        await self.stores.open()
        for step in self._prepare:
            await step(self)
        if not self._stopping:
            self._admin.listen()
            self._caretaker.start(CARE_INTERVAL)

    def _look_after(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._care()).addErrback(lambda failure: log.failure("looking after things", failure))

    async def _care(self) -> None:
        """Renew the certificate when it is due, drop uploads that nobody has continued, do what services want done."""
        if self.tls is not None:
            self.tls.look_after()
        await self.stores.files.reap(time.time() - self.configuration.files.keep_abandoned)
        for name, listeners in list(self.services.items()):
            for chore in listeners.chores:
                if self._stopping:
                    return
                await self._do(name, chore)

    async def _do(self, name: str, chore: Callable[[], Coroutine[Any, Any, object]]) -> None:
        try:
            await chore()
        except Refusal as refusal:
            log.error("what {service} has to have done waits an hour: {reason}", service=name, reason=refusal.text)

    def _not_started(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, Ending):
            self._failed(error)
        elif isinstance(error, BrokenPipeError):
            self._failed(Ending("nobody reads standard output any more", UNAVAILABLE))
        elif isinstance(error, Refusal):
            text = f"{self.folder.path}: {error.text}; the log says more"
            self._failed(Ending(text, CANNOT_CREATE))
        else:
            log.failure("internal error while starting", failure)
            self._failed(Ending("internal error while starting; the log says more", SOFTWARE))

    def _equip(self, name: str, listeners: Listeners, configuration: Configuration) -> Listeners:
        self.part.share(name, sorted(configuration.services).index(name) if listeners.everything else 0, listeners)
        listeners.gate = self._gate
        listeners.trusted = networks(configuration.daemon.proxy_networks)
        listeners.sockets = self._sockets
        return listeners

    # -- reading the configuration again -------------------------------------------------------------------------

    def hung_up(self) -> None:
        """Reload, and say in the log what became of it; for SIGHUP."""
        Deferred.fromCoroutine(self.reload()).addErrback(self._not_reloaded)

    def _not_reloaded(self, failure: Failure) -> None:
        if not failure.check(Ending):
            log.failure("internal error while reading the configuration again", failure)

    async def reload(self) -> Reloaded:
        """
        Read the configuration and the certificate again, and take on what can be taken on; nobody is disconnected.

        :raises Ending: it has faults, or an endpoint cannot be had; all is as it was before.
        """
        if not self._serving or self._stopping:
            raise Ending("the daemon is starting, stopping or reading its configuration already", TEMPORARY)
        self._serving = False
        self._notifier.reloading()
        try:
            done = await self._take_on(*merge(self.configuration, self._reread()))
        except Ending as ending:
            first, *others = ending.text.splitlines()
            more = f" (and {len(others)} more)" if others else ""
            log.error("the configuration stays as it was: {reason}{more}", reason=first, more=more)
            raise
        finally:
            self._serving = True
            if not self._stopping:
                self._notifier.ready(self._summary)
        log.info("{done}", done=str(done))
        return done

    async def _take_on(self, configuration: Configuration, restart: Sequence[str]) -> Reloaded:
        before = self.tls
        tls = tls_of(configuration, before)
        tls_switched = (tls is None) != (before is None)
        known = dict.fromkeys([*SERVICES, *self.configuration.services, *configuration.services])
        names = [name for name in known if tls_switched or self._differs(name, configuration)]
        self.site.tls = tls
        try:
            change = await self._exchange(names, configuration)
        except Ending:
            self.site.tls = before
            raise
        self.tls = tls
        self.configuration = configuration
        opened, closed = [url(one) for one in change.opened], [url(one) for one in change.closed]
        return Reloaded(tls is not before, names, opened, closed, restart)

    def _differs(self, name: str, configuration: Configuration) -> bool:
        if self.configuration.daemon.proxy_networks != configuration.daemon.proxy_networks:
            return True
        return self.configuration.services.get(name) != configuration.services.get(name)

    async def _exchange(self, names: Sequence[str], configuration: Configuration) -> Change:
        chosen = {name: configuration.services[name] for name in names if name in configuration.services}
        built = build_services(self.site, dataclasses.replace(configuration, services=chosen))
        old = {name: self.services.get(name) or Listeners(self._reactor, ()) for name in names}
        new = {name: self._equip(name, built.get(name) or Listeners(self._reactor, ()), configuration) for name in names}
        try:
            if self._data:
                await self.stores.databases.open()
            change = await Exchange([(old[name], new[name]) for name in names]).run()
        except Refusal as refusal:
            raise Ending(f"{self.folder.path}: {refusal.text}; the log says more", CANNOT_CREATE) from refusal
        except CannotListen as error:
            raise Ending(str(error), UNAVAILABLE) from error
        self._retired |= {one.factory for name in names for one in old[name].listeners}
        self.services = {name: kept for name, kept in {**self.services, **new}.items() if kept.everything}
        return change

    async def _told_to_reload(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return dataclasses.asdict(await self.reload())
        except Ending as ending:
            return {"refused": ending.text, "status": ending.status}

    # -- stopping ------------------------------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        """Let nobody in, let sessions finish, close the stores; never longer than ``stop_limit``."""
        Service.stopService(self)
        self._stopping = True
        self._notifier.stopping()
        return Deferred.fromCoroutine(self._stop())

    @property
    def stop_limit(self) -> float:
        """Seconds that stopping may take."""
        return self.configuration.daemon.stop_limit

    async def _stop(self) -> None:
        limit = self.stop_limit
        reserve = min(STORES_LIMIT, limit / 2)
        if self._caretaker.running:
            self._caretaker.stop()
        await self._let_go(limit - reserve)
        closing = Deferred.fromCoroutine(self._close_stores())
        closing.addTimeout(reserve, self._reactor)
        for outcome in await outcomes([closing]):
            if outcome.failure is not None and outcome.failure.check(TimeoutError):
                log.warn("the stores were not closed within {limit} s; the next start goes on where they were", limit=reserve)
            elif outcome.failure is not None:
                log.failure("the stores were not closed in order", outcome.failure)
        self.folder.release()
        self._notifier.stopped()

    async def _let_go(self, limit: float) -> None:
        for listeners in self.services.values():
            await listeners.unlisten()
        await self._admin.close()
        for outcome in await outcomes([factory.drain(limit) for factory in self._factories()]):
            if outcome.failure is not None:
                log.failure("a service was not drained", outcome.failure)

    async def _close_stores(self) -> None:
        if self._starting is not None:
            await self._starting
        if self._data:
            await self.stores.close()

    # -- what people ask -----------------------------------------------------------------------------------------

    @property
    def listening(self) -> list[Listening]:
        """What listens where, over all services."""
        return [one for listeners in self.services.values() for one in listeners.listening]

    @property
    def connections(self) -> dict[str, int]:
        """Open connections by the name of the listener."""
        found: dict[str, int] = {}
        for factory in sorted(self._factories(), key=lambda one: one.name):
            found[factory.name] = found.get(factory.name, 0) + len(factory.sessions)
        return found

    def sever(self) -> None:
        """Cut every connection now."""
        for factory in self._factories():
            for session in list(factory.sessions):
                session.abort()

    def _factories(self) -> set[ServerFactory]:
        """Those of the services, and those that a reload has replaced, while they have sessions."""
        self._retired = {factory for factory in self._retired if factory.sessions}
        return self._retired | {one.factory for listeners in self.services.values() for one in listeners.listeners}

    def _summary(self) -> str:
        """One line for ``systemctl status``."""
        return f"{len(self.listening)} listeners, {sum(self.connections.values())} connections"

    async def _status(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "version": launcelot.__version__,
            "pid": os.getpid(),
            "uptime": round(time.monotonic() - self._began, 3),
            "hostname": self.site.hostname,
            "data": str(self.folder.path),
            "listeners": [
                {"name": one.name, "host": one.host, "port": one.port, "tls": one.tls} for one in self.listening
            ],
            "connections": self.connections,
            "spool": await self.stores.waiting(),
            "counters": dict(self.site.counters.snapshot()),
        }

    async def _forget(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        account = AccountId(str(request.get("account", "")))
        await self.stores.mail.remove(account)
        await self.stores.files.remove(account)
        return {"forgotten": account}

    async def _end_sessions(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Whoever is logged in under a name goes: its password is another now, or it may not log in any more."""
        name = str(request.get("name", ""))
        return {"ended": sum(factory.dismiss(name) for factory in self._factories())}

    async def _queue(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return await queueing.answer(self.stores.spools, request)

    async def _changed(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """A command beside us has changed mail; whoever watches those mailboxes is told, in other workers, too."""
        account = AccountId(str(request.get("account", "")))
        given = request.get("mailboxes")
        mailboxes = [number for number in given if isinstance(number, int)] if isinstance(given, list) else []
        self.stores.mail.changed(account, mailboxes)
        self.part.wrote(account, mailboxes)
        return {"changed": account}
