"""Settings are declared once and checked by their declaration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.settings import Problem, declared, default_of, load, setting, unknown


@dataclass(frozen=True, slots=True)
class Sample:
    """One setting of each kind."""

    count: int = setting(5, "How many.", unit="things", minimum=1, maximum=10)
    share: float = setting(0.5, "Which part.", minimum=0, maximum=1)
    wanted: bool = setting(True, "Whether.")
    name: str = setting("x", "What it is called.")
    colour: str = setting("red", "Which.", choices=("red", "green"))
    listen: tuple[str, ...] = setting(("a",), "Where.")
    ports: tuple[int, ...] = setting((), "Which.", unit="ports", minimum=1)
    folder: str | None = setting(None, "Where to.")


@dataclass(frozen=True, slots=True)
class Free:
    """Numbers in a list."""

    shares: tuple[float, ...] = setting((), "Which parts.")


class LoadTests(SynchronousTestCase):
    """Tables become settings."""

    def problems(self, given: Mapping[str, Any]) -> list[str]:
        """What is wrong with a table, one text each; everything keeps its default then."""
        group, problems = load(Sample, given)
        for problem in problems:
            one = problem.path[-1]
            if one in {field.name for field in fields(Sample)}:
                self.assertEqual(getattr(group, one), getattr(Sample(), one))
        return [problem.text for problem in problems]

    def test_nothing_given_is_the_defaults(self) -> None:
        """No configuration is needed."""
        self.assertEqual(load(Sample, {}), (Sample(), []))

    def test_given_values_are_taken(self) -> None:
        """Of every kind; lists become tuples, whole numbers become numbers, and what is not given keeps its default."""
        given = {
            "count": 10,
            "share": 1,
            "wanted": False,
            "name": "",
            "colour": "green",
            "listen": [],
            "ports": [1, 2],
            "folder": "/x",
        }
        group, problems = load(Sample, given)
        self.assertEqual(problems, [])
        self.assertEqual(group, Sample(10, 1.0, False, "", "green", (), (1, 2), "/x"))
        self.assertIs(type(group.share), float)
        self.assertEqual(load(Sample, {"name": "y"})[0], Sample(name="y"))
        self.assertEqual([type(one) for one in load(Free, {"shares": [1, 2.5]})[0].shares], [float, float])

    def test_unknown_key_names_the_nearest(self) -> None:
        """Or nothing, where nothing is near."""
        self.assertEqual(self.problems({"colur": "red"}), ["unknown key 'colur'; did you mean 'colour'?"])
        self.assertEqual(self.problems({"zzz": 1}), ["unknown key 'zzz'"])
        self.assertEqual(unknown("liste", ["smtp", "listen"]), "unknown key 'liste'; did you mean 'listen'?")

    def test_wrong_kinds_are_told_in_the_files_words(self) -> None:
        """What it must be and what it is; true is no number and a text is no list."""
        for key, value, text in (
            ("count", "5", "must be a whole number, not a text"),
            ("count", True, "must be a whole number, not true or false"),
            ("count", 5.0, "must be a whole number, not a number"),
            ("share", "x", "must be a number, not a text"),
            ("share", False, "must be a number, not true or false"),
            ("wanted", 1, "must be true or false, not a whole number"),
            ("name", 1, "must be a text, not a whole number"),
            ("name", ["x"], "must be a text, not a list"),
            ("name", {"x": 1}, "must be a text, not a table"),
            ("listen", "tcp:1", "must be a list, not a text"),
            ("listen", ["a", 1], "must be a text, not a whole number"),
            ("ports", [[1]], "must be a whole number, not a list"),
            ("folder", 1, "must be a text, not a whole number"),
        ):
            with self.subTest(key=key, value=value):
                self.assertEqual(self.problems({key: value}), [text])

    def test_bounds_are_told_with_their_unit(self) -> None:
        """The bounds themselves are lawful."""
        for key, value, text in (
            ("count", 0, "must be at least 1 things"),
            ("count", 11, "must be at most 10 things"),
            ("share", -0.1, "must be at least 0"),
            ("share", 1.5, "must be at most 1"),
            ("share", 2, "must be at most 1"),
            ("ports", [3, 0], "must be at least 1 ports"),
        ):
            with self.subTest(key=key, value=value):
                self.assertEqual(self.problems({key: value}), [text])
        for given in ({"count": 1}, {"count": 10}, {"share": 0}, {"share": 1.0}):
            self.assertEqual(self.problems(given), [])

    def test_not_a_number_is_no_number(self) -> None:
        """TOML can write nan, inf and whole numbers past all numbers."""
        for value in (math.nan, math.inf, -math.inf, 10**400):
            self.assertEqual(self.problems({"share": value}), ["must be a finite number"])

    def test_choices_are_told(self) -> None:
        """All of them."""
        self.assertEqual(self.problems({"colour": "blue"}), ["must be one of red, green"])

    def test_all_problems_are_told_at_once(self) -> None:
        """With the whole way to each, in the order of the file; the rest is taken."""
        group, problems = load(Sample, {"count": 0, "name": "y", "nmae": "z", "colour": "blue"}, ("services", "smtp"))
        self.assertEqual(group, Sample(name="y"))
        keys = ("count", "nmae", "colour")
        self.assertEqual([problem.path for problem in problems], [("services", "smtp", key) for key in keys])
        self.assertEqual(problems[2], Problem(("services", "smtp", "colour"), "must be one of red, green"))

    def test_declaration_is_kept(self) -> None:
        """For the sample file and the documentation."""
        count = fields(Sample)[0]
        one = declared(count)
        self.assertEqual((one.text, one.unit, one.minimum, one.maximum), ("How many.", "things", 1, 10))
        self.assertEqual(default_of(count), 5)
        self.assertEqual(declared(fields(Sample)[4]).choices, ("red", "green"))
