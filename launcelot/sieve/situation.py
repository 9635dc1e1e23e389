"""What a script is told besides the message, and what it is allowed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What one run may do.

    :ivar work: steps, roughly microseconds.
    :ivar actions: actions in all.
    :ivar redirects: addresses that one message is sent on to.  RFC 5228 section 10.
    :ivar includes: scripts inside each other.
    :ivar variable: characters of one variable.  RFC 5229 section 6 asks for at least 4,000.
    :ivar variables: variables in all.
    """

    work: int = 1_000_000
    actions: int = 32
    redirects: int = 4
    includes: int = 10
    variable: int = 65_536
    variables: int = 128
    trace: int = 10_000


def nothing(*_: str) -> bool:
    """Whatever is asked about is not there."""
    return False


def no_script(location: str, name: str) -> bytes | None:
    """There are no scripts to include."""
    return None


@dataclass(frozen=True)
class Situation:
    """
    One delivery.

    :ivar now: aware, in the zone the owner lives in or UTC.
    :ivar sender: of the envelope; empty for ``<>``.
    :ivar recipient: of the envelope.
    :ivar addresses: the owner's addresses.
    :ivar has_mailbox: whether a mailbox exists and takes mail.
    :ivar has_use: whether a mailbox (empty for any) has a special use.
    :ivar seen: whether an id is remembered.  RFC 7352.
    :ivar script: an included script by ``"personal"`` or ``"global"`` and name; None if there is none.
    :ivar environment: items of RFC 5183 beyond those that the language knows by itself.
    :ivar separator: between user and detail.
    """

    now: datetime
    sender: str = ""
    recipient: str = ""
    addresses: Collection[str] = ()
    has_mailbox: Callable[[str], bool] = nothing
    has_use: Callable[[str, str], bool] = nothing
    seen: Callable[[str], bool] = nothing
    script: Callable[[str, str], bytes | None] = no_script
    environment: Mapping[str, str] = field(default_factory=dict)
    separator: str = "+"
    limits: Limits = Limits()
