"""The questions service: its settings and its listeners."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.core.limits import ConnectionCount
from launcelot.core.settings import setting
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.site import Site
from launcelot.protocols.questions.answers import Answering, Answers
from launcelot.protocols.questions.grammar import MAX_QUESTION
from launcelot.protocols.questions.server import QuestionsFactory


@dataclass(frozen=True)
class Settings:
    """Settings of the questions service."""

    listen: tuple[str, ...] = setting(("tcp:1060:interface=127.0.0.1",), "Endpoints that answer in the clear.")
    listen_tls: tuple[str, ...] = setting((), "Endpoints that speak TLS from the first octet.")
    max_question: int = setting(
        MAX_QUESTION, "Longest question, mark included.", unit="octets", minimum=64, maximum=65_536
    )
    idle_timeout: float = setting(
        60.0, "How long a peer may take for its next whole question.", unit="seconds", minimum=1, maximum=86_400
    )
    max_connections: int = setting(10_000, "Connections in all.", unit="connections", minimum=1)
    max_connections_per_source: int = setting(
        50, "Connections from one IPv4 address or IPv6 /64.", unit="connections", minimum=1
    )


def build(site: Site, settings: Settings, answers: Answering | None = None) -> Listeners:
    """
    The service.

    :param answers: who answers; the book's two tables if nobody is given.
    """
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    answering = Answers() if answers is None else answers
    plain = QuestionsFactory(site, "questions", count, settings, answering)
    listeners = [Listener("questions", endpoint, plain) for endpoint in settings.listen]
    if site.has_tls:
        secure = QuestionsFactory(site, "questions-tls", count, settings, answering, implicit_tls=True)
        listeners += [Listener("questions-tls", endpoint, secure) for endpoint in settings.listen_tls]
    return Listeners(site.reactor, listeners)
