"""
Writes ``docs/imap-capabilities.rst`` from the tables that the server runs by; a test compares it with what is there.

::

    python -m launcelot.protocols.imap4.documentation > docs/imap-capabilities.rst
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from launcelot.protocols.imap4.capabilities import CAPABILITIES, Circumstances
from launcelot.protocols.imap4.codes import LEFT_OUT, SENT
from launcelot.protocols.imap4.commands.table import COMMANDS
from launcelot.protocols.imap4.session import Extension, State

HEAD = """\
IMAP: capabilities, commands, response codes
============================================

Generated from the code by ``python -m launcelot.protocols.imap4.documentation``; do not edit.
"""

STATES = {State.NOT_AUTHENTICATED: "N", State.AUTHENTICATED: "A", State.SELECTED: "S"}

MOMENTS = {
    "before login, in clear": Circumstances(True, True, False, 0, (b"SCRAM-SHA-256", b"PLAIN", b"LOGIN")),
    "before login, inside TLS": Circumstances(
        False, True, False, 0, (b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256", b"PLAIN", b"LOGIN")
    ),
    "before login, where passwords need TLS": Circumstances(True, False, False, 0),
    "behind it": Circumstances(False, True, True, 0),
}
"""When something is told, in the order of the table."""
CHOSEN = {
    "before login, inside TLS, with ``[oauth]``": Circumstances(False, True, False, 0, (b"OAUTHBEARER", b"PLAIN")),
    "with ``message_limit``": Circumstances(False, True, True, 0, message_limit=1_000),
    "with ``message_limit`` for saving only": Circumstances(False, True, True, 0, message_limit=1_000, only_saving=True),
}
"""When something is told that is not unless a setting says so."""


def page() -> str:
    """The whole page."""
    return "\n".join((HEAD, _capabilities(), _enabled(), _commands(), _codes(), _left_out()))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A list-table."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        lines += [f"   {'* -' if number == 0 else '  -'} {cell}" for number, cell in enumerate(row)]
    return "\n".join((*lines, ""))


def _section(title: str, *parts: str) -> str:
    return "\n".join((title, "-" * len(title), "", *parts))


def _moments(when: object) -> str:
    told = [name for name, now in MOMENTS.items() if callable(when) and when(now)]
    if not told:
        told = [name for name, now in CHOSEN.items() if callable(when) and when(now)]
    return "always" if len(told) == len(MOMENTS) else "; ".join(told)


def _capabilities() -> str:
    rows = ((f"``{one.name.decode()}``", one.standard, _moments(one.when)) for one in CAPABILITIES)
    return _section("Capabilities", table(("Capability", "Standard", "Told"), rows))


def _enabled() -> str:
    names = ", ".join(f"``{one.value.decode()}``" for one in Extension)
    return _section("ENABLE", f"A client can switch on: {names}.  RFC 5161.", "")


def _commands() -> str:
    rows = (
        (f"``{one.name.decode()}``", " ".join(STATES[state] for state in State if state in one.states), one.help, one.standard)
        for one in COMMANDS.values()
    )
    states = "States: N not authenticated, A authenticated, S a mailbox is selected."
    return _section("Commands", states, "", table(("Command", "States", "What it does", "Standard"), rows))


def _codes() -> str:
    rows = ((f"``{one.name.decode()}``", one.tells, one.standard) for one in SENT)
    return _section("Response codes", table(("Code", "Tells", "Standard"), rows))


def _left_out() -> str:
    lines = (f"- ``{name.decode()}``: {why}." for name, why in LEFT_OUT.items())
    return _section("Response codes that are never sent", *lines, "")


if __name__ == "__main__":
    sys.stdout.write(page())
