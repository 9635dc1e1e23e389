"""
``lc.mail``: what has arrived, asked from any thread and from asyncio.

Waiting is woken by the message that is waited for.  What fails says what did arrive, and who is connected and
how far he got.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic

from twisted.internet.task import deferLater

from launcelot.spool.interface import Spool
from launcelot.testing.evidence import Keep, evidence
from launcelot.testing.matching import Wanted
from launcelot.testing.messages import Message, Wish
from launcelot.testing.post import Post
from launcelot.testing.reactorthread import Loan
from launcelot.testing.tapping import Taps

PATIENCE = 5.0
"""Seconds that a wait lasts unless it is told otherwise."""

TURNS = 3
"""Turns of the reactor in which what has reached this machine is read and answered."""

LOOK_AGAIN = 0.001
"""Seconds between two looks at mail that is being delivered."""


class NoMail(AssertionError):
    """A message that should have come did not come, or one came that should not."""


class Mail:
    """
    The mail of one Site.

    :param thread: in which the Site runs.
    :ivar keep: where transcripts are written when something is missing.
    """

    def __init__(self, thread: Loan, post: Post, taps: Taps, spool: Spool) -> None:
        self._thread = thread
        self._post = post
        self._taps = taps
        self._spool = spool
        self.keep = Keep()

    def wait(
        self,
        *,
        to: Wanted = None,
        subject: Wanted = None,
        sender: Wanted = None,
        text: Wanted = None,
        timeout: float = PATIENCE,
    ) -> Message:
        """
        The first message of some kind, as soon as it is in its mailbox and the reply to it has left.

        Fields that are not given may be anything.  Text is compared as a whole, addresses whatever their case; a regular
        expression is searched for; a function, such as ``contains("News")``, is asked.

        :param timeout: seconds.
        :raises NoMail: none came; the text says what did, and who is connected.
        """
        __tracebackhide__ = True
        wish = Wish(to, subject, sender, text)
        shown: SimpleQueue[Message] = SimpleQueue()
        end = self._post.watch(shown.put)
        try:
            until = monotonic() + timeout
            found = self._first(wish)
            while found is None or not wish.grants(found):
                found = shown.get(timeout=max(0.0, until - monotonic()))
            return found
        except Empty:
            raise self._thread.call(self._missing, wish, timeout) from None
        finally:
            end()

    async def wait_async(
        self,
        *,
        to: Wanted = None,
        subject: Wanted = None,
        sender: Wanted = None,
        text: Wanted = None,
        timeout: float = PATIENCE,
    ) -> Message:
        """:meth:`wait` for asyncio, whose loop goes on meanwhile."""
        __tracebackhide__ = True
        wish = Wish(to, subject, sender, text)
        shown: asyncio.Queue[Message] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def show(message: Message) -> None:
            # Who waited may have left without a word, and closed his loop.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(shown.put_nowait, message)

        end = self._post.watch(show)
        try:
            async with asyncio.timeout(timeout):
                found = self._first(wish)
                while found is None or not wish.grants(found):
                    found = await shown.get()
                return found
        except TimeoutError:
            raise self._thread.call(self._missing, wish, timeout) from None
        finally:
            end()

    def all(
        self, *, to: Wanted = None, subject: Wanted = None, sender: Wanted = None, text: Wanted = None
    ) -> Sequence[Message]:
        """Every message of some kind that has arrived, oldest first."""
        return self._post.matching(Wish(to, subject, sender, text))

    def none(
        self,
        *,
        to: Wanted = None,
        subject: Wanted = None,
        sender: Wanted = None,
        text: Wanted = None,
        timeout: float = PATIENCE,
    ) -> None:
        """
        Claim that no such message has arrived, nor is on its way from what was accepted.

        It waits for that only while there is something to wait for.

        :raises NoMail: one has; or mail was accepted and is not delivered after ``timeout`` seconds.
        """
        __tracebackhide__ = True
        wish = Wish(to, subject, sender, text)
        quiet = self._thread.run(self._quiet(timeout))
        found = self._thread.call(self._post.matching, wish, True)
        if found:
            raise NoMail(f"mail with {wish} has arrived: {found!r}")
        if not quiet:
            raise NoMail(f"accepted mail was not delivered within {timeout:.2f} s")

    def settle(self, timeout: float = PATIENCE) -> None:
        """
        Wait until what was accepted is delivered, which is at once unless something is on its way.

        :raises NoMail: it is not, after ``timeout`` seconds.
        """
        if not self._thread.run(self._quiet(timeout)):
            raise NoMail(f"accepted mail was not delivered within {timeout:.2f} s")

    def _first(self, wish: Wish) -> Message | None:
        return next(iter(self._post.matching(wish)), None)

    # -- in the reactor's thread -----------------------------------------------------------------------------------

    async def _quiet(self, timeout: float) -> bool:
        """Let what has reached this machine be read, and what was accepted be delivered; whether it was."""
        until = self._thread.reactor.seconds() + timeout
        for _ in range(TURNS):
            await deferLater(self._thread.reactor, 0)
        while self._spool.under_way and self._thread.reactor.seconds() < until:
            await deferLater(self._thread.reactor, LOOK_AGAIN)
        return not self._spool.under_way

    def _missing(self, wish: Wish, timeout: float) -> NoMail:
        open_now = [(tap.transcript, tap.age) for tap in self._taps.open]
        there = self._post.matching(Wish(), True)
        lines = evidence(wish, there, list(self._taps.transcripts), open_now, self.keep)
        return NoMail("\n".join([f"no mail with {wish} within {timeout:.2f} s", *lines]))

