"""Sieve: the language that says what becomes of a message at delivery.  RFC 5228 and its extensions; no Twisted."""
