"""
Records of DNS for a test, and the octets with which a name server answers from them.

>>> zone = Zone()
>>> zone.add("MX", "news.example", "10 mx.news.example")
>>> zone.add("A", "mx.news.example", "127.0.0.1")

A name with a CNAME is answered with that and what it points to.  An answer that is too long for a datagram is cut to its head and
marked, so that resolvers ask again over TCP.  RFC 1035; RFC 6891 section 6.2.3 (EDNS says how long a datagram may be).

Left out: zones with authority of their own, wildcards, DNSSEC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.names import dns

PLAIN = 512
"""Octets of a datagram for those that have not said that they take more.  RFC 1035 section 4.2.1."""

TTL = 60
"""Seconds that an answer may be kept, as it says."""

MOST_ALIASES = 8
"""CNAMEs that are followed."""

RCODES: Mapping[str, int] = {
    "NOERROR": dns.OK,
    "FORMERR": dns.EFORMAT,
    "SERVFAIL": dns.ESERVER,
    "NXDOMAIN": dns.ENAME,
    "NOTIMP": dns.ENOTIMP,
    "REFUSED": dns.EREFUSED,
}
"""What an answer may be instead of records.  RFC 1035 section 4.1.1."""


def _numbered(text: str, make: Callable[..., Any]) -> Any:
    number, name = text.split()
    return make(int(number), name.rstrip("."))


def _service(text: str) -> Any:
    priority, weight, port, target = text.split()
    return dns.Record_SRV(int(priority), int(weight), int(port), target.rstrip("."), TTL)


MAKERS: Mapping[str, Callable[[str], Any]] = {
    "A": lambda text: dns.Record_A(text, TTL),
    "AAAA": lambda text: dns.Record_AAAA(text, TTL),
    "CNAME": lambda text: dns.Record_CNAME(text.rstrip("."), TTL),
    "MX": lambda text: _numbered(text, lambda number, name: dns.Record_MX(number, name, TTL)),
    "NS": lambda text: dns.Record_NS(text.rstrip("."), TTL),
    "PTR": lambda text: dns.Record_PTR(text.rstrip("."), TTL),
    "SRV": _service,
    "TXT": lambda text: dns.Record_TXT(*(text.encode()[at : at + 255] for at in range(0, len(text.encode()) or 1, 255)), ttl=TTL),
}
"""Kinds of records, and how each is read from its text."""

KINDS: Mapping[int, str] = {number: name for number, name in dns.QUERY_TYPES.items() if name in MAKERS}


class Zone:
    """
    What a name server knows.

    :param hosts: has the addresses of hosts that nobody has added.
    """

    def __init__(self, hosts: Callable[[str], Sequence[str]] = lambda host: ()) -> None:
        self._hosts = hosts
        self._records: dict[tuple[str, str], list[Any]] = {}

    def add(self, kind: str, name: str, text: str) -> None:
        """
        One record more.

        :param text: as in a zone's file, such as ``"10 mx.news.example"`` for an MX; of a TXT, what it says.
        :raises ValueError: there is no such kind here, or that is no text for it.
        """
        self._records.setdefault((kind.upper(), _plain(name)), []).append(record(kind, text))

    def clear(self) -> None:
        """Forget them all."""
        self._records.clear()

    def find(self, kind: str, name: str) -> list[tuple[str, Any]]:
        """The records that answer a question, with whose they are, aliases first."""
        found: list[tuple[str, Any]] = []
        name = _plain(name)
        for _ in range(MOST_ALIASES):
            found += [(name, one) for one in self._of(kind, name)]
            aliases = self._records.get(("CNAME", name), []) if kind != "CNAME" else []
            if not aliases:
                break
            found += [(name, one) for one in aliases]
            name = _plain(str(aliases[0].name))
        return found

    def _of(self, kind: str, name: str) -> Sequence[Any]:
        there = self._records.get((kind, name))
        if there is not None:
            return there
        wanted = {"A": False, "AAAA": True}.get(kind)
        return [record(kind, one) for one in self._hosts(name) if (":" in one) is wanted]

    def knows(self, name: str) -> bool:
        """Whether there is anything of that name."""
        name = _plain(name)
        return bool(self._hosts(name)) or any(whose == name or whose.endswith(f".{name}") for _, whose in self._records)


def record(kind: str, text: str) -> Any:
    """
    A record of a kind.

    :raises ValueError: there is no such kind here, or that is no text for it.
    """
    make = MAKERS.get(kind.upper())
    if make is None:
        raise ValueError(f"there are no records {kind!r} here; there are {', '.join(MAKERS)}")
    try:
        return make(text)
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"{text!r} is not what a record {kind} says") from error


def question_of(octets: bytes) -> tuple[dns.Message, str, str] | None:
    """A query, the kind it asks for, and the name; None for what is none."""
    message = dns.Message()
    try:
        message.fromStr(octets)
    except (EOFError, ValueError):
        return None
    if message.answer or len(message.queries) != 1:
        return None
    query = message.queries[0]
    return message, dns.QUERY_TYPES.get(query.type, f"TYPE{query.type}"), query.name.name.decode("ascii", "replace")


def reply_to(query: dns.Message, found: Sequence[tuple[str, Any]], rcode: int = dns.OK, most: int = 65_535) -> bytes:
    """
    The octets of an answer.

    :param most: octets that it may have; one that would be longer has nothing but its head.
    """
    message = dns.Message(query.id, answer=True, recDes=query.recDes, recAv=True, auth=True, rCode=rcode, maxSize=0)
    message.queries = query.queries
    message.answers = [dns.RRHeader(name, one.TYPE, ttl=TTL, payload=one, auth=True) for name, one in found]
    octets = bytes(message.toStr())
    if len(octets) > most:
        message.answers, message.trunc = [], True
        octets = bytes(message.toStr())
    return octets


def room_for(query: dns.Message) -> int:
    """Octets of a datagram that whoever asks takes."""
    sizes = [one.cls for one in query.additional if one.type == dns.OPT]
    return max(PLAIN, *sizes) if sizes else PLAIN


def _plain(name: str) -> str:
    return name.rstrip(".").lower()
