"""The service as the daemon sees it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from launcelot.app.guests import examine
from launcelot.testing.site import memory_site
from twisted.trial.unittest import SynchronousTestCase

from launcelot_guestbook.service import SERVICE, Settings, build


class ServiceTests(SynchronousTestCase):
    """What is built."""

    def test_fits_the_daemon(self) -> None:
        """The daemon's own examination finds nothing to say."""
        examine("guestbook", SERVICE)

    def test_listens_where_the_settings_say(self) -> None:
        """In clear and under TLS."""
        world = memory_site(tls=True, data=Path(self.mktemp()))
        endpoints = ("tcp:0:interface=127.0.0.1",)
        listeners = build(world.site, Settings(listen=endpoints, listen_tls=endpoints))
        world.result(listeners.listen())
        told = [(one.name, one.tls) for one in listeners.listening]
        self.assertEqual([("guestbook", "starttls"), ("guestbook-tls", "implicit")], told)
        self.successResultOf(listeners.stopService())

    def test_without_a_certificate(self) -> None:
        """No TLS is offered, and nothing listens for it."""
        world = memory_site(data=Path(self.mktemp()))
        listeners = build(world.site, Settings(listen_tls=("tcp:0:interface=127.0.0.1",)))
        self.assertEqual(["guestbook"], [one.name for one in listeners.listeners])

    def test_one_book_for_all(self) -> None:
        """Built anew by a reload it goes on in the same file, with the new settings."""
        world = memory_site(data=Path(self.mktemp()))
        world.add_user("ann", "pw")
        first, second = build(world.site, Settings()), build(world.site, dataclasses.replace(Settings(), max_note=7))
        world.open()
        self.addCleanup(world.close)
        before, after = (world.connect(one.listeners[0].factory) for one in (first, second))
        for link in (before, after):
            link.say(b"LOGIN ann pw\r\nWRITE I was here.\r\n")
        self.assertIn(b"OK 1 written\r\n", before.take())
        self.assertIn(b"NO a note has at most 7 octets\r\n", after.take())
        after.say(b"READ\r\n")
        self.assertIn(b"ann I was here.\r\n", after.take())

    def test_one_limit_for_both_listeners(self) -> None:
        """Who comes under TLS is counted with who does not."""
        world = memory_site(tls=True, data=Path(self.mktemp()))
        endpoints = ("tcp:0:interface=127.0.0.1",)
        settings = Settings(listen=endpoints, listen_tls=endpoints, max_connections=1)
        plain, secure = (one.factory for one in build(world.site, settings).listeners)
        world.connect(plain)
        self.assertTrue(world.connect(secure).closed)
