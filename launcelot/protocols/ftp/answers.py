"""
What a verb answers with: the octets of its reply, or what the server is to do.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from launcelot.protocols.ftp.session import Session
from launcelot.protocols.ftp.transfer import Transfer


@dataclass(frozen=True, slots=True)
class StartTLS:
    """Answer, then speak TLS on the control connection and forget what was said."""

    words: bytes


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Answer and close."""

    words: bytes
    outcome: str


Answer = bytes | Transfer | StartTLS | Goodbye

Verb = Callable[[Session, Any], Coroutine[Any, Any, Answer]]
