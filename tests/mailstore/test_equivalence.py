"""Memory and SQLite side by side: the same random steps give the same answers and leave the same state."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Refusal
from launcelot.mailstore.annotations import WHOLE_ACCOUNT
from launcelot.mailstore.interface import AccountMail, Appended, MailboxInfo, MailStore, StoreMode
from launcelot.mailstore.memory import MemoryMailStore
from launcelot.mailstore.rights import ALL, Change
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.mailstore.statecolumns import StateColumns
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, BOB, Hands, all_messages, check_counters, message, result_now

NAMES = ("INBOX", "a", "a/b", "a/b/c", "b", "b/a", "inbox/x", "a//", "c/d/e")
FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "$one", "$Two", "$three", "$four", "\\Wrong")
QUOTA = 9_000

Step = Callable[[AccountMail], Coroutine[Any, Any, Any]]


def without_ids(answer: Any) -> Any:
    """The answer without ids, which are counted differently where something was refused."""
    if isinstance(answer, MailboxInfo):
        return replace(answer, id=bool(answer.id))  # type: ignore[arg-type]
    if isinstance(answer, Appended):
        return replace(answer, email_id="")
    if isinstance(answer, list | tuple | StateColumns):
        return [without_ids(item) for item in answer]
    return answer


class Side:
    """One store with an account, open mailboxes and what its watchers heard."""

    def __init__(self, store: MailStore) -> None:
        self.store = store
        self.heard: list[str] = []
        self.boxes: dict[str, Any] = {}

    async def step(self, step: Step) -> Any:
        """The answer of a step, or the kind of its refusal."""
        self.heard.clear()
        try:
            answer = await step(await self.store.mail(ANN, QUOTA))
        except Refusal as refusal:
            answer = type(refusal)
        return without_ids(answer), list(self.heard)

    async def state(self) -> Any:
        """Everything that can be seen, checked in itself."""
        mail = await self.store.mail(ANN, QUOTA)
        seen: list[Any] = [without_ids(await mail.mailboxes()), await mail.subscriptions(), await mail.usage()]
        usage = [0, 0]
        for info in await mail.mailboxes():
            if info.selectable:
                box = await mail.mailbox(info.name)
                if info.id not in self.boxes:
                    self.boxes[info.id] = box.watch(lambda name=info.name: self.heard.append(name))  # type: ignore[misc]
                await check_counters(box)
                status = await box.status()
                usage[0] += status.size
                usage[1] += status.messages
                messages = await all_messages(box, range(status.uid_next))
                bodies = [await box.read(one.uid, 0, one.size) for one in messages]
                seen += [replace(status, id=""), await box.states(), await box.changes(0), bodies]
                seen += [await box.changes(status.highest_modseq - 2)]
                seen += [await box.deleted_size(), await mail.grants.of(info.id)]
                seen += [await mail.annotations.read(info.name, person) for person in (ANN, BOB)]
                seen += [(one.internal_date, one.saved, one.parts, one.envelope) for one in messages]
        seen += [await mail.annotations.changes(ANN, since) for since in (-1, 0, 5)]
        seen += [await mail.annotations.read(WHOLE_ACCOUNT, BOB)]
        total = await mail.usage()
        if [total.octets, total.messages] != usage:
            raise AssertionError(f"usage {total}, messages {usage}")
        return seen


class Player:
    """Chooses steps."""

    def __init__(self, seed: int) -> None:
        self.choose = random.Random(seed)
        self.keys = 0
        self.kinds: tuple[Callable[[], Step], ...] = (
            *[self.deliver] * 4, *[self.append] * 4, *[self.flag] * 6, *[self.copy] * 3, *[self.move] * 3,
            *[self.expunge] * 2, self.remove, self.create, self.create, self.delete, self.rename, self.subscribe, self.recent,
            *[self.annotate] * 3, *[self.grant] * 2,
        )  # fmt: skip

    def step(self) -> Step:
        """The next step."""
        return self.choose.choice(self.kinds)()

    def name(self) -> str:
        """A name that may exist."""
        return self.choose.choice(NAMES[:4] if self.choose.random() < 0.7 else NAMES)

    def uids(self) -> Sequence[int]:
        """UIDs that may exist."""
        return self.choose.choices(range(1, 30), k=self.choose.randint(0, 8))

    def flags(self) -> list[str]:
        """Some flags, seldom an impossible one."""
        return self.choose.sample(FLAGS[: 7 if self.choose.random() < 0.95 else 8], self.choose.randint(0, 3))

    def body(self) -> bytes:
        """A message of up to some hundred octets."""
        return message(str(self.choose.random()), "x" * self.choose.randint(0, 500))

    def deliver(self) -> Step:
        """Deliver, now and then for the second time."""
        self.keys += self.choose.random() < 0.8
        body, name, key, flags = self.body(), self.name(), str(self.keys), self.flags()
        return lambda mail: mail.deliver(body, key, name, flags)

    def on(self, job: Callable[[Any], Coroutine[Any, Any, Any]]) -> Step:
        """A step on a mailbox."""
        name = self.name()

        async def step(mail: AccountMail) -> Any:
            return await job(await mail.mailbox(name))

        return step

    def append(self) -> Step:
        """Append."""
        body, flags = self.body(), self.flags()
        return self.on(lambda box: box.append(body, flags))

    def flag(self) -> Step:
        """Change flags, now and then only those unchanged since."""
        uids, mode, flags = self.uids(), self.choose.choice(list(StoreMode)), self.flags()
        since = self.choose.choice([None, None, self.choose.randint(0, 60)])
        return self.on(lambda box: box.store(uids, mode, flags, since))

    def copy(self) -> Step:
        """Copy."""
        uids, target = self.uids(), self.name()
        return self.on(lambda box: box.copy(uids, target))

    def move(self) -> Step:
        """Move."""
        uids, target = self.uids(), self.name()
        return self.on(lambda box: box.move(uids, target))

    def expunge(self) -> Step:
        """Expunge all or some."""
        uids = self.choose.choice([None, self.uids()])
        return self.on(lambda box: box.expunge(uids))

    def remove(self) -> Step:
        """Remove."""
        uids = self.uids()
        return self.on(lambda box: box.remove(uids))

    def recent(self) -> Step:
        """Claim what is recent."""
        return self.on(lambda box: box.claim_recent())

    def annotate(self) -> Step:
        """Set and remove annotations."""
        name = self.choose.choice([WHOLE_ACCOUNT, self.name()])
        person = self.choose.choice([ANN, BOB])
        entries = self.choose.sample(("/shared/a", "/shared/b", "/private/a", "/private/b"), self.choose.randint(1, 3))
        values = {entry: self.choose.choice([None, b"", bytes([self.choose.randint(0, 255)])]) for entry in entries}
        return lambda mail: mail.annotations.write(name, person, values)

    def grant(self) -> Step:
        """Change an access list."""
        identity = self.choose.choice(["anyone", "account:1", "-account:1"])
        change = self.choose.choice(list(Change))
        rights = frozenset(self.choose.sample(sorted(ALL), self.choose.randint(0, 4)))
        keep = self.choose.random() < 0.2
        name = self.name()

        async def step(mail: AccountMail) -> Any:
            box = await mail.mailbox(name)
            return await mail.grants.change(box.info.id, identity, change, rights, keep)

        return step

    def create(self) -> Step:
        """Make a mailbox."""
        name = self.name()
        return lambda mail: mail.create(name)

    def delete(self) -> Step:
        """Delete a mailbox."""
        name = self.name()
        return lambda mail: mail.delete(name)

    def rename(self) -> Step:
        """Rename a mailbox."""
        name, to = self.name(), self.name()
        return lambda mail: mail.rename(name, to)

    def subscribe(self) -> Step:
        """Subscribe or not."""
        name, subscribed = self.name(), self.choose.random() < 0.6
        return lambda mail: mail.subscribe(name, subscribed)


class EquivalenceTests(SynchronousTestCase):
    """Random sequences with fixed seeds."""

    def play(self, seed: int, steps: int) -> None:
        """The same steps on both, compared after each."""
        memory_hands, sqlite_hands = Hands(), Hands()
        workers = InlineWorkers()
        sqlite = SqliteMailStore(Path(self.mktemp()), [workers], workers, sqlite_hands.now, sqlite_hands.new_id)
        sides = [Side(MemoryMailStore(memory_hands.now, memory_hands.new_id)), Side(sqlite)]
        player = Player(seed)
        for side in sides:
            result_now(self, side.step(lambda mail: mail.create("a/b/c")))
        outcomes: dict[bool, int] = {True: 0, False: 0}
        for number in range(steps):
            memory_hands.advance(1)
            sqlite_hands.advance(1)
            step = player.step()
            answers = [result_now(self, side.step(step)) for side in sides]
            where = f"seed {seed}, step {number}: {step.__qualname__}"
            self.assertEqual(answers[0], answers[1], where)
            states = [result_now(self, side.state()) for side in sides]
            self.assertEqual(states[0], states[1], where)
            outcomes[isinstance(answers[0][0], type)] += 1
        self.assertGreater(outcomes[False], steps // 4)
        self.assertGreater(outcomes[True], steps // 20)
        result_now(self, sqlite.close())

    def test_random_sequences_on_both_stores(self) -> None:
        """Answers, refusals, states, changes, octets and watchers are the same step by step."""
        for seed in range(12):
            self.play(seed, 100)
