"""
Programs we did not write: found on the machine, or the test that needs one is skipped with the reason.

Where ``LAUNCELOT_PEERS=required`` is set (as in CI) a missing program is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from twisted.trial.unittest import SkipTest

PACKAGES = {
    "mbsync": "isync",
    "ncftpget": "ncftp",
    "ncftpput": "ncftp",
    "dovecot": "dovecot-imapd",
    "imap": "dovecot-imapd",
    "pop3": "dovecot-pop3d",
    "offlineimap": "offlineimap3",
    "getmail": "getmail6",
    "php": "php-cli",
    "smtp-sink": "postfix",
    "smtp-source": "postfix",
    "ldns-signzone": "ldnsutils",
}
"""Debian packages that are not called as their program."""


def program(name: str) -> str:
    """
    The path of a program.

    :raises SkipTest: it is not installed, and peers are not required here.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/lib/dovecot")
    if path is not None:
        return path
    raise missing(f"{name} is not installed (Debian package {PACKAGES.get(name, name)})")


def library(package: str, *command: str) -> None:
    """
    See that a language has a library: a command that says so by its exit status.

    :raises SkipTest: it has not, and peers are not required here.
    """
    done = subprocess.run([program(command[0]), *command[1:]], capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise missing(f"{command[0]} has no library of the Debian package {package}")


def missing(reason: str) -> Exception:
    """What to raise where something is not there: the test is skipped, or fails where peers are required."""
    return AssertionError(reason) if os.environ.get("LAUNCELOT_PEERS") == "required" else SkipTest(reason)
