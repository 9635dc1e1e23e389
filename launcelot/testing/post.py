"""
All mail that has arrived at a Site, in the order in which it came.

Mail counts as arrived for a test only when the client has been told: a test that stops the server as soon as its mail is there
must not take the reply from the code it tests.  So a message is :meth:`Post.add`-ed when its delivery is done, and shown when the
reply has been handed to the transport, the connection is lost, or nobody waits for a reply to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from launcelot.spool.delivery import trace_fields
from launcelot.spool.interface import Delivery, Envelope, Fate, Last, SpoolRecipient, Verdict
from launcelot.testing.messages import Message, Wish
from launcelot.workers.staging import Buffer

Shown = Callable[[Message], None]


class Post:
    """
    What has arrived.

    :param seconds: since the Site began.
    :ivar soon: has something done a turn later.
    :ivar messages: those that are shown.
    :ivar owed: ids of mail whose reply has not left.
    """

    def __init__(self, seconds: Callable[[], float], soon: Callable[[Callable[[], None]], object]) -> None:
        self.messages: list[Message] = []
        self.owed: set[str] = set()
        self._seconds = seconds
        self.soon = soon
        self._hidden: list[tuple[str, Message]] = []
        self._watchers: dict[object, Shown] = {}
        self._showing = False

    # -- arriving ------------------------------------------------------------------------------------------------

    def add(self, envelope: Envelope, recipient: SpoolRecipient, raw: bytes) -> None:
        """Somebody has got a message; whether a client waits for a reply to it is known a turn later."""
        sender = "" if envelope.sender is None else str(envelope.sender)
        self._hidden.append((envelope.id, Message(str(recipient.address), sender, raw, self._seconds())))
        self._show_soon()

    def _show_soon(self) -> None:
        if not self._showing:
            self._showing = True
            self.soon(self.show)

    def show(self) -> None:
        """Show what nobody is owed a reply for."""
        self._showing = False
        hidden, self._hidden = self._hidden, []
        for id, message in hidden:
            if id in self.owed:
                self._hidden.append((id, message))
            else:
                self.messages.append(message)
                for shown in list(self._watchers.values()):
                    shown(message)

    def settled(self, ids: Sequence[str]) -> None:
        """The replies to these have left, or never will."""
        self.owed.difference_update(ids)
        self._show_soon()

    # -- asking --------------------------------------------------------------------------------------------------

    def matching(self, wish: Wish, hidden: bool = False) -> list[Message]:
        """
        What has arrived of some kind; shown mail may be asked for in any thread.

        :param hidden: also mail whose reply has not left.
        """
        there = self.messages + [message for _, message in self._hidden] if hidden else list(self.messages)
        return [message for message in there if wish.grants(message)]

    def watch(self, shown: Shown) -> Callable[[], None]:
        """
        Have every message from now on shown to somebody, in the Site's thread, until the function that is returned is called.

        May be called in any thread: a message that is not in :attr:`messages` yet will be shown.
        """
        key = object()
        self._watchers[key] = shown

        def end() -> None:
            self._watchers.pop(key, None)

        return end

    # -- hands ---------------------------------------------------------------------------------------------------

    def through(self, deliver: Delivery) -> Delivery:
        """A delivery that is ``deliver``, and tells us."""

        async def delivered(envelope: Envelope, recipient: SpoolRecipient, body: Buffer, key: str) -> None:
            await deliver(envelope, recipient, body, key)
            self.add(envelope, recipient, trace_fields(envelope.sender, recipient.address) + bytes(body[:]))

        return delivered


class Catcher:
    """A :class:`~launcelot.spool.interface.Carrier` that takes mail nowhere: who it was for counts as having got it."""

    def __init__(self, post: Post) -> None:
        self._post = post

    def destination(self, envelope: Envelope, recipient: SpoolRecipient) -> str:
        """Its domain."""
        return recipient.address.domain

    def limit(self, destination: str) -> int:
        """One is enough: nothing waits."""
        return 1

    async def carry(
        self, destination: str, envelope: Envelope, recipients: Sequence[SpoolRecipient], body: Buffer, last: Last
    ) -> Sequence[Verdict]:
        """Keep it."""
        await last()
        for recipient in recipients:
            self._post.add(envelope, recipient, bytes(body[:]))
        return [Verdict(Fate.DONE, "2.0.0", "caught") for _ in recipients]

    async def close(self) -> None:
        """There is nothing to let go of."""
