"""What the tests of mail stores share: a clock by hand, counted ids, ways to run a coroutine, and messages."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred

from launcelot.core.errors import Refusal
from launcelot.core.ids import AccountId
from launcelot.mailstore.interface import AccountMail, Mailbox, MailStore, Message

T = TypeVar("T")

ANN = AccountId("ann")
BOB = AccountId("bob")
START = datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)


class Hands:
    """What a store is handed: a wall clock that stands until it is set, and ids that count."""

    def __init__(self) -> None:
        self.time = START
        self._ids = itertools.count(1)

    def now(self) -> datetime:
        """The wall clock."""
        return self.time

    def new_id(self) -> str:
        """The next id."""
        return f"{next(self._ids):020}"

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


def claim(test: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[Any], Any]:
    """Make a coroutine method a test method: each test case says with ``finish`` how it is run to its end."""

    @functools.wraps(test)
    def run(self: Any) -> Any:
        return self.finish(test(self))

    return run


class Contract:
    """
    The base of contract mixins: makes a store for each test.

    A test case that runs them has ``finish(coroutine)``, ``make_store(hands)`` and trial's assertions.
    """

    hands: Hands
    store: MailStore

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Trial's assertions."""

    async def account(self, account: AccountId = ANN, quota: int = 0) -> AccountMail:
        """An account's mail."""
        return await self.store.mail(account, quota)

    async def inbox(self, *bodies: bytes, quota: int = 0) -> Mailbox:
        """Ann's inbox with some messages."""
        mail = await self.account(quota=quota)
        inbox = await mail.mailbox("INBOX")
        for body in bodies:
            await inbox.append(body, ())
        return inbox

    async def refused(self, refusal: type[Refusal], awaitable: Awaitable[Any]) -> None:
        """It must end with exactly this refusal."""
        try:
            result = await awaitable
        except Refusal as error:
            self.assertIs(type(error), refusal)
        else:
            self.fail(f"not refused: {result!r}")


async def all_messages(mailbox: Mailbox, uids: Sequence[int]) -> list[Message]:
    """All batches as one list."""
    return [message async for batch in mailbox.messages(uids) for message in batch]


async def flags_of(mailbox: Mailbox) -> dict[int, set[str]]:
    """Flags by UID."""
    return {state.uid: set(state.flags) for state in await mailbox.states()}


async def uids_of(mailbox: Mailbox) -> list[int]:
    """All UIDs."""
    return [state.uid for state in await mailbox.states()]


async def check_counters(mailbox: Mailbox) -> None:
    """The numbers of a mailbox are those that its messages give."""
    status = await mailbox.status()
    states = await mailbox.states()
    messages = await all_messages(mailbox, [state.uid for state in states])
    uids = [state.uid for state in states]
    unseen = [state.uid for state in states if "\\Seen" not in state.flags]
    expected = (
        len(states),
        len(unseen),
        unseen[0] if unseen else 0,
        sum("\\Deleted" in state.flags for state in states),
        sum(message.size for message in messages),
    )
    found = (status.messages, status.unseen, status.first_unseen, status.deleted, status.size)
    if found != expected or uids != sorted(set(uids)) or [message.uid for message in messages] != uids:
        raise AssertionError(f"counters {found}, messages {expected}, UIDs {uids}")
    if any(state.modseq > status.highest_modseq or state.uid >= status.uid_next for state in states):
        raise AssertionError("a message is above HIGHESTMODSEQ or UIDNEXT")


def message(subject: str, body: str = "Hello.\r\n", **fields: str) -> bytes:
    """A small message; underscores in names of fields are hyphens."""
    lines = [f"Subject: {subject}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def result_now(test: Any, awaitable: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that does not wait returns."""
    result: T = test.successResultOf(Deferred.fromCoroutine(awaitable))
    return result
