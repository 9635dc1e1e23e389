"""
One run of a script on one message.

Nothing here waits or fails for long: work is counted (:class:`~launcelot.sieve.work.Work`), and whatever goes wrong ends the
run with the message kept (RFC 5228 section 2.10.6).  The same script, message and situation always come to the same outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from launcelot.message.headers import Buffer
from launcelot.sieve.actions import Action, FileInto, Keep, Notify, Outcome, Redirect, Reject, Seen, Trace, Vacation
from launcelot.sieve.editing import Subject, edits_of
from launcelot.sieve.expressions import BadExpression
from launcelot.sieve.matching import Matching, find
from launcelot.sieve.signature import Bound
from launcelot.sieve.situation import Situation
from launcelot.sieve.variables import Variables
from launcelot.sieve.work import TooMuchWork, Work

MAX_SHOWN = 60
"""Characters of one value in a trace."""


class Stop(Exception):
    """``stop`` was executed."""


class Return(Exception):
    """``return`` was executed."""


class RunError(Exception):
    """The script ends here, and the message is kept; the text says why."""


class Compiled(Protocol):
    """What a run needs of a script; see :class:`launcelot.sieve.script.Script`."""

    @property
    def name(self) -> str:
        """What people call it; empty for the main one."""

    @property
    def commands(self) -> tuple[Bound, ...]:
        """What it says."""

    @property
    def extensions(self) -> frozenset[str]:
        """What it required."""


class Run:
    """
    One run.

    :param tracing: whether what is done is written down.
    """

    def __init__(self, buffer: Buffer, situation: Situation, tracing: bool) -> None:
        self.situation = situation
        self.subject = Subject(buffer)
        self.edits = edits_of(buffer)
        self.work = Work(situation.limits.work)
        self.actions: list[Action] = []
        self.seen: list[Seen] = []
        self.flags: tuple[str, ...] = ()
        self.cancelled = False
        self.line = 0
        self.shared: dict[str, str] = {}
        self.included: set[tuple[str, str]] = set()
        self.open: list[Compiled] = []
        self.variables = Variables(self.shared, situation.limits.variable, situation.limits.variables)
        self._trace: list[Trace] | None = [] if tracing else None

    # -- running -------------------------------------------------------------------------------------------------

    def outcome(self, script: Compiled) -> Outcome:
        """Run it to its end."""
        error = ""
        try:
            self._whole(script)
        except (RunError, BadExpression) as wrong:
            error = self._where(str(wrong))
        except TooMuchWork:
            error = self._where("the script does too much work for one message")
        if error:
            self.note(f"error: {error}; the message is kept")
            return Outcome((Keep(edits_of(self.subject.buffer), (), True),), (), error, self._trace or ())
        return Outcome(tuple(self.actions), tuple(self.seen), "", self._trace or ())

    def _whole(self, script: Compiled) -> None:
        try:
            self.script(script)
        except Stop:
            pass
        if not self.cancelled:
            self.note("implicit keep")
            self._add(Keep(self.edits, self.flags, True))

    def _where(self, text: str) -> str:
        name = self.open[-1].name if self.open else ""
        return f"{name}: {text}" if name else f"line {self.line}: {text}"

    def script(self, script: Compiled) -> None:
        """Run one script, the main one or an included one, with variables of its own."""
        before = self.variables
        self.variables = Variables(self.shared, self.situation.limits.variable, self.situation.limits.variables)
        self.open.append(script)
        try:
            self.block(script.commands)
        except Return:
            pass
        self.open.pop()
        self.variables = before

    def block(self, commands: Sequence[Bound]) -> None:
        """Run commands in order."""
        done = False
        for command in commands:
            self.work.spend(1)
            self.line = command.line
            name = command.signature.name
            if name in ("if", "elsif", "else"):
                done = (name != "if" and done) or self._branch(command)
            elif command.signature.run is not None:
                command.signature.run(self, command)

    def _branch(self, command: Bound) -> bool:
        if command.tests and not self.test(command.tests[0]):
            return False
        self.block(command.block)
        return True

    def test(self, test: Bound) -> bool:
        """Whether a test holds."""
        self.work.spend(2)
        self.line = test.line
        run = test.signature.run
        found = bool(run is not None and run(self, test))
        if self._trace is not None:
            self.line = test.line
            self.note(f"{test.signature.name} is {'true' if found else 'false'}")
        return found

    # -- for tests and actions -----------------------------------------------------------------------------------

    def has(self, extension: str) -> bool:
        """Whether the present script required an extension."""
        return extension in self.open[-1].extensions

    def text(self, given: str) -> str:
        """A string from the script with its variables."""
        return self.variables.expand(given) if self.has("variables") else given

    def texts(self, given: Sequence[str]) -> tuple[str, ...]:
        """Strings from the script with their variables."""
        return tuple(map(self.variables.expand, given)) if self.has("variables") else tuple(given)

    def match(self, matching: Matching, values: Sequence[str], keys: Sequence[str]) -> bool:
        """Whether a value matches a key; what wildcards stand for becomes the match variables."""
        found = find(matching, values, self.texts(keys), self.work)
        if self._trace is not None:
            self.note(f"{_shown(values)} :{matching.kind} {_shown(self.texts(keys))}")
        if found and self.has("variables"):
            self.variables.matched = found
        return found is not None

    def add(self, action: Action, cancels: bool) -> None:
        """
        Have something done.

        :param cancels: the implicit keep.
        :raises RunError: there are too many, or it cannot stand beside another one.
        """
        self.cancelled |= cancels
        self.note(described(action))
        self._add(action)

    def _add(self, action: Action) -> None:
        limits = self.situation.limits
        for place, other in enumerate(self.actions):
            if _same(action, other):
                # Nothing is stored or sent twice; the last flags count.  RFC 5228 section 2.10.3, RFC 5232 section 5.
                self.actions[place] = action
                return
            if _incompatible(action, other):
                raise RunError(f"{_name(action)} cannot stand beside {_name(other)}")
        if isinstance(action, Redirect) and sum(isinstance(one, Redirect) for one in self.actions) >= limits.redirects:
            raise RunError(f"a message is redirected to {limits.redirects} addresses at most")
        if len(self.actions) >= limits.actions:
            raise RunError("the script wants too many actions")
        self.actions.append(action)

    def note(self, text: str) -> None:
        """Say in the trace what is done."""
        trace = self._trace
        if trace is not None and len(trace) < self.situation.limits.trace:
            trace.append(Trace(self.open[-1].name if self.open else "", self.line, text))


def _same(one: Action, other: Action) -> bool:
    if isinstance(one, Keep):
        return isinstance(other, Keep)
    if isinstance(one, FileInto) and isinstance(other, FileInto):
        return (one.mailbox, one.special_use) == (other.mailbox, other.special_use)
    if isinstance(one, Notify) and isinstance(other, Notify):
        # RFC 5436 section 2.7.
        return one.method == other.method and one.message == other.message
    return isinstance(one, Redirect) and isinstance(other, Redirect) and one.address == other.address


def _incompatible(one: Action, other: Action) -> bool:
    """RFC 5429 section 2.4, RFC 5230 section 4.7."""
    kinds = {type(one), type(other)}
    if Reject in kinds:
        return bool(kinds & {Keep, FileInto, Redirect, Vacation, Reject} - {Reject}) or len(kinds) == 1
    return kinds == {Vacation}


def _name(action: Action) -> str:
    if isinstance(action, Reject):
        return "ereject" if action.extended else "reject"
    return type(action).__name__.lower()


def described(action: Action) -> str:
    """An action in one line, for people."""
    if isinstance(action, FileInto):
        flags = f" with {' '.join(action.flags)}" if action.flags else ""
        return f"fileinto {action.mailbox!r}{flags}"
    if isinstance(action, Redirect):
        return f"redirect to {action.address}"
    if isinstance(action, Vacation):
        return f"vacation: answer {action.to}"
    if isinstance(action, Keep):
        return f"keep{f' with {chr(32).join(action.flags)}' if action.flags else ''}"
    if isinstance(action, Reject):
        return f"{_name(action)}: {_cut(action.reason)!r}"
    return f"notify {action.method}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def _shown(values: Sequence[str]) -> str:
    shown = [repr(_cut(value)) for value in values[:4]]
    return f"[{', '.join(shown)}{', ...' if len(values) > 4 else ''}]"
