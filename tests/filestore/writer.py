"""A process that replaces one file again and again until it is killed; run by the tests of the disk store."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from launcelot.filestore.beneath import OpenAt2, Opener, Walk
from launcelot.filestore.disk import DiskFileStore
from launcelot.workers.memory import InlineWorkers
from tests.filestore.contract import ANN


def result(waiting: Coroutine[Any, Any, Any]) -> Any:
    """The result of what does not wait."""
    found: list[Any] = []
    Deferred.fromCoroutine(waiting).addCallback(found.append)
    return found[0]


def main(folder: str, opener: str) -> None:
    """Publish versions 1, 2, 3 ..., each 100,000 octets of its number, and say each number once it is durable."""
    ids = map(f"w{time.time_ns():x}{{:06d}}".format, itertools.count())
    how: Opener = OpenAt2() if opener == "OpenAt2" else Walk()
    store = DiskFileStore(Path(folder), InlineWorkers(), time.time, ids.__next__, opener=how)
    tree = result(store.tree(ANN))
    for version in range(1, 251):
        upload = result(tree.upload(("f",)))
        for _ in range(10):
            result(upload.write(bytes([version]) * 10_000))
        result(upload.publish())
        sys.stdout.write(f"{version}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
