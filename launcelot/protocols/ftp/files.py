"""FTP's verbs on files and folders: transfers, names, facts and listings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from launcelot.core.errors import Invalid, NotFound, NotPermitted
from launcelot.core.filerights import Right, needs
from launcelot.filestore.interface import Entry, Form, Path, Tree, Upload
from launcelot.filestore.paths import encode, text_of
from launcelot.protocols.ftp import grammar
from launcelot.protocols.ftp.access import ready_for_data
from launcelot.protocols.ftp.answers import Answer
from launcelot.protocols.ftp.forms import FactsLines, ListLines, NameLines
from launcelot.protocols.ftp.grammar import quoted, reply, reply_lines
from launcelot.protocols.ftp.listing import Pattern, facts, has_wildcards
from launcelot.protocols.ftp.session import Session
from launcelot.protocols.ftp.transfer import ReceiveFile, SendFile, SendListing

# -- files ---------------------------------------------------------------------------------------------------------


async def retrieve(session: Session, name: str) -> Answer:
    """Send a file, from where REST said.  RFC 959 section 4.1.3, RFC 3659 section 5."""
    offset = session.take_offset()
    refused = ready_for_data(session)
    if refused:
        return refused
    reader = await session.tree.read(session.path(name))
    size = reader.entry.size
    if offset > size or (offset and session.ascii):
        await reader.close()
        return reply(554, "REST is past the end of the file." if offset > size else "Restarting needs TYPE I.")
    told = "" if session.ascii else f" ({size} bytes)"
    kind = "ASCII" if session.ascii else "BINARY"
    opening = f"Opening {kind} mode data connection for {name}{told}."
    return SendFile(opening, reader, offset, session.ascii, session.site.counters)


async def store(session: Session, name: str) -> Answer:
    """Receive a file, keeping what REST said of an earlier attempt or of the file.  RFC 959 section 4.1.3, RFC 3659 section 5."""
    offset = session.take_offset()
    if offset and session.ascii:
        return reply(554, "Restarting needs TYPE I.")
    path = session.path(name)
    try:
        return await receive(session, lambda tree: tree.upload(path, offset), f"for {name}")
    except Invalid as refusal:
        return reply(554 if offset else 553, refusal.text)


async def append(session: Session, name: str) -> Answer:
    """Receive octets behind a file's own.  RFC 959 section 4.1.3."""
    session.take_offset()
    path = session.path(name)
    return await receive(session, lambda tree: tree.upload(path, append=True), f"for {name}")


async def store_unique(session: Session, name: str) -> Answer:
    """Receive a file under a name nobody has.  RFC 959 section 4.1.3, RFC 1123 section 4.1.2.9."""
    session.take_offset()
    path = session.path(name or "upload")
    return await receive(session, lambda tree: tree.upload(path, unique=True), None)


async def receive(
    session: Session, begin: Callable[[Tree], Coroutine[Any, Any, Upload]], words: str | None
) -> Answer:
    """Prepare to receive; ``words`` None has the name told as STOU must."""
    refused = ready_for_data(session)
    if refused:
        return refused
    try:
        upload = await begin(session.tree)
    except NotFound:
        return reply(553, "There is no such folder.")
    except NotPermitted as refusal:
        return reply(553, refusal.text)
    kind = "ASCII" if session.ascii else "BINARY"
    opening = f"FILE: {upload.name}" if words is None else f"Opening {kind} mode data connection {words}."

    def done(entry: Entry) -> str:
        if words is None:
            # In the words of BSD's server, from which Perl's Net::FTP takes the name.
            return f"Transfer complete (unique file name: {entry.name})."
        return f"Transfer complete ({entry.size} bytes stored)."

    return ReceiveFile(opening, upload, session.ascii, session.site.counters, done)


async def abort(session: Session, _: None) -> Answer:
    """Answer ABOR; the transfer was ended when the command came in.  RFC 959 section 4.1.3."""
    if session.aborted or session.data.ready:
        session.aborted = False
        session.data.drop()
        return reply(226, "Aborted; the data connection is closed.")
    return reply(225, "There is no transfer to abort.")


async def delete(session: Session, name: str) -> Answer:
    """Remove a file.  RFC 959 section 4.1.3."""
    await session.tree.remove(session.path(name))
    return reply(250, "Removed.")


async def rename_from(session: Session, name: str) -> Answer:
    """Say what to rename.  RFC 959 section 4.1.3."""
    path = session.path(name)
    await session.tree.entry(path)
    session.renaming = path
    return reply(350, "Say RNTO.")


async def rename_to(session: Session, name: str) -> Answer:
    """Rename what RNFR said just before.  RFC 959 section 4.1.3."""
    path, session.renaming = session.renaming, None
    if path is None:
        return reply(503, "Say RNFR first.")
    await session.tree.rename(path, session.path(name))
    return reply(250, "Renamed.")


# -- folders -------------------------------------------------------------------------------------------------------


async def change_folder(session: Session, name: str) -> Answer:
    """Make a folder the working folder.  RFC 959 section 4.1.1."""
    path = session.path(name)
    entry = await session.tree.entry(path)
    if not entry.is_folder:
        return reply(550, "This is not a folder.")
    session.cwd = path
    return reply(250, f"{quoted(text_of(path))} is the working folder.")


async def change_up(session: Session, _: None) -> Answer:
    """Go one folder up; at the root this stays there.  RFC 959 section 4.1.1."""
    return await change_folder(session, "..")


async def print_folder(session: Session, _: None) -> Answer:
    """Say the working folder.  RFC 959 section 4.1.3."""
    return reply(257, f"{quoted(text_of(session.cwd))} is the working folder.")


async def make_folder(session: Session, name: str) -> Answer:
    """Make a folder.  RFC 959 section 4.1.3."""
    path = session.path(name)
    await session.tree.make_folder(path)
    return reply(257, f"{quoted(text_of(path))} created.")


async def remove_folder(session: Session, name: str) -> Answer:
    """Remove an empty folder.  RFC 959 section 4.1.3."""
    await session.tree.remove_folder(session.path(name))
    return reply(250, "Removed.")


# -- listings ------------------------------------------------------------------------------------------------------

Forms = Callable[[Pattern | None], Form]
"""Makes a form of what fits a pattern."""


async def prepared(session: Session, text: str, forms: Forms) -> AsyncIterator[bytes]:
    """The lines of a file, of what a folder holds, or of the names there that fit a pattern in the last name."""
    tree = session.tree
    folder, _, last = text.rpartition("/")
    if has_wildcards(last) and not await exists(tree, session.path(text)):
        pattern = Pattern(last)
        path = session.path((folder or "/") if "/" in text else "")
        to_be_listed(await folder_entry(tree, path))
        return tree.lines(path, forms(pattern))
    path = session.path(text)
    entry = await tree.entry(path)
    if entry.is_folder:
        to_be_listed(entry)
        return tree.lines(path, forms(None))
    return one(forms(None).of_entries([entry]))


async def exists(tree: Tree, path: Path) -> bool:
    """Whether there is something of that very name."""
    try:
        await tree.entry(path)
    except NotFound:
        return False
    return True


async def folder_entry(tree: Tree, path: Path) -> Entry:
    """
    A folder's entry.

    :raises NotFound: there is none.
    """
    entry = await tree.entry(path)
    if not entry.is_folder:
        raise NotFound("there is no such folder")
    return entry


def to_be_listed(entry: Entry) -> None:
    """
    Go on if a folder may be listed; later it would be refused in the middle of the reply.

    :raises NotPermitted: it may not.
    """
    if not entry.rights & Right.LIST:
        raise needs(Right.LIST)


async def one(line: bytes) -> AsyncIterator[bytes]:
    """A single line."""
    yield line


async def listing(session: Session, text: str) -> Answer:
    """List as ``ls -l`` does.  RFC 959 section 4.1.3."""
    refused = ready_for_data(session)
    if refused:
        return refused
    now = session.site.wall_clock()
    return SendListing("Here is the listing.", await prepared(session, text, lambda pattern: ListLines(now, pattern)))


async def names(session: Session, text: str) -> Answer:
    """List names only, in a form the peer can use as paths.  RFC 959 section 4.1.3, RFC 1123 section 4.1.2.7."""
    refused = ready_for_data(session)
    if refused:
        return refused
    prefix = await prefix_of(session, text)
    return SendListing("Here are the names.", await prepared(session, text, lambda pattern: NameLines(prefix, pattern)))


async def prefix_of(session: Session, text: str) -> bytes:
    """What stands before each name so that it is a path from the working folder."""
    folder, slash, _last = text.rpartition("/")
    path = session.path(text)
    is_folder = bool(text) and await exists(session.tree, path) and (await session.tree.entry(path)).is_folder
    if is_folder:
        return b"" if path == session.cwd else grammar.visible(text.rstrip("/")) + b"/"
    return grammar.visible(folder) + slash.encode("ascii")


async def machine_listing(session: Session, text: str) -> Answer:
    """List a folder as facts.  RFC 3659 section 7."""
    refused = ready_for_data(session)
    if refused:
        return refused
    path = session.path(text)
    entry = await session.tree.entry(path)
    if not entry.is_folder:
        return reply(501, "This is not a folder.")
    to_be_listed(entry)
    return SendListing("Here are the facts.", session.tree.lines(path, FactsLines(session.facts)))


async def machine_entry(session: Session, text: str) -> Answer:
    """The facts of one entry, on the control connection.  RFC 3659 section 7."""
    path = session.path(text)
    entry = await session.tree.entry(path)
    line = facts(entry, session.facts) + b" " + encode(text_of(path))
    return reply_lines(250, f"Facts of {text_of(path)}", [line], "End.")


async def size(session: Session, name: str) -> Answer:
    """Octets that RETR would send; only TYPE I can tell without reading the file.  RFC 3659 section 4."""
    entry = await session.tree.entry(session.path(name))
    if entry.is_folder:
        return reply(550, "This is a folder.")
    if session.ascii:
        return reply(550, "SIZE needs TYPE I.")
    return reply(213, str(entry.size))


async def modified(session: Session, name: str) -> Answer:
    """When a file was last changed.  RFC 3659 section 3."""
    entry = await session.tree.entry(session.path(name))
    if entry.is_folder:
        return reply(550, "This is a folder.")
    return reply(213, grammar.write_time(entry.modified))


async def modify(session: Session, argument: tuple[float, str]) -> Answer:
    """Set when a file was last changed.  draft-somers-ftp-mfxx section 3."""
    seconds, name = argument
    entry = await session.tree.set_modified(session.path(name), seconds)
    return reply(213, f"Modify={grammar.write_time(entry.modified)}; {name}")


async def modify_facts(session: Session, argument: tuple[float | None, int | None, str]) -> Answer:
    """Set facts of an entry.  draft-somers-ftp-mfxx section 5."""
    modified, mode, name = argument
    path = session.path(name)
    told = ""
    if mode is not None:
        entry = await session.tree.set_mode(path, mode)
        told = f"UNIX.mode={entry.mode & 0o777:04o};"
    if modified is not None:
        entry = await session.tree.set_modified(path, modified)
        told = f"Modify={grammar.write_time(entry.modified)};{told}"
    return reply(213, f"{told} {name}")


async def available(session: Session, text: str) -> Answer:
    """Octets that may still be stored.  draft-peterson-streamlined-ftp-command-extensions section 4."""
    path = session.path(text)
    await folder_entry(session.tree, path)
    left = await session.tree.available(path)
    return reply(550, "There is no limit to tell.") if left is None else reply(213, str(left))
