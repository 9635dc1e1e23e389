"""
Routes: where mail goes by what the configuration says, before the DNS is asked.

A route is one line of text, so that it can stand in a list of settings: ``<pattern> <host>[:<port>] [<option>=<value> ...]``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from launcelot.core.errors import Invalid
from launcelot.message.address import Address, domain_key, parse_domain

FROM = "from:"
EVERYTHING = "*"
BY_DNS = "mx"
SMTP = 25
SUBMISSIONS = 465

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?\Z")


class Tls(Enum):
    """What is asked of TLS."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    """Where it is offered, whoever the peer is; in clear where it is not, or fails."""
    REQUIRED = "required"
    """Whoever the peer is."""
    DANE = "dane"
    """With a certificate that signed TLSA records name."""
    VERIFIED = "verified"
    """With a certificate for the host's name from an authority that is trusted."""
    IMPLICIT = "implicit"
    """As verified, from the first octet."""

    @property
    def proves(self) -> bool:
        """Whether it shows who the peer is."""
        return self in (Tls.DANE, Tls.VERIFIED, Tls.IMPLICIT)


@dataclass(frozen=True, slots=True)
class Route:
    """
    One route.

    :ivar pattern: lower-case; domains in A-labels.
    :ivar host: name or numeric address; empty for what the DNS says of the recipient's domain.
    :ivar port: 0 for the usual one.
    :ivar user: to log in as; empty for nobody.
    :ivar connections: at once; 0 for as many as to any destination.
    """

    pattern: str = EVERYTHING
    host: str = ""
    port: int = 0
    tls: Tls = Tls.OPPORTUNISTIC
    user: str = ""
    password_file: Path | None = None
    connections: int = 0

    @property
    def destination(self) -> str:
        """The destination of all that goes this way, where it is a host's."""
        return f"{self.user}{'@' if self.user else ''}{self.host}:{self.port}"

    def fits(self, sender: str, recipient: str) -> bool:
        """
        Whether mail goes this way.

        :param sender: the sender's domain, lower-case in A-labels; empty for the null sender.
        :param recipient: the recipient's domain.
        """
        if self.pattern == EVERYTHING:
            return True
        pattern, domain = self.pattern, recipient
        if pattern.startswith(FROM):
            pattern, domain = pattern[len(FROM) :], sender
        return domain.endswith(pattern) if pattern.startswith(".") else domain == pattern


class Routes:
    """All of them, in order; what none fits goes where the DNS says."""

    def __init__(self, routes: Sequence[Route] = ()) -> None:
        self._routes = (*routes, Route())

    def find(self, sender: Address | None, recipient: Address) -> Route:
        """The first that fits."""
        of_sender = "" if sender is None else domain_key(sender.domain)
        of_recipient = domain_key(recipient.domain)
        return next(one for one in self._routes if one.fits(of_sender, of_recipient))


def parse_route(text: str) -> Route:
    """
    Read one route.

    :raises ValueError: it is none; the text says why.
    """
    words = text.split()
    if len(words) < 2:
        raise ValueError(f"{text!r} is no route; write '<pattern> <host>[:<port>]'")
    pattern, where, *options = words
    given = _options(options)
    tls = _tls(given.pop("tls", "opportunistic"))
    host, port = _place(where, tls)
    user, password_file, connections = given.pop("user", ""), given.pop("password_file", ""), given.pop("connections", "0")
    if given:
        raise ValueError(f"{next(iter(given))!r} is no option of a route; there are tls, user, password_file, connections")
    if bool(user) != bool(password_file):
        raise ValueError("user and password_file belong together; give both or none")
    if user and not host:
        raise ValueError("a password is sent to hosts that are named only, not to whom the DNS names")
    if user and tls in (Tls.OPPORTUNISTIC, Tls.REQUIRED):
        raise ValueError("a password needs tls=verified, implicit or dane, or tls=none where the way is safe")
    if not connections.isascii() or not connections.isdigit() or int(connections) > 1_000:
        raise ValueError(f"{connections!r} is no number of connections")
    file = Path(password_file) if password_file else None
    return Route(_pattern(pattern), host, port, tls, user, file, int(connections))


def _options(words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value or name in found:
            raise ValueError(f"{word!r} is no option such as tls=verified, or stands there twice")
        found[name] = value
    return found


def _tls(word: str) -> Tls:
    try:
        return Tls(word)
    except ValueError:
        raise ValueError(f"tls={word} is none of {', '.join(one.value for one in Tls)}") from None


def _place(text: str, tls: Tls) -> tuple[str, int]:
    if text == BY_DNS:
        if tls is Tls.IMPLICIT:
            raise ValueError("hosts that the DNS names do not speak TLS from the first octet")
        return "", 0
    found = _HOST.match(text)
    port = int(found[3] or (SUBMISSIONS if tls is Tls.IMPLICIT else SMTP)) if found else 0
    if found is None or not 1 <= port <= 65_535:
        raise ValueError(f"{text!r} is neither 'mx' nor a host such as smtp.example.org:587 or [2001:db8::1]")
    return (found[1] or found[2]).lower(), port


def _pattern(text: str) -> str:
    if text == EVERYTHING:
        return text
    before = FROM if text.startswith(FROM) else ""
    domain = text[len(before) :]
    dot = "." if domain.startswith(".") else ""
    try:
        return before + dot + domain_key(parse_domain(domain[len(dot) :]))
    except Invalid:
        raise ValueError(f"{text!r} is no pattern; write a domain, .domain, from:domain or *") from None


def parse_routes(texts: Sequence[str]) -> Routes:
    """
    All routes of a configuration.

    :raises ValueError: one is none.
    """
    return Routes([parse_route(text) for text in texts])


def server_of(text: str) -> tuple[str, int]:
    """
    Address and port of a DNS server.

    :raises ValueError: the text names none.
    """
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest[1:] if rest else port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        raise ValueError(f"{text!r} is no DNS server; write its address, such as 192.0.2.53 or [2001:db8::53]:5353") from None
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise ValueError(f"{text!r}: {port!r} is not a port of 1 to 65535")
    return address, int(port)
