"""
Deliveries whose calls of the system go wrong one after the other; run by :mod:`tests.faults.test_calls` as a program.

``python -m tests.faults.campaign FOLDER KIND STEP`` lets a child take and deliver three messages, and counts the calls that
change files from then on to its orderly end.  Then it does so again and again, and each time something happens to another call
(every STEP-th): ``kill`` ends the child before it, ``fail`` has it alone fail with EIO, ``broken`` it and all behind it, ``full``
it and the forty behind it with ENOSPC, ``slow`` has every sync take 50 ms.  After each round a fresh child delivers what is left.
What was acknowledged, what was refused and what is in the mailboxes is printed as JSON.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from launcelot.core.errors import Refusal
from launcelot.spool.interface import Envelope, SpoolId, SpoolRecipient
from tests.faults.warden import KILL, Call, Warden
from tests.spool.crashing import House, child, forked, fresh_id, recipients_of, size_of, tell

FULL_FOR = 40
"""Calls for which the disk is full."""

AGAIN_WITHIN = 5.0
"""Seconds in which a child must take mail again when nothing fails any more."""

MESSAGES = ("m-3", "m-10", "m-2")
"""For one, for the other, for both: the first two are delivered directly, the third by way of the queue; the second is large."""


@dataclass
class Round:
    """
    What became of one child.

    :ivar at: the number of the call that something happened to; 0 for none.
    :ivar after: whether mail was taken when nothing failed any more; None where that was not tried.
    """

    at: int
    call: str = ""
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    found: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)
    after: bool | None = None
    calls: int = 0


async def work(house: House, reactor: Any, out: int, folder: Path, tries_again: bool) -> None:
    """Take and deliver; the file ``armed`` is the sign from which on calls count, and ``calm`` that from which on none fails."""
    await house.spool.start()
    await send(house, "w-3", out)
    (folder / "armed").write_bytes(b"")
    for name in MESSAGES:
        await send(house, name, out)
    if tries_again:
        (folder / "calm").write_bytes(b"")
        until = time.monotonic() + AGAIN_WITHIN
        number = 6
        while not await send(house, f"again-{number}", out) and time.monotonic() < until:
            await pause(reactor, 0.05)
            number += 3
    if not (folder / "broken").exists():
        await emptied(house, reactor)
    await house.spool.close()
    await house.mail.close()


async def emptied(house: House, reactor: Any) -> None:
    """Until nothing waits for now; what is tried again later is the next child's."""
    for _ in range(100):
        if not house.spool.under_way:
            return
        await pause(reactor, 0.005)


async def pause(reactor: Any, seconds: float) -> None:
    """Let time pass."""
    turn: Deferred[None] = Deferred()
    reactor.callLater(seconds, turn.callback, None)
    await turn


async def send(house: House, name: str, out: int) -> bool:
    """Have one message accepted; whether it was."""
    recipients = tuple(SpoolRecipient(one.id, one.address) for one in recipients_of(name))
    try:
        body = house.staging.begin()
        await body.write(f"Subject: {name}\r\n\r\n".encode() + b"x" * size_of(name) + b"\r\n")
        await house.spool.accept(Envelope(SpoolId(fresh_id()), None, recipients), body)
    except Refusal:
        os.write(out, f"-{name}\n".encode())
        return False
    os.write(out, f"+{name}\n".encode())
    return True


class Decision:
    """
    What happens to which call.

    :param at: the call, counted from the sign on; 0 for none.
    """

    def __init__(self, kind: str, at: int) -> None:
        self._kind = kind
        self._at = at
        self._armed = False
        self._calm = False
        self.number = 0
        self.call = ""

    def __call__(self, call: Call) -> int | None:
        """See :data:`tests.faults.warden.Decide`."""
        if call.path.endswith(("/armed", "/calm")):
            self._armed, self._calm = True, call.path.endswith("/calm")
            return None
        if not self._armed:
            return None
        self.number += 1
        if self._kind == "slow" and call.name in ("fsync", "fdatasync"):
            time.sleep(0.05)
        if not self._at or self._calm:
            return None
        if self.number == self._at:
            self.call = f"{call.name} {Path(call.path).name}"
        return self._verdict()

    def _verdict(self) -> int | None:
        behind = self.number - self._at
        if self._kind == "kill":
            return KILL if behind == 0 else None
        if self._kind == "full":
            return errno.ENOSPC if 0 <= behind < FULL_FOR else None
        return errno.EIO if behind == 0 or (behind > 0 and self._kind == "broken") else None


def one_round(folder: Path, kind: str, at: int) -> Round:
    """One child, and the audit."""
    folder.mkdir()
    read, write = os.pipe()
    tries_again = kind in ("fail", "full", "broken")
    decision = Decision(kind, at)

    def live() -> None:
        os.close(read)
        child(folder, lambda house, reactor: work(house, reactor, write, folder, tries_again))

    warden = Warden(folder, live, decision)
    os.close(write)
    lines = everything(read).decode().splitlines()
    warden.wait()
    pid, answers = forked(folder, rest)
    found = json.loads(everything(answers) or b"null")
    os.waitpid(pid, 0)
    shutil.rmtree(folder)
    taken = [line[1:] for line in lines if line[0] == "+"]
    refused = [line[1:] for line in lines if line[0] == "-"]
    after = any(name.startswith("again") for name in taken) if tries_again else None
    return Round(at, decision.call, taken, refused, found, after, decision.number)


async def rest(house: House, reactor: Any, out: int) -> None:
    """Deliver what is left, also what would be tried again later; then tell what is there."""
    await house.spool.start()
    for one in await house.spool.waiting():
        await house.spool.release(one.id)
    await tell(house, reactor, out)


def everything(descriptor: int) -> bytes:
    """All that comes."""
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def main(folder: Path, kind: str, step: int) -> None:
    """All rounds."""
    quiet = one_round(folder / "0", "none" if kind != "slow" else kind, 0)
    rounds = [quiet]
    if kind != "slow":
        rounds += [one_round(folder / str(at), kind, at) for at in range(1, quiet.calls + 1, step)]
    sys.stdout.write(json.dumps([asdict(one) for one in rounds]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
