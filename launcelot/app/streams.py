"""
The three streams of a command, so that tests can hand in their own.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from launcelot.app.errors import USAGE, Ending


@dataclass
class Streams:
    """
    Where a command reads and writes.

    :ivar ask: asks a person for a secret, without echo.
    """

    input: TextIO = field(default_factory=lambda: sys.stdin)
    output: TextIO = field(default_factory=lambda: sys.stdout)
    errors: TextIO = field(default_factory=lambda: sys.stderr)
    ask: Callable[[str], str] = getpass.getpass

    def say(self, *lines: str) -> None:
        """Lines of the answer."""
        self.output.write("".join(f"{line}\n" for line in lines))
        self.output.flush()

    def say_json(self, answer: Mapping[str, Any]) -> None:
        """The answer as one JSON object on one line."""
        self.say(json.dumps(answer, ensure_ascii=False))

    def complain(self, text: str) -> None:
        """Lines of what went wrong."""
        self.errors.write("".join(f"launcelot: {line}\n" for line in text.splitlines()))
        self.errors.flush()

    def read_password(self) -> str:
        """
        A new password: asked for twice at a terminal, else the first line of standard input.

        :raises Ending: there is none, or the two differ.
        """
        if self.input.isatty():
            password = self.ask("New password: ")
            if password != self.ask("Once more: "):
                raise Ending("the two passwords differ; nothing was changed", USAGE)
        else:
            password = self.input.readline().removesuffix("\n").removesuffix("\r")
        if not password:
            raise Ending("no password given; write it to standard input, or use --generate", USAGE)
        return password
