"""A Site without stores, and a server that talks in lines, for tests of the stream core."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock

from launcelot.core.limits import ConnectionCount
from launcelot.core.wire import BareNewline, DeadlinePassed, LineTooLong, Stopping
from launcelot.hosting.server import ServerFactory, ServerStream
from launcelot.hosting.site import Site
from tests.testing.certificates import contexts


def bare_site(clock: Clock) -> Site:
    """A Site with time, TLS and counters, and nothing else."""
    server, _ = contexts()
    nothing: Any = cast(Any, None)
    return Site(
        reactor=nothing,
        clock=clock,
        hostname="here.test",
        domain="test",
        accounts=nothing,
        logins=nothing,
        mail=nothing,
        files=nothing,
        spool=nothing,
        staging=nothing,
        tls=lambda: server,
        wall_clock=lambda: 1_000_000_000.0,
        random_bits=lambda bits: 7,
    )


class Talker(ServerStream):
    """
    Answers each line with ``<line>``.

    ``BODY n`` takes n octets and answers their number; ``STARTTLS`` starts TLS; ``BUG`` is a bug; ``FLOOD n`` writes n
    octets with drains; ``TALK n`` answers with n octets; ``WORK n`` takes n milliseconds; ``QUIT`` ends.
    """

    internal_error = b"!internal error\r\n"
    line_limit = 100

    async def serve(self) -> None:
        self.write(b"hello\r\n")
        self.limit_total(60)
        self.limit_idle(30)
        try:
            while await self.answer():
                pass
        except DeadlinePassed as passed:
            self.write(b"late " + passed.kind.encode() + b"\r\n")
            raise
        except Stopping:
            self.write(b"stopping\r\n")
            raise

    async def answer(self) -> bool:
        try:
            line = await self.line(self.line_limit)
        except BareNewline:
            self.write(b"!bare\r\n")
            return True
        except LineTooLong:
            self.write(b"!long\r\n")
            return False
        self.commands += 1
        verb, _, argument = line.partition(b" ")
        if verb == b"LOGIN":
            self.limit_total(None)
        elif verb == b"BODY":
            await self.body(int(argument))
            return True
        elif verb == b"STARTTLS":
            if self.pending:
                self.write(b"!injected\r\n")
                return False
            self.write(b"go\r\n")
            self.start_tls(self.site.server_tls())
            return True
        elif verb == b"BUG":
            raise ZeroDivisionError("secret detail")
        elif verb == b"FLOOD":
            for _ in range(int(argument) // 1000):
                self.write(b"x" * 1000)
                await self.drain()
            return True
        elif verb == b"TALK":
            self.write(b"x" * int(argument) + b"\r\n")
            return True
        elif verb == b"WORK":
            cast(Clock, self.clock).rightNow += int(argument) / 1_000
        elif verb == b"QUIT":
            self.outcome = "quit"
            self.write(b"bye\r\n")
            return False
        elif verb == b"ENOUGH":
            self.write(b"go away\r\n")
            return False
        self.write(b"<" + line + b">\r\n")
        return True

    async def body(self, size: int) -> None:
        self.limit_rate(100, 10)
        left = size
        while left:
            left -= len(await self.chunk(left))
        self.limit_rate(0, 0)
        self.write(b"got %d\r\n" % size)


class TalkerFactory(ServerFactory):
    """Makes Talkers."""

    protocol = Talker
    refusal = b"full\r\n"


def talker_factory(clock: Clock, total: int = 1000, per_source: int = 1000, implicit_tls: bool = False) -> TalkerFactory:
    """A factory on a bare Site."""
    return TalkerFactory(bare_site(clock), "talk", ConnectionCount(total, per_source), implicit_tls)
