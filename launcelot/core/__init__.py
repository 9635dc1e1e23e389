"""The ground floor: errors, ids, settings, buffers, limits and counters.  Imports no Twisted."""
