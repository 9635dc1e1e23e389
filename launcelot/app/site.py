"""
The real Site of a configuration: its stores, its certificate, its services.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.logger import Logger

from launcelot.accounts.tokens import Tokens
from launcelot.app.catalogue import SERVICES
from launcelot.app.configuration import Configuration
from launcelot.app.errors import CONFIGURATION, SOFTWARE, Ending
from launcelot.app.folder import cannot_write
from launcelot.app.guests import BadGuest, build
from launcelot.app.naming import hostname_of
from launcelot.app.part import WHOLE, Part
from launcelot.app.stores import Stores, utc_now
from launcelot.core.ids import RandomBits
from launcelot.core.settings import BadSetting
from launcelot.hosting.certificates import RENEW_DAYS, CertificateFiles, ensure, server_names
from launcelot.hosting.listening import Listeners
from launcelot.hosting.login import Logins
from launcelot.hosting.site import Site
from launcelot.hosting.tls import BadCertificate, ServerTls

log = Logger(namespace="launcelot.daemon")


class DaemonTls:
    """
    The daemon's certificate: a configured one, or one of our own in the data folder.

    Building does nothing; :meth:`load` reads or makes the files.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._settings = configuration.tls
        self._folder = configuration.data / "tls"
        self._names = server_names(hostname_of(configuration), *configuration.daemon.domains)
        self._server: ServerTls | None = None

    def load(self) -> None:
        """
        Read the certificate, and make it before where none is configured.

        :raises Ending: it cannot be used, or not written.
        """
        try:
            files = self._files()
            self._server = ServerTls(files.certificate, files.key, self._settings.minimum_version)
        except BadCertificate as bad:
            raise Ending(str(bad), CONFIGURATION) from bad
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def expect(self) -> None:
        """
        See whether a configured certificate can be used, and change nothing.

        :raises Ending: it cannot.
        """
        if self._settings.certificate:
            self.load()

    def _files(self) -> CertificateFiles:
        if self._settings.certificate:
            return CertificateFiles(Path(), Path(self._settings.certificate), Path(self._settings.key))
        return ensure(self._folder, self._names, utc_now())

    def renewed(self, configuration: Configuration) -> DaemonTls:
        """
        What serves from now on: this object, where settings and files are what they were, or else a new one, loaded.

        :raises Ending: the new certificate cannot be used.
        """
        fresh = DaemonTls(configuration)
        fresh.load()
        same = self._server is not None and fresh._server is not None and self._server.is_as(fresh._server)
        return self if same and self._settings == fresh._settings else fresh

    @property
    def authority(self) -> Path | None:
        """The file of our own authority, for clients to trust; None with a configured certificate."""
        return None if self._settings.certificate else self._folder / "ca.pem"

    def __call__(self) -> Any:
        """The context for a new connection."""
        if self._server is None:
            raise LookupError("the certificate has not been loaded")
        return self._server()

    def look_after(self) -> None:
        """Renew our own certificate when it is due, and warn of a configured one that is about to end."""
        server = self._server
        if server is None:
            return
        if server.expires - utc_now() >= timedelta(days=RENEW_DAYS):
            return
        if self._settings.certificate:
            log.warn("the certificate {path} ends on {date}", path=str(server.certificate), date=str(server.expires))
            return
        try:
            self._files()
        except OSError as error:
            log.error("cannot renew the certificate: {reason}", reason=str(error))


def tls_of(configuration: Configuration, before: DaemonTls | None) -> DaemonTls | None:
    """
    The certificate of a configuration, loaded; None where TLS is off.

    :param before: what served until now; it stays where it is the same.
    :raises Ending: it cannot be used.
    """
    if not configuration.tls.enabled:
        return None
    if before is not None:
        return before.renewed(configuration)
    fresh = DaemonTls(configuration)
    fresh.load()
    return fresh


def build_site(
    reactor: Any,
    configuration: Configuration,
    stores: Stores,
    tls: DaemonTls | None,
    checkers: Sequence[ICredentialsChecker] = (),
    part: Part = WHOLE,
) -> Site:
    """
    The Site of a configuration.

    :param checkers: asked about passwords before the account base.
    :param part: which of several processes this is.
    """
    logins = Logins(stores.accounts, stores.counters, reactor.seconds, checkers, tokens_of(configuration, stores))
    if part.failures is not None:
        logins.share(part.failures, part.of)
    return Site(
        reactor=reactor,
        clock=reactor,
        hostname=hostname_of(configuration),
        domain=configuration.daemon.domains[0],
        accounts=stores.accounts,
        logins=logins,
        random_bits=RandomBits(),
        mail=stores.mail,
        files=stores.files,
        spool=stores.spool,
        staging=stores.staging,
        tls=tls,
        aside=stores.readers,
        counters=stores.counters,
        databases=stores.databases,
        relays=stores.relay is not None,
        deposits=stores.deposits,
        checks=stores.checks,
        signer=stores.signer,
        forwarding=stores.forwarding,
        trail=stores.trail,
        team_place=configuration.files.team_place,
    )


def tokens_of(configuration: Configuration, stores: Stores) -> Tokens | None:
    """What tells whose a token is; None where none are taken."""
    if not configuration.oauth.keys:
        return None
    # PyJWT is imported by those only who use it.
    from launcelot.accounts.jsontokens import JwtTokens

    return JwtTokens(configuration.oauth, stores.readers, time.time)


def build_services(site: Site, configuration: Configuration) -> Mapping[str, Listeners]:
    """
    The listeners of every service that is enabled, by its name.

    :raises Ending: a service cannot be built from its settings.
    """
    try:
        return {name: _built(name, site, configuration) for name in configuration.services}
    except BadSetting as bad:
        raise Ending(str(bad), CONFIGURATION) from bad
    except BadGuest as bad:
        raise Ending(bad.text, SOFTWARE) from bad


def _built(name: str, site: Site, configuration: Configuration) -> Listeners:
    settings = configuration.services[name]
    if name in SERVICES:
        built: Listeners = SERVICES[name].builder()(site, settings)
        return built
    return build(name, configuration.entry(name), site, settings)
