"""Dovecot as an oracle: the same random commands on both servers (``python -m tests.clients.oracle --help``)."""
