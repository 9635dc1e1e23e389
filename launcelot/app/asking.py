"""
Asking the running daemon, from a program without a reactor.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from launcelot.app.errors import TEMPORARY, UNAVAILABLE, Ending

PATIENCE = 60.0
"""Seconds an answer may take; removing a large account's files is the longest."""

MAX_PATH = 107
"""Octets of a Unix socket's path.  unix(7)."""


def ask(path: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    What the daemon answers.

    :param path: its admin socket.
    :raises Ending: no daemon runs there, or it refuses.
    """
    try:
        with connected(path) as asking, asking.makefile("rb") as answers:
            asking.sendall(json.dumps(request).encode() + b"\n")
            line = answers.readline()
    except TimeoutError as error:
        raise Ending(f"{path}: the daemon does not answer; look into its log", TEMPORARY) from error
    except OSError as error:
        text = f"no daemon answers at {path}: {error.strerror or error}; start it, or name its folder with --data"
        raise Ending(text, UNAVAILABLE) from error
    if not line.endswith(b"\n"):
        raise Ending(f"{path}: the daemon hung up", UNAVAILABLE)
    answer: Mapping[str, Any] = json.loads(line)
    if "error" in answer:
        raise Ending(str(answer["error"]), TEMPORARY)
    return answer


def is_running(path: Path) -> bool:
    """Whether somebody listens at an admin socket."""
    try:
        with connected(path):
            return True
    except OSError:
        return False


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    """
    A connection to a Unix socket.

    :raises OSError: nobody listens there, or it may not be used.
    """
    short = ShortPath(path)
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(PATIENCE)
        try:
            asking.connect(short.open())
        finally:
            short.close()
        yield asking


class ShortPath:
    """A path that fits into a socket's address, however long the folder's is: through a descriptor of the folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder: int | None = None

    def open(self) -> str:
        """
        The path to use, valid until :meth:`close`.

        :raises OSError: the folder cannot be opened.
        """
        if len(os.fsencode(self._path)) <= MAX_PATH:
            return str(self._path)
        if self._folder is None:
            self._folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def close(self) -> None:
        """Let go of the folder; may be called twice."""
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
