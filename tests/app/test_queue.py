"""``launcelot queue`` on the files of a stopped daemon, and what a running one answers."""

from __future__ import annotations

import io
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.command import main
from launcelot.app.configuration import Configuration
from launcelot.app.queueing import answer, reason, together
from launcelot.app.streams import Streams
from launcelot.core.errors import Invalid
from launcelot.message.address import Address
from launcelot.spool.interface import ELSEWHERE, Envelope, SpoolId, SpoolRecipient
from launcelot.spool.sqlite import MIGRATIONS, SqliteSpool
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import Staging
from tests.spool.contract import Recorder

T = TypeVar("T")

EVIL = Address("x\x9b2J", "far.example")


class QueueCase(SynchronousTestCase):
    """A data folder whose daemon has two spools."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.clock = Clock()

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of what ends without waiting."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def spool(self, name: str) -> SqliteSpool:
        """One of its spools, running."""
        database = Database(self.folder / name, MIGRATIONS, InlineWorkers(), InlineWorkers())
        staging = Staging(None, InlineWorkers())
        spool = SqliteSpool(database, staging, Recorder(), self.clock, lambda: 1.7e9 + self.clock.seconds())
        self.wait(spool.start())
        return spool

    def fill(self, spool: SqliteSpool, id: str, *recipients: Address) -> None:
        """Mail for other hosts, which waits."""
        body = Staging(None, InlineWorkers()).begin()
        self.wait(body.write(b"Subject: x\r\n\r\nbody\r\n"))
        found = tuple(SpoolRecipient(ELSEWHERE, one) for one in recipients)
        self.wait(spool.accept(Envelope(SpoolId(id), Address("ann", "here.example"), found, "ann"), body))

    def filled(self) -> None:
        """Three mails in two files, and no daemon."""
        for name, mails in (("spool.sqlite", ("m1", "m2")), ("spool-1.sqlite", ("m3",))):
            spool = self.spool(name)
            for id in mails:
                self.fill(spool, id, Address("x", "far.example"), Address("y", "other.example"))
            self.wait(spool.close())

    def run_command(self, *arguments: str, status: int = 0) -> str:
        """What ``launcelot queue`` prints."""
        streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
        code = main(["queue", arguments[0], "--data", str(self.folder), *arguments[1:]], streams)
        said = streams.output.getvalue() + streams.errors.getvalue()  # type: ignore[attr-defined]
        self.assertEqual(code, status, said)
        return str(said)

    def rows(self, *arguments: str) -> list[tuple[str, str, bool]]:
        """Id, recipient and whether held, of everything that waits."""
        said = json.loads(self.run_command("list", "--json", *arguments))
        return [(one["id"], one["recipient"], one["held"]) for one in said["recipients"]]


class FileTests(QueueCase):
    """Without a daemon."""

    def setUp(self) -> None:
        super().setUp()
        self.filled()

    def test_list(self) -> None:
        """For people and for programs, with a limit and by destination."""
        self.assertEqual(len(self.rows()), 6)
        self.assertEqual(self.rows("--destination", "Far.Example")[0], ("m3", "x@far.example", False))
        said = self.run_command("list", "--limit", "2")
        self.assertEqual(len(said.splitlines()), 3)
        self.assertIn("and 4 more", said)

    def test_show_and_why(self) -> None:
        """Each recipient, and why it waits."""
        said = self.run_command("show", "m1")
        for words in ("sender: ann@here.example", "recipient: x@far.example", "destination: other.example", "attempts: 0"):
            self.assertIn(words, said)
        self.assertIn("[relay] says enabled = false", self.run_command("why", "m1"))
        self.assertIn("no such mail", self.run_command("why", "nothing", status=1))

    def test_hold_and_release(self) -> None:
        """One mail, one recipient; a daemon that starts then does as was said."""
        self.run_command("hold", "m1")
        self.run_command("release", "m1", "--recipient", "x@far.example")
        self.assertEqual([one for one in self.rows() if one[2]], [("m1", "y@other.example", True)])
        self.assertIn("is held", self.run_command("why", "m1"))
        spool = self.spool("spool.sqlite")
        held = [one.held for one in self.wait(spool.waiting())]
        self.assertEqual(held, [False, True, False, False])

    def test_retry_passes_over_what_is_held(self) -> None:
        """And says so."""
        self.run_command("hold", "m3")
        self.assertIn("is held", self.run_command("retry", "--all", status=75))

    def test_drop(self) -> None:
        """By id, by destination; what is gone is gone from the files."""
        self.run_command("drop", "m2", "m3")
        self.run_command("drop", "--destination", "other.example")
        self.assertEqual(self.rows(), [("m1", "x@far.example", False)])
        self.run_command("drop", "m1")
        self.assertEqual((self.run_command("list"), self.wait(self.spool("spool.sqlite").count())), ("nothing waits\n", 0))

    def test_nothing_is_meant(self) -> None:
        """Changing everything has to be asked for; what is not there is an error."""
        self.run_command("drop", status=64)
        self.assertIn("no such mail", self.run_command("drop", "m9", status=1))
        self.assertEqual(len(self.rows()), 6)

    def test_words_of_strangers_do_nothing_to_a_terminal(self) -> None:
        """They are shown as escapes."""
        spool = self.spool("spool.sqlite")
        self.fill(spool, "m4", EVIL)
        self.wait(spool.close())
        self.assertNotIn("\x9b", self.run_command("list"))
        self.assertNotIn("\x9b", self.run_command("show", "m4"))


class AnswerTests(QueueCase):
    """What a running daemon answers."""

    def ask(self, *spools: SqliteSpool, **request: Any) -> Any:
        """One request."""
        return self.wait(answer(spools, request))

    def test_spools_together(self) -> None:
        """A worker has its own spool and those of workers that are no more; several workers' answers are put together."""
        one, two = self.spool("spool.sqlite"), self.spool("spool-1.sqlite")
        self.fill(one, "m1", Address("x", "far.example"))
        self.clock.advance(1)
        self.fill(two, "m2", Address("x", "far.example"), Address("y", "far.example"))
        self.assertEqual(self.ask(one, two, do="list")["total"], 3)
        parts = [self.ask(two, do="list", limit=1), self.ask(one, do="list")]
        both = together(parts)
        self.assertEqual(([row["id"] for row in both["recipients"]], both["total"]), (["m1", "m2"], 3))
        self.assertEqual(self.ask(one, two, do="hold", id="m2")["total"], 2)
        self.assertEqual([row["held"] for row in self.ask(one, two, do="list")["recipients"]], [False, True, True])

    def test_unknown_request(self) -> None:
        """Refused."""
        self.failureResultOf(Deferred.fromCoroutine(answer([], {"do": "burn"})), Invalid)

    def test_reasons(self) -> None:
        """Sentences for each state."""
        row = {
            "id": "m", "destination": "", "attempts": 3, "last_error": "full", "held": False,
            "next_attempt": 4e9, "received": 1.7e9,
        }  # fmt: skip
        said = reason(row, Configuration())
        for words in ("Tried 3 times; at last: full.", "Tried again at 2096-10-02", "Given up at 2023-11-19"):
            self.assertIn(words, said)
        self.assertIn("is held", reason(row | {"held": True}, Configuration()))
        self.assertIn("Not tried yet", reason(row | {"attempts": 0}, Configuration()))
