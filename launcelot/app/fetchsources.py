"""
Where mail is fetched from: a POP3 maildrop or a mailbox of an IMAP server.

Passwords go over TLS, unless the server is this machine.  Every error is one line with its remedy (:class:`Ending`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from twisted.internet.defer import fail
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS

from launcelot.app.ask import CONNECTION_LOST, ENDINGS, PROTOCOL, UNTRUSTED, printable, reason_of
from launcelot.app.errors import CANNOT_CREATE, FAILED, TEMPORARY, Ending
from launcelot.app.fetching import Remote
from launcelot.app.fetchtargets import Parcel
from launcelot.app.send import is_near
from launcelot.core.errors import Invalid
from launcelot.hosting.calling import CallError, connect
from launcelot.hosting.gather import outcomes
from launcelot.mailstore.maildir import LETTERS
from launcelot.message.dates import parse_internal
from launcelot.protocols.imap4 import answers as imap
from launcelot.protocols.imap4.client import ImapClient, ImapClientFactory
from launcelot.protocols.imap4.told import Expunged, Fetched
from launcelot.protocols.pop3.client import Declined, NotSecure, Pop3Client, Pop3ClientFactory, SinkFailed

T = TypeVar("T")

ROWS = 5_000
"""Messages listed at once."""

UIDS = 200
"""Messages named in one command."""

NO_TLS = "a password goes over TLS only; leave --tls as it is, or name a server on this machine"


@dataclass(frozen=True, slots=True)
class Where:
    """
    A server, and who one is there.

    :ivar tls: ``starttls``, ``implicit`` or ``none``.
    :ivar context: what a client's TLS takes; None without TLS.
    :ivar timeout: seconds for the connection, and for each next word.
    """

    reactor: Any
    host: str
    port: int
    tls: str
    context: Any
    user: str
    password: str = field(repr=False)
    timeout: float = 60.0

    @property
    def address(self) -> str:
        """For people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def endpoint(self) -> Any:
        """Where to connect."""
        endpoint: Any = HostnameEndpoint(self.reactor, self.host, self.port, self.timeout)
        return wrapClientTLS(self.context, endpoint) if self.tls == "implicit" else endpoint

    def ending(self, error: Exception) -> Ending:
        """What people are told of an error."""
        if isinstance(error, SinkFailed):
            cause = error.failure.value
            if not isinstance(cause, OSError):
                error.failure.raiseException()
            return self.ending(cause)
        if isinstance(error, OSError):
            return Ending(f"{error.filename or 'cannot write'}: {error.strerror}; make room, then run it again", CANNOT_CREATE)
        text, status = _words(error, self.timeout)
        return Ending(f"{self.address}: {printable(text)}", status)


def _words(error: Exception, timeout: float) -> tuple[str, int]:
    reason = reason_of(str(error) or type(error).__name__)
    if isinstance(error, Declined):
        return f"{reason}{_REMEDIES.get(error.code, '')}", UNTRUSTED if error.code == "AUTH" else TEMPORARY
    if isinstance(error, (NotSecure, imap.NotSecure)):
        return NO_TLS if "goes over" in reason or "without TLS" in reason else reason, UNTRUSTED
    for kind, (text, status) in ENDINGS.items():
        if isinstance(error, kind):
            return text.format(reason=reason, timeout=timeout), status
    for kind, text, status in _IMAP:
        if isinstance(error, kind):
            return text.format(reason=reason, timeout=timeout), status
    return reason, FAILED


_REMEDIES = {
    "AUTH": "; check --user and the password",
    "IN-USE": "; another session has the maildrop, run it again later",
    "LOGIN-DELAY": "; run it again later",
}

_IMAP = (
    (imap.Injected, "the server said more than its answer before TLS began: {reason}", UNTRUSTED),
    (imap.Untrusted, "TLS failed: {reason}", UNTRUSTED),
    (imap.TimedOut, "no answer in {timeout:g} seconds; try later, or raise --timeout", TEMPORARY),
    (imap.Disconnected, "the connection was closed before the answer", CONNECTION_LOST),
    (imap.Confused, "that is no answer: {reason}", PROTOCOL),
    (imap.CommandFailed, "{reason}", FAILED),
)


class Incoming:
    """A message that may come: its parcel is begun with its first octets."""

    def __init__(self, begin: Callable[[], Parcel]) -> None:
        self._begin = begin
        self.parcel: Parcel | None = None
        self.error: OSError | None = None

    def take(self, data: bytes) -> None:
        """The next octets."""
        try:
            if self.parcel is None:
                self.parcel = self._begin()
            self.parcel.write(data)
        except OSError as error:
            self.error = error
            raise

    def finish(self) -> Parcel:
        """All has come, even if that is nothing."""
        parcel = self.parcel = self.parcel or self._begin()
        parcel.finish()
        return parcel

    def discard(self) -> None:
        """It has not come, or not whole."""
        if self.parcel is not None:
            self.parcel.discard()


class Pop3Source:
    """A maildrop."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._client: Pop3Client | None = None
        self._marked = 0

    @property
    def name(self) -> str:
        """See :class:`launcelot.app.fetching.Source`."""
        return f"pop3://{self._where.user}@{self._where.address}"

    async def _ask(self, asked: Awaitable[T]) -> T:
        try:
            return await asked
        except CallError as error:
            raise self._where.ending(error) from error

    @property
    def client(self) -> Pop3Client:
        """The connection, once there is one."""
        if self._client is None:
            raise Ending(f"{self._where.address}: there is no connection", FAILED)
        return self._client

    async def open(self) -> Sequence[Remote]:
        """See :class:`launcelot.app.fetching.Source`."""
        where = self._where
        factory = Pop3ClientFactory(where.reactor, where.timeout, plaintext_login=is_near(where.host))
        self._client = client = await self._ask(connect(where.endpoint, factory))
        if where.tls == "starttls":
            try:
                await self._ask(client.stls(where.context))
            except Ending as ending:
                if isinstance(ending.__cause__, Declined):
                    text = f"{ending.text}; there is no STLS, choose another --tls"
                    raise Ending(text, UNTRUSTED) from ending.__cause__
                raise
        await self._ask(self._log_in(client, await self._capabilities(client)))
        await self._capabilities(client)
        return await self._list(client)

    async def _capabilities(self, client: Pop3Client) -> frozenset[str]:
        """What the server says it can; nothing where it cannot say."""
        try:
            return frozenset(await client.capabilities())
        except Declined:
            return frozenset()
        except CallError as error:
            raise self._where.ending(error) from error

    async def _log_in(self, client: Pop3Client, known: frozenset[str]) -> None:
        user, password = self._where.user, self._where.password
        if "UTF8" in known:
            with suppress(Declined):
                await client.use_utf8()
        if not client.mechanisms & _SASL:
            await client.login(user, password)
            return
        try:
            await client.authenticate(user, password)
        except Declined as declined:
            if declined.code not in ("", "AUTH") or b"PLAIN" not in client.mechanisms or not client.mechanisms & _SCRAM:
                raise
            # Some servers offer SCRAM, and keep no keys for it of accounts that are older.
            await client.authenticate(user, password, plain=True)

    async def _list(self, client: Pop3Client) -> Sequence[Remote]:
        try:
            uids = await client.unique_ids()
        except Declined as declined:
            text = f"{self._where.address}: there is no UIDL, so nothing tells which messages are new; use imap"
            raise Ending(text, PROTOCOL) from declined
        except CallError as error:
            raise self._where.ending(error) from error
        sizes = await self._ask(client.sizes())
        return remotes_of(uids, sizes)

    async def retrieve(
        self, batch: Sequence[Remote], begin: Callable[[], Parcel], arrived: list[tuple[Remote, Parcel]]
    ) -> None:
        """See :class:`launcelot.app.fetching.Source`."""
        coming = [(one, Incoming(begin)) for one in batch]
        waiting = [self.client.retrieve(one.number, into.take) for one, into in coming]
        failed: Exception | None = None
        for (one, into), asked in zip(coming, waiting, strict=True):
            try:
                await asked
                arrived.append((one, into.finish()))
            except Declined:
                into.discard()
            except (CallError, OSError) as error:
                into.discard()
                failed = failed or error
        if failed is not None:
            raise self._where.ending(failed) from failed

    async def remove(self, remotes: Sequence[Remote]) -> None:
        """See :class:`launcelot.app.fetching.Source`: DELE, which counts at QUIT."""
        for start in range(0, len(remotes), UIDS):
            # All are waited for: a failure that nobody has heard of is printed with its traceback.
            for outcome in await outcomes(self.client.delete(one.number) for one in remotes[start : start + UIDS]):
                if outcome.failure is None:
                    self._marked += 1
                elif not outcome.failure.check(Declined):
                    await self._ask(fail(outcome.failure))

    async def close(self) -> int:
        """See :class:`launcelot.app.fetching.Source`: QUIT."""
        try:
            await self._ask(self.client.quit())
        except Ending as ending:
            if not self._marked:
                return 0
            text = f"{ending.text}; what was to be removed may be there still, run it again"
            raise Ending(text, ending.status) from ending.__cause__
        return self._marked

    def abort(self) -> None:
        """See :class:`launcelot.app.fetching.Source`."""
        if self._client is not None:
            self._client.abort()


_SCRAM = frozenset((b"SCRAM-SHA-256", b"SCRAM-SHA-256-PLUS"))
_SASL = _SCRAM | {b"PLAIN"}


def remotes_of(uids: Any, sizes: Any) -> Sequence[Remote]:
    """
    What UIDL and LIST tell, as messages.

    Copies of one message may have one identifier (RFC 1939 section 7), and are one to us; what differs in size is no copy.
    """
    count = Counter((uid, sizes.get(number, 0)) for number, uid in uids.items())
    kinds = Counter(uid for uid, _ in count)
    return [
        Remote(uid if kinds[uid] == 1 else f"{uid}/{sizes.get(number, 0)}", number, sizes.get(number, 0))
        for number, uid in sorted(uids.items())
    ]


class ImapSource:
    """
    A mailbox.

    :param writes: whether something is to be removed in it.
    """

    def __init__(self, where: Where, mailbox: str, writes: bool) -> None:
        self._where = where
        self._mailbox = mailbox
        self._writes = writes
        self._client: ImapClient | None = None
        self._validity = 0
        self._removed = 0
        self.only_marked = False

    @property
    def name(self) -> str:
        """See :class:`launcelot.app.fetching.Source`."""
        return f"imap://{self._where.user}@{self._where.address}/{self._mailbox}"

    async def _ask(self, asked: Awaitable[T]) -> T:
        try:
            return await asked
        except (CallError, imap.ImapError, OSError) as error:
            raise self._where.ending(error) from error

    @property
    def client(self) -> ImapClient:
        """The connection, once there is one."""
        if self._client is None:
            raise Ending(f"{self._where.address}: there is no connection", FAILED)
        return self._client

    async def open(self) -> Sequence[Remote]:
        """See :class:`launcelot.app.fetching.Source`."""
        where = self._where
        factory = ImapClientFactory(where.reactor, where.timeout, plaintext_login=is_near(where.host))
        self._client = client = await self._ask(connect(where.endpoint, factory))
        await self._ask(client.greeting())
        if where.tls == "starttls":
            await self._ask(client.secure_with(where.context))
        try:
            await client.authenticate(where.user, where.password)
        except imap.CommandFailed as failed:
            text = f"{where.address}: {printable(failed.reply.text.decode('latin-1'))}; check --user and the password"
            raise Ending(text, UNTRUSTED) from failed
        except imap.ImapError as error:
            raise where.ending(error) from error
        return await self._list(client)

    async def _list(self, client: ImapClient) -> Sequence[Remote]:
        selected = await self._ask(client.select(self._mailbox, read_only=not self._writes))
        if self._writes and selected.read_only:
            raise Ending(f"{self._where.address}: {self._mailbox} can only be read; leave --delete out", FAILED)
        self._validity = selected.uid_validity
        if not selected.exists:
            return ()
        await self._ask(client.capability())
        found: dict[int, Remote] = {}
        for start in range(1, selected.exists + 1, ROWS):
            some = f"{start}:{min(start + ROWS - 1, selected.exists)}"
            rows = await self._ask(client.fetch(some, b"(UID RFC822.SIZE FLAGS INTERNALDATE)", uid=False))
            found.update({row.uid: self._remote(row) for row in rows if row.uid and b"RFC822.SIZE" in row.row})
        return list(found.values())

    def _remote(self, row: Fetched) -> Remote:
        size = row.row.get(b"RFC822.SIZE")
        letters = {letter for letter, flag in LETTERS.items() if flag.encode() in row.flags and letter != "T"}
        octets = size if isinstance(size, int) else 0
        return Remote(f"{self._validity}.{row.uid}", row.uid, octets, "".join(sorted(letters)), _date(row))

    async def retrieve(
        self, batch: Sequence[Remote], begin: Callable[[], Parcel], arrived: list[tuple[Remote, Parcel]]
    ) -> None:
        """See :class:`launcelot.app.fetching.Source`.  Numbers may move while messages come, so rows tell their UIDs."""
        coming: dict[int, Incoming] = {}

        def opener(number: int, label: bytes, size: int) -> Callable[[bytes], None]:
            one = coming[number] = Incoming(begin)
            return one.take

        client = self.client
        wanted = {one.number: one for one in batch}
        words = ",".join(str(one.number) for one in batch).encode()
        try:
            done = await self._ask(client.command(b"UID FETCH", words, b"(UID BODY.PEEK[])", opener=opener))
            moved = bool(done.all(Expunged))
            for row in done.all(Fetched):
                one, found = wanted.get(row.uid), coming.get(row.number)
                if one is None or moved:
                    continue
                body = row.row.get(b"BODY[]")
                if found is None and isinstance(body, bytes):
                    found = coming[row.number] = Incoming(begin)
                    found.take(body)
                if found is not None:
                    arrived.append((one, found.finish()))
                    del coming[row.number], wanted[row.uid]
        except Ending:
            for left in coming.values():
                if left.error is not None:
                    raise self._where.ending(left.error) from left.error
            raise
        finally:
            for left in coming.values():
                left.discard()
        if moved and len(batch) > 1:
            for one in batch:
                await self.retrieve([one], begin, arrived)

    async def remove(self, remotes: Sequence[Remote]) -> None:
        """
        See :class:`launcelot.app.fetching.Source`: at once, where the server can expunge what is named.

        Where it cannot, EXPUNGE would take what others have marked along; then messages are only marked.
        """
        client = self.client
        self.only_marked = not client.capabilities & {b"UIDPLUS", b"IMAP4REV2"}
        for start in range(0, len(remotes), UIDS):
            some = ",".join(str(one.number) for one in remotes[start : start + UIDS])
            await self._ask(client.store(some, b"+FLAGS.SILENT", ["\\Deleted"]))
            if not self.only_marked:
                await self._ask(client.expunge(some))
                left = await self._ask(client.search(b"UID", some.encode()))
                self._removed += len(remotes[start : start + UIDS]) - len(left)

    async def close(self) -> int:
        """See :class:`launcelot.app.fetching.Source`."""
        await self._ask(self.client.logout())
        return self._removed

    def abort(self) -> None:
        """See :class:`launcelot.app.fetching.Source`."""
        if self._client is not None:
            self._client.abort()


def _date(row: Fetched) -> datetime | None:
    value = row.row.get(b"INTERNALDATE")
    try:
        return parse_internal(value) if isinstance(value, bytes) else None
    except Invalid:
        return None
