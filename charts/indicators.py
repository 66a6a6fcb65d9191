"""Pictures of a model's indicators: the effect of each, and the effect of one at each of its values."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt

from fivefold.charts.style import INK, MUTED, NEGATIVE, POSITIVE, WHOLE, rimmed, styled
from fivefold.charts.text.numbers import cut_end, one_line

BARS_WIDTH, BAR_ROW_HEIGHT = 420, 24
LONGEST_NAME = 58
CURVE_WIDTH, CURVE_HEIGHT, CUSTOMERS_HEIGHT = 540, 320, 70
SKEWED = 20.0
"""An axis is logarithmic if the largest amount is this many times the median."""
DIRECTION_COLOURS = {"raises": POSITIVE, "lowers": NEGATIVE, "": WHOLE}


def importance_bars(rows: Sequence[tuple[str, float, str]], *, title: str, measure: str) -> alt.LayerChart:
    """Draw the effects of indicators as bars, in the order given.

    Args:
        rows: for each indicator its label, its effect (0 or more), and what larger values do: raises, lowers or
            nothing.
        title: of the picture.
        measure: the name of the effect, for the axis.
    """
    bars: list[dict[str, Any]] = [
        {
            "indicator": f"{number:03d} {cut_end(one_line(label), LONGEST_NAME)}",
            "effect": effect,
            "colour": DIRECTION_COLOURS[direction],
            "words": f"{effect:.3f}",
        }
        for number, (label, effect, direction) in enumerate(rows)
    ]
    scale = alt.Scale(domain=[0, max([effect for _, effect, _ in rows] + [1e-9]) * 1.15], nice=False)
    axis = alt.Axis(title=None, labelExpr="slice(datum.value, 4)", labelColor=INK, labelLimit=420)
    base: alt.Chart = alt.Chart(alt.InlineData(values=bars)).encode(
        x=alt.X("effect:Q", scale=scale, axis=alt.Axis(title=one_line(measure), tickCount=6)),
        y=alt.Y("indicator:N", sort=[row["indicator"] for row in bars], axis=axis),
    )
    layers = [
        base.mark_bar(height=12).encode(color=alt.Color("colour:N", scale=None)),
        *rimmed(base.encode(text="words:N"), align="left", dx=6),
    ]
    return styled(
        alt.LayerChart(layer=layers, width=BARS_WIDTH, height=BAR_ROW_HEIGHT * max(1, len(rows))),
        title=title,
        subtitle="Blue: larger values raise the score. Orange: they lower it. Grey: no clear direction, or not known.",
    )


def dependence(
    average: Sequence[tuple[float, float, int]],
    individual: npt.NDArray[np.float64],
    *,
    title: str,
    across: str,
    currency: str,
) -> alt.VConcatChart:
    """Draw the expected value over the values of one indicator, and beneath how many customers each value stands for.

    Args:
        average: for each value (NaN: undefined, last) the mean money, and the customers that it stands for.
        individual: money of m customers at the same values, m x values.
        title: of the picture.
        across: the name of the values, with their unit.
        currency: of the money.
    """
    places = [place for place, (value, _, _) in enumerate(average) if not np.isnan(value)]
    values = [average[place][0] for place in places]
    look: dict[str, Any] = {"tickCount": 6, "format": ",~f", "grid": False, "labelSeparation": 6}
    along = alt.X("value:Q", scale=_scale(values), axis=alt.Axis(title=one_line(across), **look))
    plain = alt.X("value:Q", scale=_scale(values), axis=None)
    amounts = [*individual[:, places].ravel().tolist(), *(money for _, money, _ in average)]
    up = alt.Y(
        "money:Q",
        scale=_scale(amounts),
        axis=alt.Axis(title=f"Expected value of a customer ({currency})", format=",~f", tickCount=6),
    )
    means: list[dict[str, Any]] = [
        {"value": average[place][0], "money": average[place][1], "customers": average[place][2]} for place in places
    ]
    singles = [
        {"value": average[place][0], "money": float(row[place]), "customer": number}
        for number, row in enumerate(individual)
        for place in places
    ]
    base = alt.Chart(alt.InlineData(values=means))
    layers = [
        alt.Chart(alt.InlineData(values=singles))
        .mark_line(color=MUTED, opacity=0.25, strokeWidth=1)
        .encode(x=plain, y=up, detail="customer:N"),
        base.mark_line(color=POSITIVE, strokeWidth=3).encode(x=plain, y=up),
        base.mark_circle(color=POSITIVE, opacity=1, size=36).encode(x=plain, y=up),
        *_undefined(average, up),
    ]
    return styled(
        alt.vconcat(
            alt.LayerChart(layer=layers, width=CURVE_WIDTH, height=CURVE_HEIGHT),
            _standing_for(base, along),
            spacing=10,
        ),
        title=title,
        subtitle=[
            "Blue: the mean of all customers, had each of them this value. Grey: single customers.",
            "Bars: the customers whose own value is nearest. Where there are few, the curve says little.",
        ],
    )


def _standing_for(base: alt.Chart, along: alt.X) -> alt.Chart:
    """How many customers each value stands for; bars would widen the axis, and stand beside their points."""
    up = alt.Y("customers:Q", scale=alt.Scale(zero=True), axis=alt.Axis(title="Customers", tickCount=2, format=",d"))
    marks = base.mark_rule(color=WHOLE, strokeWidth=5).encode(x=along, y=up, y2=alt.value(CUSTOMERS_HEIGHT))
    chart: alt.Chart = marks.properties(width=CURVE_WIDTH, height=CUSTOMERS_HEIGHT)
    return chart


def _undefined(average: Sequence[tuple[float, float, int]], up: alt.Y) -> list[alt.Chart]:
    """A line across at the mean where the indicator is undefined: it has no place on the axis."""
    rows = [
        {"money": money, "words": f"no value ({customers:,} customers)"}
        for value, money, customers in average
        if np.isnan(value)
    ]
    if not rows:
        return []
    base: alt.Chart = alt.Chart(alt.InlineData(values=rows)).encode(y=up)
    words = base.encode(text="words:N", x=alt.value(CURVE_WIDTH))
    return [base.mark_rule(color=NEGATIVE, strokeDash=[5, 4]), *rimmed(words, align="right", dy=-9, fontWeight="bold")]


def _scale(amounts: Sequence[float]) -> alt.Scale:
    """Choose an axis: logarithmic beyond the median amount where a few are far above it.

    >>> _scale([1.0, 2.0, 3.0]).to_dict()["type"], _scale([1.0, 2.0, 3000.0]).to_dict()["type"]
    ('linear', 'symlog')
    """
    sizes = np.abs([amount for amount in amounts if amount])
    middle = float(np.median(sizes)) if len(sizes) else 1.0
    if len(sizes) and float(sizes.max()) > SKEWED * middle:
        return alt.Scale(type="symlog", constant=middle, nice=False)
    return alt.Scale(type="linear", zero=False, nice=False)
