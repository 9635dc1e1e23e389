"""
TYPE A: lines that end in CRLF on the wire and in LF in the store.  RFC 959 section 3.1.1.1, RFC 1123 section 4.1.1.

Octets come in pieces and may be cut anywhere.  Sending, every LF that has no CR before it gets one; receiving, every CRLF
becomes LF.  A CR or LF alone stays as it is, so a file that already has CRLF is not doubled on its way out.
"""

from __future__ import annotations


class ToWire:
    """Store to wire."""

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, data: bytes) -> bytes:
        """Convert the next piece."""
        if not data:
            return b""
        head = b"\n" if self._after_cr and data[0] == 10 else b""
        self._after_cr = data[-1] == 13
        return head + data[len(head) :].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def finish(self) -> bytes:
        """What is left at the end: nothing."""
        return b""


class FromWire:
    """Wire to store."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Convert the next piece; a CR at its end waits for what follows."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        if self._held:
            data = data[:-1]
        return data.replace(b"\r\n", b"\n")

    def finish(self) -> bytes:
        """A CR that was the last octet."""
        held, self._held = self._held, b""
        return held
