"""Messages that several tests look at."""

from __future__ import annotations

from launcelot.message.structure import Part


def crlf(text: str) -> bytes:
    """The text as octets with CRLF line ends."""
    return text.replace("\n", "\r\n").encode("latin-1")


RFC3501 = crlf(
    """\
From: Terry Gray <gray@cac.washington.edu>
Subject: IMAP4rev1 WG mtg summary and minutes
Content-Type: MULTIPART/MIXED; BOUNDARY=top

preamble
--top

1 plain
--top
Content-Type: application/octet-stream
Content-Transfer-Encoding: BASE64

Mg==
--top
Content-Type: message/rfc822

Subject: 3
Content-Type: multipart/mixed; boundary=three

--three
Content-Type: text/plain

3.1
--three
Content-Type: application/octet-stream

3.2
--three--
--top
Content-Type: multipart/mixed; boundary=four

--four
Content-Type: image/gif
Content-ID: <gif>

4.1
--four
Content-Type: message/rfc822

Subject: 4.2
Content-Type: multipart/mixed; boundary=fourtwo

--fourtwo

4.2.1
--fourtwo
Content-Type: multipart/alternative; boundary=fourtwotwo

--fourtwotwo
Content-Type: text/plain

4.2.2.1
--fourtwotwo
Content-Type: text/richtext

4.2.2.2
--fourtwotwo--
--fourtwo--
--four--
--top--
epilogue
"""
)
"""The example of RFC 3501 section 6.4.5 as a message."""


def parts_of(root: Part) -> list[Part]:
    """All parts of a tree, containers before what they hold."""
    found: list[Part] = []
    pending = [root]
    while pending:
        part = pending.pop()
        found.append(part)
        pending.extend(reversed([*part.children, *([part.message] if part.message is not None else [])]))
    return found
