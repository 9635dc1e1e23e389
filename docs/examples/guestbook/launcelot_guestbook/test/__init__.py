"""Run them with ``trial launcelot_guestbook`` or ``pytest --pyargs launcelot_guestbook``."""
