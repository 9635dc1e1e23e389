"""
Checksums of files: HASH (draft-bryan-ftpext-hash) and XSHA256, so that both ends can compare what they have.

The SHA-256 of a whole file is the store's to find.  For all else files are read in pieces and summed up beside the reactor; a
file that is replaced meanwhile is summed up as it was.
"""

from __future__ import annotations

import hashlib
import re

from launcelot.protocols.ftp.answers import Answer
from launcelot.protocols.ftp.grammar import Malformed, reply, text
from launcelot.protocols.ftp.session import Session

ALGORITHMS = {"SHA-256": "sha256", "SHA-512": "sha512"}
"""By the names that IANA has for them; the first one is what is chosen at first."""
KEPT = "SHA-256"
"""What a store knows of a file that has not changed since it came; all else is summed up each time."""
PIECE = 240 * 1024
"""Octets read at once."""
_QUOTED = re.compile(r'"((?:[^"]|"")*)"(?: +([0-9]{1,18}) +([0-9]{1,18}))?')


async def digest_of(session: Session, name: str, algorithm: str, start: int = 0, end: int | None = None) -> tuple[str, int]:
    """
    A file's checksum in hexadecimal digits, and its octets.

    :param end: behind the last octet that counts; None for all.
    :raises Malformed: it is a folder, or ends before ``start``.
    """
    reader = await session.tree.read(session.path(name))
    try:
        size = reader.entry.size
        last = size if end is None else min(end, size)
        if start > last:
            raise Malformed("The range is past the end of the file.", 501)
        if algorithm == KEPT and (start, last) == (0, size):
            return (await reader.sha256()).hex(), size
        digest = hashlib.new(ALGORITHMS[algorithm], usedforsecurity=False)
        while start < last and (piece := await reader.read(start, min(PIECE, last - start))):
            start += len(piece)
            await session.site.aside.run(lambda piece=piece: digest.update(piece))  # type: ignore[misc]
    finally:
        await reader.close()
    return digest.hexdigest(), size


async def hash_file(session: Session, name: str) -> Answer:
    """HASH: the whole file, with the algorithm that OPTS HASH has chosen."""
    found, size = await digest_of(session, name, session.algorithm)
    return reply(213, f"{session.algorithm} 0-{max(size - 1, 0)} {found} {name}")


async def sha256_file(session: Session, argument: tuple[str, int, int | None]) -> Answer:
    """XSHA256, as clients know it from other servers."""
    name, start, end = argument
    found, _ = await digest_of(session, name, "SHA-256", start, end)
    return reply(250, found.upper())


def path_and_range(argument: bytes) -> tuple[str, int, int | None]:
    """
    ``path``, ``"path"`` or ``"path" start end``.

    :raises Malformed: there is no path.
    """
    words = text(argument)
    found = _QUOTED.fullmatch(words.strip())
    if found is None:
        return words, 0, None
    if not found[1]:
        raise Malformed("A path is missing.")
    return found[1].replace('""', '"'), int(found[2] or 0), None if found[3] is None else int(found[3])


def choose(session: Session, rest: str) -> Answer:
    """``OPTS HASH [algorithm]``: choose one, or tell which it is."""
    wanted = rest.strip().upper() or session.algorithm
    if wanted not in ALGORITHMS:
        return reply(504, f"The algorithms are {', '.join(ALGORITHMS)}.")
    session.algorithm = wanted
    return reply(200, wanted)


def feature(session: Session) -> str:
    """The line of FEAT."""
    return "HASH " + "".join(f"{name}{'*' if name == session.algorithm else ''};" for name in ALGORITHMS)


