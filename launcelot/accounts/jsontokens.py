"""
Tokens in place of passwords: JWT (RFC 7519) that an authority has signed, whose public keys are in a file.

What is taken: a signature by one of the keys, with an algorithm that is named in the settings and fits the key (RFC 8725
sections 3.1 and 3.2); ``iss`` and ``aud`` as they are set; ``exp`` ahead and ``nbf`` behind; the scope, where one is set; and a
claim that is an account's log-in name or address.

Left out: encrypted tokens; symmetric keys (whoever checks could make tokens); asking the authority about each token (RFC 7662),
so one that it takes back is good until it expires; and fetching its keys: what writes them into the file is anybody's choice, and
the file is read again when it changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
from twisted.logger import Logger

from launcelot.accounts.tokens import ALGORITHMS, TokenSettings
from launcelot.core.errors import BadCredentials, TryLater
from launcelot.workers.interface import Workers

LEEWAY = 60.0
"""Seconds by which the authority's clock may be wrong."""

MOST_KEYS = 100
MOST_FILE = 1 << 20
"""Octets of the file of keys."""


class JwtTokens:
    """
    Tokens that are signed.

    :param workers: where signatures are verified.
    :param now: wall-clock seconds.
    """

    log = Logger(namespace="launcelot.login")

    def __init__(self, settings: TokenSettings, workers: Workers, now: Callable[[], float]) -> None:
        self.settings = settings
        self._path = Path(settings.keys)
        self._workers = workers
        self._now = now
        self._seen: tuple[int, int, int] | None = None
        self._keys: Sequence[Mapping[str, Any]] = ()

    async def identity(self, token: str) -> str:
        """See :meth:`Tokens.identity`."""
        return await self._workers.run(lambda: self._identity(token))

    def _identity(self, token: str) -> str:
        keys = self._current()
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise BadCredentials from error
        algorithm = header.get("alg")
        # What a header calls critical is nothing that is understood here.  RFC 7515 section 4.1.11.
        if algorithm not in self.settings.algorithms or algorithm not in ALGORITHMS or "crit" in header:
            raise BadCredentials
        wanted = header.get("kid")
        for key in keys:
            if wanted is None or key.get("kid") == wanted:
                claims = self._verified(token, key, algorithm)
                if claims is not None:
                    return self._judged(claims)
        raise BadCredentials

    def _verified(self, token: str, key: Mapping[str, Any], algorithm: str) -> Mapping[str, Any] | None:
        if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm or key.get("kty") not in ("RSA", "EC", "OKP"):
            return None
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                jwt.PyJWK(dict(key), algorithm),
                algorithms=[algorithm],
                audience=self.settings.audience,
                issuer=self.settings.issuer,
                # Times are judged by the clock that was handed in.
                options={"require": ["exp", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        return claims

    def _judged(self, claims: Mapping[str, Any]) -> str:
        now, expires, begins = self._now(), claims["exp"], claims.get("nbf", 0)
        name, scope = claims.get(self.settings.name_claim), claims.get("scope", "")
        good = (
            isinstance(expires, (int, float))
            and isinstance(begins, (int, float))
            and begins - LEEWAY <= now < expires + LEEWAY
            and isinstance(name, str)
            and name != ""
            and (not self.settings.scope or (isinstance(scope, str) and self.settings.scope in scope.split(" ")))
        )
        if not good:
            raise BadCredentials
        return str(name)

    def _current(self) -> Sequence[Mapping[str, Any]]:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._keys = read_keys(self._path)
                self._seen = seen
        except (OSError, ValueError) as error:
            self.log.error("cannot read the keys of [oauth] {path}: {reason}", path=str(self._path), reason=str(error))
            raise TryLater("the keys cannot be read") from error
        return self._keys


def read_keys(path: Path) -> Sequence[Mapping[str, Any]]:
    """
    The keys of a JWK set.

    :raises OSError: the file cannot be read.
    :raises ValueError: it is none.
    """
    with path.open("rb") as file:
        data = file.read(MOST_FILE + 1)
    if len(data) > MOST_FILE:
        raise ValueError("the file is too large")
    try:
        found = json.loads(data)
    except RecursionError:
        raise ValueError("not a JWK set") from None
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list) or len(keys) > MOST_KEYS or not all(isinstance(one, dict) for one in keys):
        raise ValueError("not a JWK set")
    return keys
