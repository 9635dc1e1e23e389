"""
The server: one request, one answer, and the end of the connection.

It hands out the policies of our domains (``https://mta-sts.DOMAIN/.well-known/mta-sts.txt``) and has nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcelot.core.wire import BareNewline, DeadlinePassed, LineTooLong
from launcelot.hosting.server import ServerFactory, ServerStream
from launcelot.message.dates import format_date
from launcelot.protocols.policy.grammar import (
    FIELDS,
    HOST,
    LINE,
    PATH,
    BadRequest,
    Request,
    answer,
    parse_request,
    policy_text,
)

if TYPE_CHECKING:
    from launcelot.core.limits import ConnectionCount
    from launcelot.hosting.site import Site
    from launcelot.protocols.policy.service import Settings


class PolicyServer(ServerStream):
    """One peer."""

    factory: PolicyFactory
    internal_error = answer(500)
    alpn = (b"http/1.1",)

    async def serve(self) -> None:
        """Hear one request, and answer it."""
        self.limit_total(self.factory.settings.timeout)
        try:
            request = await self.request()
        except BadRequest as bad:
            self.say(bad.code)
            return
        except DeadlinePassed:
            self.say(408)
            return
        self.commands += 1
        code = self.code_for(request)
        self.say(code, request.method != "HEAD")

    async def request(self) -> Request:
        """
        A whole request.

        :raises BadRequest: it is none, or too long.
        """
        too_long = 414
        try:
            first = await self.line(LINE)
            too_long, fields = 431, []
            while line := await self.line(LINE):
                fields.append(line)
                if len(fields) > FIELDS:
                    raise BadRequest(431)
        except LineTooLong:
            raise BadRequest(too_long) from None
        except BareNewline:
            raise BadRequest from None
        return parse_request(first, fields)

    def code_for(self, request: Request) -> int:
        """What becomes of a request."""
        domain = request.host.removeprefix(HOST)
        if domain == request.host or not self.site.accounts.is_local(domain):
            return 421
        if request.path != PATH:
            return 404
        return 200 if request.method in ("GET", "HEAD") else 405

    def say(self, code: int, with_body: bool = True) -> None:
        """Answer."""
        self.outcome = str(code)
        self.site.counters.add(f"policy.answers.{code}")
        body = self.factory.policy if code == 200 else b""
        self.write(answer(code, body, with_body, format_date(self.site.now())))


class PolicyFactory(ServerFactory):
    """Admits peers."""

    protocol = PolicyServer
    refusal = answer(503)
    offers_tls = False

    def __init__(self, site: Site, name: str, count: ConnectionCount, settings: Settings) -> None:
        super().__init__(site, name, count, implicit_tls=True)
        self.settings = settings
        hosts = settings.mx or (site.hostname,)
        self.policy = policy_text(settings.mode, hosts, settings.max_age).encode("ascii")
