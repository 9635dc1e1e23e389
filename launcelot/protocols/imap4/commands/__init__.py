"""IMAP's verbs, one short function each, and the table that drives dispatch (:mod:`.table`).  No Twisted."""
