"""What the terminal, a page and Altair draw of one breakdown is one picture: order, numbers, and the ends of bars."""

import re
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from fivefold.charts.bars import LEVEL_WIDTH, PLOT_WIDTH, Bar, level_steps, waterfall_bars
from fivefold.charts.evaluation import CURVES_HEIGHT, CURVES_WIDTH, LOOKS, lift
from fivefold.charts.render import svg
from fivefold.charts.series import CURVE_HEIGHT, CURVE_WIDTH, at_even_distances, ranked_curves
from fivefold.charts.steps import SCORE_AXIS, waterfall_plot
from fivefold.charts.text.waterfall import ADDS, GUIDE, HIGH_END, LOW_END, TAKES, WHOLE, waterfall_text
from fivefold.charts.waterfall import PLOT_WIDTH as ALTAIR_WIDTH
from fivefold.charts.waterfall import waterfall
from fivefold.console.rendering import environment
from fivefold.domain.breakdown import Breakdown, Contribution, TotalInterval

Ends = tuple[float, float, str]
"""Where a bar begins and ends, from 0 to 1 of the plot, and whether it is whole, up or down."""
NAMES: Any = {"base_label": "starting point", "total_label": "score", "axis": SCORE_AXIS}
PAIR = r"-?[\d.e-]+,-?[\d.e-]+"
LONGEST_ROUNDING = 0.1 / PLOT_WIDTH


def of(base: float, *points: float) -> Breakdown:
    return Breakdown(
        base, tuple(Contribution(f"part {place}", "", 1.0, "", each, "") for place, each in enumerate(points))
    )


BREAKDOWNS = {
    "a score": of(2.75, 0.81, -0.44, 0.31, 0.2, -0.22),
    "wider than its axis": of(4.5, 1.25, -5.0, 2.0),
    "more than are shown": of(3.0, *(0.1 * (-1) ** place * place for place in range(1, 16))),
    "whole points": of(2.0, 1.0, 2.0, -1.0),
    "below zero": of(-10.0, -5.0, -20.0),
}


@pytest.fixture(scope="module")
def macros() -> ModuleType:
    """The macros that pages draw with."""
    return environment().get_template("shared/macros.html").make_module({"visit": None, "now_us": 0})  # type: ignore[return-value]  # has macros as attributes


def drawn_by_altair(breakdown: Breakdown) -> tuple[list[Ends], list[str]]:
    """Read the bars of the SVG file, by their outlines and colours."""
    root = ET.fromstring(svg(waterfall(breakdown, title="x")))
    (layer,) = [node for node in root.iter() if node.get("class") == "mark-rect role-mark layer_0_marks"]
    colours = {"#475569": "whole", "#0072b2": "up", "#c25400": "down"}
    bars = []
    for path in layer:
        corners = [float(pair.split(",")[0]) for pair in re.findall(PAIR, path.get("d", ""))]
        bars.append((min(corners) / ALTAIR_WIDTH, max(corners) / ALTAIR_WIDTH, colours[path.get("fill", "")]))
    said = [node.text or "" for node in root.iter() if node.text]
    return bars, said


def drawn_by_the_page(macros: ModuleType, breakdown: Breakdown) -> tuple[list[Ends], Any]:
    """Read the bars of the SVG in the page."""
    bars = waterfall_bars(breakdown, **NAMES)
    picture = ET.fromstring(str(macros.waterfall(bars, "title", "description", "name")))[0]
    left = min(float(rect.get("x", "")) for rect in picture.iter("rect")) - min(bar.x for bar in bars)
    ends = []
    for rect in picture.iter("rect"):
        x, width = float(rect.get("x", "")) - left, float(rect.get("width", ""))
        ends.append((x / PLOT_WIDTH, (x + width) / PLOT_WIDTH, rect.get("class", "")))
    return ends, picture


def drawn_by_the_terminal(breakdown: Breakdown) -> tuple[list[Ends], list[str], int]:
    """Read the bars of the lines of text, whose last column stands for the high end of the axis."""
    lines = waterfall_text(breakdown, width_columns=200).splitlines()[1:-2]
    rows = [line for line in lines if not line.startswith("─")]
    first = min(line.index(sign) for line in rows for sign in (ADDS, TAKES, WHOLE, GUIDE) if sign in line)
    last = max(len(line) for line in rows) - 1
    kinds = {ADDS: "up", TAKES: "down", WHOLE: "whole"}
    ends = []
    for line in rows:
        found = re.search(f"[{ADDS}{TAKES}{WHOLE}]+", line[first:])
        assert found, line
        ends.append((found.start() / (last - first), found.end() / (last - first), kinds[found[0][0]]))
    return ends, rows, last - first


@pytest.mark.parametrize("name", BREAKDOWNS)
def test_a_waterfall_is_one_picture_wherever_it_is_drawn(name: str, macros: ModuleType) -> None:
    breakdown = BREAKDOWNS[name]
    plot = waterfall_plot(breakdown)
    meant = [(*sorted((plot.place(row.start), plot.place(row.end))), row.kind) for row in plot.rows]
    altair, said = drawn_by_altair(breakdown)
    page, picture = drawn_by_the_page(macros, breakdown)
    terminal, lines, columns = drawn_by_the_terminal(breakdown)
    assert [kind for _, _, kind in meant] == [kind for _, _, kind in altair]
    for drawn, tolerance in (
        (altair, 1e-6),
        (page, LONGEST_ROUNDING),
        (terminal, 0.5 / columns),
    ):
        assert [kind for _, _, kind in drawn] == [kind for _, _, kind in meant]
        for (start, end, _), (first, last, _) in zip(drawn, meant, strict=True):
            # What is next to nothing is drawn all the same, in one column and in one unit of a page.
            shortest = 1 / columns if drawn is terminal else 1 / PLOT_WIDTH if drawn is page else 0.0
            assert start == pytest.approx(first, abs=tolerance + 1e-9)
            assert end == pytest.approx(max(last, start + shortest), abs=tolerance + 1e-9)
    in_page = [
        " ".join(node.findall("tspan")[0].itertext()) if len(node) else node.text for node in picture.iter("text")
    ]
    for row, line, label, number in zip(plot.rows, lines, in_page[::2], in_page[1::2], strict=True):
        printed = row.number.replace("-", "\N{MINUS SIGN}")
        assert label == row.label
        assert number == printed
        assert line.startswith(row.label)
        assert f" {row.number} " in line
        assert {row.label, printed} <= set(said)


INTERVALS = {
    "about the total": TotalInterval(2.2, 4.1, 80),
    "outside the axis": TotalInterval(0.5, 5.75, 95),
    "of no length": TotalInterval(3.41, 3.41, 80),
    "without a high end": TotalInterval(2.2, None, 80),
}


def line_of_altair(breakdown: Breakdown, interval: TotalInterval) -> tuple[float, float, int]:
    """Read where the line of the interval begins and ends in the SVG file, and how many stops it has."""
    root = ET.fromstring(svg(waterfall(breakdown, title="x", interval=interval)))
    layers = {node.get("class"): node for node in root.iter() if node.get("class")}
    (line,) = layers["mark-rule role-mark layer_2_marks"]
    (begins,) = re.findall(r"translate\(([-\d.]+),", line.get("transform", ""))
    ends = float(begins) + float(line.get("x2", ""))
    return float(begins) / ALTAIR_WIDTH, ends / ALTAIR_WIDTH, len(layers["mark-rect role-mark layer_3_marks"])


def line_of_the_page(macros: ModuleType, breakdown: Breakdown, interval: TotalInterval) -> tuple[float, float, int]:
    """Read the same of the SVG in the page, where the bars keep their links."""
    bars = waterfall_bars(breakdown, interval=interval, **NAMES)
    picture = ET.fromstring(str(macros.waterfall(bars, "title", "description", "name")))[0]
    left = min(float(rect.get("x", "")) for rect in picture.iter("rect")) - min(bar.x for bar in bars[:-1])
    (drawn,) = [node.get("d", "") for node in picture.iter("path") if node.get("class") == "whisker"]
    ((begins, ends),) = re.findall(r"M([-\d.]+) [-\d.]+ H([-\d.]+)", drawn)
    assert len(list(picture.iter("line"))) == len(list(picture.iter("rect"))) - 1 == len(bars) - 2
    return (float(begins) - left) / PLOT_WIDTH, (float(ends) - left) / PLOT_WIDTH, drawn.count("V")


def line_of_the_terminal(breakdown: Breakdown, interval: TotalInterval) -> tuple[float, float, int, str]:
    """Read the same of the lines of text: below the total, which is below a line across."""
    lines = waterfall_text(breakdown, width_columns=200, interval=interval).splitlines()
    rule, total, line = lines[-5:-2]
    assert total.startswith("score")
    found = re.search(f"{LOW_END}?─*{HIGH_END}?$", line.rstrip(GUIDE + " "))
    assert found, line
    first = min(total.index(WHOLE), found.start())  # the interval alone may widen the axis at its low end
    columns = len(rule) - 1 - first
    stops = sum(sign in found[0] for sign in (LOW_END, HIGH_END))
    return (found.start() - first) / columns, (found.end() - 1 - first) / columns, stops, line


@pytest.mark.parametrize("name", INTERVALS)
def test_the_interval_of_a_total_is_one_line_wherever_it_is_drawn(name: str, macros: ModuleType) -> None:
    interval, breakdown = INTERVALS[name], BREAKDOWNS["a score"]
    plot = waterfall_plot(breakdown, interval=interval, **NAMES)
    row = plot.interval
    assert row is not None
    assert plot.rows == waterfall_plot(breakdown, **NAMES).rows
    first, last = plot.place(interval.low), 1.0 if interval.high is None else plot.place(interval.high)
    assert (plot.place(row.start), plot.place(row.end)) == (first, last)
    stops = 1 if interval.high is None else 2

    assert line_of_altair(breakdown, interval) == (pytest.approx(first), pytest.approx(last), stops)
    begins, ends, seen = line_of_the_page(macros, breakdown, interval)
    assert begins == pytest.approx(first, abs=LONGEST_ROUNDING)
    assert ends == pytest.approx(max(last, first + 1 / PLOT_WIDTH), abs=LONGEST_ROUNDING)
    assert seen == stops
    begins, ends, seen, line = line_of_the_terminal(breakdown, interval)
    assert begins == pytest.approx(first, abs=0.01)
    assert ends == pytest.approx(last, abs=0.01)
    assert seen == (1 if first == last else stops)
    assert line.startswith(f"interval, {interval.level_percent} % sure")
    said = "or more" if interval.high is None else f"to {interval.high:.2f}"
    assert f" {interval.low:.2f} {said} " in line


def test_curves_are_one_picture_in_a_page_and_in_a_file() -> None:
    held = {"model": [0.0, 0.55, 0.8, 1.0], "perfect": [0.0, 0.9, 1.0, 1.0], "rfm": [0.0, 0.4, 0.7, 1.0]}
    ranked = ranked_curves({name: at_even_distances(shares) for name, shares in held.items()})
    table = pl.concat(
        pl.DataFrame(at_even_distances(shares), schema=["customer_share", "value_share"], orient="row").with_columns(
            name=pl.lit(name)
        )
        for name, shares in held.items()
    )
    lines = [
        node
        for group in ET.fromstring(svg(lift(table))).iter()
        if (group.get("class") or "").startswith("mark-line")
        for node in group
    ]
    assert len(lines) == len(ranked)
    for curve in ranked:
        colour, _, dashes = LOOKS[curve.look]
        look = (colour, ",".join(map(str, dashes)))
        (line,) = [node for node in lines if (node.get("stroke"), node.get("stroke-dasharray")) == look]
        altair = [tuple(map(float, pair.split(","))) for pair in re.findall(PAIR, line.get("d", ""))]
        page = [tuple(map(float, pair.split(","))) for pair in curve.points.split(" ")]
        assert [(x / CURVES_WIDTH, y / CURVES_HEIGHT) for x, y in altair] == [
            (pytest.approx(x / CURVE_WIDTH, abs=2e-4), pytest.approx(y / CURVE_HEIGHT, abs=2e-4)) for x, y in page
        ]


def test_the_scale_of_a_page_is_laid_out_by_the_geometry(macros: ModuleType) -> None:
    steps = level_steps(("low", "medium", "high"), "high", "low")
    picture = ET.fromstring(str(macros.scale(steps, "title")))[0]
    drawn = [(float(rect.get("x", "")), rect.get("class", "")) for rect in picture.iter("rect")]
    assert drawn == [(1.0, "step beneath"), (LEVEL_WIDTH + 1, "step"), (2 * LEVEL_WIDTH + 1, "step holds")]
    assert [node.text for node in picture.iter("text")] == ["Low", "without override", "Medium", "High"]
    (marker,) = [node.get("d", "") for node in picture.iter("path")]
    assert marker.startswith(f"M{steps[2].middle:.0f} ")
    assert picture.find("desc") is not None
    assert (picture.findtext("desc") or "") == "Low (without override), Medium, High (holds)."


def test_a_label_of_a_page_fits_beside_the_plot_in_wide_letters_too() -> None:
    """A wide letter is as broad as two others: 32 of them would begin left of the picture."""
    wide, narrow = (
        Bar(label=label, number="", x=0.0, width=1.0, end=1.0, kind="up").lines
        for label in ("国家的风险" * 10, "Payments to or from countries under increased monitoring, and more")
    )
    assert max(map(len, wide)) == 16
    assert narrow == ["Payments to or from countries", "under increased monitoring, and…"]
