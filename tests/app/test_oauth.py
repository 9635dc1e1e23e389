"""The table ``[oauth]``: what is wrong with it is said, and what is right logs in."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.accounts.tokens import TokenSettings
from launcelot.app.command import main
from launcelot.app.configuration import Configuration
from launcelot.app.settings import DaemonSettings
from launcelot.app.site import build_site
from launcelot.app.stores import build_stores, inline
from launcelot.app.streams import Streams
from launcelot.core.errors import BadCredentials
from launcelot.message.address import Address
from launcelot.testing.network import MemoryNetwork, MemoryReactor
from tests.accounts.tokens import Authority


class OauthTests(SynchronousTestCase):
    """From the configuration to a login."""

    def check(self, text: str) -> str:
        """What ``launcelot check`` says of it."""
        path = Path(self.mktemp())
        path.write_text(f"config_version = 1\n[oauth]\n{text}")
        streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
        main(["check", str(path)], streams)
        return str(streams.output.getvalue() + streams.errors.getvalue())  # type: ignore[attr-defined]

    def test_faults(self) -> None:
        """Each with its line."""
        said = self.check('keys = "/x"\nalgorithms = ["HS256"]\n')
        for words in ("oauth.issuer: must be set where", "oauth.audience: must be set", ":4: oauth.algorithms: 'HS256' is none"):
            self.assertIn(words, said)

    def test_site_takes_tokens(self) -> None:
        """Where keys are named, and only then; the wall clock is the real one."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        authority = Authority(folder / "keys.json")
        settings = TokenSettings(str(authority.path), "https://login.example", "launcelot")
        configuration = Configuration(daemon=DaemonSettings(domains=("here.example",), data=str(folder)), oauth=settings)
        clock = Clock()
        stores = build_stores(configuration, inline, clock)
        self.successResultOf(Deferred.fromCoroutine(stores.open()))
        self.successResultOf(Deferred.fromCoroutine(stores.accounts.add("ann", Address("ann", "here.example"), "pw")))
        reactor = MemoryReactor(clock, MemoryNetwork(clock))
        logins = build_site(reactor, configuration, stores, None).logins
        for expires, good in ((2**40, True), (1_000_000_000, False)):
            token = authority.token("e", "ES256", exp=expires)
            found = Deferred.fromCoroutine(logins.by_token(token, "", "192.0.2.1", "smtp"))
            if good:
                self.assertEqual(self.successResultOf(found)[0].name, "ann")
            else:
                self.failureResultOf(found, BadCredentials)
        self.assertIsNone(build_site(reactor, replace(configuration, oauth=TokenSettings()), stores, None).logins.tokens)
        self.successResultOf(Deferred.fromCoroutine(stores.close()))
