"""Segments: what the customers of each segment turned out to be worth, and how much of the whole they hold."""

from math import isfinite
from typing import Any

import altair as alt
import polars as pl

from fivefold.charts.style import INK, NEGATIVE, SEGMENT_COLOURS, panel_title, rimmed, styled
from fivefold.charts.text.numbers import plain, typeset
from fivefold.domain.number_text import percent

WIDTH, HEIGHT = 330, 250
ROOM_ABOVE = 1.1
"""The vertical scale ends this many times above the tallest bar: its number stands there."""


def segments(table: pl.DataFrame, currency: str, known_on: str) -> alt.HConcatChart:
    """Draw each segment's mean realised value and, beside it, its share of all value and of all customers.

    Args:
        table: one row a segment: `segment` (low, medium, high, top), `customers`, `value_mean` (mean realised
            value in money) and `value_share` (0 to 1). A segment without a row, or without a value, is a gap.
        currency: the code that the money is in.
        known_on: the day of the reference portfolio, as text: a segment is a place among those known then.
    """
    rows = _rows(table)
    customers = sum(row["customers"] for row in rows)
    means = _bars(rows, "value_mean", ("value_mean",))
    shares = _bars(rows, "value_share", ("value_share", "customer_share"))
    panels = [
        _panel(means, f"Mean realised value of a customer ({currency})"),
        _panel(
            [shares[0], _customer_lines(rows), *shares[1:]],
            "Share of all realised value; orange line: share of all customers",
        ),
    ]
    return styled(
        alt.hconcat(*panels, spacing=48),
        title="What the customers of each segment turned out to be worth",
        subtitle=f"{customers:,} customers, in their predicted segment: a place among those known on {known_on}.",
    )


def _rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """One row for each segment, in their order, with the words to be shown."""
    comparable = {row["segment"]: row for row in table.to_dicts()}
    everyone = max(sum(row["customers"] for row in comparable.values()), 1)
    return [_row(segment, comparable.get(segment, {}), everyone) for segment in SEGMENT_COLOURS]


def _row(segment: str, counts: dict[str, Any], everyone: int) -> dict[str, Any]:
    customers = counts.get("customers", 0)
    mean, share = (_finite(counts.get(name)) for name in ("value_mean", "value_share"))
    return {
        "foot": f"{segment}\n{customers:,}",
        "colour": SEGMENT_COLOURS[segment],
        "customers": customers,
        "customer_share": customers / everyone,
        "value_mean": mean,
        "value_mean_text": "" if mean is None else typeset(plain(mean)),
        "value_share": share,
        "value_share_text": "" if share is None else typeset(percent(share, 0)),
    }


def _finite(number: float | None) -> float | None:
    return number if number is not None and isfinite(number) else None


def _bars(rows: list[dict[str, Any]], height: str, in_scale: tuple[str, ...]) -> list[alt.Chart]:
    """One bar for each segment with its number on top, which makes a vertical axis needless."""
    heights = [row[name] or 0.0 for row in rows for name in in_scale]
    scale = alt.Scale(domain=[min(0.0, *heights), (max(heights) or 1.0) * ROOM_ABOVE], nice=False)
    base = _across(rows).encode(y=alt.Y(f"{height}:Q", axis=None, scale=scale))
    number = base.encode(text=f"{height}_text:N")
    return [
        base.mark_bar(cornerRadiusEnd=2).encode(color=alt.Color("colour:N", scale=None)),
        *rimmed(number, fontWeight="bold", dy=-9),
    ]


def _customer_lines(rows: list[dict[str, Any]]) -> alt.Chart:
    """Where each bar would end if every customer were worth the same."""
    mark = _across(rows).mark_tick(color=NEGATIVE, thickness=2.5, opacity=1)
    lines: alt.Chart = mark.encode(y=alt.Y("customer_share:Q", axis=None))
    return lines


def _across(rows: list[dict[str, Any]]) -> alt.Chart:
    feet = [row["foot"] for row in rows]
    axis = alt.Axis(
        title="Segment and number of customers",
        labelAngle=0,
        labelExpr="split(datum.value, '\\n')",
        labelColor=INK,
    )
    across: alt.Chart = alt.Chart(alt.InlineData(values=rows)).encode(x=alt.X("foot:N", sort=feet, axis=axis))
    return across


def _panel(layers: list[alt.Chart], title: str) -> alt.LayerChart:
    return alt.LayerChart(layer=layers, width=WIDTH, height=HEIGHT, title=panel_title(title))
