"""
Line charts as SVG, in as few words as they need: axes with round numbers, lines with a mark at each point, a legend.

A picture is one or more charts beside each other.  Nothing is loaded from elsewhere, nothing moves, and it can be read without
colour: every line has a mark of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 460, 340
"""Pixels of one chart."""

LEFT, RIGHT, TOP, BOTTOM = 64, 16, 74, 50
"""Pixels around the field that the lines are in; the title and the legend are above it."""

COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#7d3c98", "#b9770e")
MARKS = ("circle", "square", "diamond", "triangle", "cross")


@dataclass(frozen=True)
class Line:
    """One line; its points in order."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """
    One chart; both axes begin at 0.

    :ivar across: what the horizontal axis counts.
    :ivar ticks: where it has its numbers; round ones if there are none.
    """

    title: str
    across: str
    lines: Sequence[Line]
    ticks: Sequence[float] = ()


def picture(charts: Sequence[Chart]) -> str:
    """A whole file."""
    width = WIDTH * len(charts)
    body = "\n".join(
        f'<g transform="translate({number * WIDTH} 0)">\n{"".join(drawn(chart))}</g>' for number, chart in enumerate(charts)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}"'
        ' font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


class Scale:
    """
    Where the numbers of an axis are.

    :param low: pixel of 0.
    :param high: pixel of the largest.
    """

    def __init__(self, largest: float, low: float, high: float) -> None:
        self._slope = (high - low) / largest
        self._low = low

    def __call__(self, value: float) -> float:
        """The pixel of a number."""
        return round(self._low + value * self._slope, 2)


def round_ticks(largest: float, at_most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, from 0 to the first that is not below ``largest``."""
    if largest <= 0:
        return [0.0, 1.0]
    step = 10.0 ** math.floor(math.log10(largest / at_most))
    for times in (1, 2, 5, 10):
        if largest / (step * times) <= at_most:
            step *= times
            break
    return [number * step for number in range(math.ceil(round(largest / step, 9)) + 1)]


def drawn(chart: Chart) -> Iterable[str]:
    """The elements of one chart."""
    points = [point for line in chart.lines for point in line.points]
    upward = round_ticks(max((y for _, y in points), default=0.0))
    onward = list(chart.ticks) or round_ticks(max((x for x, _ in points), default=0.0))
    x = Scale(max(onward), LEFT, WIDTH - RIGHT)
    y = Scale(upward[-1], HEIGHT - BOTTOM, TOP)
    yield text(LEFT, 22, chart.title, weight="bold", size=14)
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, chart.across, anchor="middle")
    for tick in upward:
        yield stroke(LEFT, y(tick), WIDTH - RIGHT, y(tick), "#333" if tick == 0 else "#ddd")
        yield text(LEFT - 8, y(tick) + 4, f"{tick:,.10g}", anchor="end")
    for tick in onward:
        yield stroke(x(tick), HEIGHT - BOTTOM, x(tick), HEIGHT - BOTTOM + 5, "#333")
        yield text(x(tick), HEIGHT - BOTTOM + 18, f"{tick:,.10g}", anchor="middle")
    for number, line in enumerate(chart.lines):
        colour, kind = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
        places = [(x(across), y(up)) for across, up in line.points]
        yield from legend(number, len(chart.lines), line.name, colour, kind)
        joined = " ".join(f"{across:g},{up:g}" for across, up in places)
        yield f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>\n'
        for across, up in places:
            yield mark(kind, across, up, colour)


def legend(number: int, of: int, name: str, colour: str, kind: str) -> Iterable[str]:
    """One entry, above the field."""
    begin = LEFT + number * (WIDTH - LEFT - RIGHT) / of
    yield stroke(begin, 46, begin + 24, 46, colour, 2)
    yield mark(kind, begin + 12, 46, colour)
    yield text(begin + 30, 50, name)


def text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal", size: int = 12) -> str:
    """Words; ``y`` is their base line."""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" fill="#222">'
        f"{escape(words)}</text>\n"
    )


def stroke(x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1) -> str:
    """A straight line."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" stroke-width="{width}"/>\n'


def mark(kind: str, x: float, y: float, colour: str) -> str:
    """The mark of a point, eight pixels wide, around it."""
    shapes = {
        "circle": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
        "square": "M-4 -4h8v8h-8z",
        "diamond": "M0 -5l5 5l-5 5l-5 -5z",
        "triangle": "M0 -5l5 9h-10z",
        "cross": "M-4 -4l8 8M4 -4l-8 8",
    }
    return f'<path class="point" transform="translate({x:g} {y:g})" d="{shapes[kind]}" fill="{colour}" stroke="{colour}"/>\n'
