"""
Twisted's own mail and file clients, each with one piece of work to do in a world, and words for what came of it.

``python -m tests.testing.foreign`` plays each of them whole and with every cut, and writes ``docs/twisted-clients.rst`` anew.
What our IMAP server says of itself is made short there (:data:`SHORT`): it is most of what it says, and to a client all octets of
it are the same.  ``python -m tests.testing.foreign long`` plays those dialogues as they are, which takes half a minute, and says
whether anything else comes of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.mail import imap4, pop3, smtp
from twisted.protocols import ftp
from twisted.python.failure import Failure

from launcelot.testing import at
from launcelot.testing.cuts import Kind, Table, every_cut
from launcelot.testing.faults import Fault
from launcelot.testing.messages import Wish
from launcelot.testing.site import Known
from launcelot.testing.verdicts import judged
from launcelot.testing.worlds import TrialWorld

LETTER = b"Subject: News\r\n\r\nhi\r\n"
FILE = b"0123456789" * 8
PATIENCE = 600.0
"""Seconds of the clock after which a client that still waits is taken to wait for ever."""

SHORT = (
    at.imap.greeting.says(b"* OK hi\r\n"),
    at.imap("CAPABILITY").reply.says(b"* CAPABILITY IMAP4rev1\r\n0001 OK so\r\n"),
    at.imap("LOGIN").reply.replies("OK", "in"),
    at.imap("SELECT").reply.replies("OK", "[READ-WRITE] in"),
    at.imap("EXAMINE").reply.replies("OK", "[READ-ONLY] in"),
)
"""What a server says at length about itself is cut short: there are fewer octets, and none of them matters here."""
SAMPLED = 1 if os.environ.get("LAUNCELOT_CUTS") == "all" else 61
"""Of cuts that cost real time, one in so many is played; all of them with ``LAUNCELOT_CUTS=all``."""

KINDS = (Kind.FIN, Kind.RST, Kind.STALL)


def connect(world: TrialWorld, protocol: Any) -> None:
    """Connect a client to the world's service; timers of its own run on the world's clock."""
    protocol.callLater = world.clock.callLater
    connectProtocol(clientFromString(world.reactor, "tcp:127.0.0.1:1"), protocol).addErrback(lambda _: None)


def outcome(world: TrialWorld, work: Deferred[Any]) -> list[Any]:
    """What a client says of its work after all the time that it may need; empty while it waits."""
    said: list[Any] = []
    work.addBoth(said.append)
    world.network.pump()
    if not said:
        world.advance(PATIENCE, 60.0)
    return said


def believes(said: list[Any]) -> bool | None:
    """Whether a client believes that it is done; None while it waits."""
    return not isinstance(said[0], Failure) if said else None


# -- SMTP ----------------------------------------------------------------------------------------------------------


def send(world: TrialWorld) -> str:
    """``ESMTPSender`` sends a mail."""
    work: Deferred[Any] = Deferred()
    factory = smtp.SMTPSenderFactory(b"app@test", b"ann@test", BytesIO(LETTER.replace(b"\r", b"")), work, retries=0)
    factory.noisy = False
    world.add_user("ann")
    world.serve("smtp", port=1)
    build = factory.buildProtocol

    def on_our_clock(address: Any) -> Any:
        protocol = build(address)
        protocol.callLater = world.clock.callLater
        return protocol

    factory.buildProtocol = on_our_clock  # type: ignore[method-assign]
    world.reactor.connectTCP("127.0.0.1", 1, factory)
    said = outcome(world, work)
    return judged(believes(said), len(world.post.matching(Wish(), hidden=True)))


# -- POP3 ----------------------------------------------------------------------------------------------------------


def inbox(world: TrialWorld) -> Any:
    """Ann's."""

    async def found() -> Any:
        account = await world.site.accounts.account("ann")
        return await (await world.site.mail.mail(account.id)).mailbox("INBOX")

    return world.result(found())


def fetch(world: TrialWorld) -> str:
    """``POP3Client`` reads a message, deletes it and quits."""
    world.add_user("ann")
    world.serve("pop3", port=1)
    box = inbox(world)
    world.result(box.append(LETTER, ()))
    client = pop3.AdvancedPOP3Client()
    client.allowInsecureLogin = True
    connect(world, client)
    got: list[bytes] = []

    async def work() -> None:
        await greeted(client, "serverGreeting")
        await client.login(b"ann", b"pw")
        got.extend(await client.retrieve(0))
        await client.delete(0)
        await client.quit()

    said = outcome(world, Deferred.fromCoroutine(work()))
    left = len(world.result(box.sizes()))
    whole = b"\r\n".join(got) + b"\r\n" == LETTER
    return fetched(believes(said), whole, bool(got), left)


def fetched(done: bool | None, whole: bool, some: bool, left: int) -> str:
    """What came of reading and deleting."""
    if some and not whole:
        return "client took a part of the message for all of it"
    has = "has the message" if whole else "has nothing"
    there = "is still there" if left else "is gone"
    belief = {True: "done", False: "failed", None: "waits"}[done]
    return f"{belief}: client {has}, which {there}"


async def greeted(client: Any, name: str) -> None:
    """The server has said its greeting; a connection that is lost before it is a failure."""
    waiting: Deferred[None] = Deferred()
    plain_greeting, plain_lost = getattr(client, name), client.connectionLost

    def greeting(*arguments: Any) -> None:
        plain_greeting(*arguments)
        if not waiting.called:
            waiting.callback(None)

    def lost(reason: Failure) -> None:
        plain_lost(reason)
        if not waiting.called:
            waiting.errback(reason)

    setattr(client, name, greeting)
    client.connectionLost = lost
    await waiting


# -- IMAP ----------------------------------------------------------------------------------------------------------


def append(world: TrialWorld) -> str:
    """``IMAP4Client`` appends a message."""
    world.add_user("ann")
    world.serve("imap", port=1)
    client = imap4.IMAP4Client()
    connect(world, client)

    async def work() -> None:
        await greeted(client, "serverGreeting")
        await client.login(b"ann", b"pw")
        await client.append("INBOX", BytesIO(LETTER))

    said = outcome(world, Deferred.fromCoroutine(work()))
    return judged(believes(said), len(world.result(inbox(world).sizes())))


def read(world: TrialWorld) -> str:
    """``IMAP4Client`` reads a message."""
    world.add_user("ann")
    world.serve("imap", port=1)
    world.result(inbox(world).append(LETTER, ()))
    client = imap4.IMAP4Client()
    connect(world, client)
    got: list[Any] = []

    async def work() -> None:
        await greeted(client, "serverGreeting")
        await client.login(b"ann", b"pw")
        await client.select("INBOX")
        found = await client.fetchMessage("1")
        got.append(found[1]["RFC822"].encode())

    said = outcome(world, Deferred.fromCoroutine(work()))
    return heard(believes(said), got, LETTER)


def heard(done: bool | None, got: list[bytes], wanted: bytes) -> str:
    """What came of reading."""
    if done is None:
        return "client waits"
    if not done:
        return "client failed: a retry is right"
    return "done" if b"".join(got) == wanted else "client took a part for all of it"


# -- FTP -----------------------------------------------------------------------------------------------------------


class Kept(Protocol):
    """Keeps a file."""

    def __init__(self) -> None:
        self.octets = b""

    def dataReceived(self, data: bytes) -> None:
        """More of it."""
        self.octets += data


class InWorld(ftp.FTPClient):
    """Opens data connections in the world, not with the process's reactor."""

    world: TrialWorld

    def __init__(self) -> None:
        super().__init__("ann", "pw", passive=1)

    def connectFactory(self, host: str, port: int, factory: Any) -> None:  # type: ignore[override]
        """In memory."""
        factory.noisy = False
        self.world.reactor.connectTCP(host, port, factory)


def download(world: TrialWorld) -> str:
    """``FTPClient`` reads a file."""
    put(world, FILE)
    kept = Kept()
    client = logging_in(world)
    said = outcome(world, client.retrieveFile("a.bin", kept))
    return heard(believes(said), [kept.octets], FILE)


def upload(world: TrialWorld) -> str:
    """``FTPClient`` stores a file."""
    world.add_user("ann")
    client = logging_in(world)
    sending, done = client.storeFile("a.bin")

    def go(sender: Any) -> None:
        sender.transport.write(FILE)
        sender.finish()

    sending.addCallbacks(go, lambda _: None)
    said = outcome(world, done)
    there = stored(world)
    if there not in (None, FILE):
        belief = {True: "believes it is done", False: "failed", None: "waits"}[believes(said)]
        return f"client {belief}, a part of the file is stored"
    return judged(believes(said), int(there is not None)).replace("message", "file")


def logging_in(world: TrialWorld) -> Any:
    """A client; what it is told next waits its turn."""
    client = InWorld()
    client.world = world
    world.serve("ftp", port=1)
    connect(world, client)
    return client


def put(world: TrialWorld, octets: bytes) -> None:
    """Ann has a file."""
    account = world.add_user("ann")

    async def go() -> None:
        upload = await (await world.site.files.tree(account.id, 0)).upload(("a.bin",))
        await upload.write(octets)
        await upload.publish()

    world.result(go())


def stored(world: TrialWorld) -> bytes | None:
    """Ann's file, if there is one."""

    async def go() -> bytes | None:
        account = await world.site.accounts.account("ann")
        tree = await world.site.files.tree(account.id, 0)
        names = [entry.name async for batch in tree.entries(()) for entry in batch]
        if "a.bin" not in names:
            return None
        reader = await tree.read(("a.bin",))
        try:
            return await reader.read(0, 1_000)
        finally:
            await reader.close()

    return world.result(go())


# -- all of them ---------------------------------------------------------------------------------------------------

WORKS: dict[str, Callable[[TrialWorld], str]] = {
    "smtp.SMTPSenderFactory sends a mail": send,
    "pop3.AdvancedPOP3Client reads a message, deletes it and quits": fetch,
    "imap4.IMAP4Client appends a message": append,
    "imap4.IMAP4Client reads a message": read,
    "ftp.FTPClient reads a file": download,
    "ftp.FTPClient stores a file": upload,
}


def table_of(
    work: Callable[[TrialWorld], str], kinds: tuple[Kind, ...] = KINDS, faults: Sequence[Fault] = SHORT
) -> Table:
    """What comes of every cut."""
    known: Known = {}

    def make() -> TrialWorld:
        world = TrialWorld(known=known)
        for fault in faults:
            world.fault(fault)
        return world

    def run(world: TrialWorld) -> str:
        try:
            return work(world)
        finally:
            world.leave()

    return every_cut(make, run, kinds)


def outcomes(table: Table) -> dict[str, list[str]]:
    """The outcomes of a table, by way and kind of cut, in their order."""
    found: dict[str, list[str]] = {}
    for way, kind, _, _, outcome in table.ranges():
        found.setdefault(f"{way.value}, {kind.value}", []).append(outcome)
    return found


PAGE = Path(__file__).resolve().parents[2] / "docs" / "twisted-clients.rst"

MARK = "Tables\n------\n"
"""What stands behind this is written anew."""


NOTE = (
    "Octets are those that arrived, of all that were sent that way; behind a range stands what was said last before the first\n"
    "cut in it. Our IMAP server's greeting, capabilities and answers to LOGIN and SELECT are made short; as they are, 3,091\n"
    "octets for 463, the same comes of them (``python -m tests.testing.foreign long``)."
)


def page() -> str:
    """The page."""
    before, _, _ = PAGE.read_text().partition(MARK)
    parts = [f"{before}{MARK}\n{NOTE}\n"]
    for title, work in WORKS.items():
        report = "\n".join(f"    {line}" for line in table_of(work).report().splitlines())
        parts.append(f"{title}: ::\n\n{report}\n")
    return "\n".join(parts)


def longer() -> int:
    """Where more comes of whole dialogues than of short ones; how often."""
    wrong = 0
    for title, work in WORKS.items():
        if title.startswith("imap"):
            long, short = table_of(work, faults=()), table_of(work)
            same = outcomes(long) == outcomes(short)
            wrong += not same
            cuts = f"{len(long.outcomes):,} cuts for {len(short.outcomes):,}"
            sys.stdout.write(f"{title}: {cuts}, {'the same' if same else long}\n")
    return wrong


if __name__ == "__main__":
    if sys.argv[1:] == ["long"]:
        sys.exit(longer())
    PAGE.write_text(page())
