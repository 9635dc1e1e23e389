"""
The daemon with several workers: binds the ports, prepares the data folder, has others serve.

The master serves nobody.  It holds what there is one of (folder, certificate, admin socket, the service manager's ear), starts
the workers and hands each of them all listening sockets, so that whoever is free takes the next peer and one that is stuck
takes nobody.  What one worker must know of another goes through it (:mod:`launcelot.app.crew`).

What waits for a restart here although one process could do without: endpoints that come or go, and with them services; TLS
switched on or off.
"""

from __future__ import annotations

import dataclasses
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.logger import Logger

from launcelot.app.admin import AdminFactory, AdminSocket
from launcelot.app.bus import Message
from launcelot.app.configuration import Configuration
from launcelot.app.crew import Crew, State, Worker
from launcelot.app.daemon import CARE_INTERVAL, Daemon
from launcelot.app.errors import UNAVAILABLE, Ending
from launcelot.app.faulting import summed
from launcelot.app.launching import LOG, Launcher, Memory, Orders, tables_of
from launcelot.app.queueing import together
from launcelot.app.reloading import Reloaded
from launcelot.app.site import build_services, tls_of
from launcelot.app.workerlog import relog, relog_output
from launcelot.core.errors import NotFound, TryLater
from launcelot.hosting.proxy import PROXIED

log = Logger(namespace="launcelot.daemon")

SHARED = ("tcp", "tcp6", "udp", "udp6", "unix", "systemd")
"""Kinds of endpoints whose sockets several processes can serve."""

OWN = ("status", "forget", "reload", "end", "queue")
"""What the master answers at the admin socket; everything else is asked of the first worker."""

STATUS_LIMIT = 2.0
"""Seconds that a worker may take to say how it is; of one that takes longer its last report is told."""

LEAVE_LIMIT = 20.0
"""Seconds that workers may take to let go of an account."""


class Master(Daemon):
    """
    One daemon on one data folder, served by workers; the parameters are those of :class:`Daemon`.

    :param auth: checkers as ``--auth`` names them, for the workers to make.
    """

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        failed: Callable[[Ending], None],
        *,
        auth: Sequence[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(reactor, configuration, failed, **options)
        self._auth = tuple(auth)
        daemon = self.configuration.daemon
        self._prepared = False
        self._memory = Memory(daemon.workers)
        self._launcher: Launcher | None = None
        self.answers = {name: answer if name in OWN else self._other for name, answer in self.answers.items()}
        if configuration.daemon.faults:
            self.answers["fault"] = self._fault
        self._admin = AdminSocket(self._reactor, self.configuration.admin_socket, AdminFactory(self.answers))
        self._spread: Mapping[tuple[str, str], Sequence[str]] = {}
        self.crew = Crew(
            self._reactor,
            daemon.workers,
            self._launch,
            daemon.worker_patience,
            self._answer_worker,
            self._said,
            self._memory.clear,
        )

    # -- starting ------------------------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Take the folder if it is there already, and bind the ports."""
        for settings in self.configuration.services.values():
            for endpoint in (one for key in vars(settings) if key.startswith("listen") for one in getattr(settings, key)):
                kind = endpoint.removeprefix(PROXIED).partition(":")[0]
                if kind not in SHARED:
                    text = f"{endpoint!r}: several workers can only share {', '.join(SHARED)}; use these, or one worker"
                    self._failed(Ending(text, UNAVAILABLE))
                    return
        super().privilegedStartService()

    async def _open_data(self) -> None:
        """Prepare what has to be there before anybody serves; the stores are the workers' from then on."""
        await self.stores.accounts.open()
        for step in self._prepare:
            await step(self)
        await self.stores.close()
        self._prepared = True
        if not self._stopping:
            self._admin.listen()
            self._caretaker.start(CARE_INTERVAL)

    async def _let_in(self) -> None:
        sockets = self._share_out()
        lock = self.folder.descriptor
        if lock is None:
            raise Ending(f"{self.folder.path}: the folder is not held", UNAVAILABLE)
        self._launcher = Launcher(self._reactor, self._memory, self._orders(self.configuration, len(sockets)), sockets, lock)
        try:
            await self.crew.open()
        except Ending:
            if not self._stopping:
                raise

    def _share_out(self) -> list[int]:
        """The listening sockets, and in their order the endpoints that a worker has in place of ours."""
        sockets: list[int] = []
        spread: dict[tuple[str, str], list[str]] = {}
        for name, listeners in self.services.items():
            places = self.configuration.entry(name).places
            for listener, port in listeners.ports:
                given = getattr(port, "socket", None)
                if given is None:
                    raise Ending(f"{listener.name}: this socket cannot be shared; use one worker", UNAVAILABLE)
                before = PROXIED if listener.endpoint.startswith(PROXIED) else ""
                key = (name, places[listener.name].setting)
                spread.setdefault(key, []).append(f"{before}systemd:index={len(sockets)}")
                sockets.append(given.fileno())
        self._spread = spread
        return sockets

    def _orders(self, configuration: Configuration, sockets: int) -> Orders:
        tables = tables_of(self._for_workers(configuration))
        return Orders(0, configuration.daemon.workers, tables, sockets, self._memory.key, self._auth)

    def _for_workers(self, configuration: Configuration) -> Configuration:
        """A configuration whose endpoints are the sockets we hand over, in their order."""
        nowhere = {
            (name, place.setting): ()
            for name in configuration.services
            for place in configuration.entry(name).places.values()
        }
        return configuration.listening({**nowhere, **self._spread})

    def _launch(self, worker: Worker) -> None:
        if self._launcher is not None:
            self._launcher(worker)

    # -- what workers say ----------------------------------------------------------------------------------------

    def _said(self, worker: Worker, descriptor: int, line: bytes) -> None:
        if descriptor != LOG:
            relog_output(worker.number, line)
            return
        word = relog(worker.number, line)
        if word is not None:
            worker.reason = Ending(str(word["ending"]), int(word["status"]))

    async def _answer_worker(self, question: Message) -> Message:
        raise NotFound("the master answers no questions")

    # -- looking after things ------------------------------------------------------------------------------------

    async def _care(self) -> None:
        """Renew the certificate when it is due; workers see that it has changed.  The rest is the first worker's."""
        if self.tls is not None:
            self.tls.look_after()

    # -- reading the configuration again -------------------------------------------------------------------------

    async def _take_on(self, configuration: Configuration, restart: Sequence[str]) -> Reloaded:
        configuration, waiting = keep_listeners(self.configuration, configuration)
        before = self.tls
        tls = tls_of(configuration, before)
        names = [name for name in configuration.services if self._differs(name, configuration)]
        chosen = {name: configuration.services[name] for name in names}
        # Only to see whether they can be built; they serve nobody here.
        build_services(self.site, dataclasses.replace(configuration, services=chosen))
        self.tls = self.site.tls = tls
        self.configuration = configuration
        await self._pass_on(configuration)
        return Reloaded(tls is not before, names, (), (), [*restart, *waiting])

    async def _pass_on(self, configuration: Configuration) -> None:
        """Have the workers take a configuration on; one that does not is replaced by one that starts with it."""
        if self._launcher is None:
            return
        self._launcher.orders = orders = self._orders(configuration, len(self._launcher.sockets))
        self.crew.generation += 1
        answers = await self.crew.ask_all({"ask": "reload", "tables": orders.tables})
        for worker in self.crew.workers:
            answer = answers.get(worker.number, {"refused": "no answer"})
            if "refused" in answer:
                log.error("worker {number} is replaced: {reason}", number=worker.number, reason=answer["refused"])
                worker.signal(signal.SIGTERM)

    # -- stopping ------------------------------------------------------------------------------------------------

    async def _let_go(self, limit: float) -> None:
        for listeners in self.services.values():
            await listeners.unlisten()
        await self._admin.close()
        await self.crew.stop(self.stop_limit)

    async def _close_stores(self) -> None:
        if not self._prepared:
            await super()._close_stores()

    # -- what people ask -----------------------------------------------------------------------------------------

    @property
    def connections(self) -> dict[str, int]:
        """Open connections by the name of the listener, as the workers last said."""
        found: Counter[str] = Counter()
        for worker in self.crew.workers:
            found.update(worker.report.get("connections", {}))
        return dict(sorted(found.items()))

    async def _status(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        own = dict(await super()._status(request))
        answers = await self.crew.ask_all({"ask": "status"}, STATUS_LIMIT)
        counters: Counter[str] = Counter(self.crew.past)
        connections: Counter[str] = Counter()
        for worker in self.crew.workers:
            answer = answers.get(worker.number)
            counters.update(answer["counters"] if answer else worker.report.get("sums", {}))
            connections.update(answer["connections"] if answer else worker.report.get("connections", {}))
        own["counters"] = dict(sorted(counters.items()))
        own["connections"] = dict(sorted(connections.items()))
        own["spool"] = sum(answer["spool"] for answer in answers.values())
        own["workers"] = [self._row(post.number, post.restarts, post.worker, answers) for post in self.crew.posts]
        return own

    def _row(self, number: int, restarts: int, worker: Worker | None, answers: Mapping[int, Message]) -> dict[str, Any]:
        answer = answers.get(number) or (worker.report if worker else {})
        stuck = worker is not None and worker.state is State.SERVING and number not in answers
        return {
            "number": number,
            "pid": worker.process_id if worker else 0,
            "state": "stuck" if stuck else worker.state.value if worker else State.ENDED.value,
            "uptime": round(self._reactor.seconds() - worker.began, 3) if worker else 0.0,
            "restarts": restarts,
            "connections": sum(answer.get("connections", {}).values()),
        }

    async def _forget(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """All others let go of the account, then one removes what is on disk."""
        account = str(request.get("account", ""))
        if not self.crew.serving:
            raise TryLater("no worker serves now")
        first, *others = self.crew.serving
        leaving = [one.number for one in others]
        try:
            left = await self.crew.ask_all({"ask": "leave", "account": account}, LEAVE_LIMIT, leaving)
            if len(left) < len(leaving):
                raise TryLater("a worker does not let go of the account; try again")
            return await first.bus.ask({"ask": "forget", "account": account})
        finally:
            for worker in self.crew.serving:
                worker.bus.tell("removed", account=account)

    async def _end_sessions(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        answers = await self.crew.ask_all({"ask": "end", "name": str(request.get("name", ""))}, LEAVE_LIMIT)
        return {"ended": sum(answer["ended"] for answer in answers.values())}

    async def _queue(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Each worker has its part."""
        answers = await self.crew.ask_all(request)
        if len(answers) < len(self.crew.posts):
            raise TryLater("a worker does not answer now")
        return together([answers[number] for number in sorted(answers)])

    async def _fault(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Each worker has the same faults and counts for itself."""
        answers = await self.crew.ask_all(request)
        if len(answers) < len(self.crew.posts):
            raise TryLater("a worker does not answer now")
        return summed([answers[number] for number in sorted(answers)])

    async def _other(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self.crew.ask_one(request)


def keep_listeners(now: Configuration, wanted: Configuration) -> tuple[Configuration, list[str]]:
    """
    A configuration without what would need other sockets.

    :returns: it, and the keys that wait for a restart.
    """
    waiting = [name for name in {**now.services, **wanted.services} if (name in now.services) != (name in wanted.services)]
    services = dict(now.services)
    for name in now.services.keys() & wanted.services.keys():
        old, new = now.services[name], wanted.services[name]
        keys = {place.setting for place in now.entry(name).places.values()}
        waiting += [f"{name}.{key}" for key in sorted(keys) if getattr(old, key) != getattr(new, key)]
        services[name] = dataclasses.replace(new, **{key: getattr(old, key) for key in keys})
    tls = wanted.tls
    if now.tls.enabled != tls.enabled:
        waiting.append("tls.enabled")
        tls = now.tls
    kept = dataclasses.replace(wanted, services={name: services[name] for name in now.services}, guests=now.guests, tls=tls)
    return kept, sorted(waiting)
