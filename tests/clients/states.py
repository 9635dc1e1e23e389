"""
Many sessions at once on one mailbox of a running daemon, each checking what it is told: ``python -m tests.clients.states``.

Every session keeps a mirror made of nothing but responses: numbers are in range, UIDs ascend and keep their number, messages
go only where they may, a message's MODSEQ never falls, a UID's subject never changes.  Now and then all rest; then every
mirror must be what the server tells, and all sessions must be told the same.  Commands come from seeds, their interleaving from
the machine: a seed repeats the commands, not the race.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from threading import Barrier, BrokenBarrierError, Lock, Thread
from typing import Any

from tests.clients.demo import Demo
from tests.clients.oracle.normal import numbers
from tests.clients.wire import Answer, Wire

FOLDER = b"Race"
FLAGS = (b"\\Seen", b"\\Flagged", b"\\Deleted", b"\\Draft", b"\\Answered", b"kw1", b"kw2")
KEEPING = (b"FETCH", b"STORE", b"SEARCH")
MOST = 60
"""Messages past which sessions rather remove than add."""
PATIENCE = 120.0
"""Seconds that sessions may need beyond their time."""


class Wrong(AssertionError):
    """A session was told what cannot be."""


class Mirror:
    """What one session believes of the mailbox."""

    def __init__(self, subjects: dict[int, bytes], lock: Lock) -> None:
        self.uids: list[int] = []
        self.flags: list[frozenset[bytes] | None] = []
        self.modseqs: dict[int, int] = {}
        self.highest = 0
        self.subjects = subjects
        self.lock = lock
        self.quick = False

    def take(self, answer: Answer, keeps: bool) -> None:
        """Believe an answer; ``keeps`` tells that no message may go during its command."""
        for name, *values in answer.untagged:
            if name == b"EXISTS":
                if values[0] < len(self.uids):
                    raise Wrong(f"EXISTS {values[0]} below {len(self.uids)}")
                new = values[0] - len(self.uids)
                self.uids += [0] * new
                self.flags += [None] * new
            elif name in (b"EXPUNGE", b"VANISHED"):
                if keeps:
                    raise Wrong(f"{name!r} where messages keep their numbers")
                self.gone(name, values)
            elif name == b"FETCH":
                self.fetched(values[0], values[1])
        told = answer.told(b"HIGHESTMODSEQ")
        if told is not None:
            if int(told) < self.highest:
                raise Wrong(f"HIGHESTMODSEQ {told!r} below {self.highest}")
            self.highest = int(told)

    def gone(self, name: bytes, values: list[Any]) -> None:
        """Messages have been removed."""
        if (name == b"VANISHED") != self.quick:
            raise Wrong(f"{name!r} although QRESYNC is {'on' if self.quick else 'off'}")
        if name == b"EXPUNGE":
            if not 1 <= values[0] <= len(self.uids):
                raise Wrong(f"EXPUNGE of {values[0]} among {len(self.uids)}")
            del self.uids[values[0] - 1], self.flags[values[0] - 1]
            return
        for uid in numbers(values[0]):
            if uid in self.uids:
                place = self.uids.index(uid)
            else:
                # Its UID has not been told; its place is among those without one, below the next that is known.
                after = next((place for place, known in enumerate(self.uids) if known > uid), len(self.uids))
                unknown = [place for place in range(after) if not self.uids[place]]
                if not unknown:
                    raise Wrong(f"VANISHED {uid}, which is not in view")
                place = unknown[-1]
                if len(unknown) > 1:
                    # Which of them it is nobody can know: what was told of one may belong to another.
                    for one in unknown:
                        self.flags[one] = None
            del self.uids[place], self.flags[place]

    def fetched(self, number: int, values: tuple[Any, ...]) -> None:
        """Something of a message."""
        if not 1 <= number <= len(self.uids):
            raise Wrong(f"FETCH of {number} among {len(self.uids)}")
        told: Mapping[bytes, Any] = {name.upper(): value for name, value in zip(values[::2], values[1::2], strict=True)}
        if b"UID" in told:
            uid = int(told[b"UID"])
            if self.uids[number - 1] not in (0, uid):
                raise Wrong(f"number {number} is UID {uid} and was {self.uids[number - 1]}")
            self.uids[number - 1] = uid
            known = [one for one in self.uids if one]
            if known != sorted(set(known)):
                raise Wrong(f"UIDs do not ascend: {known}")
        if b"FLAGS" in told:
            self.flags[number - 1] = frozenset(told[b"FLAGS"]) - {b"\\Recent"}
        uid = self.uids[number - 1]
        if b"MODSEQ" in told and uid:
            modseq = int(told[b"MODSEQ"][0])
            if modseq < self.modseqs.get(uid, 0):
                raise Wrong(f"MODSEQ of UID {uid} fell from {self.modseqs[uid]} to {modseq}")
            self.modseqs[uid] = modseq
        subject = next((value for name, value in told.items() if name.startswith(b"BODY[")), None)
        if subject is not None and uid:
            with self.lock:
                if self.subjects.setdefault(uid, subject[:20]) != subject[:20]:
                    raise Wrong(f"UID {uid} is {subject!r} and was {self.subjects[uid]!r}")


class Runner(Thread):
    """One session."""

    def __init__(self, race: Race, number: int) -> None:
        super().__init__(name=f"session {number}", daemon=True)
        self.race, self.number = race, number
        self.random = Random(race.seed * 1_000 + number)
        self.wire = race.connect()
        self.mirror = Mirror(race.subjects, race.lock)
        self.read_only = False
        self.made = 0
        self.told: list[bytes] = []
        if self.random.random() < 0.4:
            self.wire.command(b"ENABLE QRESYNC")
            self.mirror.quick = True
        self.select()

    def run(self) -> None:
        """Commands until the race is over, resting with the others now and then."""
        try:
            while not self.race.over:
                for _ in range(self.race.burst):
                    self.step()
                self.race.rest.wait(60)
                self.look(resting=True)
                self.race.compare(self)
                self.race.rest.wait(60)
        except BrokenBarrierError:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            self.race.found.append(f"seed {self.race.seed}, {self.name}: {error!r}\n  last: {self.told[-6:]}")
            self.race.rest.abort()

    def say(self, text: bytes, *literals: bytes) -> Answer:
        """A command, believed."""
        self.made += 1
        self.told.append(text)
        answer = self.wire.command(text, *literals)
        if answer.word == b"BAD" or b"SERVERBUG" in answer.line:
            raise Wrong(f"{text!r}: {answer.line!r}")
        self.mirror.take(answer, text.split()[0] in KEEPING)
        return answer

    def select(self) -> None:
        """Open the mailbox and look at all of it."""
        self.read_only = self.random.random() < 0.15
        highest = self.mirror.highest
        self.mirror.uids, self.mirror.flags = [], []
        self.say((b"EXAMINE " if self.read_only else b"SELECT ") + FOLDER)
        if self.mirror.highest < highest:
            raise Wrong(f"HIGHESTMODSEQ fell from {highest} to {self.mirror.highest}")
        self.look()

    def look(self, resting: bool = False) -> None:
        """All of it, after news; while all rest, flags that have been told must be those that are."""
        self.say(b"NOOP")
        before = list(self.mirror.flags)
        self.say(b"UID FETCH 1:* (FLAGS MODSEQ)" if self.mirror.quick else b"UID FETCH 1:* (FLAGS)")
        # While others work, messages may come behind; while all rest there are none.
        rows = list(zip(self.mirror.uids, before, self.mirror.flags, strict=resting))
        wrong = [(uid, set(told), set(now or ())) for uid, told, now in rows if told is not None and told != now]
        if resting and wrong:
            raise Wrong(f"UIDs, flags as they were told, and as they are: {wrong}")

    def step(self) -> None:
        """Something."""
        random, count = self.random, len(self.mirror.uids)
        kind = random.random()
        if kind < 0.12 and count < MOST:
            self.append(1)
        elif kind < 0.15 and count < MOST:
            self.append(random.randint(2, 5))
        elif kind < 0.2:
            self.say(random.choice((b"NOOP", b"CHECK")))
        elif kind < 0.23:
            self.wire.start(b"IDLE")
            time.sleep(random.random() * 0.01)
            self.mirror.take(self.wire.finish(b"DONE"), False)
        elif kind < 0.25:
            self.select()
        elif not count:
            self.say(b"NOOP")
        elif kind < 0.5:
            self.say(b"%b (%b)" % (self.set(b"FETCH"), random.choice(
                (b"FLAGS", b"UID FLAGS", b"UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]", b"UID ENVELOPE", b"BODY.PEEK[]<0.20>")
            )))  # fmt: skip
        elif kind < 0.58:
            self.say(random.choice((b"SEARCH SEEN", b"UID SEARCH UNDELETED", b"SEARCH TEXT race", b"UID SEARCH 1:*")))
        elif self.read_only:
            self.select()
        elif kind < 0.85:
            item = random.choice((b"+FLAGS", b"-FLAGS", b"FLAGS")) + random.choice((b"", b".SILENT"))
            flags = b" ".join(random.sample(FLAGS, random.randint(0, 3)))
            text = b"%b %b (%b)" % (self.set(b"STORE"), item, flags)
            self.say(text)
            if item.endswith(b".SILENT"):
                # What it changed is not told; ask, as a careful client does.
                self.say(b"UID FETCH 1:* (FLAGS)")
        elif kind < 0.92 or count > MOST:
            self.say(random.choice((b"EXPUNGE", b"UID EXPUNGE 1:*")))
        else:
            self.say(b"%b %b" % (self.set(random.choice((b"COPY", b"MOVE"))), FOLDER))

    def append(self, count: int) -> None:
        """New messages."""
        bodies = [b"Subject: race %d of %d\r\n\r\n" % (self.race.next(), self.number) for _ in range(count)]
        self.say(b"APPEND " + FOLDER + b" () %L" * count, *bodies)

    def set(self, command: bytes) -> bytes:
        """The command on some messages, by number or by UID."""
        random, count = self.random, len(self.mirror.uids)
        low, high = sorted((random.randint(1, count), random.randint(1, count)))
        if random.random() < 0.5:
            return command + b" %d:%d" % (low, high if random.random() < 0.3 else min(low + 2, count))
        first = self.mirror.uids[low - 1] or 1
        return b"UID " + command + b" %d:%d" % (first, first + random.choice((0, 3, 50)))


class Race:
    """
    All sessions on one mailbox.

    :param burst: commands between two rests.
    """

    def __init__(self, demo: Demo, seed: int, sessions: int, burst: int = 40) -> None:
        self.demo, self.seed, self.burst = demo, seed, burst
        self.rest = Barrier(sessions, self._rested)
        self.lock = Lock()
        self.subjects: dict[int, bytes] = {}
        self.found: list[str] = []
        self.over = False
        self.rests = 0
        self._until = float("inf")
        self._least = 0
        self._appended = 0
        self._seen: dict[int, tuple[str, dict[int, frozenset[bytes] | None]]] = {}
        first = self.connect()
        first.command(b"DELETE " + FOLDER)
        first.command(b"CREATE " + FOLDER)
        first.close()
        self.runners = [Runner(self, number) for number in range(sessions)]

    def connect(self) -> Wire:
        """A logged-in connection."""
        wire = Wire(self.demo.service("imap").port)
        wire.login("brandon", self.demo.accounts["brandon"])
        return wire

    def _rested(self) -> None:
        """All are at rest: only here the race ends, so that nobody waits for one who has left."""
        self.rests += 1
        self._seen.clear()
        self.over = self.rests % 2 == 0 and time.monotonic() > self._until and self.made >= self._least

    def next(self) -> int:
        """A number nobody has had."""
        with self.lock:
            self._appended += 1
            return self._appended

    def compare(self, runner: Runner) -> None:
        """Every session is told the same while all rest."""
        mirror = runner.mirror
        if 0 in mirror.uids:
            raise Wrong(f"a message without a UID: {mirror.uids}")
        seen = dict(zip(mirror.uids, mirror.flags, strict=True))
        with self.lock:
            other, told = self._seen.setdefault(self.rests, (runner.name, seen))
        if told != seen:
            raise Wrong(f"{other} is told {told}, {runner.name} {seen}")

    @property
    def made(self) -> int:
        """How many commands were made."""
        return sum(runner.made for runner in self.runners)

    def whole(self, seconds: float, least: int = 0) -> int:
        """
        Run for some time.

        :param least: commands that are made, however long it takes.
        :returns: how many commands were made.
        :raises Wrong: something was.
        """
        self._until = time.monotonic() + seconds
        self._least = least
        for runner in self.runners:
            runner.start()
        for runner in self.runners:
            runner.join(seconds + PATIENCE)
        for runner in self.runners:
            runner.wire.close()
        if self.found:
            raise Wrong("\n".join(self.found))
        return self.made


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.states", description="Many sessions on one mailbox.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=12)
    options = parser.parse_args()
    until = time.monotonic() + options.minutes * 60
    seed, commands = options.seed, 0
    with tempfile.TemporaryDirectory(prefix="launcelot-states-") as folder:
        demo = Demo(Path(folder))
        try:
            while time.monotonic() < until:
                race = Race(demo, seed, options.sessions)
                commands += race.whole(min(30.0, until - time.monotonic()))
                seed += 1
        except Wrong as wrong:
            print(wrong)
            return 1
        finally:
            demo.stop()
            print(f"{commands} commands, next seed {seed}; tracebacks in the log: {demo.said().count('Traceback')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
