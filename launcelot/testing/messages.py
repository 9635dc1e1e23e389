"""
Mail as a test looks at it: what arrived, for whom, and what is in it.

>>> message = Message("ann@test", "app@test", b"Subject: News\\r\\n\\r\\nSee <https://here.test/confirm>\\r\\n")
>>> message.subject, message.text, message.links
('News', 'See <https://here.test/confirm>\\n', ('https://here.test/confirm',))

Whatever the octets are, nothing here raises: what cannot be decoded is shown with replacement characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import default
from functools import cached_property
from html.parser import HTMLParser

from launcelot.testing.matching import Wanted, fits, named

LINK = re.compile(r"https?://[^\s<>\"']+")
"""What is taken for a link in plain text; what ends a sentence is not part of it."""

SENTENCE_END = ".,;:!?)]}"


@dataclass(frozen=True)
class Piece:
    """
    One part of a message that has content of its own.

    :ivar type: such as ``"image/png"``, in lower case.
    :ivar name: the file name it was given; empty for none.
    :ivar text: decoded, with ``\\n`` between lines; empty for what is not text.
    """

    type: str
    name: str
    octets: bytes
    text: str


@dataclass(frozen=True, eq=False)
class Message:
    """
    One message that one recipient got.

    :ivar to: the recipient's address, as the envelope had it.
    :ivar sender: the envelope's sender; empty for a message to a sender about his mail.
    :ivar raw: as it lies in the mailbox, trace fields included.
    :ivar at: seconds since the Site began.
    """

    to: str
    sender: str
    raw: bytes
    at: float = 0.0

    @cached_property
    def parsed(self) -> EmailMessage:
        """As Python's own email package has it."""
        return message_from_bytes(self.raw, policy=default)

    def header(self, name: str) -> str:
        """The first header field of a name, decoded; empty if there is none."""
        try:
            return str(self.parsed[name] or "")
        except (MessageError, ValueError, IndexError, AttributeError):
            # Fields that defeat the package's own parser are shown as they came.
            found = re.search(rf"(?im)^{re.escape(name)}:[ \t]*((?:.*\r?\n(?:[ \t].*\r?\n)*))", self.raw.decode("latin-1"))
            return " ".join(found[1].split()) if found else ""

    @property
    def subject(self) -> str:
        """The subject, decoded."""
        return self.header("Subject")

    @cached_property
    def parts(self) -> tuple[Piece, ...]:
        """Everything in it that has content, in order; one for a message without structure."""
        return tuple(_piece(part) for part in self.parsed.walk() if not part.is_multipart())

    @property
    def text(self) -> str:
        """The plain text, with ``\\n`` between lines; empty if there is none."""
        return self._first("text/plain")

    @property
    def html(self) -> str:
        """The HTML; empty if there is none."""
        return self._first("text/html")

    @property
    def attachments(self) -> tuple[Piece, ...]:
        """The parts that have a file name."""
        return tuple(part for part in self.parts if part.name)

    @cached_property
    def links(self) -> tuple[str, ...]:
        """Addresses of pages, from HTML's anchors and then from plain text, each once."""
        found = [address for _, address in anchors(self.html)]
        found += [link.rstrip(SENTENCE_END) for link in LINK.findall(self.text)]
        return tuple(dict.fromkeys(found))

    def link(self, text: str) -> str:
        """
        Where the anchor leads whose text contains ``text``.

        :raises LookupError: no anchor does; the text says which there are.
        """
        there = anchors(self.html)
        for words, address in there:
            if text in words:
                return address
        raise LookupError(f"no link says {text!r}; there are {[words for words, _ in there]!r}")

    def _first(self, kind: str) -> str:
        return next((part.text for part in self.parts if part.type == kind and not part.name), "")

    def __repr__(self) -> str:
        return f"<to={self.to!r} subject={self.subject!r} {len(self.raw)} octets>"


def _piece(part: EmailMessage) -> Piece:
    octets = part.get_payload(decode=True)
    content = octets if isinstance(octets, bytes) else b""
    kind = part.get_content_type()
    text = ""
    if part.get_content_maintype() == "text":
        try:
            text = content.decode(part.get_content_charset("ascii"), "replace")
        except LookupError:
            text = content.decode("ascii", "replace")
    return Piece(kind, part.get_filename() or "", content, text.replace("\r\n", "\n"))


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get("href")
        if tag == "a" and address:
            self.found.append(("", address))
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            words, address = self.found[-1]
            self.found[-1] = (words + data, address)


def anchors(html: str) -> list[tuple[str, str]]:
    """The anchors of a page: what each says, and where it leads."""
    parser = _Anchors()
    parser.feed(html)
    return parser.found


@dataclass(frozen=True)
class Wish:
    """Which mail a test waits for."""

    to: Wanted = None
    subject: Wanted = None
    sender: Wanted = None
    text: Wanted = None

    def grants(self, message: Message) -> bool:
        """Whether a message is such mail."""
        # A subject is looked for only where one is wanted: that reads the message.
        return (
            fits(self.to, message.to, fold=True)
            and fits(self.sender, message.sender, fold=True)
            and (self.subject is None or fits(self.subject, message.subject))
            and (self.text is None or fits(self.text, message.text))
        )

    def __str__(self) -> str:
        given = ((name, getattr(self, name)) for name in ("to", "subject", "sender", "text"))
        return ", ".join(f"{name}={named(wanted)}" for name, wanted in given if wanted is not None) or "anything"
