"""
Scripts of several sessions: what each says, and every line that it must be answered with, in order and nothing else.

::

    fill 3 \\Seen               three messages with a flag into INBOX
    1> SELECT INBOX            session 1 says so; sessions log in when they first speak
    ~                          any lines, or none
    * 3 EXISTS                 this line; in it <n> is any number and <> anything
    ~
    OK [READ-WRITE]            how the tagged answer begins

``¶`` stands for CRLF in what is said, ``N<`` takes what session N is told without having asked, ``N! `` says something without
a tag, and a backslash at the end of a line goes on in the next.
All that is heard is read strictly, too (:mod:`tests.protocols.imap4.strict`).
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import ClassVar

from launcelot.testing.link import Link
from tests.protocols.imap4.strict import check
from tests.protocols.imap4.world import ImapCase

SAID = re.compile(r"(\d)([><!]) ?(.*)")


def fits(expected: str, heard: bytes) -> bool:
    """Whether a line is as it was expected."""
    pattern = re.escape(expected).replace(re.escape("<n>"), r"\d+").replace(re.escape("<>"), ".*")
    return re.fullmatch(pattern, heard.decode("utf-8", "replace")) is not None


class ScriptCase(ImapCase):
    """
    Plays scripts.

    :cvar chunk: octets in which everything is delivered; None for whole.
    """

    chunk: ClassVar[int | None] = None

    def script(self, text: str) -> None:
        """Play one."""
        self.links: dict[str, Link] = {}
        self.heard: list[bytes] = []
        self.text = text
        expected: list[str] = []
        for line in [*re.sub(r"\\\n *", "", cleandoc(text)).splitlines(), "end"]:
            line = line.strip()
            found = SAID.fullmatch(line)
            if found is None and line != "end" and not line.startswith("fill "):
                expected.append(line)
                continue
            self.compare(expected)
            expected.clear()
            if found is not None:
                self.say(*found.groups())
            elif line != "end":
                _, count, *flags = line.split()
                self.fill(int(count), flags=tuple(flags))
        self.compare([])
        for link in self.links.values():
            link.close()

    def say(self, number: str, kind: str, words: str) -> None:
        """One line of a session, and all it hears then."""
        link = self.links.get(number) or self.links.setdefault(number, self.log_in())
        if kind != "<":
            link.say((b"t " if kind == ">" else b"") + words.replace("¶", "\r\n").encode() + b"\r\n", self.chunk)
        heard = link.take()
        if b"* ENABLED" in heard and re.search(rb"UTF8=ACCEPT|IMAP4rev2", heard):
            self.speaks_utf8.add(link)
        check(heard, link in self.speaks_utf8)
        self.heard = heard.split(b"\r\n")[:-1]

    def compare(self, expected: list[str]) -> None:
        """What was heard last with what was to be."""
        if not expected and not self.heard:
            return
        heard, self.heard = list(self.heard), []
        skipping = False
        for line in expected:
            if line == "~":
                skipping = True
                continue
            if line.startswith(("OK", "NO", "BAD")):
                line = f"t {line}<>"
            while skipping and heard and not fits(line, heard[0]):
                heard.pop(0)
            self.assertTrue(heard and fits(line, heard[0]), f"expected {line!r}, heard {heard} in{self.text}")
            heard.pop(0)
            skipping = False
        self.assertTrue(skipping or not heard, f"heard {heard} beyond {expected} in{self.text}")
