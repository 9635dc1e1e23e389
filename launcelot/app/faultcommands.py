"""The options of ``launcelot fault``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Common = Callable[[Any, str], None]
"""Gives a parser the options every command has and the function that does it."""


def add_fault(commands: Any, common: Common) -> None:
    """Add it to the ``launcelot`` command."""
    fault = commands.add_parser(
        "fault",
        help="have something go wrong in a running daemon, for testing: add, list, remove",
        description="The daemon must allow it (faults in [daemon]); launcelot demo does.  What goes wrong is a sentence as in the"
        " test kit, such as 'at.smtp(\"RCPT\").replies(451).times(2)'; see docs/testing.rst.",
    )
    verbs = fault.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = verbs.add_parser("add", help="have something go wrong on connections that are made from now on")
    common(add, "launcelot.app.faulting:add")
    add.add_argument("sentence", metavar="SENTENCE", help="where and what, in one argument")
    common(verbs.add_parser("list", help="what may go wrong, and how often it has"), "launcelot.app.faulting:show_list")
    remove = verbs.add_parser("remove", help="have it go well again, on connections that are made from now on")
    common(remove, "launcelot.app.faulting:remove")
    remove.add_argument("numbers", metavar="NUMBER", type=int, nargs="*", help="as in the list")
    remove.add_argument("--all", action="store_true", help="everything")
