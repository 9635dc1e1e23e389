"""What becomes of mail in the spool, told to the log and to the trail that ``launcelot trace`` reads."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from launcelot.spool.interface import Verdict
from launcelot.spool.mail import Mail, Notice, Pending
from launcelot.spool.notices import Kind, Results
from launcelot.workers.trail import NOWHERE, Trail

TEXT = 500
"""Characters of what others said."""


class Chronicle:
    """
    Tells.

    :param trail: where it is noted.
    """

    log = Logger(namespace="launcelot.spool")

    def __init__(self, trail: Trail = NOWHERE) -> None:
        self._trail = trail

    def queued(self, mail: Mail) -> None:
        """A mail is on the shelf."""
        envelope = mail.envelope
        names = [str(one.recipient.address) for one in mail.pending[:20]]
        sender = "" if envelope.sender is None else str(envelope.sender)
        more = len(mail.pending) - len(names)
        via = list(dict.fromkeys(str(one.recipient.via) for one in mail.pending[:20] if one.recipient.via is not None))
        fields = {"via": via} if via else {}
        self._trail.note(envelope.id, "queued", sender=sender, recipients=names, more=more, size=mail.size, **fields)

    def relayed(self, results: Results) -> None:
        """Other hosts have taken a mail."""
        for pending, verdict in results:
            self.log.info(
                "{id} to {recipient} was taken by {host}: {reply}",
                id=pending.mail.envelope.id,
                recipient=str(pending.recipient.address),
                host=verdict.host,
                reply=verdict.diagnostic,
            )
            self._note(pending, "relayed", host=verdict.host, reply=verdict.diagnostic[:TEXT])

    def given_up(self, pending: Pending, verdict: Verdict) -> None:
        """There will be no further attempt."""
        self.log.warn(
            "{id} to {recipient} is given up after {attempts} attempts: {reason}",
            id=pending.mail.envelope.id,
            recipient=str(pending.recipient.address),
            attempts=pending.attempts + 1,
            reason=verdict.text,
        )
        reason = verdict.text[:TEXT]
        self._note(pending, "failed", attempts=pending.attempts + 1, status=verdict.status, host=verdict.host, reason=reason)

    def put_back(self, pending: Pending, verdict: Verdict | None) -> None:
        """There will be another attempt."""
        host, status = ("", "") if verdict is None else (verdict.host, verdict.status)
        reason = pending.last_error[:TEXT]
        self._note(
            pending, "deferred", attempts=pending.attempts, next=pending.next_attempt, status=status, host=host, reason=reason
        )

    def held(self, pending: Pending, reason: str) -> None:
        """Somebody has to look at it."""
        self.log.warn(
            "{id} to {recipient} is held after {attempts} attempts: {reason}",
            id=pending.mail.envelope.id,
            recipient=str(pending.recipient.address),
            attempts=pending.attempts,
            reason=reason,
        )
        self._note(pending, "held", reason=reason[:TEXT])

    def asked(self, what: str, chosen: Sequence[Pending]) -> None:
        """Somebody has had these ``held``, ``released`` or ``dropped``."""
        for pending in chosen:
            self._note(pending, what, reason="somebody asked for it")

    def noticed(self, mail: Mail, kind: Kind, notice: Notice | None) -> None:
        """The sender is told, in a mail of its own; or is not, for there is nobody to tell."""
        if notice is not None:
            to = [str(one.address) for one in notice.envelope.recipients]
            self._trail.note(mail.envelope.id, "told", mail=notice.envelope.id, kind=kind.value.lower(), to=to[:20])
            self._trail.note(notice.envelope.id, "made", of=mail.envelope.id, kind=f"notice of {kind.value.lower()}")

    def _note(self, pending: Pending, event: str, **fields: object) -> None:
        self._trail.note(pending.mail.envelope.id, event, recipient=str(pending.recipient.address), **fields)
