"""
The checks of a configuration.
"""

from __future__ import annotations

from typing import Any

from launcelot.app.configuration import Configuration
from launcelot.app.naming import hostname_of
from launcelot.checks.impatience import Impatient
from launcelot.checks.names import Names
from launcelot.checks.remembering import MIGRATIONS
from launcelot.checks.running import Checks
from launcelot.checks.settings import build_checks
from launcelot.core.counters import Counters
from launcelot.workers.databases import Databases
from launcelot.workers.interface import Workers


def checks_of(
    reactor: Any, configuration: Configuration, databases: Databases, counters: Counters, aside: Workers
) -> Checks | None:
    """
    What looks at mail from strangers; None where nothing is switched on.

    :param aside: where long computations run.
    """
    resolvers: list[Any] = []
    patient: list[Names] = []

    def names() -> Names:
        # twisted.names is imported by those only who ask.
        from launcelot.relay.resolver import NamesResolver
        from launcelot.relay.routes import server_of

        if not resolvers:
            resolvers.append(NamesResolver(reactor, [server_of(one) for one in configuration.relay.dns_servers]))
            patient.append(Impatient(resolvers[0], reactor, counters))
        return patient[0]

    def close() -> None:
        for one in resolvers:
            one.close()

    settings = configuration.checks
    checks = build_checks(settings, names, lambda: databases.get("checks", MIGRATIONS), aside)
    if settings.filters:
        # What speaks to filters is imported by those only who have some.
        from launcelot.app.filtering import guest_check
        from launcelot.filters.settings import build_filters

        checks += build_filters(
            settings.filters, reactor, hostname_of(configuration), settings.filter_timeout, guest_check
        )
    return Checks(checks, reactor, counters, settings.trusted_networks, close) if checks else None
