"""
Power cuts, as the disk sees them; run by :mod:`tests.faults.test_power` as a program, by root.

``python -m tests.faults.powercuts FOLDER ROUNDS SEED`` makes a file system (ext4) in a file.  In each round a child accepts mail
on it as fast as it can; after a random number of messages the child is killed, and in the same moment the file system is told to
go down without writing anything any more (EXT4_IOC_SHUTDOWN), which loses all that was not synced.  Then it is mounted again.
After the last round what is in the mailboxes is printed as JSON beside what was acknowledged.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path
from random import Random

from tests.spool.crashing import accept_for_ever, deliver_rest, forked

SIZE = 256 << 20
GO_DOWN, WITHOUT_THE_LOG = 0x8004587D, struct.pack("=I", 2)


def run(*command: str) -> None:
    """Run a program that must succeed."""
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def one_round(mount: Path, number: int, random: Random) -> list[str]:
    """Accept, cut the power, and give what was acknowledged before."""
    pid, read = forked(mount / "data", lambda house, _, out: accept_for_ever(house, number, out))
    wanted = random.randrange(1, 60)
    lines = b""
    while lines.count(b"\n") < wanted:
        data = os.read(read, 65_536)
        if not data:
            break
        lines += data
    place = os.open(mount, os.O_RDONLY)
    os.kill(pid, signal.SIGKILL)
    fcntl.ioctl(place, GO_DOWN, WITHOUT_THE_LOG)
    # What comes now may have been acknowledged after the cut.
    os.close(place)
    os.close(read)
    os.waitpid(pid, 0)
    return lines[: lines.rfind(b"\n") + 1].decode().splitlines()


def main(folder: Path, rounds: int, seed: int) -> None:
    """All rounds, then the audit."""
    random = Random(seed)
    image, mount = folder / "disk", folder / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    run("mkfs.ext4", "-q", str(image))
    acknowledged: list[str] = []
    for number in range(rounds):
        run("mount", "-o", "loop", str(image), str(mount))
        try:
            (mount / "data").mkdir(exist_ok=True)
            if number == 0:
                os.sync()
            acknowledged += one_round(mount, number, random)
        finally:
            run("umount", str(mount))
    run("mount", "-o", "loop", str(image), str(mount))
    try:
        pid, answers = forked(mount / "data", deliver_rest)
        with os.fdopen(answers) as file:
            found = json.loads(file.read() or "null")
        os.waitpid(pid, 0)
    finally:
        run("umount", str(mount))
    sys.stdout.write(json.dumps({"acknowledged": acknowledged, "found": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
