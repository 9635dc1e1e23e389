"""
SCRAM-SHA-256 without a connection: keys, messages, and both sides of an exchange.  RFC 5802, RFC 7677.

* What is kept for an account (:class:`Keys`) checks a proof and proves the server, but does not let anybody log in.
* A side is a small machine: messages in, messages out, every message followed by exactly the one that may follow.
* Nothing here waits: whoever drives the server side looks the keys up between :meth:`Server.first` and
  :meth:`Server.challenge`, and whoever drives the client side runs :func:`derive` off the reactor thread.
* Channel bindings are handed in as octets by name; which there are is :mod:`launcelot.hosting.binding`'s matter.

Left out: SCRAM-SHA-1 (RFC 7677 exists to replace it), mandatory extensions (``m=``: refused, RFC 5802 section 5.1), and the
server's ``e=`` messages: the protocols say themselves that the exchange failed, and less is told so.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from launcelot.core.sasl import MAX_SECRET, SaslError, decode_text
from launcelot.core.saslprep import NotPrepared, saslprep

NAME: Final = b"SCRAM-SHA-256"
PLUS: Final = b"SCRAM-SHA-256-PLUS"

ITERATIONS: Final = 65_536
"""Of new keys: 16 times what RFC 7677 section 4 asks for; 30 ms for a client, once, and for the server when a password is set."""

LEAST_ITERATIONS: Final = 4_096
"""RFC 7677 section 4; fewer are not believed, as they would be an attacker's to save work."""

MOST_ITERATIONS: Final = 1_000_000
"""What a client computes at most: half a second."""

SALT: Final = 16
"""Octets of salt in new keys."""

MAX_SALT: Final = 1_024
"""Octets of a salt that a client takes."""

MAX_NONCE: Final = 512
"""Octets of either side's nonce."""

_GS2 = re.compile(rb"(?:(?P<flag>[ny])|p=(?P<kind>[A-Za-z0-9.-]{1,64})),(?:a=(?P<authorize>[^,\x00]+))?,")
_NONCE = rb"r=([\x21-\x2b\x2d-\x7e]+)"
_EXTENSIONS = rb"(?:,[A-Za-z]=[^,\x00]+)*+"
_FIRST = re.compile(rb"n=([^,\x00]+)," + _NONCE + _EXTENSIONS)
_BASE64 = rb"([A-Za-z0-9+/=]+)"
_SERVER_FIRST = re.compile(_NONCE + rb",s=" + _BASE64 + rb",i=([1-9][0-9]{0,8})" + _EXTENSIONS)
_FINAL = re.compile(rb"(c=" + _BASE64 + rb"," + _NONCE + rb"(?:,(?!p=)[A-Za-z]=[^,\x00]+)*+),p=" + _BASE64)
_SERVER_FINAL = re.compile(rb"(?:v=" + _BASE64 + rb"|e=([^,\x00]+))" + _EXTENSIONS)
_STORED = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{3,8}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]{44}):([A-Za-z0-9+/=]{44})")


class WrongProof(SaslError):
    """The exchange followed the rules and the password was wrong."""


class Untrusted(SaslError):
    """The server does not know the password, whatever it says: nobody may go on with it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """
    What is kept of a password.  RFC 5802 section 3.

    :ivar iterations: of PBKDF2.
    """

    salt: bytes
    iterations: int
    stored: bytes = field(repr=False)
    server: bytes = field(repr=False)


# -- keys ----------------------------------------------------------------------------------------------------------------


def derive(password: str, salt: bytes, iterations: int, stored: bool = False) -> bytes:
    """
    SaltedPassword; slow by design, for a worker.  RFC 5802 section 3.

    :param stored: whether it is a password that is going to be kept.
    :raises NotPrepared: the password has no prepared form, or an empty one.
    """
    secret = saslprep(password, stored)
    if not secret:
        raise NotPrepared("nothing is left of the password")
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, iterations)


def keys_of(salted: bytes, salt: bytes, iterations: int) -> Keys:
    """What is kept, from SaltedPassword."""
    client = _hmac(salted, b"Client Key")
    return Keys(salt, iterations, hashlib.sha256(client).digest(), _hmac(salted, b"Server Key"))


def write_keys(keys: Keys) -> str:
    """Keys as text, in the form of RFC 5803 section 2 (which is an LDAP attribute's)."""
    salt, stored, server = (base64.b64encode(one).decode("ascii") for one in (keys.salt, keys.stored, keys.server))
    return f"SCRAM-SHA-256${keys.iterations}:{salt}${stored}:{server}"


@lru_cache(1024)
def read_keys(text: str) -> Keys | None:
    """Keys from their text; None if it is damaged, or asks for fewer or more iterations than any client computes."""
    found = _STORED.fullmatch(text)
    if found is None or not LEAST_ITERATIONS <= int(found[1]) <= MOST_ITERATIONS:
        return None
    try:
        salt, stored, server = (_unbase64(one.encode()) for one in found.group(2, 3, 4))
    except SaslError:
        return None
    return Keys(salt, int(found[1]), stored, server) if len(stored) == len(server) == 32 else None


def salt_for(secret: bytes, form: str) -> bytes:
    """
    The salt of a name, whether anybody has it or not.

    A salt is shown to everybody who begins an exchange, so one that was random would tell which names are known.

    :param secret: the directory's own, which nobody else knows.
    """
    return hmac.digest(secret, b"salt\0" + form.encode("utf-8", "surrogatepass"), "sha256")[:SALT]


def nobody(secret: bytes, form: str, iterations: int) -> Keys:
    """Keys of a name without any: they look like others, and no password fits."""
    text = form.encode("utf-8", "surrogatepass")
    return Keys(
        salt_for(secret, form),
        iterations,
        hmac.digest(secret, b"stored\0" + text, "sha256"),
        hmac.digest(secret, b"server\0" + text, "sha256"),
    )


# -- the server ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """
    Who a client says it is, before any proof.

    :ivar authorize: the identity to act as, or empty.
    """

    name: str
    authorize: str = ""


class Server:
    """
    The server's side of one exchange: :meth:`first`, :meth:`challenge`, :meth:`final`, in this order.

    :param plus: whether the client chose ``-PLUS``.
    :param offered: whether ``-PLUS`` was offered on this connection, so that a client that could have taken it must have
        been deceived.  RFC 5802 section 6.
    :param binding: gives a channel binding's octets by name, None where this connection has none.
    :param nonce: printable and fresh.
    """

    def __init__(self, plus: bool, offered: bool, binding: Callable[[str], bytes | None], nonce: bytes) -> None:
        self._plus = plus
        self._offered = offered
        self._binding = binding
        self._own_nonce = nonce
        self._nonce = b""
        self._bound = b""
        self._first = b""
        self._server_first = b""
        self._keys: Keys | None = None

    def first(self, message: bytes) -> Claim:
        """
        Read the client's first message.  RFC 5802 section 5.1.

        :raises SaslError: it is malformed, asks for what is not there, or shows that the list of mechanisms was changed on
            its way.
        """
        head = _GS2.match(message)
        if head is None:
            raise SaslError("malformed SCRAM message")
        bare = message[head.end() :]
        found = _FIRST.fullmatch(bare)
        if found is None or len(found[2]) > MAX_NONCE:
            raise SaslError("malformed SCRAM message")
        self._bound = head[0] + self._channel(head["flag"], head["kind"])
        self._nonce = found[2] + self._own_nonce
        self._first = bare
        name = _prepared_name(found[1])
        return Claim(name, decode_text(_unescaped(head["authorize"] or b"")))

    def _channel(self, flag: bytes | None, kind: bytes | None) -> bytes:
        """The octets of the chosen binding.  RFC 5802 section 6."""
        if self._plus != (kind is not None):
            raise SaslError("channel binding and mechanism do not agree")
        if flag == b"y" and self._offered:
            raise SaslError("channel binding was offered, somebody hid it")
        if kind is None:
            return b""
        octets = self._binding(kind.decode("ascii"))
        if octets is None:
            raise SaslError("no such channel binding here")
        return octets

    def challenge(self, keys: Keys) -> bytes:
        """The server's first message, once the keys have been looked up."""
        self._keys = keys
        salt = base64.b64encode(keys.salt)
        self._server_first = b"r=%b,s=%b,i=%d" % (self._nonce, salt, keys.iterations)
        return self._server_first

    def final(self, message: bytes) -> bytes:
        """
        Check the client's proof; the server's final message, which proves the server.  RFC 5802 section 3.

        :raises WrongProof: the password was another.
        :raises SaslError: the message is malformed, or belongs to another exchange or another channel.
        """
        keys, self._keys = self._keys, None
        found = _FINAL.fullmatch(message)
        if found is None or keys is None:
            raise SaslError("malformed SCRAM message")
        if not hmac.compare_digest(found[3], self._nonce):
            raise SaslError("the nonce is another exchange's")
        if not hmac.compare_digest(_unbase64(found[2]), self._bound):
            raise SaslError("the channel binding is another connection's")
        said = b",".join((self._first, self._server_first, found[1]))
        proof = _unbase64(found[4])
        signature = _hmac(keys.stored, said)
        if len(proof) != len(signature):
            raise SaslError("malformed SCRAM message")
        client = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(client).digest(), keys.stored):
            raise WrongProof("authentication failed")
        return b"v=" + base64.b64encode(_hmac(keys.server, said))


# -- the client ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """What a server wants computed."""

    salt: bytes
    iterations: int


class Client:
    """
    The client's side of one exchange: :attr:`first`, :meth:`terms`, :meth:`final`, :meth:`verify`, in this order.

    :param binding: name and octets of the channel binding that is used, with ``-PLUS``; None without.
    :param could_bind: whether a binding would have been used had the server offered it.  RFC 5802 section 6.
    :param nonce: printable and fresh.
    :raises NotPrepared: the name has no prepared form.
    """

    def __init__(
        self, name: str, nonce: bytes, binding: tuple[str, bytes] | None = None, could_bind: bool = False, authorize: str = ""
    ) -> None:
        flag = b"y" if could_bind else b"n"
        octets = b""
        if binding is not None:
            flag = b"p=" + binding[0].encode("ascii")
            octets = binding[1]
        acting = b"a=" + _escaped(authorize) if authorize else b""
        gs2 = flag + b"," + acting + b","
        self._nonce = nonce
        self._bare = b"n=%b,r=%b" % (_escaped(saslprep(name)), nonce)
        self._bound = base64.b64encode(gs2 + octets)
        self._whole_nonce = b""
        self._server_first = b""
        self._expected = b""
        self.first = gs2 + self._bare

    def terms(self, message: bytes) -> Terms:
        """
        Read the server's first message.

        :raises SaslError: it is malformed, or asks for too little or too much work.
        :raises Untrusted: it answers somebody else's exchange.
        """
        found = _SERVER_FIRST.fullmatch(message)
        if found is None:
            raise SaslError("malformed SCRAM message")
        nonce, salt, iterations = found[1], _unbase64(found[2]), int(found[3])
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise Untrusted("the server's nonce is not for us")
        if len(nonce) > len(self._nonce) + MAX_NONCE or not 0 < len(salt) <= MAX_SALT:
            raise SaslError("malformed SCRAM message")
        if not LEAST_ITERATIONS <= iterations <= MOST_ITERATIONS:
            raise SaslError(f"{iterations} iterations are too few or too many")
        self._whole_nonce = nonce
        self._server_first = message
        return Terms(salt, iterations)

    def final(self, salted: bytes) -> bytes:
        """The proof.  :param salted: what :func:`derive` made under the server's terms."""
        key = _hmac(salted, b"Client Key")
        without = b"c=%b,r=%b" % (self._bound, self._whole_nonce)
        said = b",".join((self._bare, self._server_first, without))
        signature = _hmac(hashlib.sha256(key).digest(), said)
        proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        self._expected = _hmac(_hmac(salted, b"Server Key"), said)
        return without + b",p=" + base64.b64encode(proof)

    def verify(self, message: bytes) -> None:
        """
        Check that the server knows the password, too.

        :raises WrongProof: the server says that it failed.
        :raises Untrusted: it does not.
        """
        found = _SERVER_FINAL.fullmatch(message)
        if found is not None and found[2] is not None:
            raise WrongProof("authentication failed")
        if found is None or not self._expected or not hmac.compare_digest(_unbase64(found[1]), self._expected):
            raise Untrusted("the server does not know the password")


# -- octets --------------------------------------------------------------------------------------------------------------


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _unbase64(text: bytes) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SaslError("malformed SCRAM message") from None
    if base64.b64encode(data) != text:
        raise SaslError("malformed SCRAM message")
    return data


def _escaped(text: str) -> bytes:
    """RFC 5802 section 5.1 ``saslname``."""
    if not text or "\0" in text:
        raise NotPrepared("a name is empty or has a NUL")
    return text.replace("=", "=3D").replace(",", "=2C").encode()


def _unescaped(name: bytes) -> bytes:
    if re.search(rb"=(?!2C|3D)", name):
        raise SaslError("malformed name")
    return name.replace(b"=2C", b",").replace(b"=3D", b"=")


def _prepared_name(raw: bytes) -> str:
    if len(raw) > 3 * MAX_SECRET:
        raise SaslError("name is malformed")
    try:
        name = saslprep(decode_text(_unescaped(raw)))
    except NotPrepared:
        raise SaslError("name is malformed") from None
    if not name:
        raise SaslError("name is empty")
    return name
