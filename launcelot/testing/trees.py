"""Trees of files in tests: filled at once, read at once, and team folders with who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcelot.accounts.interface import Directory, TeamFolder
from launcelot.core.errors import Exists
from launcelot.core.filerights import read_rights
from launcelot.filestore.interface import FileStore, Tree

PIECE = 1 << 18


async def put_files(tree: Tree, files: Mapping[str, bytes]) -> None:
    """
    Put files there, and the folders on their ways.

    :param files: by path, such as ``"in/a.csv"``.
    """
    for name, octets in files.items():
        path = tuple(name.strip("/").split("/"))
        for depth in range(1, len(path)):
            try:
                await tree.make_folder(path[:depth])
            except Exists:
                pass
        upload = await tree.upload(path)
        await upload.write(octets)
        await upload.publish()


async def all_files(tree: Tree) -> Mapping[str, bytes]:
    """All files there, by path."""
    found: dict[str, bytes] = {}
    folders: list[tuple[str, ...]] = [()]
    while folders:
        folder = folders.pop()
        async for batch in tree.entries(folder):
            for entry in batch:
                path = (*folder, entry.name)
                if entry.is_folder:
                    folders.append(path)
                else:
                    found["/".join(path)] = await _whole(await tree.read(path))
    return found


async def _whole(reader: Any) -> bytes:
    octets = b""
    try:
        while piece := await reader.read(len(octets), PIECE):
            octets += piece
    finally:
        await reader.close()
    return octets


async def make_team(
    accounts: Directory, store: FileStore, name: str, rights: Mapping[str, str], quota: int, files: Mapping[str, bytes]
) -> TeamFolder:
    """
    Make a team folder.

    :param rights: words by account, group or ``"anyone"``.
    """
    folder = await accounts.add_team_folder(name, quota)
    for who, words in rights.items():
        folder = await accounts.grant(folder.name, who, read_rights(words))
    if files:
        await put_files(await store.tree(folder.id, quota), files)
    return folder
