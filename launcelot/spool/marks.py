"""
Marks of mail whose end is about to be sent, in a small file beside the spool's.

A mark costs one short write and no sync: what the kernel has been given outlives this process, however it ends.  It does not
outlive the kernel: a power cut may lose any of them.  So the file says in which run of the kernel the marks were made; after
another one every recipient that could have been in an attempt, because its time had come, counts as marked once, whether it was
sent or not.  What that costs: a mail whose turn had not come yet is then sent once where it might have been twice.  What it does
not see: an attempt that a person asked for before its time, in the moment before that is on disk.

Invariant: a recipient may have been sent, without a reply, as often as its row says and as there are marks of it here.

The file: 8 octets of magic, 1 of :data:`CLEAN` or :data:`IN_USE`, 7 empty, 48 of the kernel's boot id; then slots of 8 octets,
each empty or a recipient's key.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from launcelot.workers.database import sync_directory

SLOTS = 4_096
"""Marks there may be at once: those of all transactions under way, and of those whose outcome is not on disk yet."""

MAGIC = b"LVmarks1"
HEADER = 64
WIDTH = 8
CLEAN, IN_USE = b"c", b"u"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> bytes:
    """Names this run of the kernel; empty where it does not say."""
    try:
        return _BOOT.read_bytes().strip()[:48]
    except OSError:
        return b""


class Marks:
    """
    One file of marks.

    :param path: made by :meth:`open` if it is not there.
    :param boot: see :func:`boot_id`.
    :raises OSError: (from all but :meth:`put`) the file cannot be read or written.
    """

    def __init__(self, path: Path, boot: bytes | None = None, slots: int = SLOTS) -> None:
        self.path = path
        self._boot = boot_id() if boot is None else boot
        self._slots = slots
        self._file = -1
        self._free = list(range(slots - 1, -1, -1))
        self._taken: dict[int, list[int]] = {}

    def open(self) -> bool:
        """
        Open the file and take up its marks.

        :returns: whether they can be relied on: False after a power cut, when nobody knows which there were.
        """
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        data = os.pread(self._file, HEADER + WIDTH * self._slots, 0)
        if not data or data[8:9] == CLEAN:
            return True
        if data[:8] != MAGIC or len(data) < HEADER or not self._boot or data[16:HEADER].rstrip(b"\0") != self._boot:
            return False
        for slot in range((len(data) - HEADER) // WIDTH):
            key = int.from_bytes(data[HEADER + WIDTH * slot : HEADER + WIDTH * (slot + 1)], "little")
            if key:
                self._taken.setdefault(key, []).append(slot)
        used = {slot for slots in self._taken.values() for slot in slots}
        self._free = [slot for slot in self._free if slot not in used]
        return True

    def begin(self) -> None:
        """From now on marks are made; on disk when it returns."""
        keys = {slot: key for key, slots in self._taken.items() for slot in slots}
        slots = b"".join(keys.get(slot, 0).to_bytes(WIDTH, "little") for slot in range(self._slots))
        header = (MAGIC + IN_USE + bytes(7) + self._boot.ljust(48, b"\0"))[:HEADER]
        os.posix_fallocate(self._file, 0, HEADER + len(slots))
        os.pwrite(self._file, header + slots, 0)
        os.fsync(self._file)
        sync_directory(self.path.parent)

    @property
    def keys(self) -> Sequence[int]:
        """Recipients that have marks."""
        return tuple(self._taken)

    def keep(self, keys: Collection[int]) -> None:
        """
        Know only the marks of these recipients; to be called before :meth:`begin`.

        A crash between the deletion of a row and that of its mark leaves a mark of nobody, whose number the next mail gets.
        """
        for key in [one for one in self._taken if one not in keys]:
            self._free += self._taken.pop(key)

    def count(self, key: int) -> int:
        """How many marks of a recipient there are."""
        return len(self._taken.get(key, ()))

    def put(self, keys: Collection[int]) -> bool:
        """Mark recipients once more; False, and none is, where there is no room or the file cannot be written."""
        if len(keys) > len(self._free) or self._file < 0:
            return False
        try:
            for key in keys:
                slot = self._free[-1]
                os.pwrite(self._file, key.to_bytes(WIDTH, "little"), HEADER + WIDTH * slot)
                self._taken.setdefault(key, []).append(self._free.pop())
        except OSError:
            return False
        return True

    def of(self, keys: Iterable[int]) -> list[tuple[int, int]]:
        """The marks that recipients have now, for :meth:`clear`."""
        return [(key, slot) for key in keys for slot in self._taken.get(key, ())]

    def clear(self, marks: Iterable[tuple[int, int]]) -> None:
        """What these stand for is on disk elsewhere; a mark that cannot be removed counts once too often."""
        for key, slot in marks:
            slots = self._taken.get(key, [])
            if slot not in slots or self._file < 0:
                continue
            try:
                os.pwrite(self._file, bytes(WIDTH), HEADER + WIDTH * slot)
            except OSError:
                continue
            slots.remove(slot)
            if not slots:
                del self._taken[key]
            self._free.append(slot)

    def close(self, clean: bool) -> None:
        """
        Let go of the file; may be called twice.

        :param clean: there are no marks but those that are in the file, and what they stand for need not be guessed.
        """
        file, self._file = self._file, -1
        if file < 0:
            return
        if clean and not self._taken:
            os.pwrite(file, CLEAN, len(MAGIC))
            os.fsync(file)
        os.close(file)
