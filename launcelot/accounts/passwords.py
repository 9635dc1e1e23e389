"""
Passwords: argon2id hashes (RFC 9106), made and checked in a bounded place off the reactor thread.

* No password is hashed that is empty, malformed or over 1,024 octets.
* A stored hash is only computed when its parameters are within :data:`HIGHEST`: whoever can write one line of the
  account base must not be able to stop the daemon with it.
* An unknown name is checked against a hash nobody knows the password of, at the cost of a real one.
* Beside the hash stand the keys of SCRAM (:mod:`launcelot.core.scram`), made in the same place; a password that has no prepared
  form has none.
* A password that has just been found right is not hashed again for :data:`REMEMBERED` seconds.  What is remembered is
  bound to the account and to the very text of its hash, so a changed password counts at once, and it is
  kept as an HMAC under a key that never leaves the process.
"""

from __future__ import annotations

import base64
import re
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from argon2.exceptions import HashingError, VerificationError, VerifyMismatchError
from argon2.low_level import Type, hash_secret, verify_secret
from twisted.logger import Logger

from launcelot.core import scram
from launcelot.core.errors import Invalid, TryLater
from launcelot.core.ids import AccountId
from launcelot.core.saslprep import NotPrepared, saslprep
from launcelot.workers.interface import Workers

MAX_PASSWORD: Final = 1_024
"""Octets of UTF-8 in a password."""

SALT: Final = 16
"""Octets of salt in new hashes."""

DIGEST: Final = 32
"""Octets of digest in new hashes."""

REMEMBERED: Final = 60.0
"""Seconds for which a right password is not hashed again."""

MAX_REMEMBERED: Final = 10_000
"""Right passwords remembered at most."""

ENCODED = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,8}),t=([1-9][0-9]{0,8}),p=([1-9][0-9]{0,2})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)
"""An encoded hash as the reference implementation writes it, with 8 to 64 octets of salt and 16 to 64 of digest."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """
    What a hash costs.

    :ivar passes: over the memory.
    :ivar memory: KiB.
    :ivar lanes: that could be computed side by side.
    :ivar iterations: of PBKDF2 in the keys of SCRAM, which are no part of the hash.
    """

    passes: int = 2
    memory: int = 19_456
    lanes: int = 1
    iterations: int = field(default=scram.ITERATIONS, compare=False)


DEFAULT = Parameters()
"""OWASP's recommendation: 19 MiB, two passes, one lane; about 20 ms here, and two threads at once hold 38 MiB."""

HIGHEST = Parameters(16, 262_144, 8)
"""The costliest stored hash that is still checked."""

CHEAPEST = Parameters(1, 8, 1, scram.LEAST_ITERATIONS)
"""For tests: a millisecond or two, and no protection to speak of."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is kept of a password: its encoded hash, and its keys of SCRAM or nothing."""

    hash: str = field(repr=False)
    scram: str = field(repr=False)


class Hasher:
    """
    Makes and checks hashes.

    :param workers: where hashing runs, owned by the Hasher; its bound is the bound of logins that wait, such as
        ``ThreadWorkers(reactor, "passwords", threads=2, waiting=64)``.
    :param parameters: of new hashes; stored ones keep theirs until their next right password.
    :param now: monotonic seconds.
    :param random_octets: gives that many random octets.
    """

    log = Logger(namespace="launcelot.passwords")

    def __init__(
        self,
        workers: Workers,
        parameters: Parameters = DEFAULT,
        now: Callable[[], float] = time.monotonic,
        random_octets: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.parameters = parameters
        self._workers = workers
        self._now = now
        self._random = random_octets
        self._key = random_octets(32)
        self._nobody = write_encoded(parameters, random_octets(SALT), random_octets(DIGEST))
        self._remembered: OrderedDict[tuple[AccountId, bytes, str], float] = OrderedDict()

    async def hash(self, password: str) -> str:
        """
        A new encoded hash.

        :raises Invalid: the password is empty, malformed or over :data:`MAX_PASSWORD` octets.
        :raises TryLater: too many hashes are waiting, or there is no memory for one.
        """
        secret = prepared(password)
        salt = self._random(SALT)
        return await self._workers.run(lambda: make(secret, salt, self.parameters))

    async def secrets(self, password: str, salt: bytes) -> Secrets:
        """
        All that is kept of a password; errors as :meth:`hash`.

        :param salt: of the keys of SCRAM.
        """
        secret = prepared(password)
        own = self._random(SALT)
        return await self._workers.run(
            lambda: Secrets(make(secret, own, self.parameters), make_keys(password, salt, self.parameters.iterations))
        )

    async def keys(self, password: str, salt: bytes) -> str:
        """
        The keys of SCRAM alone, empty where there cannot be any.

        :raises TryLater: too many hashes are waiting.
        """
        if not has_keys(password):
            return ""
        return await self._workers.run(lambda: make_keys(password, salt, self.parameters.iterations))

    async def check(self, account: AccountId | None, stored: str, password: str) -> bool:
        """
        Whether a password is the one a hash was made of; for no account it takes as long and is never right.

        :param account: whose password; None for a name that nobody has.
        :param stored: the account's encoded hash; ignored without an account.
        :raises TryLater: too many checks are waiting, or there is no memory for one.
        """
        try:
            secret = prepared(password)
        except Invalid:
            return False
        usable = account is not None and read_encoded(stored) is not None
        if account is None or not usable:
            if account is not None:
                self.log.error("the password hash of account {account} is damaged or too costly", account=account)
            await self._workers.run(lambda: fits(self._nobody, secret))
            return False
        known = self._mark_of(account, stored, secret)
        if self._remembered.get(known, 0.0) > self._now():
            return True
        if not await self._workers.run(lambda: fits(stored, secret)):
            return False
        self._remember(known)
        return True

    def knows(self, account: AccountId, stored: str, password: str) -> bool:
        """Whether a password is remembered as the one a hash was made of, so that nobody has to wait for :meth:`check`."""
        try:
            secret = prepared(password)
        except Invalid:
            return False
        return self._remembered.get(self._mark_of(account, stored, secret), 0.0) > self._now()

    def _mark_of(self, account: AccountId, stored: str, secret: bytes) -> tuple[AccountId, bytes, str]:
        return account, blake2b(secret, digest_size=32, key=self._key).digest(), stored

    def _remember(self, known: tuple[AccountId, bytes, str]) -> None:
        now = self._now()
        self._remembered.pop(known, None)
        self._remembered[known] = now + REMEMBERED
        while len(self._remembered) > MAX_REMEMBERED or next(iter(self._remembered.values())) <= now:
            self._remembered.popitem(last=False)

    def outdated(self, stored: str) -> bool:
        """Whether a stored hash has other parameters than new ones get, and should be made anew."""
        return read_encoded(stored) != self.parameters

    async def close(self) -> None:
        """Let go of the threads."""
        self._remembered.clear()
        await self._workers.close()


def prepared(password: str) -> bytes:
    """
    A password's octets in the one form that is hashed: composed, and spaces of any kind are spaces.  RFC 8265 section 4.2.

    :raises Invalid: it is empty, has a control character or lone surrogate, or is over :data:`MAX_PASSWORD` octets.
    """
    if not password:
        raise Invalid("password is empty")
    if len(password) > MAX_PASSWORD:
        raise Invalid("password too long")
    if password.isascii() and password.isprintable():
        return password.encode()
    if not password.isascii():
        spaced = "".join(" " if unicodedata.category(one) == "Zs" else one for one in password)
        password = unicodedata.normalize("NFC", spaced)
    if any(unicodedata.category(one) in ("Cc", "Cs") for one in password):
        raise Invalid("character not allowed in a password")
    secret = password.encode()
    if len(secret) > MAX_PASSWORD:
        raise Invalid("password too long")
    return secret


def make(secret: bytes, salt: bytes, parameters: Parameters) -> str:
    """
    Compute a new hash; for a worker.

    :raises TryLater: there is no memory for it.
    """
    try:
        encoded = hash_secret(
            secret, salt, parameters.passes, parameters.memory, parameters.lanes, DIGEST, Type.ID
        )
    except HashingError:
        raise TryLater from None
    return encoded.decode("ascii")


def has_keys(password: str) -> bool:
    """Whether a password has a prepared form, so that there can be keys of SCRAM."""
    try:
        return bool(saslprep(password, stored=True))
    except NotPrepared:
        return False


def make_keys(password: str, salt: bytes, iterations: int) -> str:
    """Compute new keys of SCRAM, empty where there cannot be any; for a worker."""
    if not has_keys(password):
        return ""
    return scram.write_keys(scram.keys_of(scram.derive(password, salt, iterations, stored=True), salt, iterations))


def fits(stored: str, secret: bytes) -> bool:
    """
    Compute a hash again and compare in constant time; for a worker.

    :param stored: what :func:`read_encoded` has accepted.
    :raises TryLater: there is no memory for it.
    """
    try:
        return verify_secret(stored.encode("ascii"), secret, Type.ID)
    except VerifyMismatchError:
        return False
    except VerificationError:
        raise TryLater from None


@lru_cache(1024)
def read_encoded(stored: str) -> Parameters | None:
    """The parameters of an encoded hash; None if it is damaged or costs more than :data:`HIGHEST`."""
    found = ENCODED.fullmatch(stored)
    if found is None or not (is_base64(found[4]) and is_base64(found[5])):
        return None
    memory, passes, lanes = int(found[1]), int(found[2]), int(found[3])
    if memory > HIGHEST.memory or passes > HIGHEST.passes or lanes > HIGHEST.lanes or memory < 8 * lanes:
        return None
    return Parameters(passes, memory, lanes)


def write_encoded(parameters: Parameters, salt: bytes, digest: bytes) -> str:
    """A hash in the encoded form."""
    costs = f"m={parameters.memory},t={parameters.passes},p={parameters.lanes}"
    return f"$argon2id$v=19${costs}${unpadded(salt)}${unpadded(digest)}"


def unpadded(data: bytes) -> str:
    """Base64 without padding."""
    return base64.b64encode(data).decode("ascii").rstrip("=")


def is_base64(text: str) -> bool:
    """Whether text is canonical unpadded base64."""
    try:
        return unpadded(base64.b64decode(text + "=" * (-len(text) % 4), validate=True)) == text
    except ValueError:
        return False
