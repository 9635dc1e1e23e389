"""
Where the checks of :mod:`launcelot.checks` meet a session: whose mail is checked, when, and what the peer hears.

Checked is mail from strangers on the MX: who has logged in, comes over LMTP or from a trusted network is not.
"""

from __future__ import annotations

from dataclasses import replace

from launcelot.checks.interface import ACCEPT, Action, Case, Message, Verdict
from launcelot.checks.results import without_forged, written
from launcelot.core.errors import NotFound
from launcelot.delivery.expanding import behind
from launcelot.message.address import Address
from launcelot.protocols.smtp.body import PIECE, Incoming
from launcelot.protocols.smtp.grammar import Mail, Reply, reply
from launcelot.protocols.smtp.session import Role, Session, Transaction
from launcelot.spool.interface import ELSEWHERE, SpoolId, SpoolRecipient
from launcelot.workers.staging import Staged

TOO_LARGE = Verdict(Action.REJECT, "The header section is too large", "5.6.0", 554)


async def begin(session: Session, given: Mail, identifier: SpoolId) -> tuple[Case | None, Reply | None]:
    """What the checks say at MAIL: the case, or why there is none."""
    checks = session.site.checks
    if (
        checks is None
        or session.role is not Role.MX
        or session.account is not None
        or not checks.concern(session.source)
    ):
        return None, None
    helo = session.given_name or session.name
    case = Case(session.source, helo, given.sender, session.site.hostname, session.site.wall_clock(), id=identifier)
    refused = None
    try:
        refused = reply_to(await checks.sender(case))
    except BaseException:
        case.end()
        raise
    if refused is not None:
        case.end()
    return case, refused


async def recipient(session: Session, transaction: Transaction, address: Address) -> Reply | None:
    """What the checks say at RCPT; None if they let it pass."""
    checks = session.site.checks
    if checks is None or transaction.case is None:
        return None
    return reply_to(await checks.recipient(transaction.case, address))


async def message(session: Session, case: Case, incoming: Incoming, staged: Staged) -> tuple[Staged, Verdict]:
    """
    What the checks say at the end, and the message with what they found on top, as far as it goes on.

    What is handed over is closed; what is given back is not.
    """
    checks = session.site.checks
    copy = session.site.staging.begin()
    verdict = ACCEPT if incoming.head_is_whole else TOO_LARGE
    try:
        whole, body = staged.view(), incoming.added + len(incoming.head)
        if checks is not None and verdict is ACCEPT:
            verdict = await checks.message(case, Message(whole, body, incoming.head))
        if verdict.action is Action.ACCEPT:
            edited = case.edited or Message(whole, body, without_forged(incoming.head, case.hostname))
            await copy.write(written(case) + whole[: incoming.added] + edited.head)
            for start in range(edited.body, len(edited.buffer), PIECE):
                await copy.write(edited.buffer[start : start + PIECE])
    except BaseException:
        copy.close()
        raise
    finally:
        staged.close()
    return copy, verdict


async def envelope(session: Session, transaction: Transaction, case: Case) -> None:
    """
    Have the envelope be as the checks want it; they may name addresses of ours, and others where mail goes to others.

    :raises Refusal: an address cannot be looked up now.
    """
    wishes = case.wishes
    if not wishes:
        return
    if wishes.senders:
        transaction.mail = replace(transaction.mail, sender=wishes.senders[-1])
    removed = {address.key for address in wishes.removed}
    kept = [place for place, address in enumerate(case.recipients) if address.key not in removed]
    needed = {key for place in kept for key in transaction.named[place]}
    for key in [one for one in transaction.recipients if one not in needed]:
        del transaction.recipients[key]
    for address in wishes.added:
        if not session.site.accounts.is_local(address.domain):
            if session.site.relays:
                transaction.take([SpoolRecipient(ELSEWHERE, address)])
            continue
        try:
            found = await session.site.accounts.expand(address)
        except NotFound:
            continue
        if session.site.relays or not found.forwards:
            transaction.take(behind(SpoolRecipient(ELSEWHERE, address), found))


def is_verified(case: Case) -> bool:
    """Whether the sender was shown to be the sender, so that he may be told what becomes of the mail."""
    return case.sender is not None and case.result("spf") == "pass" and not case.wishes.senders


def reply_to(verdict: Verdict) -> Reply | None:
    """A verdict in SMTP's words; None for one that lets the mail pass."""
    if verdict.action is Action.DEFER:
        return reply(verdict.code or 450, f"4{verdict.status[1:]}", verdict.text)
    if verdict.action is Action.REJECT:
        return reply(verdict.code or 550, f"5{verdict.status[1:]}", verdict.text)
    return None
