"""
A tree as somebody sees it who may look at everything in it and change nothing, such as whoever has logged in as nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace as changed
from typing import NoReturn

from launcelot.core.errors import NotPermitted
from launcelot.core.filerights import SETS
from launcelot.filestore.interface import Entry, Form, Path, Reader, Tree, Upload, with_rights

VIEWER = SETS["viewer"]

READ_ONLY = "these files can be read only"


class ViewedTree:
    """
    See :class:`launcelot.filestore.interface.Tree`; whatever would change something is refused.

    :param inner: whose files they are.
    """

    def __init__(self, inner: Tree) -> None:
        self._inner = inner

    async def entry(self, path: Path) -> Entry:
        """One entry."""
        entry = with_rights(await self._inner.entry(path), VIEWER)
        return entry if path else changed(entry, fixed=True)

    async def entries(self, path: Path) -> AsyncIterator[list[Entry]]:
        """What a folder holds."""
        async for batch in self._inner.entries(path):
            yield [with_rights(entry, VIEWER) for entry in batch]

    async def lines(self, path: Path, form: Form) -> AsyncIterator[bytes]:
        """What a folder holds, put into octets."""
        form.rights = VIEWER
        async for lines in self._inner.lines(path, form):
            yield lines

    async def read(self, path: Path) -> Reader:
        """Open a file."""
        return await self._inner.read(path)

    async def kept(self, path: Path) -> int:
        """Nobody has left an upload who cannot begin one."""
        return 0

    async def usage(self, path: Path = ()) -> int:
        """Octets stored."""
        return await self._inner.usage(path)

    async def available(self, path: Path = ()) -> int | None:
        """None may be stored."""
        return 0

    async def upload(self, path: Path, offset: int = 0, append: bool = False, unique: bool = False) -> Upload:
        """Refused."""
        _refuse()

    async def make_folder(self, path: Path) -> Entry:
        """Refused."""
        _refuse()

    async def remove_folder(self, path: Path) -> None:
        """Refused."""
        _refuse()

    async def remove(self, path: Path) -> None:
        """Refused."""
        _refuse()

    async def rename(self, path: Path, to: Path, replace: bool = True) -> None:
        """Refused."""
        _refuse()

    async def set_modified(self, path: Path, seconds: float) -> Entry:
        """Refused."""
        _refuse()

    async def set_mode(self, path: Path, mode: int) -> Entry:
        """Refused."""
        _refuse()


def _refuse() -> NoReturn:
    raise NotPermitted(READ_ONLY)
