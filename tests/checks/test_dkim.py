"""Signatures: the example of RFC 8463, every octet that matters, and keys and tags that are wrong."""

from __future__ import annotations

import base64
import hashlib
import textwrap
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.checks.dkim import MOST, Dkim
from launcelot.checks.interface import Case, Message
from launcelot.checks.names import NoAnswer, ScriptedNames
from launcelot.message.canonical import canonical_body, relaxed_field, signed_header
from launcelot.message.headers import fields, find_header_end
from launcelot.workers.memory import InlineWorkers

ED_RECORD = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
RSA_RECORD = (
    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
    "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC"
    "DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3"
    "Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
)
ZONE = {
    "TXT brisbane._domainkey.football.example.com": ED_RECORD,
    "TXT test._domainkey.football.example.com": RSA_RECORD,
}
EXAMPLE = (
    textwrap.dedent(
        """\
        DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
         d=football.example.com; i=@football.example.com;
         q=dns/txt; s=brisbane; t=1528637909; h=from : to :
         subject : date : message-id : from : subject : date;
         bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
         b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
         Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
        DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
         d=football.example.com; i=@football.example.com;
         q=dns/txt; s=test; t=1528637909; h=from : to : subject :
         date : message-id : from : subject : date;
         bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
         b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
         DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
         dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
        From: Joe SixPack <joe@football.example.com>
        To: Suzie Q <suzie@shopping.example.net>
        Subject: Is dinner ready?
        Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
        Message-ID: <20030712040037.46341.5F8J@football.example.com>

        Hi.

        We lost the game.  Are you hungry yet?

        Joe.
        """
    )
    .replace("\n", "\r\n")
    .encode()
)
TEXT = b"From: a@e.example\r\nTo: b@test\r\nSubject: x\r\n\r\nhello\r\n"


class DkimCase(SynchronousTestCase):
    """Signing with keys of our own, and verifying."""

    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)

    def results(self, text: bytes, records: Mapping[str, Any] = ZONE, now: float = 1.6e9) -> list[str]:
        """What the check notes."""
        case = Case("192.0.2.1", "x", None, "here.test", now)
        end = find_header_end(text)
        message = Message(b"Received: ours\r\n" + text, 16 + end, text[:end])
        check = Dkim(ScriptedNames(records), InlineWorkers())
        self.successResultOf(Deferred.fromCoroutine(check.message(case, message)))
        self.found = case.results
        return [one.value for one in case.results]

    def record(self, **more: str) -> dict[str, Any]:
        """The zone of our own key."""
        octets = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        tags = {"k": "ed25519", "p": base64.b64encode(octets).decode(), **more}
        return {"TXT s._domainkey.e.example": "; ".join(f"{name}={value}" for name, value in tags.items())}

    def sign(self, text: bytes = TEXT, way: str = "relaxed/relaxed", key: Any = None, **more: str) -> bytes:
        """A signed message."""
        header, _, body = way.partition("/")
        end = find_header_end(text)
        digest = hashlib.sha256(b"".join(canonical_body(text, end, body == "relaxed"))).digest()
        key = key or self.key
        tags = {
            "v": "1",
            "a": "rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ed25519-sha256",
            "c": way,
            "d": "e.example",
            "s": "s",
            "h": "From:To:Subject",
            "bh": base64.b64encode(digest).decode(),
            **more,
            "b": "",
        }
        field = "DKIM-Signature: " + "; ".join(
            f"{name}={value}" for name, value in tags.items() if value or name == "b"
        )
        head = field.encode() + b"\r\n" + text[:end]
        own = next(fields(head, 0, len(head)))
        names = [one.strip().lower().encode() for one in tags["h"].split(":")]
        data = signed_header(head, names, own, header == "relaxed")
        if isinstance(key, rsa.RSAPrivateKey):
            signature = key.sign(data, PKCS1v15(), SHA256())
        else:
            signature = key.sign(hashlib.sha256(data).digest())
        return field.encode() + base64.b64encode(signature) + b"\r\n" + text


class ExampleTests(DkimCase):
    """RFC 8463 appendix A."""

    def test_both_signatures_are_right(self) -> None:
        """Ed25519 and RSA."""
        self.assertEqual(self.results(EXAMPLE), ["pass", "pass"])
        self.assertEqual(
            dict(self.found[0].properties),
            {"header.d": "football.example.com", "header.s": "brisbane", "header.b": "/gCrinpc"},
        )

    def test_what_relaxed_forgives(self) -> None:
        """Blanks, folds and letters of names; empty lines at the end; fields that are not signed."""
        for old, new in (
            (b"Subject: Is", b"SUBJECT:\r\n\t  Is"),
            (b"hungry yet?", b"hungry \t yet?  "),
            (b"Joe.\r\n", b"Joe.\r\n\r\n\r\n"),
            (b"From: Joe", b"X-New: y\r\nFrom: Joe"),
            (b"Joe.\r\n", b"Joe."),
        ):
            self.assertEqual(self.results(EXAMPLE.replace(old, new)), ["pass", "pass"], new)

    def test_what_is_changed_is_found(self) -> None:
        """A body, a signed field, a second From, a space more in the text."""
        for old, new in (
            (b"Hi.", b"Ho."),
            (b"ready?", b"ready!"),
            (b"From: Joe", b"From: eve@x.example\r\nFrom: Joe"),
            (b"hungry", b"hun gry"),
            (b"Joe.\r\n", b"Joe.\r\n.\r\n"),
            (b"To: Suzie", b"To: Susan"),
        ):
            self.assertEqual(self.results(EXAMPLE.replace(old, new)), ["fail", "fail"], new)

    def test_the_dns(self) -> None:
        """No key, several, none now, a revoked one."""
        for record, value in (
            (None, "permerror"),
            ([ED_RECORD, ED_RECORD], "permerror"),
            (NoAnswer("x"), "temperror"),
            ("v=DKIM1; p=", "permerror"),
        ):
            zone = {"TXT test._domainkey.football.example.com": RSA_RECORD}
            if record is not None:
                zone["TXT brisbane._domainkey.football.example.com"] = record  # type: ignore[assignment]
            self.assertEqual(self.results(EXAMPLE, zone), [value, "pass"])


class SignatureTests(DkimCase):
    """Tags and keys."""

    def test_every_way(self) -> None:
        """All four canonicalizations, bodies of every shape, both kinds of key."""
        key = rsa.generate_private_key(65_537, 1_024)
        octets = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        zone = {"TXT s._domainkey.e.example": "v=DKIM1; p=" + base64.b64encode(octets).decode()}
        for way in ("simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"):
            for body in (
                b"",
                b"\r\n",
                b"\r\n\r\n",
                b"x",
                b"x\r\n\r\n",
                b" \r\n",
                b"a  b \t\r\n\r\n c\r\n",
                b"y" * 600_000 + b"\r\n" * 300_000,
            ):
                text = TEXT[: find_header_end(TEXT)] + body
                self.assertEqual(self.results(self.sign(text, way), self.record()), ["pass"], (way, body[:20]))
            self.assertEqual(self.results(self.sign(way=way, key=key), zone), ["pass"])
        self.assertEqual(
            self.results(self.sign(way="simple/simple").replace(b"Subject: x", b"Subject:  x"), self.record()), ["fail"]
        )

    def test_what_says_nothing(self) -> None:
        """Each with its result."""
        for more, value in (
            ({"v": "2"}, "permerror"),
            ({"a": "rsa-sha1"}, "policy"),
            ({"a": "md5"}, "permerror"),
            ({"c": "strict"}, "permerror"),
            ({"d": "localhost"}, "permerror"),
            ({"d": "..e.example"}, "permerror"),
            ({"s": "a b"}, "permerror"),
            ({"h": "To"}, "permerror"),
            ({"i": "@f.example"}, "permerror"),
            ({"i": "@xe.example"}, "permerror"),
            ({"i": "x@sub.e.example"}, "pass"),
            ({"l": "5"}, "policy"),
            ({"x": "1500000000"}, "fail"),
            ({"x": "1700000000"}, "pass"),
            ({"t": "1700000000"}, "permerror"),
            ({"x": "soon"}, "permerror"),
            ({"q": "other"}, "permerror"),
            ({"bh": "!"}, "permerror"),
            ({"z": "From:x"}, "pass"),
            ({"v": "1; v=1"}, "permerror"),
        ):
            self.assertEqual(self.results(self.sign(TEXT, "relaxed/relaxed", None, **more), self.record()), [value], more)
        for field in (
            b"DKIM-Signature: \r\n",
            b"DKIM-Signature: v=1\r\n",
            b"DKIM-Signature: =;=\r\n",
            b"dkim-signature: \xff\r\n",
        ):
            self.assertEqual(self.results(field + TEXT, self.record()), ["permerror"])
        self.assertEqual(self.results(TEXT), ["none"])

    def test_keys_that_are_not_for_it(self) -> None:
        """Of another kind, hash or service; short, torn, and for the domain alone."""
        for more, value in (
            ({"k": "rsa"}, "permerror"),
            ({"h": "sha1"}, "permerror"),
            ({"s": "tlsrpt"}, "permerror"),
            ({"s": "email:x"}, "pass"),
            ({"p": "AAAA"}, "permerror"),
            ({"p": "!"}, "permerror"),
            ({"v": "DKIM2"}, "permerror"),
            ({"t": "y"}, "pass"),
            ({"n": "x"}, "pass"),
        ):
            self.assertEqual(self.results(self.sign(), self.record(**more)), [value], more)
        self.assertEqual(self.results(self.sign(i="@sub.e.example"), self.record(t="s")), ["permerror"])
        small = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMYw8r4lHhPm" + "A" * 84
        self.assertEqual(
            self.results(self.sign(a="rsa-sha256"), {"TXT s._domainkey.e.example": f"p={small}"}), ["permerror"]
        )

    def test_so_many_signatures_are_looked_at(self) -> None:
        """S23: of a thousand the first eight."""
        text = b"DKIM-Signature: v=1; a=ed25519-sha256; d=e.example; s=s; h=from; bh=; b=\r\n" * 1_000 + TEXT
        self.assertEqual(len(self.results(text, self.record())), MOST)


class CanonicalTests(SynchronousTestCase):
    """The examples of RFC 6376 section 3.4."""

    def test_the_examples(self) -> None:
        """Section 3.4.5."""
        self.assertEqual(relaxed_field(b"A: X\r\n") + relaxed_field(b"B : Y\t\r\n\tZ  \r\n"), b"a:X\r\nb:Y Z\r\n")
        body = b" C \r\nD \t E\r\n\r\n\r\n"
        self.assertEqual(b"".join(canonical_body(body, 0, True)), b" C\r\nD E\r\n")
        self.assertEqual(b"".join(canonical_body(body, 0, False)), b" C \r\nD \t E\r\n")

    def test_empty_bodies(self) -> None:
        """Section 3.4.3 makes one line of none, section 3.4.4 nothing."""
        for body in (b"", b"\r\n", b"\r\n\r\n\r\n"):
            self.assertEqual(b"".join(canonical_body(body, 0, False)), b"\r\n")
            self.assertEqual(b"".join(canonical_body(body, 0, True)), b"")
