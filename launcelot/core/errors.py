"""
The refusals that stores, accounts and limits raise, free of any protocol's words.

A refusal is an answer, not a fault: each protocol turns it into its own reply in one place (``session.reply_for``).
Its text is for people and may be shown to the peer; it never quotes another exception.  Everything that is not a
:class:`Refusal` (or a protocol's syntax error) is a bug and is answered with "internal error".
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """
    A request that was understood and is not granted.

    :param text: one line for people, without CR, LF or NUL; it may be shown to the peer.
    """

    temporary: ClassVar[bool] = False
    default_text: ClassVar[str] = "refused"

    def __init__(self, text: str = "") -> None:
        super().__init__(text or self.default_text)

    @property
    def text(self) -> str:
        """What to tell people, in one line."""
        return str(self.args[0])


class NotFound(Refusal):
    """There is no such account, address, mailbox, message or file."""

    default_text = "not found"


class Exists(Refusal):
    """The name to be made is taken."""

    default_text = "already exists"


class NotPermitted(Refusal):
    """The account may not do this, whatever it tries again."""

    default_text = "not permitted"


class BadCredentials(NotPermitted):
    """Name and password do not fit; which of the two is never told."""

    default_text = "authentication failed"


class OverQuota(Refusal):
    """The account's storage is full; room can be made, so SMTP answers it as temporary."""

    temporary = True
    default_text = "quota exceeded"


class TooLarge(Refusal):
    """One thing is larger than a stated limit; trying again does not help."""

    default_text = "too large"


class InUse(Refusal):
    """Somebody else holds it now."""

    temporary = True
    default_text = "in use"


class ReadOnly(Refusal):
    """It was opened for reading, or can only be read."""

    default_text = "read-only"


class Unsupported(Refusal):
    """Understood, but not offered here."""

    default_text = "not supported"


class Invalid(Refusal):
    """A name or value that cannot be right, such as a mailbox name with a NUL."""

    default_text = "invalid"


class Gone(Refusal):
    """It was there when the peer looked and has since been removed."""

    default_text = "no longer there"


class LimitReached(Refusal):
    """A stated limit on count or rate is reached."""

    temporary = True
    default_text = "limit reached"


class TryLater(Refusal):
    """A store or directory cannot answer now; nothing was changed."""

    temporary = True
    default_text = "temporary failure, try again later"


REFUSALS: tuple[type[Refusal], ...] = (
    NotFound,
    Exists,
    NotPermitted,
    BadCredentials,
    OverQuota,
    TooLarge,
    InUse,
    ReadOnly,
    Unsupported,
    Invalid,
    Gone,
    LimitReached,
    TryLater,
)
"""Every kind, for the contract test that asks each protocol's ``reply_for`` about all of them."""
