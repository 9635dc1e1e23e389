"""
What is to go wrong, and where: sentences that are values.

>>> str(at.smtp("RCPT").replies(451, "4.3.2 later").times(2))
"at.smtp('RCPT').replies(451, '4.3.2 later').times(2)"

A sentence has a point and what happens there.  The point is a protocol, or one listener of it, and then

- ``at.smtp("RCPT")``: a command, before the server sees it; ``at.questions("...?")`` a question; without a word, any;
- ``at.smtp.greeting``: before the server says anything;
- ``.body`` (``.literal`` is the same): inside the octets that belong to the command: the message of DATA, a literal of IMAP;
  ``.after(7)`` behind so many of them;
- ``.end``: behind the last of them; for an upload or download of FTP, where its last reply is due;
- ``.reply``: after the server has done what it was asked, in what it says then; ``.after(7)`` behind so many octets;
  ``.reply.literal`` counts from the first literal in it;
- ``.data``: on FTP's data connection; ``.after(1_000)`` behind so many octets;
- ``at.smtp.hearing.after(89)``: the server has heard so many octets of its client in all, decoded, and done what they say;
  ``at.smtp.saying.after(165)``: so many of its own have left;
- ``at.tls.certificate``, ``at.imap.tls.certificate``: which certificate is shown; ``at.tls.handshake.after(100)``: behind so many
  octets of what the server says in the handshake;
- ``at.dns("MX")``, ``at.dns("MX example.org")``: a question of DNS; any without a word;
- ``at.storage("mail")``: something is about to be stored, in the store of ``mail`` or ``files``, or in the ``spool``; anywhere
  without a word;
- ``at.storage("mail").sync``: it is written, and about to be made durable.  Whoever asked is refused, and it is there all the
  same, for a sync that fails says nothing of what is on the disk; what was refused and is not there fails without ``.sync``.

``.after("DATA")`` arms a point only where that command was used before on the connection, ``.on(2)`` only on the second
connection, ``.nth(3)`` from the third use on, and ``.times(2)`` lets the thing happen twice and then no more.  Uses are counted
over all connections of a Site.

What does not make sense is refused when the sentence is made.  Nothing here imports Twisted.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from enum import Enum


class Stage(Enum):
    """Where, in a command's course."""

    GREETING = "greeting"
    COMMAND = ""
    BODY = "body"
    END = "end"
    REPLY = "reply"
    DATA = "data"
    SYNC = "sync"
    HEARING = "hearing"
    SAYING = "saying"
    CERTIFICATE = "certificate"
    HANDSHAKE = "handshake"


class Act(Enum):
    """What happens."""

    REPLIES = "replies"
    SAYS = "says"
    STALLS = "stalls"
    DISCONNECTS = "disconnects"
    RESETS = "resets"
    LOSES_REPLY = "loses_reply"
    DELAYS = "delays"
    DRIPS = "drips"
    RESTARTS = "restarts"
    DOUBLES = "doubles"
    FAILS = "fails"
    EXPIRED = "expired"
    WRONG_NAME = "wrong_name"
    UNTRUSTED = "untrusted"


BREAKS = frozenset({Act.STALLS, Act.DISCONNECTS, Act.RESETS, Act.RESTARTS})

TALKS = BREAKS | {Act.REPLIES, Act.SAYS, Act.LOSES_REPLY, Act.DELAYS, Act.DRIPS}

POSSIBLE: dict[Stage, frozenset[Act]] = {
    Stage.GREETING: TALKS - {Act.LOSES_REPLY},
    Stage.COMMAND: TALKS,
    Stage.BODY: BREAKS,
    Stage.END: TALKS,
    Stage.REPLY: TALKS - {Act.LOSES_REPLY},
    Stage.DATA: BREAKS | {Act.DRIPS, Act.DELAYS},
    Stage.HEARING: BREAKS,
    Stage.SAYING: BREAKS,
    Stage.CERTIFICATE: frozenset({Act.EXPIRED, Act.WRONG_NAME, Act.UNTRUSTED}),
    Stage.HANDSHAKE: BREAKS,
}
"""What can happen where."""

ELSEWHERE: dict[tuple[str, Stage], frozenset[Act]] = {
    ("dns", Stage.COMMAND): frozenset({Act.REPLIES, Act.SAYS, Act.STALLS, Act.DELAYS, Act.DOUBLES}),
    ("storage", Stage.COMMAND): frozenset({Act.FAILS, Act.DELAYS}),
    ("storage", Stage.SYNC): frozenset({Act.FAILS}),
}
"""What can happen where nobody has a connection."""

LONGEST = 86_400.0
"""Seconds of a delay; more is no delay but a stall."""

MOST_OCTETS = 1 << 40

STORES = ("mail", "files", "spool")

SECURE = frozenset({Stage.CERTIFICATE, Stage.HANDSHAKE})

COUNTABLE = frozenset(
    {Stage.BODY, Stage.REPLY, Stage.DATA, Stage.GREETING, Stage.HEARING, Stage.SAYING, Stage.HANDSHAKE}
)
"""Stages with octets that can be counted."""

WITH_BODIES = frozenset({"smtp", "imap", "managesieve", "submission", "submissions", "lmtp", "imaps"})
"""Whose commands have octets that belong to them."""

WITH_DATA = frozenset({"ftp", "ftps"})


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A whole sentence.

    :ivar code: of a reply; ``octets`` what is said raw; ``number`` seconds, or octets in a second.
    :ivar limit: how often it happens; 0 for always.
    """

    point: Point
    act: Act
    code: int | str = ""
    text: str = ""
    octets: bytes = b""
    number: float = 0.0
    limit: int = 0

    def times(self, count: int) -> Fault:
        """
        Only so often.

        :raises ValueError: less than once.
        """
        return replace(self, limit=_counted(count, "a fault happens at least once; leave it out otherwise"))

    def nth(self, use: int) -> Fault:
        """From that use of the point on."""
        return replace(self, point=self.point.nth(use))

    def on(self, connection: int) -> Fault:
        """Only on that connection."""
        return replace(self, point=self.point.on(connection))

    def __str__(self) -> str:
        arguments = {
            Act.REPLIES: ", ".join(repr(one) for one in (self.code, self.text) if one != ""),
            Act.SAYS: repr(self.octets),
            Act.DELAYS: f"{self.number:g}",
            Act.DRIPS: f"{self.number:g}",
            Act.FAILS: repr(self.code),
            Act.RESTARTS: f"{self.number:g}" if self.number else "",
        }.get(self.act, "")
        times = f".times({self.limit})" if self.limit else ""
        return f"{self.point}.{self.act.value}({arguments}){times}"


@dataclass(frozen=True, slots=True)
class Point:
    """
    A place in a conversation; see the module's text.

    :ivar verb: in capitals; empty for any.
    :ivar stage: where of it.
    :ivar replying: it is in the reply to that stage, not before it.
    :ivar counts_literal: octets count from the first literal of the reply.
    :ivar octets: that pass before it.
    :ivar behind: the command that must have been used before.
    :ivar connection: counted from 1; 0 for any.
    :ivar use: counted from 1.
    """

    protocol: str
    verb: str = ""
    stage: Stage = Stage.COMMAND
    replying: bool = False
    counts_literal: bool = False
    octets: int = 0
    behind: str = ""
    connection: int = 0
    use: int = 1

    # -- where -----------------------------------------------------------------------------------------------------

    @property
    def body(self) -> Point:
        """
        In the octets that belong to a command.

        :raises ValueError: the protocol has no such commands.
        """
        if self.protocol not in WITH_BODIES:
            raise ValueError(f"commands of {self.protocol} have no body")
        return replace(self, stage=Stage.BODY)

    @property
    def literal(self) -> Point:
        """The same as :attr:`body`; of a reply, its first literal."""
        return replace(self, counts_literal=True) if self.replying else self.body

    @property
    def end(self) -> Point:
        """
        Behind the last of them.

        :raises ValueError: the protocol has no such commands.
        """
        if self.protocol not in WITH_BODIES | WITH_DATA:
            raise ValueError(f"commands of {self.protocol} have no body that could end")
        return replace(self, stage=Stage.END)

    @property
    def reply(self) -> Point:
        """In the reply."""
        return replace(self, replying=True)

    @property
    def data(self) -> Point:
        """
        On the data connection of a command.

        :raises ValueError: the protocol has none.
        """
        if self.protocol not in WITH_DATA:
            raise ValueError(f"{self.protocol} has no data connections")
        return replace(self, stage=Stage.DATA)

    @property
    def sync(self) -> Point:
        """
        Where what was written is made durable.

        :raises ValueError: it is not about storage.
        """
        if self.protocol != "storage":
            raise ValueError(f"{self.protocol} syncs nothing; at.storage() does")
        return replace(self, stage=Stage.SYNC)

    def after(self, what: int | str = "", *, octets: int | None = None) -> Point:
        """
        Behind so many octets, or once a command has been used on the connection.

        :raises ValueError: there are no octets to count at this point.
        """
        if isinstance(what, str) and octets is None:
            return replace(self, behind=what.upper())
        count = octets if octets is not None else what
        if not isinstance(count, int) or not 0 <= count < MOST_OCTETS or self._place not in COUNTABLE:
            raise ValueError(f"there are no octets to count at {self}")
        return replace(self, octets=count)

    def nth(self, use: int) -> Point:
        """
        From that use on.

        :raises ValueError: uses are counted from 1.
        """
        return replace(self, use=_counted(use, "uses are counted from 1"))

    def on(self, connection: int) -> Point:
        """
        Only on that connection of the protocol.

        :raises ValueError: connections are counted from 1.
        """
        return replace(self, connection=_counted(connection, "connections are counted from 1"))

    # -- what ------------------------------------------------------------------------------------------------------

    def replies(self, code: int | str, text: str = "") -> Fault:
        """
        This is answered; before the reply, the server does not see the command, and has not taken its body.

        :param code: such as ``451``, ``"NO"``, ``"-ERR"``, or all of an answer; IMAP's tag is put before it.
        """
        if not isinstance(code, (int, str)) or not isinstance(text, str):
            raise ValueError("a reply is a code and a text")
        if "\r" in f"{code}{text}" or "\n" in f"{code}{text}":
            raise ValueError("a reply is one line; says() takes anything")
        return self._fault(Act.REPLIES, code=code, text=text)

    def says(self, octets: bytes) -> Fault:
        """These octets are answered, line ends and all; otherwise as :meth:`replies`."""
        if not isinstance(octets, bytes):
            raise ValueError("says() takes octets, such as b'554 no\\r\\n'")
        return self._fault(Act.SAYS, octets=octets)

    def stalls(self) -> Fault:
        """Nothing is heard and nothing said any more, and the connection stays open."""
        return self._fault(Act.STALLS)

    def disconnects(self) -> Fault:
        """The server closes."""
        return self._fault(Act.DISCONNECTS)

    def resets(self) -> Fault:
        """The connection is reset (RST)."""
        return self._fault(Act.RESETS)

    def loses_reply(self) -> Fault:
        """The server does what it was asked; then the connection is closed and the reply never sent."""
        return self._fault(Act.LOSES_REPLY)

    def delays(self, seconds: float) -> Fault:
        """The reply comes later."""
        return self._fault(Act.DELAYS, number=_seconds(seconds))

    def drips(self, octets_per_second: float) -> Fault:
        """The reply comes octet by octet."""
        if not 0 < octets_per_second < MOST_OCTETS:
            raise ValueError("octets in a second are more than none; use stalls() for none at all")
        return self._fault(Act.DRIPS, number=octets_per_second)

    def restarts(self, down: float = 0.0) -> Fault:
        """
        The server dies and comes back: every connection to it is lost, and what it had stored is there again.

        :param down: seconds in which nobody listens.
        """
        return self._fault(Act.RESTARTS, number=_seconds(down))

    def doubles(self) -> Fault:
        """The answer of DNS comes twice."""
        return self._fault(Act.DOUBLES)

    def fails(self, error: str | int = "EIO") -> Fault:
        """
        The disk refuses, so that nothing is stored; at a sync, although it is.

        :param error: such as ``"ENOSPC"`` for a full one, or ``errno.ENOSPC``.
        :raises ValueError: there is no such error.
        """
        name = errno.errorcode.get(error, "") if isinstance(error, int) else error
        if not isinstance(getattr(errno, name, None), int):
            raise ValueError(f"there is no error {error!r}; the module errno lists them")
        return self._fault(Act.FAILS, code=name)

    def expired(self) -> Fault:
        """The certificate is a trusted one for the right names whose time has passed."""
        return self._fault(Act.EXPIRED)

    def wrong_name(self) -> Fault:
        """The certificate is a trusted one of another host."""
        return self._fault(Act.WRONG_NAME)

    def untrusted(self) -> Fault:
        """The certificate is for the right names, from an authority that nobody knows."""
        return self._fault(Act.UNTRUSTED)

    @property
    def _place(self) -> Stage:
        return Stage.REPLY if self.replying else self.stage

    def _fault(self, act: Act, code: int | str = "", text: str = "", octets: bytes = b"", number: float = 0.0) -> Fault:
        elsewhere = self.protocol in ("dns", "storage")
        possible = ELSEWHERE.get((self.protocol, self._place)) if elsewhere else POSSIBLE.get(self._place)
        if act not in (possible or ()):
            raise ValueError(f"{act.value} is not possible at {self}")
        return Fault(self, act, code, text, octets, number)

    def __str__(self) -> str:
        head = f"at.{self.protocol}" if hasattr(at, self.protocol) else f"at.service({self.protocol!r})"
        if self.stage in SECURE:
            head += f".{self.stage.value}" if self.protocol == "tls" else f".tls.{self.stage.value}"
        elif self.stage in (Stage.GREETING, Stage.HEARING, Stage.SAYING):
            head += f".{self.stage.value}"
        else:
            head += f"({self.verb!r})" if self.verb else "()"
            head += f".{self.stage.value}" if self.stage.value else ""
        head += ".reply" if self.replying else ""
        head += ".literal" if self.counts_literal else ""
        head += f".after({self.octets})" if self.octets else ""
        head += f".after({self.behind!r})" if self.behind else ""
        head += f".nth({self.use})" if self.use > 1 else ""
        return head + (f".on({self.connection})" if self.connection else "")


def _counted(number: int, otherwise: str) -> int:
    if not isinstance(number, int) or number < 1:
        raise ValueError(otherwise)
    return number


def _seconds(number: float) -> float:
    if not isinstance(number, (int, float)) or not 0 <= number < LONGEST:
        raise ValueError(f"seconds are 0 to {LONGEST:g}")
    return float(number)


@dataclass(frozen=True, slots=True)
class Talk:
    """One protocol: ``at.smtp``."""

    protocol: str

    def __call__(self, verb: str = "") -> Point:
        """
        A command of it; any without a word.

        :raises ValueError: there is no such store.
        """
        if self.protocol == "storage":
            if verb not in ("", *STORES):
                raise ValueError(f"there is no store {verb!r}; there are {', '.join(STORES)}")
            return Point(self.protocol, verb)
        return Point(self.protocol, verb if "?" in verb else verb.upper())

    @property
    def greeting(self) -> Point:
        """Before the server says anything."""
        return Point(self.protocol, stage=Stage.GREETING)

    @property
    def hearing(self) -> Point:
        """In what the server hears, over a whole connection; ``.after(89)``."""
        return Point(self.protocol, stage=Stage.HEARING)

    @property
    def saying(self) -> Point:
        """In what the server says, over a whole connection; ``.after(165)``."""
        return Point(self.protocol, stage=Stage.SAYING)

    @property
    def tls(self) -> Secure:
        """In its TLS."""
        return Secure(self.protocol)

    @property
    def literal(self) -> Point:
        """In the octets that belong to any command."""
        return self().body

    def data(self, verb: str = "") -> Point:
        """On the data connection of a command."""
        return self(verb).data


@dataclass(frozen=True, slots=True)
class Secure:
    """TLS, everywhere or of one service."""

    protocol: str = "tls"

    @property
    def certificate(self) -> Point:
        """Which certificate is shown."""
        return Point(self.protocol, stage=Stage.CERTIFICATE)

    @property
    def handshake(self) -> Point:
        """In the handshake; ``.after(100)`` octets of the server's."""
        return Point(self.protocol, stage=Stage.HANDSHAKE)


@dataclass(frozen=True, slots=True)
class At:
    """
    Where sentences begin: ``at.smtp`` is all of a service, ``at.submission`` one listener of it.
    """

    smtp: Talk = Talk("smtp")
    submission: Talk = Talk("submission")
    submissions: Talk = Talk("submissions")
    lmtp: Talk = Talk("lmtp")
    imap: Talk = Talk("imap")
    imaps: Talk = Talk("imaps")
    pop3: Talk = Talk("pop3")
    pop3s: Talk = Talk("pop3s")
    ftp: Talk = Talk("ftp")
    ftps: Talk = Talk("ftps")
    managesieve: Talk = Talk("managesieve")
    questions: Talk = Talk("questions")
    dns: Talk = Talk("dns")
    storage: Talk = Talk("storage")
    tls: Secure = Secure()

    def service(self, name: str) -> Talk:
        """A service or listener by its name, such as ``"book-upper"``."""
        return Talk(name)


at = At()
