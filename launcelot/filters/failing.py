"""How asking a filter fails, and what becomes of a mail then."""

from __future__ import annotations

from launcelot.checks.interface import ACCEPT, Action, Verdict


class FilterFailed(Exception):
    """A filter cannot be asked now; the text says why, for the log."""


def unavailable(defers: bool) -> Verdict:
    """
    The verdict for mail that a filter cannot be asked about.

    :param defers: it has to come again; otherwise it passes.
    """
    return Verdict(Action.DEFER, "Mail cannot be looked at now, come again", "4.3.0", 451) if defers else ACCEPT
