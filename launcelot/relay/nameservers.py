"""
DNS servers as they are asked through ``twisted.names``: whole messages, from whom was asked only, signed data where it is wanted.

A socket is connected to its server, so that the kernel drops what others send, and has a port of its own for each question;
an answer that repeats another question than ours is none (RFC 5452 section 9.1).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from twisted.internet.abstract import isIPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import CannotListenError
from twisted.names import client, dns
from twisted.names.error import DNSFormatError, DNSQueryTimeoutError
from twisted.python.failure import Failure

PAYLOAD = 1_232
"""Octets of the largest datagram that is asked for.  RFC 9715 section 3.1."""

MOST = 65_535
"""Octets of the largest that is read: what does not fit would be dropped without a word."""

DNSSEC_OK = 0x8000
"""In the place of an OPT record's time to live.  RFC 3225 section 3."""


class OptRecord:
    """Asks for signed data, in the additional section of a question.  RFC 6891 section 6.1.2."""

    def encode(self, stream: Any, compress: Any = None) -> None:
        """The root's name, type, size of datagrams, flags, no options."""
        stream.write(struct.pack("!BHHIH", 0, dns.OPT, PAYLOAD, DNSSEC_OK, 0))


def signed(message: Any) -> Any:
    """A question whose answer says whether it was validated.  RFC 6840 section 5.7."""
    message.authenticData = 1
    message.additional = [OptRecord()]
    return message


class Datagrams(dns.DNSDatagramProtocol):
    """
    Questions over UDP.

    :param asker: whose they are.
    """

    def __init__(self, asker: Asking) -> None:
        dns.DNSDatagramProtocol.__init__(self, asker, asker._reactor)
        self._dnssec = asker.dnssec

    def writeMessage(self, message: Any, address: tuple[str, int]) -> None:
        """Send a question."""
        dns.DNSDatagramProtocol.writeMessage(self, signed(message) if self._dnssec else message, address)


class Strings(dns.DNSProtocol):
    """Questions over TCP."""

    controller: Asking

    def writeMessage(self, message: Any) -> None:
        """Send a question."""
        dns.DNSProtocol.writeMessage(self, signed(message) if self.controller.dnssec else message)


class StringsFactory(client.DNSClientFactory):
    """Connections for answers that are too large for a datagram."""

    controller: Asking

    def buildProtocol(self, addr: Any) -> Any:
        """One connection, with timers of the resolver's reactor."""
        made: Any = Strings
        protocol = made(self.controller, self.controller._reactor)
        protocol.factory = self
        return protocol


class Asking(client.Resolver):
    """
    ``twisted.names``' resolver, giving whole messages.

    :param dnssec: ask for signed data.
    """

    _parseCall: Any = None

    def __init__(self, reactor: Any, servers: Sequence[tuple[str, int]], dnssec: bool, timeouts: Sequence[float]) -> None:
        given = list(servers)
        client.Resolver.__init__(self, None if given else "/etc/resolv.conf", given, timeouts, reactor)
        self.dnssec = dnssec
        made: Any = StringsFactory
        self.factory = made(self, timeouts)

    def _query(self, *args: Any) -> Any:
        """One question to one server, by a socket that hears nobody else; one that cannot be reached does not answer."""
        made: Any = Datagrams
        host, port = args[0]
        protocol = made(self)
        try:
            self._reactor.listenUDP(0, protocol, interface="::" if isIPv6Address(host) else "", maxPacketSize=MOST)
            protocol.transport.connect(host, port)
        except (CannotListenError, OSError):
            if protocol.transport is not None:
                protocol.transport.stopListening()
            return fail(DNSQueryTimeoutError(dns.randomSource()))
        asked = protocol.query(*args)

        def ended(result: Any) -> Any:
            protocol.transport.stopListening()
            return result

        return asked.addBoth(ended)

    def filterAnswers(self, message: Any) -> Any:
        """The message, by TCP where it was cut short; its error if it has one."""
        if message.trunc:
            again: Any = self.queryTCP
            return again(message.queries).addCallback(self.filterAnswers)
        if message.rCode == dns.OK:
            return message
        known: Any = self.exceptionForCode
        return Failure(known(message.rCode)(message))


class NameServers:
    """
    The servers of a configuration.

    :param servers: address and port of each; none for those of ``/etc/resolv.conf``, which is read again when it changes.
    :param dnssec: ask for signed data.
    :param timeouts: seconds for one answer, before it is asked for again.
    """

    def __init__(self, reactor: Any, servers: Sequence[tuple[str, int]], dnssec: bool, timeouts: Sequence[float]) -> None:
        self._asking: Any = Asking(reactor, servers, dnssec, timeouts)

    def ask(self, name: str, kind: int) -> Deferred[Any]:
        """The message that answers a question; fails with what ``twisted.names.error`` has."""
        question = name.encode("ascii")
        asked: Deferred[Any] = self._asking._lookup(question, dns.IN, kind, None)

        def checked(message: Any) -> Any:
            repeated = [(bytes(one.name.name).lower(), one.type) for one in message.queries]
            if repeated != [(question.lower(), kind)]:
                raise DNSFormatError(message)
            return message

        return asked.addCallback(checked)

    def close(self) -> None:
        """Let go of timers and connections."""
        asking = self._asking
        if asking._parseCall is not None and asking._parseCall.active():
            asking._parseCall.cancel()
        for one in list(asking.connections):
            one.transport.abortConnection()
