"""Values of RFC 5322 and MIME: addresses, headers, structure, envelope, dates.  Imports no Twisted."""
