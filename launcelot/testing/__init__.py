"""
The test kit: servers for tests, in memory and on sockets, faults at protocol points, in-memory transports, dialogues as text.

``plugin`` is for pytest and ``trial`` for Trial; ``docs/testing.rst`` shows both.  Beneath them are ``served``, a Site on real
sockets, and ``site``, a Site on a clock; ``tapping`` and ``faulting`` come between a session and its peer, ``network`` and
``link`` join them in memory, ``dialogue`` is what is said and answered.

Sentences begin with what is published here; importing it costs nothing before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcelot.testing.faults import at as at
    from launcelot.testing.matching import contains as contains

__all__ = ["at", "contains"]


def __getattr__(name: str) -> object:
    """What is published, from where it is."""
    if name == "at":
        from launcelot.testing.faults import at

        return at
    if name == "contains":
        from launcelot.testing.matching import contains

        return contains
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
