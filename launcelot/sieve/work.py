"""How much one run of a script may do."""

from __future__ import annotations

from launcelot.sieve.expressions import Expression, compile_expression


class TooMuchWork(Exception):
    """The script did more than it may."""


class Work:
    """
    Counts what is done, in units of roughly a microsecond.

    :param limit: units.
    """

    __slots__ = ("_expressions", "left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit
        self._expressions: dict[tuple[str, bool], Expression] = {}

    def spend(self, amount: int) -> None:
        """
        Count some work that is about to be done.

        :raises TooMuchWork: there is not so much left.
        """
        self.left -= amount
        if self.left < 0:
            raise TooMuchWork

    def expression(self, text: str, ignore_case: bool) -> Expression:
        """
        A regular expression, made once in a run.

        :raises BadExpression: it is none.
        """
        found = self._expressions.get((text, ignore_case))
        if found is None:
            found = self._expressions[text, ignore_case] = compile_expression(text, ignore_case)
            self.spend(found.size)
        return found
