"""SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS, and what they are answered with.  RFC 4314 section 7."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from launcelot.core.errors import Invalid
from launcelot.core.saslprep import NotPrepared, saslprep
from launcelot.mailstore.rights import Change, Rights, kept, read_rights, write_rights
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.mailboxnames import read_mailbox
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader

MAX_IDENTIFIER = 1_000
"""Octets of an identifier."""


@dataclass(frozen=True, slots=True)
class Identified:
    """
    A mailbox and somebody.

    :ivar identifier: prepared by SASLprep.
    :ivar given: as it was written, for the answer.
    """

    mailbox: str
    identifier: str
    given: bytes


@dataclass(frozen=True, slots=True)
class SetAcl:
    """A change of what somebody may do with a mailbox."""

    mailbox: str
    identifier: str
    change: Change
    rights: Rights


def read_identified(reader: Reader) -> Identified:
    """``deleteacl`` and ``listrights``."""
    reader.space()
    mailbox = read_mailbox(reader)
    reader.space()
    given = reader.astring()
    return Identified(mailbox, prepared(given), given)


def prepared(raw: bytes) -> str:
    """
    ``identifier``.  RFC 4314 section 3.

    :raises Malformed: it is empty, too long, no UTF-8, or SASLprep forbids it.
    """
    try:
        text = saslprep(raw.decode())
    except (UnicodeDecodeError, NotPrepared):
        raise Malformed("impossible identifier") from None
    if not text.removeprefix("-") or len(raw) > MAX_IDENTIFIER:
        raise Malformed("impossible identifier")
    return text


def read_set_acl(reader: Reader) -> SetAcl:
    """
    ``setacl``.

    :raises Malformed: there is a letter that is no right.
    """
    identified = read_identified(reader)
    reader.space()
    letters = reader.astring().decode("latin-1")
    change = Change(letters[:1]) if letters[:1] in ("+", "-") else Change.REPLACE
    try:
        rights = read_rights(letters.removeprefix(change.value))
    except Invalid:
        raise Malformed("no such right") from None
    return SetAcl(identified.mailbox, identified.identifier, change, rights)


def acl(mailbox: bytes, entries: Iterable[tuple[str, Rights]]) -> bytes:
    """``acl-data``; the mailbox as it goes on the wire, as in all of these."""
    told = [b"ACL " + mailbox]
    for identifier, rights in entries:
        told.append(responses.astring(identifier.encode()) + b" " + letters_of(rights))
    return b" ".join(told)


def list_rights(mailbox: bytes, given: bytes, required: Rights, optional: Rights) -> bytes:
    """``listrights-data``: each right that can be granted stands by itself; ``c`` and ``d`` with their members."""
    told = [b"LISTRIGHTS", mailbox, responses.astring(given), letters_of(required)]
    told.extend(letter.encode("ascii") for letter in write_rights(optional))
    return b" ".join(told)


def my_rights(mailbox: bytes, rights: Rights) -> bytes:
    """``myrights-data``."""
    return b"MYRIGHTS %b %b" % (mailbox, letters_of(rights))


def letters_of(rights: Rights) -> bytes:
    """``rights``, with the virtual ones; quoted where there are none."""
    return write_rights(rights).encode("ascii") if kept(rights) else b'""'
