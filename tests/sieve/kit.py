"""Small verbs for tests of scripts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from launcelot.sieve.actions import Action, FileInto, Keep, Notify, Outcome, Redirect, Reject, Vacation
from launcelot.sieve.script import compile_script, run_script
from launcelot.sieve.situation import Situation

MESSAGE = b"""\
Received: from a.example by b.example; Fri, 20 Nov 2026 10:00:00 +0100\r
Date: Sat, 21 Nov 2026 09:30:15 +0200\r
From: "Coyote" <coyote@desert.example.org>\r
To: roadrunner+news@acme.example.com, Others: x@y.example;\r
Cc: =?utf-8?q?J=C3=BCrgen?= <juergen@acme.example.com>\r
Subject: =?utf-8?q?I_have_a_pr=C3=A9sent?= for you\r
X-Num: 1\r
X-Num:   22  \r
X-Empty:\r
Message-ID: <m1@desert.example.org>\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=b\r
\r
preamble\r
--b\r
Content-Type: text/plain; charset=iso-8859-1\r
Content-Transfer-Encoding: quoted-printable\r
\r
caf=E9 and MAKE MONEY FAST\r
--b\r
Content-Type: application/x-thing\r
\r
thing inside\r
--b--\r
epilogue\r
"""
SITUATION = Situation(
    now=datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC),
    sender="coyote@desert.example.org",
    recipient="roadrunner+news@acme.example.com",
    addresses=("roadrunner@acme.example.com",),
)


def run(script: str | bytes, message: bytes = MESSAGE, /, tracing: bool = False, **situation: Any) -> Outcome:
    """What a script wants."""
    source = script.encode() if isinstance(script, str) else script
    return run_script(compile_script(source), message, replace(SITUATION, **situation), tracing)


def short(action: Action) -> str:
    """An action in a word or two."""
    if isinstance(action, Keep):
        flags = "".join(f" {flag}" for flag in action.flags)
        return ("implicit" if action.implicit else "keep") + flags
    if isinstance(action, FileInto):
        flags = "".join(f" {flag}" for flag in action.flags)
        return f"into {action.mailbox}{flags}{' create' if action.create else ''}"
    if isinstance(action, Redirect):
        return f"to {action.address}"
    if isinstance(action, Reject):
        return f"{'ereject' if action.extended else 'reject'} {action.reason}"
    if isinstance(action, Vacation):
        return f"answer {action.to}"
    return f"notify {action.method}" if isinstance(action, Notify) else "?"


def wants(script: str | bytes, message: bytes = MESSAGE, /, **situation: Any) -> list[str]:
    """What a script wants, in short; an error is one of its own."""
    outcome = run(script, message, **situation)
    return [f"error {outcome.error}"] if outcome.error else [short(action) for action in outcome.actions]


ALL = (
    'require ["body", "copy", "date", "duplicate", "editheader", "encoded-character", "enotify", "envelope", "environment",'
    ' "ereject", "fileinto", "imap4flags", "include", "index", "mailbox", "regex", "reject", "relational", "special-use",'
    ' "subaddress", "vacation", "vacation-seconds", "variables", "comparator-i;ascii-numeric",'
    ' "comparator-i;unicode-casemap"];\n'
)
"""Requires everything but ``ihave``."""


def holds(test: str, message: bytes = MESSAGE, /, **situation: Any) -> bool:
    """Whether a test is true."""
    found = wants(f'{ALL}if {test} {{ fileinto "true"; }} else {{ fileinto "false"; }}', message, **situation)
    if found not in (["into true"], ["into false"]):
        raise AssertionError(found)
    return found == ["into true"]
