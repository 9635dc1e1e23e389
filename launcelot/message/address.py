"""
Mail addresses: the one parser that SMTP, accounts, headers and logs share.

The grammar is ``Mailbox`` and ``Path`` of RFC 5321 section 4.1.2, read strictly: what two programs could read in two
ways is :class:`~launcelot.core.errors.Invalid`.  Beyond the RFC's grammar these are refused: an empty local part, a
local part with an encoded-word in it (RFC 2047 forbids them there, some programs decode them), a domain whose last
label is a number (``a@127.0.0.1``), and non-ASCII spaces, controls and bidirectional overrides.  ``%`` and ``!`` are
ordinary characters.

RFC 6531 addresses are accepted as ``str``; whether the peer may use them is for the protocol to say
(:attr:`Address.is_ascii`).  Left out: comments, folding and domain-less addresses, which only exist in message headers
(:mod:`launcelot.message.headers`), and general address literals, of which none is registered.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass, field

import idna

from launcelot.core.errors import Invalid

MAX_LOCAL = 64
"""Largest local part as written, in octets of UTF-8.  RFC 5321 section 4.5.3.1.1."""
MAX_DOMAIN = 255
"""Largest domain, in octets of UTF-8 and in octets of its A-label form.  RFC 5321 section 4.5.3.1.2."""
MAX_PATH = 1000
"""Largest path with its source route, in characters; longer ones are refused unread."""

# Complements of ASCII sets: sets that name all of Unicode cost 45 ms at import, measured.
_ATEXT = r'^\x00-\x20"(),.:;<>@\[\\\]\x7f'
_ALNUM = r"^\x00-/:-@\[-`{-\x7f"
_DOT_STRING = rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*+"
_QUOTED_STRING = r'"(?:[^\x00-\x1f"\\\x7f]|\\[ -~])*+"'
_LABEL = rf"[{_ALNUM}]+(?:-+[{_ALNUM}]+)*+"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*+"
_LITERAL = r"\[[0-9A-Za-z:.]+\]"
_MAILBOX = rf"(?P<local>{_DOT_STRING}|{_QUOTED_STRING})@(?P<domain>{_DOMAIN}|{_LITERAL})"

DOT_STRING = re.compile(_DOT_STRING)
"""``Dot-string`` of RFC 5321 section 4.1.2 with RFC 6531 section 3.3."""
MAILBOX = re.compile(_MAILBOX)
"""``Mailbox`` of RFC 5321 section 4.1.2 with RFC 6531 section 3.3."""
DOMAIN = re.compile(rf"{_DOMAIN}|{_LITERAL}")
"""``Domain / address-literal`` of RFC 5321 section 4.1.2."""
PATH = re.compile(rf"<(?:(?P<route>@{_DOMAIN}(?:,@{_DOMAIN})*+):)?{_MAILBOX}>")
"""``Path`` of RFC 5321 section 4.1.2."""
_POSTMASTER = re.compile(r"<postmaster>", re.IGNORECASE)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[BbQq]\?")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp", "Zs"})
_BIDIRECTIONAL = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


@dataclass(frozen=True, slots=True)
class Address:
    """
    One mailbox address.

    :param local: the local part without quotes, in the case it was written in.
    :param domain: lower-case domain, or an address literal with its brackets; empty only for the domain-less
        ``postmaster``.
    :raises Invalid: either part has a control character.
    """

    local: str
    domain: str
    _key: str = field(default="", init=False, repr=False, compare=False)
    _text: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if _UNSAFE.search(self.local) or _UNSAFE.search(self.domain):
            raise Invalid("control character in address")

    @property
    def key(self) -> str:
        """
        What two spellings of one address have in common: for comparing and looking up, never for sending.

        The local part is case-folded (and quoted when it cannot stand without quotes, so that the last ``@`` always
        ends it), the domain is in A-labels.
        """
        if not self._key:
            local = _written(self.local).casefold()
            if not local.isascii():
                local = unicodedata.normalize("NFC", local)
            object.__setattr__(self, "_key", f"{local}@{domain_key(self.domain)}")
        return self._key

    @property
    def is_ascii(self) -> bool:
        """Whether it can be sent without SMTPUTF8 (RFC 6531) as it is."""
        return self.local.isascii() and self.domain.isascii()

    def __str__(self) -> str:
        """The address as RFC 5321 writes it, with as little quoting as possible and never a CR or LF."""
        if not self._text:
            object.__setattr__(self, "_text", self._as_written())
        return self._text

    def _as_written(self) -> str:
        if not self.domain:
            return _written(self.local)
        domain = self.domain
        if domain.startswith("[ipv6:"):
            domain = "[IPv6:" + domain[6:]
        return f"{_written(self.local)}@{domain}"


def with_recipient(sender: Address, recipient: Address, delimiters: str) -> Address:
    """
    A sender in whose address stands to whom the mail goes (VERP), so that whoever reads what comes back knows it: for ``+=``
    ``list+ann=example.org@here``.  Where that would be longer than hosts have to take, it is the sender as it is.

    :param delimiters: two characters.
    """
    domain = recipient.domain.strip("[]")
    found = Address(f"{sender.local}{delimiters[0]}{recipient.local}{delimiters[1]}{domain}", sender.domain)
    return found if len(_written(found.local).encode()) <= MAX_LOCAL else sender


@dataclass(frozen=True, slots=True)
class Path:
    """
    A reverse-path or forward-path.  RFC 5321 section 4.1.2.

    :param address: None for the null path ``<>``.
    :param had_route: a source route stood before it and was ignored, as RFC 5321 appendix C allows.
    """

    address: Address | None
    had_route: bool = False

    def __str__(self) -> str:
        """The path in angle brackets, without any route."""
        return "<>" if self.address is None else f"<{self.address}>"


def parse_mailbox(text: str) -> Address:
    """
    Read ``local@domain``, the whole text.

    :raises Invalid: it is not a ``Mailbox``, is too long, or could be read in more than one way.
    """
    if len(text) > MAX_PATH:
        raise Invalid("address too long")
    found = MAILBOX.fullmatch(text)
    if found is None:
        raise Invalid("malformed address")
    return _address(found)


def parse_path(text: str) -> Address | None:
    """
    The address in ``<...>``, None for ``<>``; a source route is ignored (:func:`read_path` tells of it).

    :raises Invalid: as :func:`parse_mailbox`.
    """
    return read_path(text).address


def read_path(text: str, *, postmaster: bool = False) -> Path:
    """
    Read a whole path.

    :param postmaster: take ``<postmaster>`` without domain as well, as RCPT must (RFC 5321 section 4.5.1); its
        address has an empty domain.
    :raises Invalid: as :func:`parse_mailbox`.
    """
    path, end = scan_path(text, postmaster=postmaster)
    if end != len(text):
        raise Invalid("text behind the address")
    return path


def scan_path(text: str, start: int = 0, *, postmaster: bool = False) -> tuple[Path, int]:
    """
    Read the path that begins at ``start``, such as that of ``MAIL FROM:`` in front of its parameters.

    :returns: the path and the index behind its ``>``.
    :raises Invalid: as :func:`read_path`.
    """
    if text.startswith("<>", start):
        return Path(None), start + 2
    found = PATH.match(text, start, start + MAX_PATH)
    if found is not None:
        if found["route"]:
            for domain in found["route"].split(","):
                parse_domain(domain[1:])
        return Path(_address(found), bool(found["route"])), found.end()
    if postmaster:
        found = _POSTMASTER.match(text, start)
        if found is not None:
            return Path(Address("postmaster", "")), found.end()
    raise Invalid("malformed path")


def parse_domain(text: str) -> str:
    """
    Check a domain or address literal and return it in lower case.

    :raises Invalid: it is neither, or a label or the whole is too long.
    """
    if len(text) > MAX_DOMAIN or DOMAIN.fullmatch(text) is None:
        raise Invalid("malformed domain")
    if text.startswith("["):
        return _literal(text)
    domain = text.lower()
    labels = domain.split(".")
    if labels[-1].isdigit():
        raise Invalid("domain ends in a number")
    if not domain.isascii():
        try:
            length = len(".".join(_a_label(label) for label in labels))
        except UnicodeError:
            raise Invalid("malformed internationalized domain") from None
        if length > MAX_DOMAIN or len(domain.encode()) > MAX_DOMAIN:
            raise Invalid("domain too long")
    elif max(map(len, labels)) > 63:
        raise Invalid("domain label too long")
    return domain


def domain_key(domain: str) -> str:
    """The domain in A-labels and lower case, for comparing; one that IDNA does not know stays as it is."""
    if domain.isascii():
        return domain.lower()
    try:
        return ".".join(_a_label(label) for label in domain.lower().split("."))
    except UnicodeError:
        return domain.lower()


def split_detail(local: str, separator: str = "+") -> tuple[str, str]:
    """
    Split a local part into mailbox and detail at the first separator: ``a+b+c`` is ``("a", "b+c")``.

    :returns: the whole local part and an empty detail where there is no separator or nothing before it.
    """
    base, found, detail = local.partition(separator) if separator else (local, "", "")
    return (base, detail) if found and base else (local, "")


def _written(local: str) -> str:
    """The local part as it stands in an address, quoted when it must be."""
    if DOT_STRING.fullmatch(local):
        return local
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _address(found: re.Match[str]) -> Address:
    """The address of a match of ``MAILBOX`` or ``PATH``, checked beyond what a regular expression can."""
    local, domain = found["local"], found["domain"]
    if len(local.encode("utf-8", "surrogatepass")) > MAX_LOCAL:
        raise Invalid("local part too long")
    if local.startswith('"'):
        local = _PAIR.sub(r"\1", local[1:-1])
    if not local:
        raise Invalid("empty local part")
    if "=?" in local and _ENCODED_WORD.search(local):
        raise Invalid("encoded-word in address")
    if not local.isascii():
        for character in local:
            if character > "\x7f" and (
                unicodedata.category(character) in _REFUSED_CATEGORIES or character in _BIDIRECTIONAL
            ):
                raise Invalid("character not allowed in address")
    return Address(local, parse_domain(domain))


def _a_label(label: str) -> str:
    """One lower-case label in A-label form; raises UnicodeError (IDNA's errors are such) for an impossible one."""
    if label.isascii():
        if len(label) > 63:
            raise UnicodeError("label too long")
        return label
    if len(label) > 63:
        raise UnicodeError("label too long")
    return idna.alabel(label).decode("ascii")


def _literal(text: str) -> str:
    """An address literal in canonical spelling, lower-case.  RFC 5321 section 4.1.3."""
    inside = text[1:-1].lower()
    try:
        if inside.startswith("ipv6:"):
            return f"[ipv6:{ipaddress.IPv6Address(inside[5:])}]"
        return f"[{ipaddress.IPv4Address(inside)}]"
    except ValueError:
        raise Invalid("malformed address literal") from None
