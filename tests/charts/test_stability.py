"""Bars of drift."""

import polars as pl

from fivefold.charts.render import svg
from fivefold.charts.stability import stability
from fivefold.charts.style import NEGATIVE
from tests.charts.drawn import words


def test_factors_stand_in_the_order_given_each_with_its_index() -> None:
    table = pl.DataFrame(
        {
            "factor": ["b", "a", "a", "x" * 90],
            "index": [0.3, 0.12, None, 0.0],
            "verdict": ["shifted", "moving", "unknown", "stable"],
        }
    )
    chart = stability(table, (0.1, 0.25))
    said = words(chart)
    assert [text for text in said if text in {"a", "b"}] == ["b", "a", "a"]
    assert {"0.300", "0.120", "unknown", "0.000"} <= set(said)
    assert any(text.endswith("…") for text in said)
    assert NEGATIVE in svg(chart)


def test_no_factors_can_be_drawn() -> None:
    none = pl.DataFrame(
        {"factor": [], "index": [], "verdict": []},
        schema={"factor": pl.String, "index": pl.Float64, "verdict": pl.String},
    )
    assert "Population stability index" in words(stability(none, (0.1, 0.25)))
