"""
A check that asks a milter, step by step as the mail comes in.

A connection is made for each mail and ends with it.  Once the filter has accepted a mail, or has failed, it is asked no more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from launcelot.checks.interface import ACCEPT, Action, Case, Message, Verdict, Wishes
from launcelot.core.errors import Invalid
from launcelot.filters import milter
from launcelot.filters.asking import Place, reach
from launcelot.filters.editing import BadField, HeaderSection
from launcelot.filters.failing import FilterCheck, FilterFailed, shown
from launcelot.filters.milterclient import Answer, MilterClient, MilterClientFactory, Outcome
from launcelot.hosting.deadlines import Deadlines
from launcelot.message.address import Address, parse_path

REFUSED = Verdict(Action.REJECT, "Mail is refused by a filter", "5.7.1")
LATER = Verdict(Action.DEFER, "A filter wants this mail to come again", "4.7.1", 451)
DISCARDED = Verdict(Action.DISCARD, "a filter wants it to be thrown away")


@dataclass(slots=True)
class Talk:
    """
    One mail's conversation.

    :ivar client: None when there is nothing more to ask.
    :ivar settled: the verdict for whatever is still to come.
    """

    client: MilterClient | None = None
    settled: Verdict = ACCEPT

    def end(self) -> None:
        """Leave."""
        client, self.client = self.client, None
        if client is not None:
            client.leave()


@dataclass(frozen=True, slots=True)
class Told:
    """What the filter is told besides: macros as sendmail names them."""

    case: Case
    recipient: str = ""

    def __call__(self, letter: bytes) -> Mapping[str, str]:
        """The macros before a step."""
        case = self.case
        if letter == b"C":
            return {"j": case.hostname, "v": "Launcelot", "daemon_name": "mx"}
        if letter == b"M":
            return {"i": case.id, "mail_addr": str(case.sender or "")}
        if letter == b"R":
            return {"i": case.id, "rcpt_addr": self.recipient}
        return {"i": case.id}


class MilterCheck(FilterCheck):
    """Asks one milter."""

    name = "milter"

    def __init__(self, reactor: Any, deadlines: Deadlines, place: Place, timeout: float, defers: bool) -> None:
        super().__init__(reactor, place, timeout, defers)
        self._where = place
        self._factory = MilterClientFactory(reactor, deadlines, timeout)
        self._talks: dict[int, Talk] = {}

    # -- moments ---------------------------------------------------------------------------------------------------

    async def sender(self, case: Case) -> Verdict:
        """Connect, and say who sends."""
        talk = self._talks[id(case)] = Talk()
        case.at_end.append(lambda: self._ended(case))
        return await self._asked(talk, self._begin(talk, case))

    async def recipient(self, case: Case, recipient: Address) -> Verdict:
        """Say who is to have it."""
        talk = self._talk(case)
        if talk.client is None:
            return self._in_the_end(talk)
        known = Told(case, str(recipient))(b"R")
        return await self._asked(talk, self._taken(talk, talk.client.recipient(path_of(recipient), known), True))

    async def message(self, case: Case, message: Message) -> Verdict:
        """Show the whole message, and take down what is to be changed."""
        talk = self._talk(case)
        if talk.client is None:
            return talk.settled
        return await self._asked(talk, self._show(talk, talk.client, case, message))

    # -- what is asked ---------------------------------------------------------------------------------------------

    async def _asked(self, talk: Talk, asking: Coroutine[Any, Any, Verdict]) -> Verdict:
        try:
            return await self.within_time(asking)
        except FilterFailed as failed:
            talk.end()
            talk.settled = self.unavailable(failed)
            return talk.settled

    async def _begin(self, talk: Talk, case: Case) -> Verdict:
        client = talk.client = await reach(self.reactor, self._where, self._factory, self.timeout)
        await client.negotiate()
        told = Told(case)
        name = case.source_name or f"[{case.source}]"
        verdict = await self._taken(talk, client.connect(name, case.source, told(b"C")))
        if talk.client is not None:
            verdict = await self._taken(talk, client.helo(case.helo, told(b"H")))
        if talk.client is not None:
            verdict = await self._taken(talk, client.mail(path_of(case.sender), told(b"M")))
        return verdict

    async def _show(self, talk: Talk, client: MilterClient, case: Case, message: Message) -> Verdict:
        section = HeaderSection(shown(case, message))
        outcome = await client.message(list(section.listed()), message.buffer, message.body, Told(case)(b"E"))
        verdict = self._verdict(talk, outcome.answer, False)
        talk.end()
        if verdict.action is not Action.ACCEPT:
            return verdict
        try:
            quarantined = apply(outcome, case, section)
        except (milter.BadPacket, BadField, Invalid) as bad:
            raise FilterFailed(f"it wants what cannot be done: {bad}") from bad
        if outcome.body is not None:
            case.edited = Message(outcome.body, 0, bytes(section))
        elif outcome.edits or case.edited is not None:
            case.edited = Message(message.buffer, message.body, bytes(section))
        return Verdict(Action.QUARANTINE, quarantined) if quarantined else ACCEPT

    # -- what comes of an answer -----------------------------------------------------------------------------------

    async def _taken(self, talk: Talk, step: Awaitable[Answer | None], only_this: bool = False) -> Verdict:
        answer = await step
        if answer is None:
            return ACCEPT
        verdict = self._verdict(talk, answer, only_this)
        return self._in_the_end(talk) if verdict is DISCARDED else verdict

    def _verdict(self, talk: Talk, answer: Answer, only_this: bool) -> Verdict:
        """
        What an answer means.

        :param only_this: a refusal is of one recipient, and the conversation goes on.
        :raises FilterFailed: it means that the filter does not want to be asked now, or nothing at all.
        """
        letter = answer.letter
        if letter in (milter.CONTINUE, milter.SKIP):
            return ACCEPT
        if letter in (milter.ACCEPT, milter.DISCARD):
            talk.settled = DISCARDED if letter == milter.DISCARD else ACCEPT
            talk.end()
            return talk.settled
        if letter in (milter.FAILED, milter.SHUTDOWN):
            raise FilterFailed("it does not want to be asked now")
        verdict = REFUSED if letter == milter.REJECT else LATER
        if letter == milter.REPLY_CODE:
            try:
                code, status, text = milter.reply_of(answer.data)
            except milter.BadPacket as bad:
                raise FilterFailed(str(bad)) from bad
            action = Action.REJECT if code >= 500 else Action.DEFER
            verdict = Verdict(action, text or REFUSED.text, status or f"{code // 100}.7.1", code)
        if not only_this:
            talk.settled = verdict
            talk.end()
        return verdict

    @staticmethod
    def _in_the_end(talk: Talk) -> Verdict:
        """At MAIL and RCPT: a mail that is going to be thrown away is received first."""
        return ACCEPT if talk.settled is DISCARDED else talk.settled

    # -- conversations ---------------------------------------------------------------------------------------------

    def _talk(self, case: Case) -> Talk:
        return self._talks.get(id(case)) or Talk()

    def _ended(self, case: Case) -> None:
        talk = self._talks.pop(id(case), None)
        if talk is not None:
            talk.end()


def apply(outcome: Outcome, case: Case, section: HeaderSection) -> str:
    """
    Do what a filter wants; why it wants the mail in quarantine, empty if it does not.

    :raises milter.BadPacket: it wants what the protocol does not have.
    :raises BadField: it wants a field that is none.
    :raises Invalid: it wants an address that is none.
    """
    quarantined = ""
    wishes = Wishes()
    for letter, data in outcome.edits:
        if letter == milter.ADD:
            section.append(*milter.split(data, 2))
        elif letter == milter.INSERT:
            section.insert(*milter.indexed(data))
        elif letter == milter.CHANGE:
            number, name, value = milter.indexed(data)
            section.change(name, max(1, number), value)
        elif letter == milter.QUARANTINED:
            quarantined = milter.split(data, 1)[0].decode("ascii", "replace") or "a filter wants it there"
        else:
            path = read_path(milter.split(data, 1)[0].decode("utf-8", "replace"))
            if letter == milter.SENDER:
                wishes.senders.append(path)
            elif path is not None:
                (wishes.removed if letter == milter.WITHOUT else wishes.added).append(path)
    case.wishes.take(wishes)
    return quarantined


def read_path(text: str) -> Address | None:
    """
    An address that a filter names, in angle brackets or without; None for the null path.

    :raises Invalid: it is none.
    """
    return parse_path(text if text.startswith("<") else f"<{text}>")


def path_of(address: Address | None) -> str:
    """With its angle brackets."""
    return f"<{address}>" if address is not None else "<>"
