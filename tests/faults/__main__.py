"""
All fault campaigns at full counts, one after the other: ``python -m tests.faults [NAME ...]``.

It takes about two hours.  With names only those campaigns run; ``--list`` names them.  ``docs/faults.rst`` describes each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Campaign:
    """
    Tests that take their counts from the environment.

    :ivar cases: of the reliability goals.
    """

    name: str
    cases: str
    modules: Sequence[str]
    counts: Mapping[str, str] = field(default_factory=dict)


CAMPAIGNS = (
    Campaign("kill", "C01", ["tests.clients.test_kill"], {"LAUNCELOT_KILL_ROUNDS": "1000"}),
    Campaign("killspool", "C01", ["tests.spool.test_crash"], {"LAUNCELOT_CRASH_ROUNDS": "1000"}),
    Campaign("calls", "C02 C04 C05", ["tests.faults.test_calls"], {"LAUNCELOT_FAULTS": "full"}),
    Campaign("power", "C03", ["tests.faults.test_power"], {"LAUNCELOT_POWER_ROUNDS": "1000"}),
    Campaign("inodes", "C06", ["tests.faults.test_limits"]),
    Campaign("descriptors", "C07", ["tests.app.test_descriptors"]),
    Campaign("clock", "C10", ["tests.faults.test_clock"]),
    Campaign("names", "C13", ["tests.faults.test_names", "tests.relay.test_resolver", "tests.relay.test_hosts"]),
    Campaign(
        "cuts",
        "C15 C16",
        ["tests.faults.test_cuts", "tests.protocols.smtp.test_client", "tests.protocols.smtp.test_server"],
        {"LAUNCELOT_FAULTS": "full"},
    ),
    Campaign("crowd", "C28", ["tests.spool.test_crowded"]),
    Campaign("relay", "C30", ["tests.relay.test_killing", "tests.spool.test_remote"], {"LAUNCELOT_RELAY_ROUNDS": "200"}),
    Campaign("smuggling", "S01 S02 S03 S08", ["tests.protocols.smtp.test_attacks", "tests.protocols.smtp.test_relaying"]),
)


def main(wanted: Sequence[str]) -> int:
    """Run them; how many failed."""
    if "--list" in wanted:
        for one in CAMPAIGNS:
            print(f"{one.name:12} {one.cases:16} {' '.join(one.modules)}")
        return 0
    failed = 0
    for one in CAMPAIGNS:
        if wanted and one.name not in wanted:
            continue
        began = time.monotonic()
        run = subprocess.run(
            [sys.executable, "-m", "twisted.trial", f"--temp-directory=_trial_temp_{one.name}", *one.modules],
            cwd=ROOT,
            env={**os.environ, **one.counts},
            capture_output=True,
            text=True,
            check=False,
        )
        last = run.stdout.strip().splitlines()[-1:] or ["nothing was said"]
        print(f"{one.name:12} {one.cases:16} {time.monotonic() - began:7.0f} s  {last[0]}", flush=True)
        if run.returncode:
            failed += 1
            print(run.stdout[-5_000:], run.stderr[-2_000:])
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
