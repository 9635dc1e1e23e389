"""
What is kept from one test to the next in a run: nothing that a test could tell, only what would be the same made anew.

Passwords' secrets, of which a millisecond's work is done once for each password, and a reactor's thread.
"""

from __future__ import annotations

from launcelot.testing.reactorthread import Threads
from launcelot.testing.site import Known


class Kept:
    """
    One run's.

    :param keeps_threads: a reactor's thread outlives the Site that had it, until :meth:`close`.
    """

    def __init__(self, keeps_threads: bool = False) -> None:
        self.known: Known = {}
        self.threads = Threads(keeps_threads)

    def close(self) -> None:
        """Let go of threads; the next Site has another."""
        self.threads.close()
