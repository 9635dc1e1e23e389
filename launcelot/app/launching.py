"""
How a worker process comes to what it needs: sockets, orders, shared memory, a way to write its log.

Everything is handed over as open descriptors, in an order that both sides know.  Nothing that could be a secret is on the
command line or in the environment; the orders are a file without a name.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import mmap
import os
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.protocol import Factory

from launcelot.app.catalogue import SERVICES
from launcelot.app.configuration import Configuration, interpret
from launcelot.app.crew import Worker
from launcelot.app.errors import CONFIGURATION, Ending
from launcelot.app.settings import CONFIG_VERSION
from launcelot.core.sharing import KEY, SharedNumbers, size_of

BUS, ORDERS, NUMBERS, LOG, LOCK, FIRST_SOCKET = 3, 4, 5, 6, 7, 8
"""Descriptors of a worker; the listening sockets come last."""

TABLES = ("daemon", "accounts", "files", "tls", "relay")


@dataclass(frozen=True)
class Orders:
    """
    What a worker is told before it starts.

    :ivar number: its number, from 0.
    :ivar of: how many there are.
    :ivar tables: the configuration, as a file would have it; its endpoints are the sockets that are handed over.
    :ivar sockets: how many those are.
    :ivar key: of the shared numbers.
    :ivar auth: checkers as ``--auth`` names them.
    """

    number: int
    of: int
    tables: Mapping[str, Any]
    sockets: int
    key: bytes = field(repr=False)
    auth: Sequence[str] = field(default=(), repr=False)

    def encode(self) -> bytes:
        """For :func:`read_orders`."""
        key = base64.b64encode(self.key).decode()
        return json.dumps({**dataclasses.asdict(self), "key": key}).encode()


def read_orders(octets: bytes) -> Orders:
    """The other half of :meth:`Orders.encode`."""
    given = json.loads(octets)
    return Orders(**{**given, "key": base64.b64decode(given["key"]), "auth": tuple(given["auth"])})


def tables_of(configuration: Configuration) -> dict[str, Any]:
    """A configuration as its file would have it, with every key."""
    tables: dict[str, Any] = {name: dataclasses.asdict(getattr(configuration, name)) for name in TABLES}
    tables["config_version"] = CONFIG_VERSION
    tables["daemon"]["data"] = str(configuration.data)
    tables.update({name: {"enabled": False} for name in SERVICES})
    tables.update({name: dataclasses.asdict(settings) for name, settings in configuration.services.items()})
    listed: dict[str, Any] = json.loads(json.dumps(tables))
    return listed


def configuration_of(tables: Mapping[str, Any]) -> Configuration:
    """
    The configuration of such tables.

    :raises Ending: something it names, such as a table of answers, has become wrong meanwhile.
    """
    configuration, problems = interpret(tables)
    if problems:
        raise Ending("\n".join(f"{'.'.join(one.path)}: {one.text}" for one in problems), CONFIGURATION)
    return configuration


class Memory:
    """
    The memory that all workers share.

    :param rows: one for each worker.
    """

    def __init__(self, rows: int) -> None:
        self.key = secrets.token_bytes(KEY)
        self.descriptor = os.memfd_create("launcelot-numbers", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, size_of(rows))
        self._numbers = numbers_in(self.descriptor, rows, 0, self.key)

    def clear(self, row: int) -> None:
        """Forget what a worker that has ended had counted."""
        self._numbers.clear(row)


def numbers_in(descriptor: int, rows: int, row: int, key: bytes) -> SharedNumbers:
    """The shared numbers as one process sees them."""
    return SharedNumbers(memoryview(mmap.mmap(descriptor, size_of(rows))), rows, row, key)


@dataclass
class Launcher:
    """
    Starts processes.

    :ivar orders: for the next worker, with another's number.
    :ivar sockets: descriptors of the listening sockets.
    :ivar lock: the descriptor that keeps the data folder ours, for as long as any process of ours lives.
    """

    reactor: Any
    memory: Memory
    orders: Orders
    sockets: Sequence[int]
    lock: int

    def __call__(self, worker: Worker) -> None:
        """
        Start a worker's process, and connect its bus.

        :raises OSError: there can be no further process.
        """
        orders = dataclasses.replace(self.orders, number=worker.number)
        ours, theirs = socket.socketpair()
        with ours, theirs, open(written(orders.encode()), "rb") as document, open(os.devnull, "rb") as nothing:
            given: dict[int, int | str] = {0: nothing.fileno(), 1: "r", 2: "r", BUS: theirs.fileno(), LOG: "r"}
            given |= {ORDERS: document.fileno(), NUMBERS: self.memory.descriptor, LOCK: self.lock}
            given |= {FIRST_SOCKET + place: one for place, one in enumerate(self.sockets)}
            self.reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, OneBus(worker))
            self.reactor.spawnProcess(
                worker,
                sys.executable,
                [sys.executable, "-P", "-m", "launcelot.app.worker", str(worker.number)],
                environment(os.environ, sys.path),
                childFDs=given,
            )


class OneBus(Factory):
    """For a connection that is there already."""

    noisy = False

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def buildProtocol(self, addr: Any) -> Any:
        """The worker's bus."""
        return self._worker.bus


def written(octets: bytes) -> int:
    """The descriptor of a file without a name that holds some octets."""
    descriptor = os.memfd_create("launcelot-orders", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(octets)
    return descriptor


OURS_ALONE = ("LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_", "JOURNAL_STREAM")
"""Beginnings of variables that are about one process."""


def environment(of: Mapping[str, str], path: Sequence[str]) -> dict[str, str]:
    """
    A worker's environment: ours, but for what concerns us alone, and modules are found where we find them.

    :param path: where modules are found; the empty one is the present folder.
    """
    kept = {name: value for name, value in of.items() if not name.startswith(OURS_ALONE)}
    kept["PYTHONPATH"] = os.pathsep.join(os.path.abspath(one) for one in path)
    return kept
