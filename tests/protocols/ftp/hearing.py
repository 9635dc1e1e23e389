"""Which replies may come after what was said: every test that plays a peer by hand holds what it hears against the table."""

from __future__ import annotations

import re

from launcelot.protocols.ftp.replies import GOODBYE, NOT_LOGGED_IN, SENT

_VERB = re.compile(rb"[\xf0-\xff]*([A-Za-z0-9]+)")
_REPLY = re.compile(rb"(?:(\d\d\d)-(?:[^\r]*\r\n(?!\1 ))*[^\r]*\r\n\1|(\d\d\d)) [^\r]*\r\n")

UNKNOWN = frozenset({500, 502})
"""What answers a verb that is not in the table, or a line that is no command."""


BEGUN = "..."
"""Behind a verb that has had its 150."""


def codes_in(heard: bytes) -> list[int]:
    """The codes of whole replies, in order."""
    codes, position = [], 0
    while position < len(heard):
        found = _REPLY.match(heard, position)
        if found is None:
            raise AssertionError(f"no whole reply: {heard[position:]!r}")
        codes.append(int(found[1] or found[2]))
        position = found.end()
    return codes


class Hearing:
    """
    Remembers which verbs are to be answered still.

    Replies come in order; but NOOP and STAT are answered during a transfer, so a reply may be that of any verb that waits.
    """

    def __init__(self) -> None:
        self._due: list[str] = []

    def said(self, lines: bytes) -> None:
        """Commands, the last one without its CRLF."""
        for line in lines.split(b"\r\n"):
            found = None if b"\0" in line or b"\r" in line else _VERB.match(line)
            self._due.append("" if found is None else found[1].decode().upper())

    def heard(self, octets: bytes) -> None:
        """
        What came.

        :raises AssertionError: nothing that waits may be answered so.
        """
        for code in codes_in(octets):
            if code == GOODBYE:
                continue
            whose = next((verb for verb in self._due if self._may(verb, code)), None)
            if whose is None:
                raise AssertionError(f"{code} is no reply to {' or '.join(self._due) or 'nothing'}: {octets!r}")
            place = self._due.index(whose)
            if code >= 200:
                del self._due[place]
            else:
                self._due[place] = whose + BEGUN

    def _may(self, verb: str, code: int) -> bool:
        begun = verb.endswith(BEGUN)
        sent = SENT.get(verb.removesuffix(BEGUN), UNKNOWN)
        # At most one reply of the first hundred.  RFC 959 section 6.
        return (code in sent and not (begun and code < 200)) or (code == NOT_LOGGED_IN and verb in SENT)
