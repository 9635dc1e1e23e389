"""
Writes the table of replies in the README from the tables that the server runs by; a test compares it with what is there.

::

    python -m launcelot.protocols.ftp.documentation
"""

from __future__ import annotations

import re
import sys
import textwrap

from launcelot.protocols.ftp.commands import ABSENT, COMMANDS
from launcelot.protocols.ftp.replies import BEYOND, GOODBYE, NOT_LOGGED_IN, SAME, SENT, Reason

HEAD = """\
REPLIES
=======
Generated from the code by ``python -m launcelot.protocols.ftp.documentation``; do not edit.
"""

WIDTH = 130
"""Characters of a line."""

_SECTION = re.compile(r"RFC \d+ section [\d.]*\d|draft-[a-z-]+ section [\d.]*\d")

NAMES = {new: old for old, new in SAME.items()}


def section() -> str:
    """The whole section."""
    parts = (
        HEAD,
        textwrap.fill(
            f"``{GOODBYE}`` may answer any verb, and ``{NOT_LOGGED_IN}`` those marked ``*`` before somebody has logged in. "
            "Unknown verbs are ``500``, those that other servers have and this one has not ``502``: "
            f"{', '.join(f'``{verb}``' for verb in sorted(ABSENT))}.",
            WIDTH,
        ),
        "",
        _table(),
        textwrap.fill(
            "Codes that RFC 959 section 5.4 does not list, which RFC 1123 section 4.1.2.11 allows under the rules of RFC 959 "
            "section 4.2:",
            WIDTH,
        ),
        "",
        *map(_listed, BEYOND),
    )
    return "\n".join(parts) + "\n"


def _table() -> str:
    rows = [(_names(verb), _standard(verb), " ".join(map(str, sorted(SENT[verb])))) for verb in sorted(SENT) if verb not in SAME]
    rows.insert(0, ("Verb", "Standard", "Replies"))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    rule = " ".join("=" * width for width in widths)
    lines = [" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join((rule, lines[0], rule, *lines[1:], rule, ""))


def _names(verb: str) -> str:
    names = f"``{verb}``" + (f", ``{NAMES[verb]}``" if verb in NAMES else "")
    return f"{names} \\*" if COMMANDS[verb].login else names


def _standard(verb: str) -> str:
    """The section that the verb's function names, or else its standard."""
    command = COMMANDS[verb]
    found = _SECTION.findall(command.run.__doc__ or "")
    return next((one for one in found if one.startswith(command.standard)), command.standard)


def _listed(reason: Reason) -> str:
    text = f"``{reason.code}`` for {', '.join(sorted(reason.verbs))}: {reason.why}."
    return textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


if __name__ == "__main__":
    sys.stdout.write(section())
