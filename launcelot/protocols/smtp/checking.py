"""
Where the checks of :mod:`launcelot.checks` meet a session: whose mail is checked, when, and what the peer hears.

Checked is mail from strangers on the MX: who has logged in, comes over LMTP or from a trusted network is not.
"""

from __future__ import annotations

from launcelot.checks.interface import Action, Case, Message, Verdict
from launcelot.checks.results import without_forged, written
from launcelot.message.address import Address
from launcelot.protocols.smtp.body import PIECE, Incoming
from launcelot.protocols.smtp.grammar import Mail, Reply, reply
from launcelot.protocols.smtp.inspection import HEADER_TOO_LARGE
from launcelot.protocols.smtp.session import Role, Session, Transaction
from launcelot.workers.staging import Staged


async def begin(session: Session, given: Mail) -> tuple[Case | None, Reply | None]:
    """What the checks say at MAIL: the case, or why there is none."""
    checks = session.site.checks
    if checks is None or session.role is not Role.MX or session.account is not None or not checks.concern(session.source):
        return None, None
    helo = session.given_name or session.name
    case = Case(session.source, helo, given.sender, session.site.hostname, session.site.wall_clock())
    return case, reply_to(await checks.sender(case))


async def recipient(session: Session, transaction: Transaction, address: Address) -> Reply | None:
    """What the checks say at RCPT; None if they let it pass."""
    checks = session.site.checks
    if checks is None or transaction.case is None:
        return None
    return reply_to(await checks.recipient(transaction.case, address))


async def message(session: Session, case: Case, incoming: Incoming, staged: Staged) -> tuple[Staged, Reply | None]:
    """
    What the checks say at the end; the message with what they found on top, or why it is refused.

    What is handed over is closed, unless it is given back.
    """
    checks = session.site.checks
    copy = session.site.staging.begin()
    try:
        refused = None if incoming.head_is_whole else HEADER_TOO_LARGE
        if checks is not None and refused is None:
            refused = reply_to(await checks.message(case, Message(staged.view(), incoming.added, incoming.head)))
        if refused is None:
            whole, body = staged.view(), incoming.added + len(incoming.head)
            await copy.write(written(case) + whole[: incoming.added] + without_forged(incoming.head, case.hostname))
            for start in range(body, len(whole), PIECE):
                await copy.write(whole[start : start + PIECE])
    except BaseException:
        copy.close()
        raise
    finally:
        staged.close()
    if refused is not None:
        copy.close()
    return copy, refused


def is_verified(case: Case) -> bool:
    """Whether the sender was shown to be the sender, so that he may be told what becomes of the mail."""
    return case.sender is not None and case.result("spf") == "pass"


def reply_to(verdict: Verdict) -> Reply | None:
    """A verdict in SMTP's words; None for one that lets the mail pass."""
    if verdict.action is Action.DEFER:
        return reply(450, f"4{verdict.status[1:]}", verdict.text)
    if verdict.action is Action.REJECT:
        return reply(550, f"5{verdict.status[1:]}", verdict.text)
    return None
