"""
The admin socket: one Unix socket in the data folder that answers questions about the running daemon.

A request and its answer are one line of JSON each.  The socket has mode 0600 in a folder of mode 0700, and the peer's user id is
checked as well where the kernel tells it; so only the daemon's own user and root are answered.  Requests::

    {"ask": "status"}                         version, uptime, listeners, connections, counters
    {"ask": "forget", "account": "<id>"}      remove an account's mail and files
    {"ask": "end", "name": "<log-in name>"}   end the sessions of whoever is logged in under it
    {"ask": "changed", "account": "<id>", "mailboxes": [1]}   mail was changed by somebody else; tell who watches
    {"ask": "queue", "do": "list"}            mail that waits; see :mod:`launcelot.app.queueing`
    {"ask": "fault", "do": "add", "sentence": "at.smtp('RCPT').stalls()"}   have something go wrong, where faults are allowed
    {"ask": "reload"}                         read the configuration again; "refused" and "status" where it stays as it is
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from launcelot.app.asking import ShortPath
from launcelot.app.errors import CANNOT_CREATE, Ending
from launcelot.app.folder import cannot_write
from launcelot.core.errors import Refusal

MAX_REQUEST = 4_096
"""Octets of one request."""

Answering = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Answers one kind of request; refuses by raising a Refusal."""

log = Logger(namespace="launcelot.admin")


class AdminProtocol(LineOnlyReceiver):
    """One who asks: one request, one answer, then the connection is closed."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_REQUEST
    factory: AdminFactory

    def connectionMade(self) -> None:
        """Send strangers away."""
        self.factory.open.add(self)
        self._asked = False
        transport: Any = self.transport
        if not is_trusted(transport.getHandle()):
            log.warn("a process of another user was refused at the admin socket")
            transport.abortConnection()

    def lineReceived(self, line: bytes) -> None:
        """Answer the first line; nothing is expected behind it."""
        if not self._asked:
            self._asked = True
            Deferred.fromCoroutine(self._answer(line)).addErrback(self._failed)

    async def _answer(self, line: bytes) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        ask = self.factory.answers.get(str(request.get("ask"))) if isinstance(request, dict) else None
        if ask is None:
            self._send({"error": "unknown request"})
            return
        try:
            self._send(await ask(request))
        except Refusal as refusal:
            self._send({"error": refusal.text})

    def _failed(self, failure: Failure) -> None:
        log.failure("internal error at the admin socket", failure)
        self._send({"error": "internal error"})

    def _send(self, answer: Mapping[str, Any]) -> None:
        if self.connected:
            transport: Any = self.transport
            transport.write(json.dumps(answer, separators=(",", ":")).encode() + self.delimiter)
            transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """What is being answered is done all the same; nobody hears it."""
        self.factory.open.discard(self)


class AdminFactory(Factory):
    """
    Answers at the admin socket.

    :param answers: by the request's ``ask``.
    """

    noisy = False
    protocol = AdminProtocol  # type: ignore[assignment]

    def __init__(self, answers: Mapping[str, Answering]) -> None:
        self.answers = answers
        self.open: set[AdminProtocol] = set()

    def close(self) -> None:
        """Drop whoever is connected."""
        for protocol in list(self.open):
            transport: Any = protocol.transport
            transport.abortConnection()


def is_trusted(handle: socket.socket) -> bool:
    """Whether the process at the other end runs as our user or as root."""
    size = struct.calcsize("3i")
    try:
        _, user, _ = struct.unpack("3i", handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    except OSError:
        return False
    return user in (0, os.geteuid())


class AdminSocket:
    """
    The listening socket.

    :param path: where; the caller holds the data folder's lock, so what is there was left by a killed daemon.
    """

    def __init__(self, reactor: Any, path: Path, factory: AdminFactory) -> None:
        self._reactor = reactor
        self._path = path
        self._factory = factory
        self._port: Any = None
        self._short = ShortPath(path)

    def listen(self) -> None:
        """
        Listen.

        :raises Ending: the socket cannot be made.
        """
        try:
            self._path.unlink(missing_ok=True)
            self._port = self._reactor.listenUNIX(self._short.open(), self._factory, mode=0o600)
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
            text = f"{self._path}: cannot listen: {reason}; choose another path with admin_socket"
            raise Ending(text, CANNOT_CREATE) from error
        except OSError as error:
            raise cannot_write(self._path, error) from error

    async def close(self) -> None:
        """Close it and drop whoever is connected."""
        port, self._port = self._port, None
        if port is not None:
            await port.stopListening()
        self._factory.close()
        self._short.close()
