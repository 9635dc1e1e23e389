"""Checks that ask programs beside us: milters, rspamd, filters that speak LMTP."""
