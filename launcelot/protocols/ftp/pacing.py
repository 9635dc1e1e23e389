"""
How fast files may move: octets in a second for each session, and for all sessions of an account together.

Both directions count for themselves.  What holds for an account holds over all workers of a daemon.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from launcelot.core.ids import AccountId
from launcelot.core.limits import Bucket
from launcelot.core.sharing import SharedBucket, SharedNumbers
from launcelot.protocols.ftp.data import UNPACED, Pace


class Rates:
    """
    The limits of one service; an account's are forgotten with its last session.

    :param session: octets in a second for each session, 0 for any number.
    :param account: for all sessions of one account.
    """

    def __init__(self, session: int, account: int) -> None:
        self._session = session
        self._account = account
        self._shared: WeakValueDictionary[tuple[AccountId, str], Bucket] = WeakValueDictionary()
        self._numbers: SharedNumbers | None = None
        self._service = ""

    def share(self, numbers: SharedNumbers, service: str) -> None:
        """Count an account's octets together with other processes; for sessions that begin from now on."""
        self._numbers = numbers
        self._service = service

    def of_session(self) -> Pace:
        """What a new session has to keep to, whoever logs in there and how often."""
        if not self._session:
            return UNPACED
        return Pace((Bucket(self._session),), (Bucket(self._session),))

    def of(self, account: AccountId, session: Pace) -> Pace:
        """
        What an account has to keep to in a session.

        :param session: what the session has to.
        """
        sending, receiving = (self._buckets(account, way) for way in ("sending", "receiving"))
        return Pace(session.sending + sending, session.receiving + receiving)

    def _buckets(self, account: AccountId, way: str) -> tuple[Bucket, ...]:
        if not self._account:
            return ()
        if self._numbers is not None:
            return (SharedBucket(self._account, self._numbers, self._service, way, account),)
        shared = self._shared.get((account, way))
        if shared is None:
            shared = self._shared[account, way] = Bucket(self._account)
        return (shared,)
