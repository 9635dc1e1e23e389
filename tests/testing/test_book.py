"""The book's programs, each with every cut: rewritten they pass, and with the flaws that were named they fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.endpoints import clientFromString
from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing import at
from launcelot.testing.faults import Fault
from launcelot.testing.trial import WorldMixin
from launcelot.testing.worlds import TrialWorld
from tests.testing import book
from tests.testing.foreign import SAMPLED, SHORT, inbox

LETTERS = [b"Subject: one\r\n\r\n1\r\n", b"Subject: two\r\n\r\n2\r\n"]
REFUSED = at.imap("UID FETCH").nth(2).replies("NO", "[UNAVAILABLE] later")


class BookTests(WorldMixin, SynchronousTestCase):
    """A world with two messages in ann's INBOX."""

    def furnish(self, world: TrialWorld, *faults: Fault) -> Any:
        """Serve IMAP; its endpoint."""
        world.add_user("ann")
        for fault in (*faults, *SHORT):
            world.fault(fault)
        box = inbox(world)
        for letter in LETTERS:
            world.result(box.append(letter, ()))
        return clientFromString(world.reactor, world.serve("imap", port=143).endpoint)

    def outcome(self, world: TrialWorld, start: Callable[[Callable[[Any], object]], object]) -> list[Any]:
        """What a program came to; nothing where it hangs."""
        said: list[Any] = []
        start(said.append)
        world.flush()
        if not said:
            world.advance(2 * book.DEADLINE, book.DEADLINE / 2)
        return said

    def passes(self, run: Callable[[TrialWorld], str]) -> None:
        """Whatever happens to the connection, a program is done or says that it failed; in time."""
        self.assertEqual(self.assertEveryCut(run, {"done", "failed"}, ["fin"]).whole, "done")
        self.assertEveryCut(run, {"done", "failed"}, ["rst", "stall"], step=min(SAMPLED, 13))

    def listed(self, start: Callable[[TrialWorld, Any, Any], object]) -> Callable[[TrialWorld], str]:
        """A program that lists mailboxes, and words for what came of it."""

        def run(world: TrialWorld) -> str:
            endpoint = self.furnish(world)
            said = self.outcome(world, lambda done: start(world, endpoint, done))
            if not said:
                return "hangs"
            return "done" if said == [["INBOX"]] else "failed"

        return run

    def stored(self, start: Callable[[TrialWorld, Any, Any, Any], object], *faults: Fault) -> Callable[[TrialWorld], str]:
        """A program that stores messages, and words for what came of it."""

        def run(world: TrialWorld) -> str:
            kept: list[bytes] = []
            endpoint = self.furnish(world, *faults)
            said = self.outcome(world, lambda done: start(world, endpoint, kept.append, done))
            there = len(world.result(inbox(world).sizes()))
            if not set(kept) <= set(LETTERS):
                return "took a part for all of it"
            if there + len(kept) < len(LETTERS):
                return "a message is lost"
            if not said:
                return "hangs"
            if said == [len(LETTERS)] and kept != LETTERS:
                return "believes it has what it has not"
            return "done" if kept == LETTERS and said == [len(LETTERS)] else "failed"

        return run

    def flaws(self, run: Callable[[TrialWorld], str]) -> set[str]:
        """What is wrong with a program; the claim that nothing is must fail."""
        failed = self.assertRaises(
            self.failureException, self.assertEveryCut, run, {"done", "failed"}, ["fin", "stall"], step=29
        )
        self.flushLoggedErrors()
        said = str(failed)
        return {words for words in ("hangs", "a message is lost", "believes it has what it has not") if words in said}

    def test_list(self) -> None:
        """Lists, or says that it failed; in time."""
        self.passes(
            self.listed(
                lambda world, endpoint, done: book.list_mailboxes(world.reactor, endpoint, b"ann", b"pw").addBoth(done)
            )
        )

    def test_naive_list(self) -> None:
        """Hangs."""
        run = self.listed(lambda world, endpoint, done: book.naive_list(endpoint, done))
        self.assertEqual(self.flaws(run), {"hangs"})

    def test_download(self) -> None:
        """Has all messages whole, or says that it failed; in time."""
        self.passes(
            self.stored(
                lambda world, endpoint, store, done: book.download(world.reactor, endpoint, b"ann", b"pw", store).addBoth(done)
            )
        )

    def test_naive_download(self) -> None:
        """Believes that it has what it has not, and hangs."""
        run = self.stored(lambda world, endpoint, store, done: book.naive_download(endpoint, store, done))
        self.assertEqual(self.flaws(run), {"hangs", "believes it has what it has not"})

    def test_download_and_delete(self) -> None:
        """Whatever happens, each message is in one of the two places at least."""

        def start(world: TrialWorld, endpoint: Any, store: Any, done: Any) -> None:
            book.download_and_delete(world.reactor, endpoint, b"ann", b"pw", store).addBoth(done)

        self.passes(self.stored(start))
        self.assertEqual(self.stored(start, REFUSED)(self.world()), "failed")

    def test_naive_download_and_delete(self) -> None:
        """Hangs, and loses mail where one download fails."""

        def start(world: TrialWorld, endpoint: Any, store: Any, done: Any) -> None:
            book.naive_download_and_delete(endpoint, store, lambda _: done(len(LETTERS)))

        self.assertIn("hangs", self.flaws(self.stored(start)))
        self.assertEqual(self.stored(start, REFUSED)(self.world()), "a message is lost")

    def test_goodbye(self) -> None:
        """The server hears it, and its answer is heard, before the connection goes."""
        world = self.world()
        endpoint = self.furnish(world)
        running = book.list_mailboxes(world.reactor, endpoint, b"ann", b"pw")
        world.flush()
        self.assertEqual(self.successResultOf(running), ["INBOX"])
        self.assertWire(world.taps.transcripts[-1], "C: 0004 LOGOUT", "S: * BYE *", "S: 0004 OK *", ...)
