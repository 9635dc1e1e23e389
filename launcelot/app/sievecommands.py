"""The arguments of ``launcelot sieve``; what the commands do is in :mod:`launcelot.app.sieve`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def add_sieve(commands: Any, common: Callable[..., None]) -> None:
    """Add them."""
    sieve = commands.add_parser("sieve", help="check scripts that sort mail, and see what they do with a message")
    verbs = sieve.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = verbs.add_parser("check", help="say what is wrong with a script, with the line")
    common(check, "launcelot.app.sieve:check", folder=False)
    check.add_argument("script", metavar="SCRIPT", help="file with the script")
    test: argparse.ArgumentParser = verbs.add_parser(
        "test",
        help="show line by line what a script does with a message",
        description="Nothing is delivered, stored or sent.  Mailboxes that the script asks for exist if they are named with"
        " --mailbox; nothing has been seen or answered before.",
    )
    common(test, "launcelot.app.sieve:test", folder=False)
    test.add_argument("script", metavar="SCRIPT", help="file with the script; scripts it includes are looked for beside it")
    test.add_argument("message", metavar="MESSAGE", help="file with the message; - for standard input")
    test.add_argument(
        "--from", dest="sender", metavar="ADDRESS", help="envelope sender, '' for none (default: Return-Path or From)"
    )
    test.add_argument("--to", dest="recipient", metavar="ADDRESS", help="envelope recipient (default: Delivered-To or To)")
    test.add_argument("--mailbox", metavar="NAME", action="append", default=[], help="a mailbox that exists, besides INBOX")
