"""
Annotations: named values of a mailbox, or of an account as a whole.  RFC 5464.

An entry is a path that begins with ``/shared`` or ``/private``, kept in lower case.  A shared value is one for everybody who
may see the mailbox, a private one belongs to the person who wrote it.  Annotations follow their mailbox through a rename and
go with it; of INBOX, which stays when it is renamed, they are copied (section 4.1).

Every change gets a number, higher than all before it in the same account, under which others learn of it; one of a mailbox's
annotations is also one of its highest MODSEQ (RFC 7162 section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from launcelot.core.errors import LimitReached, TooLarge
from launcelot.core.ids import AccountId

MAX_VALUE = 32_768
"""Octets of one value."""
MAX_ENTRIES = 100
"""Shared entries of one mailbox, and one person's private ones."""
MAX_TOTAL = 1 << 20
"""Octets of all shared values in one account, and of one person's private ones; names count, too."""
KEPT_REMOVALS = 1_000
"""Removed entries of one account that are remembered for those who are to hear of it."""

WHOLE_ACCOUNT = ""
"""Stands for the account in the place of a mailbox's name."""
NOBODY = AccountId("")
"""Whose the shared values are."""
ANNOTATIONS = 0
"""What a change of annotations is called among an account's watchers; mailboxes' numbers begin at 1."""


class ValueTooLarge(TooLarge):
    """A value over :data:`MAX_VALUE`."""

    default_text = "annotation is too large"


class TooManyAnnotations(LimitReached):
    """:data:`MAX_ENTRIES` or :data:`MAX_TOTAL` are reached."""

    default_text = "too many annotations"


@dataclass(frozen=True, slots=True)
class AnnotationChanges:
    """
    What happened to annotations since a number.

    :ivar number: of the last change of all.
    :ivar entries: mailbox (empty for the account), entry and number of each that was set or removed, by number.
    """

    number: int
    entries: tuple[tuple[str, str, int], ...]


class Annotations(Protocol):
    """The annotations of one account and its mailboxes."""

    async def read(self, mailbox: str, person: AccountId) -> Mapping[str, bytes]:
        """
        Shared entries of a mailbox and a person's private ones, by entry.

        :param mailbox: :data:`WHOLE_ACCOUNT` for the account.
        :raises NotFound: (as every method that names one) there is no such mailbox.
        """

    async def write(self, mailbox: str, person: AccountId, values: Mapping[str, bytes | None]) -> int:
        """
        Set entries, or remove them with None; all or none, durable when it returns.

        :param person: whose the private ones among them are.
        :returns: the number of the change.
        :raises ValueTooLarge: nothing is set then; likewise below.
        :raises TooManyAnnotations: there would be.
        """

    async def changes(self, person: AccountId, since: int) -> AnnotationChanges:
        """What happened after a number, of what a person sees; with -1 only the present number."""

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have ``changed`` called after every change, by whomever, until the function that is returned is called."""


def owner_of(entry: str, person: AccountId) -> AccountId:
    """Under whom an entry is kept."""
    return person if entry.startswith("/private/") else NOBODY


def weigh(entry: str, value: bytes) -> int:
    """What an entry counts towards :data:`MAX_TOTAL`."""
    return len(entry) + len(value)


def check_values(values: Mapping[str, bytes | None]) -> None:
    """
    Refuse values that are too large by themselves.

    :raises ValueTooLarge: one is.
    """
    if any(value is not None and len(value) > MAX_VALUE for value in values.values()):
        raise ValueTooLarge


def check_room(entries: int, octets: int) -> None:
    """
    Refuse what one person, or all together, may not have.

    :param entries: of the mailbox, as there would be.
    :param octets: of the account, as there would be.
    :raises TooManyAnnotations: that is too much.
    """
    if entries > MAX_ENTRIES or octets > MAX_TOTAL:
        raise TooManyAnnotations


def by_owner(values: Iterable[str], person: AccountId) -> Sequence[AccountId]:
    """Those under whom any of these entries are kept."""
    return sorted({owner_of(entry, person) for entry in values})
