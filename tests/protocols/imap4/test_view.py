"""What a session believes its mailbox to be, without a session."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.interface import Mailbox
from launcelot.mailstore.rights import ALL
from launcelot.protocols.imap4.grammar.sets import STAR
from launcelot.protocols.imap4.view import View


class Unchanging:
    """As much of a mailbox as a view needs to begin."""

    rights = ALL

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


def view_of(uids: Iterable[int]) -> View:
    """A view of messages with these UIDs."""
    view = View(cast(Mailbox, Unchanging()), True)
    view.uids = array("I", uids)
    return view


UIDS = st.one_of(
    st.builds(lambda first, count: range(first, first + count), st.integers(1, 50), st.integers(0, 200)),
    st.sets(st.integers(1, 300), max_size=200).map(sorted),
)


class NumbersTests(SynchronousTestCase):
    """Many UIDs at once come out as one by one does."""

    @given(UIDS, st.lists(st.integers(0, 310), max_size=60))
    def test_numbers(self, there: list[int], asked: list[int]) -> None:
        """Few or many, in any order, twice or not in view."""
        view = view_of(there)
        self.assertEqual(list(view.numbers(asked)), [view.number(uid) for uid in asked])
        self.assertEqual(list(view.numbers(view.uids)), list(range(1, len(there) + 1)))
        for count in (0, 400):
            of = view.numbering(count)
            for start in range(0, len(asked), 7):
                self.assertEqual(list(of(asked[start : start + 7])), [view.number(uid) for uid in asked[start : start + 7]])

    @given(UIDS, st.sets(st.integers(0, 310), max_size=60).map(sorted))
    def test_present(self, there: list[int], asked: list[int]) -> None:
        """Those in view and no others."""
        view = view_of(there)
        self.assertEqual(list(view.present(asked)), [uid for uid in asked if uid in there])
        self.assertEqual(list(view.present(view.uids)), list(there))

    @given(UIDS, st.lists(st.tuples(st.integers(0, 310), st.integers(0, 310)), min_size=1, max_size=3), st.integers(1, 310))
    def test_by_uid(self, there: list[int], ranges: list[tuple[int, int]], one: int) -> None:
        """A single UID, a range either way round, and several; 0 stands for the last."""
        view = view_of(there)
        asked_with_star = [(low or STAR, high or STAR) for low, high in ranges]
        for asked in (asked_with_star, [(one, one)], [(STAR, STAR)]):
            last = max(there, default=0)
            pairs = [(last if low == STAR else low, last if high == STAR else high) for low, high in asked]
            wanted = [uid for uid in there if any(min(pair) <= uid <= max(pair) for pair in pairs)]
            self.assertEqual(list(view.by_uid(asked)), wanted)

    def test_messages_before_and_behind(self) -> None:
        """A view without gaps does not take what lies outside for its own."""
        view = view_of(range(10, 20))
        self.assertEqual(list(view.present(range(8, 22))), list(range(10, 20)))
        self.assertEqual(list(view.numbers([9, 20, 10, 19])), [0, 0, 1, 10])
