"""
What domains demand of TLS by MTA-STS: a record in the DNS that says that there is a policy, and the policy on the web.  RFC 8461.

Policies are kept on disk for as long as they want, so that whoever hides record or web server from us gains nothing once we have
seen a policy.  One that was fetched is fetched anew when the record's id changes, and when half its time has passed.

Left out: reports about TLS (RFC 8460), so that a policy in ``testing`` has no effect at all.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from launcelot.core.counters import Counters
from launcelot.core.errors import Refusal
from launcelot.relay.resolver import NoAnswer, NoSuchName
from launcelot.workers.database import Database, script

OLDEST = 31_557_600
"""Seconds that a policy may be kept.  RFC 8461 section 3.2."""

RETRY = 300.0
"""Seconds after a fetch that failed before there is another.  RFC 8461 section 3.3."""

FAILED_KEPT = 1_000
"""Domains whose fetch has failed that are remembered."""

MOST_HOSTS = 200
"""``mx`` lines of one policy."""

MIGRATIONS = (
    script(
        """
        CREATE TABLE policies (
            domain TEXT PRIMARY KEY, id TEXT NOT NULL, policy TEXT NOT NULL, fetched REAL NOT NULL, expires REAL NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX policies_by_end ON policies (expires);
        """
    ),
)

_RECORD = re.compile(r"v=STSv1[ \t]*;[ \t]*(.*)\Z", re.DOTALL)
_ID = re.compile(r"id=([A-Za-z0-9]{1,32})\Z")
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*(.*?)[ \t]*\Z")
_AGE = re.compile(r"[0-9]{1,10}\Z")
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\Z")


class Mode(Enum):
    """What a policy wants."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


class BadPolicy(Exception):
    """A policy that says nothing that could be followed."""


class NotFetched(Exception):
    """A policy cannot be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """
    One policy.

    :ivar hosts: patterns of mail hosts, lower-case: names, or ``*.`` and a name.
    :ivar age: seconds for which it may be kept.
    """

    mode: Mode
    hosts: tuple[str, ...]
    age: int

    def allows(self, host: str) -> bool:
        """
        Whether a mail host is one of the policy's.  RFC 8461 section 4.1.

        :param host: in A-labels, lower-case.
        """
        above = host.partition(".")[2]
        return host in self.hosts or (bool(above) and f"*.{above}" in self.hosts)


def parse_policy(text: str) -> Policy:
    """
    Read a policy.  RFC 8461 section 3.2.

    :raises BadPolicy: it is none.
    """
    fields: dict[str, str] = {}
    hosts: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        found = _LINE.match(line)
        if found is None:
            if line.strip(" \t"):
                raise BadPolicy(f"{line[:80]!r} is no line of a policy")
        elif found[1] == "mx":
            hosts.append(found[2].lower())
        else:
            # Of several the first counts.
            fields.setdefault(found[1], found[2])
    if fields.get("version") != "STSv1":
        raise BadPolicy("its version is not STSv1")
    try:
        mode = Mode(fields.get("mode", ""))
    except ValueError:
        raise BadPolicy("it has no mode") from None
    age = fields.get("max_age", "")
    if _AGE.match(age) is None:
        raise BadPolicy("it has no max_age")
    if len(hosts) > MOST_HOSTS or not all(_HOST.match(one) for one in hosts) or not (hosts or mode is Mode.NONE):
        raise BadPolicy("it names no mail hosts, too many, or what could be none")
    return Policy(mode, tuple(hosts), min(int(age), OLDEST))


def parse_record(texts: Sequence[bytes]) -> str:
    """
    The id that the TXT records of ``_mta-sts`` give; empty where there is no policy.  RFC 8461 section 3.1.

    Of records that do not begin as they should nothing is thought; two that do are none.
    """
    found = [_RECORD.match(one.decode("ascii", "replace")) for one in texts]
    bodies = [one[1] for one in found if one is not None]
    if len(bodies) != 1:
        return ""
    ids = [one for one in map(_ID.match, (field.strip(" \t") for field in bodies[0].split(";"))) if one is not None]
    return ids[0][1] if len(ids) == 1 else ""


class Texts(Protocol):
    """What is used of a resolver."""

    async def texts(self, name: str) -> Sequence[bytes]:
        """The TXT records of a name."""


Fetch = Callable[[str], Awaitable[str]]
"""Gets the text of a domain's policy, or raises :class:`NotFetched`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """
    A policy on disk.

    :ivar fetched: wall-clock seconds; likewise ``expires``.
    """

    id: str
    policy: Policy
    fetched: float
    expires: float


class Policies:
    """
    Finds policies.

    :param database: made with :data:`MIGRATIONS`; not owned.
    :param now: wall-clock seconds.
    """

    log = Logger(namespace="launcelot.relay")

    def __init__(
        self, resolver: Texts, fetch: Fetch, database: Database, now: Callable[[], float], counters: Counters
    ) -> None:
        self._resolver = resolver
        self._fetch = fetch
        self._database = database
        self._now = now
        self._counters = counters
        self._failed: dict[tuple[str, str], float] = {}
        self._fetching: dict[str, list[Deferred[None]]] = {}

    async def policy(self, domain: str) -> Policy | None:
        """
        What a domain demands now; None for nothing.

        :param domain: of recipients, in A-labels, lower-case.
        :raises Refusal: what we know cannot be read now.
        """
        kept = self._kept(domain)
        id = await self._id(domain)
        if id and self._is_due(domain, id, kept):
            await self._renew(domain, id)
            kept = self._kept(domain)
        return None if kept is None or kept.policy.mode is Mode.NONE else kept.policy

    def _is_due(self, domain: str, id: str, kept: Kept | None) -> bool:
        now = self._now()
        fresh = kept is not None and kept.id == id and now <= (kept.fetched + kept.expires) / 2
        return not fresh and self._failed.get((domain, id), 0.0) <= now

    async def _id(self, domain: str) -> str:
        try:
            return parse_record(await self._resolver.texts(f"_mta-sts.{domain}"))
        except (NoSuchName, NoAnswer):
            return ""

    async def _renew(self, domain: str, id: str) -> None:
        """Fetch, once however many wait for it."""
        others = self._fetching.get(domain)
        if others is not None:
            done: Deferred[None] = Deferred()
            others.append(done)
            await done
            return
        self._fetching[domain] = []
        try:
            await self._fetch_and_keep(domain, id)
        finally:
            for one in self._fetching.pop(domain):
                one.callback(None)

    async def _fetch_and_keep(self, domain: str, id: str) -> None:
        try:
            text = await self._fetch(domain)
            await self._keep(domain, id, text, parse_policy(text))
        except (NotFetched, BadPolicy, Refusal) as error:
            self._counters.add("relay.policies.failed")
            self.log.warn("the MTA-STS policy of {domain} cannot be had: {reason}", domain=domain, reason=str(error))
            if len(self._failed) >= FAILED_KEPT:
                self._failed.clear()
            self._failed[domain, id] = self._now() + RETRY
        else:
            self._counters.add("relay.policies.fetched")

    async def _keep(self, domain: str, id: str, text: str, policy: Policy) -> None:
        now = self._now()
        row = (domain, id, text, now, now + policy.age)

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM policies WHERE expires < ?", (now,))
            connection.execute("INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?, ?)", row)

        await self._database.write(job)

    def _kept(self, domain: str) -> Kept | None:
        def job(connection: sqlite3.Connection) -> tuple[str, str, float, float] | None:
            query = "SELECT id, policy, fetched, expires FROM policies WHERE domain = ? AND expires >= ?"
            found: tuple[str, str, float, float] | None = connection.execute(query, (domain, self._now())).fetchone()
            return found

        row = self._database.read(job)
        if row is None:
            return None
        id, text, fetched, expires = row
        return Kept(id, parse_policy(text), fetched, expires)
