"""The page that is generated, and the table of response codes, against the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import launcelot.protocols.imap4 as room
from launcelot.core.errors import REFUSALS
from launcelot.protocols.imap4.codes import LEFT_OUT, SENT
from launcelot.protocols.imap4.documentation import page
from launcelot.protocols.imap4.session import reply_for

HERE = Path(room.__file__).parent
PAGE = Path(__file__).parents[3] / "docs" / "imap-capabilities.rst"
CLIENT = {"client", "answers", "asking", "codes"}
"""Modules that send no response codes."""

REPLIES = {"ok", "no", "bad", "Reply", "inform", "status"}
"""What makes replies."""


def sources() -> Iterator[ast.AST]:
    """The server's modules."""
    for path in HERE.rglob("*.py"):
        if path.stem not in CLIENT and "client" not in path.parts:
            yield from ast.walk(ast.parse(path.read_text()))


def words(node: ast.AST) -> Iterator[bytes]:
    """Octets that are written in an expression."""
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, bytes):
            yield one.value


class PageTests(SynchronousTestCase):
    """docs/imap-capabilities.rst."""

    def test_page_is_what_the_tables_say(self) -> None:
        """If it is not: ``python -m launcelot.protocols.imap4.documentation > docs/imap-capabilities.rst``."""
        self.assertEqual(PAGE.read_text(), page())


class CodeTests(SynchronousTestCase):
    """The table of response codes."""

    def used(self) -> set[bytes]:
        """Codes that stand in brackets, or where replies are made."""
        found: set[bytes] = set()
        for node in sources():
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in REPLIES:
                    for text in words(node):
                        found.update(re.findall(rb"\A([A-Z][A-Z0-9-]+)(?= |\Z)", text))
            elif isinstance(node, ast.Constant) and isinstance(node.value, bytes):
                found.update(re.findall(rb"\[([A-Z][A-Z0-9-]+)[ \]]", node.value))
        return found - {b"OK", b"NO", b"BAD"}

    def test_every_code_that_is_sent_is_in_the_table(self) -> None:
        """And none that is said to be left out is sent."""
        table = {one.name for one in SENT}
        self.assertEqual(self.used() - table, set())
        self.assertEqual({reply_for(kind()).code for kind in REFUSALS} - table, set())
        self.assertEqual(table & set(LEFT_OUT), set())

    def test_every_code_in_the_table_is_sent(self) -> None:
        """It stands in the code of the server as a word of its own."""
        written = {word for node in sources() for text in words(node) for word in re.findall(rb"[A-Z][A-Z0-9-]+", text)}
        self.assertEqual({one.name for one in SENT} - written, set())

    def test_table_is_in_order_and_whole(self) -> None:
        """By name, each once, with its standard; all of RFC 5530 are accounted for."""
        names = [one.name for one in SENT]
        self.assertEqual(names, sorted(set(names)))
        for one in SENT:
            self.assertRegex(one.standard, r"\ARFC \d+ section [\d., ]+\Z")
            self.assertTrue(one.tells.endswith("."))
        known = {*names, *LEFT_OUT}
        rfc_5530 = (
            b"UNAVAILABLE AUTHENTICATIONFAILED AUTHORIZATIONFAILED EXPIRED PRIVACYREQUIRED CONTACTADMIN NOPERM INUSE"
            b" EXPUNGEISSUED CORRUPTION SERVERBUG CLIENTBUG CANNOT LIMIT OVERQUOTA ALREADYEXISTS NONEXISTENT"
        )
        self.assertEqual(set(rfc_5530.split()) - known, set())
