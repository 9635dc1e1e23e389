"""What every file store agrees on: sizes of pieces, modes of what is new, and how an account's octets are counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from launcelot.core.errors import OverQuota, TryLater

PIECE = 262_144
"""Octets that are read or written in one go off the reactor thread."""

STAGED = 1 << 20
"""Octets of an upload that are written in one go, while as many are put together."""

VECTOR = 512
"""Pieces of an upload that are put together at most."""

BATCH = 250
"""Entries of a folder that are handed over at once."""

LINES = 2_500
"""Entries of a folder that are looked at in one go, where they are not handed over but put into octets."""

FILE_MODE = 0o644
FOLDER_MODE = 0o755
MODE_MASK = 0o777


class StorageFull(TryLater):
    """The disk has no room, whatever the quota says; there may be some later."""

    default_text = "the storage is full"


@dataclass(slots=True)
class Room:
    """
    How many octets an account has stored and promised.

    An upload reserves octets before it takes them.  What it will replace is not counted twice, so that a file can be
    replaced by one of its own size when the account is full; publishing checks once more, for two uploads that would
    replace the same file.

    :ivar beside: octets of other things of the account that count for its quota, as it was when somebody last looked.
    :ivar stored: octets of published files.
    :ivar reserved: by upload id, octets received but not published, those of abandoned uploads included.
    """

    stored: int = 0
    beside: int = 0
    reserved: dict[str, int] = field(default_factory=dict)

    @property
    def taken(self) -> int:
        """Octets that count against the quota."""
        return self.stored + self.beside + sum(list(self.reserved.values()))

    def reserve(self, upload: str, octets: int, replaces: int, quota: int) -> None:
        """
        Count ``octets`` in all for an upload.

        :param replaces: octets of the file it will replace.
        :raises OverQuota: they do not fit; what was reserved before stays reserved.
        """
        new = max(0, octets - replaces)
        others = self.taken - self.reserved.get(upload, 0)
        if quota and new and others + new > quota:
            raise OverQuota
        self.reserved[upload] = new

    def release(self, upload: str) -> None:
        """Forget an upload."""
        self.reserved.pop(upload, None)

    def settle(self, upload: str, octets: int, replaced: int, quota: int) -> None:
        """
        Turn what an upload reserved into stored octets.

        :param replaced: octets of the file it does replace.
        :raises OverQuota: the file it was to replace has shrunk meanwhile and there is no room; nothing changes.
        """
        grows = octets - replaced
        others = self.taken - self.reserved.get(upload, 0)
        if quota and grows > 0 and others + grows > quota:
            raise OverQuota
        self.release(upload)
        self.stored += grows

    def left(self, quota: int) -> int | None:
        """Octets that still fit; None without a quota."""
        return max(0, quota - self.taken) if quota else None
