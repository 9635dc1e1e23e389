"""
Threading messages: ORDEREDSUBJECT and REFERENCES.  RFC 5256 section 3.

Both are free of recursion, and nearly linear whatever the messages say: ancestors are looked up no further than
:data:`MAX_CLIMB`, and a link that would need more is treated like one that closes a loop.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain, compress, pairwise
from operator import ne

from launcelot.mailstore.sheets import Column, Sheet
from launcelot.message.subject import is_reply

MAX_CLIMB = 1_000
"""Ancestors that are looked at before a link is made below a message that has replies already."""

BUNDLE = 2_000
"""Messages from which on a bundle takes in no more threads."""

Texts = Sequence[str]

_QUOTES = re.compile(r'\\(.)|"', re.DOTALL)


class Algorithm(Enum):
    """How messages are put together."""

    ORDEREDSUBJECT = "orderedsubject"
    REFERENCES = "references"


@dataclass(frozen=True, slots=True)
class Bundle:
    """
    Threads that follow each other, small enough to be kept.

    :ivar form: as RFC 5256 section 5 writes them (``thread-list``), with ``%d`` for each message: an only answer follows its
        message, several stand in parentheses each.
    :ivar uids: of the messages, in the order in which they stand there.
    """

    form: bytes
    uids: array[int]


class Forest:
    """
    Messages and the answers to them, while they are put together; a node is a number.

    Lists of numbers and no lists in them: what the collector of garbage has to look through, and memory far apart, cost most.

    :ivar messages: how many nodes are messages, which come first; the others are messages that are not there.
    :ivar parents: of each node, -1 for none; only while links are made.
    :ivar answers: how many have it as their parent while links are made.
    :ivar first: of each node's answers once they are in order, -1 for none; ``last`` likewise.
    :ivar following: which answer to the same message comes behind a node, -1 for none.
    :ivar dates: what nodes are put in order by: the date of a message and its UID as one number, or that of the first answer.
    """

    __slots__ = ("answers", "dates", "first", "following", "last", "messages", "parents")

    def __init__(self, uids: Sequence[int], dates: Sequence[int]) -> None:
        self.messages = len(uids)
        self.parents = [-1] * len(uids)
        self.answers = [0] * len(uids)
        self.first = [-1] * len(uids)
        self.last = [-1] * len(uids)
        self.following = [-1] * len(uids)
        self.dates = [date << 32 | uid for date, uid in zip(dates, uids, strict=True)]

    def in_order(self) -> Sequence[int]:
        """All messages by their dates."""
        return sorted(range(self.messages), key=self.dates.__getitem__)

    def below(self, node: int) -> list[int]:
        """The answers to a node, in order."""
        found: list[int] = []
        one = self.first[node]
        while one >= 0:
            found.append(one)
            one = self.following[one]
        return found

    def have(self, node: int, answers: list[int]) -> None:
        """These messages, in whatever order, are all the answers to a node, and give it its date if it is not there."""
        answers.sort(key=self.dates.__getitem__)
        self.first[node], self.last[node] = answers[0], answers[-1]
        for one, behind in pairwise([*answers, -1]):
            self.following[one] = behind
        if node >= self.messages:
            self.dates[node] = self.dates[answers[0]]

    def adopt(self, node: int, child: int) -> None:
        """Put an answer behind all others."""
        if self.first[node] < 0:
            self.first[node] = child
        else:
            self.following[self.last[node]] = child
        self.last[node] = child

    def add(self) -> int:
        """One more message that is not there."""
        self.parents.append(-1)
        self.answers.append(0)
        self.first.append(-1)
        self.last.append(-1)
        self.following.append(-1)
        self.dates.append(0)
        return len(self.parents) - 1

    def link(self, parent: int, child: int) -> None:
        """Make a link unless it would close a loop; a message without answers can close none."""
        if parent == child:
            return
        if self.answers[child]:
            above = parent
            for _ in range(MAX_CLIMB):
                if above < 0:
                    break
                if above == child:
                    return
                above = self.parents[above]
            else:
                return
        self.parents[child] = parent
        self.answers[parent] += 1

    def unlink(self, child: int) -> None:
        """Have it answer nothing."""
        parent = self.parents[child]
        if parent >= 0:
            self.parents[child] = -1
            self.answers[parent] -= 1


COLUMNS = (Column.DATE, Column.SUBJECT, Column.BASE_SUBJECT, Column.MESSAGE_ID, Column.REFERENCES)
"""What is asked of a store."""


def thread(sheet: Sheet, algorithm: Algorithm) -> list[Bundle]:
    """
    Messages as threads, in order.

    :param sheet: with :data:`COLUMNS`.
    """
    uids, dates, *texts = sheet.columns
    forest = Forest(uids, dates)
    return list(_bundles(forest, _ALGORITHMS[algorithm](forest, *texts), uids))


def _bundles(forest: Forest, roots: Sequence[int], uids: Sequence[int]) -> Iterator[Bundle]:
    """Threads as they are sent."""
    messages, first = forest.messages, forest.first
    form: list[bytes] = []
    told: list[int] = []
    write, tell = form.append, told.append
    for root in roots:
        if root < messages and first[root] < 0:
            write(b"(%d)")
            tell(uids[root])
        else:
            _write(forest, root, uids, write, tell)
        if len(told) >= BUNDLE:
            yield Bundle(b"".join(form), array("I", told))
            form.clear()
            told.clear()
    if told:
        yield Bundle(b"".join(form), array("I", told))


def _write(
    forest: Forest, root: int, uids: Sequence[int], write: Callable[[bytes], None], tell: Callable[[int], None]
) -> None:
    """A thread; each piece has the parentheses beside its message."""
    first, following = forest.first, forest.following
    within: list[int] = []
    one, opens = root, True
    while True:
        below = first[one]
        if below >= 0:
            if one < forest.messages:
                write(b"(%d " if opens else b"%d ")
                tell(uids[one])
            else:
                write(b"(")
            one, opens = below, following[below] >= 0
            if opens:
                within.append(below)
            continue
        write(b"(%d)" if opens else b"%d)")
        tell(uids[one])
        while within and following[within[-1]] < 0:
            within.pop()
            write(b")")
        if not within:
            return
        one = within[-1] = following[within[-1]]
        opens = True


def by_subject(forest: Forest, _subjects: Texts, bases: Texts, _ids: Texts, _references: Texts) -> list[int]:
    """ORDEREDSUBJECT: the first message of each subject, with the others below it."""
    groups: dict[str, int] = {}
    for node in forest.in_order():
        head = groups.setdefault(bases[node], node)
        if head != node:
            forest.adopt(head, node)
    return list(groups.values())


def by_references(forest: Forest, subjects: Texts, bases: Texts, ids: Texts, references: Texts) -> list[int]:
    """REFERENCES: by the ids messages name, then by subject at the top."""
    _link(forest, ids, references)
    return _merged(forest, _settled(forest), subjects, bases)


def _link(forest: Forest, ids: Texts, references: Texts) -> None:
    """Step 1: from each message to the one that it answers."""
    # Hardly any mailbox has an id that is quoted.
    if '"' in "".join(ids) or '"' in "".join(references):
        ids, references = list(map(_normal, ids)), ["\n".join(map(_normal, named.split("\n"))) for named in references]
    # Of those that have the same id, the first has it.
    by_id = dict(zip(reversed(ids), range(len(ids) - 1, -1, -1), strict=True))
    by_id.pop("", None)
    parents, answers, find = forest.parents, forest.answers, by_id.get
    for node, above in enumerate(map(find, references)):
        if above is None:
            if not references[node]:
                if parents[node] >= 0:
                    forest.unlink(node)
                continue
            above = _chained(forest, by_id, references[node])
        if parents[node] >= 0:
            forest.unlink(node)
        if answers[node] or above == node:
            forest.link(above, node)
        else:
            # Nobody answers it, so this closes no loop.
            parents[node] = above
            answers[above] += 1


def _chained(forest: Forest, by_id: dict[str, int], named: str) -> int:
    """The last of some messages that are named, after each has been linked to the one before it."""
    parents = forest.parents
    above = -1
    for id in named.split("\n"):
        one = by_id.get(id)
        if one is None:
            one = by_id[id] = forest.add()
        if above >= 0 and parents[one] < 0:
            forest.link(above, one)
        above = one
    return above


def _settled(forest: Forest) -> list[int]:
    """
    Steps 2 to 4: the roots, in order, with every message knowing its answers in order.

    Messages that are not there give way to their answers, at the top only if there is just one.
    """
    messages, parents, first, last, following = forest.messages, forest.parents, forest.first, forest.last, forest.following
    instead = _stand_ins(forest)
    roots: list[int] = []
    for node in forest.in_order():
        parent = parents[node]
        if parent < 0:
            roots.append(node)
            continue
        if parent >= messages:
            parent = instead.get(parent, parent)
        if first[parent] < 0:
            first[parent] = node
            if parent >= messages:
                forest.dates[parent] = forest.dates[node]
                roots.append(parent)
        else:
            following[last[parent]] = node
        last[parent] = node
    if len(parents) == messages:
        return roots
    return [first[root] if root >= messages and first[root] == last[root] else root for root in roots]


def _stand_ins(forest: Forest) -> dict[int, int]:
    """Whose the answers to messages that are not there are: the next one's above that is there, or the last one's."""
    messages, parents = forest.messages, forest.parents
    found: dict[int, int] = {}
    for absent in range(messages, len(parents)):
        passed: list[int] = []
        one = absent
        while one >= messages and parents[one] >= 0 and one not in found:
            passed.append(one)
            one = parents[one]
        found.update(dict.fromkeys(passed, found.get(one, one)))
    return found


def _merged(forest: Forest, roots: list[int], subjects: Texts, bases: Texts) -> list[int]:
    """Steps 5 and 6: threads of one subject become one, and all are in order again."""
    messages, present = forest.messages, len(forest.parents)

    def replies(node: int) -> bool:
        # Where nothing was taken away there was no mark, either.
        return node < messages and subjects[node] != bases[node] and is_reply(subjects[node])

    named = [bases[node if node < messages else forest.first[node]] for node in roots]
    table: dict[str, int] = {}
    firsts = map(table.setdefault, named, roots)
    shared = set(compress(named, map(ne, firsts, roots)))
    shared.discard("")
    if not shared:
        return roots
    some = [(node, subject) for node, subject in zip(roots, named, strict=True) if subject in shared]
    for node, subject in some:
        other = table[subject]
        if other < messages and other != node and (node >= messages or (replies(other) and not replies(node))):
            # It takes the other's place as the one to which those of their subject are added.
            table[subject] = node
    gone: set[int] = set()
    grown: dict[int, list[int]] = {}
    for node, subject in some:
        other = table[subject]
        if other == node or node in gone:
            continue
        gone.add(node)
        if other < messages and not (node < messages and replies(node) and not replies(other)):
            gone.add(other)
            table[subject] = both = forest.add()
            grown[both] = [other, node]
            continue
        if other not in grown:
            grown[other] = forest.below(other)
        grown[other] += forest.below(node) if node >= messages else [node]
    for node, answers in grown.items():
        forest.have(node, answers)
    found = [root for root in chain(roots, range(present, len(forest.parents))) if root not in gone]
    found.sort(key=forest.dates.__getitem__)
    return found


def _normal(id: str) -> str:
    """A message id without quoting."""
    return _QUOTES.sub(lambda found: found[1] or "", id) if '"' in id else id


_ALGORITHMS: dict[Algorithm, Callable[[Forest, Texts, Texts, Texts, Texts], list[int]]] = {
    Algorithm.ORDEREDSUBJECT: by_subject,
    Algorithm.REFERENCES: by_references,
}
