"""Runs pytest in a folder with nothing else, as somebody who has just installed Launcelot would."""

from __future__ import annotations

import os
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def installed(folder: Path) -> str:
    """What pip would leave behind of us, without the code: pytest finds the plugin there."""
    said = ConfigParser()
    said.read(CHECKOUT / "setup.cfg")
    information = folder / "launcelot.dist-info"
    information.mkdir(parents=True, exist_ok=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: launcelot\nVersion: 0\n")
    points = "".join(f"[{group}]{text}\n" for group, text in said["options.entry_points"].items())
    (information / "entry_points.txt").write_text(points)
    return str(folder.absolute())


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run all tests of a folder; what pytest said is in ``stdout``."""
    paths = [installed(folder / "site"), str(CHECKOUT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
