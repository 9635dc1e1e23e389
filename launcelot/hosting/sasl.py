"""
SASL on the server's side: which mechanisms are offered, and one exchange from its first message to an account.

The three mail protocols differ in how they carry challenges and in their words, and in nothing else: each asks
:func:`offered`, calls :func:`begin`, and steps the exchange until it is :class:`Proved`.

SCRAM is offered where passwords are.  It never shows the password; but without TLS who listens can guess at it without end
(RFC 5802 section 9) and reads the mail besides, so the setting that keeps passwords out of the clear holds for it, too.
It is not offered where checkers of Twisted are asked about passwords, as they cannot be asked about proofs.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from launcelot.accounts.interface import Account, Verifier
from launcelot.accounts.tokens import TokenSettings
from launcelot.core import oauthbearer, scram
from launcelot.core.errors import BadCredentials
from launcelot.core.sasl import MECHANISMS, Challenge, Credentials, Mechanism, SaslError

if TYPE_CHECKING:
    from launcelot.hosting.login import Logins

NONCE = 18
"""Octets of our part of a nonce, before base64."""


@dataclass(frozen=True, slots=True)
class Peer:
    """
    Who logs in, as far as the connection tells.

    :ivar service: counts under ``logins.<service>``.
    :ivar secure: whether TLS is in use.
    :ivar binding: octets of a channel binding by name; see :mod:`launcelot.hosting.binding`.
    """

    source: str
    service: str
    secure: bool
    binding: Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class Proved:
    """
    Somebody has logged in.

    :ivar name: as the peer gave it.
    :ivar authorize: the identity to act as, or empty; :meth:`may_act` tells whether it is its own.
    """

    account: Account
    name: str
    authorize: str = ""

    @property
    def may_act(self) -> bool:
        """Whether the identity to act as is who has logged in; nobody may act for others."""
        own = (self.name, self.account.name, str(self.account.address))
        return not self.authorize or self.authorize.casefold() in [one.casefold() for one in own]


class Exchange(Protocol):
    """One exchange."""

    async def step(self, response: bytes | None) -> Challenge | Proved:
        """
        Take a response.

        :param response: decoded from base64; None where the client sent no initial response.
        :raises SaslError: the exchange has failed.
        :raises Refusal: as :class:`launcelot.hosting.login.Logins` raises it.
        """


class ByPassword:
    """PLAIN and LOGIN."""

    def __init__(self, mechanism: Mechanism, logins: Logins, peer: Peer) -> None:
        self._mechanism = mechanism
        self._logins = logins
        self._peer = peer

    async def step(self, response: bytes | None) -> Challenge | Proved:
        """See :class:`Exchange`."""
        found = self._mechanism.step(response)
        if not isinstance(found, Credentials):
            return found
        account = await self._logins.by_password(found.name, found.password, self._peer.source, self._peer.service)
        return Proved(account, found.name, found.authorize)


class ByProof:
    """
    SCRAM-SHA-256 and -PLUS.  RFC 5802.

    None of the mail protocols can carry octets with their word of success, so the server's last message is one more
    challenge, which the client answers with nothing.  RFC 4954 section 4, RFC 5034 section 4, RFC 9051 section 6.2.2.
    """

    def __init__(self, side: scram.Server, logins: Logins, peer: Peer) -> None:
        self._side = side
        self._logins = logins
        self._peer = peer
        self._claim: scram.Claim | None = None
        self._verifier: Verifier | None = None
        self._proved: Proved | None = None

    async def step(self, response: bytes | None) -> Challenge | Proved:
        """See :class:`Exchange`."""
        if response is None:
            if self._claim is not None:
                raise SaslError("no response")
            return Challenge(b"")
        if self._proved is not None:
            if response:
                raise SaslError("nothing more was asked")
            return self._proved
        if self._claim is None or self._verifier is None:
            self._claim = self._side.first(response)
            self._verifier = await self._logins.verifier(self._claim.name)
            return Challenge(self._side.challenge(self._verifier.keys))
        return await self._prove(self._claim, self._verifier, response)

    async def _prove(self, claim: scram.Claim, verifier: Verifier, response: bytes) -> Challenge:
        account, signature = await self._logins.by_proof(
            claim.name, verifier, lambda: self._side.final(response), self._peer.source, self._peer.service
        )
        self._proved = Proved(account, claim.name, claim.authorize)
        return Challenge(signature)


class ByToken:
    """
    OAUTHBEARER.  RFC 7628.

    A token that is not taken is answered with a challenge that says so, and refused when the client has answered that.
    """

    def __init__(self, logins: Logins, settings: TokenSettings, peer: Peer) -> None:
        self._logins = logins
        self._settings = settings
        self._peer = peer
        self._refused: BadCredentials | None = None

    async def step(self, response: bytes | None) -> Challenge | Proved:
        """See :class:`Exchange`."""
        if self._refused is not None:
            # RFC 7628 section 3.2.3: whatever the client says now, the exchange has failed.
            raise self._refused
        if response is None:
            return Challenge(b"")
        bearer = oauthbearer.parse(response)
        try:
            account, name = await self._logins.by_token(
                bearer.token, bearer.authorize, self._peer.source, self._peer.service
            )
        except BadCredentials as refused:
            self._refused = refused
            return Challenge(oauthbearer.refusal(self._settings.scope, self._settings.discovery))
        return Proved(account, name, bearer.authorize)


def offered(logins: Logins, passwords: bool, secure: bool) -> tuple[bytes, ...]:
    """
    The mechanisms for one connection, best first.

    :param passwords: whether a password may come on it as it is.
    """
    if not passwords:
        return ()
    proofs = (scram.PLUS, scram.NAME) if secure else (scram.NAME,)
    tokens = (oauthbearer.NAME,) if secure and logins.tokens is not None else ()
    return (*(proofs if logins.has_proofs else ()), *tokens, *MECHANISMS)


def begin(logins: Logins, mechanism: bytes, peer: Peer) -> Exchange | None:
    """An exchange of a mechanism, in upper case; None if it is not known here."""
    known = MECHANISMS.get(mechanism)
    if known is not None:
        return ByPassword(known(), logins, peer)
    if mechanism == oauthbearer.NAME:
        tokens = logins.tokens
        return ByToken(logins, tokens.settings, peer) if tokens is not None and peer.secure else None
    plus = mechanism == scram.PLUS
    if not logins.has_proofs or not (mechanism == scram.NAME or (plus and peer.secure)):
        return None
    nonce = base64.b64encode(secrets.token_bytes(NONCE))
    return ByProof(scram.Server(plus, peer.secure, peer.binding, nonce), logins, peer)


EVERY: tuple[bytes, ...] = (scram.PLUS, scram.NAME, oauthbearer.NAME, *MECHANISMS)
"""Every mechanism there is."""

