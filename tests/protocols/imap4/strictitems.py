"""FETCH responses by the letter of the formal syntax; see :mod:`tests.protocols.imap4.strict`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tests.protocols.imap4.strictwords import Words

MODSEQ = re.compile(rb"(?:0|[1-9]\d{0,18})(?!\d)")
DATE = re.compile(
    rb'"(?: \d|[0-3]\d)-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d{4} [0-2]\d:[0-5]\d:[0-6]\d [+-]\d{4}"'
)
OBJECT = re.compile(rb"[A-Za-z0-9_-]{1,255}(?![A-Za-z0-9_-])")
PART = rb"[1-9]\d*(?:\.[1-9]\d*)*"
SECTION = re.compile(
    rb"\[(?:(?:%b\.)?(?:TEXT|HEADER(?:\.FIELDS(?:\.NOT)? (?P<fields>\())?)|%b(?:\.MIME)?|)" % (PART, PART)
)
BINARY = re.compile(rb"\[(?:%b)?\]" % PART)


class Items(Words):
    """Reads what stands in a FETCH response."""

    def item(self) -> None:
        """One of ``msg-att``."""
        name = re.compile(rb"[A-Z0-9.]+").match(self.data, self.at)
        word = b"" if name is None else name[0]
        self.at += len(word)
        if word == b"BODY" and self.data[self.at : self.at + 1] == b"[":
            self.section()
            self.nstring()
        elif word == b"BINARY":
            self.rule(BINARY, "a part")
            self.origin()
            self.nstring(binary=True)
        elif word == b"BINARY.SIZE":
            self.rule(BINARY, "a part")
            self.spaced(self.number)
        else:
            read = ITEMS.get(word)
            if read is None:
                raise self.fail(f"an item that there is: {word!r}")
            self.token(b" ")
            read(self)

    def section(self) -> None:
        """``section`` with its origin."""
        found = self.rule(SECTION, "a section")
        if found["fields"]:
            self.astring()
            while self.next(b" "):
                self.astring()
            self.token(b")")
        self.token(b"]")
        self.origin()

    def origin(self) -> None:
        """``<number>``, if it is there, and the space."""
        if self.next(b"<"):
            self.number()
            self.token(b">")
        self.token(b" ")

    def internal_date(self) -> None:
        """``date-time``."""
        self.rule(DATE, "a date and time")

    def save_date(self) -> None:
        """``date-time`` or NIL."""
        if not self.next(b"NIL"):
            self.internal_date()

    def object_id(self) -> None:
        """``( objectid )``."""
        self.token(b"(")
        self.rule(OBJECT, "an object id")
        self.token(b")")

    def thread_id(self) -> None:
        """The same, or NIL."""
        if not self.next(b"NIL"):
            self.object_id()

    def mod_sequence(self) -> None:
        """``( mod-sequence-value )``."""
        self.token(b"(")
        self.rule(MODSEQ, "a MODSEQ")
        self.token(b")")

    def envelope(self) -> None:
        """``envelope``."""
        self.token(b"(")
        self.nstring()
        self.spaced(self.nstring, *[self.addresses] * 6, self.nstring, self.nstring)
        self.token(b")")

    def addresses(self) -> None:
        """``( 1*address )`` or NIL."""
        if self.next(b"NIL"):
            return
        self.token(b"(")
        while True:
            self.token(b"(")
            self.nstring()
            self.spaced(self.nstring, self.nstring, self.nstring)
            self.token(b")")
            if self.next(b")"):
                return

    def plain_body(self) -> None:
        """``body`` without extension data."""
        self.body(extended=False)

    def body(self, extended: bool = True) -> None:
        """``body``."""
        self.token(b"(")
        if self.data[self.at : self.at + 1] == b"(":
            while self.data[self.at : self.at + 1] == b"(":
                self.body(extended)
            self.spaced(self.string)
            first: Callable[[], object] = self.parameters
        else:
            self.leaf(extended)
            first = self.nstring
        if extended:
            for read in (first, self.disposition, self.language, self.nstring):
                if self.next(b")"):
                    return
                self.spaced(read)
        self.token(b")")

    def leaf(self, extended: bool) -> None:
        """``body-type-1part`` without extension data."""
        kind = self.string().upper()
        self.token(b" ")
        subtype = self.string().upper()
        self.spaced(self.parameters, self.nstring, self.nstring, self.string, self.number)
        envelope_follows = self.data[self.at : self.at + 2] == b" ("
        if kind == b"MESSAGE" and (subtype == b"RFC822" or (subtype == b"GLOBAL" and envelope_follows)):
            self.spaced(self.envelope, lambda: self.body(extended), self.number)
        elif kind == b"TEXT":
            self.spaced(self.number)

    def parameters(self) -> None:
        """``body-fld-param``."""

        def pair() -> None:
            self.string()
            self.spaced(self.string)

        if not self.next(b"NIL"):
            self.listed(pair, 1)

    def disposition(self) -> None:
        """``body-fld-dsp``."""
        if self.next(b"NIL"):
            return
        self.token(b"(")
        self.string()
        self.spaced(self.parameters)
        self.token(b")")

    def language(self) -> None:
        """``body-fld-lang``."""
        if self.data[self.at : self.at + 1] == b"(":
            self.listed(self.string, 1)
        else:
            self.nstring()


ITEMS: Mapping[bytes, Callable[[Items], object]] = {
    b"FLAGS": lambda one: one.listed(one.flag),
    b"UID": Items.positive,
    b"INTERNALDATE": Items.internal_date,
    b"SAVEDATE": Items.save_date,
    b"RFC822.SIZE": Items.number,
    b"ENVELOPE": Items.envelope,
    b"BODY": Items.plain_body,
    b"BODYSTRUCTURE": Items.body,
    b"RFC822": Items.nstring,
    b"RFC822.HEADER": Items.nstring,
    b"RFC822.TEXT": Items.nstring,
    b"MODSEQ": Items.mod_sequence,
    b"EMAILID": Items.object_id,
    b"THREADID": Items.thread_id,
    b"PREVIEW": Items.nstring,
}
