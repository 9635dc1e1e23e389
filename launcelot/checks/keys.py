"""
Keys that mail is signed with: a folder for each domain, and in it a file ``<selector>.pem`` for each key.  RFC 6376, RFC 8463.

Every key of a domain signs, so that a new one signs beside the old one until the DNS knows it everywhere.  Files appear whole,
with mode 0600, in folders of mode 0700; the folder is looked at for each message, and read again when it has changed.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from twisted.logger import Logger

RSA, ED25519 = "rsa", "ed25519"
KINDS = (RSA, ED25519)

BITS = 2_048
LEAST_BITS, MOST_BITS = 1_024, 8_192
"""Of RSA keys; RFC 8301 section 3.2, and what signing may cost."""

MOST_KEYS = 8
"""Keys of one domain that sign; more than verifiers look at help nobody."""

STRING = 255
"""Octets of one string of a TXT record.  RFC 1035 section 3.3.14."""

SUFFIX = ".pem"

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
SELECTOR = re.compile(rf"(?=.{{1,63}}\Z){_LABEL}(?:\.{_LABEL})*\Z")
"""``selector`` of RFC 6376 section 3.1, in lower case."""

PrivateKey = rsa.RSAPrivateKey | Ed25519PrivateKey


class BadKey(Exception):
    """A key that cannot be used, or not be made; the text names file, cause and remedy in one line."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """
    One key.

    :ivar domain: in A-labels.
    """

    domain: str
    selector: str
    private: PrivateKey

    @property
    def kind(self) -> str:
        """``"rsa"`` or ``"ed25519"``."""
        return RSA if isinstance(self.private, rsa.RSAPrivateKey) else ED25519

    @property
    def name(self) -> str:
        """Where its record stands."""
        return record_name(self.domain, self.selector)

    @property
    def record(self) -> str:
        """What stands there.  RFC 6376 section 3.6.1, RFC 8463 section 3."""
        return f"v=DKIM1; k={self.kind}; p={base64.b64encode(self._public()).decode('ascii')}"

    def _public(self) -> bytes:
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def record_name(domain: str, selector: str) -> str:
    """Where the record of a key stands."""
    return f"{selector}._domainkey.{domain}"


def make_key(domain: str, selector: str, kind: str, bits: int = BITS) -> SigningKey:
    """
    A new key, nowhere kept.

    :raises BadKey: the selector is none.
    """
    if SELECTOR.match(selector) is None:
        raise BadKey(f"{selector!r} is no selector; write letters, digits and hyphens, such as mail2026")
    if kind == RSA:
        return SigningKey(domain, selector, rsa.generate_private_key(65_537, bits))
    return SigningKey(domain, selector, Ed25519PrivateKey.generate())


def read_key(path: Path, domain: str) -> SigningKey:
    """
    The key of a file.

    :raises BadKey: it cannot be read, or is no key that signs.
    """
    try:
        private = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise BadKey(f"{path}: cannot be read: {error.strerror}; give it to the daemon's user, with mode 0600") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{path}: no PEM private key without a password; make a new one with launcelot dkim new") from error
    if isinstance(private, rsa.RSAPrivateKey):
        if not LEAST_BITS <= private.key_size <= MOST_BITS:
            raise BadKey(f"{path}: an RSA key of {private.key_size} bits; make one of {BITS} with launcelot dkim new")
    elif not isinstance(private, Ed25519PrivateKey):
        raise BadKey(f"{path}: neither an RSA nor an Ed25519 key; make one with launcelot dkim new")
    return SigningKey(domain, path.name.removesuffix(SUFFIX), private)


class KeyFolder:
    """
    All keys.

    :param folder: of the domains' folders; need not be there.
    """

    log = Logger(namespace="launcelot.dkim")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[int, Sequence[SigningKey]]] = {}

    def domains(self) -> Sequence[str]:
        """Those that have a folder."""
        try:
            return sorted(one.name for one in self.folder.iterdir() if one.is_dir())
        except OSError:
            return []

    def keys(self, domain: str) -> Sequence[SigningKey]:
        """
        The keys that sign for a domain, by their selectors; one that cannot be used is logged, once until something changes.

        :param domain: in A-labels, and a domain: it becomes the name of a folder.
        """
        place = self.folder / domain
        try:
            changed = place.stat().st_mtime_ns
        except OSError:
            return ()
        known = self._known.get(domain)
        if known is not None and known[0] == changed:
            return known[1]
        found: list[SigningKey] = []
        for path in self.paths(domain):
            try:
                found.append(read_key(path, domain))
            except BadKey as bad:
                self.log.error("a key does not sign: {reason}", reason=str(bad))
        kept = tuple(found[:MOST_KEYS])
        self._known[domain] = (changed, kept)
        return kept

    def paths(self, domain: str) -> Sequence[Path]:
        """The files of a domain's keys, by name."""
        try:
            return sorted(self._paths(domain))
        except OSError:
            return []

    def _paths(self, domain: str) -> Iterator[Path]:
        for path in (self.folder / domain).iterdir():
            if path.name.endswith(SUFFIX) and SELECTOR.match(path.name.removesuffix(SUFFIX)):
                yield path

    def add(self, key: SigningKey) -> Path:
        """
        Keep a key; durable when it returns.

        :raises BadKey: there is one with that selector.
        :raises OSError: it cannot be written.
        """
        place = self.folder / key.domain
        for one in (self.folder, place):
            one.mkdir(mode=0o700, exist_ok=True)
        path = place / f"{key.selector}{SUFFIX}"
        pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise BadKey(f"{key.selector} of {key.domain} exists; choose another selector") from None
        with open(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        # Whoever looked while the file was empty looks again.
        os.utime(place)
        sync_folder(place)
        return path

    def remove(self, domain: str, selector: str) -> None:
        """
        Sign with a key no more, and forget it.

        :raises BadKey: there is none.
        :raises OSError: it cannot be removed.
        """
        if f"{selector}{SUFFIX}" not in [one.name for one in self.paths(domain)]:
            raise BadKey(f"{domain} has no key {selector!r}; see launcelot dkim list")
        (self.folder / domain / f"{selector}{SUFFIX}").unlink()
        if not any((self.folder / domain).iterdir()):
            shutil.rmtree(self.folder / domain)


def sync_folder(path: Path) -> None:
    """Have a folder's entries on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def strings_of(text: str) -> Sequence[str]:
    """A TXT record's text as the strings that it is written in."""
    return [text[start : start + STRING] for start in range(0, len(text), STRING)] or [""]
