"""How somebody can be notified: by mail, with a ``mailto`` URI.  RFC 5436, RFC 6068."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from launcelot.core.errors import Invalid
from launcelot.message.address import Address, parse_mailbox

MAX_URI = 2_000
_ESCAPES = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TAKEN = frozenset({"subject", "from", "to", "cc", "bcc", "body", "in-reply-to", "references", "importance", "x-priority"})
"""Header fields of the URI that can be asked for; others are left out.  RFC 5436 section 2.3."""


@dataclass(frozen=True, slots=True)
class MailTo:
    """
    A parsed URI.

    :ivar fields: lower-case names and decoded values, ``to``, ``cc`` and ``bcc`` excepted.
    """

    recipients: tuple[Address, ...]
    fields: tuple[tuple[str, str], ...]

    def field(self, name: str) -> str:
        """The first value of a field; empty without one."""
        return next((value for key, value in self.fields if key == name), "")


def parse_mailto(uri: str) -> MailTo | None:
    """A ``mailto`` URI; None for anything else."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "mailto" or len(uri) > MAX_URI or _ESCAPES.search(rest):
        return None
    target, _, query = rest.partition("?")
    texts = [target] if target else []
    fields: list[tuple[str, str]] = []
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        name = unquote(name).lower()
        if not equals:
            return None
        if name in ("to", "cc", "bcc"):
            texts.append(value)
        elif name in _TAKEN:
            fields.append((name, " ".join(unquote(value).split()) if name != "body" else unquote(value)))
    try:
        addresses = tuple(parse_mailbox(unquote(one)) for text in texts for one in text.split(",") if one)
    except Invalid:
        return None
    return MailTo(tuple(dict.fromkeys(addresses)), tuple(fields)) if addresses else None


def known_method(uri: str) -> bool:
    """Whether a notification can be sent there."""
    return parse_mailto(uri) is not None
