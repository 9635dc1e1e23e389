"""The guestbook alone: ``twistd -n launcelot-guestbook``."""

from launcelot.app.plugin import GuestMaker

guestbook = GuestMaker("guestbook", "A book in which accounts leave short notes.")
