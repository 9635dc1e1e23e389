"""What a server has said that it can do: its answer to EHLO.  RFC 5321 section 4.1.1.1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcelot.protocols.smtp.grammar import Reply


@dataclass(slots=True)
class Offers:
    """
    What a server said it can do.

    :ivar extensions: upper-case keyword to parameters; empty after HELO.
    :ivar name: what the server calls itself, lower-case.
    """

    extensions: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def __contains__(self, name: str) -> bool:
        return name in self.extensions

    @property
    def mechanisms(self) -> frozenset[str]:
        """Of AUTH, upper-case."""
        return frozenset(self.extensions.get("AUTH", "").upper().split())

    @property
    def max_size(self) -> int:
        """Octets of the largest message; 0 for no stated limit."""
        text = self.extensions.get("SIZE", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0

    @staticmethod
    def of(words: Reply) -> Offers:
        """What the lines of an EHLO reply say."""
        found: dict[str, str] = {}
        for line in words.lines[1:]:
            name, _, parameters = line.replace("AUTH=", "AUTH ", 1).partition(" ")
            found.setdefault(name.upper(), parameters.strip())
        return Offers(found, Offers.name_in(words))

    @staticmethod
    def name_in(words: Reply) -> str:
        """The name that an answer to EHLO or HELO begins with."""
        return words.lines[0].split(" ", 1)[0].lower()
