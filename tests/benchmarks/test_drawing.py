"""Pictures: well-formed, and their points where they should be."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, Line, picture, round_ticks
from benchmarks.frame import Table
from benchmarks.ladder import RUNGS, name, rung
from benchmarks.questions import BETTER_DIALOGS

SVG = "{http://www.w3.org/2000/svg}"


class PictureTests(SynchronousTestCase):
    """One chart and several."""

    def parsed(self, *charts: Chart) -> ElementTree.Element:
        """The picture as XML."""
        return ElementTree.fromstring(picture(charts))

    def test_points_are_where_their_numbers_are(self) -> None:
        """The corners of the field, and half way, on the line and as marks."""
        line = Line("ours", [(0, 0), (10, 50), (20, 100)])
        root = self.parsed(Chart("speed", "clients", [line], ticks=(0, 10, 20)))
        (joined,) = root.iter(f"{SVG}polyline")
        middle = ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2)
        wanted = [(LEFT, HEIGHT - BOTTOM), middle, (WIDTH - RIGHT, TOP)]
        points = [tuple(map(float, point.split(","))) for point in joined.attrib["points"].split()]
        self.assertEqual(points, wanted)
        marks = [re.findall(r"[\d.]+", one.attrib["transform"]) for one in root.iter(f"{SVG}path")]
        self.assertEqual([(float(x), float(y)) for x, y in marks[1:]], wanted)

    def test_the_words_are_there(self) -> None:
        """Title, axis, every number of both axes, every line's name, whatever signs are in them."""
        lines = [Line("ours & <theirs>", [(1, 900)]), Line("uvloop", [(20, 2500)])]
        root = self.parsed(Chart("a < b", "clients", lines, ticks=(1, 20)))
        words = [one.text for one in root.iter(f"{SVG}text")]
        expected = {"a < b", "clients", "1", "20", "0", "500", "1,000", "1,500", "2,000", "2,500", "ours & <theirs>", "uvloop"}
        self.assertEqual(set(words), expected)

    def test_charts_stand_beside_each_other(self) -> None:
        """None hides another, and the picture is as wide as all."""
        root = self.parsed(*[Chart("one", "x", [Line("a", [(1, 1)])])] * 3)
        self.assertEqual(root.attrib["viewBox"], f"0 0 {3 * WIDTH} {HEIGHT}")
        places = [one.attrib["transform"] for one in root.iter(f"{SVG}g")]
        self.assertEqual(places, ["translate(0 0)", f"translate({WIDTH} 0)", f"translate({2 * WIDTH} 0)"])

    def test_nothing_to_draw(self) -> None:
        """A chart without lines or points is an empty field."""
        self.assertEqual(list(self.parsed(Chart("none", "x", [])).iter(f"{SVG}polyline")), [])

    @given(some.floats(1e-6, 1e12))
    def test_round_numbers_on_an_axis(self, largest: float) -> None:
        """Few, evenly spaced, from 0, and the last is not far above the largest."""
        ticks = round_ticks(largest)
        self.assertEqual(ticks[0], 0)
        self.assertTrue(2 <= len(ticks) <= 8)
        self.assertGreaterEqual(ticks[-1], largest * (1 - 1e-8))
        self.assertLess(ticks[-2], largest)
        self.assertIn(f"{ticks[1]:.0e}"[0], "125")


class LadderTests(SynchronousTestCase):
    """One measure of the whole ladder, taken apart."""

    def test_rungs(self) -> None:
        """Each has the rounds of its own, for everybody, and who was absent."""
        whole = Table("the ladder", {})
        for subject in ("launcelot", "asyncio"):
            whole.rows[subject] = {
                name(figure, clients): [clients + 0.25, clients + 0.5] for figure in BETTER_DIALOGS for clients in RUNGS
            }
        whole.absent["asyncio+uvloop"] = "not installed"
        for clients in RUNGS:
            table = rung(whole, clients)
            self.assertEqual(set(table.rows), {"launcelot", "asyncio"})
            self.assertEqual(table.medians()["asyncio"], dict.fromkeys(BETTER_DIALOGS, clients + 0.375))
            self.assertIn("not installed", table.as_text())
