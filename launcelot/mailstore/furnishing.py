"""What a new account has besides INBOX, as operators write it: a name, then its special use if it has one."""

from __future__ import annotations

from collections.abc import Iterable

from launcelot.core.errors import Invalid
from launcelot.mailstore.interface import INBOX, Furnishing
from launcelot.mailstore.names import canonical, parents

SPECIAL_USES = ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash")
"""Of RFC 6154 section 2, those a mailbox can have here; ``\\All`` and ``\\Flagged`` are views, which we do not have."""


def furnishing(texts: Iterable[str]) -> Furnishing:
    """
    Mailboxes from texts such as ``"Sent \\\\Sent"`` or ``"Work"``.

    :raises Invalid: an impossible name, one that stands twice, or an unknown or repeated special use.
    """
    found: list[tuple[str, str]] = []
    taken = {INBOX}
    for text in texts:
        name, _, last = text.rpartition(" ")
        special_use = {use.lower(): use for use in SPECIAL_USES}.get(last.lower(), "")
        if not special_use and last.startswith("\\"):
            raise Invalid(f"{last} is not one of {', '.join(SPECIAL_USES)}")
        name = canonical(name.strip() if special_use else text)
        if name in taken or (special_use and special_use in dict(found).values()):
            raise Invalid(f"{text!r} stands there twice, is INBOX, or comes after a name below it")
        taken |= {name, *parents(name)}
        found.append((name, special_use))
    return tuple(found)
