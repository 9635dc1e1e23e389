"""States of many messages at once, column by column: what a listing of thousands is made from without an object for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import starmap
from typing import Any, overload

from launcelot.mailstore.interface import MessageState

Flags = Callable[[int], frozenset[str]]


class StateColumns(Sequence[MessageState]):
    """
    States of messages; as a sequence, made when they are looked at.

    :ivar uids: ascending.
    :ivar modseqs: of each.
    :ivar keys: of each what ``flags`` turns into its flags; few of them are different.
    """

    __slots__ = ("flags", "keys", "modseqs", "uids")

    def __init__(
        self, uids: Sequence[int], modseqs: Sequence[int], keys: Sequence[int], flags: Flags
    ) -> None:
        self.uids = uids
        self.modseqs = modseqs
        self.keys = keys
        self.flags = flags

    def __len__(self) -> int:
        return len(self.uids)

    @overload
    def __getitem__(self, place: int) -> MessageState: ...

    @overload
    def __getitem__(self, place: slice) -> StateColumns: ...

    def __getitem__(self, place: int | slice) -> MessageState | StateColumns:
        if isinstance(place, slice):
            return StateColumns(self.uids[place], self.modseqs[place], self.keys[place], self.flags)
        return MessageState(self.uids[place], self.modseqs[place], self.flags(self.keys[place]))

    def __iter__(self) -> Iterator[MessageState]:
        named = {key: self.flags(key) for key in set(self.keys)}
        return starmap(MessageState, zip(self.uids, self.modseqs, map(named.__getitem__, self.keys), strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))


class LateColumns(StateColumns):
    """
    Columns that are made when somebody looks at one; how many messages there are is known before.

    :param make: gives UIDs, MODSEQs, keys, and what turns keys into flags.
    """

    __slots__ = ("_count", "_make")

    def __init__(self, count: int, make: Callable[[], tuple[Sequence[int], Sequence[int], Sequence[int], Flags]]) -> None:
        self._count = count
        self._make = make

    def __len__(self) -> int:
        return self._count

    def __getattr__(self, name: str) -> Any:
        """Called where nothing has been made yet."""
        if name not in StateColumns.__slots__:
            raise AttributeError(name)
        self.uids, self.modseqs, self.keys, self.flags = self._make()
        return getattr(self, name)


def columns_of(states: Sequence[MessageState]) -> StateColumns:
    """The columns of states that may have come one by one."""
    if isinstance(states, StateColumns):
        return states
    names = list(dict.fromkeys(state.flags for state in states))
    keys = {flags: key for key, flags in enumerate(names)}
    return StateColumns(
        [state.uid for state in states],
        [state.modseq for state in states],
        [keys[state.flags] for state in states],
        names.__getitem__,
    )
