"""IMAP's syntax: octets to frozen values and back, for server and client.  RFC 3501 section 9.  No I/O, no Twisted."""
