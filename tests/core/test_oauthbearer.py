"""OAUTHBEARER's messages: RFC 7628 section 3."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.oauthbearer import MAX_TOKEN, parse, refusal
from launcelot.core.sasl import SaslError

GOOD = (
    b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
    b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
)
"""The example of section 4.1."""


class MessageTests(SynchronousTestCase):
    """What a client says."""

    def test_example(self) -> None:
        """That of the standard, with what else may stand there."""
        found = parse(GOOD)
        self.assertEqual((found.token, found.authorize), ("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", "user@example.com"))
        self.assertEqual(parse(b"y,,\x01auth=bEaReR x\x01\x01").token, "x")
        self.assertEqual(parse(b"n,a=a=2Cb=3D\xc3\xbc,\x01auth=Bearer x\x01\x01").authorize, "a,b=\u00fc")
        self.assertNotIn("vF9", repr(found))

    def test_malformed(self) -> None:
        """Each is refused: bindings, other kinds of tokens, doubled keys, bad ends, every beginning of the example."""
        for wrong in (
            b"", b"\x01", b"p=tls-exporter,,\x01auth=Bearer x\x01\x01", b"n,,auth=Bearer x\x01\x01",
            b"n,,\x01auth=Basic eA==\x01\x01",
            b"n,,\x01auth=Bearer \x01\x01", b"n,,\x01auth=Bearer a b\x01\x01", b"n,,\x01auth=Bearer x\x01", b"n,,\x01\x01",
            b"n,,\x01auth=Bearer x\x01auth=Bearer x\x01\x01", b"n,,\x01auth=Bearer x\x01\x01\x01",
            b"n,,\x01auth=Bearer x\x01\x01x",
            b"n,a=\xff,\x01auth=Bearer x\x01\x01", b"n,a=a=b,\x01auth=Bearer x\x01\x01", b"n,,\x01a b=c\x01auth=Bearer x\x01\x01",
            b"n,,\x01auth=Bearer " + b"x" * (MAX_TOKEN + 1) + b"\x01\x01", b"n,a=a\0,\x01auth=Bearer x\x01\x01",
            *(GOOD[:end] for end in range(len(GOOD))),
        ):  # fmt: skip
            self.assertRaises(SaslError, parse, wrong)

    def test_refusal(self) -> None:
        """Section 3.2.2: JSON, and nothing in it that is not set."""
        self.assertEqual(json.loads(refusal()), {"status": "invalid_token"})
        self.assertEqual(
            json.loads(refusal("mail", "https://login.example/x")),
            {"status": "invalid_token", "scope": "mail", "openid-configuration": "https://login.example/x"},
        )
