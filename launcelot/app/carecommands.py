"""The options of the commands that take care of mail: ``fsck``, ``backup``, ``restore``, ``mail import`` and ``mail export``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Common = Callable[[Any, str], None]
"""Gives a parser the options every command has and the function that does it."""


def add_care(commands: Any, common: Common) -> None:
    """Add them to the ``launcelot`` command."""
    _add_fsck(commands, common)


def _add_fsck(commands: Any, common: Common) -> None:
    fsck = commands.add_parser(
        "fsck",
        help="look through accounts' mail for damage, and mend it",
        description="Reads every message and compares it with what is kept of it, and all rows with each other.  A daemon may run"
        " meanwhile, but while a file is made anew that cannot be read.  Ends with 1 if something is wrong and was not mended.",
    )
    common(fsck, "launcelot.app.fsck:main")
    fsck.add_argument("accounts", metavar="ACCOUNT", nargs="*", help="names or addresses (default: all)")
    fsck.add_argument("--repair", action="store_true", help="mend what is wrong, and say what was done")
    fsck.add_argument("--reindex", action="store_true", help="make the index for searching text anew; searches go on meanwhile")
    fsck.add_argument("--compact", action="store_true", help="give space of removed mail back to the system")


