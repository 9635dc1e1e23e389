"""Memory that has been freed goes back to the system."""

from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from launcelot.workers.heap import give_back


def resident() -> int:
    """KiB of this process that are its own."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])


class HeapTests(SynchronousTestCase):
    """What the C library keeps."""

    def test_freed_pieces_among_others_are_given_back(self) -> None:
        """Of many pieces every other one stays; the pages between them are the system's again."""
        if not Path("/proc/self/status").exists():
            raise SkipTest("there is no /proc here")
        pieces = [bytes(20_000) for _ in range(4_000)]
        pieces = [bytes(bytearray(piece)) for piece in pieces]
        kept = pieces[::50]
        full = resident()
        del pieces
        give_back()
        give_back()
        self.assertLess(resident(), full - 40_000)
        self.assertEqual(len(kept), 80)
