"""
Mail that arrives in an account's file, in its inbox or where a session puts it: what waits is added in a few statements.

Each message is accepted, known already or refused by itself, as if it had come alone; only the moment is the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from twisted.python.failure import Failure

from launcelot.core.errors import OverQuota
from launcelot.mailstore import sqlrows
from launcelot.mailstore.bodies import Prepared
from launcelot.mailstore.flags import Flags
from launcelot.mailstore.interface import Appended, Scripted, Usage
from launcelot.mailstore.limits import Limits
from launcelot.mailstore.sqlwriting import New, Writing
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


@dataclass(frozen=True, slots=True)
class Addition:
    """
    One message that somebody puts into a mailbox.

    :ivar mailbox: its number.
    :ivar limits: on what the account may hold.
    """

    mailbox: int
    body: Buffer
    flags: Flags
    internal_date: datetime | None
    limits: Limits


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
    chosen: dict[int, New] = {}
    for place in wanted:
        one, analysis = arriving[place], analyses[place]
        try:
            room.take(one.limits, analysis.size)
        except OverQuota:
            answers[place] = Failure()
            writing.forget_deliveries([one.delivery])
        else:
            chosen[place] = New(one.body, Prepared(analysis))
    if chosen:
        made = writing.add_all(inbox, list(chosen.values()))
        for place, appended in zip(chosen, made, strict=True):
            answers[place] = appended
    return answers


def append(writing: Writing, additions: Sequence[Addition], analyses: Sequence[Analysis]) -> list[Appended | Failure]:
    """
    Put messages into mailboxes.

    :returns: an answer for each, in their order.
    :raises Refusal: one of them cannot be added, and nothing has been done that is to stay.
    """
    room = Room(writing)
    answers: dict[int, Appended | Failure] = {}
    chosen: dict[int, list[int]] = {}
    for place, (one, analysis) in enumerate(zip(additions, analyses, strict=True)):
        try:
            room.take(one.limits, analysis.size)
        except OverQuota:
            answers[place] = Failure()
        else:
            chosen.setdefault(one.mailbox, []).append(place)
    for mailbox, places in chosen.items():
        numbers = sqlrows.numbers_of(writing.connection, mailbox)
        some = [(additions[place], Prepared(analyses[place])) for place in places]
        new = [New(one.body, made, writing.admit(mailbox, one.flags), one.internal_date) for one, made in some]
        answers.update(zip(places, writing.add_all(numbers, new), strict=True))
    return [answers[place] for place in range(len(additions))]


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
