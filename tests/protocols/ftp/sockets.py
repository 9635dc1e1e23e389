"""The FTP service on real sockets, for clients we did not write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from launcelot.protocols.ftp.service import Settings, build
from launcelot.testing.site import memory_site


class RealServer:
    """
    A service with memory stores on the real reactor, stopped and checked at the end of the test.

    :param by_hand: the time of deadlines is ``clock``'s, which the test turns.
    :ivar port: of FTP.
    :ivar tls_port: of FTP inside TLS.
    """

    def __init__(
        self, test: TestCase, certificates: Any = False, files: Any = None, by_hand: bool = False, **settings: Any
    ) -> None:
        from twisted.internet import reactor

        world = memory_site(tls=certificates)
        world.add_user("ann", "pw")
        self.clock = world.clock
        self.site = replace(world.site, reactor=reactor, clock=world.clock if by_hand else reactor)
        if files is not None:
            self.site.files = files
        here = ("tcp:0:interface=127.0.0.1",)
        given = Settings(**{"listen": here, "listen_tls": here, **settings})
        self.listeners = build(self.site, given)
        self.listeners.startService()
        done: list[Any] = []
        Deferred.fromCoroutine(self.listeners.listen()).addBoth(done.append)
        if done != [None]:
            raise AssertionError(done)
        ports = {row.name: row.port for row in self.listeners.listening}
        self.port = ports["ftp"]
        self.tls_port = ports.get("ftps", 0)
        test.addCleanup(self.listeners.stopService)
