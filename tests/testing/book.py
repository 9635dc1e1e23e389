"""
The book's Twisted programs for IMAP, rewritten as its reviewer demands, and each flaw that he names as it stood there.

The programs of chapter 12 list mailboxes, download a mailbox, and download and delete.  What was demanded: every chain of
Deferreds ends in whoever waits for it; a lost connection fails what is pending, once; every wait has a deadline; LOGOUT is waited
for; a message is deleted only once it is stored; nothing happens in the protocol but the protocol.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import connectProtocol
from twisted.internet.protocol import connectionDone
from twisted.mail import imap4
from twisted.python.failure import Failure

DEADLINE = 60.0
"""Seconds for the whole of a program's work."""


class Client(imap4.IMAP4Client):
    """
    IMAP, and nothing else.

    :ivar greeted: fires when the server has said its greeting.
    :ivar gone: fires when the connection is gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.greeted: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def serverGreeting(self, caps: Any) -> None:
        """The server is ready."""
        self.greeted.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """What is pending fails, once."""
        super().connectionLost(reason)
        if not self.greeted.called:
            self.greeted.errback(reason)
        self.gone.callback(None)


Work = Callable[[Client], Awaitable[Any]]


def in_session(reactor: Any, endpoint: Any, user: bytes, password: bytes, work: Work) -> Deferred[Any]:
    """
    What some work in a session returns; the connection is gone when this fires, and it fires within :data:`DEADLINE` seconds.

    :raises Exception: (through the Deferred) whatever went wrong, ``TimeoutError`` for time.
    """

    async def session() -> Any:
        client: Client = await connectProtocol(endpoint, Client())
        try:
            await client.greeted
            await client.login(user, password)
            result = await work(client)
            await client.logout()
            return result
        finally:
            transport: Any = client.transport
            if transport is not None and not client.gone.called:
                transport.abortConnection()
            await client.gone

    return Deferred.fromCoroutine(session()).addTimeout(DEADLINE, reactor)


def list_mailboxes(reactor: Any, endpoint: Any, user: bytes, password: bytes) -> Deferred[Any]:
    """The names of all mailboxes."""

    async def work(client: Client) -> list[str]:
        return sorted(name for _, _, name in await client.list("", "*"))

    return in_session(reactor, endpoint, user, password, work)


def download(reactor: Any, endpoint: Any, user: bytes, password: bytes, store: Callable[[bytes], object]) -> Deferred[Any]:
    """Store every message of INBOX, one by one; how many there were."""

    async def work(client: Client) -> int:
        await client.examine("INBOX")
        numbers = await client.search(imap4.Query(all=True), uid=True)
        for number in numbers:
            store(await fetched(client, number))
        return len(numbers)

    return in_session(reactor, endpoint, user, password, work)


def download_and_delete(
    reactor: Any, endpoint: Any, user: bytes, password: bytes, store: Callable[[bytes], object]
) -> Deferred[Any]:
    """Store every message of INBOX, and delete each once it is stored; how many there were."""

    async def work(client: Client) -> int:
        await client.select("INBOX")
        numbers = await client.search(imap4.Query(all=True), uid=True)
        for number in numbers:
            store(await fetched(client, number))
            await client.addFlags(str(number), ["\\Deleted"], uid=True)
        await client.expunge()
        return len(numbers)

    return in_session(reactor, endpoint, user, password, work)


async def fetched(client: Client, number: int) -> bytes:
    """
    One message.

    :raises LookupError: it is gone.
    """
    found = await client.fetchMessage(str(number), uid=True)
    for one in found.values():
        text: str = one["RFC822"]
        return text.encode("latin-1")
    raise LookupError(f"message {number} is gone")


# -- as it stood in the book ---------------------------------------------------------------------------------------


class Naive(imap4.IMAP4Client):
    """
    The program in the protocol.

    :param work: what it does once it is logged in.
    :param done: told of success; of nothing else.
    """

    def __init__(self, work: Callable[[Any], Deferred[Any]], done: Callable[[Any], object]) -> None:
        super().__init__()
        self.work = work
        self.done = done

    def serverGreeting(self, caps: Any) -> None:
        """Log in, work, and be done; there are errbacks nowhere, so that nobody hears of a failure."""
        logging_in = self.login(b"ann", b"pw")
        logging_in.addCallback(lambda _: self.work(self))
        logging_in.addCallback(self.leave)
        logging_in.addErrback(lambda _: None)

    def leave(self, result: Any) -> None:
        """Be content, and log out without waiting for it."""
        self.done(result)
        self.logout().addErrback(lambda _: None)
        self.transport.loseConnection()  # type: ignore[union-attr]


def naive_list(endpoint: Any, done: Callable[[Any], object]) -> None:
    """tlist: where the connection is lost, or nothing moves, it waits for ever."""

    def work(client: Any) -> Deferred[Any]:
        listing: Deferred[Any] = client.list("", "*")
        return listing.addCallback(lambda found: sorted(name for _, _, name in found))

    connectProtocol(endpoint, Naive(work, done)).addErrback(lambda _: None)


def naive_download(endpoint: Any, store: Callable[[bytes], object], done: Callable[[Any], object]) -> None:
    """tdownload: a DeferredList whose outcomes nobody looks at; a message that failed is as one that came."""

    def work(client: Any) -> Deferred[Any]:
        def all_of_them(numbers: Any) -> Deferred[Any]:
            fetching = [fetching_one(client, number, store) for number in numbers]
            return DeferredList(fetching, consumeErrors=True).addCallback(lambda _: len(fetching))

        examining: Deferred[Any] = client.examine("INBOX")
        examining.addCallback(lambda _: client.search(imap4.Query(all=True), uid=True))
        return examining.addCallback(all_of_them)

    connectProtocol(endpoint, Naive(work, done)).addErrback(lambda _: None)


def naive_download_and_delete(endpoint: Any, store: Callable[[bytes], object], done: Callable[[Any], object]) -> None:
    """tdownload-and-delete: messages are deleted beside their download, whatever came of that."""

    def work(client: Any) -> Deferred[Any]:
        def all_of_them(numbers: Any) -> Deferred[Any]:
            steps = [fetching_one(client, number, store) for number in numbers]
            steps += [client.addFlags(str(number), ["\\Deleted"], uid=True) for number in numbers]
            steps.append(client.expunge())
            return DeferredList(steps, consumeErrors=True)

        selecting: Deferred[Any] = client.select("INBOX")
        selecting.addCallback(lambda _: client.search(imap4.Query(all=True), uid=True))
        return selecting.addCallback(all_of_them)

    connectProtocol(endpoint, Naive(work, done)).addErrback(lambda _: None)


def fetching_one(client: Any, number: int, store: Callable[[bytes], object]) -> Deferred[Any]:
    """One message, stored when it comes."""
    fetching: Deferred[Any] = client.fetchMessage(str(number), uid=True)
    return fetching.addCallback(lambda found: [store(one["RFC822"].encode("latin-1")) for one in found.values()])
