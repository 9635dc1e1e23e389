"""
Whether a header is one that people can be shown: one From with somebody in it, and nothing twice that says one thing.

RFC 5322 section 3.6 demands it; two From fields are how one address is checked and another shown (RFC 7489 section 6.6.1).
"""

from __future__ import annotations

from launcelot.checks.interface import ACCEPT, Action, Case, Check, Message, Verdict
from launcelot.message.headers import fields, unfold
from launcelot.message.lists import Group, parse_address_list

ONCE = frozenset(
    {b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"message-id", b"in-reply-to", b"references", b"subject", b"date"}
)
MAX_AUTHORS = 100


class HeaderSanity(Check):
    """
    Looks at the header.

    :param action: what becomes of mail whose header is wrong.
    """

    name = "header"

    def __init__(self, action: Action) -> None:
        self._action = action

    async def message(self, case: Case, message: Message) -> Verdict:
        """Say the first thing that is wrong."""
        wrong = fault(message.head)
        return Verdict(self._action, wrong, "5.6.0") if wrong else ACCEPT


def fault(head: bytes) -> str:
    """What is wrong with a header section; empty if nothing is."""
    seen: set[bytes] = set()
    for field in fields(head, 0, len(head)):
        name = field.name.lower()
        if name in ONCE and name in seen:
            return f"More than one {name.decode('ascii').capitalize()} field"
        seen.add(name)
        if name == b"from" and not authors(head[field.value_start : field.value_end]):
            return "The From field names nobody"
    return "" if b"from" in seen else "There is no From field"


def authors(value: bytes) -> list[str]:
    """The addresses of a From field; none if one of them cannot be read."""
    found: list[str] = []
    for one in parse_address_list(unfold(value)):
        for mailbox in one.members if isinstance(one, Group) else (one,):
            if mailbox.address is None:
                return []
            found.append(str(mailbox.address))
    return found if len(found) <= MAX_AUTHORS else []
