"""OAUTHBEARER in every mail protocol: a token logs in, another is refused as RFC 7628 wants it, and nothing in the clear."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from launcelot.accounts.jsontokens import JwtTokens
from launcelot.accounts.tokens import TokenSettings
from launcelot.testing.link import Link
from launcelot.workers.memory import InlineWorkers
from tests.accounts.tokens import NOW, Authority
from tests.protocols.imap4.world import ImapCase
from tests.protocols.pop3.test_scram import Pop3Case
from tests.protocols.scramming import CERTIFICATES, Spoken
from tests.protocols.smtp.support import SmtpCase


def message(token: str, name: str = "") -> bytes:
    """The client's, in base64."""
    header = f"n,a={name}," if name else "n,,"
    return base64.b64encode(f"{header}\x01host=here.test\x01auth=Bearer {token}\x01\x01".encode())


class BearerTests:
    """
    What every server does; a test case gives the connections.

    :cvar spoken: the protocol's words.
    """

    spoken: Spoken
    world: Any

    def open_link(self, tls: bool = True) -> Link:
        """A peer that may log in as ann."""
        raise NotImplementedError

    def take_tokens(self: Any) -> None:
        """Have tokens of an authority taken."""
        self.authority = Authority(Path(self.mktemp()))
        settings = TokenSettings(
            str(self.authority.path), "https://login.example", "launcelot", scope="mail", discovery="https://login.example/x"
        )
        self.world.site.logins.tokens = JwtTokens(settings, InlineWorkers(), lambda: NOW)

    def answer(self, link: Link, line: bytes) -> bytes:
        """Say a line; the last one heard."""
        link.say(line + b"\r\n")
        return link.take().rstrip(b"\r\n").rpartition(b"\r\n")[2]

    def begun(self: Any, tls: bool = True) -> Link:
        """Behind the mechanism, which is asked for without an initial response."""
        link: Link = self.open_link(tls)
        heard = self.answer(link, self.spoken.begin + b"OAUTHBEARER")
        self.assertEqual(heard.strip(), self.spoken.more.strip())
        return link

    def test_token(self: Any) -> None:
        """Whoever has one is in; with the name to act as that is in it, or without."""
        self.take_tokens()
        for name in ("", "ann", "ann@test"):
            self.assertRegex(self.answer(self.begun(), message(self.authority.token(), name)), self.spoken.good)

    def test_refused(self: Any) -> None:
        """A challenge that says why, to be answered by anything; then the failure, and the session goes on."""
        self.take_tokens()
        for claims in ({"exp": NOW - 1_000}, {"preferred_username": "nobody"}, {"preferred_username": "\x00"}):
            link = self.begun()
            heard = self.answer(link, message(self.authority.token(**claims)))
            self.assertTrue(heard.startswith(self.spoken.more), heard)
            said = json.loads(base64.b64decode(heard[len(self.spoken.more) :]))
            self.assertEqual(
                said, {"status": "invalid_token", "scope": "mail", "openid-configuration": "https://login.example/x"}
            )
            self.assertRegex(self.answer(link, b"AQ=="), self.spoken.failed)
            self.answer(link, self.spoken.begin + b"OAUTHBEARER")
            self.assertRegex(self.answer(link, message(self.authority.token())), self.spoken.good)

    def test_acting_as_another(self: Any) -> None:
        """Nobody may."""
        self.take_tokens()
        self.assertNotRegex(self.answer(self.begun(), message(self.authority.token(), "bob")), self.spoken.good)

    def test_disabled_account(self: Any) -> None:
        """Its tokens are refused like others."""
        self.take_tokens()
        self.world.result(self.world.site.accounts.change("ann", enabled=False))
        link = self.begun()
        self.answer(link, message(self.authority.token()))
        self.assertRegex(self.answer(link, b"AQ=="), self.spoken.failed)

    def test_broken(self: Any) -> None:
        """What is no message, and a client that gives up."""
        self.take_tokens()
        for line in (base64.b64encode(b"n,,\x01\x01"), b"*", b"!", base64.b64encode(b"x" * 9_000)):
            heard = self.answer(self.begun(), line)
            self.assertTrue(re.match(self.spoken.broken, heard) or re.match(self.spoken.failed, heard), heard)

    def test_only_under_tls_and_where_it_is_set(self: Any) -> None:
        """Elsewhere it is a mechanism that is not known."""
        unknown = self.answer(self.open_link(), self.spoken.begin + b"NONSENSE")
        self.assertEqual(self.answer(self.open_link(), self.spoken.begin + b"OAUTHBEARER"), unknown)
        self.take_tokens()
        self.assertEqual(self.answer(self.open_link(False), self.spoken.begin + b"OAUTHBEARER"), unknown)


class SmtpBearerTests(BearerTests, SmtpCase):
    """Submission."""

    tls = CERTIFICATES
    spoken = Spoken(b"AUTH ", b"334 ", rb"^235 ", rb"^535 5.7.8 ", rb"^5(01|35) ")

    def open_link(self, tls: bool = True) -> Link:
        """Behind EHLO."""
        link = self.connect(self.submission)
        self.ask(link, b"EHLO me\r\n")
        if tls:
            self.ask(link, b"STARTTLS\r\n")
            link.start_tls(CERTIFICATES.client("here.test"))
            self.ask(link, b"EHLO me\r\n")
        return link

    def test_it_is_offered(self) -> None:
        """Under TLS, where there are keys; and taken with an initial response."""
        self.assertNotIn(b"OAUTHBEARER", b"".join(self.ask(self.open_link(), b"EHLO me\r\n")))
        self.take_tokens()
        self.assertNotIn(b"OAUTHBEARER", b"".join(self.ask(self.open_link(False), b"EHLO me\r\n")))
        link = self.open_link()
        self.assertIn(b"250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 OAUTHBEARER PLAIN LOGIN", self.ask(link, b"EHLO me\r\n"))
        self.assertEqual(self.codes(link, b"AUTH OAUTHBEARER " + message(self.authority.token()) + b"\r\n"), [235])
        self.assertEqual(self.codes(link, b"MAIL FROM:<ann@test>\r\n"), [250])


class ImapBearerTests(BearerTests, ImapCase):
    """IMAP."""

    tls = CERTIFICATES
    spoken = Spoken(b"a AUTHENTICATE ", b"+ ", rb"^a OK \[CAPABILITY ", rb"^a NO \[AUTHENTICATIONFAILED\] ", rb"^a (BAD|NO) ")

    def open_link(self, tls: bool = True) -> Link:
        """Beyond the greeting."""
        link: Link = self.world.connect(self.factory)
        link.take()
        if tls:
            self.ask(link, b"STARTTLS")
            link.start_tls(CERTIFICATES.client("here.test"))
        return link

    def test_it_is_offered(self) -> None:
        """As AUTH=OAUTHBEARER."""
        self.take_tokens()
        self.assertIn(b" AUTH=OAUTHBEARER ", self.ask(self.open_link(), b"CAPABILITY")[0])
        self.assertNotIn(b"OAUTHBEARER", self.ask(self.open_link(False), b"CAPABILITY")[0])


class Pop3BearerTests(BearerTests, Pop3Case):
    """POP3."""

    spoken = Spoken(b"AUTH ", b"+ ", rb"^\+OK 0 messages", rb"^-ERR \[AUTH\] ", rb"^-ERR ")

    def open_link(self, tls: bool = True) -> Link:
        """Beyond the greeting; a maildrop has one reader, so whoever came before leaves."""
        for session in list(self.factory.sessions):
            session.abort()
        self.world.network.pump()
        link: Link = self.world.connect(self.factory)
        link.take()
        if tls:
            link.say(b"STLS\r\n")
            link.take()
            link.start_tls(CERTIFICATES.client("here.test"))
        return link

    def test_it_is_offered(self) -> None:
        """In CAPA."""
        self.take_tokens()
        link = self.open_link()
        link.say(b"CAPA\r\n")
        self.assertIn(b" OAUTHBEARER ", link.take())
