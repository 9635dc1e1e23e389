"""How one mailbox is told of in a LIST response, wherever that is sent.  RFC 9051 sections 6.3.9.7 and 7.3.1."""

from __future__ import annotations

from launcelot.core.errors import Invalid
from launcelot.mailstore.interface import MailboxInfo
from launcelot.mailstore.names import canonical
from launcelot.protocols.imap4.session import Session


def attributes_of(info: MailboxInfo, rev2: bool = False) -> bytes:
    """
    What stands between the parentheses.

    :param rev2: whether the client speaks IMAP4rev2, which has a word for a name that is only above others.
    """
    words = [] if info.selectable else [rb"\NonExistent" if rev2 else rb"\Noselect"]
    words.append(rb"\HasChildren" if info.has_children else rb"\HasNoChildren")
    if info.special_use:
        words.append(info.special_use.encode("ascii"))
    return b" ".join(words)


async def tell_opened(session: Session, supplied: str) -> None:
    """The LIST response that SELECT and EXAMINE owe a client of IMAP4rev2.  RFC 9051 section 6.3.2."""
    if session.rev2:
        name = session.view.mailbox.info.name
        info = next((one for one in await session.mail.mailboxes() if one.name == name), None)
        if info is not None:
            tell_name(session, attributes_of(info, rev2=True), name, supplied)


def tell_normalized(session: Session, supplied: str, gone: bool = False, now: str = "") -> None:
    """
    The name that was meant, where a client of IMAP4rev2 has spelled it otherwise.  RFC 9051 section 6.3.9.7.

    :param supplied: as it came; :param now: the name it has, if that is not only another spelling.
    """
    if not session.rev2:
        return
    try:
        name = canonical(now or supplied)
    except Invalid:
        return
    if canonical(supplied) != supplied:
        tell_name(session, rb"\NonExistent" if gone else b"", name, supplied)


def tell_name(session: Session, attributes: bytes, name: str, supplied: str) -> None:
    """One LIST response; with OLDNAME where the name was supplied in another spelling."""
    old = b' ("OLDNAME" (%b))' % session.name_of(supplied) if supplied != name else b""
    session.untagged(b'LIST (%b) "/" %b%b' % (attributes, session.name_of(name), old))
