"""What every mail store must do to sort and thread.  RFC 5256."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from launcelot.core.errors import Gone
from launcelot.mailstore.interface import Mailbox
from launcelot.mailstore.ordering import Criterion, SortKey
from launcelot.mailstore.threads import Algorithm, Bundle
from tests.mailstore.kit import Contract, claim, message


@dataclass
class Node:
    """A message and the answers to it; 0 for one that is not there."""

    uid: int = 0
    children: list[Node] = field(default_factory=list)


def read(bundles: Sequence[Bundle]) -> list[Node]:
    """Threads as they are written, read back; deep ones too."""
    top = node = Node()
    above: list[Node] = []
    opened = False
    for bundle in bundles:
        for token in re.findall(rb"[()]|\d+", bundle.form % tuple(bundle.uids)):
            if token == b")":
                node = above.pop()
            elif token == b"(":
                if opened:
                    node.children.append(Node())
                    node = node.children[-1]
                above.append(node)
            else:
                node.children.append(Node(int(token)))
                node = node.children[-1]
            opened = token == b"("
    return top.children


def shape(bundles: Sequence[Bundle]) -> list[object]:
    """Threads as nested lists: a message, then its answers; 0 for one that is not there."""
    return listed(read(bundles))


def listed(nodes: Sequence[Node]) -> list[object]:
    """Nodes as nested lists."""
    return [[node.uid, *listed(node.children)] if node.children else node.uid for node in nodes]


class OrderContract(Contract):
    """SORT and THREAD."""

    async def filled(self, *bodies: bytes) -> Mailbox:
        """An inbox whose messages arrived a minute after each other."""
        inbox = await self.inbox()
        for number, body in enumerate(bodies):
            await inbox.append(body, (), datetime(2026, 1, 1, 0, number, tzinfo=UTC))
        return inbox

    @claim
    async def test_every_key(self) -> None:
        """Each key alone, turned round, and ties in the order of UIDs both ways."""
        inbox = await self.filled(
            message("Re: beta", "x" * 50, From="Zoe <amy@z.example>", To="c@x", Cc="k@x", Date="Thu, 1 Jan 2026 09:00:00 +0900"),
            message("alpha", From='"Bob B." <zed@a.example>', To="=?utf-8?q?Arno?= <z@x>", Date="31 Dec 2025 22:00:00 -0300"),
            message("[list] BETA", "y" * 20, From="bob@a.example", To="group: d@x, e@x;"),
            message("_under", From="=?utf-8?b?w4RybmU=?= <x@y>", Cc="A@x"),
        )
        for key, expected in (
            (SortKey.ARRIVAL, [1, 2, 3, 4]),
            (SortKey.DATE, [1, 3, 4, 2]),
            (SortKey.SUBJECT, [2, 1, 3, 4]),
            (SortKey.SIZE, [4, 3, 2, 1]),
            (SortKey.FROM, [1, 3, 4, 2]),
            (SortKey.TO, [4, 1, 3, 2]),
            (SortKey.CC, [2, 3, 4, 1]),
            (SortKey.DISPLAYFROM, [4, 2, 3, 1]),
            (SortKey.DISPLAYTO, [4, 2, 1, 3]),
        ):
            self.assertEqual(list(await inbox.sort([1, 2, 3, 4], [Criterion(key)])), expected, key)
        turned = await inbox.sort([1, 2, 3, 4], [Criterion(SortKey.SUBJECT, True)])
        self.assertEqual(list(turned), [4, 1, 3, 2])
        turned = await inbox.sort([1, 2, 3, 4], [Criterion(SortKey.SUBJECT, True), Criterion(SortKey.SIZE)])
        self.assertEqual(list(turned), [4, 3, 1, 2])
        self.assertEqual(list(await inbox.sort([4, 77, 2], [Criterion(SortKey.SUBJECT)])), [2, 4])
        self.assertEqual(list(await inbox.sort([], [Criterion(SortKey.DATE)])), [])

    @claim
    async def test_ordered_subject(self) -> None:
        """Threads by subject, in the order of their first messages; all others are answers to the first."""
        inbox = await self.filled(
            message("two", Date="Thu, 1 Jan 2026 05:00:00 +0000"),
            message("one", Date="Thu, 1 Jan 2026 03:00:00 +0000"),
            message("Re: ONE", Date="Thu, 1 Jan 2026 09:00:00 +0000"),
            message("Fwd: one (fwd)", Date="Thu, 1 Jan 2026 04:00:00 +0000"),
            message("re: two", Date="Thu, 1 Jan 2026 06:00:00 +0000"),
        )
        found = await inbox.thread([1, 2, 3, 4, 5], Algorithm.ORDEREDSUBJECT)
        self.assertEqual(shape(found), [[2, 4, 3], [1, 5]])

    @claim
    async def test_references(self) -> None:
        """Ids in References or In-Reply-To, missing messages, duplicates, quoting, and messages that answer later ones."""
        inbox = await self.filled(
            message("a", Message_ID="<1@x>"),
            message("b", Message_ID="<2@x>", References="<1@x>"),
            message("c", Message_ID="<3@x>", In_Reply_To="<2@x> and more <1@x>"),
            message("d", Message_ID="<4@x>", References="<1@x>\r\n <gone@x>"),
            message("e", Message_ID="<5@x>", References="<gone2@x>"),
            message("f", Message_ID="<6@x>", References="<gone2@x>"),
            message("g", Message_ID="<1@x>"),
            message("h"),
            message("i", Message_ID='<"7"@x>'),
            message("j", References="<7@x>"),
            message("k", References="<gone3@x>"),
        )
        found = await inbox.thread(range(1, 12), Algorithm.REFERENCES)
        self.assertEqual(shape(found), [[1, [2, 3], 4], [0, 5, 6], 7, 8, [9, 10], 11])
        found = await inbox.thread([2, 3, 10, 4], Algorithm.REFERENCES)
        self.assertEqual(shape(found), [[0, [2, 3], 4], 10])

    @claim
    async def test_references_merge_by_subject(self) -> None:
        """Threads of one subject become one: answers below the original, equals side by side."""
        inbox = await self.filled(
            message("Re: plan"),
            message("plan"),
            message("Re: plan"),
            message("other"),
            message("other"),
            message("Re: lost", References="<gone@x>"),
            message("Re: lost", References="<gone@x>"),
            message("lost"),
            message(""),
            message(""),
            message("Re: only"),
            message("Re: only"),
        )
        found = await inbox.thread(range(1, 13), Algorithm.REFERENCES)
        self.assertEqual(shape(found), [[2, 1, 3], [0, 4, 5], [0, 6, 7, 8], 9, 10, [0, 11, 12]])

    @claim
    async def test_references_that_go_in_circles(self) -> None:
        """Loops are not closed, whoever names whom; every message comes out once."""
        inbox = await self.filled(
            message("a", Message_ID="<1@x>", References="<2@x>"),
            message("b", Message_ID="<2@x>", References="<1@x>"),
            message("c", Message_ID="<3@x>", References="<3@x>"),
            message("d", Message_ID="<4@x>", References="<5@x> <6@x> <5@x>"),
            message("e", Message_ID="<5@x>", References="<4@x>"),
            message("f", Message_ID="<6@x>", References="<5@x> <4@x>"),
        )
        found = await inbox.thread(range(1, 7), Algorithm.REFERENCES)
        seen: list[int] = []
        pending = read(found)
        while pending:
            node = pending.pop()
            seen.append(node.uid)
            pending.extend(node.children)
        self.assertEqual(sorted(uid for uid in seen if uid), [1, 2, 3, 4, 5, 6])

    @claim
    async def test_a_thousand_deep(self) -> None:
        """One answer below another, also when they came in the wrong order; nothing here recurs."""
        bodies = [message("deep", Message_ID=f"<{n}@x>", References=f"<{n - 1}@x>") for n in range(1, 1_501)]
        for order in (1, -1):
            mail = await self.account()
            name = f"deep{order}"
            await mail.create(name)
            box = await mail.mailbox(name)
            for number, body in enumerate(bodies[::order]):
                await box.append(body, (), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number))
            nodes = read(await box.thread(range(1, 1_501), Algorithm.REFERENCES))
            depth = 0
            while nodes:
                (node,) = nodes
                nodes = node.children
                depth += 1
            self.assertEqual(depth, 1_500)

    @claim
    async def test_deleted_mailbox(self) -> None:
        """As every method says."""
        mail = await self.account()
        await mail.create("a")
        box = await mail.mailbox("a")
        await mail.delete("a")
        await self.refused(Gone, box.sort([1], [Criterion(SortKey.DATE)]))
        await self.refused(Gone, box.thread([1], Algorithm.REFERENCES))
