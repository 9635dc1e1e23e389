"""
Response codes in one table: each that the server sends, with its standard and what it tells; and each that it does not.

RFC 9051 section 7.1 and RFC 5530 section 3 have most of them.  What becomes of a refusal is in
:data:`launcelot.protocols.imap4.session.CODES`.  Tests compare this table with the code, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """
    One response code.

    :ivar standard: RFC and section.
    :ivar tells: when it is sent, for people.
    """

    name: bytes
    standard: str
    tells: str


SENT: tuple[Code, ...] = (
    Code(b"ALREADYEXISTS", "RFC 5530 section 3", "A mailbox of that name is there."),
    Code(b"APPENDUID", "RFC 4315 section 3", "Where appended messages went."),
    Code(b"AUTHENTICATIONFAILED", "RFC 5530 section 3", "Name and password or proof do not fit; nothing tells which."),
    Code(b"AUTHORIZATIONFAILED", "RFC 5530 section 3", "Somebody wants to act for somebody else."),
    Code(b"BADCHARSET", "RFC 3501 section 7.1", "A search in a character set that is not known here."),
    Code(b"BADEVENT", "RFC 5465 section 5", "NOTIFY about an event that is not told here."),
    Code(b"BADURL", "RFC 4469 section 5", "A URL in APPEND that leads nowhere."),
    Code(b"CANNOT", "RFC 5530 section 3", "Never possible here: a name, a mechanism, a change of what is read-only."),
    Code(b"CAPABILITY", "RFC 3501 section 7.1", "What can be done now: in the greeting and behind a login."),
    Code(b"CLIENTBUG", "RFC 5530 section 3", "A command out of its state, or octets before an answer they must wait for."),
    Code(b"CLOSED", "RFC 7162 section 3.2.11", "What follows is about the mailbox that is being opened."),
    Code(b"COMPRESSIONACTIVE", "RFC 4978 section 3", "COMPRESS, once more."),
    Code(b"COPYUID", "RFC 4315 section 3", "Where copied or moved messages went."),
    Code(b"EXPUNGEISSUED", "RFC 5530 section 3", "A message is gone whose removal has not been told yet."),
    Code(b"HIGHESTMODSEQ", "RFC 7162 section 3.1.2.1", "Up to where changes have been told."),
    Code(b"INPROGRESS", "RFC 9585 section 4", "A command that takes long, and how far it has come."),
    Code(b"INUSE", "RFC 5530 section 3", "Somebody else holds it now."),
    Code(b"LIMIT", "RFC 5530 section 3", "Too many failed logins, messages or mailboxes."),
    Code(b"MAILBOXID", "RFC 8474 section 4", "The identifier of a mailbox that was made or opened."),
    Code(b"MESSAGELIMIT", "RFC 9738 section 3.1", "More messages than one command may work on, and the lowest UID it did."),
    Code(b"METADATA", "RFC 5464 section 4.2.1, 4.3", "Annotations that are too long or too many."),
    Code(b"MODIFIED", "RFC 7162 section 3.1.3", "Messages that others have changed meanwhile."),
    Code(b"NONEXISTENT", "RFC 5530 section 3", "There is no such mailbox or message."),
    Code(b"NOPERM", "RFC 5530 section 3", "The account may not do it."),
    Code(b"NOTIFICATIONOVERFLOW", "RFC 5465 section 5.8", "More would have to be followed than can be; NOTIFY is off."),
    Code(b"OVERQUOTA", "RFC 9208 section 4.3", "The account is full."),
    Code(b"PERMANENTFLAGS", "RFC 3501 section 7.1", "Flags that can be changed."),
    Code(b"PRIVACYREQUIRED", "RFC 5530 section 3", "A password without TLS."),
    Code(b"READ-ONLY", "RFC 3501 section 7.1", "The mailbox has been opened for reading."),
    Code(b"READ-WRITE", "RFC 3501 section 7.1", "The mailbox has been opened for changes."),
    Code(b"SERVERBUG", "RFC 5530 section 3", "A bug of ours; the connection ends."),
    Code(b"TOOBIG", "RFC 7889 section 4", "A message or a command over the limit."),
    Code(b"TRYCREATE", "RFC 3501 section 7.1", "The mailbox to append or copy to could be made."),
    Code(b"UIDNEXT", "RFC 3501 section 7.1", "The next UID."),
    Code(b"UIDVALIDITY", "RFC 3501 section 7.1", "What UIDs belong to."),
    Code(b"UNAVAILABLE", "RFC 5530 section 3", "Store or account base cannot answer now; or the server goes, or is full."),
    Code(b"UNKNOWN-CTE", "RFC 3516 section 4.3", "A part whose transfer encoding cannot be taken off."),
    Code(b"UNSEEN", "RFC 3501 section 7.1", "The first message without the flag Seen."),
    Code(b"USEATTR", "RFC 6154 section 3", "A special use that a new mailbox cannot have."),
)

LEFT_OUT: Mapping[bytes, str] = {
    b"ALERT": "nothing here has to be shown to people against their client's will",
    b"CONTACTADMIN": "no refusal needs the administrator more than others; a disabled account is refused like a wrong password",
    b"CORRUPTION": "a damaged store answers UNAVAILABLE or ends the message it was sending; what is damaged is for fsck to say",
    b"EXPIRED": "passwords do not expire",
    b"HASCHILDREN": "a mailbox with inferiors can be deleted and stays as a name",
    b"PARSE": "messages are parsed without fault, whatever is in them",
    b"REFERRAL": "there is one server (RFC 2221, RFC 2193)",
    b"UIDNOTSTICKY": "UIDs last",
}
"""Codes of RFC 9051, RFC 5530 and RFC 2221 that are never sent, and why."""
