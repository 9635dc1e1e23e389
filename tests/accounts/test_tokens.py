"""Tokens that an authority has signed: what is believed, and what is not."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.accounts.jsontokens import LEEWAY, JwtTokens
from launcelot.accounts.tokens import TokenSettings, problems
from launcelot.core.errors import BadCredentials, TryLater
from launcelot.workers.memory import InlineWorkers
from tests.accounts.tokens import NOW, Authority


class TokenTests(SynchronousTestCase):
    """JwtTokens."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.authority = Authority(self.path)
        self.time = NOW
        self.configure()

    def configure(self, **changes: Any) -> None:
        """Other settings."""
        settings = TokenSettings(keys=str(self.path), issuer="https://login.example", audience="launcelot", scope="mail")
        self.tokens = JwtTokens(replace(settings, **changes), InlineWorkers(), lambda: self.time)

    def identity(self, token: str) -> str | None:
        """Whose it is; None if it is not believed."""
        found: list[Any] = []
        Deferred.fromCoroutine(self.tokens.identity(token)).addBoth(found.append)
        if isinstance(found[0], str):
            return found[0]
        found[0].trap(BadCredentials)
        return None

    def test_algorithms(self) -> None:
        """Each with its key, by its id and without."""
        for kid, algorithm in (("r", "RS256"), ("r", "PS256"), ("e", "ES256"), ("d", "EdDSA")):
            self.assertEqual(self.identity(self.authority.token(kid, algorithm)), "ann")
            self.assertEqual(self.identity(self.authority.token(kid, algorithm, header={"x": "y"})), "ann")
        self.assertIsNone(self.identity(self.authority.token("r", "RS512")), "not named in the settings")

    def test_claims(self) -> None:
        """Each that is missing, of another, or of another kind is the end."""
        self.assertEqual(self.identity(self.authority.token(aud=["x", "launcelot"], nbf=NOW)), "ann")
        wrong: tuple[dict[str, Any], ...] = (
            {"iss": None}, {"iss": "https://evil.example"}, {"aud": None}, {"aud": "x"}, {"aud": []}, {"exp": None},
            {"exp": "never"}, {"exp": NOW - LEEWAY}, {"exp": True}, {"nbf": NOW + LEEWAY + 1}, {"nbf": "x"},
            {"preferred_username": None}, {"preferred_username": ""}, {"preferred_username": ["ann"]},
            {"scope": None}, {"scope": "mailx"}, {"scope": ["mail"]},
        )  # fmt: skip
        for claims in wrong:
            self.assertIsNone(self.identity(self.authority.token(**claims)), claims)

    def test_time(self) -> None:
        """The clock that is handed in decides, a minute either way."""
        token = self.authority.token(nbf=NOW)
        for offset, good in ((-LEEWAY - 1, False), (-LEEWAY, True), (300 + LEEWAY - 1, True), (300 + LEEWAY, False)):
            self.time = NOW + offset
            self.assertEqual(self.identity(token) is not None, good, offset)

    def test_forgeries(self) -> None:
        """No signature, a key of one's own, the public key as a secret, another key's id, octets changed, and nonsense."""
        claims = jwt.decode(self.authority.token(), options={"verify_signature": False})
        public = self.authority.rsa.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        other = Authority(Path(self.mktemp()))

        def part(data: Any) -> str:
            return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()

        def hmac_signed(secret: bytes) -> str:
            text = f"{part({'alg': 'HS256', 'kid': 'r'})}.{part(claims)}"
            signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(text.encode(), secret)
            return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

        good = self.authority.token()
        for wrong in (
            jwt.encode(claims, "", "none"), f"{part({'alg': 'none'})}.{part(claims)}.", other.token(), hmac_signed(public),
            hmac_signed(b"x" * 32), self.authority.token("r", header={"kid": "e"}), good[:-4] + "AAAA",
            self.authority.token(header={"kid": "r", "crit": ["x"], "x": 1}),
            good.replace(".", ".A", 1), base64.urlsafe_b64encode(b"[" * 6_000).decode() + ".x.x",
            "", ".", "..", "a.b.c", "x" * 8_000, good + ".x", part([1]) + "." + part(claims) + ".x",
            part({"alg": ["RS256"]}) + ".x.x", part({"alg": "RS256", "kid": {}}) + "." + part(claims) + ".x",
        ):  # fmt: skip
            self.assertIsNone(self.identity(wrong), wrong[:60])
        self.configure(algorithms=("RS256", "HS256", "none"))
        self.assertIsNone(self.identity(hmac_signed(public)), "whatever the settings say")
        self.assertIsNone(self.identity(jwt.encode(claims, "", "none")))

    def test_what_keys_are_for(self) -> None:
        """One for encryption, or for another algorithm, signs nothing."""
        for more in ({"use": "enc"}, {"alg": "PS512"}):
            self.authority.publish(**more)
            self.configure()
            self.assertIsNone(self.identity(self.authority.token()))

    def test_file_is_read_again(self) -> None:
        """New keys count at once, old ones no longer; a file that is none is not an answer."""
        old = self.authority.token()
        self.assertEqual(self.identity(old), "ann")
        self.authority = Authority(self.path)
        self.assertEqual((self.identity(old), self.identity(self.authority.token())), (None, "ann"))
        for text in ("", "{", "[]", '{"keys": 1}', '{"keys": [1]}', "[" * 100_000, " " * (1 << 21)):
            self.path.write_text(text)
            self.failureResultOf(Deferred.fromCoroutine(self.tokens.identity(old)), TryLater)
        self.path.unlink()
        self.failureResultOf(Deferred.fromCoroutine(self.tokens.identity(old)), TryLater)

    def test_settings(self) -> None:
        """What is needed beside the keys, and which algorithms there are."""
        self.assertEqual(problems(TokenSettings()), [])
        found = dict(problems(TokenSettings(keys="x", name_claim="", algorithms=("HS256",))))
        self.assertEqual(set(found), {"issuer", "audience", "name_claim", "algorithms"})
        found = dict(problems(TokenSettings(keys="x", issuer="i", audience="a", algorithms=())))
        self.assertEqual(set(found), {"algorithms"})
