"""
SASL on the client's side: SCRAM on one connection, from the choice of a mechanism to the server's own proof.

Each mail client asks :meth:`Prover.choose`, sends :attr:`~Prover.first`, answers each challenge with what
:meth:`~Prover.respond` gives, and believes the server's word of success only when :attr:`~Prover.proved`.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection
from typing import Any

from launcelot.core import scram
from launcelot.core.sasl import SaslError
from launcelot.core.saslprep import NotPrepared
from launcelot.hosting.binding import best_binding
from launcelot.workers.interface import Workers

NONCE = 18
"""Octets of our part of a nonce, before base64."""


class Prover:
    """
    One exchange.

    :param workers: where the password is hashed, which takes tens of milliseconds; None for here and now.
    :raises NotPrepared: the name or the password has no prepared form.
    """

    def __init__(
        self,
        name: str,
        password: str,
        binding: tuple[str, bytes] | None,
        plus: bool,
        workers: Workers | None = None,
    ) -> None:
        nonce = base64.b64encode(secrets.token_bytes(NONCE))
        self.mechanism = scram.PLUS if plus else scram.NAME
        self.proved = False
        self._side = scram.Client(name, nonce, binding if plus else None, binding is not None)
        self._password = password
        self._workers = workers
        self._answered = False

    @classmethod
    def choose(
        cls, name: str, password: str, transport: Any, offered: Collection[bytes], workers: Workers | None = None
    ) -> Prover | None:
        """
        The best of the mechanisms of SCRAM that are offered; None where there is none, or none for this name.

        :param transport: the protocol's, which tells of channel bindings.
        :param offered: mechanisms in upper case.
        """
        if scram.NAME not in offered and scram.PLUS not in offered:
            return None
        binding = best_binding(transport)
        plus = binding is not None and scram.PLUS in offered
        if not plus and scram.NAME not in offered:
            return None
        try:
            return cls(name, password, binding, plus, workers)
        except NotPrepared:
            return None

    @property
    def first(self) -> bytes:
        """The initial response."""
        return self._side.first

    async def respond(self, challenge: bytes) -> bytes:
        """
        The answer to a challenge.

        :raises SaslError: the server asks for what it may not, or turns out to be another.
        """
        if self.proved:
            raise SaslError("the server asks for more than there is")
        if self._answered:
            self._side.verify(challenge)
            self.proved = True
            return b""
        terms = self._side.terms(challenge)
        self._answered = True
        return self._side.final(await self._salted(terms))

    async def _salted(self, terms: scram.Terms) -> bytes:
        def derive() -> bytes:
            return scram.derive(self._password, terms.salt, terms.iterations)

        try:
            return derive() if self._workers is None else await self._workers.run(derive)
        except NotPrepared:
            raise SaslError("the password has no prepared form") from None
