"""
The calling side: how connections fail, in words a caller can tell apart.

A client's requests end in a :class:`CallError` when the connection does; :func:`why` finds the right one.  For TLS the caller
hands in the endpoint or the context: ``optionsForClientTLS(hostname)`` verifies certificate and name.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from launcelot.core.wire import DeadlinePassed


class CallError(Exception):
    """A request that was not answered."""


class Refused(CallError):
    """Nobody listens there."""


class Unreachable(CallError):
    """The connection could not be made."""


class TimedOut(CallError):
    """No connection, or no answer, in time."""


class Reset(CallError):
    """The connection was reset."""


class Closed(CallError):
    """The connection was closed before the answer began."""


class Truncated(CallError):
    """The connection was closed in the middle of the answer."""


class Untrusted(CallError):
    """TLS failed: the certificate is not trusted, is another host's, or the peer does not speak TLS."""


class Confused(CallError):
    """The peer said what the protocol does not allow."""


async def connect(endpoint: IStreamClientEndpoint, factory: IProtocolFactory) -> Any:
    """
    Connect; the protocol that the factory made.

    :raises Refused: nobody listens there.
    :raises TimedOut: no connection in time.
    :raises Unreachable: any other reason, such as a name that is not known.
    """
    try:
        return await endpoint.connect(factory)
    except ConnectionRefusedError as error:
        raise Refused(str(error)) from error
    except TimeoutError as error:
        raise TimedOut(str(error)) from error
    except (ConnectError, DNSLookupError) as error:
        raise Unreachable(str(error)) from error


def why(result: Failure | None, lost: Failure | None, begun: bool) -> CallError:
    """
    Why a request got no answer.

    :param result: how reading ended, if it did.
    :param lost: why the connection was lost, if it was.
    :param begun: whether some of the answer had come.
    """
    if result is not None and isinstance(result.value, CallError):
        return result.value
    if result is not None and result.check(DeadlinePassed):
        return TimedOut("no answer in time")
    if lost is not None and lost.check(ConnectionLost, ConnectionAborted):
        return Reset("the connection was reset")
    if lost is not None and not lost.check(ConnectionDone):
        return Untrusted(str(lost.value) or type(lost.value).__name__)
    return Truncated("the answer broke off") if begun else Closed("closed before the answer")


def is_secure(transport: object) -> bool:
    """Whether a transport speaks TLS, as one does that came from a wrapped endpoint."""
    return isinstance(transport, TLSMemoryBIOProtocol) or bool(getattr(transport, "TLS", False))
