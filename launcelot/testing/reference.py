"""
The reference of the test kit, written from its docstrings: ``python -m launcelot.testing.reference docs/testing-reference.rst``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

HEAD = """\
Reference of the test kit
=========================

Every name that tests use, from the docstrings; this page is written by
``python -m launcelot.testing.reference docs/testing-reference.rst``.
"""

CONTENTS: Sequence[tuple[str, str, Sequence[str]]] = (
    ("The fixture of pytest", "launcelot.testing.plugin", ("Starter",)),
    ("A Site on real sockets", "launcelot.testing.served", ("serve", "Served", "Place")),
    ("Mail", "launcelot.testing.mail", ("Mail",)),
    ("Messages", "launcelot.testing.messages", ("Message", "Piece")),
    ("Texts that fit", "launcelot.testing.matching", ("contains",)),
    ("Transcripts", "launcelot.testing.transcript", ("Transcript",)),
    ("Golden files", "launcelot.testing.golden", ("Golden",)),
    ("Sentences about faults", "launcelot.testing.faults", ("At", "Talk", "Secure", "Point", "Fault")),
    ("Every cut", "launcelot.testing.cuts", ("Table", "Cut", "every_cut")),
    ("Verdicts", "launcelot.testing.verdicts", ("judged",)),
    ("Trial", "launcelot.testing.trial", ("WorldMixin",)),
    ("Worlds", "launcelot.testing.worlds", ("TrialWorld", "Service")),
    ("Raw peers and pairs", "launcelot.testing.link", ("Link", "Pair")),
    ("The network in memory", "launcelot.testing.network", ("MemoryNetwork",)),
    ("Records of DNS", "launcelot.testing.zone", ("Zone",)),
    ("Leaks", "launcelot.testing.leaks", ()),
    (
        "Strategies for Hypothesis",
        "launcelot.testing.strategies",
        (
            *("addresses", "domains", "local_parts", "lines", "bodies", "messages", "mime_trees", "literals"),
            *("smtp_scripts", "pop3_scripts", "imap_scripts", "chunkings", "faults", "fault_plans"),
        ),
    ),
)
"""Headings, modules, and what of each is told."""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(*one) for one in CONTENTS)])


def section(heading: str, module: str, names: Sequence[str]) -> str:
    """One module: its text, and its names."""
    found = import_module(module)
    parts = [f"{heading}\n{'-' * len(heading)}\n", f"``{module}``\n"]
    if heading in ("Sentences about faults", "Leaks", "Golden files"):
        parts.append(f"{_text(found)}\n")
    for name in names:
        parts += entry(name, getattr(found, name))
    return "\n".join(parts)


def entry(name: str, thing: Any) -> Iterator[str]:
    """A class with its members, or a function."""
    if not inspect.isclass(thing):
        yield f"``{name}{_signature(thing)}``\n{_indented(thing)}\n"
        return
    yield f"{name}\n{'~' * len(name)}\n"
    yield f"{_text(thing)}\n"
    for member, value in vars(thing).items():
        if member.startswith("_") or not inspect.getdoc(value):
            continue
        if isinstance(value, property):
            yield f"``{member}``\n{_indented(value)}\n"
        elif inspect.isfunction(value):
            yield f"``{member}{_signature(value)}``\n{_indented(value)}\n"


def _signature(function: Callable[..., Any]) -> str:
    parameters = [str(one).partition(":")[0].partition(" =")[0] for one in inspect.signature(function).parameters.values()]
    defaults = inspect.signature(function).parameters
    told = []
    for text, one in zip(parameters, defaults.values(), strict=True):
        if one.name == "self":
            continue
        bare = text.partition("=")[0]
        told.append(bare if one.default is inspect.Parameter.empty else f"{bare}={_default(one.default)}")
    return f"({', '.join(told)})"


def _default(value: object) -> str:
    text = repr(value)
    return text if len(text) < 30 and " object at " not in text and "<" not in text else "..."


def _text(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def _indented(thing: Any) -> str:
    return "\n".join(f"    {line}".rstrip() for line in _text(thing).splitlines())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
