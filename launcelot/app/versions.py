"""``launcelot version``."""

from __future__ import annotations

import platform
from argparse import Namespace
from importlib.metadata import version

import launcelot
from launcelot.app.errors import OK
from launcelot.app.streams import Streams


def show(given: Namespace, streams: Streams) -> int:
    """Our version, and those a bug report needs."""
    versions = {
        "launcelot": launcelot.__version__,
        "python": platform.python_version(),
        "twisted": version("twisted"),
        "cryptography": version("cryptography"),
    }
    if given.json:
        streams.say_json(versions)
    else:
        streams.say(", ".join(f"{name} {number}" for name, number in versions.items()))
    return OK
