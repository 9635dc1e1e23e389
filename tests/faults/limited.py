"""A spool under a limit on the size of files; run by :mod:`tests.faults.test_limits` as a program: ``limited FOLDER``."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from launcelot.core.errors import Refusal
from launcelot.spool.interface import Envelope, SpoolId, SpoolRecipient
from tests.faults.campaign import emptied
from tests.spool.crashing import ACCOUNTS, House, child, fresh_id

LIMIT = 1 << 20
LARGE = 6 << 20


async def send(house: House, name: str, size: int) -> bool:
    """Have a message for ann accepted; whether it was."""
    ann = ACCOUNTS[0]
    body = house.staging.begin()
    try:
        await body.write(f"Subject: {name}\r\n\r\n".encode())
        for _ in range(0, size, 65_536):
            await body.write(b"x" * 65_534 + b"\r\n")
        await house.spool.accept(Envelope(SpoolId(fresh_id()), None, (SpoolRecipient(ann.id, ann.address),)), body)
    except Refusal:
        body.close()
        return False
    return True


async def work(house: House, reactor: Any) -> None:
    """With the limit, without it, and what is there then."""
    await house.spool.start()
    said: dict[str, Any] = {"small before": await send(house, "small-1", 100)}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    said["large under the limit"] = await send(house, "large-1", LARGE)
    said["small under the limit"] = await send(house, "small-2", 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said["large without it"] = await send(house, "large-2", LARGE)
    said["small afterwards"] = await send(house, "small-3", 100)
    await emptied(house, reactor)
    mailbox = await (await house.mail.mail(ACCOUNTS[0].id)).mailbox("INBOX")
    heads = [await mailbox.read(state.uid, 0, 400) for state in await mailbox.states()]
    names = {"small before": "small-1", "large under the limit": "large-1", "small under the limit": "small-2"}
    names |= {"large without it": "large-2", "small afterwards": "small-3"}
    said["found"] = sorted(head.partition(b"Subject: ")[2].split(b"\r\n")[0].decode() for head in heads)
    said["acknowledged"] = sorted(name for what, name in names.items() if said[what])
    await house.spool.close()
    await house.mail.close()
    sys.stdout.write(json.dumps(said))
    sys.stdout.flush()


if __name__ == "__main__":
    child(Path(sys.argv[1]), work)
