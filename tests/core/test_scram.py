"""Both sides of SCRAM without a connection."""

from __future__ import annotations

import base64
import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.sasl import SaslError
from launcelot.core.saslprep import NotPrepared
from launcelot.core.scram import (
    LEAST_ITERATIONS,
    MAX_NONCE,
    MOST_ITERATIONS,
    Claim,
    Client,
    Keys,
    Server,
    Untrusted,
    WrongProof,
    derive,
    keys_of,
    nobody,
    read_keys,
    salt_for,
    write_keys,
)

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
SALTED = derive("pencil", SALT, 4096)
KEYS = keys_of(SALTED, SALT, 4096)
CLIENT_NONCE = b"rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CLIENT_FIRST = b"n,,n=user,r=" + CLIENT_NONCE
SERVER_FIRST = b"r=" + CLIENT_NONCE + SERVER_NONCE + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = (
    b"c=biws,r=" + CLIENT_NONCE + SERVER_NONCE + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

BINDINGS = {"tls-exporter": b"exported octets", "tls-server-end-point": b"certificate's digest"}


def server(plus: bool = False, offered: bool = False, nonce: bytes = SERVER_NONCE) -> Server:
    """A server's side on a connection with :data:`BINDINGS`."""
    return Server(plus, offered, BINDINGS.get if offered else lambda kind: None, nonce)


def asked(plus: bool = False, offered: bool = False) -> Server:
    """A server's side that has told its terms."""
    side = server(plus, offered)
    side.first((b"p=tls-exporter,,n=user,r=" if plus else b"n,,n=user,r=") + CLIENT_NONCE)
    side.challenge(KEYS)
    return side


class VectorTests(SynchronousTestCase):
    """The exchange of RFC 7677 section 3."""

    def test_server_says_what_the_rfc_says(self) -> None:
        """Octet by octet."""
        side = server()
        self.assertEqual(side.first(CLIENT_FIRST), Claim("user"))
        self.assertEqual(side.challenge(KEYS), SERVER_FIRST)
        self.assertEqual(side.final(CLIENT_FINAL), SERVER_FINAL)

    def test_client_says_what_the_rfc_says(self) -> None:
        """Octet by octet."""
        side = Client("user", CLIENT_NONCE)
        self.assertEqual(side.first, CLIENT_FIRST)
        terms = side.terms(SERVER_FIRST)
        self.assertEqual((terms.salt, terms.iterations), (SALT, 4096))
        self.assertEqual(side.final(SALTED), CLIENT_FINAL)
        side.verify(SERVER_FINAL)


class ServerTests(SynchronousTestCase):
    """What a server takes and refuses."""

    def test_names_are_unescaped_and_prepared(self) -> None:
        """RFC 5802 section 5.1; both names."""
        for raw, name in ((b"a=2Cb=3Dc", "a,b=c"), ("I\u00adX".encode(), "IX"), (b"ann@example.org", "ann@example.org")):
            self.assertEqual(server().first(b"n,a=bo=3Db,n=" + raw + b",r=x"), Claim(name, "bo=b"))

    def test_malformed_first_messages_are_refused(self) -> None:
        """Each part missing, out of order, foreign or too long."""
        for message in (
            b"",
            b"n",
            b"n,",
            b"n,,",
            b"n,,n=user",
            b"n,,r=x",
            b"n,,r=x,n=user",
            b"n,,n=,r=x",
            b"n,,n=user,r=",
            b"n,,n=us,er,r=x",
            b"n,,n=us=er,r=x",
            b"n,,n=us=2cer,r=x",
            b"n,,n=us\0er,r=x",
            b"n,,n=\xff,r=x",
            b"n,,n=user,r=a b",
            b"n,,n=user,r=x,",
            b"n,,n=user,r=x,1=2",
            b"n,,m=x,n=user,r=x",
            b"n,b=x,n=user,r=x",
            b"n,a=,n=user,r=x",
            b"n,a=\xff,n=user,r=x",
            b"x,,n=user,r=x",
            b"N,,n=user,r=x",
            b"n,,n=" + "\u0627\u0031".encode() + b",r=x",
            b"n,,n=\xc2\xad,r=x",
            b"n,,n=" + b"u" * 1025 + b",r=x",
            b"n,,n=" + b"=2C" * 2000 + b",r=x",
            b"n,,n=user,r=" + b"x" * (MAX_NONCE + 1),
        ):
            with self.assertRaises(SaslError, msg=repr(message)):
                server().first(message)

    def test_extensions_are_passed_over(self) -> None:
        """Optional ones in either message, as RFC 5802 section 5.1 asks."""
        side = server()
        side.first(CLIENT_FIRST + b",q=what,Z=ever")
        side.challenge(KEYS)
        client = Client("user", CLIENT_NONCE)
        client.terms(SERVER_FIRST)
        self.assertRaises(WrongProof, side.final, client.final(SALTED))

    def test_binding_and_mechanism_must_agree(self) -> None:
        """``p=`` belongs to -PLUS and nothing else does; unknown bindings are refused.  RFC 5802 section 6."""
        for plus, offered, flag in (
            (False, True, b"p=tls-exporter"),
            (True, True, b"n"),
            (True, True, b"y"),
            (True, True, b"p=tls-unique"),
            (True, True, b"p="),
            (True, False, b"p=tls-exporter"),
        ):
            with self.assertRaises(SaslError, msg=repr((plus, offered, flag))):
                server(plus, offered).first(flag + b",,n=user,r=x")

    def test_hidden_offer_is_noticed(self) -> None:
        """A client that would have bound and was not offered it has been deceived.  RFC 5802 section 6."""
        self.assertRaises(SaslError, server(offered=True).first, b"y,,n=user,r=x")
        self.assertEqual(server(offered=False).first(b"y,,n=user,r=x"), Claim("user"))
        self.assertEqual(server(offered=True).first(b"n,,n=user,r=x"), Claim("user"))

    def test_wrong_proofs_are_refused(self) -> None:
        """Every bit of the right one turned."""
        proof = base64.b64decode(CLIENT_FINAL.partition(b",p=")[2])
        for place in range(len(proof) * 8):
            wrong = bytearray(proof)
            wrong[place // 8] ^= 1 << place % 8
            message = CLIENT_FINAL.partition(b",p=")[0] + b",p=" + base64.b64encode(wrong)
            self.assertRaises(WrongProof, asked().final, message)

    def test_malformed_final_messages_are_refused(self) -> None:
        """Cut anywhere, or not what base64 is."""
        for cut in range(len(CLIENT_FINAL)):
            self.assertRaises(SaslError, asked().final, CLIENT_FINAL[:cut])
        for old, new in (
            (b"p=dHz", b"p=dH!"),
            (b"VQ=", b"VR="),
            (b"VQ=", b"VQ=="),
            (b",p=", b",x=1,y,p="),
            (b"c=biws,", b""),
            (b"c=", b"C="),
        ):
            self.assertRaises(SaslError, asked().final, CLIENT_FINAL.replace(old, new))

    def test_nonce_must_be_this_exchange_s(self) -> None:
        """Another one, part of it, or more than it: what was overheard is of no use."""
        for old, new in ((CLIENT_NONCE, b"x" * 20), (SERVER_NONCE, b""), (SERVER_NONCE, SERVER_NONCE + b"x")):
            self.assertRaises(SaslError, asked().final, CLIENT_FINAL.replace(old, new))
        again = server(nonce=b"another")
        again.first(CLIENT_FIRST)
        again.challenge(KEYS)
        self.assertRaises(SaslError, again.final, CLIENT_FINAL)

    def test_one_exchange_ends_once(self) -> None:
        """A second final message finds nothing, nor does one before the challenge."""
        side = asked()
        side.final(CLIENT_FINAL)
        self.assertRaises(SaslError, side.final, CLIENT_FINAL)
        side = server()
        side.first(CLIENT_FIRST)
        self.assertRaises(SaslError, side.final, CLIENT_FINAL)

    def test_flag_is_under_the_proof(self) -> None:
        """What the client said of bindings cannot be changed on its way."""
        side = server()
        side.first(b"y" + CLIENT_FIRST[1:])
        side.challenge(KEYS)
        self.assertRaises(SaslError, side.final, CLIENT_FINAL)

    @given(st.binary(max_size=80))
    def test_any_octets_are_taken_or_refused(self, message: bytes) -> None:
        """Nothing else is ever raised, in either place."""
        for feed in (server().first, asked().final):
            try:
                feed(message)
            except SaslError:
                pass


class ExchangeTests(SynchronousTestCase):
    """Both sides together."""

    def exchange(
        self, client: Client, plus: bool = False, offered: bool = False, keys: Keys = KEYS, password: str = "pencil"
    ) -> Claim:
        """One exchange, to its end."""
        side = server(plus, offered)
        claim = side.first(client.first)
        terms = client.terms(side.challenge(keys))
        client.verify(side.final(client.final(derive(password, terms.salt, terms.iterations))))
        return claim

    def test_password_in_any_spelling_is_right(self) -> None:
        """SASLprep makes them one."""
        keys = keys_of(derive("caf\u00e9 \ufb01", SALT, 4096, stored=True), SALT, 4096)
        self.exchange(Client("user", b"abc"), keys=keys, password="cafe\u0301\u00a0fi")

    def test_names_survive(self) -> None:
        """With what the syntax needs for itself."""
        claim = self.exchange(Client("a,b=c\u00e9", b"abc", authorize="=,"))
        self.assertEqual(claim, Claim("a,b=c\u00e9", "=,"))

    def test_bound_exchange(self) -> None:
        """-PLUS, with each binding."""
        for kind, octets in BINDINGS.items():
            self.exchange(Client("user", b"abc", (kind, octets)), plus=True, offered=True)

    def test_other_channel_is_noticed(self) -> None:
        """Somebody in the middle has two channels."""
        client = Client("user", b"abc", ("tls-exporter", b"another channel"))
        error = self.assertRaises(SaslError, self.exchange, client, plus=True, offered=True)
        self.assertNotIsInstance(error, WrongProof)

    def test_wrong_password(self) -> None:
        """It does not fit, nor does any for nobody's keys."""
        self.assertRaises(WrongProof, self.exchange, Client("user", b"abc"), password="pencils")
        self.assertRaises(WrongProof, self.exchange, Client("user", b"abc"), keys=nobody(b"s" * 32, "user", 4096))


class ClientTests(SynchronousTestCase):
    """What a client believes."""

    def setUp(self) -> None:
        """A client that has sent its first message."""
        self.client = Client("user", CLIENT_NONCE)

    def test_nonce_must_begin_with_ours(self) -> None:
        """And go on: a server that adds nothing cannot tell a replay."""
        for old, new in ((CLIENT_NONCE, b"x"), (SERVER_NONCE, b"")):
            self.assertRaises(Untrusted, self.client.terms, SERVER_FIRST.replace(old, new))

    def test_malformed_terms_are_refused(self) -> None:
        """Cut anywhere before the count, without a salt, with endless ones."""
        for cut in range(len(SERVER_FIRST) - 4):
            self.assertRaises(SaslError, self.client.terms, SERVER_FIRST[:cut])
        for old, new in (
            (b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s="),
            (b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s=!!!!"),
            (b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s=" + base64.b64encode(b"s" * 1025)),
            (SERVER_NONCE, b"x" * (MAX_NONCE + 1)),
            (b"r=", b"m=x,r="),
        ):
            self.assertRaises(SaslError, self.client.terms, SERVER_FIRST.replace(old, new))

    def test_work_is_bounded_both_ways(self) -> None:
        """Few iterations would help who listens, many would keep us busy."""
        for number in (0, 1, LEAST_ITERATIONS - 1, MOST_ITERATIONS + 1, 10**12):
            self.assertRaises(SaslError, self.client.terms, SERVER_FIRST.replace(b"4096", b"%d" % number))
        for number in (LEAST_ITERATIONS, MOST_ITERATIONS):
            self.assertEqual(self.client.terms(SERVER_FIRST.replace(b"4096", b"%d" % number)).iterations, number)

    def test_server_must_prove_itself(self) -> None:
        """Another signature, none, or one before the exchange is no proof."""
        self.assertRaises(Untrusted, self.client.verify, SERVER_FINAL)
        self.client.terms(SERVER_FIRST)
        self.client.final(SALTED)
        for message in (b"", b"v=", SERVER_FINAL.replace(b"6r", b"6s"), SERVER_FINAL[:-4], b"x" + SERVER_FINAL):
            self.assertRaises(SaslError, self.client.verify, message)
        self.assertRaises(WrongProof, self.client.verify, b"e=invalid-proof")
        self.client.verify(SERVER_FINAL + b",x=later")

    def test_names_that_cannot_be_sent(self) -> None:
        """Nothing is left of them, or they are prohibited."""
        for name in ("", "\u00ad", "a\0b"):
            self.assertRaises(NotPrepared, Client, name, b"abc")


class KeysTests(SynchronousTestCase):
    """What is kept."""

    def test_keys_are_read_as_written(self) -> None:
        """RFC 5803 section 2."""
        text = write_keys(KEYS)
        self.assertTrue(text.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"))
        self.assertEqual(read_keys(text), KEYS)

    def test_damaged_keys_are_none(self) -> None:
        """Cut anywhere, with foreign characters, or with counts no client computes."""
        text = write_keys(KEYS)
        for damaged in (
            *(text[:cut] for cut in range(len(text))),
            text.replace("4096", "4095"),
            text.replace("4096", "99999999"),
            text.replace("=", "\u00e9", 1),
            text + "=",
        ):
            self.assertIsNone(read_keys(damaged), damaged)

    def test_secrets_are_not_shown(self) -> None:
        """Not even in a traceback's locals."""
        self.assertNotIn(repr(KEYS.stored), repr(KEYS))
        self.assertNotIn(repr(KEYS.server), repr(KEYS))

    def test_nobody_s_keys_are_steady_and_its_own(self) -> None:
        """The same each time, of the same kind as others, different by name and by directory."""
        keys = nobody(b"s" * 32, "bob", 4096)
        self.assertEqual(keys, nobody(b"s" * 32, "bob", 4096))
        self.assertEqual(keys.salt, salt_for(b"s" * 32, "bob"))
        self.assertEqual((len(keys.salt), len(keys.stored), len(keys.server)), (16, 32, 32))
        self.assertNotEqual(keys.salt, salt_for(b"s" * 32, "ann"))
        self.assertNotEqual(keys.salt, salt_for(b"t" * 32, "bob"))
        self.assertNotEqual(hashlib.sha256(keys.server).digest(), keys.stored)
