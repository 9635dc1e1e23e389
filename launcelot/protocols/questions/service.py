"""The questions service: its settings and its listeners."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twisted.logger import Logger

from launcelot.core.limits import ConnectionCount
from launcelot.core.rates import TokenBuckets
from launcelot.core.settings import setting
from launcelot.hosting.datagrams import DatagramListener
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.site import Site
from launcelot.protocols.questions.answers import BOOK, Answering
from launcelot.protocols.questions.framed import JsonFactory, NetstringFactory, UntilCloseFactory
from launcelot.protocols.questions.grammar import MAX_QUESTION, MOST_QUESTION
from launcelot.protocols.questions.guests import Guest, find
from launcelot.protocols.questions.server import QuestionsFactory
from launcelot.protocols.questions.tables import Tables
from launcelot.protocols.questions.udp import QuestionsDatagrams

log = Logger(namespace="launcelot.questions")

BURST_SECONDS = 5.0
"""A source that was silent for that long may send at once what it might have sent meanwhile."""


@dataclass(frozen=True)
class Settings:
    """Settings of the questions service."""

    listen: tuple[str, ...] = setting(("tcp:1060:interface=127.0.0.1",), "Endpoints that answer in the clear.")
    listen_tls: tuple[str, ...] = setting((), "Endpoints that speak TLS from the first octet.")
    listen_netstring: tuple[str, ...] = setting((), "Endpoints where questions and answers are netstrings.")
    listen_json: tuple[str, ...] = setting((), "Endpoints where they are JSON behind a length of 32 bits.")
    listen_until_close: tuple[str, ...] = setting(
        (), "Endpoints where a question ends with the peer's side of the connection, and the answer with ours."
    )
    listen_udp: tuple[str, ...] = setting((), "UDP endpoints, such as 'udp:1060:interface=127.0.0.1'.")
    datagram_rate: float = setting(
        100.0,
        "Datagrams that one IPv4 address or IPv6 /64 may send for ever; five times as many at once. Others are dropped.",
        unit="datagrams per second",
        minimum=0.1,
    )
    tables: tuple[str, ...] = setting(
        (),
        "TOML or JSON files of questions and answers, read again when they change; later ones prevail."
        " Give absolute paths.",
    )
    book_tables: bool = setting(True, "Whether the book's two tables are answered, too.")
    answerer: str = setting(
        "",
        "A function answer(question), or an object that has one, asked what no table answers, such as"
        " 'package.module:object'. Empty: nobody.",
    )
    answer_timeout: float = setting(
        10.0, "How long the answerer may take; then the question gets an error.", unit="seconds", minimum=0.1, maximum=3_600
    )
    max_question: int = setting(
        MAX_QUESTION, "Longest question, mark included.", unit="octets", minimum=64, maximum=MOST_QUESTION
    )
    idle_timeout: float = setting(
        60.0, "How long a peer may take for its next whole question.", unit="seconds", minimum=1, maximum=86_400
    )
    max_connections: int = setting(10_000, "Connections in all.", unit="connections", minimum=1)
    max_connections_per_source: int = setting(
        50, "Connections from one IPv4 address or IPv6 /64.", unit="connections", minimum=1
    )


def answering(site: Site, settings: Settings) -> Answering:
    """
    Who answers, as the settings say: tables, then the guest.

    :raises BadSetting: a file or the guest cannot be used; the text is one line.
    """
    name = settings.answerer
    guest = Guest(name, find(name), site.counters, site.clock, settings.answer_timeout) if name else None
    return Tables(
        [Path(path).absolute() for path in settings.tables],
        site.clock.seconds,
        lambda text: log.warn("{text}", text=text),
        BOOK if settings.book_tables else {},
        guest,
    )


def build(site: Site, settings: Settings, answers: Answering | None = None) -> Listeners:
    """
    The service.

    :param answers: who answers; those of the settings if nobody is given.
    :raises BadSetting: a file or the guest of the settings cannot be used.
    """
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    who = answering(site, settings) if answers is None else answers
    plain = QuestionsFactory(site, "questions", count, settings, who)
    listeners = [Listener("questions", endpoint, plain) for endpoint in settings.listen]
    if site.has_tls:
        secure = QuestionsFactory(site, "questions-tls", count, settings, who, implicit_tls=True)
        listeners += [Listener("questions-tls", endpoint, secure) for endpoint in settings.listen_tls]
    for name, endpoints, kind in (
        ("questions-netstring", settings.listen_netstring, NetstringFactory),
        ("questions-json", settings.listen_json, JsonFactory),
        ("questions-until-close", settings.listen_until_close, UntilCloseFactory),
    ):
        factory = kind(site, name, count, settings, who)
        listeners += [Listener(name, endpoint, factory) for endpoint in endpoints]
    rates = TokenBuckets(settings.datagram_rate, max(1.0, BURST_SECONDS * settings.datagram_rate))
    datagrams = [
        DatagramListener("questions-udp", endpoint, QuestionsDatagrams(site, rates, settings, who))
        for endpoint in settings.listen_udp
    ]
    return Listeners(site.reactor, listeners, datagrams)
