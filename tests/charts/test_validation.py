"""Pictures of validations: capture, confirmed shares of levels, bars of drift."""

import polars as pl
import pytest

from fivefold.charts.render import svg
from fivefold.charts.style import NEGATIVE
from fivefold.charts.validation import CHANCE, PERFECT, capture, confirmed, stability
from tests.charts.drawn import words

CURVE = [(0.0, 0.0), (0.1, 0.5), (1.0, 1.0)]


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


def test_the_ranking_stands_between_chance_and_the_best() -> None:
    chart = capture("total of <x>", CURVE, 0.2)
    assert [text for text in words(chart) if text in {"total of <x>", PERFECT, CHANCE}] == [
        "total of <x>",
        PERFECT,
        CHANCE,
    ]
    (rows,) = chart.to_dict()["datasets"].values()
    drawn = {
        name: [(row["entities"], row["confirmed"]) for row in rows if row["name"] == name] for name in (PERFECT, CHANCE)
    }
    assert drawn == {PERFECT: [(0.0, 0.0), (0.2, 1.0), (1.0, 1.0)], CHANCE: [(0.0, 0.0), (1.0, 1.0)]}
    assert [(row["entities"], row["confirmed"]) for row in rows if row["name"] == "total of <x>"] == CURVE


@pytest.mark.parametrize("prevalence", [0.0, 0.08, 1.0])
def test_levels_have_their_share_and_an_empty_one_is_a_gap(prevalence: float) -> None:
    table = pl.DataFrame(
        {
            "level": ["low", "high", "critical"],
            "entities": [1700, 80, 0],
            "rate": [0.02, 0.5, None],
            "low": [0.01, 0.4, None],
            "high": [0.03, 0.61, None],
        }
    )
    said = words(confirmed(table, prevalence))
    assert [text for text in said if text in {"low", "high", "critical"}] == ["low", "high", "critical"]
    assert {"1,700", "80", "0", "2.0 %", "50.0 %"} <= set(said)
    assert any(f"{100 * prevalence:.1f} % of all" in text for text in said)
