"""GETQUOTA, GETQUOTAROOT, SETQUOTA, and what is told of quotas.  RFC 9208 section 7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader

MAX_RESOURCES = 20
"""Resources in one SETQUOTA."""


@dataclass(frozen=True, slots=True)
class GetQuota:
    """One quota root."""

    root: str


@dataclass(frozen=True, slots=True)
class SetQuota:
    """
    All limits of a quota root.

    :ivar limits: resource in upper case and limit.
    """

    root: str
    limits: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """How much of something is used, and may be."""

    name: bytes
    usage: int
    limit: int


def read_root(reader: Reader) -> str:
    """
    ``quota-root-name``.

    :raises Malformed: it is not UTF-8.
    """
    reader.space()
    try:
        return reader.astring().decode()
    except UnicodeDecodeError:
        raise Malformed("quota root is not UTF-8") from None


def read_get_quota(reader: Reader) -> GetQuota:
    """``getquota``."""
    return GetQuota(read_root(reader))


def read_set_quota(reader: Reader) -> SetQuota:
    """``setquota``."""
    root = read_root(reader)
    reader.space()

    def limit() -> tuple[bytes, int]:
        name = reader.word()
        reader.space()
        return name, reader.mod_sequence()

    limits = reader.list(limit, MAX_RESOURCES, empty=True)
    if len(dict(limits)) < len(limits):
        raise Malformed("resource is given twice")
    return SetQuota(root, tuple(limits))


def quota(root: str, resources: Sequence[Resource]) -> bytes:
    """``quota-response``; an empty list says that nothing is limited."""
    listed = b" ".join([b"%b %d %d" % (one.name, one.usage, one.limit) for one in resources])
    return b"QUOTA %b (%b)" % (responses.string(root.encode()), listed)


def quota_root(mailbox: bytes, root: str) -> bytes:
    """``quotaroot-response`` with one root; the mailbox as it goes on the wire."""
    return b"QUOTAROOT %b %b" % (mailbox, responses.string(root.encode()))
