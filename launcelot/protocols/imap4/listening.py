"""What a session asks of whoever knows what its client wants to be told.  RFC 5465."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol


class Listening(Protocol):
    """What NOTIFY has asked for."""

    delayed: bool
    """Whether removals in the selected mailbox wait for a command that allows them."""

    @property
    def follows_selected(self) -> bool:
        """Whether anything of the selected mailbox is told."""

    @property
    def tells_flags(self) -> bool:
        """Whether changes of flags in the selected mailbox are told."""

    def tells_entries(self, mailbox: str) -> bool:
        """Whether changes of a mailbox's annotations are told; empty is the server's name."""

    def made(self, uids: Iterable[int]) -> None:
        """Messages that the session has put into the selected mailbox itself."""

    def named(self, names: Iterable[str]) -> None:
        """Names that the session itself is about to change."""

    async def tell_new(self, uids: Sequence[int]) -> None:
        """What is asked about new messages in the selected mailbox."""

    async def tell(self) -> None:
        """What has happened elsewhere since the last time."""

    def close(self) -> None:
        """Listen no longer."""
