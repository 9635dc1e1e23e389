"""One seeded play: the same steps on both servers, every answer compared, every session's view checked against a mirror."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.clients.oracle.normal import alike, differences, numbers, reduced, text_of
from tests.clients.oracle.steps import FOLDERS, Step, Steps
from tests.clients.wire import Answer, Wire


class Disagreement(AssertionError):
    """The two servers have not answered alike, or one has told a session what cannot be."""


@dataclass
class Mirror:
    """What one session of one side has been told of its mailbox."""

    uids: list[int | None] = field(default_factory=list)
    modseqs: list[int] = field(default_factory=list)

    def take(self, answer: Answer, expunges: bool) -> None:
        """
        Follow what came with an answer.

        :param expunges: whether messages may go during this command.
        :raises Disagreement: they have gone although they must not, or there is no such number.
        """
        for response in answer.untagged:
            name, values = response[0], response[1:]
            if name in (b"EXPUNGE", b"VANISHED") and not expunges:
                raise Disagreement(f"{response} where messages must keep their numbers")
            if name == b"EXPUNGE":
                if not 1 <= values[0] <= len(self.uids):
                    raise Disagreement(f"EXPUNGE of {values[0]} among {len(self.uids)}")
                del self.uids[values[0] - 1]
            elif name == b"VANISHED" and not isinstance(values[0], tuple):
                gone = set(numbers(values[0]))
                self.uids = [uid for uid in self.uids if uid not in gone]
            elif name == b"EXISTS":
                if values[0] < len(self.uids):
                    raise Disagreement(f"EXISTS {values[0]} below {len(self.uids)}")
                self.uids += [None] * (values[0] - len(self.uids))
            elif name == b"FETCH":
                self._fetch(values[0], values[1])

    def _fetch(self, number: int, values: tuple[Any, ...]) -> None:
        told = {name.upper(): value for name, value in zip(values[::2], values[1::2], strict=True)}
        if not 1 <= number <= len(self.uids):
            raise Disagreement(f"FETCH of {number} among {len(self.uids)}")
        uid = int(told.get(b"UID", 0))
        if uid and self.uids[number - 1] not in (None, uid):
            raise Disagreement(f"number {number} is UID {uid}, was {self.uids[number - 1]}")
        if uid:
            self.uids[number - 1] = uid


class Place:
    """One session on both sides."""

    def __init__(self, pair: tuple[Wire, Wire]) -> None:
        self.pair = pair
        self.folder: bytes | None = None
        self.writable = False
        self.mirrors = (Mirror(), Mirror())
        self.modseqs: tuple[list[int], list[int]] = ([1], [1])
        self.uid_next = 1
        self.enabled: frozenset[bytes] = frozenset()

    @property
    def count(self) -> int:
        """Messages in view."""
        return len(self.mirrors[0].uids)


class Play:
    """
    A pair of accounts, empty at first.

    :param open_pair: a fresh, logged-in connection to each side, ours first.
    :ivar told: the last commands, for reports.
    """

    def __init__(self, seed: int, open_pair: Any, sessions: int = 3, hostile: bool = False) -> None:
        self.random = Random(seed)
        self.seed = seed
        self.steps = Steps(self.random, hostile)
        self.told: list[str] = []
        self.made = 0
        self.places = [Place(open_pair()) for _ in range(sessions)]

    def whole(self, steps: int) -> None:
        """
        All of a play.

        :raises Disagreement: there is one.
        """
        self.begin()
        for number in range(steps):
            self.step()
            if number % 10 == 9:
                self.look()
        self.look()

    def end(self) -> None:
        """Close the connections."""
        for place in self.places:
            for wire in place.pair:
                wire.close()

    def begin(self) -> None:
        """Some folders and messages."""
        first = self.places[0]
        for name in (b"Work", b"Work/Sub"):
            self.run(first, Step("word", b'CREATE "%b"' % name))
        for _ in range(8):
            self.run(first, self.steps.append(b"INBOX"))
        for place in self.places:
            self.select(place, b"INBOX")

    def step(self) -> None:
        """One random step, after which every session has heard of it."""
        random = self.random
        place = random.choice(self.places)
        kind = random.random()
        taken = {one.folder for one in self.places}
        if kind < 0.1:
            self.run(place, self.steps.append(random.choice(FOLDERS)))
        elif kind < 0.2:
            free = [name for name in FOLDERS[1:] if name not in taken and not any(one and one.startswith(name) for one in taken)]
            self.rearrange(place, self.steps.folders(free))
        elif kind < 0.26 or place.folder is None:
            self.select(place, random.choice(FOLDERS))
        elif kind < 0.28:
            self.leave(place)
        elif kind < 0.31:
            self.idle(place)
        elif kind < 0.33:
            self.enable(place)
        else:
            self.run(place, self.steps.selected(place.count, place.uid_next, place.writable))

    def rearrange(self, place: Place, step: Step) -> None:
        """A step with names; those above a new one are made first, because Dovecot would not make them."""
        if step.text.startswith((b"CREATE", b"RENAME")):
            levels = step.text.split(b'"')[-2].split(b"/")
            for depth in range(1, len(levels)):
                self.run(place, Step("word", b'CREATE "%b"' % b"/".join(levels[:depth])))
        self.run(place, step)

    def run(self, place: Place, step: Step) -> None:
        """A step on both sides, compared."""
        self.made += 1
        since = self.random.randrange(min(len(one) for one in place.modseqs))
        answers = []
        for side, wire in enumerate(place.pair):
            text = step.text.replace(b"%M", b"%d" % place.modseqs[side][since])
            if side == 0:
                self.told.append(f"{self.places.index(place) if place in self.places else '-'} {place.folder!r} {text!r}")
            answers.append(wire.command(text, *step.literals))
        ours, theirs = (reduced(step, answer) for answer in answers)
        if step.kind == "subscribe" and (ours[0], theirs[0]) == (b"OK", b"NO"):
            place.pair[0].command(b"UN" + step.text)
        elif not alike(step, ours, theirs):
            rows = differences(ours[2], theirs[2]) if step.kind == "fetch" and ours[2] and theirs[2] else []
            told = "\n".join(rows) or f"ours {text_of(ours)}\ntheirs {text_of(theirs)}"
            self.disagree(f"{step.text!r}: {told}")
        self.take(place, answers, step.text)
        if step.changes:
            self.settle()

    def take(self, place: Place, answers: list[Answer], text: bytes) -> None:
        """Follow the answers; numbers stay during FETCH, STORE, SEARCH and their like without UID."""
        keeps = text.startswith((b"FETCH", b"STORE", b"SEARCH", b"SORT", b"THREAD"))
        for side, answer in enumerate(answers):
            try:
                place.mirrors[side].take(answer, not keeps)
            except Disagreement as problem:
                self.disagree(f"{('ours', 'theirs')[side]} after {text!r}: {problem}")
            highest = answer.told(b"HIGHESTMODSEQ")
            if highest is not None:
                place.modseqs[side].append(int(highest))
        self.keep_even(place)

    def keep_even(self, place: Place) -> None:
        """MODSEQs that only one side has told are of no use."""
        shorter = min(len(one) for one in place.modseqs)
        for one in place.modseqs:
            del one[shorter:]

    def settle(self) -> None:
        """Every session asks for news; then both sides must have told the same."""
        for place in self.places:
            if place.folder is None:
                continue
            self.take(place, [wire.command(b"NOOP") for wire in place.pair], b"NOOP")
            ours, theirs = (len(mirror.uids) for mirror in place.mirrors)
            if ours != theirs:
                self.disagree(f"session {self.places.index(place)} sees {ours} messages, theirs {theirs}")

    def look(self) -> None:
        """All of every view, compared."""
        self.settle()
        for place in self.places:
            if place.folder is not None:
                step = Step("fetch", b"UID FETCH 1:* (UID FLAGS)", asked=frozenset({b"UID", b"FLAGS"}))
                self.run(place, step)
                if any(None in mirror.uids for mirror in place.mirrors):
                    self.disagree(f"a message has a number and no UID: {[mirror.uids for mirror in place.mirrors]}")
                for mirror in place.mirrors:
                    found = [uid or 0 for uid in mirror.uids]
                    if found != sorted(set(found)):
                        self.disagree(f"UIDs do not ascend: {found}")

    def select(self, place: Place, folder: bytes) -> None:
        """SELECT or EXAMINE."""
        word = self.random.choice((b"SELECT", b"SELECT", b"EXAMINE"))
        text = b'%b "%b"' % (word, folder)
        place.folder = None
        place.mirrors = (Mirror(), Mirror())
        answers = [wire.command(text) for wire in place.pair]
        self.told.append(f"{self.places.index(place) if place in self.places else '-'} {text!r}")
        ours, theirs = (reduced(Step("select", text), answer) for answer in answers)
        if ours != theirs:
            self.disagree(f"{text!r}: {ours} {theirs}")
        place.modseqs = ([1], [1])
        if answers[0].word != b"OK":
            return
        self.take(place, answers, text)
        place.folder, place.writable = folder, word == b"SELECT"
        place.uid_next = int(answers[0].told(b"UIDNEXT") or 1)
        self.run(place, Step("fetch", b"UID FETCH 1:* (UID)", asked=frozenset({b"UID"})))

    def leave(self, place: Place) -> None:
        """CLOSE, which expunges, or UNSELECT, which does not."""
        text = self.random.choice((b"CLOSE", b"UNSELECT"))
        folder, place.folder = place.folder, None
        place.mirrors = (Mirror(), Mirror())
        self.run(place, Step("word", text, changes=True))
        self.told[-1] += f" of {folder!r}"

    def enable(self, place: Place) -> None:
        """CONDSTORE, rarely QRESYNC, for the rest of the session."""
        word = self.random.choice((b"CONDSTORE", b"CONDSTORE", b"QRESYNC"))
        self.run(place, Step("word", b"ENABLE " + word))

    def idle(self, place: Place) -> None:
        """IDLE while another session changes something; what has come must leave both sides with the same view."""
        for wire in place.pair:
            wire.start(b"IDLE")
        others = [one for one in self.places if one is not place]
        if others:
            other = self.random.choice(others)
            step = self.steps.append(place.folder or b"INBOX")
            self.told.append(f"IDLE of {self.places.index(place)} while {self.places.index(other)} {step.text!r}")
            self.take(other, [wire.command(step.text, *step.literals) for wire in other.pair], step.text)
        answers = [wire.finish(b"DONE") for wire in place.pair]
        self.take(place, answers, b"IDLE")
        self.settle()

    def disagree(self, what: str) -> None:
        """
        Tell.

        :raises Disagreement: always.
        """
        last = "\n".join(self.told[-12:])
        raise Disagreement(f"seed {self.seed}, step {self.made}: {what}\n-- last commands:\n{last}")
