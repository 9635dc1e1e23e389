"""Followers take a conversation apart in the same way however its octets come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing.faults import Stage
from launcelot.testing.following import (
    Follower,
    FtpFollower,
    ImapFollower,
    LiteralFollower,
    Pop3Follower,
    QuestionsFollower,
    SmtpFollower,
    Unit,
)
from launcelot.testing.link import every_split

Merged = list[tuple[Stage | None, str, bytes]]


def follow(follower: Follower, answers: Callable[[Unit], bytes], pieces: Sequence[bytes]) -> Merged:
    """What is taken from pieces, those of one body joined; ``answers`` is the server."""
    buffer = bytearray()
    found: Merged = []
    for piece in pieces:
        buffer += piece
        while (unit := follower.next(buffer)) is not None:
            if unit.stage is Stage.BODY and found[-1][0] is Stage.BODY:
                found[-1] = (unit.stage, unit.verb, found[-1][2] + unit.octets)
            else:
                found.append((unit.stage, unit.verb, unit.octets))
            follower.said(answers(unit))
    return found


class FollowingTests(SynchronousTestCase):
    """Each protocol's."""

    def check(self, make: type[Follower], answers: Callable[[Unit], bytes], wanted: Merged) -> None:
        """Whole, octet by octet, and at every split, with nothing lost."""
        said = b"".join(octets for _, _, octets in wanted)
        self.assertEqual(follow(make(), answers, [said]), wanted)
        self.assertEqual(follow(make(), answers, [said[at : at + 1] for at in range(len(said))]), wanted)
        for pieces in every_split(said):
            self.assertEqual(follow(make(), answers, pieces), wanted, pieces)

    def test_smtp(self) -> None:
        """Dots in the text, a text of nothing, chunks, a log-in, a DATA that is refused."""

        def answers(unit: Unit) -> bytes:
            if unit.octets == b"DATA 1\r\n":
                return b"503 no\r\n"
            if unit.stage in (Stage.BODY, Stage.END):
                return b"250 ok\r\n" if unit.stage is Stage.END else b""
            return {"DATA": b"354 go\r\n", "AUTH": b"334 VXNlcm5hbWU6\r\n"}.get(unit.verb, b"250 ok\r\n")

        def after_auth(unit: Unit) -> bytes:
            return b"235 ok\r\n" if unit.octets == b"second\r\n" else answers(unit)

        self.check(
            SmtpFollower,
            after_auth,
            [
                (Stage.COMMAND, "AUTH", b"auth LOGIN\r\n"),
                (None, "AUTH", b"DATA\r\n"),
                (None, "AUTH", b"second\r\n"),
                (Stage.COMMAND, "MAIL", b"MAIL FROM:<>\r\n"),
                (Stage.COMMAND, "DATA", b"DATA\r\n"),
                (Stage.BODY, "DATA", b".\r\r\n..\r\n.x\r\n\r\n\r.\r\n"),
                (Stage.END, "DATA", b".\r\n"),
                (Stage.COMMAND, "DATA", b"DATA\r\n"),
                (Stage.END, "DATA", b".\r\n"),
                (Stage.COMMAND, "DATA", b"DATA 1\r\n"),
                (Stage.COMMAND, "BDAT", b"BDAT 7\r\n"),
                (Stage.BODY, "BDAT", b"QUIT\r\n"),
                (Stage.END, "BDAT", b"."),
                (Stage.COMMAND, "BDAT", b"BDAT 0 LAST\r\n"),
                (Stage.COMMAND, "QUIT", b"QUIT\r\n"),
            ],
        )

    def test_imap(self) -> None:
        """Literals that wait, that do not, that are empty or refused; several in one command; IDLE and AUTHENTICATE."""

        def answers(unit: Unit) -> bytes:
            tag = unit.octets.split(b" ")[0]
            if unit.octets.endswith(b"{3}\r\n") or unit.octets.endswith(b"{0}\r\n"):
                return b"* 1 EXISTS\r\n+ OK\r\n"
            if unit.octets.endswith(b"{9}\r\n"):
                return tag + b" NO too large\r\n"
            if unit.verb in ("IDLE", "AUTHENTICATE") and unit.stage is Stage.COMMAND:
                return b"+ \r\n* 2 EXISTS\r\n"
            return b"* x\r\n" + tag + b" OK\r\n" if unit.stage else b"d OK\r\n" if unit.verb == "IDLE" else b"c OK\r\n"

        self.check(
            ImapFollower,
            answers,
            [
                (Stage.COMMAND, "LOGIN", b"a LOGIN {3}\r\n"),
                (Stage.BODY, "LOGIN", b"ann"),
                (None, "LOGIN", b" {2+}\r\n"),
                (Stage.BODY, "LOGIN", b"pw"),
                (Stage.END, "LOGIN", b"\r\n"),
                (Stage.COMMAND, "APPEND", b"b APPEND x {9}\r\n"),
                (Stage.COMMAND, "AUTHENTICATE", b"c AUTHENTICATE PLAIN\r\n"),
                (None, "AUTHENTICATE", b"d IDLE\r\n"),
                (Stage.COMMAND, "IDLE", b"d idle\r\n"),
                (None, "IDLE", b"DONE\r\n"),
                (Stage.COMMAND, "UID FETCH", b"e uid fetch 1 FLAGS\r\n"),
                (Stage.COMMAND, "APPEND", b"f APPEND x {0}\r\n"),
                (Stage.END, "APPEND", b"\r\n"),
                (Stage.COMMAND, "NOOP", b"g NOOP\r\n"),
            ],
        )

    def test_lines(self) -> None:
        """POP3, FTP and ManageSieve."""
        self.check(
            Pop3Follower,
            lambda unit: b"+ \r\n" if unit.octets == b"AUTH PLAIN\r\n" else b"+OK\r\n",
            [
                (Stage.COMMAND, "AUTH", b"AUTH PLAIN\r\n"),
                (None, "AUTH", b"QUIT\r\n"),
                (Stage.COMMAND, "STAT", b"stat\r\n"),
            ],
        )
        self.check(
            FtpFollower,
            lambda unit: b"226 ok\r\n",
            [(Stage.COMMAND, "RETR", b"RETR a b\r\n"), (Stage.COMMAND, "ABOR", b"\xff\xf4\xff\xf2ABOR\r\n")],
        )
        self.check(
            LiteralFollower,
            lambda unit: b"OK\r\n",
            [
                (Stage.COMMAND, "PUTSCRIPT", b'PUTSCRIPT "a" {6+}\r\n'),
                (Stage.BODY, "PUTSCRIPT", b"keep;\n"),
                (Stage.END, "PUTSCRIPT", b"\r\n"),
                (Stage.COMMAND, "LOGOUT", b"LOGOUT\r\n"),
            ],
        )

    def test_questions(self) -> None:
        """By their mark."""
        self.check(QuestionsFollower, lambda unit: b".", [(Stage.COMMAND, "a?", b"a?"), (Stage.COMMAND, "b c?", b"b c?")])

    def test_refused(self) -> None:
        """What belongs to a refused command is dropped where it comes unasked."""
        for make, said, units in (
            (SmtpFollower, b"BDAT 4\r\nNOOPNOOP\r\n", ["BDAT", "NOOP"]),
            (ImapFollower, b"a APPEND x {4+}\r\nNOOP\r\nb NOOP\r\n", ["APPEND", "NOOP"]),
            (ImapFollower, b"a APPEND x {4}\r\nb NOOP\r\n", ["APPEND", "NOOP"]),
            (ImapFollower, b"a X {1+}\r\ny {1+}\r\nz\r\nb NOOP\r\n", ["X", "NOOP"]),
        ):
            for pieces in every_split(said):
                follower, buffer, verbs = make(), bytearray(), []
                for piece in pieces:
                    buffer += piece
                    while (unit := follower.next(buffer)) is not None:
                        verbs.append(unit.verb)
                        if len(verbs) == 1:
                            follower.refuse()
                self.assertEqual(verbs, units, pieces)
