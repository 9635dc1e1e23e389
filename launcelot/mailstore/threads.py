"""
Threading messages: ORDEREDSUBJECT and REFERENCES.  RFC 5256 section 3.

Both are free of recursion, and nearly linear whatever the messages say: ancestors are looked up no further than
:data:`MAX_CLIMB`, and a link that would need more is treated like one that closes a loop.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import compress
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

    :ivar messages: how many nodes are messages, which come first; the others are messages that are not there.
    :ivar parents: of each node, -1 for none; only while links are made.
    :ivar answers: how many have it as their parent while links are made; only then it is known who they are.
    :ivar children: of each node, None for none.
    :ivar dates: what nodes are put in order by: the date of a message and its UID as one number, or that of the first child.
    """

    __slots__ = ("answers", "children", "dates", "messages", "parents")

    def __init__(self, uids: Sequence[int], dates: Sequence[int]) -> None:
        self.messages = len(uids)
        self.parents = [-1] * len(uids)
        self.answers = [0] * len(uids)
        self.children: list[list[int] | None] = [None] * len(uids)
        self.dates = [date << 32 | uid for date, uid in zip(dates, uids, strict=True)]

    def below(self, node: int) -> list[int]:
        """The children of a node that has some."""
        return self.children[node] or []

    def first(self, node: int) -> int:
        """The message, or the first child's where there is none."""
        return node if node < self.messages else self.below(node)[0]

    def adopt(self, node: int, child: int) -> None:
        """Put a child behind all others."""
        there = self.children[node]
        if there is None:
            self.children[node] = [child]
        else:
            there.append(child)

    def add(self) -> int:
        """One more message that is not there."""
        self.parents.append(-1)
        self.answers.append(0)
        self.children.append(None)
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

    def settle(self) -> list[int]:
        """Have every parent know its children, in the order of their numbers; the roots."""
        roots: list[int] = []
        children = self.children
        for node, parent in enumerate(self.parents):
            if parent < 0:
                roots.append(node)
                continue
            there = children[parent]
            if there is None:
                children[parent] = [node]
            else:
                there.append(node)
        return roots

    def arrange(self, node: int) -> None:
        """Put the children of a node in order, and give one that is not there its date."""
        there = self.below(node)
        there.sort(key=self.dates.__getitem__)
        if node >= self.messages:
            self.dates[node] = self.dates[there[0]]


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


_CLOSE = -1
"""Behind the last of several answers."""


def _bundles(forest: Forest, roots: Sequence[int], uids: Sequence[int]) -> Iterator[Bundle]:
    """Threads as they are sent."""
    messages, children = forest.messages, forest.children
    form: list[bytes] = []
    told: list[int] = []
    write, tell = form.append, told.append
    for root in roots:
        if root < messages and not children[root]:
            write(b"(%d)")
            tell(uids[root])
        else:
            _write(root, messages, children, uids, write, tell)
        if len(told) >= BUNDLE:
            yield Bundle(b"".join(form), array("I", told))
            form.clear()
            told.clear()
    if told:
        yield Bundle(b"".join(form), array("I", told))


def _write(
    root: int,
    messages: int,
    children: Sequence[Sequence[int] | None],
    uids: Sequence[int],
    write: Callable[[bytes], None],
    tell: Callable[[int], None],
) -> None:
    """A thread; each piece has the parentheses beside its message."""
    pending: list[int] = []
    one, opens = root, True
    while True:
        below = children[one]
        if below:
            if one < messages:
                write(b"(%d " if opens else b"%d ")
                tell(uids[one])
            else:
                write(b"(")
            one, opens = below[0], len(below) > 1
            if opens:
                pending.append(_CLOSE)
                pending += below[:0:-1]
            continue
        write(b"(%d)" if opens else b"%d)")
        tell(uids[one])
        while pending and pending[-1] < 0:
            pending.pop()
            write(b")")
        if not pending:
            return
        one, opens = pending.pop(), True


def by_subject(forest: Forest, _subjects: Texts, bases: Texts, _ids: Texts, _references: Texts) -> list[int]:
    """ORDEREDSUBJECT: the first message of each subject, with the others below it."""
    groups: dict[str, int] = {}
    for node in sorted(range(forest.messages), key=forest.dates.__getitem__):
        head = groups.setdefault(bases[node], node)
        if head != node:
            forest.adopt(head, node)
    return list(groups.values())


def by_references(forest: Forest, subjects: Texts, bases: Texts, ids: Texts, references: Texts) -> list[int]:
    """REFERENCES: by the ids messages name, then by subject at the top."""
    _link(forest, ids, references)
    roots = _pruned(forest, forest.settle())
    if len(forest.children) > forest.messages:
        for root in roots:
            if root >= forest.messages:
                forest.arrange(root)
    roots.sort(key=forest.dates.__getitem__)
    roots = _merged(forest, roots, subjects, bases)
    # Step 6; below the top every node is a message, so the order in which they are arranged does not matter.
    for below in filter(None, forest.children[: forest.messages]):
        if len(below) > 1:
            below.sort(key=forest.dates.__getitem__)
    for node in range(forest.messages, len(forest.children)):
        if forest.children[node]:
            forest.arrange(node)
    roots.sort(key=forest.dates.__getitem__)
    return roots


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


def _pruned(forest: Forest, roots: list[int]) -> list[int]:
    """Step 3: messages that are not there give way to their children, at the top only if there is just one."""
    messages, children, parents = forest.messages, forest.children, forest.parents
    for node in {parents[absent] for absent in range(messages, len(children))}:
        if node >= 0 and (node < messages or parents[node] < 0):
            children[node] = _present(forest, forest.below(node))
    first = bisect_left(roots, messages)
    found = roots[:first]
    for root in roots[first:]:
        if len(forest.below(root)) > 1:
            found.append(root)
        else:
            found += forest.below(root)
            children[root] = None
    return found


def _present(forest: Forest, nodes: Sequence[int]) -> list[int]:
    found: list[int] = []
    pending = list(reversed(nodes))
    while pending:
        node = pending.pop()
        if node < forest.messages:
            found.append(node)
        else:
            pending += reversed(forest.below(node))
    return found


def _merged(forest: Forest, roots: list[int], subjects: Texts, bases: Texts) -> list[int]:
    """Step 5: threads of one subject become one."""
    messages = forest.messages

    def replies(node: int) -> bool:
        # Where nothing was taken away there was no mark, either.
        return node < messages and subjects[node] != bases[node] and is_reply(subjects[node])

    named = [bases[node if node < messages else forest.first(node)] for node in roots]
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
    made: list[int] = []
    for node, subject in some:
        other = table[subject]
        if other == node or node in gone:
            continue
        gone.add(node)
        if other >= messages:
            for child in forest.below(node) if node >= messages else [node]:
                forest.adopt(other, child)
        elif node < messages and replies(node) and not replies(other):
            forest.adopt(other, node)
        else:
            gone.add(other)
            both = table[subject] = forest.add()
            forest.children[both] = [other, node]
            made.append(both)
    return [root for root in roots if root not in gone] + made


def _normal(id: str) -> str:
    """A message id without quoting."""
    return _QUOTES.sub(lambda found: found[1] or "", id) if '"' in id else id


_ALGORITHMS: dict[Algorithm, Callable[[Forest, Texts, Texts, Texts, Texts], list[int]]] = {
    Algorithm.ORDEREDSUBJECT: by_subject,
    Algorithm.REFERENCES: by_references,
}
