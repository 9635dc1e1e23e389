"""Strings, numbers and lists by the letter of the formal syntax; see :mod:`tests.protocols.imap4.strict`."""

from __future__ import annotations

import re
from collections.abc import Callable

NUMBER = re.compile(rb"(?:0|[1-9]\d{0,18})(?!\d)")
POSITIVE = re.compile(rb"[1-9]\d{0,9}(?!\d)")
ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
ASTRING = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]+")
QUOTED = re.compile(rb'"(?:[^"\\\r\n\x00]|\\["\\])*"')
LITERAL = re.compile(rb"(~?)\{(0|[1-9]\d*)\}\r\n")
FLAG = re.compile(rb"\\?[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
RANGE = rb"[1-9]\d{0,9}(?::[1-9]\d{0,9})?"
UIDS = re.compile(rb"%b(?:,%b)*(?![\d,:*])" % (RANGE, RANGE))
SYSTEM_FLAGS = {b"\\ANSWERED", b"\\FLAGGED", b"\\DELETED", b"\\SEEN", b"\\DRAFT", b"\\RECENT"}


class NotGrammar(AssertionError):
    """The server said what no rule allows."""


class Words:
    """
    Reads what a server says.

    :ivar utf8: whether strings may have octets above 127 in quotes, because the client has enabled that.
    """

    def __init__(self, data: bytes, utf8: bool = False) -> None:
        self.data = data
        self.at = 0
        self.utf8 = utf8

    # -- steps -----------------------------------------------------------------------------------------------------

    def fail(self, wanted: str) -> NotGrammar:
        """What was wanted, and where."""
        return NotGrammar(f"{wanted} at {self.data[max(self.at - 60, 0) : self.at]!r} | {self.data[self.at : self.at + 60]!r}")

    def next(self, token: bytes) -> bool:
        """Whether a token comes next; it is passed then."""
        if self.data.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def token(self, token: bytes) -> None:
        """A token must come."""
        if not self.next(token):
            raise self.fail(f"expected {token!r}")

    def rule(self, rule: re.Pattern[bytes], name: str) -> re.Match[bytes]:
        """Something that follows a rule must come."""
        found = rule.match(self.data, self.at)
        if found is None:
            raise self.fail(f"expected {name}")
        self.at = found.end()
        return found

    def word(self) -> bytes:
        """An atom in upper case."""
        return self.rule(ATOM, "an atom")[0].upper()

    def listed(self, one: Callable[[], object], least: int = 0) -> int:
        """``( one SP one ... )``; how many there were."""
        self.token(b"(")
        count = 0
        if not self.next(b")"):
            one()
            count = 1
            while self.next(b" "):
                one()
                count += 1
            self.token(b")")
        if count < least:
            raise self.fail(f"a list of {least} at least")
        return count

    # -- strings ---------------------------------------------------------------------------------------------------

    def string(self, binary: bool = False) -> bytes:
        """``string``; with ``binary`` also ``literal8``."""
        found = LITERAL.match(self.data, self.at)
        if found is not None:
            start, size = found.end(), int(found[2])
            octets = self.data[start : start + size]
            if len(octets) < size:
                raise self.fail(f"a literal of {size} octets")
            if found[1] and not binary:
                raise self.fail("no literal8 here")
            if b"\0" in octets and not found[1]:
                raise self.fail("no NUL in a literal")
            self.at = start + size
            return octets
        quoted = self.rule(QUOTED, "a string")[0]
        if not quoted.isascii():
            if not self.utf8:
                raise self.fail("no octets above 127 in quotes")
            quoted.decode()
        return re.sub(rb"\\(.)", rb"\1", quoted[1:-1])

    def nstring(self, binary: bool = False) -> bytes | None:
        """``nstring``."""
        return None if self.next(b"NIL") else self.string(binary)

    def astring(self) -> bytes:
        """``astring``; a bare NIL would be taken for nothing."""
        if self.data[self.at : self.at + 1] in (b'"', b"{"):
            return self.string()
        found = self.rule(ASTRING, "an astring")[0]
        if found.upper() == b"NIL":
            raise self.fail("NIL must be quoted")
        return found

    def mailbox(self) -> bytes:
        """``mailbox``: before UTF-8 is enabled in canonical modified UTF-7.  RFC 3501 section 5.1.3."""
        name = self.astring()
        if not self.utf8 and re.search(rb"[\x00-\x1f\x7f-\xff]|&(?![A-Za-z0-9+,]*-)", name):
            raise self.fail(f"no modified UTF-7: {name!r}")
        return name

    def number(self) -> int:
        """``number64``."""
        return int(self.rule(NUMBER, "a number")[0])

    def positive(self) -> int:
        """``nz-number``."""
        return int(self.rule(POSITIVE, "a positive number")[0])

    def uids(self, lone: bool = False) -> list[int]:
        """``uid-set``; with ``lone`` a single one is no range."""
        text = self.rule(UIDS, "a set")[0]
        found: list[int] = []
        for one in text.split(b","):
            low, _, high = one.partition(b":")
            if high and (int(high) <= int(low) or (lone and int(high) == int(low))):
                raise self.fail(f"a range that ascends: {one!r}")
            found.extend(range(int(low), int(high or low) + 1) if int(high or low) - int(low) < 100_000 else (int(low),))
        return found

    def flag(self) -> None:
        """``flag-fetch``."""
        flag = self.rule(FLAG, "a flag")[0]
        if flag.startswith(b"\\") and flag.upper() not in SYSTEM_FLAGS:
            raise self.fail(f"a flag that there is: {flag!r}")

    def flag_perm(self) -> None:
        """``flag-perm``."""
        if not self.next(b"\\*"):
            self.flag()

    def spaced(self, *readers: Callable[[], object]) -> None:
        """``SP one`` for each."""
        for read in readers:
            self.token(b" ")
            read()
