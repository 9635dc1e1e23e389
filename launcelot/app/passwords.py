"""Passwords that nobody chose."""

from __future__ import annotations

import secrets
import string

ALPHABET = string.ascii_letters + string.digits
"""Nothing that a shell or a URL treats specially."""

LENGTH = 16
"""Characters: 95 bits."""


def generated_password() -> str:
    """A fresh password."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
