"""Commands about the connection: COMPRESS, UNAUTHENTICATE.  RFC 4978, RFC 8437."""

from __future__ import annotations

from launcelot.protocols.imap4.grammar.reader import Malformed, Reader
from launcelot.protocols.imap4.grammar.requests import Nothing
from launcelot.protocols.imap4.session import Reply, Session, ok


def read_compress(reader: Reader) -> bytes:
    """``compress``: an algorithm in upper case.  RFC 4978 section 5."""
    reader.space()
    return reader.word()


async def compress(session: Session, algorithm: bytes) -> Reply | None:
    """
    Compress both directions from the next octet on.  RFC 4978 section 3.

    :raises Malformed: the algorithm is another.
    """
    if algorithm != b"DEFLATE":
        raise Malformed("only DEFLATE is known")
    if session.wire.compressed:
        return Reply(b"BAD", "compression is active", b"COMPRESSIONACTIVE")
    if session.wire.pending:
        return Reply(b"BAD", "nothing may follow COMPRESS before its answer", b"CLIENTBUG")
    session.finish(session.tag, ok("DEFLATE active"))
    session.wire.begin_compression()
    return None


async def unauthenticate(session: Session, _request: Nothing) -> Reply | None:
    """
    Be as if nobody had logged in; TLS stays, all else goes.  RFC 8437 section 3.

    :returns: None: what comes next belongs to another session on the same connection.
    :raises Malformed: it is switched off.
    """
    if not session.settings.unauthenticate:
        raise Malformed("UNAUTHENTICATE is switched off")
    session.renounce()
    session.finish(session.tag, ok("Logged out"))
    session.wire.end_compression()
    return None
