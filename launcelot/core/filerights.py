"""
Rights on files in folders that several people share, and how they are written.

A right is given to an account, a group or everybody (:data:`ANYONE`) on a folder as a whole, and what somebody may do is all that
any fitting grant gives.  There are no negative rights as access lists of mail have them (RFC 4314 section 2): they pay where one
list has hundreds of entries, and there is always another group to grant to instead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import IntFlag

from launcelot.core.errors import Invalid, NotPermitted
from launcelot.core.ids import AccountId

ANYONE = "anyone"
"""Every account, in grants."""

TEAM_PLACE = "team"
"""
The name at the top of everybody's files under which team folders are, unless another is set.

Not ``Shared`` as in mail: what stands there is some owner's, who shares it; these folders are nobody's, and the name is typed.
"""


class Right(IntFlag):
    """
    What may be done in a folder.

    ``LIST``: see what is in it.  ``READ``: read files.  ``WRITE``: replace and change files that are there, their times and modes
    too.  ``APPEND``: add octets at their ends.  ``CREATE``: add files and folders.  ``DELETE``: remove them.  ``RENAME``: give
    them other names, within the folder.
    """

    LIST = 1
    READ = 2
    WRITE = 4
    APPEND = 8
    CREATE = 16
    DELETE = 32
    RENAME = 64


NONE = Right(0)
ALL = Right(127)
STORING = Right.WRITE | Right.APPEND | Right.CREATE
"""With one of these octets can be added."""

WORDS: Mapping[str, Right] = {str(right.name).lower(): right for right in Right}
"""Each right by its word, in the order in which they are written."""

SETS: Mapping[str, Right] = {
    "viewer": Right.LIST | Right.READ,
    "contributor": Right.LIST | Right.READ | Right.APPEND | Right.CREATE,
    "editor": ALL,
    "all": ALL,
}
"""Words for several rights at once."""


@dataclass(frozen=True, slots=True)
class Share:
    """
    A team folder as one account has it.

    :ivar quota: octets that may be in it; 0 for no limit.
    :ivar rights: never none.
    """

    id: AccountId
    name: str
    quota: int
    rights: Right


def read_rights(text: str) -> Right:
    """
    Rights from words with commas or blanks between them, such as ``"list,read"`` or ``"viewer delete"``.

    :raises Invalid: there is none, or a word that means none.
    """
    found = NONE
    for word in text.lower().replace(",", " ").split():
        right = WORDS.get(word) or SETS.get(word)
        if right is None:
            raise Invalid(f"{word[:32]!r} is no right; they are {', '.join([*WORDS, *SETS])}")
        found |= right
    if not found:
        raise Invalid("no rights are given")
    return found


def words_of(rights: Right) -> tuple[str, ...]:
    """Rights as words."""
    return tuple(word for word, right in WORDS.items() if right & rights)


def needs(right: Right) -> NotPermitted:
    """The refusal where a right is missing."""
    return NotPermitted(_NEEDS[right])


_NEEDS = {right: f"this needs the right to {word} in this team folder" for word, right in WORDS.items()}


def account_identity(id: AccountId) -> str:
    """How an account is called in grants."""
    return f"account:{id}"


def group_identity(id: AccountId) -> str:
    """How a group is called in grants."""
    return f"group:{id}"


def identities(id: AccountId, groups: Iterable[AccountId]) -> Collection[str]:
    """All that an account is called in grants, as a member of these groups."""
    return {ANYONE, account_identity(id), *map(group_identity, groups)}
