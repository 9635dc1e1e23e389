"""
Mail that arrives in the inbox of an account's file: what waits is put there together, in a few statements.

Each message is accepted, known already or refused by itself, as if it had come alone; only the moment is the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twisted.python.failure import Failure

from launcelot.core.errors import OverQuota
from launcelot.mailstore import sqlrows
from launcelot.mailstore.interface import Appended, Scripted, Usage
from launcelot.mailstore.limits import Limits
from launcelot.mailstore.sqlwriting import Writing
from launcelot.message.analysis import Analysis, analyse
from launcelot.workers.staging import Buffer

Answer = Appended | Failure | None
"""Where a message went; None if its delivery was made before, or why it is not there."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    One message.

    :ivar analysis: of the body, if somebody has already made it.
    :ivar delivery: names this delivery.
    :ivar limits: on what the account may hold.
    :ivar unless_scripted: whether it is not delivered where a script is active.
    """

    body: Buffer
    analysis: Analysis | None
    delivery: str
    limits: Limits
    unless_scripted: bool


def analysed(arriving: Sequence[Arrival]) -> list[Analysis]:
    """What the messages say."""
    return [analyse(one.body) if one.analysis is None else one.analysis for one in arriving]


class OneByOne(Exception):
    """Deliveries of which some were made before, or which are the same: each has to be looked at by itself."""


def arrive(writing: Writing, arriving: Sequence[Arrival], analyses: Sequence[Analysis]) -> list[Answer]:
    """
    Put messages into the inbox.

    :returns: an answer for each, in their order.
    :raises OneByOne: nothing has been done that is to stay.
    """
    inbox, scripted = sqlrows.inbox_of(writing.connection)
    answers: list[Answer] = [Failure(Scripted()) if scripted and one.unless_scripted else None for one in arriving]
    wanted = [place for place, answer in enumerate(answers) if answer is None]
    new = writing.begin_deliveries([arriving[place].delivery for place in wanted])
    if new < len(wanted):
        if len(wanted) > 1:
            raise OneByOne
        return answers
    room = Room(writing)
    chosen: dict[int, tuple[Buffer, Analysis]] = {}
    for place in wanted:
        one, analysis = arriving[place], analyses[place]
        try:
            room.take(one.limits, analysis.size)
        except OverQuota:
            answers[place] = Failure()
            writing.forget_deliveries([one.delivery])
        else:
            chosen[place] = (one.body, analysis)
    if chosen:
        made = writing.add_all(inbox, list(chosen.values()))
        for place, appended in zip(chosen, made, strict=True):
            answers[place] = appended
    return answers


class Room:
    """What an account has room for, with what has been taken of it."""

    def __init__(self, writing: Writing) -> None:
        self._connection = writing.connection
        self._used: Usage | None = None
        self._octets = 0
        self._messages = 0

    def take(self, limits: Limits, octets: int) -> None:
        """
        Take room for a message.

        :raises OverQuota: there is none.
        """
        if limits.any:
            if self._used is None:
                self._used = sqlrows.usage_of(self._connection)
            limits.check(self._used.octets + self._octets + octets, self._used.messages + self._messages + 1)
        self._octets += octets
        self._messages += 1
