"""
Receiving messages: DATA and BDAT.

A message is answered 250 only when the spool has it on disk.  Whatever the reply will be, the octets that belong to the
message are read to their end, so that none of them is ever taken for a command.  On LMTP nothing is queued: the mail is in
the mailboxes when it is answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from launcelot.checks.interface import Action, Case
from launcelot.core.dots import DotReader
from launcelot.core.errors import Refusal
from launcelot.delivery.expanding import with_senders
from launcelot.message.trace import received, tls_is_optional
from launcelot.protocols.smtp import checking, tracing
from launcelot.protocols.smtp.binary import without_bare_ends
from launcelot.protocols.smtp.body import BARE, PIECE, Incoming
from launcelot.protocols.smtp.grammar import Chunk, Reply, reply
from launcelot.protocols.smtp.inspection import inspect
from launcelot.protocols.smtp.session import OUT_OF_ORDER, Role, Session, State, reply_for, sentence
from launcelot.spool.interface import Envelope, Fate, Verdict
from launcelot.workers.staging import Staged

T = TypeVar("T")

BODY_RATE = 4_096
"""Octets of a body that must arrive in every :data:`BODY_SECONDS`."""

BODY_SECONDS = 110.0

GO_ON = reply(354, "", "End data with <CRLF>.<CRLF>").encode()

BINARY_WANTS_CHUNKS = reply(503, "5.5.1", "BODY=BINARYMIME is for BDAT")
"""RFC 3030 section 3."""

MAX_DISCARD = 1 << 30
"""Octets of one BDAT chunk that are thrown away to stay in step; a larger one ends the connection."""


async def data(session: Session, _: None) -> Reply | None:
    """Receive a message up to CRLF.CRLF.  RFC 5321 section 4.1.1.4."""
    if session.current.mail.binary:
        return BINARY_WANTS_CHUNKS
    incoming = begin_body(session)
    session.wire.write(GO_ON)
    reader = DotReader()
    session.wire.limit_rate(BODY_RATE, BODY_SECONDS)
    try:
        while not reader.ended:
            await incoming.write(reader.feed(await session.wire.chunk(PIECE)))
        if reader.rest:
            session.wire.unread(reader.rest)
        return await end_body(session, incoming)
    finally:
        session.wire.limit_rate(0, 0)
        session.reset()


async def bdat(session: Session, chunk: Chunk) -> Reply | None:
    """
    Receive a counted piece of a message.  RFC 3030 section 2.

    The octets are read whatever the reply will be, so that they are never taken for commands.
    """
    ready = session.state in (State.RECIPIENTS, State.CHUNKS)
    incoming = begin_body(session) if ready else None
    if chunk.size > max(MAX_DISCARD, session.settings.max_message_size):
        session.reset()
        session.ending = True
        return reply(552, "5.3.4", "Chunk is larger than the limit")
    if ready:
        session.move(State.CHUNKS)
    session.wire.limit_rate(BODY_RATE, BODY_SECONDS)
    keep = False
    try:
        await read_chunk(session, incoming, chunk.size)
        if incoming is None:
            keep = True
            return OUT_OF_ORDER
        if chunk.last:
            return await end_body(session, incoming)
        if incoming.refused is not None:
            return incoming.refused
        keep = True
        return reply(250, "2.0.0", f"{chunk.size} octets received")
    finally:
        session.wire.limit_rate(0, 0)
        if not keep:
            session.reset()


async def read_chunk(session: Session, incoming: Incoming | None, size: int) -> None:
    """Read so many octets into a message, or nowhere."""
    while size:
        piece = await session.wire.chunk(min(size, PIECE))
        size -= len(piece)
        if incoming is not None:
            await incoming.write(piece)


def begin_body(session: Session) -> Incoming:
    """The message of the present transaction, begun now if it was not yet."""
    transaction = session.current
    if transaction.body is None:
        trace = received(
            helo=session.given_name or session.name,
            source=session.source,
            source_name=session.source_name or (transaction.case.source_name if transaction.case is not None else ""),
            by=session.site.hostname,
            protocol=session.protocol,
            identifier=transaction.id,
            date=session.site.now(),
            recipient=transaction.only,
            tls=session.effects.tls_description,
        )
        transaction.body = Incoming(
            session.site.staging.begin(),
            session.settings.max_message_size,
            session.submits,
            trace,
            partial(inspect, session),
            transaction.mail.binary,
        )
    return transaction.body


async def end_body(session: Session, incoming: Incoming) -> Reply | None:
    """Hand a whole message on and answer: once, or on LMTP once for each recipient.  RFC 2033 section 4.2."""
    named = len(session.current.named)
    answers = await hand_over(session, incoming)
    tracing.note(session, incoming.head, incoming.size, answers)
    if session.role is not Role.LMTP:
        return answers[0]
    for one in answers if len(answers) == named else list(answers) * named:
        session.wire.write(one.encode())
    return None


async def hand_over(session: Session, incoming: Incoming) -> Sequence[Reply]:
    """Hand a whole message to the spool or to mailboxes; a reply is positive only when it is on disk."""
    await incoming.finish()
    counters = session.site.counters
    if incoming.refused is not None:
        counters.add("smtp.messages.refused")
        if incoming.refused is BARE:
            # What else such a peer says may be half of a smuggled mail.
            session.ending = True
            session.outcome = "bare line end"
        return [incoming.refused]
    transaction = session.current
    try:
        staged = incoming.release()
        if transaction.case is not None:
            checked = await check(session, transaction.case, incoming, staged)
            if isinstance(checked, Reply):
                return [checked]
            staged = checked
        envelope = await kept(staged, envelope_of(session))
        if not envelope.require_tls and any(one.is_remote for one in envelope.recipients):
            envelope = replace(envelope, tls_optional=tls_is_optional(staged.view()))
        if transaction.mail.binary:
            staged = await without_bare_ends(session.site.staging, staged)
        if session.role is Role.LMTP:
            return await deliver(session, envelope, staged)
        staged = await signed(session, staged)
        await count(session, staged)
        accepted = await session.site.spool.accept(envelope, staged)
    except Refusal as refusal:
        counters.add("smtp.messages.refused")
        return [reply_for(refusal)]
    counters.add("smtp.messages.accepted")
    counters.add("smtp.octets.accepted", incoming.size)
    session.effects.note_accepted(envelope, incoming.size, session.forwarded)
    await session.effects.settle(accepted)
    return [reply(250, "2.0.0", f"Accepted as {transaction.id}")]


async def check(session: Session, case: Case, incoming: Incoming, staged: Staged) -> Staged | Reply:
    """
    Have the checks look at a message: what is to be handed on, or the answer if nothing is.

    :raises Refusal: it cannot be written, or the recipients a check wants cannot be looked up; nothing is open then.
    """
    checked, verdict = await checking.message(session, case, incoming, staged)
    refused = checking.reply_to(verdict)
    try:
        if refused is None and verdict.action is not Action.DISCARD:
            await checking.envelope(session, session.current, case)
    except BaseException:
        checked.close()
        raise
    if refused is None and session.current.recipients and verdict.action is not Action.DISCARD:
        return checked
    checked.close()
    if refused is not None:
        session.site.counters.add("smtp.messages.refused")
        return refused
    session.site.counters.add("smtp.messages.discarded")
    return reply(250, "2.0.0", f"Accepted as {session.current.id}")


async def signed(session: Session, staged: Staged) -> Staged:
    """
    A message with the signatures of its author's domain on top, where somebody has logged in.  RFC 6376 section 5.

    :raises Refusal: it cannot be written; nothing is open then.
    """
    signer = session.site.signer
    if signer is None or session.account is None:
        return staged
    return await signer.signed(staged, session.site.wall_clock())


async def count(session: Session, staged: Staged) -> None:
    """
    Count a message as sent by whoever has logged in.

    :raises Refusal: it is one too many, or cannot be counted now; nothing is open then.
    """
    if session.account is not None and session.rules.sending is not None:
        await kept(staged, session.rules.sending.count(session.account.id, session.current.addresses))


async def kept(staged: Staged, asked: Awaitable[T]) -> T:
    """What is asked for; a message that is not handed on because of it is closed."""
    try:
        return await asked
    except BaseException:
        staged.close()
        raise


async def envelope_of(session: Session) -> Envelope:
    """
    Who sends to whom.

    :raises Refusal: a sender for other hosts cannot be made now.
    """
    transaction = session.current
    given = transaction.mail
    envelope = Envelope(
        transaction.id,
        given.sender,
        tuple(transaction.recipients.values()),
        session.account.name if session.account is not None else "",
        given.returned,
        given.envelope_id,
        given.utf8,
        verified=transaction.case is not None and checking.is_verified(transaction.case),
        require_tls=given.require_tls,
        verp=given.verp,
    )
    return await with_senders(envelope, session.site.accounts.is_local, session.site.forwarding)


async def deliver(session: Session, envelope: Envelope, staged: Staged) -> Sequence[Reply]:
    """Deliver now, and say what became of each recipient."""
    transaction, counters = session.current, session.site.counters
    size = staged.size
    present = dict(zip(transaction.recipients, envelope.recipients, strict=True))
    groups = [[present[one] for one in keys] for keys in transaction.named]
    verdicts = await session.effects.deposit(envelope, staged, groups)
    if any(one.fate is Fate.DONE for one in verdicts):
        counters.add("smtp.messages.accepted")
        counters.add("smtp.octets.accepted", size)
        session.effects.note_accepted(envelope, size, session.forwarded)
    else:
        counters.add("smtp.messages.refused")
    return [reply_to(one, transaction.id) for one in verdicts]


def reply_to(verdict: Verdict, identifier: str) -> Reply:
    """What became of one recipient, in SMTP's words."""
    if verdict.fate is Fate.DONE:
        return reply(250, verdict.status, f"Delivered as {identifier}")
    full = verdict.status[1:] in (".2.2", ".2.3", ".3.4")
    code = {Fate.LATER: 452 if full else 451, Fate.NEVER: 552 if full else 550}[verdict.fate]
    return reply(code, verdict.status, sentence(verdict.text))
