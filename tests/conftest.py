"""Makes pytest keep Trial's temporary files out of the checkout."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest


def pytest_sessionstart(session: pytest.Session) -> None:
    """Trial's ``mktemp`` makes files in the working folder: give it one of its own."""
    folder = tempfile.mkdtemp(prefix="launcelot-pytest-")
    before = os.getcwd()
    os.chdir(folder)

    def back() -> None:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)

    session.config.add_cleanup(back)
