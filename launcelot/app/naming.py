"""What the daemon calls itself."""

from __future__ import annotations

import socket

from launcelot.app.configuration import Configuration
from launcelot.core.errors import Invalid
from launcelot.message.address import parse_domain


def hostname_of(configuration: Configuration) -> str:
    """The configured name, or this machine's if it can stand in a greeting."""
    if configuration.daemon.hostname:
        return configuration.daemon.hostname
    own = socket.gethostname()
    try:
        return parse_domain(own)
    except Invalid:
        return "localhost"
