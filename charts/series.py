"""Positions of a figure's dots over time, and curves of rankings, in numbers alone; pages write them as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

PLOT_WIDTH, PLOT_HEIGHT = 340.0, 120.0
"""In the units of the picture, at any size on a screen."""
CURVE_WIDTH, CURVE_HEIGHT = 340.0, 260.0
"""In the units of the picture, at any size on a screen."""
MODEL, PERFECT, CHANCE = "model", "perfect", "random order"
POINTS_DRAWN = 500
"""About as many points are drawn of each curve; more would only enlarge a file."""
RIVAL_LOOKS = 5
"""How many rivals look different; the next one looks like the first."""

Shares = Sequence[tuple[float, float]]
"""The shares of those ranked first and of what they hold, each from 0 to 1, rising."""
COLUMNS_WIDTH, COLUMNS_HEIGHT = 600.0, 180.0
"""In the units of the picture, at any size on a screen."""
WIDEST = 64.0
"""The widest column, if there are few."""
FILLED = 0.8
"""The part of its room that a column fills; the rest separates it from the next."""
SPARK_WIDTH, SPARK_HEIGHT = 120.0, 24.0
"""In the units of the picture, at any size on a screen."""
_HALVES = (0.0, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class SeriesFigure:
    """A figure of one time.

    Attributes:
        label: the time, in a word or two.
        value: None if nothing was measured; that is a gap, and never 0.
        low: the low end of the interval around it; None without one.
        high: the high end of that interval.
        limit: what the figure is compared with at that time; None without one.
    """

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class PlottedFigure:
    """A figure in the plot, from its upper left corner; None if it was not measured."""

    label: str
    x: float
    y: float | None
    low_y: float | None
    high_y: float | None
    limit_y: float | None


@dataclass(frozen=True, kw_only=True)
class SeriesPlot:
    """A plot of figures over time.

    Attributes:
        places: of the figures, the earliest first.
        lines: from one measured figure to the next, x1, y1, x2, y2; none across a gap.
        limits: the same of the limits.
        ticks: a height and the value that it stands for.
        step: the room that each figure has.
    """

    places: tuple[PlottedFigure, ...]
    lines: tuple[tuple[float, float, float, float], ...]
    limits: tuple[tuple[float, float, float, float], ...]
    ticks: tuple[tuple[float, float], ...]
    step: float


def series_plot(figures: Sequence[SeriesFigure], axis: tuple[float, float]) -> SeriesPlot:
    """Place figures, the earliest first, side by side on a plot of `PLOT_WIDTH` by `PLOT_HEIGHT`.

    *axis* is the lowest and the highest value; it is widened where a figure, an interval or a limit lies outside.

    >>> plot = series_plot([SeriesFigure(label="Q1", value=0.5), SeriesFigure(label="Q2", value=None)], (0.0, 1.0))
    >>> [(place.x, place.y) for place in plot.places], plot.lines
    ([(85.0, 60.0), (255.0, None)], ())
    """
    ends = [end for one in figures for end in (one.value, one.low, one.high, one.limit) if end is not None]
    lowest, highest = min((axis[0], *ends)), max((axis[1], *ends))
    span = (highest - lowest) or 1.0
    step = PLOT_WIDTH / max(len(figures), 1)

    def height(value: float | None) -> float | None:
        return None if value is None else PLOT_HEIGHT * (highest - value) / span

    places = tuple(
        PlottedFigure(
            label=one.label,
            x=step * (number + 0.5),
            y=height(one.value),
            low_y=height(one.low),
            high_y=height(one.high),
            limit_y=height(one.limit),
        )
        for number, one in enumerate(figures)
    )
    return SeriesPlot(
        places=places,
        lines=_connections([(place.x, place.y) for place in places]),
        limits=_connections([(place.x, place.limit_y) for place in places]),
        ticks=tuple((PLOT_HEIGHT * (1.0 - part), lowest + part * span) for part in _HALVES),
        step=step,
    )


def _connections(places: Sequence[tuple[float, float | None]]) -> tuple[tuple[float, float, float, float], ...]:
    """Connect neighbouring measured figures; a gap is not crossed."""
    return tuple(
        (x, y, next_x, next_y) for (x, y), (next_x, next_y) in pairwise(places) if y is not None and next_y is not None
    )


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One curve.

    Attributes:
        name: of the ranking.
        look: how it is drawn: model, perfect, chance, or rival-0, rival-1 and so on.
        shares: of those ranked first and of what they hold, each from 0 to 1.
    """

    name: str
    look: str
    shares: tuple[tuple[float, float], ...]

    @property
    def points(self) -> str:
        """The same as `x,y` from the upper left corner, with spaces between, on `CURVE_WIDTH` by `CURVE_HEIGHT`."""
        return " ".join(
            f"{CURVE_WIDTH * first:.1f},{CURVE_HEIGHT * (1.0 - share_held):.1f}" for first, share_held in self.shares
        )


def ranked_curves(curves: Mapping[str, Shares]) -> tuple[Curve, ...]:
    """Order curves as they lie, the one with the largest area beneath it first, and put that of chance last.

    >>> [(curve.name, curve.look) for curve in ranked_curves({
    ...     "rfm": [(0.0, 0.0), (0.5, 0.6), (1.0, 1.0)], "model": [(0.0, 0.0), (0.5, 0.8), (1.0, 1.0)]})]
    [('model', 'model'), ('rfm', 'rival-0'), ('random order', 'chance')]
    >>> ranked_curves({"model": [(0.0, 0.0), (0.5, 0.75), (1.0, 1.0)]})[0].points
    '0.0,260.0 170.0,65.0 340.0,0.0'
    """
    best_first = sorted(curves, key=lambda name: (-_area(sorted(curves[name])), name))
    rivals = [name for name in best_first if name not in {MODEL, PERFECT}]
    looks = {name: f"rival-{number % RIVAL_LOOKS}" for number, name in enumerate(rivals)}
    curves_drawn = [
        Curve(name=name, look=looks.get(name, name), shares=_thinned(sorted(curves[name]))) for name in best_first
    ]
    return (*curves_drawn, Curve(name=CHANCE, look="chance", shares=((0.0, 0.0), (1.0, 1.0))))


def at_even_distances(shares_held: Sequence[float]) -> Shares:
    """Return the shares of a curve whose values are at even distances, from 0 to 1.

    >>> at_even_distances([0.0, 0.8, 1.0])
    [(0.0, 0.0), (0.5, 0.8), (1.0, 1.0)]
    """
    return [(place / max(len(shares_held) - 1, 1), share) for place, share in enumerate(shares_held)]


def _area(shares: Shares) -> float:
    return sum((x - before_x) * (y + before_y) / 2 for (before_x, before_y), (x, y) in pairwise([(0.0, 0.0), *shares]))


def _thinned(shares: Shares) -> tuple[tuple[float, float], ...]:
    """A curve with no more points than are visible; the last one stays."""
    every = max(1, len(shares) // POINTS_DRAWN)
    last = () if (len(shares) - 1) % every == 0 else shares[-1:]
    return (*shares[::every], *last)


@dataclass(frozen=True)
class ColumnPart:
    """A part of a column, from the upper left corner of the plot; `place` is its number among the parts, from 0."""

    place: int
    y: float
    height: float


@dataclass(frozen=True)
class ShareColumn:
    """A column: its left edge, its middle, how wide it is, and the parts that are not empty, the lowest first."""

    x: float
    middle: float
    width: float
    parts: tuple[ColumnPart, ...]


def share_columns(rows: Sequence[Sequence[int]]) -> tuple[ShareColumn, ...]:
    """Stack the shares of counts, a column for each row, side by side from the left.

    Each column is as high as the plot, `COLUMNS_WIDTH` by `COLUMNS_HEIGHT`; a row of zeros has no parts.

    >>> [(part.place, part.y, part.height) for part in share_columns([(3, 0, 1)])[0].parts]
    [(0, 45.0, 135.0), (2, 0.0, 45.0)]
    """
    room = COLUMNS_WIDTH / max(len(rows), 1)
    width = min(room * FILLED, WIDEST)
    return tuple(
        ShareColumn(
            x=room * number + (room - width) / 2,
            middle=room * (number + 0.5),
            width=width,
            parts=tuple(_parts(counts)),
        )
        for number, counts in enumerate(rows)
    )


def _parts(counts: Sequence[int]) -> list[ColumnPart]:
    whole, before, parts = sum(counts), 0, []
    for place, count in enumerate(counts):
        before += count
        if count > 0:
            top, height = (COLUMNS_HEIGHT * part / whole for part in (whole - before, count))
            parts.append(ColumnPart(place, top, height))
    return parts


@dataclass(frozen=True)
class Sparkline:
    """A line from point to point, from the upper left corner of the picture.

    Attributes:
        path: of SVG: a part for each run of known values, and a point where a run has one value.
        end: the place of the last known value.
        lowest: at the bottom of the picture.
        highest: at its top; where it is the lowest too, the line is halfway.
    """

    path: str
    end: tuple[float, float]
    lowest: float
    highest: float


def sparkline(moments: Sequence[int], values: Sequence[float | None]) -> Sparkline | None:
    """Draw values at moments, which rise; None is a gap that no line crosses. None where there is no value at all.

    >>> sparkline((0, 5, 10, 15), (None, 1.0, 3.0, 2.0))
    Sparkline(path='M40.0 24.0 L80.0 0.0 L120.0 12.0', end=(120.0, 12.0), lowest=1.0, highest=3.0)
    >>> sparkline((0, 6), (None, None)) is None
    True
    """
    known_values = [value for value in values if value is not None]
    if not known_values:
        return None
    lowest, highest = min(known_values), max(known_values)
    span = (moments[-1] - moments[0]) or 1
    size = highest / 2 - lowest / 2  # halves: the distance between the largest floats overflows
    parts: list[str] = []
    end, runs = (0.0, 0.0), 0
    for moment, value in zip(moments, values, strict=True):
        if value is None:
            runs = 0
            continue
        height = (highest / 2 - value / 2) / size if size else 0.5
        end = (round(SPARK_WIDTH * (moment - moments[0]) / span, 1), round(SPARK_HEIGHT * height, 1))
        parts.append(f"{'L' if runs else 'M'}{end[0]:.1f} {end[1]:.1f}")
        runs += 1
    return Sparkline(_with_points(parts), end, lowest, highest)


def _with_points(parts: Sequence[str]) -> str:
    """Turn a run of one value into a line of no length, whose round end is a point."""
    runs = []
    for place, part in enumerate(parts):
        alone = part.startswith("M") and (place + 1 == len(parts) or parts[place + 1].startswith("M"))
        runs.append(f"{part} h0" if alone else part)
    return " ".join(runs)
