"""Peers that need a few lines of our own to run: ``python -m benchmarks.peers KIND`` prints its port, then serves."""

from __future__ import annotations

import asyncio
import mailbox
import os
import sys
from pathlib import Path
from typing import Any, cast

ANSWERS = {b"What is your quest?": b"To seek the Holy Grail."}


class Asked(asyncio.Protocol):
    """The least an asyncio server can do: whole questions in each segment, answered in one write."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Look the answer up, or the answers of a segment of many."""
        answer = ANSWERS.get(data)
        if answer is None:
            asked = data.split(b"?")[:-1]
            answer = b"".join([ANSWERS.get(question + b"?", b"Error: unknown aphorism.") for question in asked])
        self.transport.write(answer)


async def questions() -> None:
    """Serve questions for ever."""
    server = await asyncio.get_running_loop().create_server(Asked, "127.0.0.1", 0, backlog=4_096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Durable:
    """An aiosmtpd handler that writes Maildir and syncs file and folder before 250."""

    def __init__(self, folder: Path) -> None:
        self._mail = mailbox.Maildir(folder, create=True)
        self._folder = folder

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Write, sync, answer."""
        name = f"{os.getpid()}.{id(envelope)}.{len(envelope.content)}.{os.urandom(8).hex()}"
        temporary, final = self._folder / "tmp" / name, self._folder / "new" / name
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.write(descriptor, envelope.content)
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(temporary, final)
        descriptor = os.open(self._folder / "new", os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(descriptor)
        os.close(descriptor)
        return "250 OK"


async def smtp(folder: Path) -> None:
    """Serve SMTP for ever."""
    from aiosmtpd.smtp import SMTP

    handler = Durable(folder)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="peer.test", enable_SMTPUTF8=True), "127.0.0.1", 0, backlog=511
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve what the command line names."""
    kind = sys.argv[1]
    if kind == "uvloop":
        import uvloop

        uvloop.install()
    asyncio.run(smtp(Path(sys.argv[2])) if kind == "aiosmtpd" else questions())


if __name__ == "__main__":
    main()
