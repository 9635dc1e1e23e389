"""
Sieve scripts of an account, and what filtered deliveries keep: ids seen before, and mail on its way out.

A delivery through a script is one transaction (:meth:`launcelot.mailstore.interface.AccountMail.file`): its key, the messages it
files, the ids it has to remember, and the messages it sends.  Those wait here until a spool has them, so that a crash between
the two loses nothing; that they are known by delivery and position lets the spool see that it has them already.

The sources are octets that somebody has found to be scripts; nothing here reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from launcelot.core.errors import Invalid, LimitReached, TooLarge

MAX_SCRIPTS = 50
"""Scripts of one account."""
MAX_SCRIPT = 262_144
"""Octets of one script."""
MAX_NAME = 512
"""Octets of a script's name; RFC 5804 section 1.6 asks for at least 128 characters."""
MAX_REMEMBERED = 10_000
"""Ids an account remembers; the ones that end first are forgotten before their time."""


@dataclass(frozen=True, slots=True)
class ScriptInfo:
    """
    One script in a listing.

    :ivar active: deliveries go through it; of one script at most.
    :ivar size: octets.
    """

    name: str
    active: bool
    size: int


class Scripts(Protocol):
    """The scripts of one account."""

    async def listing(self) -> Sequence[ScriptInfo]:
        """All of them, by name."""

    async def read(self, name: str) -> bytes:
        """
        A script's source.

        :raises NotFound: there is none of that name.
        """

    async def check_room(self, name: str, size: int) -> None:
        """
        Whether a script could be kept.

        :raises LimitReached: there are too many already.
        :raises TooLarge: it is.
        :raises Invalid: the name is impossible.
        """

    async def put(self, name: str, source: bytes) -> None:
        """
        Keep a script, in place of one of the same name, which stays active if it was; durable when it returns.

        :raises Refusal: as :meth:`check_room`.
        """

    async def activate(self, name: str) -> None:
        """
        Have deliveries go through a script from now on; an empty name is that of none.

        :raises NotFound: there is none of that name.
        """

    async def remove(self, name: str) -> None:
        """
        Remove a script.

        :raises NotFound: there is none of that name.
        :raises InUse: it is active.  RFC 5804 section 2.10.
        """

    async def rename(self, name: str, to: str) -> None:
        """
        Give a script another name; it stays active if it was.

        :raises NotFound: there is none of that name.
        :raises Exists: there is one of the other name.
        :raises Invalid: the other name is impossible.
        """

    async def active(self) -> tuple[str, bytes] | None:
        """Name and source of the active script; None if there is none.  Cheap: every delivery asks."""

    async def remembered(self, now: float) -> Callable[[str], bool]:
        """Whether an id is remembered at a moment, asked any number of times and in any thread."""


def check_name(name: str) -> str:
    """
    A name as it is kept.

    :raises Invalid: it is empty, too long, has a slash or a control.  RFC 5804 section 1.6.
    """
    octets = name.encode("utf-8", "surrogatepass")
    controls = any(ord(sign) < 32 or 127 <= ord(sign) < 160 or ord(sign) in (0x2028, 0x2029) for sign in name)
    if not name or len(octets) > MAX_NAME or "/" in name or controls or name.strip() != name:
        raise Invalid("impossible name of a script")
    if any(0xD800 <= ord(sign) <= 0xDFFF for sign in name):
        raise Invalid("impossible name of a script")
    return name


def check_size(others: int, size: int) -> None:
    """
    Refuse what is too much.

    :param others: scripts of other names.
    :raises LimitReached: there are too many.
    :raises TooLarge: this one is.
    """
    if others >= MAX_SCRIPTS:
        raise LimitReached(f"an account has {MAX_SCRIPTS} scripts at most")
    if size > MAX_SCRIPT:
        raise TooLarge(f"a script has {MAX_SCRIPT} octets at most")
