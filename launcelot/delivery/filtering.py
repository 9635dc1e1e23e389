"""
Delivery through the recipient's Sieve script.

An account without an active script gets its mail as :class:`~launcelot.spool.delivery.MailboxDelivery` brings it: one
transaction.  With one, everything that the script wants is one transaction of the account's file, messages to be sent included;
then those are handed to the outbound side, each under an id made of the delivery's key, and forgotten here.  After a crash
between the two the spool delivers again, finds the delivery made, and only the handing over is repeated, which changes nothing.

What a check has put aside (:mod:`launcelot.checks`) goes into the mailbox for junk, unless there is a script, which can look at
the field that says so.  Whatever goes wrong with a script, the message is kept.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from twisted.logger import Logger

from launcelot.accounts.interface import Account, Directory
from launcelot.checks.results import goes_into_junk
from launcelot.checks.sanity import authors
from launcelot.checks.signing import Signer
from launcelot.core.counters import Counters
from launcelot.core.errors import Invalid, NotFound, NotPermitted
from launcelot.core.ids import AccountId
from launcelot.delivery.outbound import Outbound
from launcelot.mailstore.interface import INBOX, AccountMail, Appended, Draft, Filing, MailStore, Outgoing, Scripted
from launcelot.mailstore.names import known
from launcelot.message.address import Address, parse_mailbox
from launcelot.message.headers import collect, find_header_end
from launcelot.sieve.actions import FileInto, Keep, Notify, Outcome, Redirect, Reject, Vacation
from launcelot.sieve.editing import Edits, edits_of, rendered
from launcelot.sieve.grammar import ScriptError
from launcelot.sieve.replies import Letterhead, notification, rejection, vacation_answer
from launcelot.sieve.script import Script, compile_script, run_script
from launcelot.sieve.situation import Situation
from launcelot.spool.delivery import MailboxDelivery, trace_fields
from launcelot.spool.interface import Envelope, SpoolId, SpoolRecipient
from launcelot.workers.interface import Workers
from launcelot.workers.staging import Buffer, Staged, Staging
from launcelot.workers.trail import NOWHERE, Trail

COMPILED = 500
"""Compiled scripts that are kept for the next delivery."""
PIECE = 262_144

ACTIONS = 50
"""Actions of a script that the trail tells."""

TEXT = 500
"""Characters of a text in the trail."""

JUNK_USE = "\\Junk"
"""The special use (RFC 6154) of the mailbox for mail that a check has put aside."""

_FOREIGN = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass
class Plan:
    """
    What a delivery does.

    :ivar bodies: messages that are not as they came; closed when it is done.
    """

    filings: list[Filing] = field(default_factory=list)
    remember: list[tuple[str, int]] = field(default_factory=list)
    outgoing: list[Outgoing] = field(default_factory=list)
    bodies: list[Staged] = field(default_factory=list)

    def send(self, sender: Address | None, recipient: Address, body: bytes) -> None:
        """Send a message."""
        self.outgoing.append(Outgoing(len(self.outgoing), "" if sender is None else str(sender), str(recipient), body))


@dataclass(frozen=True)
class Case:
    """
    One delivery.

    :ivar whole: the message with its trace fields.
    """

    account: Account
    mail: AccountMail
    envelope: Envelope
    recipient: SpoolRecipient
    whole: Buffer
    now: datetime
    remembered: Callable[[str], bool]


class FilteredDelivery:
    """
    A :class:`~launcelot.spool.interface.Delivery` through scripts.

    :param plain: delivers where there is no script.
    :param readers: where scripts are compiled and run.
    :param outbound: takes what they send.
    :param now: the wall clock, aware, in the zone that scripts live in.
    :param ids: gives a fresh identifier each time.
    :param hostname: ours, in message ids.
    :param trail: where it is noted where mail went.
    :param signer: signs what we write; not what is sent on, of which nobody knows whose it is.
    """

    log = Logger(namespace="launcelot.sieve")

    def __init__(
        self,
        plain: MailboxDelivery,
        accounts: Directory,
        mail: MailStore,
        staging: Staging,
        readers: Workers,
        outbound: Outbound,
        now: Callable[[], datetime],
        ids: Callable[[], str],
        hostname: str,
        counters: Counters,
        signer: Signer | None = None,
        trail: Trail = NOWHERE,
    ) -> None:
        self._plain = plain
        self._accounts = accounts
        self._mail = mail
        self._staging = staging
        self._readers = readers
        self._outbound = outbound
        self._now = now
        self._ids = ids
        self._hostname = hostname
        self._counters = counters
        self._signer = signer
        self._trail = trail
        self._compiled: OrderedDict[AccountId, tuple[bytes, Script]] = OrderedDict()

    async def __call__(self, envelope: Envelope, recipient: SpoolRecipient, body: Buffer, key: str) -> None:
        """Deliver; see :meth:`launcelot.spool.interface.Delivery.__call__`."""
        envelope = envelope.for_one(recipient)
        account = await self._account(recipient)
        mail = await self._mail.mail(account.id, account.quota, account.messages)
        where = await self._unless_scripted(mail, account, envelope, recipient, body, key)
        active = None if where else await mail.scripts.active()
        if active is None:
            where = where or await self._put(mail, envelope, recipient, body, key)
            self._trail.note(envelope.id, "delivered", recipient=str(recipient.address), account=account.name, into=where)
            return
        staged = self._staging.begin()
        plan = Plan()
        try:
            await copy(staged, [trace_fields(envelope.sender_for(recipient), recipient.address), body])
            now = self._now()
            remembered = await mail.scripts.remembered(now.timestamp())
            case = Case(account, mail, envelope, recipient, staged.view(), now, remembered)
            outcome = await self._outcome(case, *active)
            await self._draw_up(plan, case, outcome)
            is_new = await mail.file(key, plan.filings, plan.remember, plan.outgoing)
            self._note_filed(case, active[0], outcome, plan, is_new)
        finally:
            staged.close()
            for one in plan.bodies:
                one.close()
        await self._send(mail, key, envelope)

    async def _unless_scripted(
        self, mail: AccountMail, account: Account, envelope: Envelope, recipient: SpoolRecipient, body: Buffer, key: str
    ) -> str:
        """Deliver into INBOX where no script is active, which is seen in the same transaction; empty if it is to be asked."""
        if account.id in self._compiled or goes_into_junk(body):
            return ""
        try:
            return inbox_of(await self._plain.put(mail, envelope, recipient, body, key, unless_scripted=True))
        except Scripted:
            return ""

    async def _put(
        self, mail: AccountMail, envelope: Envelope, recipient: SpoolRecipient, body: Buffer, key: str
    ) -> str:
        """Deliver without a script: into INBOX, or into Junk what a check has put aside; says where."""
        if not goes_into_junk(body):
            return inbox_of(await self._plain.put(mail, envelope, recipient, body, key))
        staged = self._staging.begin()
        try:
            await copy(staged, [trace_fields(envelope.sender_for(recipient), recipient.address), body])
            whole = staged.view()
            await mail.file(key, [Filing(Draft(lambda: whole, len(whole)), special_use=JUNK_USE)])
            return "Junk"
        finally:
            staged.close()

    def _note_filed(self, case: Case, script: str, outcome: Outcome, plan: Plan, is_new: bool) -> None:
        into = [one.special_use or one.mailbox for one in plan.filings]
        self._trail.note(
            case.envelope.id,
            "delivered",
            recipient=str(case.recipient.address),
            account=case.account.name,
            into=", ".join(into)[:TEXT] if is_new else "what it was filed into before",
            script=script,
            actions=[described(one) for one in outcome.actions[:ACTIONS]],
            error=outcome.error[:TEXT],
        )

    async def _account(self, recipient: SpoolRecipient) -> Account:
        for found in await self._accounts.resolve(recipient.address):
            if found.account.id == recipient.account:
                return found.account
        raise NotFound("the address leads to another account now")

    # -- running the script --------------------------------------------------------------------------------------

    async def _outcome(self, case: Case, name: str, source: bytes) -> Outcome:
        """What the script wants; the message kept if it is none."""
        self._counters.add("sieve.runs")
        try:
            script = await self._script(case.account.id, source)
        except ScriptError as error:
            return self._failed(case, name, str(error))
        situation = await self._situation(case, script)
        outcome = await self._readers.run(lambda: run_script(script, case.whole, situation))
        return self._failed(case, name, outcome.error) if outcome.error else outcome

    def _failed(self, case: Case, name: str, error: str) -> Outcome:
        self._counters.add("sieve.errors")
        self.log.warn(
            "{id}: script {name!r} of {account} failed, the message is kept: {error}",
            id=case.envelope.id,
            name=name,
            account=case.account.name,
            error=error,
        )
        return Outcome((Keep(edits_of(case.whole), (), True),), (), error)

    async def _script(self, account: AccountId, source: bytes) -> Script:
        kept = self._compiled.get(account)
        if kept is not None and kept[0] == source:
            self._compiled.move_to_end(account)
            return kept[1]
        script = await self._readers.run(lambda: compile_script(source))
        self._compiled[account] = (source, script)
        if len(self._compiled) > COMPILED:
            self._compiled.popitem(last=False)
        return script

    async def _situation(self, case: Case, script: Script) -> Situation:
        boxes = [one for one in await case.mail.mailboxes() if one.selectable]
        names = {one.name for one in boxes}
        uses = {(name, one.special_use.lower()) for one in boxes for name in (one.name, "") if one.special_use}
        sources: dict[str, bytes] = {}
        if "include" in script.extensions:
            listed = await case.mail.scripts.listing()
            sources = {one.name: await case.mail.scripts.read(one.name) for one in listed}
        sender = case.envelope.sender
        return Situation(
            now=case.now,
            sender="" if sender is None else str(sender),
            recipient=str(case.recipient.address),
            addresses=(str(case.account.address),),
            has_mailbox=lambda name: known(name) in names,
            has_use=lambda name, use: (known(name) or "" if name else "", use.lower()) in uses,
            seen=lambda key: case.remembered(f"id:{key}"),
            script=lambda location, name: sources.get(name) if location == "personal" else None,
            environment={"host": self._hostname, "domain": self._hostname.partition(".")[2]},
        )

    # -- what it wants -------------------------------------------------------------------------------------------

    async def _draw_up(self, plan: Plan, case: Case, outcome: Outcome) -> None:
        moment = int(case.now.timestamp())
        plan.remember += [(f"id:{one.key}", moment + one.seconds) for one in outcome.seen]
        for action in outcome.actions:
            if isinstance(action, Keep):
                await self._file(plan, case, action.edits, action.flags, FileInto(action.edits, INBOX))
            elif isinstance(action, FileInto):
                await self._file(plan, case, action.edits, action.flags, action)
            elif not await self._outgoing(plan, case, action):
                await self._file(plan, case, edits_of(case.whole), (), FileInto(edits_of(case.whole), INBOX))

    async def _file(self, plan: Plan, case: Case, edits: Edits, flags: Sequence[str], where: FileInto) -> None:
        target = (known(where.mailbox) or INBOX, where.special_use)
        if any((one.mailbox, one.special_use) == target for one in plan.filings):
            return
        body: Buffer = case.whole
        if edits.changed:
            staged = self._staging.begin()
            plan.bodies.append(staged)
            await copy(staged, rendered(case.whole, edits))
            body = staged.view()
        plan.filings.append(Filing(Draft(lambda: body, len(body), flags), target[0], where.create, where.special_use))

    async def _outgoing(self, plan: Plan, case: Case, action: Redirect | Reject | Vacation | Notify) -> bool:
        """Plan to send something; False if it cannot be, and the message has to be kept instead."""
        if case.envelope.require_tls and await self._leaves(case, action):
            # What is sent from here would not be protected as it demands.  RFC 8689 section 6.
            text = "{id}: {what} is not sent to another host: the mail demands REQUIRETLS"
            self.log.info(text, id=case.envelope.id, what=type(action).__name__.lower())
            return not isinstance(action, (Redirect, Reject))
        if isinstance(action, Redirect):
            return await self._redirect(plan, case, action)
        if isinstance(action, Reject):
            return await self._reject(plan, case, action)
        if isinstance(action, Vacation):
            await self._answer(plan, case, action)
        else:
            await self._notify(plan, case, action)
        return True

    async def _leaves(self, case: Case, action: Redirect | Reject | Vacation | Notify) -> bool:
        """Whether an action sends something of the mail to another host."""
        if isinstance(action, Redirect):
            return await self._goes_out(parse_mailbox(action.address))
        if isinstance(action, Reject):
            return case.envelope.sender is not None and await self._goes_out(case.envelope.sender)
        return isinstance(action, Vacation) and await self._goes_out(parse_mailbox(action.to))

    async def _goes_out(self, address: Address) -> bool:
        """Whether mail for an address goes to another host, if only by an alias here."""
        if not self._accounts.is_local(address.domain):
            return True
        try:
            return bool((await self._accounts.expand(address)).forwards)
        except NotFound:
            return False

    async def _write(self, plan: Plan, case: Case, to: Address, body: bytes) -> None:
        """Plan to send a message of our own; it is signed if it goes out, and its From is one the account may send as."""
        signer = self._signer
        if signer is not None and not self._accounts.is_local(to.domain) and await self._is_own(case.account, body):
            body = await signer.signed_octets(body, case.now.timestamp())
        plan.send(None, to, body)

    async def _is_own(self, account: Account, body: bytes) -> bool:
        """Whether From names nobody but the account; a script may have written it."""
        named = authors(collect(body[: find_header_end(body)]).get(b"from", b""))
        return bool(named) and all([await self._accounts.may_send_as(account, parse_mailbox(one)) for one in named])

    async def _redirect(self, plan: Plan, case: Case, action: Redirect) -> bool:
        target = parse_mailbox(action.address)
        own = case.recipient.address.key
        before = [line for line in action.edits.named("delivered-to") if line.start >= 0][1:]
        circles = self._outbound.goes_in_circles(target, case.whole)
        if any(_key(line.text) == own for line in before) or target.key == own or circles:
            self.log.info("{id}: not redirected to {to}: it has been here before", id=case.envelope.id, to=str(target))
            return False
        if not await self._reaches(target):
            self.log.warn("{id}: not redirected to {to}: there is no way to it", id=case.envelope.id, to=str(target))
            return False
        # Return-Path belongs to final delivery; the next one writes its own.  RFC 5321 section 4.4.
        edits = action.edits.without(tuple(line for line in action.edits.named("return-path") if line.start == 0))
        plan.send(case.envelope.sender, target, b"".join(map(bytes, rendered(case.whole, edits))))
        return True

    async def _reaches(self, target: Address) -> bool:
        """Whether mail for an address would reach somebody, as far as that is known here."""
        if not self._outbound.can_send(target) or not self._accounts.is_local(target.domain):
            return self._outbound.can_send(target)
        try:
            found = await self._accounts.expand(target)
        except NotFound:
            return False
        return all(self._outbound.can_send(one.address) for one in found.forwards)

    async def _reject(self, plan: Plan, case: Case, action: Reject) -> bool:
        sender = case.envelope.sender
        if sender is None or not await self._reaches(sender):
            return False
        words = rejection(action, sender, case.recipient.address, case.whole, self._letter(case))
        await self._write(plan, case, sender, words)
        return True

    async def _answer(self, plan: Plan, case: Case, action: Vacation) -> None:
        to = parse_mailbox(action.to)
        key = f"answer:{to.key}:{action.handle}"
        if case.remembered(key) or not self._outbound.can_send(to):
            return
        sender = await self._author(case, action.sender)
        if action.seconds:
            plan.remember.append((key, int(case.now.timestamp()) + action.seconds))
        await self._write(plan, case, to, vacation_answer(action, to, sender, case.whole, self._letter(case)))

    async def _notify(self, plan: Plan, case: Case, action: Notify) -> None:
        author = await self._author(case, action.sender)
        recipients, body = notification(action, author, case.whole, self._letter(case))
        for recipient in recipients:
            stays = not (case.envelope.require_tls and await self._goes_out(recipient))
            if self._outbound.can_send(recipient) and stays:
                await self._write(plan, case, recipient, body)

    async def _author(self, case: Case, given: str) -> Address:
        """Whom a message of ours is from: as a script says if its owner may send so, or its owner.  RFC 5435 section 3.3."""
        if given:
            address = parse_mailbox(given)
            if await self._accounts.may_send_as(case.account, address):
                return address
        return case.account.address

    def _letter(self, case: Case) -> Letterhead:
        return Letterhead(
            case.account.address, case.now, f"{self._ids()}@{self._hostname}", f"=_{self._ids()}", self._hostname
        )

    # -- sending -------------------------------------------------------------------------------------------------

    async def _send(self, mail: AccountMail, key: str, envelope: Envelope) -> None:
        """Hand over what a delivery sends, of this run or of one that a crash cut short."""
        waiting = await mail.outgoing(key)
        if not waiting:
            return
        ids = [SpoolId(f"{_FOREIGN.sub('-', key)}.s{one.position}") for one in waiting]
        for child, one in zip(ids, waiting, strict=True):
            sender = parse_mailbox(one.sender) if one.sender else None
            verified = envelope.verified and sender == envelope.sender
            self._trail.note(child, "made", of=envelope.id, kind="mail of a script")
            try:
                await self._outbound.send(child, sender, parse_mailbox(one.recipient), one.body, verified)
            except NotPermitted as refusal:
                self.log.warn("{id}: not sent to {to}: {why}", id=child, to=one.recipient, why=refusal.text)
                self._trail.note(envelope.id, "not sent", recipient=one.recipient, reason=refusal.text[:TEXT])
            else:
                self._trail.note(envelope.id, "sent on", mail=child, sender=one.sender, recipient=one.recipient)
        await mail.sent(key)
        await self._outbound.forget(ids)

    async def forget(self, account: AccountId, keys: Sequence[str]) -> None:
        """For the spool to call when rows are gone; see :class:`~launcelot.spool.interface.Forget`."""
        await self._plain.forget(account, keys)


def inbox_of(made: object) -> str:
    """Where in INBOX a message went, for the trail."""
    return f"INBOX {made.uid}" if isinstance(made, Appended) else "INBOX, before"


def described(action: Keep | FileInto | Redirect | Reject | Vacation | Notify) -> str:
    """What a script wanted, in a few words for the trail."""
    name = type(action).__name__.lower()
    if isinstance(action, FileInto):
        name += f" {action.mailbox}"
    elif isinstance(action, Redirect):
        name += f" {action.address}"
    elif isinstance(action, Vacation):
        name += f" {action.to}"
    return name[:TEXT]


async def copy(staged: Staged, pieces: Iterable[Buffer]) -> None:
    """Octets in bounded pieces."""
    for piece in pieces:
        for start in range(0, len(piece), PIECE):
            await staged.write(bytes(piece[start : start + PIECE]))


def _key(text: str) -> str:
    try:
        return parse_mailbox(text).key
    except Invalid:
        return ""
