"""
Threading messages: ORDEREDSUBJECT and REFERENCES.  RFC 5256 section 3.

Both are free of recursion, and nearly linear whatever the messages say: ancestors are looked up no further than
:data:`MAX_CLIMB`, and a link that would need more is treated like one that closes a loop.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

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
    bundles: list[Bundle] = []
    form: list[bytes] = []
    told = array("I")
    children, messages = forest.children, forest.messages
    for root in _ALGORITHMS[algorithm](forest, *texts):
        if root < messages and not children[root]:
            form.append(b"(%d)")
            told.append(uids[root])
        else:
            _write(forest, root, uids, form, told)
        if len(told) >= BUNDLE:
            bundles.append(Bundle(b"".join(form), told))
            form, told = [], array("I")
    if told:
        bundles.append(Bundle(b"".join(form), told))
    return bundles


_CLOSE = -1
"""Behind the last of several answers."""


def _write(forest: Forest, root: int, uids: Sequence[int], form: list[bytes], told: array[int]) -> None:
    """A thread as it is sent."""
    messages, children = forest.messages, forest.children
    pending: list[int] = []
    one = root
    form.append(b"(")
    while True:
        below = children[one]
        if one < messages:
            form.append(b"%d " if below else b"%d")
            told.append(uids[one])
        if below:
            one = below[0]
            if len(below) > 1:
                form.append(b"(")
                pending.append(_CLOSE)
                pending += below[:0:-1]
            continue
        form.append(b")")
        while pending and pending[-1] < 0:
            pending.pop()
            form.append(b")")
        if not pending:
            return
        one = pending.pop()
        form.append(b"(")


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
    for node, below in enumerate(forest.children):
        if below is not None and (len(below) > 1 or node >= forest.messages):
            forest.arrange(node)
    roots.sort(key=forest.dates.__getitem__)
    return roots


def _link(forest: Forest, ids: Texts, references: Texts) -> None:
    """Step 1: from each message to the one that it answers."""
    # Of those that have the same id, the first has it; hardly any mailbox has one that is quoted.
    known = list(map(_normal, ids)) if '"' in "".join(ids) else ids
    by_id = dict(zip(reversed(known), range(len(known) - 1, -1, -1), strict=True))
    by_id.pop("", None)
    parents, answers = forest.parents, forest.answers
    for node, named in enumerate(references):
        above = -1
        if named:
            for reference in named.split("\n"):
                id = _normal(reference) if '"' in reference else reference
                one = by_id.get(id)
                if one is None:
                    one = by_id[id] = forest.add()
                if above >= 0 and parents[one] < 0:
                    forest.link(above, one)
                above = one
        if parents[node] >= 0:
            forest.unlink(node)
        if above >= 0:
            if answers[node] or above == node:
                forest.link(above, node)
            else:
                # Nobody answers it, so this closes no loop.
                parents[node] = above
                answers[above] += 1


def _pruned(forest: Forest, roots: list[int]) -> list[int]:
    """Step 3: messages that are not there give way to their children, at the top only if there is just one."""
    messages, children = forest.messages, forest.children
    if len(children) == messages:
        return roots
    for node, below in enumerate(children):
        if below is not None and max(below) >= messages and (node < messages or forest.parents[node] < 0):
            children[node] = _present(forest, below)
    found: list[int] = []
    for root in roots:
        if root < messages or len(forest.below(root)) > 1:
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


def _merged(forest: Forest, roots: Sequence[int], subjects: Texts, bases: Texts) -> list[int]:
    """Step 5: threads of one subject become one."""
    table: dict[str, int] = {}
    shared: list[int] = []

    def replies(node: int) -> bool:
        # Where nothing was taken away there was no mark, either.
        return node < messages and subjects[node] != bases[node] and is_reply(subjects[node])

    messages = forest.messages
    named = [bases[node if node < messages else forest.first(node)] for node in roots]
    for node, subject in zip(roots, named, strict=True):
        other = table.setdefault(subject, node)
        if other != node and subject:
            shared.append(node)
            if other < messages and (node >= messages or (replies(other) and not replies(node))):
                # It takes the other's place as the one to which those of their subject are added.
                table[subject] = node
    if not shared:
        return list(roots)
    subjects_shared = {bases[forest.first(node)] for node in shared}
    kept = dict.fromkeys(roots)
    for node, subject in zip(roots, named, strict=True):
        if subject not in subjects_shared:
            continue
        other = table[subject]
        if other == node or node not in kept:
            continue
        del kept[node]
        if other >= messages:
            for child in forest.below(node) if node >= messages else [node]:
                forest.adopt(other, child)
        elif node < messages and replies(node) and not replies(other):
            forest.adopt(other, node)
        else:
            del kept[other]
            both = table[subject] = forest.add()
            forest.children[both] = [other, node]
            kept[both] = None
    return list(kept)


def _normal(id: str) -> str:
    """A message id without quoting."""
    return _QUOTES.sub(lambda found: found[1] or "", id) if '"' in id else id


_ALGORITHMS: dict[Algorithm, Callable[[Forest, Texts, Texts, Texts, Texts], list[int]]] = {
    Algorithm.ORDEREDSUBJECT: by_subject,
    Algorithm.REFERENCES: by_references,
}
