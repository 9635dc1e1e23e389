"""
The PROXY protocol, versions 1 and 2: who a client behind a load balancer is, told in a header before its first octet.

The standard is HAProxy's ``proxy-protocol.txt``.  The header is read before limits, greeting and TLS, and counts only when it
comes from a trusted network: whoever may tell a source address may pretend to be anybody.  Invariants:

- Until the header is whole and right no session exists; what is malformed, late or untrusted is closed without a word and
  counted.
- Not one octet behind the header is touched; it is the session's, be it the first command or the start of TLS.
- From then on the transport names the told client as its peer, so limits, log and logging in without TLS see that address.

A header without a client (``UNKNOWN``, ``LOCAL``, unspecified) leaves the balancer's own address, and so does one of a Unix
socket's client, which has no address that limits could count.

Left out: the told destination (data connections of FTP are made on addresses that we really have), and the meaning of the
extensions of version 2; they are checked for form, and the checksum where there is one.
"""

from __future__ import annotations

import ipaddress
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from launcelot.hosting.server import ServerFactory

log = Logger(namespace="launcelot.proxy")

PROXIED = "proxied:"
"""Before an endpoint whose clients come through a load balancer."""

MAX_LINE = 107
"""Octets of a header of version 1, CRLF included.  Section 2.1."""

MAX_REST = 4_096
"""Octets of a header of version 2 behind its first sixteen; the standard allows 65,535, senders need a few hundred."""

HEADER_LIMIT = 5.0
"""Seconds from connecting to a whole header."""

LOG_INTERVAL = 1.0
"""Seconds between lines about connections that were closed."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


# -- grammar -------------------------------------------------------------------------------------------------------


class Malformed(ValueError):
    """Not a header; the text says what is wrong with it, for the log."""


@dataclass(frozen=True, slots=True)
class Header:
    """
    A whole header.

    :ivar length: octets; what follows is the session's.
    :ivar source: the client's address and port; None where the connection's own peer is meant.
    """

    length: int
    source: tuple[Address, int] | None = None


_PREFIX = b"PROXY "
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED = struct.Struct("!12sBBH")
_PORT = rb"(0|[1-9][0-9]{0,4})"
# Section 2.1; what stands behind UNKNOWN is ignored.
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|(?P<kind>TCP4|TCP6) (?P<source>[0-9A-Fa-f:.]+) (?P<target>[0-9A-Fa-f:.]+) "
    rb"(?P<from>" + _PORT + rb") (?P<to>" + _PORT + rb"))\r\n"
)

_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
# Octets of addresses and ports, by family and transport.  Section 2.2.
_ADDRESSES = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}
_CRC32C = 0x03


def parse(data: bytes) -> Header | None:
    """
    The header that a connection begins with.

    :param data: all octets received so far.
    :returns: None while more are needed; at most ``16 + MAX_REST`` ever are.
    :raises Malformed: this will never be one.
    """
    if data[: len(_PREFIX)] == _PREFIX[: len(data)]:
        return _parse_line(data)
    if data[: len(_SIGNATURE)] == _SIGNATURE[: len(data)]:
        return _parse_binary(data)
    raise Malformed("no header of the PROXY protocol")


def _parse_line(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, MAX_LINE)
    if end < 0:
        if len(data) >= MAX_LINE:
            raise Malformed("the line is too long")
        if b"\n" in data:
            raise Malformed("the line does not end with CRLF")
        return None
    found = _LINE.fullmatch(data, 0, end + 2)
    if found is None:
        raise Malformed("the line is wrong")
    if found["kind"] is None:
        return Header(end + 2)
    source = _numeric(found["kind"], found["source"])
    _numeric(found["kind"], found["target"])
    _number(found["to"])
    return Header(end + 2, (source, _number(found["from"])))


def _numeric(kind: bytes, text: bytes) -> Address:
    try:
        return (ipaddress.IPv4Address if kind == b"TCP4" else ipaddress.IPv6Address)(text.decode("ascii"))
    except ValueError as error:
        raise Malformed("an address is wrong") from error


def _number(text: bytes) -> int:
    if int(text) > 65_535:
        raise Malformed("a port is wrong")
    return int(text)


def _parse_binary(data: bytes) -> Header | None:
    if len(data) < _FIXED.size:
        return None
    _, command, family, size = _FIXED.unpack_from(data)
    if command not in (_LOCAL, _PROXY):
        raise Malformed("the version or command is not known")
    if size > MAX_REST:
        raise Malformed("the header is too long")
    length = _FIXED.size + size
    if len(data) < length:
        return None
    if command == _LOCAL:
        return Header(length)
    if family not in _ADDRESSES:
        raise Malformed("the family is not one of connections")
    if size < _ADDRESSES[family]:
        raise Malformed("the addresses are cut short")
    _check_extensions(data[:length], _FIXED.size + _ADDRESSES[family])
    return Header(length, _binary_source(data, family))


def _binary_source(data: bytes, family: int) -> tuple[Address, int] | None:
    if family == _TCP4:
        packed, _, port, _ = struct.unpack_from("!4s4sHH", data, _FIXED.size)
        return ipaddress.IPv4Address(packed), port
    if family == _TCP6:
        packed, _, port, _ = struct.unpack_from("!16s16sHH", data, _FIXED.size)
        return ipaddress.IPv6Address(packed), port
    return None


def _check_extensions(header: bytes, start: int) -> None:
    """Type, length and value of each extension; section 2.2.2 and following."""
    while start < len(header):
        if start + 3 > len(header):
            raise Malformed("an extension is cut short")
        kind, size = struct.unpack_from("!BH", header, start)
        value = start + 3
        start = value + size
        if start > len(header):
            raise Malformed("an extension is cut short")
        if kind == _CRC32C:
            if size != 4:
                raise Malformed("the checksum is wrong")
            blank = header[:value] + bytes(4) + header[start:]
            if crc32c(blank) != int.from_bytes(header[value:start], "big"):
                raise Malformed("the checksum is wrong")


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum of RFC 4960 appendix B."""
    rest = 0xFFFFFFFF
    for octet in data:
        rest = _CRC_TABLE[(rest ^ octet) & 0xFF] ^ (rest >> 8)
    return rest ^ 0xFFFFFFFF


def _crc_of(octet: int) -> int:
    for _ in range(8):
        octet = (octet >> 1) ^ (0x82F63B78 if octet & 1 else 0)
    return octet


_CRC_TABLE = tuple(_crc_of(octet) for octet in range(256))


# -- trust ---------------------------------------------------------------------------------------------------------


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """
    Networks from their texts, such as ``10.0.0.0/8`` or ``::1``.

    :raises ValueError: one is none; the text names it.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_trusted(address: IAddress | None, trusted: Sequence[Network]) -> bool:
    """Whether who connects may tell us for whom."""
    return is_within(str(getattr(address, "host", "")), trusted)


def is_within(text: str, trusted: Sequence[Network]) -> bool:
    """Whether an address is in one of these networks; a text that is none is not."""
    try:
        host = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    return any(host in network for network in trusted)


# -- connections ---------------------------------------------------------------------------------------------------


class ProxyFactory(Factory):
    """
    Reads the header of each connection, then has the service's factory make its session.

    :param factory: the service's.
    :param trusted: networks that balancers are in.
    """

    noisy = False

    def __init__(self, factory: ServerFactory, trusted: Sequence[Network]) -> None:
        self.factory = factory
        self.trusted = tuple(trusted)
        self._quiet_until = -math.inf

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Who waits for a header; None for a stranger, whose connection is then closed."""
        if not is_trusted(addr, self.trusted):
            self.count("untrusted", addr, "not in proxy_networks")
            return None
        return HeaderReader(self)

    def count(self, kind: str, address: IAddress | None, why: str) -> None:
        """Count a connection that is closed, and say so once in a while."""
        site = self.factory.site
        site.counters.add(f"{self.factory.name}.proxy.{kind}")
        now = site.clock.seconds()
        if now >= self._quiet_until:
            self._quiet_until = now + LOG_INTERVAL
            log.warn(
                "{service}: a connection from {source} is closed: {why}",
                service=self.factory.name,
                source=str(getattr(address, "host", "a Unix socket")),
                why=why,
            )


class HeaderReader(Protocol):
    """A connection until its header is whole."""

    deadline = math.inf
    looked_at = math.inf

    def __init__(self, factory: ProxyFactory) -> None:
        self.factory: ProxyFactory = factory
        self._data = b""
        self._done = False

    def connectionMade(self) -> None:
        """Wait for the header, not for long."""
        site = self.factory.factory.site
        site.deadlines.set(self, site.clock.seconds() + HEADER_LIMIT)

    def dataReceived(self, data: bytes) -> None:
        """Look whether it is whole now."""
        if self._done:
            return
        self._data += data
        try:
            header = parse(self._data)
        except Malformed as malformed:
            self._give_up("malformed", str(malformed))
        else:
            if header is not None:
                self._hand_over(header)

    def deadline_passed(self) -> None:
        """Called by :class:`~launcelot.hosting.deadlines.Deadlines`."""
        self._give_up("late", "no header in time")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nobody has to be told: there is no session yet."""
        self._end()
        if self._data:
            self.factory.count("malformed", None, "the header ended early")

    def _end(self) -> None:
        self._done = True
        self.factory.factory.site.deadlines.forget(self)

    def _give_up(self, kind: str, why: str) -> None:
        transport: Any = self.transport
        self._end()
        self._data = b""
        self.factory.count(kind, transport.getPeer(), why)
        transport.abortConnection()

    def _hand_over(self, header: Header) -> None:
        """Put the session in our place; the transport does not know us any more."""
        transport: Any = self.transport
        self._end()
        behind, self._data = self._data[header.length :], b""
        if header.source is not None:
            tell(transport, *header.source)
        session = self.factory.factory.buildProtocol(transport.getPeer())
        if session is None:
            transport.abortConnection()
            return
        transport.protocol = session
        session.makeConnection(transport)
        if behind:
            # To whoever is there now: a session that began with TLS has put that between.
            transport.protocol.dataReceived(behind)


def tell(transport: Any, address: Address, port: int) -> None:
    """
    Have a transport name another peer.

    The transport stays what it is, so what looks into it (sending early, TLS, the kernel's queues) is not in anybody's way.
    """
    kind = IPv4Address if isinstance(address, ipaddress.IPv4Address) else IPv6Address
    told = kind("TCP", str(address), port)
    transport.getPeer = lambda: told
