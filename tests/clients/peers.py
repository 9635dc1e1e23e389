"""
Programs we did not write: found on the machine, or the test that needs one is skipped with the reason.

Where ``LAUNCELOT_PEERS=required`` is set (as in CI) a missing program is a failure.
"""

from __future__ import annotations

import os
import shutil

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
    reason = f"{name} is not installed (Debian package {PACKAGES.get(name, name)})"
    if os.environ.get("LAUNCELOT_PEERS") == "required":
        raise AssertionError(reason)
    raise SkipTest(reason)
