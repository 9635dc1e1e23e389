"""
What the server says it can do, in one table: each capability with its standard and when it is told.

A capability stands here only when it is complete; a test looks for the dialogue that shows each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from launcelot.hosting.sasl import EVERY


@dataclass(frozen=True, slots=True)
class Circumstances:
    """
    What decides about capabilities.

    :ivar tls_offered: whether STARTTLS would be accepted now.
    :ivar passwords: whether a password would be accepted now.
    :ivar authenticated: whether somebody has logged in.
    :ivar append_limit: octets of the largest message in APPEND.
    :ivar mechanisms: of SASL, that would be accepted now.
    :ivar compressed: whether both directions are compressed.
    :ivar message_limit: messages that one command may work on; 0 for no limit.
    :ivar only_saving: whether that is for COPY and APPEND only.
    :ivar unauthenticate: whether who has logged in may become nobody again.
    """

    tls_offered: bool
    passwords: bool
    authenticated: bool
    append_limit: int
    mechanisms: tuple[bytes, ...] = ()
    compressed: bool = False
    message_limit: int = 0
    only_saving: bool = False
    unauthenticate: bool = True


@dataclass(frozen=True, slots=True)
class Capability:
    """
    One word of the CAPABILITY response.

    :ivar standard: RFC and section.
    :ivar when: whether it is told.
    :ivar value: what stands behind the name and ``=``, if anything does.
    """

    name: bytes
    standard: str
    when: Callable[[Circumstances], bool] = lambda now: True
    value: Callable[[Circumstances], bytes] | None = None

    def word(self, now: Circumstances) -> bytes:
        """How it stands in the response."""
        return self.name if self.value is None else self.name + b"=" + self.value(now)


def before_login(now: Circumstances) -> bool:
    """Nobody has logged in."""
    return not now.authenticated


def can_use(mechanism: bytes) -> Callable[[Circumstances], bool]:
    """Nobody has logged in and this mechanism would be accepted."""
    return lambda now: before_login(now) and mechanism in now.mechanisms


def words(now: Circumstances) -> bytes:
    """The capabilities that hold now, as they stand behind ``CAPABILITY``."""
    return b" ".join(one.word(now) for one in CAPABILITIES if one.when(now))


SASL = {
    b"SCRAM-SHA-256": "RFC 7677",
    b"SCRAM-SHA-256-PLUS": "RFC 7677, RFC 9266",
    b"OAUTHBEARER": "RFC 7628",
    b"PLAIN": "RFC 4616",
}
"""Standards of mechanisms."""

CAPABILITIES: tuple[Capability, ...] = (
    Capability(b"IMAP4rev1", "RFC 3501"),
    Capability(b"IMAP4rev2", "RFC 9051"),
    Capability(b"LITERAL+", "RFC 7888 section 3"),
    Capability(b"SASL-IR", "RFC 4959 section 3", before_login),
    Capability(b"ID", "RFC 2971 section 3"),
    Capability(b"STARTTLS", "RFC 3501 section 6.2.1", lambda now: now.tls_offered),
    Capability(b"LOGINDISABLED", "RFC 3501 section 6.2.3", lambda now: before_login(now) and not now.passwords),
    *(Capability(b"AUTH=" + name, SASL.get(name, "RFC 3501 section 6.2.2"), can_use(name)) for name in EVERY),
    Capability(b"COMPRESS=DEFLATE", "RFC 4978 section 3", lambda now: now.authenticated and not now.compressed),
    Capability(b"UNAUTHENTICATE", "RFC 8437 section 3", lambda now: now.authenticated and now.unauthenticate),
    Capability(b"IDLE", "RFC 2177 section 3"),
    Capability(b"NAMESPACE", "RFC 2342 section 5"),
    Capability(b"CHILDREN", "RFC 3348 section 3"),
    Capability(b"SPECIAL-USE", "RFC 6154 section 2"),
    Capability(b"STATUS=SIZE", "RFC 8438 section 3"),
    Capability(b"UNSELECT", "RFC 3691 section 2"),
    Capability(b"UIDPLUS", "RFC 4315 section 2"),
    Capability(b"MOVE", "RFC 6851 section 3"),
    Capability(b"ESEARCH", "RFC 4731 section 3"),
    Capability(b"SEARCHRES", "RFC 5182 section 2"),
    Capability(b"WITHIN", "RFC 5032 section 3"),
    Capability(b"ENABLE", "RFC 5161 section 3"),
    Capability(b"APPENDLIMIT", "RFC 7889 section 2", value=lambda now: b"%d" % now.append_limit),
    Capability(
        b"MESSAGELIMIT",
        "RFC 9738 section 3",
        lambda now: now.message_limit > 0 and not now.only_saving,
        lambda now: b"%d" % now.message_limit,
    ),
    Capability(
        b"SAVELIMIT",
        "RFC 9738 section 3",
        lambda now: now.message_limit > 0 and now.only_saving,
        lambda now: b"%d" % now.message_limit,
    ),
    Capability(b"MULTIAPPEND", "RFC 3502 section 6"),
    Capability(b"SAVEDATE", "RFC 8514 section 2"),
    Capability(b"OBJECTID", "RFC 8474 section 3"),
    Capability(b"CREATE-SPECIAL-USE", "RFC 6154 section 3"),
    Capability(b"LIST-EXTENDED", "RFC 5258 section 3"),
    Capability(b"LIST-STATUS", "RFC 5819 section 2"),
    Capability(b"CONDSTORE", "RFC 7162 section 3.1"),
    Capability(b"QRESYNC", "RFC 7162 section 3.2"),
    Capability(b"BINARY", "RFC 3516 section 4"),
    Capability(b"CATENATE", "RFC 4469 section 3"),
    Capability(b"PREVIEW", "RFC 8970 section 3"),
    Capability(b"UTF8=ACCEPT", "RFC 9755 section 3"),
    Capability(b"MULTISEARCH", "RFC 7377 section 2"),
    Capability(b"UIDONLY", "RFC 9586 section 3"),
    Capability(b"INPROGRESS", "RFC 9585 section 4"),
    Capability(b"NOTIFY", "RFC 5465 section 3"),
    Capability(b"I18NLEVEL=1", "RFC 5255 section 4"),
    Capability(b"PARTIAL", "RFC 9394 section 3"),
    Capability(b"REPLACE", "RFC 8508 section 3"),
    Capability(b"SORT", "RFC 5256 section 3"),
    Capability(b"SORT=DISPLAY", "RFC 5957 section 4"),
    Capability(b"ESORT", "RFC 5267 section 3"),
    Capability(b"THREAD=ORDEREDSUBJECT", "RFC 5256 section 3"),
    Capability(b"THREAD=REFERENCES", "RFC 5256 section 3"),
    Capability(b"METADATA", "RFC 5464 section 4"),
    Capability(b"LIST-METADATA", "RFC 9590 section 3"),
    Capability(b"ACL", "RFC 4314 section 3"),
    Capability(b"RIGHTS", "RFC 4314 section 5.1.1", value=lambda now: b"kxte"),
    Capability(b"LIST-MYRIGHTS", "RFC 8440 section 3"),
    Capability(b"QUOTA", "RFC 9208 section 4"),
    Capability(b"QUOTASET", "RFC 9208 section 4.1.3"),
    Capability(b"QUOTA=RES-STORAGE", "RFC 9208 section 5.1"),
    Capability(b"QUOTA=RES-MESSAGE", "RFC 9208 section 5.2"),
)
