"""One throw-away certificate for all tests of a process."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from launcelot.testing.certificates import Certificates


@lru_cache(maxsize=1)
def certificates() -> Certificates:
    """A certificate for ``localhost``."""
    return Certificates("localhost")


def contexts() -> tuple[Any, Any]:
    """TLS contexts of a server and of a client that trusts it."""
    return certificates().server, certificates().client("localhost")
