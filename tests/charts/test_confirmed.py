"""Confirmed shares of levels."""

import polars as pl
import pytest

from fivefold.charts.confirmed import confirmed
from tests.charts.drawn import words


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
