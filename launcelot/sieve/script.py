"""
A script compiled: every command known, every argument checked, every extension required.

:func:`compile_script` is what an editor's check and a delivery share; :func:`run_script` does what a compiled script says.
Included scripts (RFC 6609) are compiled when they are run.  Inside a block that an ``ihave`` test guards its extensions are
required, and what is not known there is an error only when it is executed (RFC 5463 section 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from launcelot.message.headers import Buffer
from launcelot.sieve.actions import Outcome
from launcelot.sieve.conditions import TESTS
from launcelot.sieve.doing import ACTIONS
from launcelot.sieve.grammar import Command, ScriptError, Strings, parse
from launcelot.sieve.matching import COMPARATORS
from launcelot.sieve.run import Run, RunError
from launcelot.sieve.signature import Bound, Kind, Option, Signature, Takes, bind
from launcelot.sieve.situation import Situation
from launcelot.sieve.variables import decode_characters, foreign_namespace

EXTENSIONS = (
    "body", "copy", "date", "duplicate", "editheader", "encoded-character", "enotify", "envelope", "environment", "ereject",
    "fileinto", "ihave", "imap4flags", "include", "index", "mailbox", "regex", "reject", "relational", "special-use",
    "subaddress", "vacation", "vacation-seconds", "variables", *(f"comparator-{name}" for name in COMPARATORS),
)  # fmt: skip
"""What ``require`` can name."""
IMPLIED = {"vacation-seconds": ("vacation",)}
"""Extensions that bring others with them.  RFC 6131 section 3."""


@dataclass(frozen=True, slots=True)
class Script:
    """
    A compiled script.

    :ivar name: what people call it; empty for the main one.
    """

    name: str
    commands: tuple[Bound, ...]
    extensions: frozenset[str]


def compile_script(source: bytes, name: str = "") -> Script:
    """
    Compile a script.

    :raises ScriptError: what is wrong with it first.
    """
    compiler = _Compiler()
    commands = compiler.top(parse(source))
    return Script(name, commands, frozenset(compiler.required | compiler.assumed))


def run_script(script: Script, message: Buffer, situation: Situation, tracing: bool = False) -> Outcome:
    """What a script wants done with a message; never raises."""
    return Run(message, situation, tracing).outcome(script)


def _include(run: Run, action: Bound) -> None:
    """RFC 6609 section 3.2."""
    location = "global" if "global" in action.options else "personal"
    name = action.text(0)
    if (location, name) in run.included and "once" in action.options:
        return
    if any(one.name == _title(location, name) for one in run.open):
        raise RunError(f"{name!r} includes itself")
    if len(run.open) > run.situation.limits.includes:
        raise RunError("scripts are included too deeply")
    source = run.situation.script(location, name)
    if source is None:
        if "optional" in action.options:
            return
        raise RunError(f"there is no script {name!r} to include")
    run.work.spend(1_000 + len(source) // 4)
    run.included.add((location, name))
    run.note(f"include {name}")
    try:
        script = compile_script(source, _title(location, name))
    except ScriptError as error:
        raise RunError(f"{name!r} has a fault: {error}") from error
    run.script(script)


def _title(location: str, name: str) -> str:
    return name if location == "personal" else f"global {name}"


def _check_include(action: Bound) -> None:
    if "/" in action.text(0) or not action.text(0):
        raise ScriptError(f"{action.text(0)!r} is no name of a script", action.line)


def _unknown(run: Run, command: Bound) -> Any:
    raise RunError(f"{command.options['why']}")


CONTROLS = (
    Signature("if", "control", tests=Takes.ONE, block=True),
    Signature("elsif", "control", tests=Takes.ONE, block=True),
    Signature("else", "control", block=True),
    Signature(
        "include",
        "control",
        "include",
        (Kind.STRING,),
        options={
            "personal": Option(instead_of=("global",)),
            "global": Option(instead_of=("personal",)),
            "once": Option(),
            "optional": Option(),
        },
        run=_include,
        check=_check_include,
    ),
)
COMMANDS: Mapping[str, Signature] = {one.name: one for one in (*CONTROLS, *ACTIONS)}
CONDITIONS: Mapping[str, Signature] = {one.name: one for one in TESTS}


class _Compiler:
    def __init__(self) -> None:
        self.required: set[str] = set()
        self.assumed: set[str] = set()
        self._lenient = 0

    def top(self, commands: Sequence[Command]) -> tuple[Bound, ...]:
        """All of a script: first what it requires, then the rest."""
        rest = list(commands)
        while rest and rest[0].name == "require":
            self._require(rest.pop(0))
        return self._block(rest, top=True)

    def _require(self, command: Command) -> None:
        given = command.arguments
        if len(given) != 1 or not isinstance(given[0], Strings) or command.tests or command.block is not None:
            raise ScriptError("require takes a string or a list of strings", command.line)
        for name in given[0].values:
            if name not in EXTENSIONS:
                raise ScriptError(f"the extension {name!r} is not known here", command.line)
            self.required |= {name, *IMPLIED.get(name, ())}

    def _block(self, commands: Sequence[Command], top: bool = False) -> tuple[Bound, ...]:
        found: list[Bound] = []
        before = ""
        for command in commands:
            if command.name in ("elsif", "else") and before not in ("if", "elsif"):
                raise ScriptError(f"{command.name} without an if before it", command.line)
            if command.name == "require":
                where = "before every other command" if top else "at the beginning of the script"
                raise ScriptError(f"require has to stand {where}", command.line)
            found.append(self._command(command, COMMANDS, "command"))
            before = command.name
        return tuple(found)

    def _command(self, command: Command, table: Mapping[str, Signature], what: str) -> Bound:
        try:
            return self._known(command, table, what)
        except ScriptError as error:
            if not self._lenient:
                raise
            signature = Signature(command.name, "unknown", run=_unknown)
            return replace(bind(signature, Command(command.name, command.line), (), self._missing), options={"why": error.text})

    def _known(self, command: Command, table: Mapping[str, Signature], what: str) -> Bound:
        signature = table.get(command.name)
        if signature is None:
            other = CONDITIONS if table is COMMANDS else COMMANDS
            hint = f"; it is a {'test' if table is COMMANDS else 'command'}" if command.name in other else ""
            raise ScriptError(f"there is no {what} {command.name!r}{hint}", command.line)
        if signature.extension and signature.extension not in self.required:
            self._missing(signature.extension, command.line, command.name)
        if (command.block is not None) != signature.block:
            raise ScriptError(f"{command.name} {'needs a block' if signature.block else 'takes no block'}", command.line)
        decoded = self._decoded(command)
        self._check_namespaces(decoded)
        bound = bind(signature, decoded, self.required, self._missing)
        tests = self._tests(command, signature)
        if signature.name == "ihave":
            bound = replace(bound, options={"known": all(name in EXTENSIONS for name in bound.texts(0))})
        before, lenient = set(self.required), self._lenient
        if command.tests and signature.block:
            self._assume(command.tests[0])
        block = self._block(command.block or ())
        self.required, self._lenient = before, lenient
        return replace(bound, tests=tests, block=block)

    def _missing(self, extension: str, line: int, what: str) -> None:
        raise ScriptError(f'{what} needs require "{extension}" at the beginning of the script', line)

    def _decoded(self, command: Command) -> Command:
        if "encoded-character" not in self.required:
            return command
        arguments = tuple(
            replace(one, values=tuple(decode_characters(value, one.line) for value in one.values))
            if isinstance(one, Strings)
            else one
            for one in command.arguments
        )
        return replace(command, arguments=arguments)

    def _check_namespaces(self, command: Command) -> None:
        """RFC 5229 section 3: a reference to a namespace that no extension in use brings is an error."""
        if "variables" not in self.required:
            return
        for one in command.arguments:
            for text in one.values if isinstance(one, Strings) else ():
                space = foreign_namespace(text, "include" in self.required)
                if space:
                    raise ScriptError(f"there is no namespace {space!r} of variables", command.line)

    def _tests(self, command: Command, signature: Signature) -> tuple[Bound, ...]:
        count = len(command.tests)
        if not (count if signature.tests is Takes.MANY else count == (signature.tests is Takes.ONE)):
            raise ScriptError(f"{command.name} takes {signature.tests.value}", command.line)
        found: list[Bound] = []
        before, lenient = set(self.required), self._lenient
        for test in command.tests:
            found.append(self._command(test, CONDITIONS, "test"))
            if command.name == "allof":
                self._assume(test)
        self.required, self._lenient = before, lenient
        return tuple(found)

    def _assume(self, test: Command) -> None:
        """Take for required what an ``ihave`` has made sure of."""
        for name in _made_sure(test):
            if "ihave" not in self.required:
                return
            if name in EXTENSIONS:
                self.required |= {name, *IMPLIED.get(name, ())}
                self.assumed |= {name, *IMPLIED.get(name, ())}
            else:
                self._lenient += 1


def _made_sure(test: Command) -> Iterable[str]:
    if test.name == "allof":
        for one in test.tests:
            yield from _made_sure(one)
    elif test.name == "ihave":
        for argument in test.arguments:
            if isinstance(argument, Strings):
                yield from argument.values
