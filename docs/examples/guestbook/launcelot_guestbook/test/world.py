"""A guestbook in memory."""

from __future__ import annotations

from pathlib import Path

from launcelot.core.limits import ConnectionCount
from launcelot.testing.dialogue import play
from launcelot.testing.link import Link
from launcelot.testing.site import memory_site
from twisted.trial.unittest import SynchronousTestCase

from launcelot_guestbook.notes import MIGRATIONS, Notes
from launcelot_guestbook.server import GuestbookFactory
from launcelot_guestbook.service import Settings


class BookCase(SynchronousTestCase):
    """
    A test with a guestbook, its file, and the account ``ann`` with the password ``pw``.

    :cvar tls: whether the Site has a certificate.
    :cvar settings: what differs from the defaults.
    """

    tls = False
    settings = Settings(max_connections_per_source=3)

    def setUp(self) -> None:
        """Open the book."""
        self.world = memory_site(tls=self.tls, data=Path(self.mktemp()))
        self.world.add_user("ann", "pw")
        self.notes = Notes(self.world.site.database("guestbook", MIGRATIONS), self.settings.max_notes)
        self.world.open()
        self.addCleanup(self.world.close)
        count = ConnectionCount(self.settings.max_connections, self.settings.max_connections_per_source)
        self.factory = GuestbookFactory(self.world.site, "guestbook", count, self.settings, self.notes)

    def play(self, text: str, link: Link | None = None, chunk: int | None = None) -> Link:
        """Play a dialogue; see :mod:`launcelot.testing.dialogue`."""
        return play(self.factory, self.world.clock, text, link or self.world.connect(self.factory), chunk)

    def counted(self, name: str) -> int:
        """A counter's value."""
        return self.world.site.counters.value(f"guestbook.{name}")
