"""SASL mechanisms without a connection."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.sasl import (
    MAX_RESPONSE,
    MAX_SECRET,
    MECHANISMS,
    Challenge,
    Credentials,
    Login,
    Plain,
    SaslError,
    decode_initial,
    decode_response,
)


class PlainTests(SynchronousTestCase):
    """PLAIN, RFC 4616."""

    def test_credentials_are_read(self) -> None:
        """With and without an identity to act as, in UTF-8."""
        for message, expected in (
            (b"\0ann\0pw", Credentials("ann", "pw")),
            (b"bob\0ann\0pw", Credentials("ann", "pw", "bob")),
            ("\0jos\u00e9\0\u4e2d".encode(), Credentials("jos\u00e9", "\u4e2d")),
            (b"\0ann\0p w\t", Credentials("ann", "p w\t")),
        ):
            self.assertEqual(Plain().step(message), expected)

    def test_no_initial_response_is_asked_for(self) -> None:
        """With an empty challenge, then the message is taken."""
        mechanism = Plain()
        self.assertEqual(mechanism.step(None), Challenge(b""))
        self.assertEqual(mechanism.step(b"\0ann\0pw"), Credentials("ann", "pw"))

    def test_longest_parts_are_read(self) -> None:
        """1,024 octets of name and of password."""
        name, password = "n" * MAX_SECRET, "\u00e9" * (MAX_SECRET // 2)
        self.assertEqual(Plain().step(f"\0{name}\0{password}".encode()), Credentials(name, password))

    def test_malformed_messages_are_refused(self) -> None:
        """Wrong number of parts, no name, no password, too long, not UTF-8 (case A03, A07)."""
        for message in (
            b"",
            b"\0",
            b"\0\0",
            b"ann",
            b"\0ann",
            b"\0ann\0",
            b"\0\0pw",
            b"ann\0pw",
            b"\0ann\0pw\0",
            b"\0ann\0pw\0x",
            b"\0\0\0\0",
            b"\0ann\0\xff",
            b"\0\xff\0pw",
            b"\xff\0ann\0pw",
            b"\0ann\0\xed\xa0\x80",
            b"\0" + b"n" * (MAX_SECRET + 1) + b"\0pw",
            b"\0ann\0" + b"p" * (MAX_SECRET + 1),
            b"z" * (MAX_SECRET + 1) + b"\0ann\0pw",
        ):
            with self.subTest(message=message[:20]), self.assertRaises(SaslError):
                Plain().step(message)

    @given(st.binary(max_size=64))
    def test_any_octets_are_read_or_refused(self, message: bytes) -> None:
        """Nothing else comes out, and what comes out is what went in."""
        try:
            outcome = Plain().step(message)
        except SaslError:
            return
        assert isinstance(outcome, Credentials)
        self.assertEqual("\0".join((outcome.authorize, outcome.name, outcome.password)).encode(), message)

    def test_password_is_not_in_the_representation(self) -> None:
        """It must not get into a log by accident."""
        self.assertNotIn("sesame", repr(Plain().step(b"\0ann\0sesame")))


class LoginTests(SynchronousTestCase):
    """LOGIN, as widely deployed."""

    def test_name_and_password_are_asked_for(self) -> None:
        """One after the other."""
        mechanism = Login()
        self.assertEqual(mechanism.step(None), Challenge(b"Username:"))
        self.assertEqual(mechanism.step("jos\u00e9".encode()), Challenge(b"Password:"))
        self.assertEqual(mechanism.step(b"pw"), Credentials("jos\u00e9", "pw"))

    def test_initial_response_is_the_name(self) -> None:
        """As clients send it."""
        mechanism = Login()
        self.assertEqual(mechanism.step(b"ann"), Challenge(b"Password:"))
        self.assertEqual(mechanism.step(b"pw"), Credentials("ann", "pw"))

    def test_exchanges_do_not_share_names(self) -> None:
        """Each begins anew."""
        Login().step(b"ann")
        self.assertEqual(Login().step(None), Challenge(b"Username:"))

    def test_malformed_responses_are_refused(self) -> None:
        """As name and as password: empty, NUL, too long, not UTF-8."""
        for response in (b"", b"a\0b", b"x" * (MAX_SECRET + 1), b"\xff"):
            with self.subTest(response=response[:10]):
                with self.assertRaises(SaslError):
                    Login().step(response)
                mechanism = Login()
                mechanism.step(b"ann")
                with self.assertRaises(SaslError):
                    mechanism.step(response)


class DecodingTests(SynchronousTestCase):
    """Response lines."""

    @given(st.binary(max_size=200))
    def test_canonical_base64_is_decoded(self, data: bytes) -> None:
        """All of it."""
        self.assertEqual(decode_response(base64.b64encode(data)), data)

    def test_everything_else_is_refused(self) -> None:
        """Cancelling, missing or superfluous padding, bits behind the end, other alphabets, spaces (case A03)."""
        padding = (b"=", b"====", b"Z", b"Zg", b"Zg=", b"Zg===", b"Zh==", b"Zg==Zg==")
        for line in (b"*", *padding, b"Z g=", b"Zm9v\n", b"_-_-", b"\xff"):
            with self.subTest(line=line), self.assertRaises(SaslError):
                decode_response(line)

    def test_longest_response_is_decoded(self) -> None:
        """12,288 octets of base64; four more are refused."""
        self.assertEqual(len(decode_response(b"A" * MAX_RESPONSE)), MAX_RESPONSE // 4 * 3)
        with self.assertRaises(SaslError):
            decode_response(b"A" * (MAX_RESPONSE + 4))

    def test_initial_response_may_be_empty(self) -> None:
        """It is written as an equals sign; otherwise it is a response as any."""
        self.assertEqual(decode_initial(b"="), b"")
        self.assertEqual(decode_initial(b"AGFubgBwdw=="), b"\0ann\0pw")
        with self.assertRaises(SaslError):
            decode_initial(b"*")

    def test_refusal_does_not_quote_the_response(self) -> None:
        """It may hold a password."""
        for line in (b"sesame!", b"c2VzYW1l", b"x" * 20_000):
            try:
                Plain().step(decode_response(line))
            except SaslError as error:
                self.assertNotIn("sesame", str(error))
                self.assertIsNone(error.__cause__)

    def test_mechanisms_are_those_that_are_complete(self) -> None:
        """By the names they have on the wire; each exchange is a new machine."""
        self.assertEqual(set(MECHANISMS), {b"PLAIN", b"LOGIN"})
        for make in MECHANISMS.values():
            self.assertIsInstance(make().step(None), Challenge)
