"""
Threading messages by an object for each: the plain version of :mod:`launcelot.mailstore.threads`, with which that is compared.

Both are free of recursion, and nearly linear whatever the messages say: ancestors are looked up no further than
:data:`MAX_CLIMB`, and a link that would need more is treated like one that closes a loop.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from launcelot.mailstore.threads import Algorithm, Bundle
from launcelot.message.subject import is_reply

MAX_CLIMB = 1_000
"""Ancestors that are looked at before a link is made below a message that has replies already."""

BUNDLE = 2_000
"""Messages from which on a bundle takes in no more threads."""

_QUOTES = re.compile(r'\\(.)|"', re.DOTALL)


class Facts(NamedTuple):
    """What is known of a message."""

    uid: int
    sent_date: int
    subject: str
    base_subject: str
    message_id: str | None
    references: Sequence[str]


class Node:
    """
    A message and the answers to it.

    :ivar facts: None for a message that is not there; at the end such a one stands at the top and has at least two children.
    :ivar answers: how many have it as their parent while links are made; only then it is known who they are.
    """

    __slots__ = ("answers", "children", "facts", "parent")

    def __init__(self, facts: Facts | None) -> None:
        self.facts = facts
        self.parent: Node | None = None
        self.children: list[Node] = []
        self.answers = 0

    @property
    def first(self) -> Facts:
        """The message, or the first child's where there is none."""
        return self.children[0].first if self.facts is None else self.facts


def thread(facts: Sequence[Facts], algorithm: Algorithm) -> list[Bundle]:
    """
    Messages as threads, in order.

    :param facts: ascending by UID.
    """
    bundles: list[Bundle] = []
    form: list[bytes] = []
    uids = array("I")
    for root in _ALGORITHMS[algorithm](facts):
        _write(root, form, uids)
        if len(uids) >= BUNDLE:
            bundles.append(Bundle(b"".join(form), uids))
            form, uids = [], array("I")
    if uids:
        bundles.append(Bundle(b"".join(form), uids))
    return bundles


def _write(root: Node, form: list[bytes], uids: array[int]) -> None:
    """A thread as it is sent."""
    if root.facts is not None and not root.children:
        form.append(b"(%d)")
        uids.append(root.facts.uid)
        return
    pending: list[Node | bytes] = [b")", root, b"("]
    while pending:
        one = pending.pop()
        if isinstance(one, bytes):
            form.append(one)
            continue
        children = one.children
        if one.facts is not None:
            form.append(b"%d " if children else b"%d")
            uids.append(one.facts.uid)
        if len(children) == 1:
            pending.append(children[0])
        else:
            for child in reversed(children):
                pending.extend((b")", child, b"("))


def by_subject(facts: Sequence[Facts]) -> list[Node]:
    """ORDEREDSUBJECT: the first message of each subject, with the others below it."""
    groups: dict[str, Node] = {}
    for one in sorted(facts, key=_date):
        node = Node(one)
        head = groups.setdefault(one.base_subject, node)
        if head is not node:
            head.children.append(node)
    return list(groups.values())


def by_references(facts: Sequence[Facts]) -> list[Node]:
    """REFERENCES: by the ids messages name, then by subject at the top."""
    roots = _pruned(_linked(facts))
    for root in roots:
        if root.facts is None:
            root.children.sort(key=_first_date)
    roots = _merged(sorted(roots, key=_first_date))
    _sort_siblings(roots)
    return sorted(roots, key=_first_date)


def _linked(facts: Sequence[Facts]) -> list[Node]:
    """Steps 1 and 2: all messages and those they name, as trees; the roots."""
    by_id: dict[str, Node] = {}
    own: list[Node] = []
    for one in facts:
        node = Node(one)
        own.append(node)
        if one.message_id is not None:
            by_id.setdefault(_normal(one.message_id), node)
    made = list(own)
    for node, one in zip(own, facts, strict=True):
        above: Node | None = None
        for reference in one.references:
            id = _normal(reference)
            named = by_id.get(id)
            if named is None:
                named = by_id[id] = Node(None)
                made.append(named)
            if above is not None and named.parent is None:
                _link(above, named)
            above = named
        _unlink(node)
        if above is not None:
            _link(above, node)
    for node in made:
        if node.parent is not None:
            node.parent.children.append(node)
    return [node for node in made if node.parent is None]


def _link(parent: Node, child: Node) -> None:
    """Make a link unless it would close a loop; a message without answers can close none."""
    if parent is child:
        return
    if child.answers:
        above: Node | None = parent
        for _ in range(MAX_CLIMB):
            if above is None:
                break
            if above is child:
                return
            above = above.parent
        else:
            return
    child.parent = parent
    parent.answers += 1


def _unlink(child: Node) -> None:
    parent, child.parent = child.parent, None
    if parent is not None:
        parent.answers -= 1


def _pruned(roots: Iterable[Node]) -> list[Node]:
    """Step 3: messages that are not there give way to their children, at the top only if there is just one."""
    found: list[Node] = []
    pending: list[Node] = []
    for root in roots:
        if root.facts is not None:
            found.append(root)
            pending.append(root)
            continue
        root.children = _present(root.children)
        pending.extend(root.children)
        if len(root.children) > 1:
            found.append(root)
        else:
            found.extend(root.children)
    while pending:
        node = pending.pop()
        node.children = _present(node.children)
        pending.extend(node.children)
    return found


def _present(nodes: Iterable[Node]) -> list[Node]:
    found: list[Node] = []
    pending = list(nodes)
    pending.reverse()
    while pending:
        node = pending.pop()
        if node.facts is None:
            pending.extend(reversed(node.children))
        else:
            found.append(node)
    return found


def _merged(roots: Sequence[Node]) -> list[Node]:
    """Step 5: threads of one subject become one."""
    table: dict[str, Node] = {}
    for node in roots:
        subject = node.first.base_subject
        other = table.get(subject)
        if subject and (other is None or _goes_before(node, other)):
            table[subject] = node
    kept = dict.fromkeys(roots)
    for node in roots:
        subject = node.first.base_subject
        other = table.get(subject)
        if other is None or other is node or node not in kept:
            continue
        del kept[node]
        if other.facts is None:
            other.children.extend(node.children if node.facts is None else [node])
        elif node.facts is not None and _replies(node) and not _replies(other):
            other.children.append(node)
        else:
            del kept[other]
            both = Node(None)
            both.children = [other, node]
            table[subject] = both
            kept[both] = None
    return list(kept)


def _goes_before(node: Node, other: Node) -> bool:
    """Whether a thread takes another's place as the one to which those of their subject are added."""
    if other.facts is None:
        return False
    return node.facts is None or (_replies(other) and not _replies(node))


def _replies(node: Node) -> bool:
    return node.facts is not None and is_reply(node.facts.subject)


def _sort_siblings(roots: Sequence[Node]) -> None:
    """Step 6; below the top every node is a message, so the order in which they are visited does not matter."""
    pending = list(roots)
    while pending:
        node = pending.pop()
        if len(node.children) > 1:
            node.children.sort(key=_first_date)
        pending.extend(node.children)


def _normal(id: str) -> str:
    """A message id without quoting."""
    return _QUOTES.sub(lambda found: found[1] or "", id) if '"' in id else id


def _date(facts: Facts) -> tuple[int, int]:
    return facts.sent_date, facts.uid


def _first_date(node: Node) -> tuple[int, int]:
    return _date(node.first)


_ALGORITHMS: dict[Algorithm, Callable[[Sequence[Facts]], list[Node]]] = {
    Algorithm.ORDEREDSUBJECT: by_subject,
    Algorithm.REFERENCES: by_references,
}
