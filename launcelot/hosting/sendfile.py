"""
Sends part of a file on a plain TCP connection by ``sendfile(2)``: the kernel moves the octets, Python does not see them.

The reactor thread makes the call, so the octets should lie in memory already; whoever hands out the file sees to that.  Inside
TLS, and on transports that are no sockets or that somebody listens in on, it cannot be used; see :func:`takes_files`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

MOST = 1 << 20
"""Octets sent in one event at most; then others have their turn."""


def takes_files(transport: Any) -> bool:
    """
    Whether a transport is a plain TCP connection itself, and neither a layer on one nor a stand-in for one.

    What is written to it before has to have left when a file is begun.
    """
    return issubclass(type(transport), tcp.Connection) and not transport.TLS


@implementer(IPullProducer)
class FileSender:
    """
    One part of a file on its way; the transport has no other producer meanwhile.

    :param descriptor: open for reading; stays open until ``over`` was called or :meth:`stop` has been.
    :param over: called once, with what went wrong or None; inside :meth:`start` if the kernel took all at once.
    :param moved: called with how many octets the kernel has taken, each time.
    :ivar left: octets the kernel has not taken yet.
    """

    wants_events = True
    """:class:`~launcelot.hosting.transport.EagerServer` calls us in each write event until we say that we have done."""

    def __init__(
        self,
        transport: tcp.Connection,
        descriptor: int,
        offset: int,
        length: int,
        over: Callable[[OSError | None], None],
        moved: Callable[[int], None],
    ) -> None:
        self.left = length
        self._transport: Any = transport
        self._descriptor = descriptor
        self._offset = offset
        self._moved = moved
        self._over: Callable[[OSError | None], None] | None = over

    def start(self) -> None:
        """Send what the kernel takes now, and the rest in write events."""
        self._transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """The kernel has room."""
        if self._over is None:
            return
        try:
            sent = os.sendfile(self._transport.fileno(), self._descriptor, self._offset, min(self.left, MOST))
        except BlockingIOError:
            self._transport.startWriting()
            return
        except OSError as error:
            self._end(error)
            return
        if not sent:
            self._end(OSError(errno.EIO, "the file is shorter than it was"))
            return
        self._offset += sent
        self.left -= sent
        self._moved(sent)
        if self.left:
            self._transport.startWriting()
        else:
            self._end(None)

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._end(ConnectionResetError(errno.ECONNRESET, "the connection was lost"))

    def stop(self) -> None:
        """Touch the file no more, and tell nobody; may be called again."""
        if self._over is not None:
            self._over = None
            self._transport.stopWriting()
            self._transport.unregisterProducer()

    def _end(self, error: OSError | None) -> None:
        over = self._over
        if over is not None:
            self.stop()
            over(error)
