"""
Why the program ends before or instead of doing its work, with the exit codes of ``sysexits.h``.
"""

from __future__ import annotations

OK = 0
FAILED = 1
"""Understood, but refused: no such account, the name is taken."""
USAGE = 64
NO_INPUT = 66
UNAVAILABLE = 69
"""A port is in use, or no daemon runs that could be asked."""
SOFTWARE = 70
CANNOT_CREATE = 73
TEMPORARY = 75
CONFIGURATION = 78


class Ending(Exception):
    """
    The end of the program.

    :param text: cause and remedy in one line, without the program's name.
    :param status: one of the exit codes above.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
