"""An authority that signs tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = 1_700_000_000.0


class Authority:
    """
    Has a key of each kind.

    :ivar path: where its public keys are.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rsa = rsa.generate_private_key(65_537, 2_048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.ed = ed25519.Ed25519PrivateKey.generate()
        self.publish()

    def publish(self, **more: Any) -> None:
        """Write the keys, each with what else is to stand there."""
        keys = [
            ("r", RSAAlgorithm.to_jwk(self.rsa.public_key())),
            ("e", ECAlgorithm.to_jwk(self.ec.public_key())),
            ("d", OKPAlgorithm.to_jwk(self.ed.public_key())),
        ]
        self.path.write_text(json.dumps({"keys": [{**json.loads(str(key)), "kid": kid, **more} for kid, key in keys]}))

    def token(self, kid: str = "r", algorithm: str = "RS256", header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token for ann, with other claims where they are given; one that is None is left out."""
        key: Any = {"r": self.rsa, "e": self.ec, "d": self.ed}[kid]
        said = {
            "iss": "https://login.example",
            "aud": "launcelot",
            "exp": NOW + 300,
            "preferred_username": "ann",
            "scope": "openid mail",
            **claims,
        }
        given = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(given, key, algorithm, header or {"kid": kid})
