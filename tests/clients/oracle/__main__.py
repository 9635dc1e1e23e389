"""``python -m tests.clients.oracle``: play for minutes, each play with the next seed, and stop at the first disagreement."""

from __future__ import annotations

import argparse
import sys
import time

from tests.clients.dovecot import Dovecot
from tests.clients.oracle.pair import Pair
from tests.clients.oracle.play import Disagreement, Play


def main() -> int:
    """Read the command line and play."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.oracle", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=150, help="of one play (default 150)")
    parser.add_argument("--hostile", action="store_true", help="malformed messages, too")
    parser.add_argument("--go-on", action="store_true", help="tell of disagreements and go on with the next seed")
    options = parser.parse_args()
    until = time.monotonic() + options.minutes * 60
    plays = steps = wrong = 0
    seed = options.seed
    with Dovecot() as dovecot, Pair(dovecot) as pair:
        while time.monotonic() < until:
            play = Play(seed, pair.fresh(), hostile=options.hostile)
            try:
                play.whole(options.steps)
            except Disagreement as found:
                wrong += 1
                print(found, flush=True)
                if not options.go_on:
                    break
            finally:
                play.end()
                plays, steps, seed = plays + 1, steps + play.made, seed + 1
    print(f"{plays} plays, {steps} commands, {wrong} disagreements; next seed {seed}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
